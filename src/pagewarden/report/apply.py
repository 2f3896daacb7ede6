"""`pagewarden apply`, `revert` and `rollback-status` for people."""

from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from pagewarden.apply.types import Outcome, Plan, Record, Standing
from pagewarden.kernel.simulate import ZoneState
from pagewarden.report.words import Folded, heading, pages_text, plain_table, zone_name
from pagewarden.units import human_bytes


def render_plan(outcome: Outcome, snippet_path: str) -> Iterator[RenderableType]:
    """Lay out everything a plan would do: settings, writes, zones, file, undo."""
    plan = outcome.plan
    for refused in plan.refused:
        yield Text(f"Not {refused.key}={refused.value}: {refused.reason}.", style="bold yellow")
    yield from _notes(outcome)
    if not plan.changes:
        return
    if plan.idle:
        yield Text("Nothing to do: the settings are in force and in the file already.", style="bold")
        return
    if not outcome.done:
        yield Text(
            "Dry run: nothing is written. Without --dry-run (and as root) this is done, watched for a while, and taken "
            "back if it hurts or does not help.",
            style="bold",
        )
        yield ""
    yield from _changes(plan)
    if plan.steps:
        yield ""
        yield heading("Writes, in this order; each is read back and every zone compared before the next")
        for number, step in enumerate(plan.steps, 1):
            yield Padding(Text(f"{number}. {step.write.key} = {step.write.text}"), (0, 0, 0, 2))
        if len(plan.steps) > len({step.write.key for step in plan.steps}):
            yield Padding(
                Text("Between them free memory must rise above the new low marks.", style="dim"), (0, 0, 0, 2)
            )
    if plan.simulation is not None:
        yield ""
        yield heading("Every zone, before and after each write (boost left out; in pages: --format json)")
        yield Folded(_zones(plan))
        reserves = _protection(plan)
        if reserves.row_count:
            yield ""
            yield heading("Kept back from requests that could have used a higher zone (protection)")
            yield Folded(reserves)
        cost = plan.simulation.cost_bytes
        if cost:
            verb = "withdrawn from" if cost > 0 else "given back to"
            yield f"{human_bytes(abs(cost))} {verb} ordinary use."
    for warning in plan.warnings:
        yield Text(f"! {warning}", style="yellow")
    yield from _file(plan, snippet_path)
    yield Text("Undo: pagewarden revert", style="dim")


def _changes(plan: Plan) -> Iterator[RenderableType]:
    for change in plan.changes:
        before = plan.before[change.key]
        arrow = f"{before} -> {change.value}" if before != change.value else f"{before}, kept for the next boot"
        yield Text(f"{change.key}: {arrow}", style="bold")
        yield Padding(Text(change.why), (0, 0, 0, 2))
        winner = next((entry for entry in plan.winners if entry.key == change.key), None)
        if winner is None:
            text = "At boot today: no file sets it."
        else:
            text = f"At boot today: {winner.place} sets {winner.value}."
            if winner in plan.overridden:
                text += " Overridden, as --force was given."
            text += f" {winner.note}." if winner.note else ""
        yield Padding(Text(text, style="yellow" if winner in plan.overridden else "dim"), (0, 0, 0, 2))


def _zones(plan: Plan) -> Table:
    assert plan.simulation is not None
    machine = plan.simulation.machine
    promo = any(zone.promo_pages is not None for zone in machine.zones)
    table = plain_table("zone", "free", "min", "low", "high", *(["promo"] if promo else []))
    size = machine.page_size
    for index, zone in enumerate(machine.zones):
        if not zone.populated:
            continue
        before = _marks(plan.simulation.before[index], size, promo=promo)
        table.add_row(zone_name(machine, zone.node, zone.name), pages_text(zone.free_pages, size), *before)
        for number, step in enumerate(plan.steps, 1):
            if step.zones:
                table.add_row(Text(f"  after {number}", style="dim"), "", *_marks(step.zones[index], size, promo=promo))
    return table


def _marks(state: ZoneState, page_size: int, *, promo: bool) -> list[str]:
    marks = state.marks
    shown: list[int | None] = [marks.min_pages, marks.low_pages, marks.high_pages]
    if promo:
        shown.append(marks.promo_pages)
    return ["-" if pages is None else pages_text(pages, page_size) for pages in shown]


def _protection(plan: Plan) -> Table:
    """The reserves of zones where a write changes them."""
    assert plan.simulation is not None
    machine = plan.simulation.machine
    table = plain_table("zone", *(f"for {name}" for name in (machine.fit.layout or ())[1:]))
    for index, zone in enumerate(machine.zones):
        before = plan.simulation.before[index].protection_pages
        states = [(f"  after {number}", step.zones[index]) for number, step in enumerate(plan.steps, 1) if step.zones]
        if all(state.protection_pages == before for _, state in states):
            continue
        rows = [(zone_name(machine, zone.node, zone.name), before)]
        rows += [(label, state.protection_pages) for label, state in states]
        for label, reserves in rows:
            table.add_row(label, *(pages_text(pages, machine.page_size) for pages in (reserves or ())[1:]))
    return table


def _file(plan: Plan, snippet_path: str) -> Iterator[RenderableType]:
    yield ""
    if plan.snippet == plan.snippet_before:
        yield f"{snippet_path} stays as it is."
        return
    yield heading(f"{snippet_path}, {'replaced by' if plan.snippet_before else 'new'}")
    yield Text((plan.snippet or "").rstrip("\n"), no_wrap=True, overflow="ignore")
    yield ""


def render_applied(outcome: Outcome, snippet_path: str) -> Iterator[RenderableType]:
    """Say what was changed, or why nothing was."""
    plan = outcome.plan
    for refused in plan.refused:
        yield Text(f"Not {refused.key}={refused.value}: {refused.reason}.", style="bold yellow")
    if outcome.done:
        for change in plan.changes:
            yield Text(f"{change.key}: {plan.before[change.key]} -> {change.value}", style="bold")
        if plan.simulation is not None:
            count = len(plan.simulation.after)
            yield f"Verified: all {count} zones print what was predicted. Kept for the next boot in {snippet_path}."
        else:
            yield f"In force already; kept for the next boot in {snippet_path}."
        for winner in plan.overridden:
            yield Text(f"Overridden: {winner.place} sets {winner.key} to {winner.value}.", style="yellow")
        yield "Undo: pagewarden revert"
    elif plan.changes and plan.idle:
        yield "Nothing to do: the settings are in force and in the file already."
    elif not plan.changes and not plan.refused:
        yield "Nothing to apply: no change is recommended."
    yield from _notes(outcome)


def render_reverted(outcome: Outcome, snippet_path: str) -> Iterator[RenderableType]:
    """Say what was put back."""
    plan = outcome.plan
    if not outcome.done:
        yield "Nothing to revert: no setting in force is pagewarden's."
    for change in plan.changes if outcome.done else ():
        yield Text(f"{change.key}: {plan.before[change.key]} -> {change.value}, as before", style="bold")
    if outcome.done and plan.snippet != plan.snippet_before:
        yield f"{snippet_path}: {'rewritten without it' if plan.snippet else 'removed'}."
    yield from _notes(outcome)


def _notes(outcome: Outcome) -> Iterator[RenderableType]:
    for note in outcome.notes:
        yield Text(f"Note: {note}.", style="yellow")


def render_rollback_status(record: Record, standings: Sequence[Standing], note: str) -> Iterator[RenderableType]:
    """Say what is changed, when and why, and what an undo would do."""
    if record.pending is not None:
        fate = "undone" if record.pending.intent == "apply" else "finished"
        yield Text(
            f"A run begun {record.pending.started_at} did not come to its end; it is {fate} by the next start of the "
            "service, apply or revert.",
            style="bold red",
        )
    if not standings:
        yield "pagewarden has changed no setting of this machine."
    for entry in standings:
        owned = entry.owned
        yield Text(f"{owned.key} = {owned.value}, before: {owned.original}", style="bold")
        parts: list[RenderableType] = [
            f"changed {owned.applied_at} by pagewarden {owned.version}",
            Text(owned.why),
            *(Text(f"- {line}", style="dim") for line in owned.evidence),
        ]
        if entry.foreign:
            parts.append(Text(f"Not ours any more: {entry.foreign}. It is left alone.", style="yellow"))
        else:
            parts.append(Text(f"Undo: pagewarden revert {owned.key}", style="dim"))
        for part in parts:
            yield Padding(part, (0, 0, 0, 2))
    for retired in record.retired:
        yield Text(f"{retired.key} is left alone since {retired.since}: {retired.reason}", style="yellow")
    if note:
        yield Text(f"{note}.", style="yellow")


def render_changes(standings: Sequence[Standing]) -> Iterator[RenderableType]:
    """Say in one line a setting, for `status`."""
    for entry in standings:
        owned = entry.owned
        text = f"{owned.key}: {owned.original} -> {owned.value}, {owned.applied_at}: {owned.why}"
        if entry.foreign:
            text += f" (not ours any more: {entry.foreign})"
        yield Padding(Text(text), (0, 0, 0, 2))
