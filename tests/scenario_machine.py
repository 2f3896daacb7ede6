"""The machine of a scenario: a folder of tests/data, or zones described in a few lines (tests/scenarios/README.md)."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from pagewarden.kernel.defaults import default_min_free
from pagewarden.kernel.fit import predict_protection
from pagewarden.kernel.lowmem_reserve import default_ratio
from pagewarden.kernel.machine import EXTRA_FREE, MIN_FREE, RATIO, RECLAIM_MODE, SCALE_FACTOR, machine_of
from pagewarden.kernel.rules import KernelRules, rules_for
from pagewarden.kernel.version import KernelVersion, parse_version
from pagewarden.kernel.watermarks import setup_per_zone_wmarks
from pagewarden.procfs.snapshot import read_snapshot
from pagewarden.procfs.types import HugePages, Node, Snapshot, SysctlAssignment, Zone

DATA = Path(__file__).parent / "data"
SIZE = re.compile(r"(\d+(?:\.\d+)?) (kB|MiB|GiB)")
UNITS = {"kB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}

MACHINE_KEYS = frozenset(
    {"like", "kernel", "arch", "page_size", "host", "uptime_seconds", "huge_pages", "huge_page_size", "layout"}
    | {"zones", "settings", "set_by", "use", "distances", "taken_at", "torn"}
)
ZONE_KEYS = frozenset({"node", "zone", "size", "free", "marks", "protection", "size_at_boot", "boost"})


def pages(text: str | int, page_size: int) -> int:
    """A number of pages: plain, or "15 MiB", "2.5 GiB", "512 kB"."""
    if isinstance(text, int):
        return text
    match = SIZE.fullmatch(text)
    if match is None:
        raise ValueError(f'{text!r}: expected a number of pages or a size such as "15 MiB"')
    return int(float(match[1]) * UNITS[match[2]]) // page_size


def part(text: str | int, whole: int, page_size: int) -> int:
    """The same, or a share of something: "30 %"."""
    if isinstance(text, str) and text.endswith(" %"):
        return int(float(text[:-2]) * whole / 100)
    return pages(text, page_size)


def refuse_unknown(table: Mapping[str, Any], known: frozenset[str], where: str) -> None:
    """A misspelt key must not pass in silence."""
    if unknown := sorted(table.keys() - known):
        raise ValueError(f"{where}: {', '.join(unknown)} not known; expected one of {', '.join(sorted(known))}")


def make_machine(table: Mapping[str, Any]) -> Snapshot:
    """The snapshot of `[machine]`."""
    refuse_unknown(table, MACHINE_KEYS, "[machine]")
    snapshot = read_snapshot(str(DATA / table["like"])) if "like" in table else _described(table)
    settings = {key: str(value) for key, value in table.get("settings", {}).items()}
    return replace(
        snapshot,
        host=table.get("host", snapshot.host),
        uptime_seconds=float(table.get("uptime_seconds", snapshot.uptime_seconds or 864000.0)),
        taken_at=table.get("taken_at", snapshot.taken_at),
        sysctls={**snapshot.sysctls, **settings},
        assignments=snapshot.assignments or _assignments(table.get("set_by", {}), snapshot),
        torn=tuple(table.get("torn", snapshot.torn)),
    )


def time_taken(snapshot: Snapshot) -> datetime | None:
    """When it was taken."""
    return None if snapshot.taken_at is None else datetime.fromisoformat(snapshot.taken_at)


def version_of(release: str) -> KernelVersion:
    """The version that a release names."""
    version = parse_version(release)
    assert version is not None, release
    return version


def layout_of(arch: str, version: KernelVersion) -> tuple[str, ...]:
    """The zones a kernel is usually built with."""
    if arch in ("x86_64", "ppc64le", "s390x"):
        names = ["DMA", "DMA32", "Normal"] if arch == "x86_64" else ["Normal"]
        names += ["HighMem"] if not version.at_least(2, 6, 19) else []
    elif arch in ("i386", "i686"):
        names = ["DMA", "Normal", "HighMem"]
    elif arch == "arm64":
        names = ["DMA", "DMA32", "Normal"] if version.at_least(5, 5) else ["DMA", "Normal"]
    else:
        names = ["Normal"]
    names += ["Movable"] if version.at_least(2, 6, 23) else []
    return (*names, "Device") if arch in ("x86_64", "ppc64le") and version.at_least(4, 5) else tuple(names)


def _described(table: Mapping[str, Any]) -> Snapshot:
    arch, page_size = table.get("arch", "x86_64"), table.get("page_size", 4096)
    version = version_of(table["kernel"])
    layout = tuple(table.get("layout", layout_of(arch, version)))
    zones = _zones(table["zones"], layout, version, page_size)
    huge = table.get("huge_pages")
    size = pages(table.get("huge_page_size", page_size // 8), page_size) * page_size
    snapshot = Snapshot(
        source="a scenario",
        live=False,
        kernel=table["kernel"],
        banner=None,
        arch=arch,
        page_size=page_size,
        page_size_assumed=False,
        nodes=_nodes(zones),
        sysctls={},
        huge_pages=None if huge is None else HugePages(huge, pmd_size_bytes=size),
        vmstat=_use(table.get("use"), page_size),
        distances=None if "distances" not in table else {i: tuple(row) for i, row in enumerate(table["distances"])},
    )
    settings = {key: str(value) for key, value in table.get("settings", {}).items()}
    return _with_marks(snapshot, table, layout, rules_for(version), settings)


def _zones(
    entries: Sequence[Mapping[str, Any]], layout: Sequence[str], version: KernelVersion, page_size: int
) -> list[Zone]:
    given: dict[tuple[int, str], Mapping[str, Any]] = {}
    for entry in entries:
        refuse_unknown(entry, ZONE_KEYS, "[machine] zones")
        if entry["zone"] not in layout:
            raise ValueError(f"[machine] zones: {entry['zone']} is none of this kernel's zones {', '.join(layout)}")
        given[entry.get("node", 0), entry["zone"]] = entry
    found = []
    for node in sorted({node for node, _ in given}):
        for name in layout:
            entry = given.get((node, name), {"size": 0})
            if entry["size"] or version.at_least(4, 12):  # kernels before print populated zones only
                found.append(_zone(entry, node, name, version, page_size))
    return found


def _zone(entry: Mapping[str, Any], node: int, name: str, version: KernelVersion, page_size: int) -> Zone:
    size = pages(entry["size"], page_size)
    return Zone(
        node=node,
        name=name,
        free_pages=part(entry.get("free", "30 %"), size, page_size),
        min_pages=0,
        low_pages=0,
        high_pages=0,
        boost_pages=entry.get("boost", 0) if version.at_least(5, 16) else None,
        spanned_pages=size,
        present_pages=size,
        managed_pages=size if version.at_least(3, 8) else None,
    )


def _nodes(zones: Sequence[Zone]) -> tuple[Node, ...]:
    numbers = sorted({zone.node for zone in zones})
    return tuple(Node(number, tuple(zone for zone in zones if zone.node == number)) for number in numbers)


def _use(use: Mapping[str, Any] | None, page_size: int) -> dict[str, int] | None:
    """What memory is used for, as /proc/vmstat counts it."""
    if use is None:
        return None
    refuse_unknown(use, frozenset({"page_cache", "slab"}), "[machine] use")
    cache = pages(use.get("page_cache", 0), page_size)
    return {
        "nr_active_file": cache // 2,
        "nr_inactive_file": cache - cache // 2,
        "nr_slab_reclaimable": pages(use.get("slab", 0), page_size),
    }


def _with_marks(
    snapshot: Snapshot, table: Mapping[str, Any], layout: Sequence[str], rules: KernelRules, settings: dict[str, str]
) -> Snapshot:
    """Marks, reserves and settings as the kernel gives them at boot, unless the scenario says otherwise."""
    version = version_of(table["kernel"])
    bare = replace(machine_of(replace(snapshot, sysctls={})), rules=rules)
    defaults = {MIN_FREE: str(default_min_free(bare).effective_kb), RECLAIM_MODE: "0"}
    defaults[RATIO] = " ".join(map(str, default_ratio(layout, rules.reserve)))
    defaults |= {SCALE_FACTOR: "10"} if version.at_least(4, 6) else {}
    defaults |= {"vm.watermark_boost_factor": "15000"} if version.at_least(5, 0) else {}
    defaults |= {"vm.compaction_proactiveness": "20"} if version.at_least(5, 9) else {}
    defaults |= {"vm.vfs_cache_pressure": "100"}
    if len(snapshot.nodes) == 1 and RECLAIM_MODE not in settings:
        del defaults[RECLAIM_MODE]
    sysctls = defaults | settings
    entries = {(e.get("node", 0), e["zone"]): e for e in table["zones"]}
    boot = [_at_boot(zone, entries.get((zone.node, zone.name), {}), snapshot.page_size) for zone in snapshot.zones]
    scale, extra = sysctls.get(SCALE_FACTOR), sysctls.get(EXTRA_FREE)
    marks = setup_per_zone_wmarks(
        boot,
        int(sysctls[MIN_FREE]),
        None if scale is None else int(scale),
        rules.watermarks,
        snapshot.page_size,
        None if extra is None else int(extra),
    )
    ratio = tuple(map(int, sysctls[RATIO].split()))
    reserves = predict_protection(_nodes(boot), layout, ratio, rules.reserve)
    zones = []
    for zone, mark in zip(snapshot.zones, marks, strict=True):
        entry = entries.get((zone.node, zone.name), {})
        three = entry.get("marks", (mark.min_pages, mark.low_pages, mark.high_pages))
        boost = zone.boost_pages or 0
        promo = mark.promo_pages if version.at_least(6, 12) else None
        zones.append(
            replace(
                zone,
                min_pages=three[0] + boost,
                low_pages=three[1] + boost,
                high_pages=three[2] + boost,
                promo_pages=None if promo is None else promo + boost,
                protection_pages=tuple(entry.get("protection", reserves[zone.node, zone.name])),
            )
        )
    return replace(snapshot, sysctls=sysctls, nodes=_nodes(zones))


def _at_boot(zone: Zone, entry: Mapping[str, Any], page_size: int) -> Zone:
    if "size_at_boot" not in entry:
        return zone
    size = pages(entry["size_at_boot"], page_size)
    return replace(zone, present_pages=size, managed_pages=None if zone.managed_pages is None else size)


def _assignments(set_by: Mapping[str, str], snapshot: Snapshot) -> tuple[SysctlAssignment, ...]:
    return tuple(
        SysctlAssignment(key, snapshot.sysctls.get(key, ""), path, number)
        for number, (key, path) in enumerate(set_by.items(), 1)
    )
