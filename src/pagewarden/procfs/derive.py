"""Page size and architecture of a captured machine, from relations that hold on every kernel. Pure."""

import re
from collections.abc import Iterable, Mapping

from pagewarden.procfs.types import Zone

PAGE_SIZES = (4096, 8192, 16384, 65536)

# `uname -m` and what distributions call it in the names of their kernels.
_ARCHES = (
    (r"x86_64|amd64", "x86_64"),
    (r"aarch64|arm64", "aarch64"),
    (r"ppc64le|ppc64el|powerpc64le", "ppc64le"),
    (r"ppc64|powerpc64", "ppc64"),
    (r"s390x", "s390x"),
    (r"riscv64", "riscv64"),
    (r"loong(?:arch|son)?64|loongarch64", "loongarch64"),
    (r"mips64(?:el)?(?:r6(?:el)?)?", "mips64"),
    (r"armv[5-8]l?|armhf|armmp|armel", "armv7l"),
    (r"i[3-6]86|[56]86(?:-pae)?", "i686"),
)


def page_size_from_facts(
    zones: Iterable[Zone],
    meminfo_kb: Mapping[str, int] | None,
    vmstat: Mapping[str, int] | None,
    min_free_kbytes: int | None,
) -> int | None:
    """Derive the page size from a quantity that is printed in kB in one file and in pages in another.

    MemTotal against the managed (before 3.8: present) pages; min_free_kbytes against the sum of the min watermarks that
    were computed from it; MemFree against nr_free_pages.

    :return: None where nothing to compare was captured, or the two do not fit any page size (files of two machines).
    """
    zones = tuple(zones)
    fields, counters = meminfo_kb or {}, vmstat or {}
    managed = [zone.managed_pages for zone in zones if zone.managed_pages is not None]
    present = sum(zone.present_pages for zone in zones)
    own = [zone for zone in zones if zone.name not in ("HighMem", "Movable", "Device")]
    marks = sum(zone.min_pages - (zone.boost_pages or 0) for zone in own)
    if managed:
        guess = _fitting_size(fields.get("MemTotal"), sum(managed), 0.97, 1.03)
    else:
        guess = _fitting_size(fields.get("MemTotal"), present, 0.6, 1.05)
    guess = guess or _fitting_size(min_free_kbytes, marks, 0.9, 1.25)
    guess = guess or _fitting_size(fields.get("MemFree"), counters.get("nr_free_pages"), 0.75, 1.3)
    # Only sparc64 and alpha use 8 KiB, and they have no DMA32: such a fit is chance.
    return None if guess == 8192 and any(zone.name == "DMA32" for zone in zones) else guess


def _fitting_size(kb: int | None, pages: int | None, lowest: float, highest: float) -> int | None:
    """Give the page size for which `kb` is `pages` within these factors; they are narrower than two page sizes are."""
    if not kb or not pages:
        return None
    return next((size for size in PAGE_SIZES if lowest <= kb * 1024 / (pages * size) <= highest), None)


def is_part_of(zones: Iterable[Zone], meminfo_kb: Mapping[str, int]) -> bool:
    """Whether meminfo counts less than half of what the zones hold, whatever the page size.

    In a container LXCFS and gVisor show the group's limit as MemTotal; zoneinfo nobody virtualises. But balloons before
    3.11, and that of powerpc for longer, take their pages from MemTotal and not from the zones: there what is free is
    the same in both.

    Kernel: drivers/xen/balloon.c:balloon_append(), arch/powerpc/platforms/pseries/cmm.c
    """
    zones = tuple(zones)
    managed = sum(zone.managed_pages or 0 for zone in zones)
    total_kb = meminfo_kb.get("MemTotal")
    if total_kb is None or total_kb * 2 >= managed * PAGE_SIZES[0] // 1024:
        return False
    return _fitting_size(meminfo_kb.get("MemFree"), sum(zone.free_pages for zone in zones), 0.9, 1.1) is None


def usual_page_size(arch: str | None) -> int:
    """Give the page size that nearly all machines of an architecture use."""
    return 65536 if arch is not None and arch.startswith("ppc64") else 4096


def arch_from_facts(
    release: str | None, banner: str | None, zones: Iterable[Zone], meminfo_kb: Mapping[str, int] | None
) -> str | None:
    """Derive what `uname -m` would say, from the kernel's name or from what only one architecture prints.

    :return: None where nothing tells.
    """
    for text in (release or "", banner or ""):
        for pattern, arch in _ARCHES:
            if re.search(rf"(?<![A-Za-z0-9])(?:{pattern})(?![A-Za-z0-9])", text):
                return arch
    names = {zone.name for zone in zones}
    direct_map = {field for field in meminfo_kb or {} if field.startswith("DirectMap")}
    if "HighMem" in names and direct_map:
        return "i686"
    return "x86_64" if "DMA32" in names and "DirectMap2M" in direct_map else None
