"""One poll: what is read of the machine each time, and no more. The whole snapshot is the adviser's business."""

import os
from collections.abc import Callable
from typing import TypeVar

from pagewarden.daemon.quick import QuickCounters, QuickZone, quick_pressure, quick_zones
from pagewarden.daemon.types import Reading, ZoneReading
from pagewarden.errors import ParseError, ReadError
from pagewarden.procfs.pressure import parse_pressure
from pagewarden.procfs.reader import FolderRoot, HeldFile, decode_text
from pagewarden.procfs.types import Zone
from pagewarden.procfs.zoneinfo import parse_zoneinfo

ZONEINFO, VMSTAT, PRESSURE = "proc/zoneinfo", "proc/vmstat", "proc/pressure/memory"
RECLAIM_MODE = "proc/sys/vm/zone_reclaim_mode"
APPLIED = "var/lib/pagewarden/apply"
"""Where `apply` keeps its records: each is replaced as a whole, which shows in the time of the folder."""

_T = TypeVar("_T")


class Observer:
    """Reads a machine again and again.

    :param root: "/" or a folder that mirrors it.
    """

    def __init__(self, root: str = "/") -> None:
        self._root = FolderRoot(root)
        self._applied = os.path.join(root, APPLIED)  # noqa: PTH118
        self._files = {path: HeldFile(self._root, path) for path in (ZONEINFO, VMSTAT, PRESSURE)}
        self._counters = QuickCounters()

    def read(self) -> Reading:
        """Read once; what cannot be read is in `failures`. Never raises."""
        failures: dict[str, str] = {}
        zones = self._parsed(ZONEINFO, _read_zones, failures) or []
        some_us, full_us = self._parsed(PRESSURE, _read_pressure, failures) or (None, None)
        return Reading(
            zones=tuple(
                ZoneReading(
                    zone.node,
                    zone.name,
                    zone.free_pages,
                    zone.min_pages,
                    zone.low_pages,
                    zone.high_pages,
                    zone.managed_pages,
                )
                for zone in zones
                if zone.present_pages
            ),
            counters=self._parsed(VMSTAT, self._counters.read, failures),
            pressure_some_us=some_us,
            pressure_full_us=full_us,
            settings=self._fingerprint(zones),
            applied=hash(_stamp(self._applied)),
            failures=failures,
        )

    def _parsed(self, path: str, parse: Callable[[str, str], _T], failures: dict[str, str]) -> _T | None:
        file = self._files[path]
        try:
            return parse(decode_text(file.read(), file.shown), file.shown)
        except (ReadError, ParseError) as error:
            failures[path] = str(error)
            return None

    def _fingerprint(self, zones: list[QuickZone]) -> int:
        """Reduce everything that settings decide to a number: marks without their boost, and reserves.

        Not sizes: where memory comes and goes (balloons) they change all the time, and the marks do not follow them.
        Only zone_reclaim_mode does not show in zoneinfo; it matters where there are several nodes.
        """
        parts: list[object] = [
            (
                zone.node,
                zone.name,
                zone.min_pages - zone.boost_pages,
                zone.low_pages - zone.boost_pages,
                zone.high_pages - zone.boost_pages,
                zone.protection,
            )
            for zone in zones
        ]
        if any(zone.node != zones[0].node for zone in zones):
            try:
                parts.append(self._root.read(RECLAIM_MODE))
            except ReadError:
                parts.append(None)
        return hash(tuple(parts))


def _stamp(path: str) -> tuple[int, int] | None:
    """Tell one content of a folder in which files are only ever replaced from another, without reading any."""
    try:
        found = os.stat(path)  # noqa: PTH116  at every poll: pathlib costs several times the call itself
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns


def _read_zones(text: str, path: str) -> list[QuickZone]:
    """Read the zones, by the parser of every kernel's zoneinfo where the quick one does not know the shape."""
    found = quick_zones(text)
    if found is not None:
        return found
    return [_quick_zone(zone) for node in parse_zoneinfo(text, path) for zone in node.zones]


def _read_pressure(text: str, path: str) -> tuple[int, int | None]:
    """Read the totals, likewise."""
    found = quick_pressure(text)
    if found is not None:
        return found
    pressure = parse_pressure(text, path)
    return pressure.some.total_us, None if pressure.full is None else pressure.full.total_us


def _quick_zone(zone: Zone) -> QuickZone:
    protection = "" if zone.protection_pages is None else f"({', '.join(map(str, zone.protection_pages))})"
    return QuickZone(
        zone.node,
        zone.name,
        zone.free_pages,
        zone.boost_pages or 0,
        zone.min_pages,
        zone.low_pages,
        zone.high_pages,
        zone.present_pages,
        zone.managed_pages,
        protection,
    )
