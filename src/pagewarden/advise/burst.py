"""The reserve that failures in the log call for: the smallest value that would have held the bursts seen."""

from dataclasses import dataclass, replace

from pagewarden.diagnose.diagnosis import Diagnosis
from pagewarden.diagnose.log_evidence import Failure
from pagewarden.diagnose.min_free import MinFreeAtReport, WouldHavePassed, smallest_passing

PERFECT = 1.0


@dataclass(frozen=True, slots=True)
class Need:
    """What one report calls for.

    :ivar value_kb: the smallest vm.min_free_kbytes that holds the margin, or the cap where that is beyond it.
    :ivar passed: the smallest with which just this request would have passed; None where no value within the cap does.
    :ivar full: the margin is held.
    """

    failure: Failure
    diagnosis: Diagnosis
    value_kb: int
    passed: WouldHavePassed | None
    full: bool


def needs_of(failures: tuple[Failure, ...], setting: MinFreeAtReport, margin: float) -> list[Need]:
    """What each report calls for, the most demanding first; those that no value helps come last.

    :param setting: the machine as it is now.
    :param margin: how many times each burst the reserve must hold.
    """
    needs = [_need(failure, diagnosis, setting, margin) for failure in failures for diagnosis in failure.replayed]
    return sorted(needs, key=lambda need: (need.passed is None, -need.value_kb))


def for_want_of_a_block(diagnosis: Diagnosis, setting: MinFreeAtReport) -> bool:
    """A larger reserve would have had the pages, but no block of the size wanted: it is fragmentation that decides."""
    request = diagnosis.replay.request
    if request is None or request.order == 0:
        return False
    single = replace(diagnosis.replay, request=replace(request, order=0))
    return smallest_passing(single, setting, PERFECT) is not None


def _need(failure: Failure, diagnosis: Diagnosis, setting: MinFreeAtReport, margin: float) -> Need:
    passed = smallest_passing(diagnosis.replay, setting, PERFECT)
    if passed is None:
        return Need(failure, diagnosis, setting.cap_kb, None, False)
    held = smallest_passing(diagnosis.replay, setting, margin)
    if held is None:
        return Need(failure, diagnosis, setting.cap_kb, passed, False)
    return Need(failure, diagnosis, held.value_kb, held, True)
