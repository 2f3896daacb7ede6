"""vm.min_free_kbytes from a snapshot alone: below the kernel's own value, or too high for the machine."""

from dataclasses import dataclass

from pagewarden.advise.build import AGAINST_PERCENT, recommend_value
from pagewarden.advise.types import Recommendation
from pagewarden.diagnose.settings import huge_page_arithmetic
from pagewarden.diagnose.types import Evidence, Finding, Severity
from pagewarden.kernel.defaults import MinFreeDefault, default_min_free
from pagewarden.kernel.machine import MIN_FREE, Machine
from pagewarden.kernel.projection import TOO_LOW_PERCENT, usage_of
from pagewarden.kernel.watermarks import zone_size
from pagewarden.procfs.types import Snapshot
from pagewarden.units import human_bytes, pages_to_kb

PAINFUL_PERCENT = 10
"""From this share of low memory on, reclaim and kills with memory free can be felt."""


@dataclass(frozen=True, slots=True)
class _Facts:
    current_kb: int
    inferred: bool
    default: MinFreeDefault
    lowmem_kb: int

    @property
    def cap_kb(self) -> int:
        # Tiny machines: the square root alone is more than a twentieth.
        return max(self.lowmem_kb // 20, self.default.effective_kb)


def advise_min_free_kbytes(snapshot: Snapshot, machine: Machine) -> tuple[list[Recommendation], list[Finding]]:
    """Compare the value in force with the kernel's own formulas and with the 5 % the kernel allows khugepaged.

    Where the setting is not captured, the value that the min marks tell is judged.
    """
    current = machine.fit.min_free_kbytes
    default = default_min_free(machine)
    if current is None or default.lowmem_pages == 0:  # nothing shares it, or nothing tells it
        return [], []
    if machine.fit.inferred and machine.fit.layout is None:  # zones may be missing, and their shares with them
        return [], []
    lowmem_kb = pages_to_kb(default.lowmem_pages, machine.page_size)
    facts = _Facts(current, machine.fit.inferred, default, lowmem_kb)
    if current * 100 < default.lowmem_formula_kb * TOO_LOW_PERCENT:
        return _too_low(snapshot, machine, facts)
    if current > facts.cap_kb and (current - default.effective_kb) * 100 > current * AGAINST_PERCENT:
        return _too_high(snapshot, machine, facts)
    return [], _huge_page_cost(machine, facts)


def _evidence(facts: _Facts) -> tuple[Evidence, ...]:
    source = "inferred from the min marks" if facts.inferred else "/proc/sys/vm/min_free_kbytes"
    found = [
        Evidence("vm.min_free_kbytes in force, kB", facts.current_kb, source),
        Evidence("low memory, kB", facts.lowmem_kb, "/proc/zoneinfo: managed pages of the zones up to Normal"),
        Evidence("kernel's square-root formula, kB", facts.default.lowmem_formula_kb, "4 * sqrt(low memory in kB)"),
    ]
    if facts.default.huge is not None:
        kb = facts.default.huge.recommended_kb
        found.append(Evidence("khugepaged's recommendation, kB", kb, "transparent huge pages are on"))
    return tuple(found)


def _too_low(snapshot: Snapshot, machine: Machine, facts: _Facts) -> tuple[list[Recommendation], list[Finding]]:
    formula, huge = facts.default.lowmem_formula_kb, facts.default.huge
    text = (
        f"vm.min_free_kbytes is {facts.current_kb}, {100 * facts.current_kb // formula} % of the {formula} that the "
        f"kernel's own formula gives for {human_bytes(facts.lowmem_kb * 1024)} of low memory. Callers that cannot wait "
        "(network receive, above all) have that much less to live on while kswapd works."
    )
    if huge is not None and huge.recommended_kb > formula:
        wanted = huge_page_arithmetic(machine, huge)
        text += f" With huge pages on, khugepaged would have asked for {wanted}; that much is not needed to be safe."
    evidence = _evidence(facts)
    against = "The machine was trimmed to the last page on purpose, and nothing on it allocates in interrupts."
    cause = "below-kernel-default"
    recommendation = recommend_value(
        snapshot, machine, MIN_FREE, str(facts.current_kb), str(formula), cause, text, against, evidence
    )
    return [recommendation], [Finding(cause, Severity.NOTICE, text, evidence)]


def _too_high(snapshot: Snapshot, machine: Machine, facts: _Facts) -> tuple[list[Recommendation], list[Finding]]:
    share = 100 * facts.current_kb / facts.lowmem_kb
    text = (
        f"vm.min_free_kbytes is {facts.current_kb}, {share:.1f} % of low memory; the kernel would choose "
        f"{facts.default.effective_kb} here. Memory below the min marks is out of reach of ordinary allocations: "
        "reclaim "
        "starts earlier, and OOM kills come with memory free."
    )
    evidence = _evidence(facts)
    against = "A value this high answers allocation failures seen earlier: then lower it in steps and watch the log."
    value = str(facts.default.effective_kb)
    recommendation = recommend_value(
        snapshot, machine, MIN_FREE, str(facts.current_kb), value, "too-high", text, against, evidence
    )
    return [recommendation], [Finding("too-high", _severity(snapshot, machine, share), text, evidence)]


def _severity(snapshot: Snapshot, machine: Machine, share_percent: float) -> Severity:
    """Critical where the high marks leave less than what is in use: then a kill is only a matter of time."""
    size = machine.rules.watermarks.size
    total = sum(zone_size(zone, size) for zone in machine.zones)
    highs = sum(min(zone.high_pages, zone_size(zone, size)) for zone in machine.zones)
    usage = usage_of(snapshot, machine)
    if usage is not None:
        in_use = total - usage.free_pages - usage.cache_pages - usage.slab_pages
        if in_use > total - highs:
            return Severity.CRITICAL
    nothing_left = (snapshot.meminfo_kb or {}).get("MemAvailable") == 0
    short = all(zone.free_pages < zone.low_pages for zone in machine.zones if zone.populated)
    if highs * 2 > total or (nothing_left and short):
        return Severity.CRITICAL
    return Severity.WARNING if share_percent > PAINFUL_PERCENT else Severity.NOTICE


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
