"""The real program in a process of its own: what only a process shows."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from tests.conftest import DATA

MACHINE = DATA / "machines" / "db1-16g"
PROGRAM = [sys.executable, "-m", "pagewarden"]
STATUS = [*PROGRAM, "status", "--root", str(MACHINE)]


def run(
    *argv: str | bytes, env: Mapping[str, str] | None = None, stdout: int = subprocess.PIPE
) -> subprocess.CompletedProcess[str]:
    clean = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "NO_COLOR", "FORCE_COLOR")}
    return subprocess.run(
        argv, env={**clean, **(env or {})}, stdout=stdout, stderr=subprocess.PIPE, text=True, timeout=60, check=False
    )


def test_exit_statuses_leave_the_program() -> None:
    check = run(*PROGRAM, "advise", "--root", str(MACHINE), "--check")
    assert (check.returncode, check.stderr) == (3, "")
    bad = run(*PROGRAM, "simulate", "--root", str(MACHINE), "vm.nosuch=1")
    assert (bad.returncode, bad.stdout, bad.stderr.count("\n")) == (2, "", 1)


@pytest.mark.parametrize(
    "command",
    [
        ("status", "--root", str(MACHINE)),
        ("simulate", "--root", str(MACHINE), "vm.min_free_kbytes=90112"),
        ("advise", "--root", str(MACHINE)),
        ("explain", str(DATA / "klog" / "failure-6.1.log")),
        ("gfp", "0xcc0"),
    ],
    ids=lambda command: command[0],
)
def test_json_is_printed_without_what_is_slow_to_import(command: tuple[str, ...]) -> None:
    code = "import sys\nfrom pagewarden.cli.main import main\nstatus = main(sys.argv[1:])\n"
    code += "print(status, *{'pydantic', 'rich', 'importlib.metadata'} & set(sys.modules))"
    done = run(sys.executable, "-c", code, command[0], "--format", "json", *command[1:])
    assert (done.stderr, done.stdout.splitlines()[-1]) == ("", "0")


def test_a_reader_that_goes_away() -> None:
    command = f"{sys.executable} -m pagewarden status --root {MACHINE} | head -c1; exit ${{PIPESTATUS[0]}}"
    # The answer is larger than head wants but may fit the pipe's buffer: then nobody notices.
    done = run("bash", "-c", command)
    assert done.stderr == ""
    assert len(done.stdout) == 1
    assert done.returncode in (0, 141)


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_pipe_closed_before_the_answer(form: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = run(*STATUS, "--format", form, stdout=writer)
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize(
    "command",
    [STATUS, *([*PROGRAM, *words] for words in (["--help"], ["--version"], ["advise", "--help"]))],
    ids=lambda command: " ".join(command[3:5]),
)
def test_a_full_disk(command: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        done = run(*command, stdout=full.fileno())
    assert done.returncode == 1
    assert done.stderr == "pagewarden: standard output: No space left on device\n"


def test_standard_output_closed() -> None:
    done = run("bash", "-c", f"{sys.executable} -m pagewarden status --root {MACHINE} >&-")
    assert done.returncode == 1
    assert done.stderr == "pagewarden: standard output is closed\n"


def test_interrupted(tmp_path: Path) -> None:
    """A zoneinfo that is a pipe nobody writes to cannot be waited for, so the log of explain is one."""
    pipe = tmp_path / "log"
    os.mkfifo(pipe)
    interrupts = signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job is born deaf to it
    process = subprocess.Popen(
        [*PROGRAM, "explain", str(pipe)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    signal.signal(signal.SIGINT, interrupts)
    with pipe.open("w"):  # the program is there and reads, once this opens
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (130, "", "pagewarden: interrupted\n")


def test_columns_are_honoured_and_nothing_is_cut() -> None:
    wide, narrow = (run(*STATUS, env={"COLUMNS": columns}) for columns in ("200", "40"))
    assert (wide.returncode, narrow.returncode) == (0, 0)
    assert "…" not in narrow.stdout
    sizes = [
        sorted(
            re.findall(r"(?<= )[\d.]+(?: [KMG]iB|%)(?!\S)", done.stdout.partition("\nSettings")[0].partition("\n")[2])
        )
        for done in (wide, narrow)
    ]
    assert sizes[0] == sizes[1]
    assert max(map(len, narrow.stdout.splitlines())) <= 40
    assert "…" not in wide.stdout
    assert "\x1b" not in wide.stdout
    assert all(line == line.rstrip() for line in wide.stdout.splitlines())
    assert "/etc/sysctl.d/90-db.conf:3" in wide.stdout
    assert "/etc/sysctl.d/90-db.conf:3" in re.sub(r"\s", "", narrow.stdout)


@pytest.mark.parametrize("columns", ["0", "1", "40", "9999999"])
def test_an_answer_at_any_width(columns: str) -> None:
    for command in (("gfp", "0x20"), ("advise", "--help")):
        done = run(*PROGRAM, *command, env={"COLUMNS": columns})
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.strip()


@pytest.mark.parametrize(
    ("env", "shown"),
    [
        ({"PYTHONIOENCODING": "ascii"}, b"k?fer"),
        ({"PYTHONIOENCODING": "latin-1"}, b"k\xe4fer"),
        ({"PYTHONIOENCODING": "ascii:backslashreplace"}, b"k\\xe4fer"),
        ({"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, b"k\\udcc3\\udca4fer"),
        ({"PYTHONIOENCODING": "utf-8"}, b"k\xc3\xa4fer"),
    ],
)
def test_what_the_terminal_cannot_show_is_replaced(tmp_path: Path, env: dict[str, str], shown: bytes) -> None:
    log = tmp_path / "k\u00e4fer.log"
    log.write_bytes((DATA / "klog/failure-6.1.log").read_bytes())
    command = [*PROGRAM, "explain", str(log), f"{log}.gone"]
    done = subprocess.run(
        command, env={**os.environ, **env, "COLUMNS": "400"}, capture_output=True, timeout=60, check=False
    )
    assert b"Traceback" not in done.stderr
    assert b"fer.log.gone: No such file" in done.stderr
    assert shown + b".log:2" in done.stdout


def test_json_is_utf8_whatever_the_terminal_shows() -> None:
    code = "import sys\nfrom pagewarden.cli.common import print_utf8\nprint('first')\nprint_utf8('k\u00e4fer')"
    command = [sys.executable, "-c", code]
    env = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, env=env, capture_output=True, timeout=60, check=True)
    assert done.stdout == b"first\nk\xc3\xa4fer"


@pytest.mark.parametrize(("env", "colour"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_colour_on_a_terminal(env: dict[str, str], colour: bool) -> None:
    try:
        primary, secondary = os.openpty()
    except FileNotFoundError:
        pytest.skip("no pseudo terminals here")
    done = run(*STATUS, env={"TERM": "xterm-256color", "COLUMNS": "80", **env}, stdout=secondary)
    os.close(secondary)
    shown = b""
    try:
        while chunk := os.read(primary, 1 << 16):
            shown += chunk
    except OSError:  # EIO: all is read and the other side is closed
        pass
    os.close(primary)
    assert done.returncode == 0
    assert b"vm.min_free_kbytes" in shown
    assert bool(re.search(rb"\x1b\[[0-9;]*3[0-9]m", shown)) is colour


def test_names_that_are_no_text(tmp_path: Path) -> None:
    root = os.fsencode(tmp_path) + b"/\xff"
    done = run(*map(os.fsencode, PROGRAM), b"status", b"--root", root)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "no such file" in done.stderr
    Path(os.fsdecode(root)).symlink_to(MACHINE)
    done = run(*map(os.fsencode, PROGRAM), b"status", b"--format", b"json", b"--root", root)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["host"] == "db1"


def test_a_terminal_that_knows_only_ascii() -> None:
    done = run(*PROGRAM, "advise", "--root", str(MACHINE), env={"PYTHONIOENCODING": "ascii"})
    assert (done.returncode, done.stderr) == (0, "")
