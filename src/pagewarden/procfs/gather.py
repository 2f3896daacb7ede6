"""Reading all files of a snapshot, in the order that keeps them of one instant."""

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass, field

from pagewarden.errors import ParseError, ReadError
from pagewarden.procfs import layout
from pagewarden.procfs.reader import Root, decode_text
from pagewarden.procfs.sysctl import sysctl_path
from pagewarden.procfs.types import Node, Zone
from pagewarden.procfs.zoneinfo import parse_zoneinfo

_ATTEMPTS = 3
# What the marks are computed from and an administrator may write at any time.
_KNOBS = tuple(sysctl_path(key) for key in ("vm.min_free_kbytes", "vm.watermark_scale_factor"))
_MARKS = ("present", "managed", "min", "low", "high", "promo")


@dataclass(slots=True)
class Gathered:
    """What was read of a root.

    :ivar contents: path -> bytes.
    :ivar failures: path -> why it could not be read.
    :ivar links: path -> where it leads on the machine, for links among the files that set sysctls.
    :ivar nodes: the zones, where they had to be parsed already.
    :ivar systemd: whether the machine applies sysctl.d files with systemd; None where nothing tells.
    :ivar torn: why the files cannot be of one instant.
    """

    root: Root
    contents: dict[str, bytes] = field(default_factory=dict)
    failures: dict[str, ReadError] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    nodes: tuple[Node, ...] | None = None
    systemd: bool | None = None
    torn: list[str] = field(default_factory=list)

    def read(self, paths: Iterable[str]) -> None:
        """Read these files; what was read before is replaced."""
        for path in paths:
            self.contents.pop(path, None)
            self.failures.pop(path, None)
            try:
                self.contents[path] = self.root.read(path)
            except ReadError as error:
                self.failures[path] = error

    def text(self, path: str) -> str | None:
        """Give a file as text; None where it could not be read.

        :raises ParseError: not UTF-8.
        """
        content = self.contents.get(path)
        return None if content is None else decode_text(content, self.root.shown(path))


def gather(root: Root, *, page_types: bool = True) -> Gathered:
    """Read everything a snapshot is made of. Files that are missing or refused are noted, not raised.

    :param page_types: also pagetypeinfo, for which the kernel holds each zone's lock while it counts.
    """
    gathered = Gathered(root)
    if root.live:
        _read_live_instant(gathered)
    else:
        gathered.read((*layout.INSTANT, *layout.SUBSTITUTES))
    gathered.read(path for path in layout.REST if page_types or path != layout.PAGETYPEINFO)
    gathered.read((*layout.node_paths(root), *layout.huge_page_paths(root)))
    settings = layout.sysctl_file_paths(root)
    gathered.links = {path: target for path in settings if (target := root.link_target(path)) is not None}
    gathered.read(path for path in settings if gathered.links.get(path) != "/dev/null")
    gathered.systemd = _boots_with_systemd(root, settings)
    return gathered


def _read_live_instant(gathered: Gathered) -> None:
    """Read zoneinfo before and after everything it must agree with; try again where something changed meanwhile.

    The second reading is kept: our own reading of lowmem_reserve_ratio has refreshed its protection.
    """
    reason = ""
    for _ in range(_ATTEMPTS):
        gathered.read(layout.INSTANT)
        first, knobs = _parse_zones(gathered), [gathered.contents.get(path) for path in _KNOBS]
        gathered.read((layout.ZONEINFO, *_KNOBS))
        gathered.nodes = _parse_zones(gathered)
        if knobs != [gathered.contents.get(path) for path in _KNOBS]:
            reason = "min_free_kbytes or watermark_scale_factor was written while this was read"
        elif first is None or gathered.nodes is None:
            return
        else:
            reason = _difference(first, gathered.nodes)
        if not reason:
            return
    gathered.torn.append(f"{reason} ({_ATTEMPTS} attempts)")


def _parse_zones(gathered: Gathered) -> tuple[Node, ...] | None:
    """Parse the zoneinfo just read; what is wrong with it is for the snapshot to say."""
    with contextlib.suppress(ParseError):
        text = gathered.text(layout.ZONEINFO)
        return parse_zoneinfo(text, gathered.root.shown(layout.ZONEINFO)) if text is not None else None
    return None


def _difference(first: tuple[Node, ...], second: tuple[Node, ...]) -> str:
    """Say what changed between two readings besides the pages that come and go; empty for nothing."""
    before = {(zone.node, zone.name): zone for node in first for zone in node.zones}
    after = {(zone.node, zone.name): zone for node in second for zone in node.zones}
    if before.keys() != after.keys():
        return "zones came or went while this was read"
    for key, zone in after.items():
        if _marks(before[key]) != _marks(zone):
            return f"watermarks or size of node {zone.node} zone {zone.name} changed while this was read"
    return ""


def _marks(zone: Zone) -> list[int | None]:
    """Give size and marks without the boost, which comes and goes."""
    boost = zone.boost_pages or 0
    values: list[int | None] = [getattr(zone, f"{name}_pages") for name in _MARKS]
    return [*values[:2], *(None if value is None else value - boost for value in values[2:])]


def _boots_with_systemd(root: Root, settings: tuple[str, ...]) -> bool | None:
    """Find out who applies the sysctl.d files: the folder by which systemd itself says that it runs."""
    if "system" in root.names("run/systemd"):
        return True
    if root.live:
        return False
    return True if any("sysctl.d/" in path for path in settings) else None
