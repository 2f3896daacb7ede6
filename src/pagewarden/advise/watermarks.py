"""Marks that no longer follow from the settings: stale since memory was freed or plugged, or boosted."""

from pagewarden.advise.effect import predict_effect
from pagewarden.advise.types import Level, Recommendation
from pagewarden.diagnose.types import Evidence, Finding, Severity
from pagewarden.kernel.fit import printed_marks
from pagewarden.kernel.machine import MIN_FREE, Machine
from pagewarden.kernel.simulate import Write
from pagewarden.procfs.types import Snapshot

REFERENCE = "docs/settings/min_free_kbytes.md"

WRONG_PERCENT = 20
"""A mark this far from what the settings in force would give is worth renewing; less is what every boot leaves."""


def advise_watermarks(snapshot: Snapshot, machine: Machine) -> tuple[list[Recommendation], list[Finding]]:
    """Say which marks are stale and by how much, and what renews them."""
    findings = [
        Finding("boost-hidden", Severity.INFO, text)
        for text in machine.fit.reasons
        if machine.fit.hidden_boost_pages and "boost" in text
    ]
    stale = _stale_zones(snapshot, machine)
    if not stale:
        return [], findings
    # A page more or less in a tiny zone is nothing: a zone counts as at least a hundredth of all mins.
    least = max(1, sum(marks.min_pages for marks in machine.marks) // 100)
    worst = max(abs(now - then) * 100 // max(then, least) for _, then, now in stale)
    text = (
        "The marks date from an earlier count of managed pages; memory was freed to the allocator, plugged or "
        "ballooned "
        "since. Written again, vm.min_free_kbytes would give: "
        + "; ".join(f"{name} min {then} -> {now} pages" for name, then, now in stale)
        + "."
    )
    evidence = tuple(Evidence(f"{name} min in force, pages", then, "/proc/zoneinfo") for name, then, _ in stale)
    if worst < WRONG_PERCENT:
        return [], [*findings, Finding("stale-watermarks", Severity.INFO, text, evidence)]
    return [_rewrite(snapshot, machine, text, evidence)], [
        *findings,
        Finding("stale-watermarks", Severity.NOTICE, text, evidence),
    ]


def _stale_zones(snapshot: Snapshot, machine: Machine) -> list[tuple[str, int, int]]:
    value = machine.fit.min_free_kbytes
    if not machine.fit.stale or machine.fit.inferred or value is None:
        return []
    effect = predict_effect(snapshot, machine, Write(MIN_FREE, str(value)))
    hidden = {(node, zone): pages for node, zone, pages in machine.fit.hidden_boost_pages}
    found = []
    for zone, after in zip(machine.zones, effect.simulation.after, strict=True):
        boost = (zone.boost_pages or 0) + hidden.get((zone.node, zone.name), 0)
        then, now = printed_marks(zone).min_pages - boost, after.marks.min_pages
        if then != now:
            found.append((f"node {zone.node} {zone.name}", then, now))
    return found


def _rewrite(snapshot: Snapshot, machine: Machine, reason: str, evidence: tuple[Evidence, ...]) -> Recommendation:
    value = str(machine.fit.min_free_kbytes)
    effect = predict_effect(snapshot, machine, Write(MIN_FREE, value))
    return Recommendation(
        key="action:rewrite",
        current="marks of an earlier memory size",
        recommended=f"write {value} to {MIN_FREE} again",
        cause="stale-watermarks",
        reason=reason,
        against="Memory that comes and goes (a balloon) makes them stale again.",
        evidence=evidence,
        effect=effect,
        risk=Level.MEDIUM if effect.projection.warnings else Level.LOW,
        confidence=Level.HIGH,
        auto=False,
        reference=REFERENCE,
    )
