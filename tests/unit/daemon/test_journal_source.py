"""Journal files one after the other: nothing twice, nothing lost, over rotation and vacuuming."""

import os
from pathlib import Path

import pytest
from tests.unit.daemon.service import NO_REMOTE, make_journal

from pagewarden.daemon import journal_source
from pagewarden.daemon.journal_source import JournalSource
from pagewarden.daemon.log_lines import LogCollector, RawLine
from pagewarden.errors import ReadError

pytestmark = NO_REMOTE


class Lines(LogCollector):
    """Keeps the text of what it is given."""

    def __init__(self) -> None:
        super().__init__(0)
        self.texts: list[str] = []

    def feed(self, line: RawLine, now_ns: int) -> None:
        self.texts.append(line.text)


def texts(start: int, end: int) -> list[str]:
    return [f"line {number}" for number in range(start, end)]


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """Give a journal of three files, the first two archived: lines 0 to 29."""
    folder = tmp_path / "journal"
    for file in range(3):
        add(folder, file * 10, file * 10 + 10)
        if file < 2:
            rotate(folder, file)
    return folder


def add(folder: Path, start: int, end: int) -> None:
    """Write lines into the file that is being written."""
    make_journal(folder, texts(start, end), first=start + 1)


def rotate(folder: Path, number: int) -> None:
    (folder / "made.journal").rename(folder / f"made@{number}.journal")


def read(source: JournalSource, limit: int = 1000) -> list[str]:
    lines = Lines()
    more = True
    while more:
        count, more = source.read(lines, 0, limit)
        assert count <= limit
    return lines.texts


@pytest.mark.parametrize("limit", [1, 7, 10, 1000])
@pytest.mark.parametrize("reopen", [1, 3, 1000])
def test_everything_once_and_in_order(journal: Path, limit: int, reopen: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_source, "REOPEN_AFTER", reopen)
    source = JournalSource(None, str(journal))
    assert read(source, limit) == texts(0, 30)
    assert read(source) == []
    source.close()
    again = JournalSource(source.cursor, str(journal))
    assert read(again) == []
    again.close()


@pytest.mark.parametrize("taken", [1, 9, 10, 11, 20, 29])
def test_a_cursor_goes_on_where_it_stood(journal: Path, taken: int) -> None:
    first, lines = JournalSource(None, str(journal)), Lines()
    first.read(lines, 0, taken)
    first.close()
    assert lines.texts == texts(0, taken)
    second = JournalSource(first.cursor, str(journal))
    assert read(second) == texts(taken, 30)
    second.close()


def test_what_comes_while_it_is_open_and_is_rotated(journal: Path) -> None:
    source = JournalSource(None, str(journal))
    assert read(source) == texts(0, 30)
    add(journal, 30, 33)
    assert read(source) == texts(30, 33)
    add(journal, 33, 35)
    rotate(journal, 2)
    add(journal, 35, 40)
    rotate(journal, 3)
    assert read(source) == texts(33, 40), "what was rotated away unread, and a whole file"
    add(journal, 40, 41)
    assert read(source) == texts(40, 41)
    source.close()


def test_only_files_that_may_hold_more_are_opened(journal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = JournalSource(None, str(journal))
    read(source)
    source.close()
    opened: list[str] = []
    real = journal_source.open_journal_file
    monkeypatch.setattr(
        journal_source, "open_journal_file", lambda path: (opened.append(Path(path).name), real(path))[1]
    )
    again = JournalSource(source.cursor, str(journal))
    assert read(again) == []
    assert set(opened) == {"made.journal"}
    again.close()


def test_a_vacuumed_place_goes_on_with_what_follows(journal: Path) -> None:
    first, lines = JournalSource(None, str(journal)), Lines()
    first.read(lines, 0, 5)
    first.close()
    (journal / "made@0.journal").unlink()
    second = JournalSource(first.cursor, str(journal))
    assert read(second) == texts(10, 30)
    second.close()


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_damaged_file_is_left_out(journal: Path, number: int) -> None:
    damaged = journal / ("made.journal" if number == 2 else f"made@{number}.journal")
    written = damaged.stat().st_mtime
    damaged.write_bytes(b"LPKSHHRH" + bytes(5000))
    os.utime(damaged, (written, written))
    source = JournalSource(None, str(journal))
    assert read(source) == [text for file in range(3) if file != number for text in texts(file * 10, file * 10 + 10)]
    source.close()


def test_a_damaged_file_alone_is_told(tmp_path: Path) -> None:
    (tmp_path / "made.journal").write_bytes(b"LPKSHHRH" + bytes(5000))
    with pytest.raises(ReadError):
        read(JournalSource(None, str(tmp_path)))


def test_files_of_users_are_left_alone(journal: Path) -> None:
    (journal / "made@0.journal").rename(journal / "user-1000.journal")
    source = JournalSource(None, str(journal))
    assert read(source) == texts(10, 30)
    source.close()


@pytest.mark.parametrize("cursor", ["", "kmsg:0:5", "s=1;i=zz", "s=;"])
def test_a_cursor_that_is_none_begins_anew(journal: Path, cursor: str) -> None:
    source = JournalSource(cursor, str(journal))
    assert read(source) == texts(0, 30)
    source.close()
