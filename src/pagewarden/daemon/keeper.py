"""What the service itself puts on disk: the history and the state file. Each may fail without the other."""

from collections.abc import Mapping
from typing import Any

from pagewarden.daemon import outlets
from pagewarden.daemon.findings import Findings, Tracked
from pagewarden.daemon.outlets import Times
from pagewarden.daemon.state import State
from pagewarden.daemon.types import MINUTE_NS, Degraded, Entry, Fault, Happened, Reading
from pagewarden.errors import ReadError
from pagewarden.history.schema import HistoryError
from pagewarden.history.state import StateFile
from pagewarden.history.store import History, Limits
from pagewarden.history.types import Batch, Event, EventKind, OpenFinding, Sample
from pagewarden.procfs.reader import FolderRoot

FLUSH_NS = MINUTE_NS
CALM_FLUSH_NS = 10 * MINUTE_NS
"""Readings are put on disk together, this often: the second where all zones are far from their marks. Events go at
once. What a crash takes is then what was read in a calm time."""
RETRY_NS = MINUTE_NS
MAX_WAITING_EVENTS = 1000
MAX_WAITING_SAMPLES = 240
HISTORY, STATE_FILE = "history", "state file"


class Keeper:
    """Keeps what the service sees.

    :param state_folder: where the history is kept; None keeps none.
    :param run_folder: where the state file is kept; None keeps none.
    """

    def __init__(self, root: str, state_folder: str | None, run_folder: str | None) -> None:
        self.cursor: str | None = None
        self.history_path = None if state_folder is None else f"{state_folder}/history.db"
        self._state_path = None if run_folder is None else f"{run_folder}/state.json"
        self._state_file = None if self._state_path is None else StateFile(self._state_path)
        self._limits = Limits()
        self._history: History | None = None
        self._samples: list[Sample] = []
        self._events: list[Event] = []
        self._findings: tuple[OpenFinding, ...] = ()
        self._known: Findings | None = None
        self._open_now: tuple[OpenFinding, ...] = ()
        self._began: dict[str, tuple[int, float]] = {}
        self._moved = False
        self._flushed_ns = self._tried_ns = 0
        self._state_polls = -1
        self._faults: list[Fault] = []
        self.boot_id = _boot_id(root)
        self._page_size = _page_size()

    def configure(self, values: Mapping[tuple[str, str], Any]) -> None:
        """Take the settings of the configuration; the size of the history counts from the next start on."""
        self._limits = Limits(int(values["history", "max_mb"]), int(values["history", "max_days"]))

    def open(self, times: Times) -> Findings:
        """Open the history; give the findings that were open when the service ended."""
        if self.history_path is None or not self._try_open(times) or self._history is None:
            return {}
        try:
            self.cursor = self._history.cursor
            self._findings = self._history.findings
        except HistoryError as error:
            self._fail(str(error))
        known = outlets.restored(self._findings, times)
        self._began = {one.identity: (known[one.identity].first_ns, one.since_seconds) for one in self._findings}
        return known

    def started(self, times: Times) -> None:
        """Note that the service has started."""
        now = times.seconds(times.now_ns)
        self._events.append(Event(EventKind.SERVICE_STARTED, now, now, "the service has started"))

    def take_sample(self, reading: Reading, times: Times) -> None:
        """Keep a reading."""
        if self.history_path is None or not reading.zones:
            return
        at = times.seconds(times.now_ns)
        self._samples.append(outlets.sample_of(reading, at, self.boot_id, self._page_size))
        del self._samples[:-MAX_WAITING_SAMPLES]

    def take_event(self, action: Entry | Happened | Degraded, times: Times) -> None:
        """Keep an event."""
        if self.history_path is not None:
            self._events.append(outlets.event_of(action, times))
            del self._events[:-MAX_WAITING_EVENTS]

    def moved(self, cursor: str | None) -> None:
        """The kernel's log has been read up to here, and everything in it told."""
        self._moved = self._moved or cursor != self.cursor
        self.cursor = cursor

    def flush(self, times: Times, state: State) -> None:
        """Put on disk what is due, and the state file after each poll."""
        calm = state.next_poll_ns - state.last_ns >= state.limits.longest_ns
        due = times.now_ns - self._flushed_ns >= (CALM_FLUSH_NS if calm else FLUSH_NS)
        if self._events or due:
            self._write(times, state)
        if state.polls != self._state_polls:
            self._write_state(times, state)

    def open_findings(self, state: State, times: Times) -> tuple[OpenFinding, ...]:
        """Give the open findings for the history and the state file; written anew only where any has changed."""
        if state.findings is not self._known:
            self._known = state.findings
            self._began = {name: known for name, known in self._began.items() if name in state.findings}
            self._open_now = outlets.open_findings_of(state.findings, lambda tracked: self.began(tracked, times))
        return self._open_now

    def began(self, tracked: Tracked, times: Times) -> float:
        """When a finding appeared, in seconds since 1970, by the clock as it was then.

        The kernel's log has that time too, whatever the clock is set to afterwards.
        """
        name, first_ns = tracked.seen.identity, tracked.first_ns
        known = self._began.get(name)
        if known is None or known[0] != first_ns:
            known = self._began[name] = first_ns, times.seconds(first_ns)
        return known[1]

    def take_faults(self) -> list[Fault]:
        """Give what has failed or works again since the last time."""
        faults, self._faults = self._faults, []
        return faults

    def close(self, times: Times, state: State) -> None:
        """Write the rest and close."""
        now = times.seconds(times.now_ns)
        self._events.append(Event(EventKind.SERVICE_STOPPED, now, now, "the service has ended"))
        self._write(times, state)
        if self._history is not None:
            self._history.close()
            self._history = None

    def _write(self, times: Times, state: State) -> None:
        self._flushed_ns = times.now_ns
        if self.history_path is None or (self._history is None and not self._try_again(times)) or self._history is None:
            return
        findings = self.open_findings(state, times)
        changed = [finding.identity for finding in findings] != [finding.identity for finding in self._findings]
        batch = Batch(
            tuple(self._samples),
            tuple(self._events),
            findings if changed or self._events else None,
            self.cursor if self._moved else None,
        )
        if not batch:
            return
        try:
            self._history.write(batch, times.seconds(times.now_ns))
        except HistoryError as error:
            self._fail(str(error))
            return
        self._samples, self._events, self._moved, self._findings = [], [], False, findings
        self._faults += [Fault(HISTORY, None), *(Fault(f"{HISTORY} file", note) for note in self._history.take_notes())]

    def _try_open(self, times: Times) -> bool:
        self._tried_ns = times.now_ns
        try:
            self._history = History(self.history_path or "", self._limits, times.seconds(times.now_ns))
        except HistoryError as error:
            self._fail(str(error))
            return False
        self._faults += [Fault(f"{HISTORY} file", note) for note in self._history.take_notes()]
        return True

    def _try_again(self, times: Times) -> bool:
        return times.now_ns - self._tried_ns >= RETRY_NS and self._try_open(times)

    def _fail(self, reason: str) -> None:
        self._faults.append(Fault(HISTORY, reason))

    def _write_state(self, times: Times, state: State) -> None:
        self._state_polls = state.polls
        if self._state_file is None:
            return
        try:
            self._state_file.write(outlets.service_state(state, self.open_findings(state, times), times))
        except OSError as error:
            self._faults.append(Fault(STATE_FILE, f"{self._state_path}: {error.strerror}"))
        else:
            self._faults.append(Fault(STATE_FILE, None))


def _boot_id(root: str) -> str:
    try:
        return FolderRoot(root).read("proc/sys/kernel/random/boot_id").decode("ascii", "replace").strip()
    except ReadError:
        return "unknown"


def _page_size() -> int:
    import mmap

    return mmap.PAGESIZE
