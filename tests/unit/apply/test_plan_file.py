import json
import os
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pagewarden.apply.plan_file import MOST_BYTES, PlannedChange, leave_plan, plan_text, withdraw_plan
from pagewarden.apply.plan_reader import PlanRefused, ReadPlan, read_plan

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
STAMP = NOW.isoformat(timespec="seconds")
BOOT = "11111111-2222-3333-4444-555555555555"
CHANGE = PlannedChange(
    key="vm.min_free_kbytes",
    current="67584",
    value="90112",
    risk="low",
    confidence="high",
    identifier="vm.min_free_kbytes/atomic-reserve-exhausted",
    why="12 failures of callers that cannot wait",
    evidence=("failures: 12 (journal)",),
    evidence_since="2026-11-23T00:00:00+00:00",
    evidence_latest="2026-11-25T11:00:00+00:00",
    promised="failures",
)
ME = os.getuid()


def read(path: Path, now: datetime = NOW, boot: str = BOOT) -> ReadPlan:
    return read_plan(path, now, boot)


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    folder = tmp_path / "pagewarden"
    folder.mkdir(mode=0o755)
    path = folder / "plan.json"
    leave_plan(path, plan_text([CHANGE], STAMP, BOOT))
    return path


def test_what_the_service_leaves_is_read(plan: Path) -> None:
    assert read(plan) == ReadPlan(NOW, BOOT, (CHANGE,))
    assert [each.name for each in plan.parent.iterdir()] == ["plan.json"]
    withdraw_plan(plan)
    with pytest.raises(PlanRefused, match="no such file"):
        read(plan)


def test_bare_change_is_read(plan: Path) -> None:
    bare = PlannedChange("vm.swappiness", "1", "2", "low", "low", "", "")
    leave_plan(plan, plan_text([bare], STAMP, BOOT))
    assert read(plan).changes == (bare,)


def _linked(plan: Path) -> None:
    plan.rename(plan.with_name("elsewhere"))
    plan.symlink_to("elsewhere")


def _hard_linked(plan: Path) -> None:
    plan.with_name("second").hardlink_to(plan)


def _huge(plan: Path) -> None:
    plan.write_text(plan.read_text() + " " * MOST_BYTES)


def _folder_linked(plan: Path) -> None:
    plan.parent.rename(plan.parent.with_name("real"))
    plan.parent.symlink_to("real")


def _pipe(plan: Path) -> None:
    plan.unlink()
    os.mkfifo(plan)


def _folder(plan: Path) -> None:
    plan.unlink()
    plan.mkdir()


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (Path.unlink, "no such file"),
        (_linked, "a link"),
        (_hard_linked, "2 names"),
        (_folder_linked, "a link"),
        (_huge, "larger than 64 KiB"),
        (_pipe, "not a regular file"),
        (_folder, "not a regular file"),
        (lambda plan: plan.chmod(0o664), "mode 0664"),
        (lambda plan: plan.chmod(0o646), "mode 0646"),
        (lambda plan: plan.parent.chmod(0o777), "mode 0777"),
        (lambda plan: plan.parent.parent.chmod(0o1777), "mode 1777"),
        (lambda plan: plan.write_bytes(b""), "not a plan"),
        (lambda plan: plan.write_bytes(plan.read_bytes()[:-20]), "not a plan"),
        (lambda plan: plan.write_bytes(b"\xff\xfe{}"), "not a plan"),
        (lambda plan: plan.write_bytes(b"[" * 60000), "not a plan"),
        (lambda plan: plan.write_text("null"), "not a plan"),
        (lambda plan: plan.write_text("[]"), "not a plan"),
    ],
)
def test_files_that_are_refused(plan: Path, spoil: Callable[[Path], object], reason: str) -> None:
    spoil(plan)
    with pytest.raises(PlanRefused, match=reason) as raised:
        read(plan)
    assert "\n" not in str(raised.value)


@pytest.mark.skipif(ME != 0, reason="writes settings: needs root (files of several users)")
def test_somebody_elses_file_is_refused(plan: Path) -> None:
    os.chown(plan, 4242, 4242)
    with pytest.raises(PlanRefused, match=r"plan\.json: belongs to user 4242; expected 0"):
        read(plan)
    os.chown(plan.parent, 4242, 4242)
    assert read(plan).changes == (CHANGE,)
    os.chown(plan.parent, 4343, 4343)
    with pytest.raises(PlanRefused, match=r"plan\.json: belongs to user 4242; expected 0 or 4343"):
        read(plan)
    os.chown(plan.parent, 4242, 4242)
    os.chown(plan.parent.parent, 4242, 4242)
    with pytest.raises(PlanRefused, match="belongs to user 4242; expected 0"):
        read(plan)


@pytest.mark.parametrize(
    ("created", "now", "reason"),
    [
        (timedelta(minutes=-11), timedelta(), "stale"),
        (timedelta(minutes=3), timedelta(), "dated in the future"),
        (timedelta(), timedelta(days=-400), "dated in the future"),  # the clock jumped back
        (timedelta(), timedelta(days=400), "stale"),  # the clock jumped ahead
        (timedelta(minutes=-9), timedelta(), None),
        (timedelta(minutes=1), timedelta(), None),
    ],
)
def test_age(plan: Path, created: timedelta, now: timedelta, reason: str | None) -> None:
    leave_plan(plan, plan_text([CHANGE], (NOW + created).isoformat(), BOOT))
    if reason is None:
        assert read(plan, now=NOW + now).changes
        return
    with pytest.raises(PlanRefused, match=reason):
        read(plan, now=NOW + now)


def test_another_boot(plan: Path) -> None:
    with pytest.raises(PlanRefused, match="made in another boot"):
        read(plan, boot=BOOT.replace("1", "9"))


def _set(**entries: Any) -> Callable[[dict[str, Any]], None]:
    return lambda document: document.update(entries)


def _set_change(**entries: Any) -> Callable[[dict[str, Any]], None]:
    return lambda document: document["changes"][0].update(entries)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (_set(schema="pagewarden.plan/2"), "schema"),
        (_set(extra=1), "extra"),
        (_set(created_at=1764072000), "created_at"),
        (_set(created_at="2026-11-25T12:00:00"), "created_at"),
        (_set(created_at="2026-11-25T12:00:00+01:00"), "created_at"),
        (_set(created_at="2026-99-25T12:00:00+00:00"), "is no moment"),
        (_set(boot_id="x"), "boot_id"),
        (_set(changes=[]), "changes"),
        (lambda document: document["changes"].append(document["changes"][0]), "twice"),
        (lambda document: document.update(changes=document["changes"] * 5), "changes"),
        (lambda document: document.pop("changes"), "changes"),
        (_set_change(key="kernel.core_pattern"), "key"),
        (_set_change(key="vm.../kernel/core_pattern"), "key"),
        (_set_change(key="vm.min_free_kbytes\n"), "key"),
        (_set_change(key=None), "key"),
        (_set_change(value=90112), "value"),
        (_set_change(value="90112\nkernel.sysrq = 1"), "value"),
        (_set_change(value="90112\n"), "value"),
        (_set_change(value="-1"), "value"),
        (_set_change(value="99999999999"), "value"),
        (_set_change(value=""), "value"),
        (_set_change(value="\u0661"), "value"),  # a digit, but not of ours
        (_set_change(why="a\nb = 1"), "why"),
        (_set_change(why="x" * 1001), "why"),
        (_set_change(evidence=["x\ry"]), "evidence"),
        (_set_change(evidence=["x"] * 21), "evidence"),
        (_set_change(evidence="x"), "evidence"),
        (_set_change(identifier="\u202e"), "identifier"),
        (_set_change(risk="none"), "risk"),
        (_set_change(confidence=1), "confidence"),
        (_set_change(evidence_since="yesterday"), "evidence_since"),
        (_set_change(evidence_since="2026-02-31T00:00:00Z"), "is no moment"),
        (_set_change(promised="happiness"), "promised"),
        (_set_change(more=1), "more"),
        (lambda document: document["changes"][0].pop("risk"), "risk"),
    ],
)
def test_contents_that_are_refused(plan: Path, spoil: Callable[[dict[str, Any]], object], reason: str) -> None:
    document = json.loads(plan.read_text())
    spoil(document)
    plan.write_text(json.dumps(document))
    with pytest.raises(PlanRefused, match=reason) as raised:
        read(plan)
    assert "\n" not in str(raised.value)


@given(st.binary(max_size=300))
def test_any_bytes_are_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("run") / "pagewarden" / "plan.json"
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(PlanRefused):
        read(path)


def test_a_cut_anywhere_is_refused(plan: Path) -> None:
    content = plan.read_bytes()
    for length in range(0, len(content) - 1, 7):
        plan.write_bytes(content[:length])
        with pytest.raises(PlanRefused):
            read(plan)


def test_leaving_a_plan_replaces_links_and_remains(plan: Path) -> None:
    target = plan.with_name("precious")
    target.write_text("x")
    plan.unlink()
    plan.symlink_to(target)
    plan.with_name(".plan.json.new").symlink_to(target)
    leave_plan(plan, plan_text([replace(CHANGE, value="1")], STAMP, BOOT))
    assert target.read_text() == "x"
    assert read(plan).changes[0].value == "1"
