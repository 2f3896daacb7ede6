"""The state file: written at once, read by anybody, and garbage in it is one line."""

import contextlib
import json
import os
import shutil
from dataclasses import asdict, replace
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.conftest import DATA

from pagewarden.cli.common import print_text
from pagewarden.cli.main import main
from pagewarden.errors import ReadError
from pagewarden.history.state import SCHEMA, StateFile, parse_state
from pagewarden.history.types import OpenFinding, Probation, ServiceState
from pagewarden.report.service import render_service

NOW = 1_795_650_000.0
STATE = ServiceState(
    "0.1.0",
    4711,
    NOW - 7200,
    NOW - 20,
    NOW + 40,
    360,
    3,
    (OpenFinding("too-high/vm.min_free_kbytes", "too-high", "warning", "too much \x1b[31mis kept", NOW - 3600),),
    ("vm.min_free_kbytes: 67584 -> 131072",),
    (Probation("vm.watermark_scale_factor", "50", "10", NOW + 600),),
    ("journal: permission denied",),
)
VALUES = json.loads(json.dumps({"schema": SCHEMA, **asdict(STATE)}))


def test_what_is_written_is_read_by_everybody(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    previous = os.umask(0o077)
    try:
        file = StateFile(str(path))
        for state in (
            STATE,
            replace(STATE, poll_count=361),
            replace(STATE, findings=()),
            replace(STATE, plan=()),
            STATE,
        ):
            file.write(state)
            assert parse_state(path.read_bytes(), str(path)) == state
    finally:
        os.umask(previous)
    assert path.stat().st_mode & 0o777 == 0o644
    assert [entry.name for entry in tmp_path.iterdir()] == ["state.json"]


def test_a_link_in_the_way_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("precious")
    (tmp_path / ".state.json.new").symlink_to("victim")
    with pytest.raises(OSError, match=r"symbolic link|\.new"):
        StateFile(str(tmp_path / "state.json")).write(STATE)
    assert (tmp_path / "victim").read_text() == "precious"


WRONG: list[Any] = [
    b"", b"{}", b"[]", b"null", b"\xff", b'{"schema":1}', b"[" * 100_000, b'{"schema":"pagewarden.state/1"}',
    {"pid": "1"}, {"pid": True}, {"pid": -1}, {"since_seconds": 1e400}, {"since_seconds": -1}, {"version": None},
    {"findings": [1]}, {"findings": {}} | {"plan": [5]}, {"plan": None}, {"probation": [{}]},
    {"schema": "pagewarden.state/2"}, {"version": "\ud800"},
    {"next_poll_seconds": 253_402_300_800}, {"degraded": 7},
]  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG, ids=range(len(WRONG)))
def test_garbage_is_one_line_and_never_shown(wrong: Any) -> None:
    content = wrong if isinstance(wrong, bytes) else json.dumps(VALUES | wrong).encode()
    with pytest.raises(ReadError) as caught:
        parse_state(content, "state.json")
    assert str(caught.value) == "state.json: expected what the service writes (pagewarden.state/1)"


NESTED = st.recursive(st.none() | st.integers() | st.text(), st.lists)


@given(st.binary(max_size=100) | NESTED.map(lambda value: json.dumps({**VALUES, "findings": value}).encode()))
def test_only_our_error_comes_out(content: bytes) -> None:
    with contextlib.suppress(ReadError):
        parse_state(content, "state.json")


def show(state: ServiceState | str | None, now: float = NOW) -> None:
    print_text(render_service(state, now, UTC, "do this"))


def test_status_shows_it(capsys: pytest.CaptureFixture[str]) -> None:
    show(STATE)
    assert capsys.readouterr().out == (
        "\n"
        "Service\n"
        "running since 2026-11-25 21:40 (pagewarden 0.1.0, process 4711)\n"
        "last reading 20 s ago, the next within 40 s; 360 so far\n"
        "kernel reports since then: 3 (pagewarden history)\n"
        "  not working: journal: permission denied\n"
        "  warning since 2026-11-25 22:40, too-high: too much \\x1b[31mis kept\n"
        "  planned: vm.min_free_kbytes: 67584 -> 131072\n"
        "  watched until 2026-11-25 23:50: vm.watermark_scale_factor 10 -> 50\n"
    )


@pytest.mark.parametrize(
    ("state", "now", "expected"),
    [
        (None, NOW, "not running (do this)"),
        ("state.json: permission denied", NOW, "its state cannot be read: state.json: permission denied"),
        (STATE, NOW + 3600, "NO READING since 2026-11-25 23:39: stopped or stuck"),
        (STATE, NOW - 3600, "the clock was set back"),
        (replace(STATE, findings=()), NOW, "no finding is open"),
    ],
)
def test_other_states(
    state: ServiceState | str | None, now: float, expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    show(state, now)
    assert expected in capsys.readouterr().out


@pytest.fixture
def make_machine(tmp_path: Path) -> Path:
    return Path(shutil.copytree(DATA / "machines" / "db1-16g", tmp_path / "root"))


def test_the_command(capsys: pytest.CaptureFixture[str], make_machine: Path) -> None:
    state = make_machine / "run" / "pagewarden" / "state.json"
    state.parent.mkdir(parents=True)
    assert main(["status", "--root", str(make_machine)]) == 0
    assert "Service" not in capsys.readouterr().out, "a capture of a machine without the service"
    StateFile(str(state)).write(STATE)
    assert main(["status", "--root", str(make_machine)]) == 0
    assert "running since" in capsys.readouterr().out
    assert main(["status", "--root", str(make_machine), "--format", "json"]) == 0
    service = json.loads(capsys.readouterr().out)["service"]
    assert (service["pid"], service["findings"][0]["cause"]) == (4711, "too-high")
    state.write_text("garbage")
    assert main(["status", "--root", str(make_machine)]) == 0
    assert "its state cannot be read:" in capsys.readouterr().out
    assert main(["status", "--root", str(make_machine), "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["service"] is None
