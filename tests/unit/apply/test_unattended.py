from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.made_machine import MadeMachine, MadeTime, made_system

from pagewarden.apply.paths import SNIPPET
from pagewarden.apply.plan_file import PlannedChange, leave_plan, plan_text
from pagewarden.apply.plan_reader import PlanRefused
from pagewarden.apply.policy import Policy
from pagewarden.apply.probation_file import load_probation, load_trials
from pagewarden.apply.probation_run import watch_once
from pagewarden.apply.unattended import Unattended, apply_plan_file
from pagewarden.cli.unattended import run_plan

BOOT = "12345678-1234-1234-1234-123456789abc"
MIN = "vm.min_free_kbytes"
START = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)


class Guarded:
    """A made machine, and a plan that the service left."""

    def __init__(self, folder: Path) -> None:
        self.machine = MadeMachine(folder / "root")
        self.machine.boot(BOOT)
        self.time = MadeTime()
        self.system = made_system(self.machine, self.time)
        (self.machine.root / "proc/uptime").write_text("90000.00 1.0\n")
        self.plan = folder / "run" / "pagewarden" / "plan.json"
        self.plan.parent.mkdir(parents=True)
        self.current = self.machine.value(MIN)
        self.policy = Policy()
        self.change = PlannedChange(
            key=MIN,
            current=self.current,
            value=str(int(self.current) + 4096),
            risk="low",
            confidence="high",
            identifier=f"{MIN}/atomic-reserve-exhausted",
            why="callers that cannot wait were refused",
            evidence=("failures: 12 (journal)",),
            evidence_since=(START - timedelta(days=2)).isoformat(),
            evidence_latest=(START - timedelta(hours=1)).isoformat(),
            promised="failures",
        )
        self.leave(self.change)

    def leave(self, *changes: PlannedChange) -> None:
        leave_plan(self.plan, plan_text(changes, self.system.clock.now().isoformat(), BOOT))

    def run(self) -> Unattended:
        return apply_plan_file(self.system, self.plan, self.policy, lambda since: 0, self.system.clock.now())

    def reasons(self) -> list[str]:
        """Run, and give what stood against the first change."""
        return list(self.run().judged[0].verdict.reasons)


@pytest.fixture
def guarded(tmp_path: Path) -> Guarded:
    tmp_path.chmod(0o755)
    return Guarded(tmp_path)


def test_a_plan_is_carried_out_on_probation(guarded: Guarded) -> None:
    done = guarded.run()
    assert done.outcome is not None
    assert done.outcome.done
    assert guarded.machine.value(MIN) == guarded.change.value
    text = (guarded.machine.root / SNIPPET[1:]).read_text()
    assert f"{MIN} = {guarded.change.value}\n" in text
    assert "# Why: callers that cannot wait were refused\n" in text
    probation = load_probation(guarded.system.paths)
    assert probation is not None
    assert (probation.unattended, probation.promised, probation.seconds) == (True, "failures", 900.0)


def test_the_same_plan_again_changes_nothing(guarded: Guarded) -> None:
    guarded.run()
    assert "it is " in guarded.reasons()[0]
    guarded.leave(replace(guarded.change, current=guarded.change.value, value=str(int(guarded.change.value) + 4096)))
    reasons = guarded.reasons()
    assert reasons[0] == "an earlier change is still on probation"
    assert reasons[1].startswith("1 of 1 changes a day are made already")


def test_what_was_taken_back_is_not_tried_again_without_new_evidence(guarded: Guarded) -> None:
    guarded.run()
    guarded.machine.vmstat["oom_kill"] += 1
    guarded.machine.print_counters()
    ended = watch_once(guarded.system, lambda since: 0)
    assert ended is not None
    assert ended.decision is not None
    guarded.time.seconds += 2 * 86400
    guarded.leave(guarded.change)
    assert [reason.partition(" 2026")[0] for reason in guarded.reasons()] == ["it was tried"]
    guarded.leave(replace(guarded.change, evidence_latest=(START + timedelta(days=1)).isoformat()))
    assert guarded.run().outcome is not None
    assert len(load_trials(guarded.system.paths)) == 2


def _adaptivemm(guarded: Guarded) -> None:
    folder = guarded.machine.root / "sys/fs/cgroup/system.slice/adaptivemmd.service"
    folder.mkdir(parents=True)
    (folder / "cgroup.procs").write_text("7\n")
    guarded.change = replace(guarded.change, key="vm.watermark_scale_factor", current="10", value="20")


def _pressure(guarded: Guarded) -> None:
    text = "some avg10=9.00 avg60=9.00 avg300=9.00 total=5\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=5\n"
    (guarded.machine.root / "proc/pressure/memory").write_text(text)


def _foreign(guarded: Guarded) -> None:
    (guarded.machine.root / "etc/sysctl.d/90-db.conf").write_text(f"{MIN} = 50000\n")


@pytest.mark.parametrize(
    ("change", "spoil", "reason"),
    [
        ({"key": "vm.overcommit_memory", "current": "0", "value": "1"}, None, "not a setting that pagewarden changes"),
        ({"current": "1"}, None, "it is {current} now, not 1 as when the plan was made"),
        ({"value": "4000000"}, None, "the limit is"),
        ({"value": "9999999999"}, None, "the kernel would not take '9999999999' as it stands"),
        ({"value": "0070000"}, None, "the kernel would not take"),  # octal
        ({"value": "70000 70000"}, None, "the kernel would not take"),
        ({"risk": "high"}, None, "its risk is high"),
        ({"evidence_since": None}, None, "it is not known how long the evidence has stood"),
        ({}, _adaptivemm, "adaptivemmd sets it: adaptivemmd.service runs"),
        ({}, _pressure, "tasks waited for memory 9 % of the last minute"),
    ],
)
def test_what_stands_against_it(
    guarded: Guarded, change: dict[str, str | None], spoil: Callable[[Guarded], None] | None, reason: str
) -> None:
    if spoil:
        spoil(guarded)
    guarded.leave(replace(guarded.change, **change))  # type: ignore[arg-type]
    done = guarded.run()
    assert done.outcome is None
    assert any(reason.format(current=guarded.current) in each for each in done.judged[0].verdict.reasons)
    assert guarded.machine.value(MIN) == guarded.current
    assert not (guarded.machine.root / SNIPPET[1:]).exists()


def test_somebody_elses_file_is_stepped_back_from(guarded: Guarded) -> None:
    _foreign(guarded)
    done = guarded.run()
    assert done.outcome is not None
    assert not done.outcome.done
    assert "/etc/sysctl.d/90-db.conf:1 sets it to 50000" in done.outcome.plan.refused[0].reason
    assert load_probation(guarded.system.paths) is None
    assert load_trials(guarded.system.paths) == ()


def test_of_several_the_first_that_is_allowed_is_made(guarded: Guarded) -> None:
    risky = replace(guarded.change, risk="high")
    scale = replace(guarded.change, key="vm.watermark_scale_factor", current="10", value="20")
    guarded.leave(risky, scale)
    done = guarded.run()
    assert [each.verdict.allowed for each in done.judged] == [False, True]
    assert guarded.machine.value("vm.watermark_scale_factor") == "20"
    assert guarded.machine.value(MIN) == guarded.current


def test_a_refused_file_changes_nothing(guarded: Guarded) -> None:
    guarded.plan.chmod(0o666)
    with pytest.raises(PlanRefused):
        guarded.run()
    assert guarded.machine.value(MIN) == guarded.current
    assert not guarded.system.paths.state.exists()


def test_a_plan_that_was_taken_back_is_no_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_plan(str(tmp_path / "plan.json")) == 0
    assert "no plan is there any more" in capsys.readouterr().out
