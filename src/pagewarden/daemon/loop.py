"""The service: waits, looks, folds, carries out. Everything that decides is in `state`; everything here may fail.

One wait for everything: the poll's time, the journal, the pressure trigger, signals, answers of children. A function
that fails is told once and tried again; it never ends the service nor silences the rest.
"""

import contextlib
import os
import select
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pagewarden.apply.plan_file import PLAN_NAME, withdraw_plan
from pagewarden.config.settings import ConfigError
from pagewarden.daemon import outlets, work
from pagewarden.daemon.child import Children
from pagewarden.daemon.clock import Clock
from pagewarden.daemon.keeper import Keeper
from pagewarden.daemon.log_lines import Block
from pagewarden.daemon.log_reader import LogReader
from pagewarden.daemon.notify import Notifier
from pagewarden.daemon.observe import Observer
from pagewarden.daemon.outlets import Speak, Times
from pagewarden.daemon.pressure import open_trigger
from pagewarden.daemon.state import Limits, State, fold, set_limits, sleep_ns, start
from pagewarden.daemon.types import (
    DECODER,
    MINUTE_NS,
    SECOND_NS,
    Action,
    Ask,
    Degraded,
    Entry,
    Fault,
    Happened,
    Kind,
    Meanwhile,
    Observation,
    Reading,
    Summary,
)
from pagewarden.errors import ExitStatus, PagewardenError
from pagewarden.report.journal import service_fields

MOST_BLOCKS = 16
"""Blocks of log lines that wait for the decoder; the oldest go."""
CLOCK_JUMP_SECONDS = 3600.0
SELF_TEST_SECONDS = 240
"""Long, as a machine that stalls is what the service is for; less than the unit's TimeoutStartSec=."""

METRICS_NS = MINUTE_NS
"""The metrics file is replaced at most this often."""

LOG, ADVICE, CLOCK, PLAN, METRICS = "kernel log", "advice", "wall clock", "plan", "metrics file"


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line sets.

    :ivar root: "/" or a folder that mirrors it; then no log is read unless `journal` names a directory.
    :ivar once: one poll and one answer of the adviser, then end.
    :ivar state_folder: for the history; None keeps none. `run_folder` likewise for the state file and the plan.
    :ivar fast_seconds: end after so much simulated time.
    """

    root: str = "/"
    journal: str | None = None
    once: bool = False
    state_folder: str | None = None
    run_folder: str | None = None
    fast_seconds: int | None = None


class Service:
    """The running service."""

    def __init__(self, options: Options, clock: Clock, speak: Speak, notifier: Notifier) -> None:
        self._options = options
        self._clock = clock
        self._speak = speak
        self._notifier = notifier
        self._poller = select.poll()
        self._children = Children(self._poller)
        self._trigger: int | None = None
        self._pressed = self._ending = False
        self._advised = False
        self._waiting_blocks: tuple[Block, ...] = ()
        self._observer = Observer(options.root)
        self._signals, self._signal_inlet = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._poller.register(self._signals, select.POLLIN)
        now_ns = clock.now_ns()
        self._log = LogReader(self._poller, options.journal, now_ns)
        self._clock_offset = clock.wall_seconds() - clock.boot_seconds()
        self._advise_settings: dict[str, Any] = {}
        self._apply_settings: dict[str, Any] = {}
        self._metrics_path = ""
        self._metrics_ns: int | None = None
        self._keeper = Keeper(options.root, options.state_folder, options.run_folder)
        self._state: State = start(Limits(), now_ns)

    # -- from beginning to end ----------------------------------------------------------------------------------

    def run(self) -> ExitStatus:
        """Run until told to end.

        :raises ConfigError: the configuration is wrong at the start.
        :raises PagewardenError: the self-test failed: this machine cannot be read.
        """
        self._take_signals()
        try:
            self._begin()
            while not self._ending:
                self._turn()
        finally:
            self._end()
        return ExitStatus.DONE

    def _begin(self) -> None:
        self._notifier.status("Starting: testing itself")
        config = self._ask_and_wait("configuration", lambda: work.read_config(self._options.root))
        if self._ending:
            return
        if config[1]:
            raise ConfigError(config[1])
        self._take_config(config[0])
        self._self_test()
        times = self._times()
        known = self._keeper.open(times)
        self._state = start(self._limits, times.now_ns, known)
        for fault in self._keeper.take_faults():
            self._tell(fault.function, fault.reason)
        self._open_log()
        with contextlib.suppress(OSError):
            if self._options.root == "/":
                self._trigger = open_trigger()
                self._poller.register(self._trigger, select.POLLPRI)
        self._keeper.started(times)
        self._poll()
        self._flush()
        self._notifier.ready(self._status())

    def _self_test(self) -> None:
        """Read everything, fit the model, decode a report: in a child, whose imports are gone afterwards."""
        reading = self._observer.read()
        if not reading.zones:
            raise PagewardenError(f"self-test: {next(iter(reading.failures.values()), 'no zones in zoneinfo')}")
        if self._options.fast_seconds is not None:
            return
        problems, reason = self._ask_and_wait(
            "self-test", lambda: [*work.self_test(), *work.read_all(self._options.root)]
        )
        if self._ending:
            return
        if reason or problems:
            raise PagewardenError(f"self-test: {reason or '; '.join(problems)}")

    def _end(self) -> None:
        self._notifier.stopping()
        if self._log.is_open and self._told():
            self._keeper.moved(self._log.cursor)
        self._children.end_all()
        self._withdraw_plan()
        self._keeper.close(self._times(), self._state)
        self._log.close()
        for handle in (self._trigger, self._signals, self._signal_inlet):
            if handle is not None:
                os.close(handle)

    # -- one turn -----------------------------------------------------------------------------------------------

    def _turn(self) -> None:
        """Wait until something is to be done, and do it."""
        ready = {handle for handle, _ in self._clock.wait(self._poller, self._timeout_ns(), busy=bool(self._children))}
        if self._signals in ready:
            self._take_signal()
        self._children.collect(ready)
        if self._trigger is not None and self._trigger in ready:
            self._pressed = True
        now_ns = self._clock.now_ns()
        self._log.listen(now_ns)
        woken = self._log.woke(ready)
        due = sleep_ns(self._state, now_ns) == 0 or (self._pressed and self._may_poll_early(now_ns))
        if woken or due or self._log.is_due(now_ns):
            self._read_log(now_ns, woken=woken)
        if due:
            self._pressed = False
            self._poll()
        self._children.end_late(now_ns)
        self._flush()
        self._notifier.alive(self._status())
        if self._options.once and self._advised and not self._children:
            self._ending = True
        if self._options.fast_seconds is not None and now_ns >= self._options.fast_seconds * SECOND_NS:
            self._ending = True

    def _timeout_ns(self) -> int:
        now_ns = self._clock.now_ns()
        waits = [sleep_ns(self._state, now_ns)]
        log_ns = self._log.timeout_ns(now_ns)
        if log_ns is not None:
            waits.append(log_ns)
        if self._pressed:
            waits.append(max(0, self._state.last_ns + self._state.limits.shortest_ns - now_ns))
        if self._notifier.watchdog_ns is not None:
            waits.append(self._notifier.watchdog_ns // 2)  # a turn is a sign of life, a reading is not needed for it
        return min(waits)

    def _may_poll_early(self, now_ns: int) -> bool:
        return now_ns - self._state.last_ns >= self._state.limits.shortest_ns

    def _poll(self) -> None:
        """Read the machine, judge, keep."""
        reading = self._observer.read()
        self._check_clock()
        self._report_failures(reading)
        self._observe(reading)
        times = self._times()
        self._keeper.take_sample(reading, times)
        self._write_metrics(times)

    def _report_failures(self, reading: Reading) -> None:
        for path in ("proc/zoneinfo", "proc/vmstat"):
            self._tell(path, reading.failures.get(path))

    def _check_clock(self) -> None:
        """Notice a wall clock that jumps: what is kept on disk has its times."""
        offset = self._clock.wall_seconds() - self._clock.boot_seconds()
        jump = offset - self._clock_offset
        self._clock_offset = offset
        if abs(jump) > CLOCK_JUMP_SECONDS:
            self._tell(CLOCK, f"it jumped by {jump:+.0f} s; times in the history before that are off")
        else:
            self._tell(CLOCK, None)

    # -- the kernel's log ---------------------------------------------------------------------------------------

    def _open_log(self) -> None:
        """Open the kernel's log where the last reading ended."""
        if self._options.root == "/" or self._options.journal is not None:
            self._log.open(self._keeper.cursor, self._clock.now_ns())
            self._tell(LOG, self._log.fault)

    def _read_log(self, now_ns: int, *, woken: bool) -> None:
        counts, blocks = self._log.read(now_ns, self._keeper.cursor, woken=woken)
        self._tell(LOG, self._log.fault)
        if counts is not None:
            self._observe(counts)
        if blocks:
            self._waiting_blocks = (*self._waiting_blocks, *blocks)[-MOST_BLOCKS:]
            self._decode()

    def _decode(self) -> None:
        """Have the blocks that were kept decoded, one child at a time."""
        if not self._waiting_blocks or self._children.busy(DECODER):
            return
        blocks, self._waiting_blocks = self._waiting_blocks, ()
        self._start(DECODER, lambda: work.decode(blocks), self._take_decoded)

    def _take_decoded(self, answer: Any, reason: str) -> None:
        if reason:
            self._observe(Fault(DECODER, reason))  # each time: what waits for it is told undecoded
        else:
            self._tell(DECODER, None)
            self._observe(work.decoded_of(answer))
        self._decode()

    # -- children -----------------------------------------------------------------------------------------------

    def _start(self, purpose: str, job: Callable[[], Any], take: Callable[[Any, str], None]) -> None:
        self._children.start(purpose, job, take, self._clock.now_ns())

    def _ask_and_wait(self, purpose: str, job: Callable[[], Any]) -> tuple[Any, str]:
        """Have something done before the loop begins; signals end the waiting."""
        answers: list[tuple[Any, str]] = []
        self._start(purpose, job, lambda answer, reason: answers.append((answer, reason)))
        while not answers and not self._ending:
            ready = {handle for handle, _ in self._poller.poll(SELF_TEST_SECONDS * 1000)}
            if not ready:
                return None, f"no answer within {SELF_TEST_SECONDS} s"
            if self._signals in ready:
                self._take_signal()
            self._children.collect(ready)
        return answers[0] if answers else (None, "interrupted")

    def _advise(self, counted: Meanwhile | None) -> None:
        if self._children.busy(ADVICE):
            return
        times = self._times()
        question = work.Question(
            root=self._options.root,
            advise=self._advise_settings,
            apply=self._apply_settings,
            since={name: times.seconds(found.first_ns) for name, found in self._state.findings.items()},
            run_folder=self._options.run_folder,
            boot_id=self._keeper.boot_id,
            wall_seconds=times.wall_seconds,
            reports_since=self._reports_since(times),
            journal=self._options.journal,
            meanwhile=counted,
        )
        self._start(ADVICE, lambda: work.advise(question), self._take_advice)

    def _withdraw_plan(self) -> None:
        """Take the plan away: nobody stands for it any more."""
        if self._options.run_folder is not None:
            with contextlib.suppress(OSError):
                withdraw_plan(Path(self._options.run_folder, PLAN_NAME))

    def _write_metrics(self, times: Times) -> None:
        """Have the file for node_exporter written, where one is configured."""
        last = self._metrics_ns
        if not self._metrics_path or self._children.busy(METRICS):
            return
        if last is not None and times.now_ns - last < METRICS_NS:
            return
        self._metrics_ns = times.now_ns
        root, target, history = self._options.root, self._metrics_path, self._keeper.history_path
        state = outlets.service_state(self._state, self._keeper.open_findings(self._state, times), times)
        recommended = self._state.recommended
        self._start(METRICS, lambda: work.write_metrics(root, target, history, state, recommended), self._take_metrics)

    def _take_metrics(self, _: Any, reason: str) -> None:
        self._tell(METRICS, reason or None)

    def _reports_since(self, times: Times) -> float | None:
        """When the oldest open finding about a report was first seen; None where the adviser has no log to read.

        By the clock then or by the clock now, whichever is earlier: the clock may have been set meanwhile.
        """
        if not self._log.is_journal:
            return None
        found = [known for known in self._state.findings.values() if known.seen.kind is Kind.REPORT]
        both = (*(self._keeper.began(one, times) for one in found), *(times.seconds(one.first_ns) for one in found))
        return min(both, default=None)

    def _take_advice(self, answer: Any, reason: str) -> None:
        self._advised = True
        self._tell(ADVICE, reason or None)
        if not reason:
            self._tell(PLAN, answer["trouble"] or None)
            self._observe(work.advices_of(answer))

    # -- configuration and signals ------------------------------------------------------------------------------

    def _take_signals(self) -> None:
        signal.set_wakeup_fd(self._signal_inlet, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda _number, _frame: None)

    def _take_signal(self) -> None:
        numbers = set(os.read(self._signals, 64))
        if signal.SIGTERM in numbers or signal.SIGINT in numbers:
            self._ending = True
        elif signal.SIGHUP in numbers:
            self._reload()

    def _reload(self) -> None:
        self._notifier.reloading()
        self._start("reload", lambda: work.read_config(self._options.root), self._reloaded)

    def _reloaded(self, answer: Any, reason: str) -> None:
        if reason:
            self._speak(
                service_fields("service-config", f"Configuration refused, the old one stays: {reason}", "warning")
            )
        else:
            self._take_config(answer)
            self._state = set_limits(self._state, self._limits)
            self._speak(service_fields("service-config", "Configuration read again."))
        self._notifier.ready(self._status())

    def _take_config(self, answer: list[tuple[str, str, Any]]) -> None:
        values = {(section, name): value for section, name, value in answer}
        longest = int(values["service", "poll_max_seconds"]) * SECOND_NS
        shortest = min(int(values["service", "poll_min_seconds"]) * SECOND_NS, longest)
        self._limits = Limits(shortest, longest, bool(values["service", "daily_summary"]))
        self._advise_settings = {name: value for section, name, value in answer if section == "advise"}
        self._apply_settings = {name: value for section, name, value in answer if section == "apply"}
        self._metrics_path = str(values["metrics", "textfile"])
        self._metrics_ns = None
        self._keeper.configure(values)

    # -- what follows -------------------------------------------------------------------------------------------

    def _observe(self, seen: Observation) -> None:
        """Fold an observation in, and carry out what follows."""
        self._state, actions = fold(self._state, seen, self._clock.now_ns())
        for action in actions:
            self._carry_out(action)

    def _tell(self, function: str, reason: str | None) -> None:
        """A function does not work (why), or works (None)."""
        if self._state.faults.get(function) != reason:  # said already: by far the usual case
            self._observe(Fault(function, reason))

    def _carry_out(self, action: Action) -> None:
        times = self._times()
        if isinstance(action, Ask):
            self._advise(action.meanwhile)
            return
        if isinstance(action, Entry | Summary | Degraded):
            self._speak(outlets.fields_of(action, times))
        if isinstance(action, Entry | Happened | Degraded):
            self._keeper.take_event(action, times)

    def _flush(self) -> None:
        """Put on disk what is due; what fails there is told as any other fault."""
        if self._log.is_open and self._told():
            self._keeper.moved(self._log.cursor)
        self._keeper.flush(self._times(), self._state)
        for fault in self._keeper.take_faults():
            self._tell(fault.function, fault.reason)

    def _told(self) -> bool:
        """Whether everything that was read of the log has become an event: only then may its place be kept."""
        decoding = self._children.busy(DECODER)
        return self._log.idle and not (self._waiting_blocks or self._state.pending or decoding)

    def _times(self) -> Times:
        return Times(self._clock.now_ns(), self._clock.wall_seconds())

    def _status(self) -> str:
        remark = "" if self._trigger is not None else ", no wake-up by memory pressure here"
        return outlets.status_line(self._state, remark)
