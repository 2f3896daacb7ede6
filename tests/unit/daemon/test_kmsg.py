"""The kernel's own buffer as a source: this machine's, read only."""

import os
import select
from pathlib import Path

import pytest

from pagewarden.daemon.log_lines import LogCollector, RawLine
from pagewarden.daemon.log_source import KMSG, KmsgSource
from pagewarden.errors import PermissionDenied, ReadError

BOOT = Path("/proc/sys/kernel/random/boot_id")


class Lines(LogCollector):
    """Keeps every line, and how many were lost."""

    def __init__(self) -> None:
        super().__init__(0)
        self.lines: list[RawLine] = []
        self.missed = 0

    def feed(self, line: RawLine, now_ns: int) -> None:
        self.lines.append(line)

    def lost(self, count: int) -> None:
        self.missed += count


@pytest.fixture
def first_record() -> int:
    """Give the number of the oldest record that the kernel still has."""
    try:
        handle = os.open(KMSG, os.O_RDONLY | os.O_NONBLOCK)
        try:
            return int(os.read(handle, 16384).split(b",")[1])
        finally:
            os.close(handle)
    except (OSError, IndexError) as error:
        pytest.skip(f"no kernel log to read here: {error}")


def test_everything_once(first_record: int) -> None:
    source, seen = KmsgSource(None), Lines()
    count, more = source.read(seen, 0, 5)
    assert (count, more) == (5, True)
    while more:
        _, more = source.read(seen, 0, 1000)
    assert seen.missed == 0
    stamps = [line.seconds_now() if line.seconds_now is not None else None for line in seen.lines[:50]]
    assert all(stamp is not None and stamp >= 0 for stamp in stamps)
    assert len(seen.lines) >= 5
    cursor = source.cursor
    source.close()
    assert cursor is not None
    assert cursor.startswith(f"kmsg:{BOOT.read_text().strip()}:")
    assert int(cursor.rpartition(":")[2]) >= first_record + 4
    again, few = KmsgSource(cursor), Lines()
    again.read(few, 0, 100_000)
    again.close()
    assert len(few.lines) < 100, "what was read before is stepped over; new lines may have come meanwhile"


def test_lines_that_were_overwritten_are_counted(first_record: int) -> None:
    """A cursor before the oldest record: what lies between is lost, and known to be."""
    if first_record == 0:
        cursor = f"kmsg:{BOOT.read_text().strip()}:0"
        source, seen = KmsgSource(cursor), Lines()
        source.read(seen, 0, 10)
        source.close()
        assert seen.missed == 0
        return
    source, seen = KmsgSource(f"kmsg:{BOOT.read_text().strip()}:0"), Lines()
    source.read(seen, 0, 10)
    source.close()
    assert seen.missed == first_record - 1


@pytest.mark.parametrize("cursor", ["kmsg:another-boot:999999999", "s=5;i=1", "kmsg:x", "", None])
def test_a_cursor_of_something_else_begins_anew(first_record: int, cursor: str | None) -> None:
    source, seen = KmsgSource(cursor), Lines()
    count, _ = source.read(seen, 0, 3)
    source.close()
    assert (count, seen.missed) == (3, 0)


def test_it_can_be_waited_for(first_record: int) -> None:
    source = KmsgSource(None)
    poller = select.poll()
    poller.register(source.handle, select.POLLIN)
    assert poller.poll(0)
    source.close()


def test_what_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="nosuch"):
        KmsgSource(None, str(tmp_path / "nosuch"))
    if os.geteuid() != 0:
        locked = tmp_path / "locked"
        locked.touch(mode=0)
        with pytest.raises(PermissionDenied):
            KmsgSource(None, str(locked))
