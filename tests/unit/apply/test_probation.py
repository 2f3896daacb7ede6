from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pagewarden.apply.probation import (
    MOST_SECONDS,
    NOTHING,
    Baseline,
    Counts,
    Decision,
    Ending,
    Probation,
    Reading,
    Sign,
    Watched,
    bought,
    observe,
)

KEY = "vm.min_free_kbytes"
UP = 100_000.0
HOUR = 3600


def reading(
    seconds: float, *, boot: str = "a", value: str | None = "2", uptime: float | None = None, **counts: int
) -> Reading:
    """Make a reading so many seconds after the change."""
    return Reading(boot, UP + seconds if uptime is None else uptime, replace(NOTHING, **counts), {KEY: value})


def probation(
    *, promised: Sign | None = None, minutes: float = 15, failures: int | None = 0, **before: int
) -> Probation:
    """Make a probation; `before` is what was counted in the 100,000 seconds since boot."""
    start = reading(0)
    return Probation(
        changes=(Watched(KEY, "1", "2"),),
        started_at="2026-11-25T12:00:00+00:00",
        boot_id="a",
        uptime_seconds=UP,
        seconds=minutes * 60,
        unattended=True,
        promised=promised,
        baseline=Baseline(UP, replace(NOTHING, **before), failures, 86_400.0),
        last=start,
        window=start,
    )


def run(start: Probation, *readings: Reading) -> tuple[str, float]:
    """Feed readings until it is decided: how it ended, and how long it had been watched."""
    for each in readings:
        start = observe(start, each)
    return (start.decision.ending.value if start.decision else "watching"), start.watched_seconds


@pytest.mark.parametrize(
    ("start", "readings", "ending"),
    [
        # nothing happens
        (probation(), [reading(30), reading(600)], "watching"),
        (probation(), [reading(30), reading(900)], "keep"),
        # OOM kills
        (probation(), [reading(1, oom_kills=1)], "harm"),
        (probation(oom_kills=100), [reading(900, oom_kills=2)], "keep"),  # 0.9 expected, three times that allowed
        (probation(oom_kills=100), [reading(900, oom_kills=3)], "harm"),
        # direct reclaim: 10 a second, and three times what there was
        (probation(), [reading(60, stalls=600)], "watching"),
        (probation(), [reading(60, stalls=601)], "harm"),
        (probation(), [reading(5, stalls=601)], "harm"),  # more than a minute may bring, already
        (probation(), [reading(5, stalls=599), reading(59, stalls=599), reading(119, stalls=600)], "watching"),
        (probation(), [reading(60, stalls=600), reading(120, stalls=1300)], "harm"),
        (probation(stalls=500_000), [reading(60, stalls=900)], "watching"),  # 5 a second before
        (probation(stalls=500_000), [reading(60, stalls=901)], "harm"),
        (probation(), [reading(3600, stalls=35_000)], "keep"),  # nobody looked for an hour: the average counts
        # pressure
        (probation(), [reading(60, full_us=6_000_000)], "watching"),
        (probation(), [reading(60, full_us=6_100_000)], "harm"),
        (probation(), [reading(60, some_us=15_000_000)], "watching"),
        (probation(), [reading(60, some_us=15_100_000)], "harm"),
        (probation(some_us=10_000_000_000), [reading(60, some_us=17_000_000)], "watching"),  # 10 % before
        (probation(some_us=10_000_000_000), [reading(60, some_us=19_000_000)], "harm"),
        # refused allocations
        (probation(), [reading(60, failures=2)], "watching"),
        (probation(), [reading(60, failures=3)], "harm"),
        (probation(failures=8640), [reading(60, failures=20)], "watching"),  # 6 expected
        (probation(failures=8640), [reading(60, failures=21)], "harm"),
        # somebody else's value
        (probation(), [reading(10, value="3")], "lost"),
        (probation(), [reading(10, value="1")], "lost"),
        (probation(), [reading(10, value=None)], "lost"),
        # benefit: 0.1 a second before, 90 expected in 15 minutes
        (probation(promised=Sign.STALLS, stalls=10_000), [reading(900, stalls=74)], "keep"),
        (probation(promised=Sign.STALLS, stalls=10_000), [reading(900, stalls=75)], "watching"),  # may be chance
        (probation(promised=Sign.STALLS, stalls=10_000), [reading(900, stalls=89)], "watching"),
        (probation(promised=Sign.STALLS, stalls=10_000), [reading(900, stalls=90)], "no-better"),
        (probation(promised=Sign.STALLS, stalls=10_000), [reading(MOST_SECONDS, stalls=7700)], "keep"),
        (probation(promised=Sign.STALLS, stalls=10_000), [reading(MOST_SECONDS, stalls=7800)], "no-better"),
        (probation(promised=Sign.STALLS, stalls=10_000), [reading(899, stalls=89)], "watching"),
        (probation(promised=Sign.STALLS), [reading(900, stalls=5)], "keep"),  # none before: nothing to compare
        # 0.001 a second before: 0.9 expected in 15 minutes, so it is watched on
        (probation(promised=Sign.STALLS, stalls=100), [reading(900)], "watching"),
        (probation(promised=Sign.STALLS, stalls=100), [reading(10_000)], "keep"),
        (probation(promised=Sign.STALLS, stalls=100), [reading(10_000, stalls=10)], "no-better"),
        (probation(promised=Sign.STALLS, stalls=1), [reading(MOST_SECONDS - 1)], "watching"),
        (probation(promised=Sign.STALLS, stalls=1), [reading(MOST_SECONDS)], "keep"),
        (probation(promised=Sign.STALLS, stalls=1), [reading(MOST_SECONDS, stalls=1)], "no-better"),
        (probation(promised=Sign.FAILURES, failures=960), [reading(900, failures=4)], "keep"),
        (probation(promised=Sign.FAILURES, failures=960), [reading(900, failures=5)], "watching"),
        (probation(promised=Sign.FAILURES, failures=960), [reading(900, failures=10)], "no-better"),
        (probation(promised=Sign.FAILURES, failures=None), [reading(900)], "keep"),  # nobody counted
        (probation(promised=Sign.STALLS), [reading(900, stalls=0)], "keep"),
    ],
)
def test_how_it_ends(start: Probation, readings: list[Reading], ending: str) -> None:
    assert run(start, *readings)[0] == ending


def test_a_reboot_counts_what_the_new_boot_counts() -> None:
    start = probation(stalls=10_000)
    after = reading(0, boot="b", uptime=50.0, stalls=4)
    ending, seconds = run(start, reading(600, stalls=40), after)
    assert (ending, seconds) == ("watching", 650.0)
    assert observe(observe(start, reading(600, stalls=40)), after).counts.stalls == 44
    assert run(start, reading(600), after, reading(0, boot="b", uptime=300.0, stalls=5)) == ("keep", 900.0)
    assert run(start, reading(0, boot="b", uptime=5.0, oom_kills=1))[0] == "harm"


def test_counters_that_run_backwards_tell_nothing() -> None:
    start = observe(probation(), reading(10, stalls=50))
    back = observe(start, reading(20, stalls=10))
    assert (back.watched_seconds, back.counts.stalls, back.decision) == (10.0, 50, None)
    assert observe(back, reading(30, stalls=12)).counts.stalls == 52
    early = observe(start, reading(5, stalls=60))
    assert early.watched_seconds == 10.0


def test_a_minute_that_cannot_be_compared_begins_anew() -> None:
    """Otherwise no rate would be seen until the counters are again where they were."""
    begun = replace(probation(), window=reading(50_000, stalls=9000))
    assert run(begun, reading(10, stalls=10), reading(70, stalls=700))[0] == "harm"


def test_what_was_lost_and_is_ours_again_is_watched_on() -> None:
    """Decided, and the power went before anything was done: the next boot set our value."""
    lost = observe(probation(), reading(5, value="3"))
    assert lost.decision is not None
    assert run(lost, reading(0, boot="b", uptime=20))[0] == "watching"
    assert run(lost, reading(0, boot="b", uptime=20, value="3"))[0] == "lost"


def test_kernels_without_psi_and_oom_kill_counter() -> None:
    bare = Counts(0, None, None, None, None)
    start = replace(
        probation(),
        baseline=Baseline(UP, bare),
        last=replace(reading(0), counts=bare),
        window=replace(reading(0), counts=bare),
    )
    done = observe(start, replace(reading(900), counts=replace(bare, stalls=3)))
    assert done.decision == Decision(Ending.KEEP, "it did no harm; it promised nothing that can be counted")
    assert bought(done) == "in 15 minutes: 3 direct reclaims (at the old rate 0.0)"


def test_what_was_decided_stays() -> None:
    decided = observe(probation(), reading(1, oom_kills=1))
    assert decided.decision is not None
    assert decided.decision.undo
    assert observe(decided, reading(900)) is decided


def test_the_sentences() -> None:
    promised = probation(promised=Sign.STALLS, stalls=10_000, failures=960)
    done = observe(promised, reading(900, stalls=92, failures=1))
    assert done.decision is not None
    assert done.decision.why == "92 direct reclaims in 15 minutes, 90.0 were to be expected as before"
    assert bought(done) == (
        "in 15 minutes: 92 direct reclaims (at the old rate 90.0), "
        "1 refused allocations (at the old rate 10.0), 0 OOM kills"
    )
    hurt = observe(probation(stalls=500_000), reading(60, stalls=901)).decision
    assert hurt is not None
    assert hurt.why == "15 direct reclaims a second (5.0 before, limit 15)"


@given(
    st.lists(
        st.builds(
            lambda boot, uptime, stalls, kills: reading(0, boot=boot, uptime=uptime, stalls=stalls, oom_kills=kills),
            st.sampled_from("ab"),
            st.floats(0, 1e6),
            st.integers(0, 10**9),
            st.integers(0, 3),
        ),
        max_size=8,
    )
)
def test_any_readings_leave_it_sound(readings: list[Reading]) -> None:
    found = probation(promised=Sign.STALLS, stalls=1000)
    for each in readings:
        grown = observe(found, each)
        assert grown.watched_seconds >= found.watched_seconds
        assert grown.counts.sound
        found = grown
