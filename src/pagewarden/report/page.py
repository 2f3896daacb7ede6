"""`pagewarden report --html`: one page that needs nothing else. Everything in it is escaped by the template's rules."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from pagewarden import __version__
from pagewarden.advise.types import Advice
from pagewarden.diagnose.settings import Setting
from pagewarden.diagnose.types import Finding
from pagewarden.history.types import Event, OpenFinding, Overview
from pagewarden.kernel.machine import Machine
from pagewarden.procfs.types import Snapshot, Zone
from pagewarden.report.chart import BARS_HEIGHT, HEIGHT, WIDTH, bars, event_places, time_ticks, zone_chart
from pagewarden.report.history import LABELS
from pagewarden.report.words import duration_text, moment_text, printable, zone_name
from pagewarden.units import human_bytes

PAGE_SLICES = 144
"""Slices of time that the pictures show."""
EVENTS_SHOWN = 500
PAGE_MARK = b"<title>pagewarden: "
"""Near the start of every page."""


@dataclass(frozen=True, slots=True)
class Page:
    """What the page shows.

    :ivar overview: None where there is no history.
    :ivar how_to_start: what to do so that the service runs; empty for another machine.
    :ivar zone: the time zone that times are written in; None: the machine's own.
    """

    snapshot: Snapshot
    machine: Machine
    settings: Sequence[Setting]
    advice: Advice
    overview: Overview | None
    events: Sequence[Event]
    findings: Sequence[OpenFinding]
    made_seconds: float
    how_to_start: str = ""
    zone: tzinfo | None = None


def render_page(page: Page) -> str:
    """Give the whole page."""
    environment = Environment(
        loader=PackageLoader("pagewarden.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        # What others chose (names of tasks, lines of logs) shows its control characters; escaping follows after that.
        finalize=lambda value: printable(value) if type(value) is str else value,
    )
    environment.filters |= {
        "moment": lambda seconds: moment_text(seconds, page.zone),
        "duration": duration_text,
        "bytes": human_bytes,
    }
    template = environment.get_template("page.html")
    return template.render(
        page=page,
        advice=page.advice,
        now_findings=_findings_now(page),
        version=__version__,
        zones=[_zone_row(page.machine, zone) for zone in page.machine.zones if zone.populated],
        labels=LABELS,
        events=page.events[-EVENTS_SHOWN:],
        hidden=max(len(page.events) - EVENTS_SHOWN, 0),
        width=WIDTH,
        height=HEIGHT,
        bars_height=BARS_HEIGHT,
        **_pictures(page),
    )


def _findings_now(page: Page) -> list[Finding]:
    """What is found now and stands neither among the changes to make nor among the findings that are open."""
    told = {entry.cause for entry in page.advice.recommendations} | {finding.cause for finding in page.findings}
    return [finding for finding in page.advice.findings if finding.cause not in told]


def _zone_row(machine: Machine, zone: Zone) -> dict[str, Any]:
    pages = {
        "managed": zone.present_pages if zone.managed_pages is None else zone.managed_pages,
        "free": zone.free_pages,
        "min": zone.min_pages,
        "low": zone.low_pages,
        "high": zone.high_pages,
    }
    sizes = [human_bytes(count * machine.page_size) for count in pages.values()]
    return {
        "name": zone_name(machine, zone.node, zone.name),
        "sizes": sizes,
        "short": zone.free_pages <= zone.low_pages,
    }


def _pictures(page: Page) -> dict[str, Any]:
    overview = page.overview
    if overview is None or not overview.zones:
        return {"charts": (), "bar_charts": (), "ticks": (), "places": ()}
    labels = [moment_text(part.start_seconds, page.zone) for part in overview.slices]
    several = len({zone.lowest.node for zone in overview.zones}) > 1
    stalls = [part.counts.get("allocstall") for part in overview.slices]
    seconds = [part.end_seconds - part.start_seconds for part in overview.slices]
    pressure = [
        None if (us := part.counts.get("pressure_some_us")) is None else us / 1e4 / length
        for part, length in zip(overview.slices, seconds, strict=True)
    ]
    return {
        "charts": [
            (
                f"node {zone.lowest.node} {zone.lowest.zone}" if several else zone.lowest.zone,
                zone_chart(zone, labels),
                zone,
            )
            for zone in overview.zones
        ],
        "bar_charts": [
            ("Waits for memory (direct reclaim)", _largest(stalls, "in one slice"), bars(stalls, labels, "waits")),
            ("Memory pressure (PSI some), percent of the time", _largest(pressure, "%"), bars(pressure, labels, "%")),
        ],
        "ticks": time_ticks(overview, labels),
        "places": event_places((event.first_seconds for event in page.events if event.severity != "info"), overview),
    }


def _largest(values: Sequence[float | None], unit: str) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return "not known"
    return f"at most {max(known):,.4g} {unit}" if max(known) else "none"
