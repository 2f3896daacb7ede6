"""The smallest vm.min_free_kbytes with which a refused request would have passed, through the kernel's own split.

The report shows the burst: how far the zone had been emptied below its low mark, where kswapd is woken. With a larger
setting every mark is higher, and the same burst taken from the higher low mark would have ended higher as well:

    burst = low - free,  free' = low' - margin * burst

(of a caller that may not use CMA: free less what of it is CMA's, as kswapd counts too.)

A zone that still had more than its low mark (a small one, barred by its reserve) was not drawn on: what it has free
does not grow with the setting.

The request passes if the check says so for free' against the higher marks. The value found is the smallest for which
that holds in the zone where it was nearest, and is not given where it would be beyond a twentieth of low memory. The
margin is 1 for what would have let just this request pass.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from math import ceil

from pagewarden.diagnose.left_out import low_zones_left_out
from pagewarden.diagnose.replay import Replay, ZoneReplay, is_empty, zone_state
from pagewarden.kernel.allocation import Check, Verdict, ZoneState, check_zone
from pagewarden.kernel.allocation_rules import allocation_rules
from pagewarden.kernel.fit import Fit, Settings, find_fit
from pagewarden.kernel.machine import Machine
from pagewarden.kernel.min_free import calculate_min_free_kbytes
from pagewarden.kernel.rules import KernelRules, rules_for
from pagewarden.kernel.version import KernelVersion
from pagewarden.kernel.watermarks import Marks, setup_per_zone_wmarks, zone_size
from pagewarden.kernel.zones import is_lowmem
from pagewarden.klog.types import Report
from pagewarden.procfs.types import Node, Zone
from pagewarden.units import kb_to_pages, pages_to_kb


@dataclass(frozen=True, slots=True)
class MinFreeAtReport:
    """What the marks of a report say of the setting in force then.

    :ivar value_kb: the setting, inferred from the min marks (within a page for each zone).
    :ivar formula_kb: what the kernel's square-root formula gives for the zones printed.
    :ivar scale_factor: vm.watermark_scale_factor; None for the kernel's own.
    """

    value_kb: int
    formula_kb: int
    lowmem_kb: int
    zones: tuple[Zone, ...]
    rules: KernelRules
    page_size: int
    scale_factor: int | None = None

    @property
    def cap_kb(self) -> int:
        """No raise passes this: a twentieth of low memory, as the kernel's own never does, or the value in force."""
        return max(self.lowmem_kb // 20, self.value_kb)


@dataclass(frozen=True, slots=True)
class WouldHavePassed:
    """The answer for the zone that was nearest.

    :ivar burst_pages: what had been taken from the zone between its low mark and the refusal.
    """

    value_kb: int
    zone: str
    burst_pages: int


def min_free_of(machine: Machine) -> MinFreeAtReport | None:
    """The machine as it is now, in place of what a report tells of it; None where the setting is not known."""
    value = machine.fit.min_free_kbytes
    lowmem = sum(zone_size(zone, machine.rules.min_free.size) for zone in machine.zones if is_lowmem(zone))
    if value is None or not lowmem:
        return None
    return MinFreeAtReport(
        value_kb=value,
        formula_kb=calculate_min_free_kbytes(lowmem, machine.page_size, machine.rules.min_free),
        lowmem_kb=pages_to_kb(lowmem, machine.page_size),
        zones=machine.zones,
        rules=machine.rules,
        page_size=machine.page_size,
        scale_factor=machine.fit.watermark_scale_factor,
    )


def min_free_at_report(report: Report, replay: Replay) -> MinFreeAtReport | None:
    """Infer the setting from the marks; None where a zone's marks or size are not printed, or fit no formula.

    Zones that are left out have shares of it, so the marks of the others alone do not tell it.
    """
    if low_zones_left_out(report, replay):
        return None
    printed = tuple(
        _Printed(
            node=dump.node or 0,
            zone=dump.zone,
            min_kb=dump.min_kb,
            low_kb=dump.low_kb,
            high_kb=dump.high_kb,
            present_kb=dump.present_kb,
            managed_kb=dump.managed_kb,
            boost_kb=dump.boost_kb,
        )
        for dump in (zone.dump for zone in printed_zones(replay))
    )
    return None if replay.version is None else _infer(printed, replay.version, replay.page_size)


@dataclass(frozen=True, slots=True)
class _Printed:
    """What tells the setting: the same in every report of a machine until somebody changes it."""

    node: int
    zone: str
    min_kb: int | None
    low_kb: int | None
    high_kb: int | None
    present_kb: int | None
    managed_kb: int | None
    boost_kb: int | None


@lru_cache(maxsize=64)
def _infer(printed: tuple[_Printed, ...], version: KernelVersion, page_size: int) -> MinFreeAtReport | None:
    zones = tuple(zone for each in printed if (zone := _zone(each, page_size)) is not None)
    if len(zones) != len(printed) or not zones:
        return None
    guess = rules_for(version)
    fit = _fit(zones, guess, page_size)
    if not fit.usable or fit.min_free_kbytes is None or fit.extra_free_kbytes:
        return None
    lowmem = sum(zone_size(zone, guess.min_free.size) for zone in zones if is_lowmem(zone))
    formula = calculate_min_free_kbytes(lowmem, page_size, guess.min_free)
    return MinFreeAtReport(fit.min_free_kbytes, formula, pages_to_kb(lowmem, page_size), zones, fit.rules, page_size)


def _fit(zones: Sequence[Zone], guess: KernelRules, page_size: int) -> Fit:
    nodes = tuple(
        Node(number, tuple(zone for zone in zones if zone.node == number))
        for number in dict.fromkeys(zone.node for zone in zones)
    )
    return find_fit(nodes, Settings(None, None, None), guess, page_size)


def _zone(printed: _Printed, page_size: int) -> Zone | None:
    if printed.min_kb is None or printed.low_kb is None or printed.high_kb is None or printed.present_kb is None:
        return None
    present = kb_to_pages(printed.present_kb, page_size)
    return Zone(
        node=printed.node,
        name=printed.zone,
        free_pages=0,  # plays no part in the fit
        min_pages=kb_to_pages(printed.min_kb, page_size),
        low_pages=kb_to_pages(printed.low_kb, page_size),
        high_pages=kb_to_pages(printed.high_kb, page_size),
        spanned_pages=present,
        present_pages=present,
        managed_pages=None if printed.managed_kb is None else kb_to_pages(printed.managed_kb, page_size),
        boost_pages=None if printed.boost_kb is None else kb_to_pages(printed.boost_kb, page_size),
    )


def smallest_passing(replay: Replay, setting: MinFreeAtReport, margin: float = 1.0) -> WouldHavePassed | None:
    """Find the smallest value with which the request would have passed in some zone; None within the cap.

    :param setting: the machine of the report, or (`min_free_of`) the same machine as it is now.
    :param margin: how many times the burst the reserve must hold.
    """
    known = {(zone.node, zone.name) for zone in setting.zones}
    refused = [
        zone
        for zone in replay.zones
        if zone.verdict in (Verdict.BELOW_MARK, Verdict.LOWMEM_RESERVE) and _key(zone) in known
    ]
    answers = []
    for zone in refused:
        value = _smallest_for(zone, replay, setting, margin)
        if value is not None:
            state = zone_state(zone.dump, replay.page_size, allocation_rules(replay.version or _NEWEST))
            answers.append(WouldHavePassed(value, zone.name, burst_pages(state, zone.check)))
    return min(answers, key=lambda answer: answer.value_kb, default=None)


_NEWEST = KernelVersion("unknown", (7, 2, 0))


def _smallest_for(zone: ZoneReplay, replay: Replay, setting: MinFreeAtReport, margin: float) -> int | None:
    if not passes_with(zone, replay, setting, setting.cap_kb, margin):
        return None
    low, high = setting.value_kb, setting.cap_kb
    while low < high:
        middle = (low + high) // 2
        if passes_with(zone, replay, setting, middle, margin):
            high = middle
        else:
            low = middle + 1
    return low


def passes_with(zone: ZoneReplay, replay: Replay, setting: MinFreeAtReport, value_kb: int, margin: float = 1.0) -> bool:
    """Whether the request would have passed in this zone with another value and a burst MARGIN times as large."""
    if zone.check is None or replay.request is None or replay.version is None:
        return False
    marks = setup_per_zone_wmarks(
        setting.zones, value_kb, setting.scale_factor, setting.rules.watermarks, setting.page_size
    )
    index = next(i for i, known in enumerate(setting.zones) if (known.node, known.name) == _key(zone))
    rules = allocation_rules(replay.version)
    state = zone_state(zone.dump, replay.page_size, rules)
    raised: Marks = marks[index].raised(state.boost_pages or 0)
    burst = burst_pages(state, zone.check)
    cma = _withheld_cma(state, zone.check)
    changed = replace(
        state,
        free_pages=max(state.free_pages, raised.low_pages + cma - ceil(margin * burst)),
        min_pages=raised.min_pages,
        low_pages=raised.low_pages,
        high_pages=raised.high_pages,
    )
    return check_zone(changed, replay.request, rules, zone.check.reserve_pages).verdict is Verdict.WOULD_PASS


def burst_pages(state: ZoneState, check: Check | None) -> int:
    """What was taken between low, where kswapd is woken, and the refusal; free CMA pages keep kswapd from nothing."""
    return max(0, state.low_pages - (state.free_pages - _withheld_cma(state, check)))


def _withheld_cma(state: ZoneState, check: Check | None) -> int:
    return min(state.cma_pages, check.withheld_pages) if check is not None else 0


def smallest_scale_factor(replay: Replay, setting: MinFreeAtReport, most: int, margin: float = 1.0) -> int | None:
    """Find the smallest vm.watermark_scale_factor with which the request would have passed; None up to MOST.

    :param setting: the machine as it is now, with the factor in force.
    """
    known = {(zone.node, zone.name) for zone in setting.zones}
    refused = [zone for zone in replay.zones if zone.verdict is Verdict.BELOW_MARK and _key(zone) in known]
    factors = range(setting.scale_factor or 1, most + 1)
    found = [
        factors[index]
        for zone in refused
        if (index := bisect_left(factors, True, key=partial(_passes_scaled, zone, replay, setting, margin)))
        < len(factors)
    ]
    return min(found, default=None)


def _passes_scaled(zone: ZoneReplay, replay: Replay, setting: MinFreeAtReport, margin: float, factor: int) -> bool:
    return passes_with(zone, replay, replace(setting, scale_factor=factor), setting.value_kb, margin)


def _key(zone: ZoneReplay) -> tuple[int, str]:
    return zone.dump.node or 0, zone.dump.zone


def printed_zones(replay: Replay) -> list[ZoneReplay]:
    """The zones whose own line is in the report and which have pages."""
    return [zone for zone in replay.zones if zone.dump.free_kb is not None and not is_empty(zone.dump)]
