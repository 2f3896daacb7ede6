"""The fold: what the service says, keeps and asks for, from what it sees."""

from collections.abc import Iterable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pagewarden.advise import watermark_scale_factor as scale
from pagewarden.daemon import findings as life
from pagewarden.daemon import stalls as judged
from pagewarden.daemon.state import MAX_ENTRIES_AN_HOUR, UNDECODED, Limits, State, fold, sleep_ns, start
from pagewarden.daemon.types import (
    CHILD_NS,
    DAY_NS,
    DECODER,
    HOUR_NS,
    MINUTE_NS,
    SECOND_NS,
    Action,
    Advices,
    Advised,
    Ask,
    Decoded,
    Degraded,
    Entry,
    Fault,
    Happened,
    Kind,
    LogCounts,
    Observation,
    Phase,
    Reading,
    Summary,
    ZoneReading,
)

CALM = Reading((ZoneReading(0, "Normal", 90_000, 800, 1000, 1200, 100_000),), {"allocstall": 0, "oom_kill": 0}, 0, 0, 1)
REPORT = Decoded(
    "sig", "oom/memory-exhausted/f", "oom", "memory-exhausted", "critical", "text", key="action:reduce-load"
)
BAD_SETTING = Advised("too-high/vm.min_free_kbytes", "too-high", "warning", "too much", "vm.min_free_kbytes", "67584")
PASSING = Advised("reclaim-too-slow", "reclaim-too-slow", "warning", "below min", settled=False)


class Run:
    """Folds observations, with a clock that the test moves."""

    def __init__(self, **limits: bool) -> None:
        self.now = 0
        self.state: State = start(Limits(**limits), 0)
        self.actions: list[Action] = []

    def see(self, *seen: Observation, after: int = 0) -> list[Action]:
        self.now += after
        new: list[Action] = []
        for one in seen:
            self.state, actions = fold(self.state, one, self.now)
            new += actions
        self.actions += new
        return new

    def calm(self, span_ns: int, step_ns: int = MINUTE_NS, reading: Reading = CALM) -> list[Action]:
        new: list[Action] = []
        for _ in range(span_ns // step_ns):
            new += self.see(reading, after=step_ns)
        return new


def entries(actions: Iterable[Action]) -> list[tuple[Phase, str, int]]:
    return [(action.phase, action.cause, action.count) for action in actions if isinstance(action, Entry)]


def asked(actions: Iterable[Action]) -> list[str]:
    return [action.why for action in actions if isinstance(action, Ask)]


def test_a_day_of_calm_is_one_line_and_a_few_questions() -> None:
    run = Run()
    actions = run.calm(DAY_NS)
    assert entries(actions) == []
    assert asked(actions) == ["start", "routine", "routine", "routine"]
    assert [type(action) for action in actions if not isinstance(action, Ask)] == [Summary]
    assert run.state.polls == 1440


def test_the_daily_line_can_be_off() -> None:
    assert not any(isinstance(action, Summary) for action in Run(daily_summary=False).calm(2 * DAY_NS))


def test_sleep() -> None:
    run = Run()
    assert sleep_ns(run.state, 0) == 0
    run.see(CALM)
    assert sleep_ns(run.state, 10 * SECOND_NS) == 50 * SECOND_NS
    assert sleep_ns(run.state, HOUR_NS) == 0


def test_a_report_is_told_once_and_repeats_are_counted() -> None:
    run = Run()
    run.see(CALM)
    assert entries(run.see(LogCounts({"sig": 1}))) == []
    assert entries(run.see((REPORT,))) == [(Phase.APPEARED, "memory-exhausted", 1)]
    said = [entry for _ in range(8) for entry in entries(run.see(LogCounts({"sig": 1}), after=SECOND_NS))]
    assert said == []
    assert entries(run.see(LogCounts({"sig": 1}), after=life.CHANGE_PAUSE_NS)) == [
        (Phase.CHANGED, "memory-exhausted", 10)
    ]
    assert run.state.reports == 10
    kept = [action for action in run.actions if isinstance(action, Happened)]
    assert sum(action.count for action in kept) == 10


def test_a_report_is_over_after_a_day_without_another() -> None:
    run = Run(daily_summary=False)
    run.see(CALM, LogCounts({"sig": 3}), (REPORT,))
    assert entries(run.calm(DAY_NS - MINUTE_NS)) == []
    assert entries(run.calm(MINUTE_NS)) == [(Phase.ENDED, "memory-exhausted", 3)]
    run.see(LogCounts({"sig": 1}), (REPORT,))
    assert entries(run.actions)[-1] == (Phase.APPEARED, "memory-exhausted", 1)


def test_a_report_that_goes_on_is_said_again_after_a_day() -> None:
    run = Run(daily_summary=False)
    run.see(CALM, LogCounts({"sig": 3}), (REPORT,))
    said = []
    for _ in range(49):
        said += entries(run.see(LogCounts({"sig": 0 if len(said) > 9 else 1}), CALM, after=HOUR_NS // 2))
    assert said == [(Phase.CHANGED, "memory-exhausted", 30)] or said == [(Phase.CHANGED, "memory-exhausted", 51)]


def test_reports_that_nobody_decodes_are_told_as_counted() -> None:
    run = Run()
    run.see(CALM, LogCounts({"a": 5, "b": 9}))
    assert entries(run.calm(CHILD_NS)) == []  # the decoder may still be at it
    actions = run.calm(2 * MINUTE_NS)
    assert entries(actions) == [(Phase.APPEARED, "incomplete", 14)]
    assert UNDECODED in run.state.findings
    assert "b" in next(action.text for action in actions if isinstance(action, Entry))


def test_where_the_decoder_fails_they_are_told_at_once() -> None:
    run = Run()
    run.see(CALM, LogCounts({"a": 5}))
    assert entries(run.see(Fault(DECODER, "it ended early"))) == [(Phase.APPEARED, "incomplete", 5)]
    assert run.state.pending == {}
    run.see(LogCounts({"b": 1}))
    run.see(Fault(DECODER, "it ended early"))
    assert run.state.pending == {}


def test_what_is_decoded_late_is_told_with_its_meaning() -> None:
    run = Run()
    run.see(CALM, LogCounts({"sig": 3}))
    run.calm(2 * MINUTE_NS)
    assert entries(run.see((REPORT,))) == [(Phase.APPEARED, "memory-exhausted", 3)]


def test_signatures_are_bounded() -> None:
    run = Run()
    for number in range(2000):
        run.see(LogCounts({f"s{number}": 1}))
    assert len(run.state.pending) <= 257
    assert sum(run.state.pending.values()) == 2000
    for number in range(2000):
        run.see(LogCounts({f"t{number}": 1}), (replace(REPORT, signature=f"t{number}", identity=f"oom/x/{number}"),))
    assert len(run.state.findings) <= life.MAX_TRACKED + 1
    assert len(run.state.signatures) <= 257
    assert run.state.reports == 4000


def test_no_more_than_so_many_entries_an_hour() -> None:
    run = Run()
    for number in range(200):
        run.see(LogCounts({f"t{number}": 1}), (replace(REPORT, signature=f"t{number}", identity=f"oom/x/{number}"),))
    assert len(entries(run.actions)) == MAX_ENTRIES_AN_HOUR
    assert run.state.held_back == 200 - MAX_ENTRIES_AN_HOUR
    summary = next(action for action in run.calm(DAY_NS) if isinstance(action, Summary))
    assert summary.entries_held_back >= 200 - MAX_ENTRIES_AN_HOUR


def test_a_setting_is_told_at_once_and_over_when_it_was_mended() -> None:
    run = Run()
    run.see(CALM)
    assert entries(run.see(Advices((BAD_SETTING,)))) == [(Phase.APPEARED, "too-high", 1)]
    assert entries(run.see(Advices((BAD_SETTING,)), after=HOUR_NS)) == []
    mended = replace(CALM, settings=2)
    assert asked(run.see(mended, after=MINUTE_NS)) == ["settings changed"]
    assert entries(run.see(Advices(()))) == []
    actions = run.calm(life.ENDS_AFTER_NS, reading=mended)
    assert asked(actions) == ["to see whether it is over"]
    assert entries([*actions, *run.see(Advices(()))]) == [(Phase.ENDED, "too-high", 1)]


def test_another_proposed_value_is_a_change() -> None:
    run = Run()
    run.see(CALM, Advices((BAD_SETTING,)))
    other = replace(BAD_SETTING, mark="90000")
    assert entries(run.see(Advices((other,)), after=SECOND_NS)) == []
    assert entries(run.see(Advices((other,)), after=life.CHANGE_PAUSE_NS)) == [(Phase.CHANGED, "too-high", 1)]


def test_what_becomes_worse_is_told_at_once() -> None:
    run = Run()
    run.see(CALM, Advices((BAD_SETTING,)))
    worse = replace(BAD_SETTING, severity="critical")
    assert entries(run.see(Advices((worse,)), after=SECOND_NS)) == [(Phase.CHANGED, "too-high", 1)]


def test_what_comes_and_goes_must_be_seen_twice() -> None:
    run = Run()
    run.see(CALM)
    assert entries(run.see(Advices((PASSING,)))) == []
    assert asked(run.calm(MINUTE_NS)) == ["to confirm"]
    assert entries(run.see(Advices(()))) == []
    quiet = run.calm(HOUR_NS)
    assert (entries(quiet), asked(quiet)) == ([], [])
    assert "reclaim-too-slow" not in run.state.findings
    run.see(Advices((PASSING,)))
    assert entries(run.see(Advices((PASSING,)), after=MINUTE_NS)) == [(Phase.APPEARED, "reclaim-too-slow", 1)]


def test_critical_is_not_waited_with() -> None:
    run = Run()
    actions = run.see(CALM, Advices((replace(PASSING, severity="critical"),)))
    assert entries(actions) == [(Phase.APPEARED, "reclaim-too-slow", 1)]


def test_info_is_not_for_the_journal() -> None:
    run = Run()
    known = Advices((replace(BAD_SETTING, severity="info"), replace(PASSING, severity="info")))
    assert entries(run.see(CALM, known)) == []
    quiet = run.calm(DAY_NS)
    assert entries(quiet) == []
    assert set(asked(quiet)) == {"routine"}, "what is not told need not be confirmed"


def stalling(minute: int, each: int) -> Reading:
    return replace(CALM, counters={"allocstall": minute * each, "oom_kill": 0})


def test_stalls_between_polls_are_found_by_their_counter() -> None:
    run = Run()
    run.see(stalling(0, 600))
    actions = run.see(stalling(1, 600), after=MINUTE_NS)
    assert entries(actions) == [(Phase.APPEARED, "direct-reclaim-stalls", 1)]
    assert [action.count for action in actions if isinstance(action, Happened)] == [600]
    assert asked(actions) == ["stalls"]
    for minute in range(2, 60):
        assert entries(run.see(stalling(minute, 600), after=MINUTE_NS)) == []


def test_stalls_end_when_they_have_eased_for_long_enough() -> None:
    run = Run()
    total = 0
    said: list[tuple[int, Phase]] = []
    # 10 a second, then just below what makes it appear, then none.
    for minute, stalls in enumerate([600] * 5 + [45] * 20 + [0] * 15):
        total += stalls
        actions = run.see(replace(CALM, counters={"allocstall": total}), after=MINUTE_NS)
        said += [(minute, action.phase) for action in actions if isinstance(action, Entry)]
    assert said == [(1, Phase.APPEARED), (34, Phase.ENDED)]


def test_counters_that_begin_again_make_no_stalls() -> None:
    run = Run()
    run.see(replace(CALM, counters={"allocstall": 10**6}))
    for value in (5, None, 10**9, 3):
        counters = None if value is None else {"allocstall": value}
        assert entries(run.see(replace(CALM, counters=counters), after=MINUTE_NS)) == []


@pytest.mark.parametrize(("stalls", "told"), [(0, False), (5, False), (6, True), (59, True), (None, False)])
def test_pressure_counts_only_beside_stalls(stalls: int | None, told: bool) -> None:
    """kswapd's work, a group's limit and pages read back in are pressure too; no setting here answers these."""
    run = Run()
    run.see(CALM)
    counters = {} if stalls is None else {"allocstall": stalls}
    actions = run.see(replace(CALM, pressure_some_us=3_000_000, counters=counters), after=MINUTE_NS)
    assert entries(actions) == ([(Phase.APPEARED, "direct-reclaim-stalls", 1)] if told else [])


def test_stalls_are_felt_as_the_adviser_feels_them() -> None:
    ours = (judged.STALLS_PER_SECOND, judged.STALLS_UNDER_PRESSURE, judged.PRESSURE_PERCENT)
    assert ours == (scale.STALLS_A_SECOND, scale.LATENCY_STALLS_A_SECOND, scale.SOME_PERCENT)


def test_a_rate_names_no_setting() -> None:
    """The kernel may lack it (watermark_scale_factor before 4.6); what answers is for the adviser, who is asked."""
    run = Run()
    run.see(CALM)
    fails = {"allocstall": 600, "compact_stall": 600, "compact_fail": 600}
    run.see(replace(CALM, counters=dict.fromkeys(fails, 0)), after=MINUTE_NS)
    told = [entry for entry in run.see(replace(CALM, counters=fails), after=MINUTE_NS) if isinstance(entry, Entry)]
    assert {(entry.cause, entry.key) for entry in told} == {("direct-reclaim-stalls", ""), ("fragmentation-rising", "")}


def test_kills_are_counted_where_the_log_cannot_be_read() -> None:
    killed = replace(CALM, counters={"allocstall": 0, "oom_kill": 2})
    run = Run()
    run.see(CALM)
    assert entries(run.see(killed, after=MINUTE_NS)) == [], "the log tells it"
    blind = Run()
    blind.see(Fault("kernel log", "no journal"), CALM)
    assert entries(blind.see(killed, after=MINUTE_NS)) == [(Phase.APPEARED, "incomplete", 2)]


def test_a_fault_is_told_once_and_its_end_once() -> None:
    run = Run()
    broken = Fault("history", "disk full")
    assert run.see(broken) == [Degraded("history", "disk full")]
    assert run.see(broken, Fault("history", "still full")) == []
    assert run.state.faults == {"history": "still full"}
    assert run.see(Fault("history", None)) == [Degraded("history", None)]
    assert run.see(Fault("history", None)) == []


def test_what_was_open_before_a_restart_is_not_told_again() -> None:
    before = Run()
    before.see(CALM, Advices((BAD_SETTING,)))
    tracked = before.state.findings[BAD_SETTING.identity]
    known = {BAD_SETTING.identity: replace(tracked, told_mark=life.RESTORED)}
    state = start(Limits(), 0, known)
    state, actions = fold(state, Advices((BAD_SETTING,)), HOUR_NS)
    assert actions == []
    state, actions = fold(state, Advices((replace(BAD_SETTING, mark="1"),)), 2 * HOUR_NS)
    assert [action.phase for action in actions if isinstance(action, Entry)] == [Phase.CHANGED]


OBSERVATIONS = st.one_of(
    st.builds(
        lambda free, stalls, settings: replace(
            CALM,
            zones=(replace(CALM.zones[0], free_pages=free),),
            counters={"allocstall": stalls},
            settings=settings,
        ),
        st.integers(0, 10**6),
        st.integers(0, 10**6),
        st.integers(0, 1),
    ),
    st.builds(lambda counts: LogCounts(counts), st.dictionaries(st.sampled_from("abc"), st.integers(1, 10**6))),
    st.builds(lambda name: (replace(REPORT, signature=name, identity=f"oom/{name}/x"),), st.sampled_from("abc")),
    st.sampled_from([Advices(()), Advices((BAD_SETTING,)), Advices((PASSING,)), Fault("x", "y"), Fault("x", None)]),
)


@given(st.lists(st.tuples(st.integers(0, 2 * HOUR_NS), OBSERVATIONS), max_size=60))
def test_whatever_is_seen(steps: list[tuple[int, Observation]]) -> None:
    """Each finding appears before it changes or ends, ends once, and no report is lost."""
    state, now = start(Limits(), 0), 0
    open_now: set[str] = set()
    total = kept = 0
    for span, seen in steps:
        now += span
        state, actions = fold(state, seen, now)
        total += sum(seen.counts.values()) if isinstance(seen, LogCounts) else 0
        for action in actions:
            if isinstance(action, Entry):
                assert (action.phase is Phase.APPEARED) == (action.identity not in open_now)
                (open_now.discard if action.phase is Phase.ENDED else open_now.add)(action.identity)
            if isinstance(action, Happened) and action.kind is Kind.REPORT:
                kept += action.count
        assert state.held_back == 0
        assert {tracked.seen.identity for tracked in life.open_findings(state.findings)} == open_now
    assert state.reports == total == kept + sum(state.pending.values())
    assert fold(state, Fault("x", None), now)[0].reports == total


@pytest.mark.parametrize("seen", [CALM, Advices((BAD_SETTING,)), LogCounts({"a": 1})])
def test_the_fold_is_pure(seen: Observation) -> None:
    state = start(Limits(), 0)
    again = replace(state)
    first, second = fold(state, seen, 5), fold(state, seen, 5)
    assert first == second
    assert state == again
