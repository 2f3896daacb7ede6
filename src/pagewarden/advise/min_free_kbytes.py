"""vm.min_free_kbytes from a snapshot alone: below the kernel's own value, or too high for the machine."""

from dataclasses import dataclass

from pagewarden.advise.effect import predict_effect
from pagewarden.advise.types import Level, Recommendation
from pagewarden.diagnose.settings import huge_page_arithmetic
from pagewarden.diagnose.types import Evidence, Finding, Severity
from pagewarden.kernel.defaults import MinFreeDefault, default_min_free
from pagewarden.kernel.machine import MIN_FREE, Machine
from pagewarden.kernel.simulate import Write
from pagewarden.procfs.types import Snapshot
from pagewarden.units import human_bytes, pages_to_kb

REFERENCE = "docs/settings/min_free_kbytes.md"

TOO_LOW_PERCENT = 80
"""Below this share of the kernel's own square-root value a value is called too low without evidence of harm."""


@dataclass(frozen=True, slots=True)
class _Facts:
    current_kb: int
    default: MinFreeDefault
    lowmem_kb: int

    @property
    def cap_kb(self) -> int:
        # Tiny machines: the square root alone is more than a twentieth.
        return max(self.lowmem_kb // 20, self.default.effective_kb)


def advise_min_free_kbytes(snapshot: Snapshot, machine: Machine) -> tuple[list[Recommendation], list[Finding]]:
    """Compare the value in force with the kernel's own formulas and with the 5 % the kernel allows itself."""
    current = machine.fit.min_free_kbytes
    if current is None or machine.fit.inferred:
        return [], []
    default = default_min_free(machine)
    if default.lowmem_pages == 0:  # nothing shares min_free_kbytes here, so there is nothing to compare it with
        return [], []
    facts = _Facts(current, default, pages_to_kb(default.lowmem_pages, machine.page_size))
    if current * 100 < default.lowmem_formula_kb * TOO_LOW_PERCENT:
        return _too_low(snapshot, machine, facts)
    if current > facts.cap_kb:
        return _too_high(snapshot, machine, facts)
    return [], _huge_page_cost(machine, facts)


def _evidence(facts: _Facts) -> tuple[Evidence, ...]:
    found = [
        Evidence("vm.min_free_kbytes in force, kB", facts.current_kb, "/proc/sys/vm/min_free_kbytes"),
        Evidence("low memory, kB", facts.lowmem_kb, "/proc/zoneinfo: managed pages of the zones up to Normal"),
        Evidence("kernel's square-root formula, kB", facts.default.lowmem_formula_kb, "4 * sqrt(low memory in kB)"),
    ]
    if facts.default.huge is not None:
        kb = facts.default.huge.recommended_kb
        found.append(Evidence("khugepaged's recommendation, kB", kb, "transparent huge pages are on"))
    return tuple(found)


def _too_low(snapshot: Snapshot, machine: Machine, facts: _Facts) -> tuple[list[Recommendation], list[Finding]]:
    formula = facts.default.lowmem_formula_kb
    text = (
        f"vm.min_free_kbytes is {facts.current_kb}, {100 * facts.current_kb // formula} % of the {formula} that the "
        f"kernel's own formula gives for {human_bytes(facts.lowmem_kb * 1024)} of low memory. Callers that cannot wait "
        "(network receive, above all) have that much less to live on while kswapd works."
    )
    if facts.default.huge is not None:
        wanted = huge_page_arithmetic(machine, facts.default.huge)
        text += f" With huge pages on, khugepaged would have asked for {wanted}; that much is not needed to be safe."
    evidence = _evidence(facts)
    recommendation = _recommend(
        snapshot,
        machine,
        formula,
        "below-kernel-default",
        text,
        "Somebody may have lowered it on purpose, to the last page of a small machine.",
        evidence,
    )
    return [recommendation], [Finding("below-kernel-default", Severity.NOTICE, text, evidence)]


def _too_high(snapshot: Snapshot, machine: Machine, facts: _Facts) -> tuple[list[Recommendation], list[Finding]]:
    share = 100 * facts.current_kb / facts.lowmem_kb
    text = (
        f"vm.min_free_kbytes is {facts.current_kb}, {share:.1f} % of low memory; the kernel itself never goes beyond "
        "5 % "
        f"({facts.lowmem_kb // 20}). Memory below the min marks is out of reach of ordinary allocations: reclaim "
        "starts "
        "earlier, and OOM kills come with memory free."
    )
    evidence = _evidence(facts)
    recommendation = _recommend(
        snapshot,
        machine,
        facts.default.effective_kb,
        "too-high",
        text,
        "A value this high may answer allocation failures seen earlier; then lower it in steps and watch the log.",
        evidence,
    )
    critical = recommendation.effect is not None and _is_out_of_memory(snapshot, machine)
    return [recommendation], [Finding("too-high", Severity.CRITICAL if critical else Severity.WARNING, text, evidence)]


def _is_out_of_memory(snapshot: Snapshot, machine: Machine) -> bool:
    meminfo = snapshot.meminfo_kb or {}
    short = all(zone.free_pages < zone.low_pages for zone in machine.zones if zone.populated)
    return short and meminfo.get("MemAvailable", 1) == 0


def _recommend(
    snapshot: Snapshot,
    machine: Machine,
    value_kb: int,
    cause: str,
    reason: str,
    against: str,
    evidence: tuple[Evidence, ...],
) -> Recommendation:
    effect = predict_effect(snapshot, machine, Write(MIN_FREE, str(value_kb)))
    dangerous = any(warning.startswith("DANGER") for warning in effect.projection.warnings)
    return Recommendation(
        key=MIN_FREE,
        current=str(machine.fit.min_free_kbytes),
        recommended=str(value_kb),
        cause=cause,
        reason=reason,
        against=against,
        evidence=evidence,
        effect=effect,
        risk=Level.HIGH if dangerous else Level.MEDIUM if effect.projection.warnings else Level.LOW,
        confidence=Level.HIGH if machine.fit.exact else Level.MEDIUM,
        auto=False,
        reference=REFERENCE,
    )


_GIVES_BACK = {
    True: "Setting transparent_hugepage to never gives most of it back.",
    False: "To get most of it back set transparent_hugepage to never and then write vm.min_free_kbytes (before 5.16 "
    "the kernel does not lower it by itself).",
}


def _huge_page_cost(machine: Machine, facts: _Facts) -> list[Finding]:
    # Above all with 64 KiB pages, where a page block is 512 MiB: worth knowing, nothing to repair.
    huge = facts.default.huge
    if huge is None or huge.wanted_kb <= huge.cap_kb or facts.current_kb < huge.recommended_kb * 9 // 10:
        return []
    text = (
        f"Transparent huge pages hold back {human_bytes(facts.current_kb * 1024)} "
        f"({100 * facts.current_kb / facts.lowmem_kb:.1f} % of low memory): {huge_page_arithmetic(machine, huge)}. "
        f"{_GIVES_BACK[machine.rules.min_free.huge_restores]}"
    )
    return [Finding("huge-page-reserve-large", Severity.INFO, text, _evidence(facts))]
