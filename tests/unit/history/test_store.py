"""The history on disk: what was written is there after a power cut, damage is set aside, readers change nothing."""

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from tests.nobody import NOBODY, as_nobody
from tests.unit.history.values import NOW, report, sample

from pagewarden.errors import PermissionDenied, ReadError
from pagewarden.history.read import open_reader
from pagewarden.history.schema import HistoryError
from pagewarden.history.store import History, Limits
from pagewarden.history.types import Batch, Event, EventKind, OpenFinding

FINDING = OpenFinding("too-high/vm.min_free_kbytes", "too-high", "warning", "too much is kept free", NOW)


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "state" / "history.db")


@pytest.fixture(autouse=True)
def _folder(path: str) -> None:
    Path(path).parent.mkdir()


OPENED: list[History] = []


def opened(path: str, now: float = NOW, **limits: int) -> History:
    OPENED.append(History(path, Limits(**limits), now))
    return OPENED[-1]


def teardown_function() -> None:
    """A database left to the garbage collector is an error from Python 3.13 on; closing twice is none."""
    while OPENED:
        OPENED.pop().close()


def write_some(path: str) -> None:
    history = opened(path)
    history.write(Batch((sample(NOW),), (report(NOW),), (FINDING,), "cursor-1"), NOW)
    history.close()


def test_what_is_written_is_read_while_the_service_goes_on(path: str) -> None:
    history = opened(path)
    history.write(Batch((sample(NOW),), (report(NOW),), (FINDING,), "cursor-1"), NOW)
    with open_reader(path) as reader:
        history.write(Batch((sample(NOW + 1),)), NOW)
        assert list(reader.samples(0)) == [sample(NOW)]
        assert list(reader.events(0)) == [report(NOW)]
        assert reader.findings() == (FINDING,)
    with open_reader(path) as reader:
        assert len(list(reader.samples(0))) == 2
        assert [entry.at_seconds for entry in reader.samples(NOW + 0.5)] == [NOW + 1]
    history.close()
    again = opened(path)
    assert again.cursor == "cursor-1"
    assert again.findings == (FINDING,)
    again.write(Batch(findings=()), NOW)
    assert again.findings == ()
    assert again.cursor == "cursor-1"
    assert again.take_notes() == ()


def test_a_reader_changes_nothing(path: str) -> None:
    write_some(path)
    before = {entry.name: entry.read_bytes() for entry in Path(path).parent.iterdir()}
    with open_reader(path) as reader, pytest.raises(sqlite3.OperationalError, match="readonly"):
        reader._database.execute("DELETE FROM event")
    after = {entry.name: entry.read_bytes() for entry in Path(path).parent.iterdir() if not entry.name.endswith("-shm")}
    assert after == before | dict.fromkeys(after.keys() - before.keys(), b"")


def test_repeats_are_counted_and_changes_are_not(path: str) -> None:
    history = opened(path)
    change = Event(EventKind.CHANGE_APPLIED, NOW, NOW, "1 -> 2", subject="vm.min_free_kbytes")
    events = [report(NOW + second) for second in range(0, 7200, 10)]
    history.write(Batch(events=(*events, report(NOW, "memory-exhausted"), change, change)), NOW)
    history.write(Batch(events=(replace(report(NOW + 7200), count=5), report(NOW + 20_000))), NOW)
    with open_reader(path) as reader:
        found = [
            (event.kind, event.cause, event.count, event.first_seconds, event.last_seconds)
            for event in reader.events(0)
        ]
        assert reader.report_totals() == {"fragmented": 726, "memory-exhausted": 1}
    assert sorted(found, key=str) == sorted(
        [
            (EventKind.REPORT, "fragmented", 725, NOW, NOW + 7200),
            (EventKind.REPORT, "memory-exhausted", 1, NOW, NOW),
            (EventKind.CHANGE_APPLIED, "", 1, NOW, NOW),
            (EventKind.CHANGE_APPLIED, "", 1, NOW, NOW),
            (EventKind.REPORT, "fragmented", 1, NOW + 20_000, NOW + 20_000),
        ],
        key=str,
    )  # fmt: skip


@pytest.mark.parametrize(
    "content",
    [b"not a database at all" * 500, b"SQLite format 3\x00" + bytes(4080), b"SQLite format 3\x00" + os.urandom(8192)],
    ids=["text", "zeros", "noise"],
)
def test_a_damaged_file_is_set_aside_and_said(content: bytes, path: str) -> None:
    Path(path).write_bytes(content)
    with pytest.raises(HistoryError, match=r"history\.db: "), open_reader(path):
        pass
    history = opened(path)
    (note,) = history.take_notes()
    assert "the history begins anew" in note
    assert history.take_notes() == ()
    history.write(Batch((sample(NOW),)), NOW)
    (aside,) = Path(path).parent.glob("history.db.damaged-*")
    assert aside.read_bytes() == content
    assert aside.name.endswith("Z")
    assert aside.name in note


def test_one_damaged_file_is_kept(path: str) -> None:
    for offset in range(3):
        Path(path).write_bytes(b"x" * 5000)
        opened(path, NOW + offset).close()
    assert len(list(Path(path).parent.glob("*.damaged-*"))) == 1


def test_damage_in_the_middle_of_the_service_life(path: str) -> None:
    history = opened(path)
    history.write(Batch(tuple(sample(NOW + n) for n in range(2000))), NOW)
    history.close()
    history = opened(path)
    content = bytearray(Path(path).read_bytes())
    for at in range(4096, len(content), 4096):
        content[at : at + 200] = os.urandom(200)
    Path(path).write_bytes(content)
    history.write(Batch((sample(NOW + 3000),), cursor="c"), NOW + 3000)
    assert "begins anew" in history.take_notes()[0]
    assert history.cursor == "c"
    history.close()


@pytest.mark.parametrize("statement", ["PRAGMA user_version = 2", "DROP TABLE event", "DROP TABLE state"])
def test_tables_of_another_version(statement: str, path: str) -> None:
    write_some(path)
    with sqlite3.connect(path) as database:
        database.execute(statement)
    database.close()
    history = opened(path)
    history.write(Batch((sample(NOW),), (report(NOW),), cursor="c"), NOW)
    assert len(history.take_notes()) == 1


def test_values_that_are_not_ours_are_an_error_of_the_reader(path: str) -> None:
    write_some(path)
    with sqlite3.connect(path) as database:
        database.execute("UPDATE event SET details = '[]'")
    database.close()
    with pytest.raises(HistoryError, match="no object"), open_reader(path) as reader:
        list(reader.events(0))


def test_no_file_and_no_permission_are_told_apart(path: str) -> None:
    with pytest.raises(ReadError) as caught, open_reader(path):
        pass
    assert caught.value.missing
    write_some(path)
    Path(path).chmod(0)
    with as_nobody(Path(path).parent), pytest.raises(PermissionDenied, match="root may read it"), open_reader(path):
        pass


def test_read_by_another_user_while_the_service_is_stopped(path: str) -> None:
    write_some(path)
    Path(path).chmod(0o644)
    assert not Path(f"{path}-shm").exists()
    with as_nobody(Path(path).parent), open_reader(path) as reader:
        assert len(list(reader.samples(0))) == 1
    assert [entry.name for entry in Path(path).parent.iterdir()] == ["history.db"]


def test_root_leaves_nothing_that_the_service_cannot_write(path: str) -> None:
    if os.geteuid() != 0:
        return  # only root can read what belongs to another
    with as_nobody(Path(path).parent, owner=True):
        write_some(path)
    with open_reader(path) as reader:
        assert reader.findings() == (FINDING,)
    assert {entry.stat().st_uid for entry in Path(path).parent.iterdir()} == {NOBODY}
    with as_nobody(Path(path).parent):
        history = opened(path)
        history.write(Batch(cursor="after"), NOW)
        history.close()


def test_read_after_a_crash_by_another_user(path: str) -> None:
    write_some(path)
    history = opened(path)
    history.write(Batch((sample(NOW + 1),)), NOW)
    copy = Path(path).parent.parent / "copy"
    copy.mkdir()
    for suffix in ("", "-wal"):
        (copy / f"history.db{suffix}").write_bytes(Path(path + suffix).read_bytes())
    with as_nobody(copy), open_reader(str(copy / "history.db")) as reader:
        assert len(list(reader.samples(0))) == 2


@pytest.mark.parametrize("name", ["a b?c#d%41.db", "ä'\".db"])
def test_names_that_are_no_plain_uri(name: str, tmp_path: Path) -> None:
    write_some(str(tmp_path / name))
    with open_reader(str(tmp_path / name)) as reader:
        assert reader.findings() == (FINDING,)


def test_a_folder_is_no_history(path: str) -> None:
    Path(path).mkdir()
    with pytest.raises(HistoryError, match="unable to open"):
        opened(path)
    with pytest.raises(ReadError, match="not a regular file"), open_reader(path):
        pass
    os.mkfifo(f"{path}.pipe")
    with pytest.raises(ReadError, match="not a regular file"), open_reader(f"{path}.pipe"):
        pass


def test_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(HistoryError, match="unable to open"):
        opened(str(tmp_path / "none" / "history.db"))


def test_locked_by_somebody_else(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pagewarden.history.store.LOCK_SECONDS", 0.1)
    history = opened(path)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(HistoryError, match="locked"):
        history.write(Batch((sample(NOW),)), NOW)
    other.execute("COMMIT")
    history.write(Batch((sample(NOW),)), NOW)
    other.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Path:
    """Mount a file system of one MiB, in this process's own view of the mounts where that may be done."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", folder]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("no small disk: needs root that may mount")
    return folder


def test_a_full_disk_is_said_and_goes_on_when_there_is_room(small_disk: Path) -> None:
    try:
        history = opened(str(small_disk / "history.db"))
        history.write(Batch((sample(NOW),), cursor="before"), NOW)
        filler = small_disk / "filler"
        filler.write_bytes(bytes(os.statvfs(small_disk).f_bavail * 4096))
        with pytest.raises(HistoryError, match=r"full|disk I/O"):
            history.write(Batch(tuple(sample(NOW + number) for number in range(3000)), cursor="after"), NOW)
        cursor = history.cursor
        filler.unlink()
        history.write(Batch((sample(NOW + 999),)), NOW)
        assert history.cursor == cursor
        history.close()
        with open_reader(str(small_disk / "history.db")) as reader:
            assert [entry.at_seconds for entry in reader.samples(NOW + 999)] == [NOW + 999]
    finally:
        subprocess.run(["umount", small_disk], check=True)


@pytest.mark.thorough
def test_the_file_stays_within_its_size(path: str) -> None:
    history = opened(path, max_mb=4)
    now = NOW
    largest = 0
    for _ in range(30):
        batch = tuple(replace(sample(now + second), boot_id=f"b{second % 7}") for second in range(0, 500, 5))
        events = tuple(report(now, subject=f"{number} {'x' * 480}") for number in range(200))
        now += 3601
        history.write(Batch(batch, events), now)
        largest = max(largest, Path(path).stat().st_size)
    assert largest <= 4 << 20
    with open_reader(path) as reader:
        kept = list(reader.samples(0))
    assert kept[-1].at_seconds == now - 3601 + 495
    assert len(kept) > 100
    assert largest > 3 << 20, "the limit was felt"
    history.close()


def test_a_batch_that_does_not_fit_makes_room(path: str) -> None:
    history = opened(path, max_mb=4)
    for number in range(60):
        events = tuple(report(NOW + number, subject="y" * 1000 + str((number, n))) for n in range(100))
        history.write(Batch((sample(NOW + number),), events), NOW)
    assert Path(path).stat().st_size <= 4 << 20
    with open_reader(path) as reader:
        assert max(event.last_seconds for event in reader.events(0)) == NOW + 59
    history.close()


def test_a_smaller_size_gives_room_back(path: str) -> None:
    history = opened(path, max_mb=64)
    events = tuple(report(NOW, subject=f"{number} {'z' * 480}") for number in range(9000))
    history.write(Batch((sample(NOW),), events), NOW)
    history.close()
    assert Path(path).stat().st_size > 8 << 20
    history = opened(path, max_mb=4)
    history.write(Batch((sample(NOW + 1),)), NOW + 1)
    history.close()
    assert Path(path).stat().st_size <= 4 << 20
    with open_reader(path) as reader:
        assert len(list(reader.events(0))) > 1000


def test_what_cannot_be_pruned_is_written_once_and_said(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    history = opened(path)
    monkeypatch.setattr("pagewarden.history.schema.remove_before", fail)
    history.write(Batch((sample(NOW),), (report(NOW),)), NOW)
    assert history.take_notes() == (f"{path}: what is old could not be removed: database or disk is full",)
    with open_reader(path) as reader:
        assert list(reader.events(0)) == [report(NOW)]


def test_a_folder_that_is_gone_for_a_while(path: str) -> None:
    history = opened(path)
    history.write(Batch(tuple(sample(NOW + n) for n in range(2000))), NOW)
    history.close()
    history = opened(path)
    content = bytearray(Path(path).read_bytes())
    for at in range(4096, len(content), 4096):
        content[at : at + 200] = os.urandom(200)
    Path(path).write_bytes(content)
    folder = Path(path).parent
    folder.rename(folder.with_name("away"))
    for _ in range(2):
        with pytest.raises(HistoryError):
            history.write(Batch((sample(NOW),), (report(NOW),)), NOW)
    folder.mkdir()
    history.write(Batch((sample(NOW),), (report(NOW),)), NOW)
    with open_reader(path) as reader:
        assert list(reader.events(0)) == [report(NOW)]


def test_age(path: str) -> None:
    history = opened(path, max_days=10)
    history.write(Batch((sample(NOW),), (report(NOW),)), NOW)
    later = NOW + 9.9 * 86_400
    history.write(Batch((sample(later),)), later)
    with open_reader(path) as reader:
        assert len(list(reader.samples(0))) == 2
    later += 86_400
    history.write(Batch((sample(later),)), later)
    with open_reader(path) as reader:
        assert [entry.at_seconds for entry in reader.samples(0)] == [NOW + 9.9 * 86_400, later]
        assert list(reader.events(0)) == []


def test_a_clock_that_jumps_takes_nothing_away(path: str) -> None:
    history = opened(path)
    history.write(Batch((sample(NOW),), (report(NOW),)), NOW)
    ahead = NOW + 80 * 365 * 86_400
    history.write(Batch((sample(ahead),)), ahead)
    for minute in range(600):
        at = NOW + 60 + minute * 10
        history.write(Batch((sample(at),)), at)
    later = NOW + 4 * 3600
    history.write(Batch((sample(later),)), later)
    history.close()
    with open_reader(path) as reader:
        kept = [entry.at_seconds for entry in reader.samples(0)]
        assert list(reader.events(0)) == [report(NOW)]
    assert kept[0] == NOW
    assert kept[-2:] == [later, ahead]
    assert len(kept) < 150, "thinned after the clock was set back"


WRITER = """
import sys, time
from tests.unit.history.values import NOW, report, sample
from pagewarden.history.store import History, Limits
from pagewarden.history.types import Batch
history = History(sys.argv[1], Limits(), NOW)
number = int(history.cursor or 0)
while True:
    number += 1
    samples = tuple(sample(NOW + number, free=n) for n in range(5))
    history.write(Batch(samples, (report(NOW, subject=str(number)),), None, str(number)), NOW + number * 60)
    sys.stdout.write(f"{number}\\n")
    sys.stdout.flush()
"""


@pytest.mark.thorough
def test_killed_while_writing(path: str, tmp_path: Path) -> None:
    rng = random.Random(4)
    told = 0
    for _ in range(8):
        command = [sys.executable, "-c", WRITER, path]
        with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[3]) as writer:
            assert writer.stdout is not None
            writer.stdout.readline()
            time.sleep(rng.uniform(0.0, 0.15))
            writer.send_signal(signal.SIGKILL)
            lines = writer.stdout.read().splitlines()
        told = int(lines[-1]) if lines else told
        history = opened(path)
        assert history.take_notes() == ()
        written = int(history.cursor or 0)
        assert written >= told
        history.close()
        with open_reader(path) as reader:
            subjects = {int(event.subject) for event in reader.events(0)}
            assert subjects == set(range(1, written + 1)), "each batch wholly or not at all"
        told = written
    assert told > 50
