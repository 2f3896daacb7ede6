from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from tests.made_machine import MadeKernel, MadeMachine, MadeTime, made_system

from pagewarden.apply import state as apply_state
from pagewarden.apply.paths import SNIPPET
from pagewarden.apply.probation import Ending, Sign
from pagewarden.apply.probation_file import load_probation, load_trials
from pagewarden.apply.probation_run import Terms, apply_on_probation, watch_once
from pagewarden.apply.state import load_record, locked
from pagewarden.apply.transaction import System, apply_changes, recover, revert_changes
from pagewarden.apply.types import Change
from pagewarden.errors import ApplyError, ChangeUndone
from pagewarden.report.probation import render_probation

MIN, SCALE = "vm.min_free_kbytes", "vm.watermark_scale_factor"
UPTIME = 90_000.0


class Watched:
    """A made machine with a clock, on which something can be put on probation."""

    def __init__(self, root: Path) -> None:
        self.machine = MadeMachine(root)
        self.time = MadeTime()
        self.system: System = made_system(self.machine, self.time)
        self.refusals: int | None = 0
        self.boot_seconds = UPTIME
        self.tick(0)
        self.before = self.machine.value(MIN)
        self.wanted = str(int(self.before) + 4096)

    def tick(self, seconds: float) -> None:
        """Let time pass."""
        self.time.seconds += seconds
        self.boot_seconds += seconds
        (self.machine.root / "proc/uptime").write_text(f"{self.boot_seconds:.2f} 1.0\n")
        self.machine.print_counters()

    def reboot(self) -> None:
        self.machine.boot("made-boot-2")
        self.boot_seconds = 20.0
        for name in self.machine.vmstat:
            if name.startswith(("allocstall", "oom")):
                self.machine.vmstat[name] = 0
        self.tick(0)

    def terms(self, promised: Sign | None = None, *, unattended: bool = True) -> Terms:
        return Terms(900.0, unattended, promised, lambda since: self.refusals)

    def apply(self, value: str = "", promised: Sign | None = None, key: str = MIN, *, auto: bool = True) -> None:
        change = Change(key, value or self.wanted, "because", auto=auto)
        assert apply_on_probation(self.system, [change], self.terms(promised)).done

    def watch(self) -> str:
        """Take a reading: "" for on probation still, "none", or how it ended."""
        found = watch_once(self.system, lambda since: self.refusals)
        if found is None:
            return "none"
        return found.decision.ending.value if found.decision else ""


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(tmp_path)


def test_a_change_without_harm_stays(watched: Watched) -> None:
    watched.apply()
    assert load_probation(watched.system.paths) is not None
    watched.tick(890)
    assert watched.watch() == ""
    watched.tick(20)
    assert watched.watch() == "keep"
    assert watched.watch() == "none"
    assert watched.machine.value(MIN) == watched.wanted
    (trial,) = load_trials(watched.system.paths)
    assert (trial.key, trial.before, trial.value, trial.direction) == (MIN, watched.before, watched.wanted, 1)
    assert (trial.undone, trial.unattended) == ("", True)
    assert trial.bought.startswith("in 15 minutes: 0 direct reclaims")
    assert trial.at == datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
    assert trial.ended_at is not None
    assert trial.ended_at > trial.at


def test_harm_takes_it_back_at_once_files_and_all(watched: Watched) -> None:
    files = watched.machine.files()
    watched.apply()
    watched.tick(20)
    watched.machine.vmstat["allocstall_normal"] += 700
    watched.tick(1)
    assert watched.watch() == "harm"
    assert watched.machine.value(MIN) == watched.before
    assert watched.machine.files() == files
    assert load_record(watched.system.paths).owned == ()
    assert "direct reclaims a second" in load_trials(watched.system.paths)[0].undone


@pytest.mark.parametrize(("after", "ending"), [(0, "keep"), (50, "no-better")])
def test_what_was_promised_is_counted(watched: Watched, after: int, ending: str) -> None:
    watched.machine.vmstat["allocstall_normal"] = 5000  # 50 to be expected in 15 minutes
    watched.tick(0)
    watched.apply(promised=Sign.STALLS)
    watched.machine.vmstat["allocstall_normal"] += after
    watched.tick(900)
    assert watched.watch() == ending
    assert watched.machine.value(MIN) == (watched.wanted if ending == "keep" else watched.before)
    assert load_trials(watched.system.paths)[0].promised == "stalls"


def test_it_survives_a_reboot(watched: Watched) -> None:
    watched.apply()
    watched.tick(600)
    assert watched.watch() == ""
    watched.reboot()
    assert watched.watch() == ""
    watched.tick(200)
    assert watched.watch() == ""
    watched.tick(100)
    assert watched.watch() == "keep"


def test_oom_kill_after_a_reboot_takes_it_back(watched: Watched) -> None:
    watched.apply()
    watched.reboot()
    watched.machine.vmstat["oom_kill"] = 1
    watched.tick(5)
    assert watched.watch() == "harm"
    assert watched.machine.value(MIN) == watched.before
    assert not (watched.machine.root / SNIPPET[1:]).exists()


def test_a_clock_that_jumps_ends_nothing(watched: Watched) -> None:
    watched.apply()
    watched.time.seconds += 10 * 365 * 86400
    assert watched.watch() == ""
    watched.time.seconds -= 20 * 365 * 86400
    assert watched.watch() == ""
    watched.tick(900)
    assert watched.watch() == "keep"


def test_while_the_machine_sleeps_nothing_is_watched(watched: Watched) -> None:
    watched.apply()
    watched.machine.slept_seconds = 8 * 3600.0
    watched.tick(8 * 3600.0 + 60)
    assert watched.watch() == ""
    watched.tick(850)
    assert watched.watch() == "keep"


def test_refused_allocations_are_counted_from_a_time_that_the_journal_knows(watched: Watched) -> None:
    watched.machine.slept_seconds = UPTIME - 1000
    asked: list[float] = []

    def count(since: float) -> int:
        asked.append(since)
        return 0

    change = Change(MIN, watched.wanted, "because")
    apply_on_probation(watched.system, [change], Terms(900.0, True, Sign.FAILURES, count))
    watch_once(watched.system, count)
    assert asked == [0.0, 1000.0]


def test_a_time_that_the_journal_does_not_know_counts_nothing(watched: Watched) -> None:
    """Written by a version that counted the machine's sleep: nothing refused since then is no benefit."""
    watched.refusals = 200
    watched.apply(promised=Sign.FAILURES)
    watched.machine.slept_seconds = 8 * 3600.0
    watched.refusals = 0
    watched.tick(60)
    assert watched.watch() == ""
    watched.tick(900)
    assert watched.watch() == "keep"
    assert "refused" not in load_trials(watched.system.paths)[0].bought


def test_somebody_elses_value_is_left(watched: Watched) -> None:
    watched.apply()
    watched.machine.write(MIN, "70000")
    watched.tick(10)
    assert watched.watch() == "lost"
    assert watched.machine.value(MIN) == "70000"
    assert not (watched.machine.root / SNIPPET[1:]).exists(), "the next boot would bring ours back"
    assert [entry.key for entry in load_record(watched.system.paths).retired] == [MIN]
    assert (
        load_trials(watched.system.paths)[0].undone == f"{MIN} is 70000, not the {watched.wanted} that was on probation"
    )


def test_of_several_only_what_was_set_by_somebody_else_is_let_go_and_the_rest_is_watched_on(watched: Watched) -> None:
    changes = [Change(SCALE, "20", "because"), Change(MIN, watched.wanted, "because")]
    apply_on_probation(watched.system, changes, watched.terms())
    watched.machine.write(MIN, "70000")
    watched.tick(10)
    assert watched.watch() == ""
    assert (watched.machine.value(MIN), watched.machine.value(SCALE)) == ("70000", "20")
    assert f"{SCALE} = 20" in (watched.machine.root / SNIPPET[1:]).read_text()
    assert [entry.key for entry in load_record(watched.system.paths).owned] == [SCALE]
    mine, theirs = sorted(load_trials(watched.system.paths), key=lambda trial: trial.key == MIN)
    assert (mine.ended_at, mine.undone) == (None, "")
    assert theirs.undone.startswith(f"{MIN} is 70000")
    watched.tick(5)
    assert watched.watch() == ""
    _harm(watched)
    assert watched.watch() == "harm"
    assert (watched.machine.value(MIN), watched.machine.value(SCALE)) == ("70000", "10")


def test_a_file_that_was_taken_away_does_not_come_back(watched: Watched) -> None:
    changes = [Change(SCALE, "20", "because"), Change(MIN, watched.wanted, "because")]
    apply_on_probation(watched.system, changes, watched.terms())
    (watched.machine.root / SNIPPET[1:]).unlink()
    watched.machine.write(MIN, "70000")
    watched.tick(10)
    assert watched.watch() == ""
    assert not (watched.machine.root / SNIPPET[1:]).exists()


def test_a_reboot_before_it_is_let_go_is_watched_on(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    from pagewarden.apply import probation_run

    watched.apply()
    watched.machine.write(MIN, "70000")
    watched.tick(10)
    with monkeypatch.context() as patch:
        patch.setattr(probation_run, "_let_go", lambda system, probation, decision: None)
        patch.setattr(probation_run, "_carry_out", lambda system, probation, decision: decision)
        assert watched.watch() == "lost"
    watched.reboot()
    watched.machine.write(MIN, watched.wanted)  # our file is read at boot
    assert watched.watch() == ""
    _harm(watched)
    assert watched.watch() == "harm"
    assert watched.machine.value(MIN) == watched.before


def test_a_revert_by_hand_ends_it(watched: Watched) -> None:
    watched.apply()
    revert_changes(watched.system)
    assert watched.watch() == "lost"
    assert watched.machine.value(MIN) == watched.before


def test_the_value_before_was_ours_as_well(watched: Watched) -> None:
    apply_changes(watched.system, [Change(MIN, watched.wanted, "by hand")])
    more = str(int(watched.wanted) + 4096)
    watched.apply(more)
    watched.machine.vmstat["oom_kill"] += 1
    watched.tick(5)
    assert watched.watch() == "harm"
    assert watched.machine.value(MIN) == watched.wanted
    owned = load_record(watched.system.paths).owns(MIN)
    assert owned is not None
    assert (owned.value, owned.original) == (watched.wanted, watched.before)


def _harm(watched: Watched) -> None:
    watched.machine.vmstat["oom_kill"] += 1
    watched.tick(5)


def _edit(watched: Watched) -> None:
    snippet = watched.machine.root / SNIPPET[1:]
    snippet.write_text(snippet.read_text() + "# mine now\n")


@pytest.mark.parametrize(
    ("take_over", "why"),
    [
        (_edit, f"{MIN} is left alone: {SNIPPET} was edited and sets it"),
        (lambda watched: watched.system.paths.record.unlink(), "the record of what pagewarden changed does not name"),
    ],
)
def test_harm_of_what_is_somebody_elses_by_now_ends_it(
    watched: Watched, take_over: Callable[[Watched], None], why: str
) -> None:
    watched.apply()
    take_over(watched)
    _harm(watched)
    assert watched.watch() == "lost"
    assert watched.watch() == "none"
    assert watched.machine.value(MIN) == watched.wanted
    undone = load_trials(watched.system.paths)[0].undone
    assert undone.startswith("1 OOM kill(s) since the change; ")
    console = Console(file=StringIO(), width=200)
    for part in render_probation(None, load_trials(watched.system.paths)):
        console.print(part)
    said = console.file.getvalue()  # type: ignore[attr-defined]
    assert "given up: 1 OOM kill(s)" in said
    assert "taken back" not in said
    assert why in undone


def test_where_the_value_before_is_refused_the_machines_own_is_put_back(watched: Watched) -> None:
    apply_changes(watched.system, [Change(MIN, watched.wanted, "by hand")])
    watched.apply(str(int(watched.wanted) + 4096))
    (watched.machine.root / "etc/sysctl.d/99-db.conf").write_text(f"{MIN} = 50000\n")
    _harm(watched)
    assert watched.watch() == "harm"
    assert watched.watch() == "none"
    assert watched.machine.value(MIN) == watched.before
    undone = load_trials(watched.system.paths)[0].undone
    assert f"; {MIN} is {watched.before} as before pagewarden, since /etc/sysctl.d/99-db.conf:1 sets it" in undone


def test_files_of_two_instants_are_no_reason_to_go_back_further(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pagewarden.apply import transaction

    apply_changes(watched.system, [Change(MIN, watched.wanted, "by hand")])
    watched.apply(str(int(watched.wanted) + 4096))
    _harm(watched)
    read = transaction.read_snapshot
    with monkeypatch.context() as patch:
        patch.setattr(transaction, "read_snapshot", lambda root: replace(read(root), torn=("zones came",)))
        with pytest.raises(ApplyError, match="not of one instant"):
            watched.watch()
    assert watched.watch() == "harm"
    assert watched.machine.value(MIN) == watched.wanted


@pytest.mark.parametrize("ours_before", [False, True])
def test_harm_decided_and_then_somebody_else_sets_the_value(
    watched: Watched, monkeypatch: pytest.MonkeyPatch, ours_before: bool
) -> None:
    from pagewarden.apply import probation_run

    if ours_before:
        apply_changes(watched.system, [Change(MIN, watched.wanted, "by hand")])
    watched.apply(str(int(watched.wanted) + 4096))
    _harm(watched)
    with monkeypatch.context() as patch:
        patch.setattr(probation_run, "_carry_out", lambda system, probation, decision: decision)
        assert watched.watch() == "harm"
    watched.machine.write(MIN, "70000")
    assert watched.watch() == "lost"
    assert watched.machine.value(MIN) == "70000"
    assert not (watched.machine.root / SNIPPET[1:]).exists()
    assert f"{MIN} is left alone: it is 70000 now" in load_trials(watched.system.paths)[0].undone


def test_another_change_made_meanwhile_stays_on_probation(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    from pagewarden.apply import probation_run

    watched.apply()
    watched.machine.write(MIN, "70000")
    watched.tick(10)
    let_go = probation_run._let_go

    def and_then(*arguments: object) -> object:
        left = let_go(*arguments)  # type: ignore[arg-type]
        watched.apply("20", key=SCALE)
        return left

    monkeypatch.setattr(probation_run, "_let_go", and_then)
    assert watched.watch() == "lost"
    found = load_probation(watched.system.paths)
    assert found is not None
    assert [change.key for change in found.changes] == [SCALE]
    first, second = load_trials(watched.system.paths)
    assert first.ended_at is not None
    assert second.ended_at is None


def test_a_second_change_ends_the_first_probation(watched: Watched) -> None:
    watched.apply()
    watched.tick(60)
    watched.apply("20", key=SCALE)
    first, second = load_trials(watched.system.paths)
    assert first.bought.startswith("not watched to its end: another change followed. in 0 minutes")
    assert (second.key, second.ended_at) == (SCALE, None)


def test_a_change_that_fails_is_tried_and_not_on_probation(watched: Watched) -> None:
    kernel = watched.system.kernel
    assert isinstance(kernel, MadeKernel)

    def spoil(write: object) -> None:
        watched.machine.vmstat["oom_kill"] += 1
        watched.machine.print_counters()

    kernel.after_write = spoil
    with pytest.raises(ChangeUndone):
        watched.apply()
    assert load_probation(watched.system.paths) is None
    (trial,) = load_trials(watched.system.paths)
    assert trial.undone.startswith("it failed while it was made: ")
    assert watched.machine.value(MIN) == watched.before


def _killed(watched: Watched, at: Callable[[], None]) -> None:
    kernel = watched.system.kernel
    assert isinstance(kernel, MadeKernel)
    kernel.after_write = lambda write: at()


def test_a_crash_while_it_is_made_leaves_nothing(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGKILL after the first write: nothing of ours runs any more until the next start."""
    from pagewarden.apply import probation_run, transaction

    class Killed(BaseException):
        pass

    def kill() -> None:
        raise Killed

    _killed(watched, kill)
    with monkeypatch.context() as patch:
        patch.setattr(transaction, "_undo", lambda *args: Killed())
        patch.setattr(probation_run, "_close", lambda *args: None)
        with pytest.raises(Killed):
            watched.apply()
    _killed(watched, lambda: None)
    assert watched.machine.value(MIN) == watched.wanted
    assert recover(watched.system)
    assert watched.machine.value(MIN) == watched.before
    assert watched.watch() == "lost"
    assert load_trials(watched.system.paths)[0].undone


def test_a_crash_between_decision_and_undo_is_made_good(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    from pagewarden.apply import probation_run

    watched.apply()
    watched.machine.vmstat["oom_kill"] += 1
    watched.tick(5)
    with monkeypatch.context() as patch:
        patch.setattr(probation_run, "_carry_out", lambda system, probation, decision: decision)
        assert watched.watch() == "harm"
    assert watched.machine.value(MIN) == watched.wanted
    watched.machine.vmstat["oom_kill"] -= 1
    watched.tick(5)
    assert watched.watch() == "harm"
    assert watched.machine.value(MIN) == watched.before
    assert watched.watch() == "none"


def test_while_a_change_is_being_made_nothing_is_read(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apply_state, "PATIENCE_SECONDS", 0.2)
    watched.apply()
    with locked(watched.system.paths), pytest.raises(ApplyError, match="another pagewarden is changing settings"):
        watched.watch()


@pytest.mark.parametrize("text", ["", "{}", "null", '{"changes": 1}', "\x00"])
def test_a_damaged_record_is_said(watched: Watched, text: str) -> None:
    watched.apply()
    watched.system.paths.probation.write_text(text)
    with pytest.raises(ApplyError, match=r"probation\.json: damaged"):
        watched.watch()


def test_nobody_counts_refusals(watched: Watched) -> None:
    watched.refusals = None
    watched.apply(promised=Sign.FAILURES)
    watched.tick(900)
    assert watched.watch() == Ending.KEEP.value
    assert replace(watched.terms()).promised is None
