"""What happened between two snapshots of one machine: counters as counts and rates.

Counters are only worth anything as differences, and differences only where both ends are of one boot. A counter that
is smaller later than earlier has started anew or wrapped; it is left out and said, never taken for zero.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pagewarden.procfs.types import Pressure, Snapshot

SLACK_SECONDS = 5.0
SLACK_SHARE = 0.2
"""Elapsed time that was given and that the uptimes tell may differ by this much before it is said."""

_ZONES = ("dma", "dma32", "normal", "high", "highmem", "movable", "device")


@dataclass(frozen=True, slots=True)
class Interval:
    """Counters between two snapshots.

    :ivar seconds: how long, by the machine's own uptime where both snapshots have it.
    :ivar counts: vmstat counter -> by how much it grew; only those that both have and that did not fall.
    :ivar rewritten: settings whose value differs between the two: what was counted does not speak of the new value.
    :ivar some_percent: share of the time in which some task waited for memory (PSI); None where not printed.
    :ivar full_percent: likewise all of them at once.
    :ivar least_free_pages: (node, zone) -> the fewest free pages seen; empty where nobody looked at zones.
    :ivar unusable: why nothing can be said of rates; empty where all is well.
    :ivar notes: what is odd about it, in words.
    """

    seconds: float
    counts: Mapping[str, int] = field(default_factory=dict)
    rewritten: frozenset[str] = frozenset()
    some_percent: float | None = None
    full_percent: float | None = None
    least_free_pages: Mapping[tuple[int, str], int] = field(default_factory=dict)
    unusable: str = ""
    notes: tuple[str, ...] = ()

    def total(self, name: str) -> int | None:
        """The growth of a counter, its zones together: `allocstall` until 4.6, `allocstall_normal` and others since.

        :return: None where this kernel has no such counter, or it started anew in between.
        """
        if name in self.counts:
            return self.counts[name]
        by_zone = [self.counts[key] for zone in _ZONES if (key := f"{name}_{zone}") in self.counts]
        return sum(by_zone) if by_zone else None

    def rate(self, name: str) -> float | None:
        """The same a second."""
        count = self.total(name)
        return None if count is None or self.seconds <= 0 else count / self.seconds


def _is_quantity(name: str) -> bool:
    """Lines of vmstat that rise and fall: whether they fell says nothing."""
    return name.startswith("nr_") or name == "workingset_nodes"


def another_machine(earlier: Snapshot, later: Snapshot) -> str:
    """Why the two are not of one machine; empty where nothing tells against it."""
    if earlier.host and later.host and earlier.host != later.host:
        return f"one is of {earlier.host}, the other of {later.host}"
    if earlier.page_size != later.page_size and not (earlier.page_size_assumed or later.page_size_assumed):
        return f"one has pages of {earlier.page_size} bytes, the other of {later.page_size}"
    if {node.node for node in earlier.nodes}.isdisjoint(node.node for node in later.nodes):
        return "they have no node in common"
    if earlier.kernel != later.kernel and _cannot_be_one(earlier, later):
        return f"one runs {earlier.kernel}, the other {later.kernel}, and their zones differ"
    return ""


def _cannot_be_one(earlier: Snapshot, later: Snapshot) -> bool:
    return {(z.node, z.name, z.spanned_pages) for z in earlier.zones if z.populated} != {
        (z.node, z.name, z.spanned_pages) for z in later.zones if z.populated
    }


def interval_between(earlier: Snapshot, later: Snapshot, elapsed_seconds: float | None = None) -> Interval:
    """Compare two snapshots of one machine.

    :param elapsed_seconds: between them, as the user or a clock says; needed where a snapshot has no uptime.
    """
    seconds, notes, unusable = _seconds(earlier, later, elapsed_seconds)
    if not unusable and earlier.kernel and later.kernel and earlier.kernel != later.kernel:
        unusable = f"another kernel ran before ({earlier.kernel})"
    if not unusable and (earlier.vmstat is None or later.vmstat is None):
        unusable = "/proc/vmstat is missing from one of the two"
    if unusable:
        return Interval(seconds, unusable=unusable, notes=tuple(notes))
    assert earlier.vmstat is not None
    assert later.vmstat is not None
    counts = {
        name: later.vmstat[name] - value
        for name, value in earlier.vmstat.items()
        if name in later.vmstat and later.vmstat[name] >= value and not _is_quantity(name)
    }
    fell = sorted(
        name
        for name, value in earlier.vmstat.items()
        if name in later.vmstat and later.vmstat[name] < value and not _is_quantity(name)
    )
    if fell:
        more = f" and {len(fell) - 3} more" if len(fell) > 3 else ""
        notes.append(f"counters that fell in between are left out: {', '.join(fell[:3])}{more}")
    some, full = _pressure(earlier.pressure, later.pressure, seconds)
    changed = frozenset(
        key for key, value in later.sysctls.items() if key in earlier.sysctls and earlier.sysctls[key] != value
    )
    first = {(zone.node, zone.name): zone.free_pages for zone in earlier.zones}
    free = {key: min(first[key], zone.free_pages) for zone in later.zones if (key := (zone.node, zone.name)) in first}
    return Interval(seconds, counts, changed, some, full, free, "", tuple(notes))


def _seconds(earlier: Snapshot, later: Snapshot, given: float | None) -> tuple[float, list[str], str]:
    """How long it was, what is odd about that, and why it cannot be used."""
    first, last = earlier.uptime_seconds, later.uptime_seconds
    if first is not None and last is not None:
        if last < first:
            return 0.0, [], "the machine was rebooted in between, or the two are the wrong way round"
        by_uptime = last - first
        notes = []
        if given is not None and abs(by_uptime - given) > max(SLACK_SECONDS, given * SLACK_SHARE):
            if by_uptime < given:
                why = "the machine stood still in between (suspended, or a paused guest), or was given a wrong time"
            else:
                why = "the time given is too short, or a clock jumped"
            notes.append(f"{given:.0f} s were given, {by_uptime:.0f} s passed by its uptime: {why}; the uptime is used")
        if by_uptime <= 0:
            return 0.0, notes, "no time passed between the two"
        return by_uptime, notes, ""
    if given is None:
        return 0.0, [], "how much time passed is not known: neither has an uptime, and none was given"
    if given <= 0:
        return 0.0, [], "no time passed between the two"
    return given, [], ""


def _pressure(earlier: Pressure | None, later: Pressure | None, seconds: float) -> tuple[float | None, float | None]:
    if earlier is None or later is None or seconds <= 0:
        return None, None
    some = later.some.total_us - earlier.some.total_us
    full = None if earlier.full is None or later.full is None else later.full.total_us - earlier.full.total_us
    return _percent(some, seconds), None if full is None else _percent(full, seconds)


def _percent(microseconds: int, seconds: float) -> float | None:
    return None if microseconds < 0 else min(100.0, microseconds / seconds / 10_000)
