"""Whether a request was refused for the boost of the watermarks alone."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pagewarden.diagnose.replay import Replay, ZoneReplay, inferred_boosts, zone_state
from pagewarden.kernel.allocation import Verdict, check_zone
from pagewarden.kernel.allocation_rules import allocation_rules
from pagewarden.klog.types import Report
from pagewarden.units import kb_to_pages


@dataclass(frozen=True, slots=True)
class DecidingBoost:
    """A boost without which the request would have passed.

    :ivar pages: what it had added to every mark of its zone; at least, where it is `inferred`.
    :ivar inferred: the kernel does not print it (5.0 to 5.15); the mark is larger than the zone's share.
    """

    pages: int
    inferred: bool


def deciding_boost(report: Report, replay: Replay, zones: Sequence[ZoneReplay]) -> DecidingBoost | None:
    """Repeat the check of each zone with marks as they are without their boost; None where none would pass.

    Kernel: mm/page_alloc.c:boost_watermark() (5.0): min_wmark_pages() and its kin contain it.
    """
    if replay.version is None or not replay.version.at_least(5, 0) or replay.request is None:
        return None
    rules = allocation_rules(replay.version)
    unprinted = inferred_boosts(report, replay.page_size)
    for zone in zones:
        printed = zone.dump.boost_kb
        least = unprinted.get((zone.dump.node, zone.dump.zone), (0, 0))[0]
        boost = least if printed is None else kb_to_pages(printed, replay.page_size)
        if not boost or zone.check is None:
            continue
        state = zone_state(zone.dump, replay.page_size, rules)
        calm = replace(
            state,
            min_pages=state.min_pages - boost,
            low_pages=state.low_pages - boost,
            high_pages=state.high_pages - boost,
            boost_pages=0,
        )
        if check_zone(calm, replay.request, rules, zone.check.reserve_pages).verdict is Verdict.WOULD_PASS:
            return DecidingBoost(boost, printed is None)
    return None
