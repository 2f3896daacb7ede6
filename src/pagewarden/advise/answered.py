"""Failures that another change answers already: nothing else is raised for them."""

from dataclasses import replace

from pagewarden.advise.observed import Observed
from pagewarden.advise.types import Recommendation
from pagewarden.diagnose.diagnosis import Diagnosis
from pagewarden.diagnose.log_evidence import Failure
from pagewarden.diagnose.replay import ZoneReplay, zone_state
from pagewarden.kernel.allocation import Verdict, check_zone
from pagewarden.kernel.allocation_rules import allocation_rules
from pagewarden.kernel.machine import RATIO, Machine


def without_answered(observed: Observed, machine: Machine, recommendations: list[Recommendation]) -> Observed:
    """What is observed, less the reports that would have passed with the smaller reserves now recommended.

    A zone had pages and kept them; with those given out nobody needs a larger min mark.
    """
    ratio = next((r for r in recommendations if r.key == RATIO and r.effect is not None and r.cost_bytes < 0), None)
    if ratio is None or observed.logs is None:
        return observed
    left = tuple(f for failure in observed.logs.failures if (f := _left(failure, machine, ratio)) is not None)
    return replace(observed, logs=replace(observed.logs, failures=left))


def _left(failure: Failure, machine: Machine, ratio: Recommendation) -> Failure | None:
    replayed = tuple(diagnosis for diagnosis in failure.replayed if not _answered(diagnosis, machine, ratio))
    return replace(failure, replayed=replayed, example=replayed[0]) if replayed else None


def _answered(diagnosis: Diagnosis, machine: Machine, ratio: Recommendation) -> bool:
    return any(
        zone.verdict is Verdict.LOWMEM_RESERVE and _passes(zone, diagnosis, machine, ratio)
        for zone in diagnosis.replay.zones
    )


def _passes(zone: ZoneReplay, diagnosis: Diagnosis, machine: Machine, ratio: Recommendation) -> bool:
    replay, layout = diagnosis.replay, machine.fit.layout or ()
    if replay.request is None or replay.version is None or replay.flags is None or replay.flags.zone not in layout:
        return False
    assert ratio.effect is not None
    key, column = (zone.dump.node or 0, zone.dump.zone), layout.index(replay.flags.zone)
    after = next((s.protection_pages for s in ratio.effect.simulation.after if (s.node, s.zone) == key), None)
    if after is None or column >= len(after):
        return False
    rules = allocation_rules(replay.version)
    check = check_zone(zone_state(zone.dump, replay.page_size, rules), replay.request, rules, after[column])
    return check.verdict is Verdict.WOULD_PASS
