"""One poll: what is read of the machine each time, and no more. The whole snapshot is the adviser's business."""

from collections.abc import Callable
from typing import TypeVar

from pagewarden.daemon.counters import followed
from pagewarden.daemon.types import Reading, ZoneReading
from pagewarden.errors import ParseError, ReadError
from pagewarden.procfs.pressure import parse_pressure
from pagewarden.procfs.reader import FolderRoot, decode_text
from pagewarden.procfs.types import Node, Pressure, Zone
from pagewarden.procfs.vmstat import parse_vmstat
from pagewarden.procfs.zoneinfo import parse_zoneinfo

ZONEINFO, VMSTAT, PRESSURE = "proc/zoneinfo", "proc/vmstat", "proc/pressure/memory"
RECLAIM_MODE = "proc/sys/vm/zone_reclaim_mode"

_T = TypeVar("_T")


class Observer:
    """Reads a machine again and again.

    :param root: "/" or a folder that mirrors it.
    """

    def __init__(self, root: str = "/") -> None:
        self._root = FolderRoot(root)

    def read(self) -> Reading:
        """Read once; what cannot be read is in `failures`. Never raises."""
        failures: dict[str, str] = {}
        nodes = self._parsed(ZONEINFO, parse_zoneinfo, failures) or ()
        vmstat = self._parsed(VMSTAT, parse_vmstat, failures)
        pressure: Pressure | None = self._parsed(PRESSURE, parse_pressure, failures)
        zones = tuple(_zone_reading(zone) for node in nodes for zone in node.zones if zone.populated)
        return Reading(
            zones=zones,
            counters=None if vmstat is None else followed(vmstat),
            pressure_some_us=None if pressure is None else pressure.some.total_us,
            pressure_full_us=None if pressure is None or pressure.full is None else pressure.full.total_us,
            settings=self._fingerprint(nodes),
            failures=failures,
        )

    def _parsed(self, path: str, parse: Callable[[str, str], _T], failures: dict[str, str]) -> _T | None:
        shown = self._root.shown(path)
        try:
            return parse(decode_text(self._root.read(path), shown), shown)
        except (ReadError, ParseError) as error:
            failures[path] = str(error)
            return None

    def _fingerprint(self, nodes: tuple[Node, ...]) -> int:
        """Reduce everything that settings decide to a number: marks without their boost, and reserves.

        Not sizes: where memory comes and goes (balloons) they change all the time, and the marks do not follow them.
        Only zone_reclaim_mode does not show in zoneinfo; it matters where there are several nodes.
        """
        parts: list[object] = [
            (
                zone.node,
                zone.name,
                zone.min_pages - (zone.boost_pages or 0),
                zone.low_pages - (zone.boost_pages or 0),
                zone.high_pages - (zone.boost_pages or 0),
                zone.protection_pages,
            )
            for node in nodes
            for zone in node.zones
        ]
        if len(nodes) > 1:
            try:
                parts.append(self._root.read(RECLAIM_MODE))
            except ReadError:
                parts.append(None)
        return hash(tuple(parts))


def _zone_reading(zone: Zone) -> ZoneReading:
    return ZoneReading(
        node=zone.node,
        name=zone.name,
        free_pages=zone.free_pages,
        min_pages=zone.min_pages,
        low_pages=zone.low_pages,
        high_pages=zone.high_pages,
        managed_pages=zone.managed_pages,
    )
