"""Numbers for Prometheus, in its text format. The only place that knows prometheus_client (the extra `metrics`)."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from pagewarden import __version__
from pagewarden.diagnose.settings import Setting
from pagewarden.history.types import ServiceState
from pagewarden.kernel.machine import Machine
from pagewarden.procfs.types import Snapshot, Zone


@dataclass(frozen=True, slots=True)
class Facts:
    """What the numbers are made of.

    :ivar recommendations: key, cause, risk and confidence of each.
    :ivar findings: cause and severity of each: the service's, or those of this instant where it does not run.
    :ivar state: what the service says of itself; None where it does not run.
    :ivar report_totals: the kernel's reports ever seen by cause; None where there is no history.
    """

    snapshot: Snapshot
    machine: Machine
    settings: Sequence[Setting]
    recommendations: Sequence[tuple[str, str, str, str]]
    findings: Sequence[tuple[str, str]]
    state: ServiceState | None
    report_totals: Mapping[str, int] | None


Values = Iterator[tuple[tuple[str, ...], float]]
"""Values of the labels, and the number."""


@dataclass(frozen=True, slots=True)
class Declared:
    """One metric: its name (without a counter's `_total`), its labels and what it says."""

    name: str
    meaning: str
    labels: tuple[str, ...]
    values: Callable[[Facts], Values]
    counter: bool = False

    @property
    def full_name(self) -> str:
        """The name as it is scraped."""
        return f"{self.name}_total" if self.counter else self.name


def metrics_text(facts: Facts) -> bytes:
    """Give every metric in the text format. What is not known is not there."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Once(facts))
    return generate_latest(registry)


class _Once(Collector):
    """Facts that were gathered before, as a collector."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts

    def collect(self) -> Iterable[Metric]:
        """Give the families that have a value."""
        for declared in DECLARED:
            family = (CounterMetricFamily if declared.counter else GaugeMetricFamily)(
                declared.name, declared.meaning, labels=declared.labels
            )
            for labels, value in declared.values(self._facts):
                family.add_metric(labels, value)
            if family.samples:
                yield family


def _of_zones(pages: Callable[[Zone], int | None]) -> Callable[[Facts], Values]:
    """Make a reader of one quantity of every zone that has pages."""

    def values(facts: Facts) -> Values:
        for zone in facts.snapshot.zones:
            count = pages(zone)
            if zone.populated and count is not None:
                yield (str(zone.node), zone.name), count * facts.snapshot.page_size

    return values


def _watermarks(facts: Facts) -> Values:
    for zone in facts.snapshot.zones:
        for mark in ("min", "low", "high", "promo"):
            pages = getattr(zone, f"{mark}_pages")
            if zone.populated and pages is not None:
                yield (str(zone.node), zone.name, mark), pages * facts.snapshot.page_size


def _reserves(facts: Facts) -> Values:
    layout = facts.machine.fit.layout or ()
    for zone in facts.snapshot.zones:
        if zone.populated and zone.protection_pages is not None and zone.name in layout:
            above = layout.index(zone.name) + 1  # from its own requests and lower ones a zone keeps nothing
            for name, pages in list(zip(layout, zone.protection_pages, strict=False))[above:]:
                yield (str(zone.node), zone.name, name), pages * facts.snapshot.page_size


def _free_blocks(facts: Facts) -> Values:
    for (node, zone), blocks in (facts.snapshot.free_blocks or {}).items():
        for order, count in enumerate(blocks):
            yield (str(node), zone, str(order)), count


def _numbers(key: str, text: str | None) -> Values:
    """Give each number of a setting's text; words (the huge-page switch) give none."""
    for index, word in enumerate((text or "").split()):
        if word.lstrip("-").isdigit():
            yield (key, str(index)), int(word)


def _settings(facts: Facts) -> Values:
    for setting in facts.settings:
        yield from _numbers(setting.key, setting.value)


def _defaults(facts: Facts) -> Values:
    for setting in facts.settings:
        yield from _numbers(setting.key, setting.kernel_default)


def _counter(*names: str) -> Callable[[Facts], Values]:
    """Make a reader of counters of /proc/vmstat by how their name begins; kernels print some by zone."""

    def values(facts: Facts) -> Values:
        found = [count for name, count in (facts.snapshot.vmstat or {}).items() if name.startswith(names)]
        if found:
            yield (), sum(found)

    return values


def _counted(entries: Iterable[tuple[str, ...]]) -> Values:
    counts: dict[tuple[str, ...], int] = {}
    for labels in entries:
        counts[labels] = counts.get(labels, 0) + 1
    yield from counts.items()


def _recommendations(facts: Facts) -> Values:
    return _counted(facts.recommendations)


def _findings(facts: Facts) -> Values:
    return _counted(facts.findings)


def _reports(facts: Facts) -> Values:
    for cause, count in (facts.report_totals or {}).items():
        yield (cause,), count


def _fit(facts: Facts) -> Values:
    fit = facts.machine.fit
    yield (), float(fit.exact or fit.stale)


def _of_service(number: Callable[[ServiceState], float]) -> Callable[[Facts], Values]:
    def values(facts: Facts) -> Values:
        if facts.state is not None:
            yield (), number(facts.state)

    return values


def _running(facts: Facts) -> Values:
    yield (), float(facts.state is not None)


def _build(_: Facts) -> Values:
    yield (__version__,), 1.0


_ZONE = ("node", "zone")

DECLARED = (
    Declared("pagewarden_build_info", "The version of pagewarden; always 1.", ("version",), _build),
    Declared("pagewarden_zone_free_bytes", "Free memory of the zone.", _ZONE, _of_zones(lambda zone: zone.free_pages)),
    Declared(
        "pagewarden_zone_managed_bytes",
        "Memory of the zone that the page allocator hands out.",
        _ZONE,
        _of_zones(lambda zone: zone.managed_pages),
    ),
    Declared(
        "pagewarden_zone_watermark_bytes",
        "Watermark of the zone, boost included; mark is min, low, high or promo.",
        (*_ZONE, "mark"),
        _watermarks,
    ),
    Declared(
        "pagewarden_zone_boost_bytes",
        "The boost after fragmentation that the watermarks contain.",
        _ZONE,
        _of_zones(lambda zone: zone.boost_pages),
    ),
    Declared(
        "pagewarden_zone_lowmem_reserve_bytes",
        "What the zone keeps back from requests that could have used the zone in for_zone.",
        (*_ZONE, "for_zone"),
        _reserves,
    ),
    Declared(
        "pagewarden_zone_free_blocks",
        "Free blocks of the order (of 2^order pages) in the zone.",
        (*_ZONE, "order"),
        _free_blocks,
    ),
    Declared(
        "pagewarden_setting_value",
        "A setting in force, in the kernel's own unit; index counts the slots of a vector from 0.",
        ("key", "index"),
        _settings,
    ),
    Declared(
        "pagewarden_setting_kernel_default",
        "What the kernel itself would choose for the setting on this machine.",
        ("key", "index"),
        _defaults,
    ),
    Declared(
        "pagewarden_model_fits",
        "1 where the kernel model explains every mark and reserve that is printed; 0: advice is withheld.",
        (),
        _fit,
    ),
    Declared(
        "pagewarden_direct_reclaim_stalls",
        "Requests that had to free memory themselves (allocstall), since boot.",
        (),
        _counter("allocstall"),
        counter=True,
    ),
    Declared(
        "pagewarden_oom_kills",
        "Processes killed for want of memory, since boot.",
        (),
        _counter("oom_kill"),
        counter=True,
    ),
    Declared(
        "pagewarden_reports",
        "The kernel's own reports (allocation failures, OOM, stalls) that the service saw, by cause.",
        ("cause",),
        _reports,
        counter=True,
    ),
    Declared(
        "pagewarden_open_findings",
        "Findings that are open: the service's, or those of this instant where it does not run.",
        ("cause", "severity"),
        _findings,
    ),
    Declared(
        "pagewarden_recommendations",
        "Changes that are recommended.",
        ("key", "cause", "risk", "confidence"),
        _recommendations,
    ),
    Declared("pagewarden_service_running", "1 where the service left a state that can be read.", (), _running),
    Declared(
        "pagewarden_service_start_time_seconds",
        "When the service started, in seconds since 1970.",
        (),
        _of_service(lambda state: state.since_seconds),
    ),
    Declared(
        "pagewarden_service_last_reading_timestamp_seconds",
        "The service's last reading of the machine, in seconds since 1970.",
        (),
        _of_service(lambda state: state.last_poll_seconds),
    ),
    Declared(
        "pagewarden_service_degraded_functions",
        "Functions of the service that do not work now.",
        (),
        _of_service(lambda state: len(state.degraded)),
    ),
    Declared(
        "pagewarden_changes_planned", "Changes that wait to be applied.", (), _of_service(lambda state: len(state.plan))
    ),
    Declared(
        "pagewarden_changes_on_probation",
        "Changes that are being watched, and undone where they hurt.",
        (),
        _of_service(lambda state: len(state.probation)),
    ),
)
"""Every metric, once: `docs/metrics.md` is made from this."""


def reference_table() -> str:
    """Give the table of `docs/metrics.md`."""
    rows = ["| metric | type | labels | |", "|---|---|---|---|"]
    for declared in DECLARED:
        kind = "counter" if declared.counter else "gauge"
        labels = ", ".join(f"`{label}`" for label in declared.labels) or "-"
        rows.append(f"| `{declared.full_name}` | {kind} | {labels} | {declared.meaning} |")
    return "\n".join(rows) + "\n"
