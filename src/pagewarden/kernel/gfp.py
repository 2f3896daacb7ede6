"""GFP masks: what a caller of the page allocator asked for and what it allows the allocator to do.

A mask is read with the numbering of one kernel generation (`gfp_tables`); printed names are read as they are. Either
way the result is `GfpFlags`, which no longer depends on any numbering.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from pagewarden.kernel.gfp_tables import (
    COMPOSITE_ORDER,
    GENERATIONS,
    MEANINGS,
    PRINT_ORDER,
    SPELLED_AS_GFP,
    Generation,
)

_RANK = {f"__GFP_{name}": rank for rank, name in enumerate(PRINT_ORDER)}
_HEX = re.compile(r"0[xX][0-9a-fA-F]+\Z")

_MODERN = GENERATIONS[-1]


def _bit_names(mask: int, generation: Generation) -> frozenset[str]:
    return frozenset(name for bit, name in generation.bits.items() if mask & bit)


def _expansions(generation: Generation) -> dict[str, frozenset[str]]:
    found = {name: _bit_names(mask, generation) for name, mask in generation.composites.items()}
    reclaim = {"__GFP_WAIT"} if generation.wait_bit else {"__GFP_DIRECT_RECLAIM", "__GFP_KSWAPD_RECLAIM"}
    return found | {"__GFP_RECLAIM": frozenset(reclaim)}


# What a combination means where the kernel that printed it is not known: as of the latest kernel, and what only earlier
# ones had. GFP_ATOMIC: the bit ATOMIC was part of it until 6.2, and later kernels do not look at it.
_EXPANSIONS: Mapping[str, frozenset[str]] = MappingProxyType(
    _expansions(_MODERN)
    | {
        "GFP_ATOMIC": frozenset({"__GFP_HIGH", "__GFP_ATOMIC", "__GFP_KSWAPD_RECLAIM"}),
        "GFP_NOWAIT": frozenset({"__GFP_KSWAPD_RECLAIM"}),
        "GFP_TEMPORARY": _bit_names(_MODERN.composites["GFP_KERNEL"], _MODERN) | {"__GFP_RECLAIMABLE"},
        "GFP_IOFS": frozenset({"__GFP_IO", "__GFP_FS"}),
    }
)


_TAGGED = frozenset({"GFP_HIGHUSER_MOVABLE", "GFP_TRANSHUGE", "GFP_TRANSHUGE_LIGHT"})
_CONFIGURED_BITS = 0xFF000000


@dataclass(frozen=True, slots=True)
class GfpFlags:
    """What a request says, whatever the numbering.

    :ivar flags: every single flag that is set, in the kernel's spelling ("__GFP_HIGH").
    :ivar zone: the highest zone the request may use: "DMA", "DMA32", "Normal", "HighMem" or "Movable"; None where the
        zone bits are a combination that the kernel calls invalid.
    :ivar can_direct_reclaim: it may sleep, reclaim memory itself and wait (__GFP_WAIT until 4.3).
    :ivar wakes_kswapd: it wakes kswapd when it finds a zone below its low mark.
    :ivar unknown_bits: bits of the mask that have no name in its generation.
    :ivar unknown_names: printed names that are not known here.
    :ivar disagreement: where both a mask and names were given and the names do not make up the mask: how, in words.
    """

    flags: frozenset[str]
    zone: str | None
    can_direct_reclaim: bool
    wakes_kswapd: bool
    unknown_bits: int = 0
    unknown_names: tuple[str, ...] = ()
    disagreement: str | None = None

    def has(self, name: str) -> bool:
        """Whether the single flag `__GFP_<name>` is set."""
        return f"__GFP_{name}" in self.flags

    @property
    def high(self) -> bool:
        """Urgent: may use part of what is below the min mark."""
        return self.has("HIGH")

    @property
    def atomic(self) -> bool:
        """The bit __GFP_ATOMIC of 4.4 to 6.2. Kernels before and after tell it from other bits."""
        return self.has("ATOMIC")

    @property
    def memalloc(self) -> bool:
        """May use all reserves."""
        return self.has("MEMALLOC")

    @property
    def nomemalloc(self) -> bool:
        """Must not use the emergency reserves; takes precedence over `memalloc`."""
        return self.has("NOMEMALLOC")

    @property
    def movable(self) -> bool:
        """The page can be moved. With `reclaimable` it is the latter that decides the migrate type."""
        return self.has("MOVABLE")

    @property
    def reclaimable(self) -> bool:
        """The page belongs to a cache that shrinks under pressure."""
        return self.has("RECLAIMABLE")

    @property
    def thisnode(self) -> bool:
        """No other NUMA node will do."""
        return self.has("THISNODE")

    @property
    def hardwall(self) -> bool:
        """Confined to the task's cpuset."""
        return self.has("HARDWALL")

    @property
    def nowarn(self) -> bool:
        """No report when it fails."""
        return self.has("NOWARN")

    @property
    def noretry(self) -> bool:
        """Gives up after one round of reclaim."""
        return self.has("NORETRY")

    @property
    def retry_mayfail(self) -> bool:
        """Tries harder, but may fail (__GFP_REPEAT until 4.12)."""
        return self.has("RETRY_MAYFAIL") or self.has("REPEAT")

    @property
    def nofail(self) -> bool:
        """Never fails: tries for ever."""
        return self.has("NOFAIL")

    @property
    def comp(self) -> bool:
        """A compound page."""
        return self.has("COMP")

    @property
    def zero(self) -> bool:
        """Filled with zeroes."""
        return self.has("ZERO")

    @property
    def io(self) -> bool:
        """Reclaim may start I/O."""
        return self.has("IO")

    @property
    def fs(self) -> bool:
        """Reclaim may call into file systems."""
        return self.has("FS")

    @property
    def account(self) -> bool:
        """Charged to the task's memory control group."""
        return self.has("ACCOUNT") or self.has("KMEMCG")

    @property
    def write(self) -> bool:
        """The page is about to be dirtied."""
        return self.has("WRITE")

    @property
    def no_kswapd(self) -> bool:
        """The bit __GFP_NO_KSWAPD of 2.6.38 to 4.3."""
        return self.has("NO_KSWAPD")

    @property
    def migrate_type(self) -> str:
        """Letter of the free lists the request is served from first: "M", "E" (reclaimable) or "U"."""
        if self.reclaimable:
            return "E"
        return "M" if self.movable else "U"


def decode_bits(mask: int, generation: Generation) -> tuple[tuple[str, ...], int]:
    """Name the single bits of a mask, in the order the kernel prints them.

    :return: the names in the kernel's spelling, and the bits that have none.
    """
    bits = [(bit, name) for bit, name in generation.bits.items() if mask & bit]
    if not generation.by_number:
        bits.sort(key=lambda item: _RANK[item[1]])
    return tuple(name for _, name in bits), mask & ~sum(bit for bit, _ in bits)


def format_mask(mask: int, generation: Generation) -> str:
    """Write a mask as kernels since 4.6 do: combinations first, then single bits, then what is left in hexadecimal.

    An empty mask is "" as `%pGg` prints it; with the numberings of 4.3 and before, where GFP_NOWAIT was 0, it is that
    name, as those kernels' trace points print it.

    Kernel: lib/vsprintf.c:format_flags(), include/trace/events/mmflags.h
    """
    if mask == 0:
        return "GFP_NOWAIT" if generation.wait_bit else ""
    parts, rest = [], mask
    for name, value in generation.composites.items():
        # A caller that may wait is not GFP_ATOMIC, although until 4.3 that name stood for the bit HIGH alone.
        atomic_waits = name == "GFP_ATOMIC" and generation.wait_bit and mask & generation.bit("__GFP_WAIT")
        if value and rest & value == value and not atomic_waits:
            parts.append(name)
            rest &= ~value
    singles, unknown = decode_bits(rest, generation)
    if generation.by_number:
        singles = tuple(sorted(singles, key=lambda name: name not in SPELLED_AS_GFP))
    parts += [name.removeprefix("__") if name in SPELLED_AS_GFP else name for name in singles]
    if unknown:
        parts.append(f"{unknown:#x}")
    return "|".join(parts)


def parse_names(text: str) -> tuple[str, ...]:
    """Split what a kernel prints in the brackets behind a mask: names, and perhaps a hexadecimal rest.

    Anything is accepted; words that are no names are kept as they are and found unknown later.
    """
    words = [word.strip() for word in text.strip().removeprefix("(").removesuffix(")").split("|")]
    return tuple(word for word in words if word and word != "none")


def flags_from_mask(mask: int, generation: Generation) -> GfpFlags:
    """Read a mask with the numbering of a generation."""
    flags = _bit_names(mask, generation)
    unknown = mask & ~sum(generation.bits)
    return _flags(flags, generation, unknown_bits=unknown)


def flags_from_names(names: Iterable[str], mask: int | None = None, generation: Generation | None = None) -> GfpFlags:
    """Read printed names; they are trusted, whatever the mask beside them would say.

    :param mask: as printed, to check the names against.
    :param generation: that of the kernel, if it is known: a combination then means what it meant there.
    """
    words = tuple(names)
    flags, unknown, rest = _single_flags(words, generation)
    disagreement = None if mask is None else _disagreement(words, mask, generation)
    return _flags(flags, generation, rest, unknown, disagreement)


def encode_names(names: Iterable[str], generation: Generation) -> int | None:
    """Compute the mask that names stand for in a generation; None where it does not have one of them."""
    mask = 0
    for name in names:
        if _HEX.match(name):
            mask |= int(name, 16)
        elif name in generation.composites:
            mask |= generation.composites[name]
        elif name == "__GFP_RECLAIM":
            mask |= sum(generation.bit(part) for part in _expansions(generation)[name])
        elif bit := generation.bit(_single(name)):
            mask |= bit
        else:
            return None
    return mask


def _flags(
    flags: frozenset[str],
    generation: Generation | None,
    unknown_bits: int = 0,
    unknown_names: tuple[str, ...] = (),
    disagreement: str | None = None,
) -> GfpFlags:
    # Until 4.3 every caller wakes kswapd unless it says otherwise; names alone tell such kernels by their old flags.
    old = generation.wait_bit if generation else not flags.isdisjoint({"__GFP_WAIT", "__GFP_NO_KSWAPD"})
    return GfpFlags(
        flags=flags,
        zone=_zone(flags, combine=generation is not None and generation.zone_bits_combine),
        can_direct_reclaim=bool(flags & {"__GFP_WAIT", "__GFP_DIRECT_RECLAIM"}),
        wakes_kswapd="__GFP_NO_KSWAPD" not in flags if old else "__GFP_KSWAPD_RECLAIM" in flags,
        unknown_bits=unknown_bits,
        unknown_names=unknown_names,
        disagreement=disagreement,
    )


def _zone(flags: frozenset[str], combine: bool) -> str | None:
    """Twin of `gfp_zone()`: the highest zone a request may use.

    Since 2.6.31 it is a table in which most combinations are errors; before, the lowest zone named won.
    """
    movable, highmem = "__GFP_MOVABLE" in flags, "__GFP_HIGHMEM" in flags
    named = [zone for zone in ("DMA", "DMA32") if f"__GFP_{zone}" in flags]
    if named and (len(named) == 2 or highmem) and not combine:
        return None
    if named:
        return named[0]
    if highmem:
        return "Movable" if movable else "HighMem"
    return "Normal"


def _single(name: str) -> str:
    """The single flag a printed word names: GFP_DMA and the spellings of old trace points included."""
    if name.startswith("GFP_") and f"__{name}" in MEANINGS and name not in COMPOSITE_ORDER:
        return f"__{name}"
    return name


def _single_flags(words: tuple[str, ...], generation: Generation | None) -> tuple[frozenset[str], tuple[str, ...], int]:
    """Resolve printed words into single flags, words not known, and bits without a name."""
    expansions = dict(_EXPANSIONS) if generation is None else {**_EXPANSIONS, **_expansions(generation)}
    flags: set[str] = set()
    unknown: list[str] = []
    rest = 0
    for word in words:
        if word in expansions:
            flags |= expansions[word]
        elif _single(word) in MEANINGS:
            flags.add(_single(word))
        elif _HEX.match(word):
            rest |= int(word, 16)
        else:
            unknown.append(word)
    if generation is not None and generation.packed_from is None and rest:
        flags |= _bit_names(rest, generation)
        rest &= ~sum(generation.bits)
    return frozenset(flags), tuple(unknown), rest


def _disagreement(words: tuple[str, ...], mask: int, generation: Generation | None) -> str | None:
    """Say where printed names do not make up the printed mask; None where they do, or where it cannot be told."""
    candidates = [generation] if generation is not None else [g for g in GENERATIONS if g.named]
    encoded = [value for g in candidates if (value := encode_names(words, g)) is not None]
    # Names of bits that are numbered by configuration have no number in any table.
    if not encoded:
        return None
    # With memory tagging, combinations for movable pages contain bits that no name shows.
    hidden = _CONFIGURED_BITS if any(word in _TAGGED for word in words) else 0
    if any((value ^ mask) & ~hidden == 0 for value in encoded):
        return None
    if generation is None:
        return f"no kernel numbers these names as {mask:#x}"
    return f"the names make up {encoded[0]:#x}, the mask is {mask:#x}"
