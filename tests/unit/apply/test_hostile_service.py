"""What the service's user can do to the half with rights, when somebody has taken it over.

It owns /run/pagewarden and /var/lib/pagewarden/history, not /var/lib/pagewarden. Every attack here is made by a process
of that user: what the kernel refuses it is not our merit, but where a folder had the wrong owner it would be seen.
"""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path

import pytest
from tests.made_machine import MadeMachine, MadeTime, made_system

from pagewarden.apply.plan_file import PlannedChange, leave_plan, plan_text
from pagewarden.apply.plan_reader import PlanRefused, read_plan
from pagewarden.apply.policy import Policy
from pagewarden.apply.state import load_record, locked
from pagewarden.apply.transaction import apply_changes, recover, revert_changes
from pagewarden.apply.types import Change
from pagewarden.apply.unattended import apply_plan_file
from pagewarden.cli.probation import only_watcher
from pagewarden.errors import ApplyError

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="writes settings: needs root (files of several users)")

USER = 4242
BOOT = "12345678-1234-1234-1234-123456789abc"
MIN = "vm.min_free_kbytes"
SECRET = "root:$6$not-for-others"
RACE_SECONDS = 4.0


class Machine:
    """A made machine with the folders of the service as systemd makes them."""

    def __init__(self, folder: Path) -> None:
        for each in (folder, *folder.parents):
            with suppress(OSError):
                each.chmod(each.stat().st_mode | 0o011)
        self.made = MadeMachine(folder / "root")
        self.made.boot(BOOT)
        self.time = MadeTime()
        self.system = made_system(self.made, self.time)
        self.plan = folder / "run/pagewarden/plan.json"
        self.history = self.made.root / "var/lib/pagewarden/history"
        for owned in (self.plan.parent, self.history):
            owned.mkdir(parents=True, mode=0o755)
            os.chown(owned, USER, USER)
        self.secret = folder / "shadow"
        self.secret.write_text(SECRET)
        self.secret.chmod(0o600)
        with locked(self.system.paths):
            pass  # systemd makes the folder of the state before root's half runs
        self.before = self.made.value(MIN)

    def text(self, value: str = "") -> str:
        now = self.system.clock.now()
        change = PlannedChange(
            key=MIN,
            current=self.before,
            value=value or str(int(self.before) + 4096),
            risk="low",
            confidence="high",
            identifier="x",
            why="because",
            evidence_since=(now - timedelta(days=2)).isoformat(),
            evidence_latest=(now - timedelta(hours=1)).isoformat(),
        )
        return plan_text([change], now.isoformat(), BOOT)

    def run(self) -> bool:
        """Let the half with rights read the plan: whether it changed something."""
        done = apply_plan_file(self.system, self.plan, Policy(), lambda since: 0, self.system.clock.now())
        return done.outcome is not None and done.outcome.done


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def as_user(attack: Callable[[], object]) -> str:
    """Make an attack in a process of the service's user: the name of what stopped it, or "" where nothing did."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        try:
            os.setgroups([])
            os.setgid(USER)
            os.setuid(USER)
            attack()
        except BaseException as error:  # noqa: BLE001 - told to the parent
            os.write(writing, type(error).__name__.encode())
        finally:
            os._exit(0)
    os.close(writing)
    said = os.read(reading, 100).decode()
    os.close(reading)
    os.waitpid(pid, 0)
    return said


@contextmanager
def meanwhile(attack: Callable[[], object]) -> Iterator[None]:
    """Repeat an attack in a process of the service's user while something else goes on."""
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([])
            os.setgid(USER)
            os.setuid(USER)
            end = time.monotonic() + 60
            while time.monotonic() < end:
                with suppress(OSError):
                    attack()
        finally:
            os._exit(0)
    try:
        yield
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)


STATE_ATTACKS: dict[str, Callable[[Machine], object]] = {
    "a record of its own": lambda m: m.system.paths.record.write_text("{}"),
    "a link in place of the record": lambda m: m.system.paths.record.symlink_to(m.secret),
    "the record removed": lambda m: m.system.paths.record.unlink(),
    "the record renamed": lambda m: m.system.paths.record.rename(m.history / "record.json"),
    "the folder of the state renamed": lambda m: m.system.paths.state.rename(m.history / "apply"),
    "a link in place of its own folder": lambda m: (m.history.rmdir(), m.history.symlink_to("apply")),
    "its own folder renamed": lambda m: m.history.rename(m.history.with_name("other")),
    "a temporary file waiting": lambda m: m.system.paths.state.joinpath(".record.json.pagewarden-new").touch(),
    "the run folder renamed": lambda m: m.plan.parent.rename(m.plan.parent.with_name("other")),
    "our file in sysctl.d": lambda m: m.system.paths.snippet.write_text("kernel.core_pattern = |/x\n"),
    "the lock held": lambda m: fcntl.flock(os.open(m.system.paths.lock, os.O_RDONLY), fcntl.LOCK_EX | fcntl.LOCK_NB),
}


@pytest.mark.thorough
@pytest.mark.parametrize("attack", STATE_ATTACKS)
def test_root_s_own_files_are_out_of_reach(machine: Machine, attack: str) -> None:
    apply_changes(machine.system, [Change(MIN, str(int(machine.before) + 4096), "a test")])
    record = load_record(machine.system.paths)
    assert as_user(lambda: STATE_ATTACKS[attack](machine)) in ("PermissionError", "FileExistsError")
    assert load_record(machine.system.paths) == record
    revert_changes(machine.system)
    assert machine.made.value(MIN) == machine.before


def test_nobody_else_can_hold_the_locks(machine: Machine) -> None:
    """A reader may lock: with a lock file that everybody may read, any user could stop every apply and every undo."""
    paths = machine.system.paths
    paths.lock.chmod(0o644)  # as versions before made it
    with locked(paths), only_watcher(paths):
        for path in (paths.lock, paths.state / "watch.lock"):
            assert as_user(lambda path=path: os.open(path, os.O_RDONLY)) == "PermissionError"


def test_a_state_folder_of_the_service_is_refused(machine: Machine) -> None:
    """As after a mistake in the packaging: a record that the service can write would make root write what it says."""
    os.chown(machine.system.paths.state.parent, USER, USER)
    with pytest.raises(ApplyError, match="a record there is not trusted"):
        apply_changes(machine.system, [Change(MIN, "70000", "a test")])
    os.chown(machine.system.paths.state.parent, 0, 0)
    os.chown(machine.system.paths.state, USER, USER)
    with pytest.raises(ApplyError, match="a record there is not trusted"):
        apply_changes(machine.system, [Change(MIN, "70000", "a test")])
    assert machine.made.value(MIN) == machine.before


PLAN_ATTACKS: dict[str, Callable[[Machine], object]] = {
    "a link to what root alone may read": lambda m: m.plan.symlink_to(m.secret),
    "a link to itself": lambda m: m.plan.symlink_to("plan.json"),
    "a second name of root's file": lambda m: m.plan.hardlink_to(m.secret),
    "a second name": lambda m: (leave_plan(m.plan, m.text()), m.plan.with_name("x").hardlink_to(m.plan)),
    "a pipe that never ends": lambda m: os.mkfifo(m.plan),
    "a folder": lambda m: m.plan.mkdir(),
    "a device": lambda m: m.plan.symlink_to("/dev/zero"),
    "for everybody to write": lambda m: (leave_plan(m.plan, m.text()), m.plan.chmod(0o666)),
    "a folder for everybody to write": lambda m: (leave_plan(m.plan, m.text()), m.plan.parent.chmod(0o777)),
    "ten million nested lists": lambda m: m.plan.write_text("[" * 10_000_000),
    "a sparse file of a terabyte": lambda m: os.truncate(os.open(m.plan, os.O_RDWR | os.O_CREAT), 1 << 40),
    "a value out of bounds": lambda m: leave_plan(m.plan, m.text("2000000000")),
    "another key": lambda m: leave_plan(m.plan, m.text().replace(MIN, "vm.overcommit_memory")),
    "a line break": lambda m: leave_plan(m.plan, m.text().replace("because", "because\\nkernel.sysrq = 1")),
}


@pytest.mark.parametrize("attack", PLAN_ATTACKS)
def test_plans_of_a_hostile_service_change_nothing(machine: Machine, attack: str) -> None:
    as_user(lambda: PLAN_ATTACKS[attack](machine))  # some the kernel refuses: then there is no plan
    changed, said = False, ""
    try:
        changed = machine.run()
    except PlanRefused as error:
        said = str(error)
    assert not changed
    assert SECRET not in said
    assert "\n" not in said
    assert machine.made.value(MIN) == machine.before
    assert not machine.system.paths.snippet.exists()
    assert recover(machine.system) == ()


@pytest.mark.thorough
def test_a_race_for_the_plan_wins_nothing(machine: Machine) -> None:
    """The plan is swapped as fast as it goes, between a good one and all the bad ones, while it is read."""
    plan, swap = machine.plan, machine.plan.with_name("swap")
    good = machine.text()
    makers: list[Callable[[], object]] = [
        lambda: leave_plan(swap, good),
        lambda: swap.symlink_to(machine.secret),
        lambda: os.mkfifo(swap),
        lambda: swap.hardlink_to(machine.secret),
        lambda: swap.write_text(good.replace(MIN, "vm.overcommit_memory")),
        lambda: leave_plan(swap, good),
    ]

    def attack() -> None:
        for make in makers:
            with suppress(OSError):
                swap.unlink(missing_ok=True)
                make()
                swap.rename(plan)
        with suppress(OSError), plan.open("r+") as file:  # in place, after it was opened
            file.write(good.replace('"why": "because"', '"why": "becausf"'))

    seen: dict[str, int] = {}
    leaked = False
    expected = {"because", "becausf"}
    with meanwhile(attack):
        end = time.monotonic() + RACE_SECONDS
        while time.monotonic() < end:
            try:
                read = read_plan(plan, machine.system.clock.now(), BOOT)
            except PlanRefused as error:
                leaked |= SECRET in str(error)
                seen["refused"] = seen.get("refused", 0) + 1
            else:
                seen["read"] = seen.get("read", 0) + 1
                # Whole, and one of those that were written; its key is judged later.
                assert {change.why for change in read.changes} <= expected
                assert {change.key for change in read.changes} <= {MIN, "vm.overcommit_memory"}
    assert not leaked
    assert seen.get("read", 0) > 10, seen
    assert seen.get("refused", 0) > 10, seen


@pytest.mark.thorough
def test_a_race_through_the_whole_of_it_changes_what_is_allowed_or_nothing(machine: Machine) -> None:
    plan, swap = machine.plan, machine.plan.with_name("swap")
    allowed = str(int(machine.before) + 4096)
    texts = [machine.text(), machine.text("2000000000"), machine.text().replace(MIN, "vm.overcommit_memory")]

    def attack() -> None:
        for text in texts:
            leave_plan(swap, text)
            swap.rename(plan)
        swap.symlink_to(machine.secret)
        swap.rename(plan)

    made = 0
    with meanwhile(attack):
        end = time.monotonic() + RACE_SECONDS
        while time.monotonic() < end:
            with suppress(PlanRefused):
                made += machine.run()
            assert machine.made.value(MIN) in (machine.before, allowed)
            if machine.made.value(MIN) == allowed:
                break
    assert machine.made.value("vm.overcommit_memory") == "0"
    if made:
        assert f"{MIN} = {allowed}\n" in machine.system.paths.snippet.read_text()
    revert_changes(machine.system)
    assert machine.made.value(MIN) == machine.before
