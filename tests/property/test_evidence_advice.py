"""What must hold of advice from logs and counters, whatever they are."""

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from bench.made_reports import ERAS, make_report
from hypothesis import assume, given
from hypothesis import strategies as st
from tests.machines import applied
from tests.property.test_model_marks import examples
from tests.report_machines import machine_of_report
from tests.unit.diagnose.reports import failure, trace, zone

from pagewarden.advise.advice import advise
from pagewarden.advise.observed import Observed
from pagewarden.advise.policy import AdvicePolicy
from pagewarden.advise.stalls import gap_pages
from pagewarden.advise.types import Advice
from pagewarden.diagnose.explain import diagnose
from pagewarden.diagnose.interval import Interval, interval_between
from pagewarden.diagnose.log_evidence import Here, gather_evidence
from pagewarden.kernel.machine import MIN_FREE, RATIO, SCALE_FACTOR, machine_of
from pagewarden.kernel.simulate import Write, simulate
from pagewarden.kernel.watermarks import zone_size
from pagewarden.kernel.zones import is_lowmem
from pagewarden.klog.sources import reports_in
from pagewarden.klog.types import Report
from pagewarden.procfs.types import Node, Snapshot

Draw = Callable[[st.SearchStrategy[Any]], Any]
DRIVERS = ("e100_rx_alloc_skb [e100]", "tg3_alloc_rx_skb [tg3]")


@st.composite
def refusals(draw: Draw) -> Report:
    """Receive paths refused (or not) on one machine of 259 MB with the marks of 2038 kB."""
    normal, dma, driver = draw(st.integers(0, 900)), draw(st.integers(0, 400)), draw(st.sampled_from(DRIVERS))
    order = draw(st.sampled_from([0, 0, 1, 2]))
    return failure(
        zone("DMA", dma, 31, (0, 238, 238, 238), 3968),
        zone("Normal", normal, 478, (0, 0, 0, 0), 60_944),
        order=order,
        trace=trace(driver, "net_rx_action"),
    )


@st.composite
def made(draw: Draw) -> list[Report]:
    """Up to three reports of one kernel of any age."""
    era, seed = draw(st.sampled_from(ERAS)), draw(st.integers(0, 10_000))
    rng = random.Random(seed)
    lines = [line for _ in range(draw(st.integers(1, 3))) for line in make_report(era, rng)]
    return list(reports_in("\n".join(lines).encode()))


@st.composite
def counted(draw: Draw) -> dict[str, int]:
    return {
        "allocstall_normal": draw(st.integers(0, 10**6)),
        "pgsteal_direct": draw(st.integers(0, 10**8)),
        "pageoutrun": draw(st.integers(0, 10**4)),
    }


def here(reports: Sequence[Report]) -> Snapshot | None:
    return next((s for report in reports if (s := machine_of_report(diagnose(report))) is not None), None)


def watched(now: Snapshot, counts: dict[str, int], before: Snapshot) -> Interval:
    """Ten minutes before, with the settings of then."""
    earlier = replace(before, uptime_seconds=1000.0, vmstat=dict.fromkeys(counts, 0))
    return interval_between(earlier, replace(now, uptime_seconds=1600.0, vmstat=counts))


def advice_on(
    now: Snapshot, reports: Sequence[Report], counts: dict[str, int] | None = None, before: Snapshot | None = None
) -> Advice:
    machine = machine_of(now)
    logs = gather_evidence((("a log", report) for report in reports), Here(now, machine))
    interval = None if counts is None else watched(now, counts, before or now)
    return advise(now, machine, AdvicePolicy(), Observed(logs=logs, interval=interval))


def proposed(advice: Advice, key: str) -> int | None:
    return next((int(r.recommended) for r in advice.recommendations if r.key == key), None)


@given(st.lists(refusals(), min_size=1, max_size=6), st.lists(refusals(), min_size=1, max_size=6), st.randoms())
@examples(40)
def test_more_failures_never_lower_the_proposal(some: list[Report], more: list[Report], rng: random.Random) -> None:
    now = here(some)
    assert now is not None
    together = [*some, *more]
    rng.shuffle(together)
    few = proposed(advice_on(now, some), MIN_FREE) or 0
    many = proposed(advice_on(now, together), MIN_FREE) or 0
    assert many >= few


@given(made(), counted())
@examples(60)
def test_no_proposal_passes_its_cap(reports: list[Report], counts: dict[str, int]) -> None:
    now = here(reports)
    assume(now is not None)
    assert now is not None
    machine = machine_of(now)
    memory = sum(zone_size(each, machine.rules.watermarks.size) for each in machine.zones)
    lowmem = sum(zone_size(each, machine.rules.min_free.size) for each in machine.zones if is_lowmem(each))
    for recommendation in advice_on(now, reports, counts).recommendations:
        if recommendation.key == MIN_FREE and recommendation.cause != "below-kernel-default":
            most = max(lowmem * machine.page_size // 1024 // 20, int(recommendation.current))
            assert int(recommendation.recommended) <= most
        if recommendation.key == SCALE_FACTOR:
            after = applied(now, simulate(machine, [Write(SCALE_FACTOR, recommendation.recommended)]))
            # The zones' shares of min_free_kbytes may be more already: what is added is bounded.
            assert gap_pages(machine_of(after)) <= max(memory // 20, gap_pages(machine))


@given(made(), counted())
@examples(60)
def test_followed_advice_is_not_given_again(reports: list[Report], counts: dict[str, int]) -> None:
    """With the same log and the same counters; these then speak of the setting of before."""
    before = here(reports)
    assume(before is not None)
    assert before is not None
    now, given_for = before, set()
    for _ in range(4):
        found = [r for r in advice_on(now, reports, counts, before).recommendations if r.key.startswith("vm.")]
        if not found:
            break
        first = found[0]
        assert first.key not in given_for, f"{first.key} again: {first.current} -> {first.recommended} ({first.cause})"
        given_for.add(first.key)
        now = applied(now, simulate(machine_of(now), [Write(first.key, first.recommended)]))
    assert not found


def bend(node: Node, factor: int) -> Node:
    """Gaps that no formula gives."""
    zones = tuple(replace(z, low_pages=z.min_pages + factor * (i + 7) ** 3) for i, z in enumerate(node.zones))
    return replace(node, zones=zones)


@given(made(), counted(), st.integers(2, 50))
@examples(30)
def test_nothing_is_recommended_where_the_model_does_not_fit(
    reports: list[Report], counts: dict[str, int], factor: int
) -> None:
    now = here(reports)
    assume(now is not None)
    assert now is not None
    nodes = tuple(
        replace(
            node,
            zones=tuple(replace(z, low_pages=z.min_pages + factor * (i + 7) ** 3) for i, z in enumerate(node.zones)),
        )
        for node in now.nodes
    )
    bent = replace(now, nodes=nodes)
    assume(not machine_of(bent).fit.usable)
    advice = advice_on(bent, reports, counts)
    assert advice.recommendations == ()
    assert advice.withheld
    assert "model-misfit" in {finding.cause for finding in advice.findings}


@given(made(), counted())
@examples(40)
def test_every_recommendation_explains_itself(reports: list[Report], counts: dict[str, int]) -> None:
    now = here(reports)
    assume(now is not None)
    assert now is not None
    advice = advice_on(now, reports, counts)
    causes = {finding.cause: finding.severity for finding in advice.findings}
    for recommendation in advice.recommendations:
        assert recommendation.reason
        assert recommendation.against
        assert recommendation.evidence
        assert not recommendation.auto
        assert causes[recommendation.cause] != "info" or recommendation.cause == "evidence-outdated"
        if recommendation.key.startswith("vm."):
            assert recommendation.effect is not None
            assert recommendation.commands
            assert recommendation.undo
            assert recommendation.key == RATIO or recommendation.recommended.isdigit()
