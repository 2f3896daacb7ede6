"""`pagewarden gfp` for people."""

from collections.abc import Iterator
from fractions import Fraction

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from pagewarden.kernel.gfp import GfpFlags
from pagewarden.kernel.gfp_readings import Reading, Sense
from pagewarden.kernel.gfp_rights import CallerRights
from pagewarden.kernel.gfp_tables import MEANINGS, Generation
from pagewarden.report.words import heading

_ZONES = {
    "DMA": "DMA only",
    "DMA32": "DMA32 and below",
    "Normal": "Normal and below",
    "HighMem": "HighMem and below",
    "Movable": "all, Movable too",
}
_KINDS = {"U": "unmovable", "M": "movable", "E": "reclaimable"}


def render_reading(reading: Reading, kernel: str, rights: CallerRights | None) -> Iterator[RenderableType]:
    """Lay out one reading: its name, its bits, what the caller may do."""
    name = reading.name or "no flag at all"
    number = "" if reading.mask is None else f"{reading.mask:#x} on "
    yield Text(f"{number}{kernel}: {name}", style="bold")
    yield from _doubts(reading)
    flags = reading.flags
    if flags.flags or flags.unknown_bits or flags.unknown_names:
        yield ""
        yield _bits(flags, reading.generations[-1])
    yield ""
    yield heading("What this caller may do")
    yield _rights(flags, rights)


def render_readings(asked: str, readings: tuple[Reading, ...]) -> Iterator[RenderableType]:
    """Lay out every kernel's reading, the sensible ones marked; where these are one, what it says."""
    yield Text(f"{asked}: what it says depends on the kernel (--kernel RELEASE explains one)", style="bold")
    yield ""
    shown = [reading for reading in readings if not _is_told(reading, readings)]
    yield _readings(shown)
    sensible = [reading for reading in shown if reading.sense is Sense.SENSIBLE]
    yield ""
    yield "* makes sense on these kernels" if sensible else "It makes no sense on any kernel."
    if sensible and len({reading.name for reading in sensible}) == 1:
        # Vendors' readings come last, and are of old kernels.
        newest = next((r for r in reversed(sensible) if r.generations[0].vendor is None), sensible[-1])
        yield ""
        yield heading(f"The bits on {_on(newest.kernels)}")
        yield _bits(newest.flags, newest.generations[-1])
        yield ""
        yield heading("What this caller may do")
        yield _rights(newest.flags, None)


def _on(kernels: str) -> str:
    since = kernels.removeprefix("since ")
    return f"{since} and later" if since != kernels else kernels


def _is_told(reading: Reading, readings: tuple[Reading, ...]) -> bool:
    """Whether a vendor's kernels read it as mainline's of the same release do."""
    generation = reading.generations[0]
    if generation.vendor is None:
        return False
    mainline = [r for r in readings if r.generations[0].vendor is None and r.generations[0].since <= generation.since]
    return (mainline[-1].mask, mainline[-1].name, mainline[-1].sense) == (reading.mask, reading.name, reading.sense)


def _doubts(reading: Reading) -> Iterator[RenderableType]:
    for reason in reading.reasons:
        yield Text(f"! {reading.sense.value}: {reason}", style="yellow")


def _plain_columns(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _bits(flags: GfpFlags, generation: Generation) -> Table:
    table = _plain_columns("bit", "flag", "what it says")
    for name in sorted(flags.flags, key=generation.bit):
        bit = generation.bit(name)
        table.add_row(f"{bit:#x}" if bit else "-", name, MEANINGS.get(name, ""))
    if flags.unknown_bits:
        table.add_row(f"{flags.unknown_bits:#x}", "?", "no flag of these kernels")
    for name in flags.unknown_names:
        table.add_row("-", Text(name), "not known")
    return table


def _rights(flags: GfpFlags, rights: CallerRights | None) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    table.add_row("sleep", "yes: it reclaims memory itself and waits" if flags.can_direct_reclaim else "no")
    table.add_row("wake kswapd", "yes" if flags.wakes_kswapd else "no")
    table.add_row("zones", _ZONES[flags.zone] if flags.zone else "none: its zone bits exclude each other")
    table.add_row("free lists", f"{_KINDS[flags.migrate_type]} first")
    if rights is not None:
        table.add_row("below min", _below_min(rights.min_mark_share))
        if rights.highatomic is not None:
            table.add_row("highatomic reserve", "counts for it" if rights.highatomic else "does not count for it")
        if rights.cma is not None:
            table.add_row("CMA pages", "count for it" if rights.cma else "do not count for it")
    return table


def _below_min(share: Fraction) -> str:
    if share == 0:
        return "all of it: no watermark applies"
    return "no" if share == 1 else f"yes: down to {share} of the min mark"


def _readings(readings: list[Reading]) -> Table:
    several = len({reading.mask for reading in readings}) > 1
    doubts = any(reading.reasons for reading in readings)
    columns = ["", "kernels", *(["mask"] if several else []), "reads as", *(["why not"] if doubts else [])]
    table = _plain_columns(*columns)
    for reading in readings:
        sensible = reading.sense is Sense.SENSIBLE
        cells = ["*" if sensible else "", reading.kernels]
        if several:
            cells.append("-" if reading.mask is None else f"{reading.mask:#x}")
        cells.append(reading.name or "(nothing)")
        if doubts:
            cells.append("; ".join(reading.reasons))
        table.add_row(*(Text(cell) for cell in cells), style="bold" if sensible else "dim")
    return table
