"""What a GFP mask may mean when it is not known which kernel printed it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum

from pagewarden.kernel.gfp import GfpFlags, encode_names, flags_from_mask, flags_from_names, format_mask
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
    :ivar mask: None where names are read that the generation has no bits for.
    :ivar name: as `format_mask` writes it.
    :ivar reasons: why it is odd or impossible, in words.
    """

    generations: tuple[Generation, ...]
    mask: int | None
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
    return _merged(lambda generation: read_mask(mask, generation, names_printed))


def read_mask(mask: int, generation: Generation, names_printed: bool | None = None) -> Reading:
    """Read a mask with one numbering."""
    flags = flags_from_mask(mask, generation)
    name = format_mask(mask, generation)
    impossible = _contradictions(flags, generation)
    if names_printed is not None and names_printed != generation.named:
        kernels = "since 4.6" if generation.named else "before 4.6"
        habit = "print the names too" if generation.named else "print no names"
        impossible.append(f"kernels {kernels} {habit}")
    odd = [] if "GFP_TRANSHUGE" in name else _oddities(flags, generation)
    sense = Sense.IMPOSSIBLE if impossible else Sense.ODD if odd else Sense.SENSIBLE
    return Reading((generation,), mask, name, flags, sense, (*impossible, *odd))


def read_names_everywhere(names: tuple[str, ...], mask: int | None = None) -> tuple[Reading, ...]:
    """Read printed names, and number them with every numbering; the order is that of `consistent_generations`.

    :param mask: as printed beside them; numberings in which the names do not make it up are impossible.
    """
    return _merged(lambda generation: read_names(names, generation, mask))


def read_names(names: tuple[str, ...], generation: Generation, mask: int | None = None) -> Reading:
    """Read printed names with one numbering.

    :param mask: as printed beside the names; without it the mask is computed.
    """
    encoded = encode_names(names, generation)
    flags = flags_from_names(names, mask, generation)
    reasons = [f"not known: {name}" for name in flags.unknown_names]
    if encoded is None and not reasons:
        reasons = ["no bit for " + ", ".join(n for n in names if encode_names([n], generation) is None)]
    if flags.disagreement is not None:
        reasons.append(flags.disagreement)
    sense = Sense.IMPOSSIBLE if reasons else Sense.SENSIBLE
    return Reading((generation,), mask if mask is not None else encoded, "|".join(names), flags, sense, tuple(reasons))


def _merged(read: Callable[[Generation], Reading]) -> tuple[Reading, ...]:
    readings: list[Reading] = []
    ordered = [g for g in GENERATIONS if g.vendor is None] + [g for g in GENERATIONS if g.vendor is not None]
    for generation in ordered:
        reading = read(generation)
        last = readings[-1] if readings else None
        if last is not None and generation.vendor is None and replace(reading, generations=last.generations) == last:
            readings[-1] = replace(last, generations=(*last.generations, generation))
        else:
            readings.append(reading)
    return tuple(readings)


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
