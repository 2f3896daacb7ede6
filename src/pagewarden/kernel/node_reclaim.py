"""zone_reclaim_mode: what its bits mean, when it does anything, and when a kernel switched it on by itself."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pagewarden.kernel.version import KernelVersion

LOCAL_DISTANCE = 10
"""Kernel: include/linux/topology.h: the distance of a node to itself."""

_BITS = {1: "reclaim from the local node before using another", 2: "write out dirty pages", 4: "unmap and swap pages"}
_OLD_BITS = _BITS | {8: "shrink slabs everywhere"}
_SHIFTED_BITS = {1: "write out dirty pages", 2: "unmap and swap pages"}


@dataclass(frozen=True, slots=True)
class ReclaimMode:
    """A value of zone_reclaim_mode as one kernel reads it.

    :ivar on: reclaim from the local node happens at all.
    :ivar meanings: what the set bits add, in words.
    :ivar ignored_bits: bits without a meaning.
    """

    value: int
    on: bool
    meanings: tuple[str, ...]
    ignored_bits: int


def decode_mode(value: int, bits_shifted: bool, any_bit_enables: bool, slab_bit: bool = False) -> ReclaimMode:
    """Decode zone_reclaim_mode.

    Kernel: mm/vmscan.c: RECLAIM_ZONE, RECLAIM_WRITE, RECLAIM_UNMAP and mm/internal.h:node_reclaim_enabled()

    :param bits_shifted: 5.7 to 5.9, where write is bit 0 and unmap bit 1 by mistake.
    :param any_bit_enables: until 5.12 any value but 0 switched it on; since 5.13 one of bits 1, 2, 4 must be set.
    :param slab_bit: until 2.6.19 a bit 8 shrank slabs as well.
    """
    bits = _SHIFTED_BITS if bits_shifted else _OLD_BITS if slab_bit else _BITS
    on = value != 0 if any_bit_enables else bool(value & 7)
    known = sum(bits) | (4 if bits_shifted else 0)
    return ReclaimMode(value, on, tuple(text for bit, text in bits.items() if value & bit), value & ~known)


def mode_on(value: int, version: KernelVersion | None, bits_shifted: bool) -> ReclaimMode:
    """Decode a value as a release reads it; a release that is not known is taken as current."""
    any_bit = not (version is None or version.at_least(5, 13))
    slab = version is not None and not version.at_least(2, 6, 20)
    return decode_mode(value, bits_shifted, any_bit, slab)


def mode_in_words(mode: ReclaimMode, nodes_with_memory: int) -> str:
    """What the kernel does with this value, in one sentence."""
    if not mode.on:
        text = "off: a full node's requests are served from other nodes before anything is reclaimed"
    else:
        also = [meaning for meaning in mode.meanings if meaning != _BITS[1]]
        text = "on: a full node reclaims its own page cache before another node is used"
        text += f", and may {' and '.join(also)} for it" if also else ", but writes and unmaps nothing for it"
    if mode.ignored_bits:
        text += f"; the other bits ({mode.ignored_bits}) mean nothing on this kernel"
    if mode.on and nodes_with_memory < 2:
        text += "; this machine has one node with memory, so that it does nothing here"
    return text


def reclaim_distance(version: KernelVersion | None, arch: str | None) -> int:
    """The distance beyond which a node is too far to be used before reclaiming, in units of the distance table.

    Kernel: RECLAIM_DISTANCE: 20 until 2.6.39, 30 since 3.0 (and el6); 15 on ia64, 10 on powerpc (3.4 and el6). A
    variable since 5.4, which AMD EPYC raises to 32 (not verified), so a distance of 31 or 32 there is a guess.
    """
    if arch is not None and arch.startswith("ia64"):
        return 15
    settled = version is None or version.at_least(3, 4) or version.vendor == "el6"
    if settled and arch is not None and arch.startswith("ppc"):
        return 10
    return 30 if settled or (version is not None and version.at_least(3, 0)) else 20


def switched_on_at_boot(
    version: KernelVersion | None, distances: Mapping[int, Sequence[int]], arch: str | None
) -> bool:
    """Whether this kernel set zone_reclaim_mode to 1 by itself: some distance is beyond the reclaim distance.

    Kernel: mm/page_alloc.c:build_zonelists() until 3.15; removed in 3.16 and in el7.
    """
    if version is None or version.at_least(3, 16) or version.vendor == "el7":
        return False
    limit = reclaim_distance(version, arch)
    return any(distance > limit for row in distances.values() for distance in row)
