"""Apply and revert on a made machine: what is in force, what stands in files, what somebody else's writes do."""

import errno
import os
import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from tests.made_machine import MadeKernel, MadeMachine, MadeTime, made_system

from pagewarden.apply import state as apply_state
from pagewarden.apply.paths import SNIPPET
from pagewarden.apply.state import load_record, locked, store_record
from pagewarden.apply.transaction import System, apply_changes, recover, revert_changes
from pagewarden.apply.types import Change, Intent, Pending
from pagewarden.errors import ApplyError, ChangeNotUndone, ChangeUndone, PagewardenError, ReadError
from pagewarden.kernel.simulate import Write

MIN_FREE = Change("vm.min_free_kbytes", "131072", "a test", ("rate: 3 (made up)",), "r-1")
RATIO = Change("vm.lowmem_reserve_ratio", "128 256 32 0 0", "a test")
SCALE = Change("vm.watermark_scale_factor", "50", "a test")

State = tuple[dict[str, bytes], dict[str, str]]


@pytest.fixture
def machine(tmp_path: Path) -> MadeMachine:
    """A machine of 4 GB with nothing of ours on it."""
    return MadeMachine(tmp_path / "root")


def state(machine: MadeMachine) -> State:
    return machine.files(), {key: machine.value(key) for key in machine.sysctls}


def test_apply_puts_values_in_force_and_revert_brings_everything_back(machine: MadeMachine) -> None:
    before, system = state(machine), made_system(machine)
    outcome = apply_changes(system, [RATIO, MIN_FREE, SCALE])
    assert outcome.done
    assert [step.write.key for step in outcome.plan.steps] == [SCALE.key, MIN_FREE.key, RATIO.key]
    assert [machine.value(change.key) for change in (RATIO, MIN_FREE, SCALE)] == [RATIO.value, "131072", "50"]
    text = machine.paths.snippet.read_text()
    assert machine.paths.snippet.stat().st_mode & 0o7777 == 0o644
    assert [line for line in text.splitlines() if line and not line.startswith("#")] == [
        "vm.watermark_scale_factor = 50",
        "vm.min_free_kbytes = 131072",
        "vm.lowmem_reserve_ratio = 128 256 32 0 0",
    ]
    assert "# Why: a test" in text
    assert "# - rate: 3 (made up)" in text
    assert "was 67584" in text
    assert "pagewarden revert vm.min_free_kbytes" in text
    assert load_record(machine.paths).pending is None
    assert revert_changes(system).done
    assert state(machine) == before


def test_the_first_value_is_the_original_after_several_applies(machine: MadeMachine) -> None:
    before, system = state(machine), made_system(machine)
    for value in ("70000", "90000", "80000"):
        assert apply_changes(system, [replace(MIN_FREE, value=value)]).done
    assert apply_changes(system, [RATIO]).done
    assert load_record(machine.paths).owned[0].original == "67584"
    assert revert_changes(system, [MIN_FREE.key]).done
    assert machine.value(MIN_FREE.key) == "67584"
    assert machine.value(RATIO.key) == RATIO.value
    assert MIN_FREE.key not in machine.paths.snippet.read_text()
    assert revert_changes(system).done
    assert state(machine) == before


def test_the_same_again_is_nothing_to_do(machine: MadeMachine) -> None:
    system = made_system(machine, MadeTime())
    apply_changes(system, [MIN_FREE])
    before, record = state(machine), machine.paths.record.read_bytes()
    outcome = apply_changes(system, [MIN_FREE])
    assert (outcome.done, outcome.plan.idle) == (False, True)
    assert (state(machine), machine.paths.record.read_bytes()) == (before, record)


def test_a_value_in_force_already_is_kept_for_the_next_boot(machine: MadeMachine) -> None:
    machine.write(MIN_FREE.key, "131072")
    outcome = apply_changes(made_system(machine), [MIN_FREE])
    assert outcome.done
    assert outcome.plan.steps == ()
    assert "vm.min_free_kbytes = 131072" in machine.paths.snippet.read_text()


def test_nothing_to_revert_leaves_no_trace(machine: MadeMachine) -> None:
    before = state(machine)
    assert not revert_changes(made_system(machine)).done
    assert state(machine) == before


def test_a_value_written_by_others_since_is_left_alone(machine: MadeMachine) -> None:
    system = made_system(machine)
    apply_changes(system, [MIN_FREE, RATIO])
    machine.write(MIN_FREE.key, "100000")
    outcome = revert_changes(system)
    assert machine.value(MIN_FREE.key) == "100000"
    assert machine.value(RATIO.key) == "256 256 32 0 0"
    assert not machine.paths.snippet.exists()
    assert any("100000 now, not the 131072" in note for note in outcome.notes)
    retired = load_record(machine.paths).retired
    assert [entry.key for entry in retired] == [MIN_FREE.key]
    automatic = apply_changes(system, [replace(MIN_FREE, auto=True)])
    assert "left alone since" in automatic.plan.refused[0].reason
    assert apply_changes(system, [MIN_FREE]).done
    assert load_record(machine.paths).retired == ()


def test_another_apply_lets_go_of_what_others_wrote(machine: MadeMachine) -> None:
    system = made_system(machine)
    apply_changes(system, [MIN_FREE])
    machine.write(MIN_FREE.key, "100000")
    outcome = apply_changes(system, [RATIO])
    assert outcome.done
    assert MIN_FREE.key not in machine.paths.snippet.read_text()
    assert [entry.key for entry in load_record(machine.paths).owned] == [RATIO.key]
    assert any(note.startswith("vm.min_free_kbytes is left alone from now on") for note in outcome.notes)


@pytest.mark.parametrize("edit", ["vm.min_free_kbytes = 90000\n", "# mine\n", ""])
def test_an_edited_file_is_its_editors(machine: MadeMachine, edit: str) -> None:
    system = made_system(machine)
    apply_changes(system, [MIN_FREE])
    machine.paths.snippet.write_text(edit)
    outcome = apply_changes(system, [RATIO])
    assert "edited after pagewarden wrote it" in outcome.plan.refused[0].reason
    assert machine.value(RATIO.key) == "256 256 32 0 0"
    reverted = revert_changes(system)
    assert machine.paths.snippet.read_text() == edit
    assert any("edited after pagewarden wrote it" in note for note in reverted.notes)
    assert machine.value(MIN_FREE.key) == ("131072" if MIN_FREE.key in edit else "67584")
    assert load_record(machine.paths).owned == ()
    assert "was not written by pagewarden" in apply_changes(system, [RATIO]).plan.refused[0].reason


def test_a_file_removed_by_others_does_not_come_back(machine: MadeMachine) -> None:
    system = made_system(machine)
    apply_changes(system, [MIN_FREE])
    machine.paths.snippet.unlink()
    outcome = apply_changes(system, [RATIO])
    assert outcome.done
    assert MIN_FREE.key not in machine.paths.snippet.read_text()
    assert machine.value(MIN_FREE.key) == "131072"


def test_a_link_in_place_of_our_file_is_left_alone(machine: MadeMachine) -> None:
    machine.paths.snippet.symlink_to("/dev/null")
    outcome = apply_changes(made_system(machine), [MIN_FREE])
    assert "was not written by pagewarden (a link)" in outcome.plan.refused[0].reason
    assert machine.paths.snippet.is_symlink()


def test_a_reboot_keeps_what_is_ours(machine: MadeMachine) -> None:
    system = made_system(machine)
    apply_changes(system, [MIN_FREE])
    machine.boot("made-boot-2")
    assert revert_changes(system).done
    assert machine.value(MIN_FREE.key) == "67584"


def refuse(machine: MadeMachine, key: str, number: int) -> MadeKernel:
    """A kernel that refuses every write to this key."""

    class Refusing(MadeKernel):
        def write(self, write: Write) -> None:
            if write.key == key:
                raise OSError(number, os.strerror(number), str(machine.paths.sysctl(key)))
            super().write(write)

    return Refusing(machine)


@pytest.mark.parametrize("number", [errno.EINVAL, errno.EROFS, errno.EACCES, errno.ENOENT])
def test_a_refused_write_undoes_the_others(machine: MadeMachine, number: int) -> None:
    before = state(machine)
    system = replace(made_system(machine), kernel=refuse(machine, RATIO.key, number))
    with pytest.raises(ChangeUndone, match=os.strerror(number).lower()):
        apply_changes(system, [MIN_FREE, RATIO])
    assert state(machine) == before
    assert load_record(machine.paths) == load_record(machine.paths).__class__()


def test_a_value_that_the_kernel_ignores_is_undone(machine: MadeMachine) -> None:
    class Deaf(MadeKernel):
        def write(self, write: Write) -> None:
            if write.key != RATIO.key:
                super().write(write)

    before = state(machine)
    with pytest.raises(ChangeUndone, match=r"vm\.lowmem_reserve_ratio is 256 256 32 0 0 after 128 256 32 0 0"):
        apply_changes(replace(made_system(machine), kernel=Deaf(machine)), [MIN_FREE, RATIO])
    assert state(machine) == before


def test_a_zone_that_is_not_as_predicted_is_undone(machine: MadeMachine) -> None:
    system = made_system(machine)

    def one_page_more(write: Write) -> None:
        path = machine.root / "proc/zoneinfo"
        low = machine.zone("Normal").low_pages
        path.write_text(path.read_text().replace(f"        low      {low}\n", f"        low      {low + 1}\n"))

    assert isinstance(system.kernel, MadeKernel)
    system.kernel.after_write = one_page_more
    before = machine.files()
    with pytest.raises(ChangeUndone, match=r"node 0 Normal low is \d+, predicted \d+; this is a fault of the model"):
        apply_changes(system, [MIN_FREE])
    assert machine.files() == before
    assert machine.value(MIN_FREE.key) == "67584"


def test_a_setting_that_cannot_be_put_back_is_said_and_tried_again(machine: MadeMachine) -> None:
    class OnceOnly(MadeKernel):
        def write(self, write: Write) -> None:
            if write.key == RATIO.key or write.text == "67584":
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            super().write(write)

    before = state(machine)
    with pytest.raises(ChangeNotUndone, match=r"undoing failed as well: vm.min_free_kbytes: input/output error"):
        apply_changes(replace(made_system(machine), kernel=OnceOnly(machine)), [MIN_FREE, RATIO])
    assert load_record(machine.paths).pending is not None
    assert "was undone" in recover(made_system(machine))[0]
    assert state(machine) == before


def harm_after(machine: MadeMachine, seconds: float, hurt: Callable[[], None]) -> MadeTime:
    """Time in which the machine begins to suffer; before, Normal is too short for the next step."""

    def during(now: float) -> None:
        if now >= seconds:
            hurt()
            machine.print_counters(int(now * 900_000))

    return MadeTime(during=during)


def hungry(machine: MadeMachine) -> None:
    machine.refresh()
    machine.set_free("DMA32", 16_500)


@pytest.mark.parametrize(
    ("counter", "expected"),
    [("oom_kill", r"1 OOM kill\(s\)"), ("allocstall_normal", "direct reclaims a second"), ("", "every task waited")],
)
def test_harm_while_waiting_undoes_everything(machine: MadeMachine, counter: str, expected: str) -> None:
    hungry(machine)
    before = state(machine)

    def hurt() -> None:
        if counter:
            machine.vmstat[counter] += 1 if counter == "oom_kill" else 1000

    time = harm_after(machine, 5.0, hurt)
    with pytest.raises(ChangeUndone, match=expected if counter else "every task waited|direct"):
        apply_changes(made_system(machine, time), [MIN_FREE])
    assert state(machine) == before


def test_a_raise_waits_for_free_memory_between_its_steps(machine: MadeMachine) -> None:
    hungry(machine)
    written: list[tuple[str, int, float]] = []

    def kswapd(now: float) -> None:
        for name in ("Normal", "DMA32"):
            machine.set_free(name, machine.zone(name).free_pages + 300)

    time = MadeTime(during=kswapd)
    system = made_system(machine, time)
    assert isinstance(system.kernel, MadeKernel)
    system.kernel.after_write = lambda write: written.append(
        (write.text, machine.zone("DMA32").free_pages - machine.zone("DMA32").min_pages, time.seconds)
    )
    assert apply_changes(system, [MIN_FREE]).done
    values = [int(text) for text, _, _ in written]
    assert len(values) > 2
    assert values == sorted(values)
    assert values[-1] == 131072
    assert all(above > 0 for _, above, _ in written), "a step pushed a zone under its new min mark"


def test_memory_that_never_comes_undoes_the_raise(machine: MadeMachine) -> None:
    hungry(machine)
    before, time = state(machine), MadeTime()
    with pytest.raises(
        ChangeUndone, match="60 s later free memory is still not above the new low mark in node 0 DMA32"
    ):
        apply_changes(made_system(machine, time), [MIN_FREE])
    assert state(machine) == before
    assert 60 <= time.seconds < 70


def test_a_zone_that_stays_short_beside_an_open_one_is_said_and_no_obstacle(machine: MadeMachine) -> None:
    hungry(machine)
    outcome = apply_changes(made_system(machine), [replace(MIN_FREE, value="80000")])
    assert len(outcome.plan.steps) == 1
    assert outcome.done
    assert "requests are served from other zones meanwhile" in outcome.notes[0]


def test_ctrl_c_undoes(machine: MadeMachine) -> None:
    def interrupt(now: float) -> None:
        raise KeyboardInterrupt

    before = state(machine)
    with pytest.raises(ChangeUndone, match="interrupted; undone"):
        apply_changes(made_system(machine, MadeTime(during=interrupt)), [MIN_FREE])
    assert state(machine) == before


def test_a_second_run_is_kept_out(machine: MadeMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apply_state, "PATIENCE_SECONDS", 0.2)
    with locked(machine.paths), pytest.raises(ApplyError, match=rf"another pagewarden .* \(process {os.getpid()}\)"):
        apply_changes(made_system(machine), [MIN_FREE])
    assert apply_changes(made_system(machine), [MIN_FREE]).done


def test_a_run_that_ends_soon_is_waited_for(machine: MadeMachine) -> None:
    with ExitStack() as other:
        other.enter_context(locked(machine.paths))
        threading.Timer(0.3, other.pop_all().close).start()
        assert apply_changes(made_system(machine), [MIN_FREE]).done


def test_a_folder_that_others_may_write_is_not_trusted(machine: MadeMachine) -> None:
    machine.paths.state.mkdir(parents=True)
    machine.paths.state.parent.chmod(0o777)
    with pytest.raises(ApplyError, match="not trusted"):
        apply_changes(made_system(machine), [MIN_FREE])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        "{}",
        '{"version": 2}',
        '{"version": 1, "owned": 3, "retired": [], "snippet_sha256": null, "pending": null}',
        '{"version": 1, "owned": [], "retired": [{"key": "kernel.core_pattern", "reason": "", "since": ""}], '
        '"snippet_sha256": null, "pending": null}',
        "\x00\xff",
    ],
)
def test_a_damaged_record_stops_everything(machine: MadeMachine, text: str) -> None:
    before = state(machine)
    with locked(machine.paths):
        machine.paths.record.write_text(text, encoding="latin-1")
    for act in (lambda s: apply_changes(s, [MIN_FREE]), revert_changes, recover):
        with pytest.raises(ApplyError, match=r"record.json: "):
            act(made_system(machine))
    assert state(machine) == before
    assert machine.paths.record.read_text(encoding="latin-1") == text


def pend(machine: MadeMachine, intent: Intent, snippet: str | None, boot_id: str = "made-boot-1") -> None:
    """Leave an unfinished run behind."""
    with locked(machine.paths):
        record = load_record(machine.paths)
        old = machine.paths.snippet.read_text() if machine.paths.snippet.exists() else None
        pending = Pending(
            intent, "2026-11-25T11:00:00+00:00", boot_id, {MIN_FREE.key: machine.value(MIN_FREE.key)},
            (Write(MIN_FREE.key, "90000"), Write(MIN_FREE.key, "131072")), old, snippet, (), (),
        )  # fmt: skip
        store_record(machine.paths, replace(record, pending=pending))


@pytest.mark.parametrize("reached", ["67584", "90000", "131072"])
@pytest.mark.parametrize("boot", ["made-boot-1", "made-boot-2"])
def test_an_unfinished_apply_is_undone(machine: MadeMachine, reached: str, boot: str) -> None:
    before = state(machine)
    pend(machine, Intent.APPLY, "vm.min_free_kbytes = 131072\n")
    machine.paths.snippet.write_text("vm.min_free_kbytes = 131072\n")
    machine.write(MIN_FREE.key, reached)
    machine.boot(boot)
    notes = recover(made_system(machine))
    assert notes == ("an apply begun 2026-11-25T11:00:00+00:00, which did not come to its end, was undone",)
    assert state(machine) == before
    assert recover(made_system(machine)) == ()


def test_what_others_wrote_since_is_left_alone_when_undoing(machine: MadeMachine) -> None:
    pend(machine, Intent.APPLY, "vm.min_free_kbytes = 131072\n")
    machine.paths.snippet.write_text("vm.min_free_kbytes = 131072\n# and mine\n")
    machine.write(MIN_FREE.key, "77777")
    notes = " ".join(recover(made_system(machine)))
    assert "vm.min_free_kbytes is 77777, which pagewarden did not write: left alone" in notes
    assert f"{SNIPPET} was changed by somebody else meanwhile: left alone" in notes
    assert machine.value(MIN_FREE.key) == "77777"
    assert "and mine" in machine.paths.snippet.read_text()


def test_an_unfinished_revert_is_finished(machine: MadeMachine) -> None:
    before, system = state(machine), made_system(machine)
    apply_changes(system, [replace(MIN_FREE, value="131072")])
    with locked(machine.paths):
        record = load_record(machine.paths)
        pending = Pending(
            Intent.REVERT, "2026-11-25T11:00:00+00:00", "made-boot-1", {MIN_FREE.key: "131072"},
            (Write(MIN_FREE.key, "67584"),), machine.paths.snippet.read_text(), None, (), (),
        )  # fmt: skip
        store_record(machine.paths, replace(record, pending=pending))
    assert "was finished" in recover(system)[0]
    assert state(machine) == before


def test_a_missing_folder_changes_nothing(machine: MadeMachine) -> None:
    (machine.root / "etc/sysctl.d").rmdir()
    before = state(machine)
    with pytest.raises(ChangeUndone, match=r"60-pagewarden.conf.*no such file or directory"):
        apply_changes(made_system(machine), [MIN_FREE])
    assert state(machine) == before


def test_a_setting_that_disappears_is_no_obstacle_to_a_revert(machine: MadeMachine) -> None:
    system: System = made_system(machine)
    apply_changes(system, [MIN_FREE, Change("vm.vfs_cache_pressure", "200", "a test")])
    machine.paths.sysctl("vm.vfs_cache_pressure").unlink()
    outcome = revert_changes(system)
    assert machine.value(MIN_FREE.key) == "67584"
    assert any("no such setting any more" in note for note in outcome.notes)
    assert not machine.paths.snippet.exists()


def test_a_setting_that_cannot_be_read_is_not_taken_for_gone(machine: MadeMachine) -> None:
    system = made_system(machine)
    apply_changes(system, [MIN_FREE, RATIO])
    before, record = state(machine), machine.paths.record.read_bytes()
    path = machine.paths.sysctl(RATIO.key)
    path.unlink()
    path.mkdir()
    with pytest.raises(ReadError, match=r"/proc/sys/vm/lowmem_reserve_ratio: not a regular file"):
        revert_changes(system)
    path.rmdir()
    path.write_text(machine.sysctls[RATIO.key])
    assert (state(machine), machine.paths.record.read_bytes()) == (before, record)


def test_a_damaged_zoneinfo_stops_everything(machine: MadeMachine) -> None:
    before = state(machine)
    path = machine.root / "proc/zoneinfo"
    path.write_text(path.read_text()[:777])
    with pytest.raises(PagewardenError, match="zoneinfo"):
        apply_changes(made_system(machine), [MIN_FREE])
    assert state(machine) == before


def test_a_file_of_others_that_cannot_be_read_may_set_the_key(machine: MadeMachine) -> None:
    (machine.root / "etc/sysctl.d/50-mine.conf").mkdir()
    outcome = apply_changes(made_system(machine), [MIN_FREE])
    assert "50-mine.conf could not be read: whether it sets vm.min_free_kbytes is not known" in (
        outcome.plan.refused[0].reason
    )


def test_everybody_may_see_what_was_changed(machine: MadeMachine) -> None:
    before = os.umask(0o077)
    try:
        apply_changes(made_system(machine), [MIN_FREE])
    finally:
        os.umask(before)
    modes = [path.stat().st_mode & 0o777 for path in (machine.paths.state.parent, machine.paths.state)]
    assert modes == [0o755, 0o755]
    assert machine.paths.record.stat().st_mode & 0o777 == 0o644
    assert machine.paths.snippet.stat().st_mode & 0o777 == 0o644
