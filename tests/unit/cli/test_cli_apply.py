"""apply, revert, rollback-status as users meet them: plans of captures, bad words, no permission. Changes nothing."""

import json
import os
import sys
from importlib import import_module
from pathlib import Path

import pytest
from tests.conftest import DATA
from tests.made_machine import MadeMachine, made_system

from pagewarden.advise.advice import advise
from pagewarden.advise.policy import AdvicePolicy
from pagewarden.apply.policy import Policy
from pagewarden.apply.transaction import apply_changes
from pagewarden.apply.types import Change
from pagewarden.cli import previews
from pagewarden.cli.common import read_machine
from pagewarden.cli.main import main
from pagewarden.errors import PermissionDenied

GUEST = str(DATA / "machines" / "guest-4g")
DB = str(DATA / "machines" / "db1-16g")
NOBODY = 65534


def run(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    try:
        status = int(main(argv))
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else -1
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_a_dry_run_shows_everything(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("vm.min_free_kbytes=131072", "vm.watermark_scale_factor=20")
    status, out, err = run(capsys, "apply", "--dry-run", "--root", GUEST, *words)
    assert (status, err) == (0, "")
    assert "1. vm.watermark_scale_factor = 20\n  2. vm.min_free_kbytes = 131072\n" in out
    assert "/etc/sysctl.d/60-pagewarden.conf, new\n# Written by pagewarden" in out
    assert "\nvm.watermark_scale_factor = 20\n" in out
    assert "\nvm.min_free_kbytes = 131072\n" in out
    for zone in ("DMA ", "DMA32", "Normal"):
        assert f"\n{zone}" in out
    assert "\nMovable" not in out  # it has no pages
    assert "At boot today: no file sets it." in out
    assert max(map(len, out.splitlines())) <= 80


def test_a_dry_run_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = run(
        capsys, "apply", "--dry-run", "--format", "json", "--root", GUEST, "vm.min_free_kbytes=131072"
    )
    document = json.loads(out)
    assert (status, err, document["outcome"]) == (0, "", "planned")
    assert [step["value"] for step in document["steps"]] == ["131072"]
    assert len(document["steps"][0]["zones"]) == len(document["zones_before"]) == 5
    assert document["undo"] == [{"key": "vm.min_free_kbytes", "value": "67584"}]
    assert document["snippet"].endswith("vm.min_free_kbytes = 131072\n")


def test_what_another_file_sets_is_refused_by_file_and_line(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "apply", "--dry-run", "--root", DB, "vm.min_free_kbytes")
    assert status == 1
    assert "/etc/sysctl.d/90-db.conf:3 sets it to 8192" in " ".join(out.split())
    status, out, _ = run(capsys, "apply", "--dry-run", "--format", "json", "--root", DB)
    assert (status, json.loads(out)["outcome"]) == (1, "refused")


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["apply", "--dry-run", "vm.swappiness=1"], "'vm.swappiness': not a setting that pagewarden changes"),
        (["apply", "--dry-run", "min_free_kbytes=1"], "did you mean vm.min_free_kbytes?"),
        (["apply", "--dry-run", "vm.min_free_kbyte=1"], "did you mean vm.min_free_kbytes?"),
        (["apply", "--dry-run", "vm.min_free_kbytes="], "expected a value"),
        (["apply", "--dry-run", "vm.min_free_kbytes", "vm/min_free_kbytes=3"], "given twice"),
        (["apply", "--dry-run", "=3"], "''"),
        (["apply", "--root", GUEST, "vm.min_free_kbytes=70000"], "--root is for --dry-run"),
        (["apply", "--dry-run", "--root", "/nonexistent"], "/nonexistent"),
        (["revert", "kernel.core_pattern"], "'kernel.core_pattern': not a setting that pagewarden changes"),
        (["rollback-status", "--root", "/nonexistent"], "/nonexistent"),
    ],
)
def test_bad_words_are_one_line(capsys: pytest.CaptureFixture[str], argv: list[str], expected: str) -> None:
    status, out, err = run(capsys, *argv)
    assert (status, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert expected in err


@pytest.mark.parametrize(
    ("argv", "instead"),
    [
        (["apply", "vm.min_free_kbytes=70000"], "sudo pagewarden apply vm.min_free_kbytes=70000"),
        (["apply"], "pagewarden apply --dry-run"),
        (["revert"], "pagewarden rollback-status"),
    ],
)
@pytest.mark.skipif(os.geteuid() != 0, reason="writes settings: needs root to become nobody")
def test_without_root_it_says_what_to_run_instead(argv: list[str], instead: str) -> None:
    status, out, err = as_nobody(argv)
    assert (status, out) == (77, ""), err
    assert len(err.splitlines()) == 1
    assert instead in err


def as_nobody(argv: list[str]) -> tuple[int, str, str]:
    """Run a command in a child that has given root up; what it imports may lie where nobody can read."""
    for module in ("apply", "revert"):
        import_module(f"pagewarden.cli.{module}")
    ends = [os.pipe(), os.pipe()]
    pid = os.fork()
    if pid == 0:
        status = 70
        for number, (_, end) in enumerate(ends, 1):
            os.dup2(end, number)
        sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        try:
            status = int(main(argv))
            sys.stderr.flush()
        finally:
            os._exit(status)
    for _, end in ends:
        os.close(end)
    with os.fdopen(ends[0][0]) as out, os.fdopen(ends[1][0]) as err:
        texts = out.read(), err.read()
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), *texts


def test_status_and_rollback_status_say_what_was_changed(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    machine = MadeMachine(tmp_path / "root")
    root = str(machine.root)
    assert "has changed no setting" in run(capsys, "rollback-status", "--root", root)[1]
    assert "Changed by pagewarden" not in run(capsys, "status", "--root", root)[1]
    apply_changes(made_system(machine), [Change("vm.min_free_kbytes", "131072", "because of a test", ("one: 1 (x)",))])
    status, out, _ = run(capsys, "rollback-status", "--root", root)
    assert status == 0
    assert "vm.min_free_kbytes = 131072, before: 67584" in out
    assert "because of a test" in out
    assert "Undo: pagewarden revert vm.min_free_kbytes" in out
    assert "Changed by pagewarden (undo: pagewarden revert)" in run(capsys, "status", "--root", root)[1]
    machine.write("vm.min_free_kbytes", "99999")
    document = json.loads(run(capsys, "rollback-status", "--format", "json", "--root", root)[1])
    assert document["snippet_state"] == "ours"
    assert document["owned"][0]["current"] == "99999"
    assert "not the 131072 written" in document["owned"][0]["foreign"]
    changes = json.loads(run(capsys, "status", "--format", "json", "--root", root)[1])["changes"]
    assert (changes[0]["original"], changes[0]["foreign"] is not None) == ("67584", True)


def test_a_damaged_record_is_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    machine = MadeMachine(tmp_path / "root")
    machine.paths.state.mkdir(parents=True)
    machine.paths.record.write_text("{")
    for command in ("status", "rollback-status"):
        status, out, err = run(capsys, command, "--root", str(machine.root))
        assert (status, out, len(err.splitlines())) == (1, "", 1)
        assert "record.json" in err


def test_stale_marks_are_left_to_a_person_and_said(capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = run(capsys, "apply", "--dry-run", "--root", GUEST)
    assert status == 0
    assert "stale marks are yours to renew: sudo sysctl -w vm.watermark_scale_factor=10 (" in err
    assert "stale" not in run(capsys, "apply", "--dry-run", "--root", GUEST, "vm.watermark_scale_factor=20")[2]


@pytest.mark.parametrize("unreadable", ["load_trials", "scene_of"])
def test_advice_needs_no_right_to_read_what_was_changed(monkeypatch: pytest.MonkeyPatch, unreadable: str) -> None:
    def denied(*_: object) -> None:
        raise PermissionDenied("/var/lib/pagewarden/apply", "permission denied")

    monkeypatch.setattr(previews, unreadable, denied)
    snapshot, machine = read_machine(DB)
    advice = advise(snapshot, machine, AdvicePolicy())
    found = previews.previews(advice.recommendations, snapshot, machine, Policy())
    assert found
    assert {verdict.reasons for verdict in found.values()} == {
        ("it is not known what pagewarden changed: /var/lib/pagewarden/apply: permission denied",)
    }
