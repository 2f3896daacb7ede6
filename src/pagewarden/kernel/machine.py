"""The state of one machine that the formulas work on, taken from a snapshot."""

from collections.abc import Mapping
from dataclasses import dataclass

from pagewarden.errors import ModelError
from pagewarden.kernel.fit import Fit, Settings, find_fit, printed_marks
from pagewarden.kernel.min_free import huge_pages_want_reserve
from pagewarden.kernel.rules import KernelRules, rules_for
from pagewarden.kernel.version import KernelVersion, parse_version
from pagewarden.kernel.watermarks import Marks
from pagewarden.procfs.types import HugePages, Node, Snapshot, Zone

MIN_FREE = "vm.min_free_kbytes"
SCALE_FACTOR = "vm.watermark_scale_factor"
RATIO = "vm.lowmem_reserve_ratio"
EXTRA_FREE = "vm.extra_free_kbytes"
RECLAIM_MODE = "vm.zone_reclaim_mode"
HUGE_SWITCH = "transparent_hugepage"

NEWEST = (7, 2, 0)
"""Taken where the release is not known."""

_PAGEBLOCK_PAGES = {("ppc64", 65536): 32, ("s390x", 4096): 256}


@dataclass(frozen=True, slots=True)
class Machine:
    """Facts and rules of one machine, ready for the formulas.

    :ivar marks: per zone as printed, boost included, in the order of `zones`.
    :ivar pageblock_pages: pages of a page block, and whether that was read or taken from the architecture.
    """

    version: KernelVersion | None
    rules: KernelRules
    page_size: int
    nodes: tuple[Node, ...]
    fit: Fit
    sysctls: Mapping[str, str]
    huge_pages: HugePages | None
    pageblock_pages: int
    pageblock_read: bool

    @property
    def zones(self) -> tuple[Zone, ...]:
        """All zones of all nodes, in the order the kernel prints them."""
        return tuple(zone for node in self.nodes for zone in node.zones)

    @property
    def marks(self) -> tuple[Marks, ...]:
        """Each zone's marks as printed, boost included."""
        return tuple(printed_marks(zone) for zone in self.zones)

    @property
    def version_numbers(self) -> tuple[int, int, int]:
        """The release's numbers, the newest read where there is none."""
        return self.version.numbers if self.version else NEWEST

    @property
    def huge_pages_on(self) -> bool:
        """Whether khugepaged asks for its reserve now."""
        return (
            self.rules.min_free.huge_pages
            and self.huge_pages is not None
            and huge_pages_want_reserve(self.huge_pages, self.version_numbers)
        )


def machine_of(snapshot: Snapshot) -> Machine:
    """Take a machine's state from a snapshot, with the variants that fit it.

    :raises ModelError: where the snapshot has no zones or a setting is not what this kernel prints.
    """
    if not snapshot.nodes:
        raise ModelError(f"{snapshot.source}: no zones: proc/zoneinfo is needed for this")
    version = parse_version(snapshot.banner or snapshot.kernel or "")
    guess = rules_for(version or _oldest_with_format(snapshot))
    settings = Settings(
        min_free_kbytes=_integer(snapshot, MIN_FREE),
        watermark_scale_factor=_integer(snapshot, SCALE_FACTOR),
        lowmem_reserve_ratio=_integers(snapshot, RATIO),
        extra_free_kbytes=_integer(snapshot, EXTRA_FREE),
    )
    fit = find_fit(snapshot.nodes, settings, guess, snapshot.page_size)
    pageblock, read = _pageblock_pages(snapshot)
    return Machine(
        version=version,
        rules=fit.rules,
        page_size=snapshot.page_size,
        nodes=snapshot.nodes,
        fit=fit,
        sysctls=snapshot.sysctls,
        huge_pages=snapshot.huge_pages,
        pageblock_pages=pageblock,
        pageblock_read=read,
    )


def inferred_settings(machine: Machine) -> dict[str, int]:
    """Settings that were not captured and follow from the marks: key -> value."""
    fit = machine.fit
    told = {
        MIN_FREE: fit.min_free_kbytes,
        SCALE_FACTOR: fit.watermark_scale_factor,
        EXTRA_FREE: fit.extra_free_kbytes,
    }
    return {key: value for key, value in told.items() if value is not None and key not in machine.sysctls}


def _oldest_with_format(snapshot: Snapshot) -> KernelVersion:
    """Where no release is captured: the oldest release (in which it was read) that prints what this one prints."""
    zones = snapshot.zones
    signs = (
        (any(zone.promo_pages is not None for zone in zones), (6, 12, 0)),
        (any(zone.boost_pages is not None for zone in zones), (6, 1, 0)),
        (any(zone.cma_pages is not None for zone in zones), (5, 12, 0)),
        ("vm.watermark_boost_factor" in snapshot.sysctls, (5, 0, 0)),
        (_ratio_is_full_length(snapshot), (4, 18, 0)),
        (SCALE_FACTOR in snapshot.sysctls or any(node.counters for node in snapshot.nodes), (4, 8, 0)),
        (any(zone.managed_pages is not None for zone in zones), (3, 10, 0)),
    )
    numbers = next((numbers for seen, numbers in signs if seen), (2, 6, 32))
    return KernelVersion("not captured", numbers)


def _ratio_is_full_length(snapshot: Snapshot) -> bool:
    # Since 4.17 the topmost zone has an entry as well.
    width = max((len(zone.protection_pages or ()) for zone in snapshot.zones), default=0)
    return width > 0 and len(snapshot.sysctls.get(RATIO, "").split()) == width


def _integers(snapshot: Snapshot, key: str) -> tuple[int, ...] | None:
    text = snapshot.sysctls.get(key)
    if text is None:
        return None
    try:
        return tuple(int(word) for word in text.split())
    except ValueError:
        raise ModelError(f"{snapshot.source}: {key}: expected integers, found '{text[:60]}'") from None


def _integer(snapshot: Snapshot, key: str) -> int | None:
    values = _integers(snapshot, key)
    if values is None:
        return None
    if len(values) != 1:
        raise ModelError(f"{snapshot.source}: {key}: expected one integer, found '{snapshot.sysctls[key][:60]}'")
    return values[0]


def _pageblock_pages(snapshot: Snapshot) -> tuple[int, bool]:
    # Read where possible; else the size of a huge page, which is what a page block is on kernels with hugetlbfs.
    if snapshot.pagetypes is not None:
        return snapshot.pagetypes.pageblock_pages, True
    if snapshot.huge_pages is not None and snapshot.huge_pages.pmd_size_bytes:
        return snapshot.huge_pages.pmd_size_bytes // snapshot.page_size, True
    if snapshot.arch is not None:
        for (arch, page_size), pages in _PAGEBLOCK_PAGES.items():
            if snapshot.arch.startswith(arch) and snapshot.page_size == page_size:
                return pages, False
    # A table page of eight-byte entries maps this many pages (4-byte entries on 32-bit x86 without PAE: 1024).
    return snapshot.page_size // 8, False
