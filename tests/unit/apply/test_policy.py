from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.made_machine import MACHINES

from pagewarden.apply.policy import Policy, Proposal, Situation, Trial, in_window, judge
from pagewarden.kernel.machine import machine_of
from pagewarden.kernel.simulate import Simulation, Write, simulate
from pagewarden.procfs.snapshot import read_snapshot

MIN = "vm.min_free_kbytes"
NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)  # a Wednesday
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
MACHINE = machine_of(read_snapshot(str(MACHINES / "guest-4g")))
CURRENT = MACHINE.sysctls[MIN]


def effect(min_free: int) -> Simulation:
    return simulate(MACHINE, [Write(MIN, str(min_free))])


GOOD = Proposal(
    MIN, CURRENT, str(int(CURRENT) + 4096), "low", "high", NOW - 2 * DAY, NOW - HOUR, effect(int(CURRENT) + 4096)
)
CALM = Situation(NOW, NOW.replace(tzinfo=None), 86400.0, 0.0)


def trial(ago: timedelta, undone: str = "", direction: int = 1, key: str = MIN) -> Trial:
    return Trial(key, direction, NOW - ago, NOW - ago + HOUR / 4, undone)


def test_the_good_case_is_allowed() -> None:
    verdict = judge(GOOD, Policy(), CALM)
    assert verdict.reasons == ()
    assert verdict.allowed


@pytest.mark.parametrize(
    ("proposal", "policy", "situation", "reason"),
    [
        ({"value": "1024", "simulation": effect(1024)}, {}, {}, "never lowered without a person"),
        ({"key": "vm.zone_reclaim_mode"}, {}, {}, "only vm.min_free_kbytes, vm.watermark_scale_factor may be changed"),
        ({}, {"keys": ()}, {}, "only nothing may be changed"),
        ({"risk": "medium"}, {}, {}, "its risk is medium, and low is the most allowed"),
        ({"risk": "none at all"}, {"max_risk": "high"}, {}, "its risk is none at all"),
        ({"confidence": "medium"}, {}, {}, "its confidence is medium, and high is the least allowed"),
        ({"confidence": "certain"}, {"min_confidence": "low"}, {}, "its confidence is certain"),
        ({"evidence_since": None}, {}, {}, "it is not known how long the evidence has stood; 24 h are needed"),
        ({"evidence_since": NOW - 23 * HOUR}, {}, {}, "its evidence has stood for 23 h, and 24 h are needed"),
        ({"evidence_since": NOW + HOUR}, {}, {}, "dated in the future: the clock has been set back"),
        ({"simulation": None}, {}, {}, "its effect could not be computed"),
        ({"simulation": effect(900000)}, {}, {}, "% of memory would be held back"),
        ({}, {"max_held_back_percent": 0.1}, {}, "and 0.1 % is the most allowed"),
        (
            {},
            {},
            {"trials": (trial(23 * HOUR),)},
            "1 of 1 changes a day are made already, the last",
        ),
        ({}, {}, {"trials": (trial(-5 * DAY),)}, "1 of 1 changes a day are made already"),  # clock set back
        ({}, {"changes_per_day": 0}, {}, "no unattended changes are allowed"),
        ({}, {}, {"on_probation": True}, "an earlier change is still on probation"),
        ({}, {}, {"uptime_seconds": 3000.0}, "the machine has been up for 50 minutes, and 60 are needed"),
        ({}, {}, {"uptime_seconds": None}, "it is not known how long this machine has been up"),
        ({}, {}, {"pressure_percent": 1.5}, "tasks waited for memory 1.5 % of the last minute, and 1 % is the most"),
        ({}, {"windows": ("Sat-Sun 01:00-06:30",)}, {}, "it is Wed 12:00, outside the maintenance windows (Sat-Sun"),
        ({}, {"windows": ("whenever",)}, {}, "outside the maintenance windows (whenever)"),
        (
            {},
            {},
            {"trials": (trial(3 * DAY, undone="stalls rose"),)},
            None,  # newer evidence than the trial: may be tried again
        ),
        (
            {"evidence_latest": NOW - 4 * DAY},
            {},
            {"trials": (trial(3 * DAY, undone="stalls rose"),)},
            "it was tried 2026-11-22 12:00 UTC and given up (stalls rose); there is no evidence since",
        ),
        ({"evidence_latest": None}, {}, {"trials": (trial(3 * DAY, undone="x"),)}, "there is no evidence since"),
    ],
)
def test_every_reason(
    proposal: dict[str, object], policy: dict[str, object], situation: dict[str, object], reason: str | None
) -> None:
    verdict = judge(replace(GOOD, **proposal), replace(Policy(), **policy), replace(CALM, **situation))  # type: ignore[arg-type]
    if reason is None:
        assert verdict.reasons == ()
    else:
        assert len(verdict.reasons) == 1
        assert reason in verdict.reasons[0]


@pytest.mark.parametrize(
    ("proposal", "policy", "situation"),
    [
        ({}, {"windows": ("02:00-05:00", "Wed 11:00-13:00")}, {}),
        ({}, {}, {"trials": (trial(25 * HOUR),)}),
        ({}, {"changes_per_day": 2}, {"trials": (trial(HOUR),)}),
        ({}, {}, {"pressure_percent": None}),  # a kernel without PSI
        ({"evidence_latest": NOW - 4 * DAY}, {}, {"trials": (trial(3 * DAY, "x", direction=-1),)}),
        ({"evidence_latest": NOW - 4 * DAY}, {}, {"trials": (trial(3 * DAY, "x", key="vm.swappiness"),)}),
        ({"evidence_latest": NOW - 4 * DAY}, {}, {"trials": (trial(3 * DAY),)}),  # it stayed
        (
            {"key": "vm.watermark_scale_factor", "current": "20", "value": "10", "simulation": effect(1024)},
            {"max_held_back_percent": 0.01},
            {},  # gives memory back
        ),
        ({"evidence_since": NOW - 24 * HOUR}, {}, {}),
        ({}, {}, {"uptime_seconds": 3600.0}),
        ({}, {}, {"pressure_percent": 1.0}),
    ],
)
def test_what_is_no_reason(
    proposal: dict[str, object], policy: dict[str, object], situation: dict[str, object]
) -> None:
    found = judge(replace(GOOD, **proposal), replace(Policy(), **policy), replace(CALM, **situation))  # type: ignore[arg-type]
    assert found.reasons == ()


def test_all_reasons_are_given() -> None:
    bad = replace(GOOD, risk="high", confidence="low", evidence_since=None)
    verdict = judge(bad, Policy(), replace(CALM, uptime_seconds=1.0, pressure_percent=50.0))
    assert len(verdict.reasons) == 5
    assert not verdict.allowed


MIDNIGHT = datetime(2026, 11, 28, tzinfo=UTC)  # a Saturday


@pytest.mark.parametrize(
    ("text", "hours", "expected"),
    [
        ("02:00-05:00", 2, True),
        ("02:00-05:00", 5, False),
        ("02:00-05:00", 1.98, False),
        ("00:00-24:00", 23.99, True),
        ("Sat 22:00-06:00", 23, True),
        ("Sat 22:00-06:00", 29, True),  # Sunday 05:00: began on Saturday
        ("Sat 22:00-06:00", 5, False),  # Saturday 05:00: began on Friday
        ("Fri 22:00-06:00", 5, True),
        ("Fri-Sun 01:00-02:00", 1.5, True),
        ("Sun-Tue 01:00-02:00", 1.5, False),
        ("Sun-Sat 01:00-02:00", 1.5, True),
        ("Mon,Sat 01:00-02:00", 1.5, True),
        ("Mon,Tue 01:00-02:00", 1.5, False),
        ("Thu-Mon 01:00-02:00", 1.5, True),
        ("01:00-01:00", 13, True),  # a whole day
        ("Sam 01:00-02:00", 1.5, False),
        ("1:00-2:00", 1.5, False),
        ("", 0, False),
        ("Sat", 0, False),
    ],
)
def test_windows(text: str, hours: float, expected: bool) -> None:
    assert in_window(text, MIDNIGHT + timedelta(hours=hours)) is expected


@given(st.text(), st.datetimes())
def test_no_text_breaks_a_window(text: str, local: datetime) -> None:
    assert in_window(text, local) in (True, False)


@given(st.integers(-10_000, 10_000), st.integers(1, 3))
def test_a_clock_that_jumps_never_allows_one_more(minutes: int, per_day: int) -> None:
    """However the clock stands to the stamps, changes within a day of it count."""
    trials = tuple(trial(timedelta(minutes=minutes)) for _ in range(per_day))
    verdict = judge(GOOD, Policy(changes_per_day=per_day), replace(CALM, trials=trials))
    assert verdict.allowed is (minutes >= 24 * 60)
