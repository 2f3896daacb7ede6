"""What `advise` looks at beside one instant: logs, a second capture, or this machine for a while."""

import argparse
import sys
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from pagewarden.advise.observed import Observed, ZoneTrend
from pagewarden.advise.policy import AdvicePolicy
from pagewarden.cli.common import read_machine
from pagewarden.diagnose.interval import Interval, another_machine, interval_between
from pagewarden.diagnose.log_evidence import Here, LogEvidence, gather_evidence
from pagewarden.diagnose.trend import fit_trend
from pagewarden.diagnose.types import Cause
from pagewarden.errors import ReadError, UsageError
from pagewarden.kernel.machine import Machine, machine_of
from pagewarden.klog.repeats import Doubles
from pagewarden.klog.types import LogRead, Report
from pagewarden.procfs.snapshot import read_snapshot
from pagewarden.procfs.types import Snapshot

TREND_ORDER = 3
"""Blocks of this order (the largest for which the kernel reclaims as long as it takes) are followed over time."""

SAMPLES = 60
LEAST_PAUSE_SECONDS, MOST_PAUSE_SECONDS = 1.0, 10.0


def add_observation(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that say what to look at."""
    logs = parser.add_argument_group("evidence from logs")
    logs.add_argument(
        "--logs",
        nargs="+",
        action="extend",
        default=[],
        metavar="FILE",
        help="kernel logs of this machine, as explain takes them; - for standard input. Those in a folder that "
        "--root names (an unpacked sosreport, say) are read by themselves",
    )
    logs.add_argument("--journal", action="store_true", help="the kernel's messages in the systemd journal")
    span = parser.add_argument_group("evidence from counters")
    span.add_argument(
        "--watch",
        metavar="TIME",
        help="look at this machine for so long (90s, 10m, 1h), which is said on standard error; Ctrl-C ends it",
    )
    span.add_argument("--later", metavar="DIR", help="with --root: a later capture of the same machine")
    span.add_argument("--elapsed", metavar="SECONDS", type=float, help="time between the two captures")


def check_observation(args: argparse.Namespace) -> None:
    """Refuse what contradicts itself before anything is read.

    :raises UsageError: if it does.
    """
    if args.watch is not None and (args.root != "/" or args.later is not None):
        raise UsageError("--watch looks at this machine; it does not go with --root or --later")
    if args.later is not None and args.root == "/":
        raise UsageError("--later compares two captures: name the earlier one with --root")
    if args.journal and args.root != "/":
        raise UsageError("--journal is this machine's; name a capture's logs with --logs")
    if args.elapsed is not None and args.later is None:
        raise UsageError("--elapsed goes with --later")
    if args.elapsed is not None and not 0 < args.elapsed < float("inf"):
        raise UsageError("--elapsed: expected seconds, more than 0")
    if args.watch is not None:
        duration(args.watch)


def duration(text: str) -> float:
    """Read a span of time: "90s", "10m", "1h 30min", plain seconds.

    :raises UsageError: if it is none, or none at all.
    """
    from pagewarden.klog.since import parse_since

    now = datetime.now().astimezone()
    try:
        seconds = (now - parse_since(f"-{text}", now)).total_seconds()
    except UsageError:
        seconds = 0
    if seconds <= 0:
        raise UsageError(f"--watch {text!r}: expected a time such as 90s, 10m or 1h")
    return seconds


def time_of(snapshot: Snapshot) -> datetime | None:
    """When a snapshot was taken; None where a capture does not say."""
    if snapshot.live:
        return datetime.now().astimezone()
    if snapshot.taken_at is None:
        return None
    try:
        taken = datetime.fromisoformat(snapshot.taken_at)
    except ValueError:
        return None
    return taken if taken.tzinfo is not None else taken.astimezone()


def observed_logs(
    args: argparse.Namespace, snapshot: Snapshot, machine: Machine, policy: AdvicePolicy
) -> LogEvidence | None:
    """Read every log that was named, or that a capture holds; None where there is none.

    :raises ReadError: one of them cannot be read.
    """
    now = time_of(snapshot)
    here = Here(snapshot, machine, now, policy.evidence_days)
    sources = [*_named_logs(args), *_journal(args, now, policy)]
    if not sources and args.root != "/":
        sources = _captured(args.later or args.root, args.command)
    if not sources:
        return None
    read: list[LogRead] = []
    doubles = Doubles() if len(sources) > 1 else None
    reports = (item for name, source in sources for item in _labelled(name, source, doubles, read))
    return replace(gather_evidence(reports, here), read=tuple(read))


Source = tuple[str, Callable[[], Generator[Report, None, int]]]


def _named_logs(args: argparse.Namespace) -> Iterator[Source]:
    from pagewarden.klog.sources import read_reports

    for path in dict.fromkeys(args.logs):  # one that is named twice is read once
        yield path, partial(read_reports, path)


def _journal(args: argparse.Namespace, now: datetime | None, policy: AdvicePolicy) -> Iterator[Source]:
    if args.journal:
        from pagewarden.klog.journal import read_journal

        since = None if now is None else now - timedelta(days=policy.evidence_days)
        yield "journal", partial(read_journal, since)


def _captured(root: str, command: str) -> list[Source]:
    """Every log that lies in a folder; what an archive holds is named on standard error, as it is not kept.

    All are read, as each may be the only one with lines: an empty kern.log stands beside a full messages where syslog
    was set up anew. What two of them hold is counted once, see `Doubles`.

    :raises ReadError: whether one is there cannot be told.
    """
    from pagewarden.procfs.layout import LOGS
    from pagewarden.procfs.reader import FolderRoot
    from pagewarden.procfs.roots import open_root

    opened = open_root(root)
    for name in opened.passed_over:
        print(f"pagewarden {command}: {name}: not read; unpack it and name the folder, or --logs", file=sys.stderr)
    if not isinstance(opened, FolderRoot):
        return []
    found = ((path, opened.find_file(path)) for path in LOGS)
    return [(path, partial(_read_captured, place, opened.shown(path))) for path, place in found if place is not None]


def _read_captured(place: Path, shown: str) -> Generator[Report, None, int]:
    """Read a log that is there.

    :raises ReadError: it cannot be read: that must not look as if there were none.
    """
    from pagewarden.klog.sources import read_reports

    try:
        return (yield from read_reports(str(place)))
    except ReadError as error:
        raise type(error)(shown, f"{error.reason}; name the logs to read with --logs") from None


def _labelled(
    name: str, source: Callable[[], Generator[Report, None, int]], doubles: Doubles | None, read: list[LogRead]
) -> Iterator[tuple[str, Report]]:
    def noted() -> Iterator[Report]:
        read.append(LogRead(name, (yield from source())))

    for report in noted() if doubles is None else doubles.left_out(noted()):
        yield name, report


def observed_later(args: argparse.Namespace, earlier: Snapshot, later: Snapshot) -> Interval:
    """Compare two captures.

    :raises UsageError: they are not of one machine.
    """
    why = another_machine(earlier, later)
    if why:
        raise UsageError(f"--later {args.later}: not the same machine as {args.root}: {why}")
    return interval_between(earlier, later, args.elapsed)


@dataclass(slots=True)
class Series:
    """What was sampled: (seconds, value) by zone."""

    free: dict[tuple[int, str], list[tuple[float, float]]] = field(default_factory=dict)
    blocks: dict[tuple[int, str], list[tuple[float, float]]] = field(default_factory=dict)
    available: list[tuple[float, float]] = field(default_factory=list)

    def add(self, seconds: float, snapshot: Snapshot) -> None:
        """Take the numbers of one snapshot."""
        for zone in snapshot.zones:
            if zone.populated:
                self.free.setdefault((zone.node, zone.name), []).append((seconds, zone.free_pages))
        for key, counts in (snapshot.free_blocks or {}).items():
            self.blocks.setdefault(key, []).append((seconds, sum(counts[TREND_ORDER:])))
        available = (snapshot.meminfo_kb or {}).get("MemAvailable")
        if available is not None:
            self.available.append((seconds, available * 1024 / snapshot.page_size))

    def zone_trends(self) -> tuple[ZoneTrend, ...]:
        """Fit every zone's series."""
        return tuple(
            ZoneTrend(node, zone, fit_trend(values), TREND_ORDER, fit_trend(self.blocks.get((node, zone), [])))
            for (node, zone), values in self.free.items()
        )


def watch(text: str, first: Snapshot, command: str = "advise") -> tuple[Snapshot, Observed]:
    """Sample this machine for a while; Ctrl-C ends it early, with what was seen so far.

    For how long is said first, wherever standard error leads: nothing else tells a slip (99999h) from a long look.

    :return: the last snapshot and what lies between it and the first.
    """
    from pagewarden.report.words import duration_text

    total = duration(text)
    pause = min(MOST_PAUSE_SECONDS, max(LEAST_PAUSE_SECONDS, total / SAMPLES))
    series, last = Series(), first
    print(f"pagewarden {command}: watching for {duration_text(total)}; Ctrl-C ends it", file=sys.stderr, flush=True)
    began = time.monotonic()
    series.add(0.0, first)
    with _progress(total) as show:
        try:
            while (passed := time.monotonic() - began) < total:
                time.sleep(min(pause, total - passed))
                last = read_snapshot("/", page_types=False)
                series.add(time.monotonic() - began, last)
                show(time.monotonic() - began)
        except KeyboardInterrupt:
            last = read_snapshot("/", page_types=False)  # of this moment, as the time that is counted
            passed = time.monotonic() - began
            series.add(passed, last)
            print(
                f"pagewarden {command}: ended after {passed:.0f} s of {total:.0f}; with what was seen", file=sys.stderr
            )
    seconds = time.monotonic() - began
    interval = interval_between(first, last, seconds)
    least = {key: int(min(free for _, free in values)) for key, values in series.free.items()}
    return last, Observed(
        interval=replace(interval, least_free_pages=least),
        zones=series.zone_trends(),
        available_pages=fit_trend(series.available),
    )


def _progress(total: float) -> AbstractContextManager[Callable[[float], None]]:
    if not sys.stderr.isatty():
        return nullcontext(lambda done: None)
    from pagewarden.report.progress import waiting

    return waiting("watching", total)


def wants_links(snapshot: Snapshot, logs: LogEvidence | None) -> bool:
    """Whether the line rate of the network says something about what was found."""
    return snapshot.live and logs is not None and bool(logs.of(Cause.ATOMIC_RESERVE_EXHAUSTED))


def observe(args: argparse.Namespace, policy: AdvicePolicy) -> tuple[Snapshot, Machine, Observed]:
    """Read the machine, for as long as was asked, and the logs that were named.

    :raises ReadError: something that is needed cannot be read.
    :raises UsageError: two captures are not of one machine.
    """
    snapshot, machine = read_machine(args.root)
    observed = Observed()
    if args.watch is not None:
        snapshot, observed = watch(args.watch, snapshot, args.command)
        machine = machine_of(snapshot)
    elif args.later is not None:
        earlier = snapshot
        snapshot, machine = read_machine(args.later)
        observed = Observed(interval=observed_later(args, earlier, snapshot))
    observed = replace(observed, logs=observed_logs(args, snapshot, machine, policy))
    if wants_links(snapshot, observed.logs):
        from pagewarden.procfs.network import read_links

        observed = replace(observed, links=read_links())
    return snapshot, machine, observed
