"""Marks that no longer follow from the settings: stale since memory was plugged or freed, or boosted."""

from collections.abc import Sequence

from pagewarden.advise.build import write_command
from pagewarden.advise.effect import predict_effect
from pagewarden.advise.types import Level, Recommendation
from pagewarden.diagnose.types import Evidence, Finding, Severity
from pagewarden.kernel.fit import printed_marks
from pagewarden.kernel.machine import MIN_FREE, SCALE_FACTOR, Machine
from pagewarden.kernel.simulate import Write
from pagewarden.kernel.watermarks import Marks, zone_size
from pagewarden.procfs.types import Snapshot

REFERENCE = "docs/settings/min_free_kbytes.md"

WRONG_PERCENT = 20
"""A mark this far from what the settings in force would give is worth renewing; every boot leaves it a little off."""

MATTERS_PERCENT = 1
"""A zone of less than this share of memory, or a mark that moves less than this share of all, is not worth a word."""


def advise_watermarks(snapshot: Snapshot, machine: Machine) -> tuple[list[Recommendation], list[Finding]]:
    """Say which marks are badly stale, and what renews them; and which are boosted without saying so."""
    findings = [
        Finding("boost-hidden", Severity.INFO, text)
        for text in machine.fit.reasons
        if machine.fit.hidden_boost_pages and "boost" in text
    ]
    value = machine.fit.min_free_kbytes
    if not machine.fit.stale or machine.fit.inferred or value is None:
        return [], findings
    write = renewing_write(machine, value)
    # Written twice: kernels 5.0 to 5.7 leave a boost in low and high the first time.
    effect = predict_effect(snapshot, machine, *[write] * 2)
    stale = [
        (f"node {state.node} {state.zone}", then, state.marks)
        for then, state in zip(_unboosted(machine), effect.simulation.after, strict=True)
        if (then.min_pages, then.low_pages, then.high_pages) != _three(state.marks)
    ]
    if not _matters(machine, [state.marks for state in effect.simulation.after]):
        return [], findings
    text = (
        "The marks date from an earlier count of managed pages; memory was plugged, freed or ballooned since. Written "
        f"again, {write.key} would give (min/low/high, pages): "
        + "; ".join(f"{name} {_shown(then)} -> {_shown(now)}" for name, then, now in stale)
        + "."
    )
    evidence = tuple(Evidence(f"{name} min/low/high, pages", _shown(then), "/proc/zoneinfo") for name, then, _ in stale)
    recommendation = Recommendation(
        key="action:rewrite",
        current="marks of an earlier memory size",
        recommended=f"write {write.text} to {write.key} again",
        cause="stale-watermarks",
        reason=text,
        against="The memory comes and goes (a balloon): then they will be stale again soon.",
        evidence=evidence,
        effect=effect,
        risk=Level.MEDIUM if effect.projection.warnings else Level.LOW,
        confidence=Level.HIGH,
        auto=False,
        reference=REFERENCE,
        keep="nothing: at boot the kernel computes them from the memory there is then",
        commands=(write_command(write.key, write.text),),
    )
    return [recommendation], [*findings, Finding("stale-watermarks", Severity.NOTICE, text, evidence)]


def renewing_write(machine: Machine, min_free_kb: int) -> Write:
    """The write of a value in force that has the kernel compute the marks anew.

    Where there is a watermark_scale_factor (4.6), that one: a written min_free_kbytes is the user's from then on,
    and the kernel stays at or above it when memory is plugged or huge pages are switched.
    Kernel: mm/page_alloc.c: watermark_scale_factor_sysctl_handler(), min_free_kbytes_sysctl_handler().
    """
    factor = machine.sysctls.get(SCALE_FACTOR)
    return Write(MIN_FREE, str(min_free_kb)) if factor is None else Write(SCALE_FACTOR, factor)


def _unboosted(machine: Machine) -> list[Marks]:
    hidden = {(node, zone): pages for node, zone, pages in machine.fit.hidden_boost_pages}
    return [
        printed_marks(zone).raised(-(zone.boost_pages or 0) - hidden.get((zone.node, zone.name), 0))
        for zone in machine.zones
    ]


def _three(marks: Marks) -> tuple[int, int, int]:
    return marks.min_pages, marks.low_pages, marks.high_pages


def _matters(machine: Machine, renewed: Sequence[Marks]) -> bool:
    size = machine.rules.watermarks.size
    memory = sum(zone_size(zone, size) for zone in machine.zones)
    least = sum(marks.high_pages for marks in renewed) * MATTERS_PERCENT // 100
    return any(
        abs(now - then) > least and abs(now - then) * 100 >= max(now, then) * WRONG_PERCENT
        for zone, before, after in zip(machine.zones, _unboosted(machine), renewed, strict=True)
        if zone_size(zone, size) * 100 >= memory * MATTERS_PERCENT
        for then, now in zip(_three(before), _three(after), strict=True)
    )


def _shown(marks: Marks) -> str:
    return "/".join(map(str, _three(marks)))
