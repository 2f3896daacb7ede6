"""`pagewarden explain`: where it reads from, what it prints, and how it ends."""

import bz2
import gzip
import importlib.util
import json
import lzma
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from bench.made_reports import ERAS, Era, dmesg, make_report
from tests.conftest import DATA
from tests.documents import validated

from pagewarden.cli.main import main
from pagewarden.report.wire_report import ReportDocument

LOGS = DATA / "klog"
FAILURE = LOGS / "failure-6.1.log"
OOM = LOGS / "oom-5.10.log"
PROGRAM = (sys.executable, "-m", "pagewarden", "explain")

Capture = pytest.CaptureFixture[str]


def explain(capsys: Capture, *arguments: str | Path) -> tuple[int, str, str]:
    status = main(["explain", *map(str, arguments)])
    captured = capsys.readouterr()
    return int(status), captured.out, captured.err


def documents(capsys: Capture, *arguments: str | Path) -> list[Mapping[str, object]]:
    status, out, err = explain(capsys, "--format", "json", *arguments)
    assert (status, err) == (0, "")
    return [json.loads(line) for line in out.splitlines()]


def refused(capsys: Capture, *arguments: str | Path) -> tuple[int, str]:
    """The status and the one line on standard error of something that cannot be done."""
    status, out, err = explain(capsys, *arguments)
    assert out == ""
    assert err.startswith("pagewarden explain: ")
    assert err.endswith("\n")
    assert err.count("\n") == 1
    return status, err


# What cannot be read, and wrong usage


def test_missing_file(capsys: Capture, tmp_path: Path) -> None:
    status, line = refused(capsys, tmp_path / "none.log")
    assert status == 2
    assert "none.log: No such file" in line


def test_folder(capsys: Capture, tmp_path: Path) -> None:
    status, line = refused(capsys, tmp_path)
    assert status == 2
    assert "directory" in line


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (random.Random(3).randbytes(5000), "binary data, not a log"),
        (bytes(range(256)) * 40, "binary data, not a log"),
        (b"LPKSHHRH" + bytes(200), "a systemd journal file; give the output of: journalctl --file FILE "),
        (b"PK\x03\x04" + bytes(200), "a zip archive; unpack it"),
    ],
)
def test_a_file_that_is_no_log(capsys: Capture, tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "kern.log"
    path.write_bytes(content)
    status, line = refused(capsys, path)
    assert status == 2
    assert f"{path}: {said}" in line
    status, out, err = explain(capsys, path, FAILURE)
    assert (status, err) == (2, line)
    assert "1. page allocation failure" in out


def test_file_that_may_not_be_read(capsys: Capture, tmp_path: Path) -> None:
    log = tmp_path / "secret.log"
    log.write_bytes(FAILURE.read_bytes())
    log.chmod(0)
    if os.geteuid() == 0:  # who may read everything
        assert len(documents(capsys, log)) == 1
    else:
        assert refused(capsys, log)[0] == 77


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "nothing to read"),
        (["--since", "-2d", "x.log"], "--since goes with --journal"),
        (["--journal", "--since", "last harvest"], "--since 'last harvest'"),
    ],
)
def test_wrong_usage(capsys: Capture, arguments: list[str], said: str) -> None:
    status, line = refused(capsys, *arguments)
    assert status == 2
    assert said in line


@pytest.mark.parametrize(
    ("content", "read"),
    [
        (b"", "empty: no line was read"),
        (b"\n\n", "no report; 2 lines read"),
        (b"\0" * 5000, "no report; 1 line read"),
        (b"page allocation", "no report; 1 line read"),
        (
            b"\nwarn_alloc: 305 callbacks suppressed\n",
            "no report; 2 lines read; line 2 speaks of memory trouble without a report",
        ),
        (
            b"x invoked oom-killer\noom_reaper: reaped process 99 (java)\n",
            "no report; 2 lines read; 2 lines speak of memory trouble without a report, the first in line 1",
        ),
        (b"a line\n" * 1_000_000 + b"one more", "no report; 1000001 lines read"),
    ],
)
def test_nothing_in_it(capsys: Capture, tmp_path: Path, content: bytes, read: str) -> None:
    log = tmp_path / "log"
    log.write_bytes(content)
    assert documents(capsys, log) == []
    status, out, err = explain(capsys, log)
    assert (status, out.split(), err) == (0, f"No memory reports found. {log}: {read}".split(), "")


def test_nothing_on_standard_input() -> None:
    given = subprocess.run([*PROGRAM, "-"], input=b"", capture_output=True, check=True)
    assert given.stdout == b"No memory reports found.\n  standard input: empty: no line was read\n"


def test_counts_of_several_files(capsys: Capture, tmp_path: Path) -> None:
    twice, quiet = tmp_path / "twice", tmp_path / "quiet"
    twice.write_bytes(FAILURE.read_bytes() * 2)
    quiet.write_bytes(b"a line\n")
    lines, more = (log.read_bytes().count(b"\n") for log in (FAILURE, OOM))
    for options in ([], ["--all"]):
        # One that is named twice is read once.
        status, out, err = explain(capsys, *options, FAILURE, twice, quiet, OOM, FAILURE)
        assert (status, err) == (0, "")
        assert out.startswith("4 reports, 2 different\ntimes  what"), "what happened comes before where it was read"
        assert "".join(out.partition("\n\n")[0].split()).endswith(
            "".join(
                f"""{FAILURE}: 1 report; {lines} lines read
                {twice}: 2 reports, all of one kind; {2 * lines} lines read
                {quiet}: no report; 1 line read
                {OOM}: 1 report; {more} lines read""".split()
            )
        )


def test_one_missing_file_takes_nothing_from_the_others(
    capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "400")  # a path as long as pytest's may break at its end
    status, out, err = explain(capsys, "--format", "json", FAILURE, tmp_path / "none.log", OOM)
    assert status == 2
    assert [json.loads(line)["kind"] for line in out.splitlines()] == ["page-allocation-failure", "oom"]
    assert err.count("\n") == 1
    status, out, err = explain(capsys, FAILURE, tmp_path / "none.log")
    assert (status, err.count("\n")) == (2, 1)
    assert out.startswith("1 report\n")
    assert "none.log: no report; not read, or not to the end" in " ".join(out.split())


# Compressed logs, by their first bytes


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress, bz2.compress])
def test_compressed(capsys: Capture, tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    log = tmp_path / "kern.log.1"
    log.write_bytes(pack(FAILURE.read_bytes()))
    (document,) = documents(capsys, log)
    (plain,) = documents(capsys, FAILURE)
    assert document == {**plain, "source": {"file": str(log), "line": 2}}


# A frame with one raw block: what a compressor writes for text that does not shrink.
ZSTD_FRAME = b"\x28\xb5\x2f\xfd\x20\x05\x29\x00\x00hello"


def test_zstd_is_read_or_said_to_need_a_package(capsys: Capture, tmp_path: Path) -> None:
    log = tmp_path / "kern.log.zst"
    log.write_bytes(ZSTD_FRAME)
    if importlib.util.find_spec("zstandard") or importlib.util.find_spec("compression"):
        status, out, err = explain(capsys, log)
        assert (status, "no report; 1 line read" in " ".join(out.split()), err) == (0, True, "")
    else:
        status, line = refused(capsys, log)
        assert status == 2
        assert "zstandard" in line


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_cut_off_log_gives_what_stands_before_the_damage(capsys: Capture, tmp_path: Path, form: str) -> None:
    packed = gzip.compress(
        os.urandom(3000).hex().encode() + b"\n" + FAILURE.read_bytes() + os.urandom(9000).hex().encode()
    )
    log = tmp_path / "kern.log.gz"
    log.write_bytes(packed[: len(packed) - 2000])
    status, out, err = explain(capsys, "--format", form, log)
    assert status == 2
    assert "ksoftirqd/2" in out
    assert err.count("\n") == 1
    assert "damaged" in err


# What is printed


def test_json_is_one_document_a_line_and_validates(capsys: Capture) -> None:
    status, out, err = explain(capsys, "--format", "json", *sorted(LOGS.glob("*.log")))
    assert (status, err) == (0, "")
    found = [validated(ReportDocument, line) for line in out.splitlines()]
    assert len(found) >= 6


def test_a_file_whose_name_is_no_unicode(capsys: Capture, tmp_path: Path) -> None:
    log = tmp_path / "\udcff.log"
    log.write_bytes(FAILURE.read_bytes())
    (document,) = documents(capsys, log)
    assert document["source"]["file"] == str(log)


def test_repeats_are_grouped_unless_all_are_asked_for(capsys: Capture, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(FAILURE.read_bytes() * 3 + OOM.read_bytes() + FAILURE.read_bytes())
    assert [document["count"] for document in documents(capsys, log)] == [4, 1]
    every = documents(capsys, "--all", log)
    assert [document["count"] for document in every] == [1] * 5
    assert [document["kind"] for document in every][3] == "oom"
    _, out, _ = explain(capsys, log)
    assert out.startswith("5 reports, 2 different\n")
    assert "4 times, " in " ".join(out.split())  # a long path wraps the line
    _, out, _ = explain(capsys, "--all", log)
    assert out.startswith("5 reports, 2 different\n")
    assert "\n5. page allocation failure" in out


def test_the_kernel_named_by_the_user_counts(capsys: Capture, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("java: page allocation failure. order:0, mode:0x20\n")
    assert documents(capsys, log)[0]["gfp_name"] == "GFP_ATOMIC"
    assert documents(capsys, "--kernel", "4.4.0", log)[0]["gfp_name"] == "__GFP_HIGH"


def test_terminal_control_never_gets_through(capsys: Capture, tmp_path: Path) -> None:
    log = tmp_path / "log"
    evil = b"\x1b]0;owned\x07\x1b[2Jj\xc2\x9b31mava\xe2\x80\xae"
    log.write_bytes(FAILURE.read_bytes().replace(b"ksoftirqd/2", evil))
    for form in ("text", "json"):
        _, out, _ = explain(capsys, "--format", form, log)
        assert "order" in out
        assert not set(out) & set("\x1b\x07\x9b\u202e")


# Pipes and signals


def run(*command: str | Path, data: bytes) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(command, input=data, capture_output=True, timeout=60, check=False)


def test_standard_input_from_a_pipe() -> None:
    done = run(*PROGRAM, "--format", "json", "-", data=FAILURE.read_bytes())
    assert (done.returncode, done.stderr) == (0, b"")
    assert json.loads(done.stdout)["source"] == {"file": "-", "line": 2}
    packed = run(*PROGRAM, "--format", "json", "-", data=gzip.compress(FAILURE.read_bytes()))
    assert packed.stdout == done.stdout


def test_output_pipe_closed_early(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(FAILURE.read_bytes() * 60)
    for form in ("text", "json"):
        with subprocess.Popen(
            (*PROGRAM, "--all", "--format", form, str(log)), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            process.stdout.read(10)
            process.stdout.close()
            assert (process.wait(timeout=60), process.stderr.read()) == (141, b"")


def test_interrupted_while_it_waits_for_more() -> None:
    interrupts = signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job is born deaf to it
    with subprocess.Popen((*PROGRAM, "-"), stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        signal.signal(signal.SIGINT, interrupts)
        assert process.stdin is not None
        assert process.stderr is not None
        process.stdin.write(b"x\n" * 70_000)  # more than the pipe holds: it has been started and reads
        process.stdin.flush()
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 130
        assert process.stderr.read() == b"pagewarden: interrupted\n"


# Sources that not every machine has


def test_kernel_buffer(capsys: Capture) -> None:
    status, out, err = explain(capsys, "--format", "json", "--kmsg")
    if status == 0:
        assert all(json.loads(line)["source"]["file"] == "/dev/kmsg" for line in out.splitlines())
    else:
        assert status == (2 if "No such file" in err else 77)
        assert (out, err.count("\n")) == ("", 1)


def test_journal(capsys: Capture) -> None:
    status, out, err = explain(capsys, "--format", "json", "--journal", "--since", "-1h")
    if status != 0:
        assert status in (2, 77)
        assert (out, err.count("\n")) == ("", 1)
        assert "journal" in err


# Reports of every format, whole: nothing of them is lost, whatever their numbers


@pytest.mark.parametrize("era", ERAS, ids=lambda era: era.release)
def test_made_reports_of_every_format(capsys: Capture, tmp_path: Path, era: Era) -> None:
    rng = random.Random(era.release)
    log = tmp_path / "log"
    reports = [make_report(era, rng) for _ in range(8)]
    log.write_text("\n".join("\n".join(dmesg(report, 100.0 * number)) for number, report in enumerate(reports)))
    found = documents(capsys, "--all", log)
    assert len(found) == 8
    for document in found:
        zones = document["zones"]
        assert isinstance(zones, list)
        assert [(zone["node"], zone["zone"]) for zone in zones] == [zone[:2] for zone in era.zones]
        assert document["cause"] != "incomplete" or era.version < (2, 6, 18), document["explanation"]


# The text on narrow terminals


@pytest.mark.parametrize("columns", [60, 80])
def test_names_of_a_mask_stay_whole(
    capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    names = [
        "GFP_HIGHUSER_MOVABLE",
        *("__GFP_NOWARN", "__GFP_RETRY_MAYFAIL", "__GFP_NOMEMALLOC", "__GFP_HARDWALL", "__GFP_THISNODE"),
        *("__GFP_ACCOUNT", "__GFP_ZERO", "__GFP_COMP", "__GFP_WRITE"),
    ]
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.chdir(tmp_path)
    lines = [f"a: page allocation failure: order:{order}, mode:0x0({'|'.join(names)})" for order in (2, 3, 3)]
    Path("log").write_text("\n".join(lines) + "\n")
    _, out, _ = explain(capsys, "log")
    assert max(map(len, out.splitlines())) <= columns
    # Twice in the table, twice with the report, and never cut.
    assert [len(re.findall(rf"(?<!\w){name}(?!\w)", out)) for name in names] == [4] * len(names)


def test_what_to_do_hangs_when_it_wraps(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    _, out, _ = explain(capsys, OOM)
    items = out.partition("What to do\n")[2].rstrip().splitlines()
    assert len([line for line in items if line.startswith("   - ")]) >= 2
    assert {line[:5] for line in items} == {"   - ", "     "}


def test_zones_without_memory_are_empty(capsys: Capture) -> None:
    _, out, _ = explain(capsys, LOGS / "oom-2.6.11.log")
    assert [line.split() for line in out.splitlines() if "empty" in line] == [["Normal", "empty"], ["HighMem", "empty"]]
    assert "not allowed" not in out
