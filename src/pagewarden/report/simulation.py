"""`pagewarden simulate` for people."""

from collections.abc import Iterator

from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from pagewarden.kernel.machine import RATIO
from pagewarden.kernel.projection import Projection
from pagewarden.kernel.simulate import Refusal, Simulation
from pagewarden.kernel.watermarks import Marks
from pagewarden.report.words import Folded, heading, pages_text, plain_table, zone_name
from pagewarden.units import human_bytes


def render_simulation(simulation: Simulation, projection: Projection) -> Iterator[RenderableType]:
    """Lay out a simulation: the settings, every zone before and after, the price, the warnings.

    Nothing where every write is refused; `refusal_text` is for the refusals.
    """
    settings = list(_settings(simulation))
    yield from settings
    for note in projection.notes:
        yield f"{note}."
    if simulation.refusals and not settings and simulation.before == simulation.after:
        return
    if settings:
        yield ""
    yield from render_effect(simulation, projection)


def refusal_text(refusal: Refusal) -> str:
    """Why the kernel would not take a write, and what it would take."""
    if refusal.accepted is None:
        return "no such setting on this machine, or not in this capture (ENOENT)"
    return f"the kernel would refuse it ({refusal.error}); it takes {refusal.accepted}"


def render_effect(simulation: Simulation, projection: Projection) -> Iterator[RenderableType]:
    """Lay out what the writes do to the zones, the price and the warnings."""
    if simulation.before == simulation.after:
        rest = "" if projection.notes else "; what else the setting does is not modelled"
        yield f"No mark and no reserve of any zone changes{rest}."
        yield from _assumptions(simulation)
        return
    if [state.marks for state in simulation.before] == [state.marks for state in simulation.after]:
        yield "No mark of any zone changes."
    else:
        yield heading("Marks, before and after")
        yield Folded(_marks(simulation, projection))
    if any(b.protection_pages != a.protection_pages for b, a in zip(simulation.before, simulation.after, strict=True)):
        yield ""
        yield heading("Protection (lowmem_reserve), before and after")
        yield Folded(_protection(simulation))
    yield ""
    yield from _price(simulation, projection)
    for warning in projection.warnings:
        yield Text(f"! {warning}", style="bold red" if warning.startswith("DANGER") else "yellow")
    yield from _assumptions(simulation)


def _assumptions(simulation: Simulation) -> Iterator[RenderableType]:
    for assumption in simulation.assumptions:
        yield Text(f"Assumed: {assumption}.", style="dim")


def _settings(simulation: Simulation) -> Iterator[RenderableType]:
    before = dict(simulation.machine.sysctls)
    if simulation.machine.huge_pages is not None:
        before["transparent_hugepage"] = simulation.machine.huge_pages.enabled
    for key, value in simulation.sysctls.items():
        if before.get(key) != value:
            yield Text(f"{key}: {before.get(key, 'not captured')} -> {value}", style="bold")


def _marks(simulation: Simulation, projection: Projection) -> Table:
    machine = simulation.machine
    table = plain_table("zone", "free", "min", "low", "high", "free beyond high")
    rooms = {(room.node, room.zone): room for room in projection.headroom}
    for zone, before, after in zip(machine.zones, simulation.before, simulation.after, strict=True):
        room = rooms.get((zone.node, zone.name))
        if room is None:
            continue
        beyond = pages_text(room.above_high_pages, machine.page_size)
        table.add_row(
            zone_name(machine, zone.node, zone.name),
            pages_text(zone.free_pages, machine.page_size),
            *_three(before.marks, machine.page_size),
            "",
        )
        table.add_row(
            Text("  after", style="dim"),
            "",
            *_three(after.marks, machine.page_size),
            Text(beyond, style="red" if room.above_high_pages < 0 else ""),
        )
    return table


def _three(marks: Marks, page_size: int) -> list[str]:
    return [pages_text(pages, page_size) for pages in (marks.min_pages, marks.low_pages, marks.high_pages)]


def _protection(simulation: Simulation) -> Table:
    machine = simulation.machine
    table = plain_table("zone", *(f"for {name}" for name in (machine.fit.layout or ())[1:]))
    for before, after in zip(simulation.before, simulation.after, strict=True):
        if before.protection_pages == after.protection_pages:
            continue
        for label, state in ((zone_name(machine, before.node, before.zone), before), ("  after", after)):
            cells = [pages_text(pages, machine.page_size) for pages in (state.protection_pages or ())[1:]]
            table.add_row(label, *cells)
    if RATIO in simulation.sysctls:
        table.caption = "A larger ratio makes reserves smaller."
        table.caption_justify = "left"
    return table


def _price(simulation: Simulation, projection: Projection) -> Iterator[RenderableType]:
    cost = simulation.cost_bytes
    if cost > 0:
        yield f"Cost: {human_bytes(cost)} ({cost} bytes) withdrawn from ordinary use."
    elif cost < 0:
        yield f"Gives back {human_bytes(-cost)} ({-cost} bytes) to ordinary use."
    else:
        yield "Cost: none."
    if projection.available_bytes is not None:
        before, after = projection.available_bytes
        change = f"{human_bytes(abs(after - before))} {'more' if after > before else 'less'}"
        twice = before - after > cost > 0
        why = "; the kernel takes the low marks off page cache as well as off free memory" if twice else ""
        yield f"MemAvailable: {human_bytes(before)} -> {human_bytes(after)} ({change}{why})."
    if projection.to_free_bytes:
        reclaimable = projection.reclaimable_bytes
        known = "" if reclaimable is None else f"; page cache and reclaimable slab hold {human_bytes(reclaimable)}"
        text = f"kswapd would have to free {human_bytes(projection.to_free_bytes)} to reach the high marks{known}."
        yield Padding(text, 0)
