"""What a GFP mask may mean when it is not known which kernel printed it."""

from dataclasses import dataclass
from enum import StrEnum

from pagewarden.kernel.gfp import GfpFlags, flags_from_mask, format_mask
from pagewarden.kernel.gfp_tables import GENERATIONS, Generation, releases


class Sense(StrEnum):
    """How much sense a mask makes in a generation."""

    SENSIBLE = "sensible"
    ODD = "odd"
    IMPOSSIBLE = "impossible"


@dataclass(frozen=True, slots=True)
class Reading:
    """A mask as one or several neighbouring generations read it.

    :ivar generations: all that read it alike, in the order of time.
    :ivar name: as `format_mask` writes it.
    :ivar reasons: why it is odd or impossible, in words.
    """

    generations: tuple[Generation, ...]
    name: str
    flags: GfpFlags
    sense: Sense
    reasons: tuple[str, ...]

    @property
    def kernels(self) -> str:
        """Which kernels read it so: "2.6.31 to 4.3"."""
        return _span(self.generations)


def consistent_generations(mask: int, names_printed: bool | None = None) -> tuple[Reading, ...]:
    """Read a mask with every numbering, and say which readings make sense.

    :param names_printed: whether the kernel printed names beside it; kernels since 4.6 always do, so that a mask
        without names is of an earlier one. None: not known (somebody copied the number alone).
    :return: in the order of time; neighbours that read it alike are one, vendors' own numberings come last.
    """
    readings: list[Reading] = []
    ordered = [g for g in GENERATIONS if g.vendor is None] + [g for g in GENERATIONS if g.vendor is not None]
    for generation in ordered:
        reading = _read(mask, generation, names_printed)
        last = readings[-1] if readings else None
        alike = last is not None and (last.name, last.flags, last.sense, last.reasons) == (
            (reading.name, reading.flags, reading.sense, reading.reasons)
        )
        if last is not None and alike and generation.vendor is None:
            readings[-1] = Reading((*last.generations, generation), last.name, last.flags, last.sense, last.reasons)
        else:
            readings.append(reading)
    return tuple(readings)


def _read(mask: int, generation: Generation, names_printed: bool | None) -> Reading:
    flags = flags_from_mask(mask, generation)
    name = format_mask(mask, generation)
    impossible = _contradictions(flags, generation)
    if names_printed is not None and names_printed != generation.named:
        kernels = "since 4.6" if generation.named else "before 4.6"
        habit = "print the names too" if generation.named else "print no names"
        impossible.append(f"kernels {kernels} {habit}")
    odd = [] if "GFP_TRANSHUGE" in name else _oddities(flags, generation)
    sense = Sense.IMPOSSIBLE if impossible else Sense.ODD if odd else Sense.SENSIBLE
    return Reading((generation,), name, flags, sense, (*impossible, *odd))


def _contradictions(flags: GfpFlags, generation: Generation) -> list[str]:
    found = []
    packed = generation.packed_from
    undefined = flags.unknown_bits if packed is None else flags.unknown_bits & (packed - 1)
    if undefined:
        found.append(f"no such bit: {undefined:#x}")
    if flags.zone is None:
        found.append("zone bits that exclude each other")
    if flags.movable and flags.reclaimable:
        found.append("both movable and reclaimable")
    return found


def _oddities(flags: GfpFlags, generation: Generation) -> list[str]:
    if flags.can_direct_reclaim:
        efforts = (flags.noretry, flags.retry_mayfail, flags.nofail)
        found = ["several of NORETRY, RETRY_MAYFAIL and NOFAIL"] if sum(efforts) > 1 else []
        return [*found, "ATOMIC, and yet may sleep"] if flags.atomic else found
    # Since 4.4 callers take the bit for sleeping away from GFP_KERNEL and leave the rest.
    no_reclaim = generation.wait_bit or not flags.wakes_kswapd
    useless = [name for name in ("IO", "FS") if flags.has(name) and no_reclaim]
    useless += [name for name in ("NOFAIL", "REPEAT", "RETRY_MAYFAIL") if flags.has(name)]
    found = [f"may not sleep, so that {', '.join(useless)} would mean nothing"] if useless else []
    if not generation.wait_bit and not flags.wakes_kswapd and flags.high:
        found.append("urgent, and yet does not wake kswapd")
    if not generation.wait_bit and flags.atomic and not flags.high:
        found.append("ATOMIC without HIGH")
    return found


def _span(generations: tuple[Generation, ...]) -> str:
    first, last = releases(generations[0]), releases(generations[-1])
    if len(generations) == 1:
        return first
    start = first.split(" to ")[0]
    return f"since {start}" if last.startswith("since ") else f"{start} to {last.split(' to ')[-1]}"
