"""What the service says of itself, for people."""

from collections.abc import Iterator
from datetime import tzinfo

from rich.console import RenderableType
from rich.padding import Padding
from rich.text import Text

from pagewarden.history.types import ServiceState
from pagewarden.report.words import duration_text, heading, moment_text, printable

_LATE_SECONDS = 60.0
"""So long after a reading was due the service is held to be stopped or stuck."""


def render_service(
    state: ServiceState | str | None, now_seconds: float, zone: tzinfo | None, how_to_start: str
) -> Iterator[RenderableType]:
    """Lay out the service's view.

    :param state: None where it does not run; a text says why its state cannot be read.
    :param zone: the time zone that times are written in; None: the machine's own.
    :param how_to_start: what to do where it does not run.
    """
    yield ""
    yield heading("Service")
    if state is None:
        yield f"not running ({how_to_start})"
    elif isinstance(state, str):
        yield f"its state cannot be read: {printable(state)}"
    else:
        yield from _state(state, now_seconds, zone)


def _state(state: ServiceState, now_seconds: float, zone: tzinfo | None) -> Iterator[RenderableType]:
    since = moment_text(state.since_seconds, zone)
    yield f"running since {since} (pagewarden {printable(state.version)}, process {state.pid})"
    yield _readings(state, now_seconds, zone)
    if state.report_count:
        yield f"kernel reports since then: {state.report_count} (pagewarden history)"
    for line in state.degraded:
        yield _item(Text("not working: ", style="yellow"), line)
    if not state.findings:
        yield "no finding is open"
    for finding in state.findings:
        label = f"{finding.severity} since {moment_text(finding.since_seconds, zone)}, {finding.cause}: "
        yield _item(Text(printable(label)), finding.text)
    for line in state.plan:
        yield _item(Text("planned: "), line)
    for change in state.probation:
        watched = f"{change.key} {change.old_value} -> {change.value}"
        yield _item(Text(f"watched until {moment_text(change.until_seconds, zone)}: "), watched)


def _readings(state: ServiceState, now_seconds: float, zone: tzinfo | None) -> Text:
    if now_seconds > state.next_poll_seconds + _LATE_SECONDS:
        last = moment_text(state.last_poll_seconds, zone)
        return Text(f"NO READING since {last}: stopped or stuck (systemctl status pagewarden)", style="bold red")
    ago = now_seconds - state.last_poll_seconds
    if ago < 0:
        return Text("last reading in the future: the clock was set back", style="yellow")
    due = duration_text(max(state.next_poll_seconds - now_seconds, 0.0))
    return Text(f"last reading {duration_text(ago)} ago, the next within {due}; {state.poll_count:,} so far")


def _item(label: Text, text: str) -> Padding:
    return Padding(label.append(printable(text)), (0, 0, 0, 2))
