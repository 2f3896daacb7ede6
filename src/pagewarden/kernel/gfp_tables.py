"""How each kernel generation numbers the bits of a GFP mask, what it calls them and what they mean.

A mask printed as bare hexadecimal (before 4.6) can only be read with the numbering of the kernel that printed it: bit
0x10 means "may sleep" until 4.3 and "reclaimable" since 4.4. Vendors that differ have rows of their own. Releases are
those in which a numbering was read, or the next one to them; see docs/design/0003-kernel-sources.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from pagewarden.errors import ModelError
from pagewarden.kernel.version import KernelVersion

Release = tuple[int, int, int]

SPELLED_AS_GFP = frozenset({"__GFP_DMA", "__GFP_DMA32"})
"""Single bits that the kernel prints without underscores: GFP_DMA, GFP_DMA32."""

PRINT_ORDER = (
    *("DMA", "HIGHMEM", "DMA32", "HIGH", "ATOMIC", "IO", "FS", "COLD", "NOWARN", "REPEAT", "RETRY_MAYFAIL", "NOFAIL"),
    *("NORETRY", "COMP", "ZERO", "NOMEMALLOC", "MEMALLOC", "HARDWALL", "THISNODE", "RECLAIMABLE", "MOVABLE"),
    *("ACCOUNT", "KMEMCG", "NOACCOUNT", "NOTRACK", "WRITE", "WAIT", "DIRECT_RECLAIM", "KSWAPD_RECLAIM", "NO_KSWAPD"),
    *("OTHER_NODE", "ZEROTAGS", "SKIP_ZERO", "SKIP_KASAN", "SKIP_KASAN_UNPOISON", "SKIP_KASAN_POISON", "NOLOCKDEP"),
    *("NO_GROW", "NORECLAIM"),
)
"""Single bits in the order the kernel prints them (include/trace/events/mmflags.h) until 6.13; then by number."""

COMPOSITE_ORDER = (
    *("GFP_TRANSHUGE", "GFP_TRANSHUGE_LIGHT", "GFP_HIGHUSER_MOVABLE", "GFP_HIGHUSER", "GFP_USER", "GFP_TEMPORARY"),
    *("GFP_KERNEL_ACCOUNT", "GFP_KERNEL", "GFP_NOFS", "GFP_ATOMIC", "GFP_NOIO", "GFP_NOWAIT"),
)
"""Named combinations in the order the kernel tries them: the most bits first."""

_RECLAIM = ("DIRECT_RECLAIM", "KSWAPD_RECLAIM")
_HUGE = ("COMP", "NOMEMALLOC", "NOWARN")


@dataclass(frozen=True, slots=True)
class Generation:
    """One numbering.

    :ivar name: family, G0 to G8 in the order of time, with a letter where families have variants.
    :ivar since: the first release; the next generation of the list tells the last.
    :ivar vendor: "el6" and so on, where only that vendor's kernels number so.
    :ivar bits: bit value -> name in the kernel's spelling.
    :ivar composites: name -> mask, in the order the kernel tries them.
    :ivar named: these kernels print the names beside the mask (4.6 and later).
    :ivar by_number: single bits are printed in the order of their numbers (6.14 and later).
    :ivar packed_from: bits from this value on are numbered by the kernel's configuration: only printed names tell.
    :ivar zone_bits_combine: several zone bits together have a meaning (the lowest wins), not only HIGHMEM with MOVABLE.
    """

    name: str
    since: Release
    bits: Mapping[int, str]
    composites: Mapping[str, int]
    vendor: str | None = None
    named: bool = False
    by_number: bool = False
    packed_from: int | None = None
    zone_bits_combine: bool = False

    @property
    def wait_bit(self) -> bool:
        """Whether one bit, __GFP_WAIT, says both that the caller may sleep and that it may reclaim (until 4.3)."""
        return "__GFP_WAIT" in self.bits.values()

    def bit(self, name: str) -> int:
        """Value of the single bit of that name; 0 where this generation has none."""
        return next((bit for bit, known in self.bits.items() if known == name), 0)


def generation_for(version: KernelVersion) -> Generation:
    """Find how a kernel numbers the bits of its masks.

    :raises ModelError: for kernels before 2.6, whose masks are not known here.
    """
    if not version.at_least(2, 6):
        raise ModelError(f"kernel {version}: GFP masks are known from 2.6 on")
    # Other vendors' builds for the same distribution keep mainline's numbering: only the vendor's own release counts.
    own = [g for g in GENERATIONS if g.vendor is not None and g.vendor == version.vendor]
    if own:
        return own[0]
    return [g for g in GENERATIONS if g.vendor is None and g.since <= version.numbers][-1]


def releases(generation: Generation) -> str:
    """Which kernels a generation covers, in words: "2.6.38 to 3.2", "el7", "since 6.14"."""
    if generation.vendor is not None:
        return generation.vendor
    mainline = [g for g in GENERATIONS if g.vendor is None]
    index = mainline.index(generation)
    start = release_text(generation.since)
    if index + 1 == len(mainline):
        return f"since {start}"
    last = release_text(_before(mainline[index + 1].since))
    return start if last == start else f"{start} to {last}"


def release_text(release: Release) -> str:
    """Write a release as people do: 2.6.32, 3.0, 6.12."""
    major, minor, patch = release
    return f"2.6.{patch}" if release < (3, 0, 0) else f"{major}.{minor}"


def _before(release: Release) -> Release:
    major, minor, patch = release
    if release < (3, 0, 0):
        return major, minor, patch - 1
    last_minor = {3: (2, 6, 39), 4: (3, 19, 0), 5: (4, 20, 0), 6: (5, 19, 0), 7: (6, 19, 0)}
    return (major, minor - 1, 0) if minor else last_minor[major]


def _numbered(text: str) -> dict[int, str]:
    """Read "1 DMA 2 HIGHMEM ..." (hexadecimal) into a table."""
    words = text.split()
    return {int(bit, 16): f"__GFP_{name}" for bit, name in zip(words[::2], words[1::2], strict=True)}


def _changed(base: Mapping[int, str], text: str = "", gone: str = "") -> dict[int, str]:
    """Another numbering with some bits given new names and some taken away."""
    lost = {f"__GFP_{name}" for name in gone.split()}
    return {bit: name for bit, name in base.items() if name not in lost} | _numbered(text)


def _composites(bits: Mapping[int, str], since: Release, vendor: str | None = None) -> dict[str, int]:
    """Compute the named combinations from the bits that make them up, as include/linux/gfp.h defines them."""
    value = {name.removeprefix("__GFP_"): bit for bit, name in bits.items()}

    def mask(*names: str) -> int:
        return sum(value.get(name, 0) for name in names)

    legacy = "WAIT" in value
    kswapd = mask("KSWAPD_RECLAIM")
    wait = mask("WAIT") if legacy else mask(*_RECLAIM)
    kernel = wait | mask("IO", "FS")
    user = kernel | (mask("HARDWALL") if since >= (2, 6, 13) else 0)
    highuser = user | mask("HIGHMEM")
    movable = highuser | mask("MOVABLE")
    if (5, 14, 0) <= since < (5, 18, 0):
        movable |= mask("SKIP_KASAN_POISON")
    found = {
        "GFP_KERNEL": kernel,
        "GFP_NOFS": wait | mask("IO"),
        "GFP_NOIO": wait,
        "GFP_USER": user,
        "GFP_HIGHUSER": highuser,
        "GFP_ATOMIC": mask("HIGH", "ATOMIC") | kswapd,
        "GFP_NOWAIT": kswapd | (mask("NOWARN") if since >= (6, 8, 0) else 0),
    }
    if mask("MOVABLE"):
        found["GFP_HIGHUSER_MOVABLE"] = movable
    if (2, 6, 24) <= since < (4, 14, 0) and vendor != "el8":
        found["GFP_TEMPORARY"] = kernel | mask("RECLAIMABLE")
    if since >= (4, 5, 0) or vendor == "el7":
        found["GFP_KERNEL_ACCOUNT"] = kernel | mask("ACCOUNT")
    if since >= (4, 8, 0):
        light = (movable & ~wait) | mask(*_HUGE)
        found |= {"GFP_TRANSHUGE_LIGHT": light, "GFP_TRANSHUGE": light | mask("DIRECT_RECLAIM")}
    elif since >= (2, 6, 38) or vendor == "el6":
        kept = wait if legacy else (mask("DIRECT_RECLAIM") if since < (4, 6, 0) else 0)
        found["GFP_TRANSHUGE"] = (movable & ~wait) | kept | mask(*_HUGE, "NORETRY", "NO_KSWAPD")
    if user == kernel:
        del found["GFP_USER"]
    return {name: found[name] for name in COMPOSITE_ORDER if name in found}


def _generation(name: str, since: Release, bits: Mapping[int, str], vendor: str | None = None) -> Generation:
    return Generation(
        name=name,
        since=since,
        bits=MappingProxyType(dict(sorted(bits.items()))),
        composites=MappingProxyType(_composites(bits, since, vendor)),
        vendor=vendor,
        named=since >= (4, 6, 0),
        by_number=since >= (6, 14, 0),
        packed_from=0x1000000 if since >= (6, 9, 0) else None,
        zone_bits_combine=since < (2, 6, 31),
    )


def _history() -> tuple[Generation, ...]:
    """All numberings in the order of time, vendors after the mainline release they are based on."""
    oldest = _numbered(
        "1 DMA 2 HIGHMEM 10 WAIT 20 HIGH 40 IO 80 FS 100 COLD 200 NOWARN 400 REPEAT 800 NOFAIL 1000 NORETRY"
        " 2000 NO_GROW 4000 COMP"
    )
    g0_zero = _changed(oldest, "8000 ZERO")
    g0_nomemalloc = _changed(g0_zero, "10000 NOMEMALLOC")
    g0_hardwall = _changed(g0_nomemalloc, "20000 NORECLAIM 40000 HARDWALL")
    g1 = _changed(g0_nomemalloc, "4 DMA32 20000 HARDWALL")
    g1_thisnode = _changed(g1, "40000 THISNODE")
    g2_movable = _changed(g1_thisnode, "80000 MOVABLE", "NO_GROW")
    g2 = _changed(g2_movable, "80000 RECLAIMABLE 100000 MOVABLE")
    g3 = _changed(g2, "8 MOVABLE 200000 NOTRACK", "MOVABLE")
    g4 = _changed(g3, "400000 NO_KSWAPD 800000 OTHER_NODE")
    g4_write = _changed(g4, "1000000 WRITE")
    g4_memalloc = _changed(g4_write, "2000 MEMALLOC")
    g5 = _changed(
        g4_memalloc,
        "10 RECLAIMABLE 80000 ATOMIC 100000 NOACCOUNT 400000 DIRECT_RECLAIM 2000000 KSWAPD_RECLAIM",
        "WAIT RECLAIMABLE NO_KSWAPD",
    )
    g5_account = _changed(g5, "100000 ACCOUNT")
    g6 = _changed(g5_account, "800000 WRITE 1000000 KSWAPD_RECLAIM", "OTHER_NODE WRITE KSWAPD_RECLAIM")
    g6_lockdep = _changed(g6, "2000000 NOLOCKDEP")
    g6_mayfail = _changed(g6_lockdep, "400 RETRY_MAYFAIL")
    g6_short = _changed(g6_mayfail, gone="COLD NOTRACK")
    g7 = _changed(
        g6_short,
        "100 WRITE 200000 DIRECT_RECLAIM 400000 KSWAPD_RECLAIM 800000 NOLOCKDEP",
        "WRITE DIRECT_RECLAIM KSWAPD_RECLAIM NOLOCKDEP",
    )
    g8 = _numbered(
        "1 DMA 2 HIGHMEM 4 DMA32 8 MOVABLE 10 RECLAIMABLE 20 HIGH 40 IO 80 FS 100 ZERO 200 ATOMIC 400 DIRECT_RECLAIM"
        " 800 KSWAPD_RECLAIM 1000 WRITE 2000 NOWARN 4000 RETRY_MAYFAIL 8000 NOFAIL 10000 NORETRY 20000 MEMALLOC"
        " 40000 COMP 80000 NOMEMALLOC 100000 HARDWALL 200000 THISNODE 400000 ACCOUNT 800000 NOLOCKDEP"
    )
    g8_tags = _changed(g8, "800000 ZEROTAGS 1000000 SKIP_KASAN_POISON 2000000 NOLOCKDEP", "NOLOCKDEP")
    g8_kasan = _changed(
        g8_tags,
        "1000000 SKIP_ZERO 2000000 SKIP_KASAN_UNPOISON 4000000 SKIP_KASAN_POISON 8000000 NOLOCKDEP",
        "SKIP_KASAN_POISON NOLOCKDEP",
    )
    g8_plain = _changed(g8_kasan, gone="ATOMIC")
    g8_merged = _changed(
        g8_plain,
        "1000000 SKIP_ZERO 2000000 SKIP_KASAN 4000000 NOLOCKDEP",
        "SKIP_KASAN_UNPOISON SKIP_KASAN_POISON NOLOCKDEP",
    )
    g8_packed = _changed(g8_merged, gone="SKIP_ZERO SKIP_KASAN NOLOCKDEP")
    return (
        _generation("G0", (2, 6, 0), oldest),
        _generation("G0b", (2, 6, 11), g0_zero),
        _generation("G0c", (2, 6, 12), g0_nomemalloc),
        _generation("G0d", (2, 6, 13), g0_hardwall),
        _generation("G0e", (2, 6, 15), _changed(g0_hardwall, "4 DMA32")),
        _generation("G1", (2, 6, 16), g1),
        _generation("G1b", (2, 6, 19), g1_thisnode),
        _generation("G2", (2, 6, 23), g2_movable),
        _generation("G2b", (2, 6, 24), g2),
        _generation("G3", (2, 6, 31), g3),
        _generation("G3-el6", (2, 6, 32), g4, "el6"),
        _generation("G4", (2, 6, 38), g4),
        _generation("G4b", (3, 3, 0), g4_write),
        _generation("G4c", (3, 6, 0), g4_memalloc),
        _generation("G4d", (3, 8, 0), _changed(g4_memalloc, "100000 KMEMCG")),
        _generation("G4-el7", (3, 10, 0), _changed(g4_memalloc, "100000 ACCOUNT"), "el7"),
        _generation("G4e", (3, 15, 0), g4_memalloc),
        _generation("G4f", (4, 1, 0), _changed(g4_memalloc, "100000 NOACCOUNT")),
        _generation("G5", (4, 4, 0), g5),
        _generation("G5b", (4, 5, 0), g5_account),
        _generation("G5c", (4, 6, 0), g5_account),
        _generation("G5d", (4, 8, 0), g5_account),
        _generation("G6", (4, 10, 0), g6),
        _generation("G6b", (4, 12, 0), g6_lockdep),
        _generation("G6c", (4, 13, 0), g6_mayfail),
        _generation("G6d", (4, 14, 0), g6_mayfail),
        _generation("G6e", (4, 15, 0), g6_short),
        _generation("G7", (4, 18, 0), g7),
        _generation("G8", (5, 1, 0), g8),
        _generation("G8b", (5, 14, 0), g8_tags),
        _generation("G8c", (5, 18, 0), g8_kasan),
        _generation("G8d", (6, 3, 0), g8_plain),
        _generation("G8e", (6, 4, 0), g8_merged),
        _generation("G8f", (6, 8, 0), g8_merged),
        _generation("G8g", (6, 9, 0), g8_packed),
        _generation("G8h", (6, 14, 0), g8_packed),
    )


GENERATIONS = _history()
"""Every numbering known, in the order of time."""

MEANINGS: Mapping[str, str] = MappingProxyType(
    {
        "__GFP_DMA": "from zone DMA only (old devices' reach)",
        "__GFP_HIGHMEM": "zone HighMem will do",
        "__GFP_DMA32": "from below 4 GiB only",
        "__GFP_MOVABLE": "the page can be moved later; with HIGHMEM, zone Movable will do",
        "__GFP_RECLAIMABLE": "the page can be given back under pressure (slab caches)",
        "__GFP_WAIT": "may sleep: reclaim memory itself and wait for it",
        "__GFP_HIGH": "urgent: may go down to half of the min mark",
        "__GFP_ATOMIC": "cannot sleep: may go a quarter further down",
        "__GFP_IO": "reclaim may start disk I/O",
        "__GFP_FS": "reclaim may call into file systems",
        "__GFP_COLD": "a page not in the processor's cache will do",
        "__GFP_NOWARN": "no report when it fails",
        "__GFP_REPEAT": "try harder, but may fail",
        "__GFP_RETRY_MAYFAIL": "try harder, but may fail",
        "__GFP_NOFAIL": "must not fail: try for ever",
        "__GFP_NORETRY": "one round of light reclaim, then give up",
        "__GFP_NO_GROW": "slab's own use",
        "__GFP_NORECLAIM": "do not reclaim in the zone first",
        "__GFP_MEMALLOC": "may use all reserves (freeing memory depends on it)",
        "__GFP_NOMEMALLOC": "must not use the emergency reserves",
        "__GFP_COMP": "a compound page (one object of several pages)",
        "__GFP_ZERO": "filled with zeroes",
        "__GFP_HARDWALL": "within the task's cpuset only",
        "__GFP_THISNODE": "from this NUMA node only, no fallback",
        "__GFP_ACCOUNT": "charged to the task's memory control group",
        "__GFP_KMEMCG": "charged to a memory control group",
        "__GFP_NOACCOUNT": "not charged to a memory control group",
        "__GFP_NOTRACK": "not tracked by kmemcheck",
        "__GFP_NO_KSWAPD": "does not wake kswapd",
        "__GFP_OTHER_NODE": "on behalf of another node (statistics)",
        "__GFP_WRITE": "about to be written to: spread dirty pages over zones",
        "__GFP_DIRECT_RECLAIM": "may sleep: reclaim memory itself and wait for it",
        "__GFP_KSWAPD_RECLAIM": "wakes kswapd when memory is low",
        "__GFP_ZEROTAGS": "memory tags zeroed too",
        "__GFP_SKIP_ZERO": "not zeroed again (memory tagging)",
        "__GFP_SKIP_KASAN": "no KASAN poisoning",
        "__GFP_SKIP_KASAN_UNPOISON": "no KASAN unpoisoning",
        "__GFP_SKIP_KASAN_POISON": "no KASAN poisoning when freed",
        "__GFP_NOLOCKDEP": "not checked by lockdep",
        "__GFP_NO_OBJ_EXT": "no object extensions (slab's own use)",
    }
)
"""Every single flag known -> what it says, in a few words."""
