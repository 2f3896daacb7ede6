"""What children do, and how their answers come back."""

import marshal
import os
import select
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from tests.conftest import DATA
from tests.unit.daemon.service import NO_REMOTE, make_journal

from pagewarden.advise.policy import AdvicePolicy
from pagewarden.config.settings import Advise
from pagewarden.daemon import work
from pagewarden.daemon.child import MAX_ANSWER_BYTES, Child
from pagewarden.daemon.log_lines import KeptLine, signature_of
from pagewarden.daemon.sample_report import LINES
from pagewarden.errors import PagewardenError
from pagewarden.kernel.machine import machine_of
from pagewarden.procfs.snapshot import read_snapshot

JOURNAL_BEGINS = 1_700_000_000  # the first entry that make_journal writes


def answer_of(job: object, seconds: float = 120.0) -> tuple[object, str]:
    child = Child("test", job, 0)  # type: ignore[arg-type]
    poller = select.poll()
    poller.register(child.handle, select.POLLIN)
    end = time.monotonic() + seconds
    while not child.collect():
        assert time.monotonic() < end
        poller.poll(1000)
    return child.finish()


def fail() -> None:
    raise PagewardenError("file: what is wrong")


def break_down() -> None:
    raise RuntimeError("a bug")


@pytest.mark.parametrize(
    ("job", "answer", "reason"),
    [
        pytest.param(lambda: {"a": [1, 2.5, "x", None, True]}, {"a": [1, 2.5, "x", None, True]}, "", id="an answer"),
        pytest.param(lambda: None, None, "", id="none is an answer"),
        pytest.param(fail, None, "file: what is wrong", id="an error of ours is its line"),
        pytest.param(break_down, None, "RuntimeError: a bug", id="any other is named"),
        pytest.param(lambda: os._exit(3), None, "it ended early (status 3)", id="gone"),
        pytest.param(lambda: os.kill(os.getpid(), 9), None, "it ended early (signal 9)", id="killed"),
        pytest.param(lambda: "x" * (MAX_ANSWER_BYTES + 9), None, "its answer is too long", id="too long"),
    ],
)
def test_child(job: object, answer: object, reason: str) -> None:
    assert answer_of(job) == (answer, reason)


def test_a_child_that_hangs_can_be_ended() -> None:
    child = Child("test", lambda: time.sleep(600), 0)
    began = time.monotonic()
    child.end()
    assert time.monotonic() - began < 60, "it was waited for"


def test_children_leave_no_descriptors_and_no_processes() -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        answer_of(lambda: 1)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_the_self_test_passes_and_can_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    assert work.self_test() == []
    monkeypatch.setattr("pagewarden.daemon.sample_report.LINES", LINES[:5])
    assert any("cause" in problem for problem in work.self_test())


def test_decode_joins_signatures_to_causes() -> None:
    block = tuple(KeptLine(text, 7.0) for text in LINES)
    (decoded,) = work.decoded_of(work.decode((block, block)))
    assert decoded.signature == signature_of(LINES[0])
    assert decoded.identity == "page-allocation-failure/atomic-reserve-exhausted/try_fill_recv:virtio_net"
    assert (decoded.cause, decoded.severity, decoded.key) == (
        "atomic-reserve-exhausted",
        "warning",
        "vm.min_free_kbytes",
    )
    assert decoded.details["ORDER"] == "0"
    assert decoded.advice.startswith("raise vm.min_free_kbytes: ")


@pytest.mark.parametrize("text", ["", "\x00\x1b[31m", "Killed process 1", "x: page allocation failure: order:", "[ 1]"])
def test_decode_takes_anything(text: str) -> None:
    work.decode(((KeptLine(text),) * 3, ()))


def test_a_kill_alone_is_decoded_as_one() -> None:
    block = (
        KeptLine("Out of memory: Killed process 77 (java) total-vm:9kB, anon-rss:8kB, file-rss:0kB, shmem-rss:0kB"),
    )
    (decoded,) = work.decoded_of(work.decode((block,)))
    assert (decoded.signature, decoded.kind, decoded.severity) == ("kill", "oom", "critical")


def question(root: str, run: Path | None = None) -> work.Question:
    settings = asdict(Advise())
    return work.Question(root, settings, {}, {}, None if run is None else str(run), "boot", 1_700_000_000.0)


def test_advise_answers_plainly() -> None:
    answer = answer_of(lambda: work.advise(question("/")))
    assert answer[1] == ""
    assert isinstance(work.advices_of(answer[0]).found, tuple)  # type: ignore[arg-type]


def test_advise_without_zoneinfo_is_an_error(tmp_path: Path) -> None:
    assert "no proc/zoneinfo here" in answer_of(lambda: work.advise(question(str(tmp_path))))[1]


def test_a_plan_that_does_not_hold_is_withdrawn(tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text("{}")
    work.advise(question("/", tmp_path))
    assert not (tmp_path / "plan.json").exists()


@pytest.mark.parametrize("name", ["db1-16g", "numa-64g", "pae-8g", "router-64m"])
def test_advise_on_machines(name: str) -> None:
    answer = work.advise(question(str(DATA / "machines" / name)))
    found = work.advices_of(marshal.loads(marshal.dumps(answer))).found
    assert len({advised.identity for advised in found}) == len(found)
    assert all(advised.severity in ("info", "notice", "warning", "critical") and advised.text for advised in found)


@NO_REMOTE
@pytest.mark.parametrize(("late_seconds", "counts"), [(0, True), (400, True), (4000, False)])
def test_a_report_that_was_seen_late_is_evidence(tmp_path: Path, late_seconds: int, counts: bool) -> None:
    make_journal(tmp_path / "journal", LINES)
    asked = replace(
        question(str(DATA / "machines" / "guest-4g")),
        wall_seconds=JOURNAL_BEGINS + 5000,
        reports_since=JOURNAL_BEGINS + late_seconds,
        journal=str(tmp_path / "journal"),
    )
    snapshot = read_snapshot(asked.root, page_types=False)
    evidence = work.log_evidence(asked, snapshot, machine_of(snapshot), AdvicePolicy())
    assert bool(evidence.failures or evidence.rejected) is counts
