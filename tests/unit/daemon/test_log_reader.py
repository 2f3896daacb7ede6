"""When the log may wake the service, and what happens when it cannot be read."""

import contextlib
import os
import select
from collections.abc import Iterator

import pytest

from pagewarden.daemon import log_reader
from pagewarden.daemon.log_lines import LogCollector, RawLine
from pagewarden.daemon.log_reader import PAUSE_NS, RETRY_NS, VAIN_PAUSE_NS, LogReader
from pagewarden.daemon.types import SECOND_NS
from pagewarden.errors import ReadError

OPENING = "a: page allocation failure: order:0, mode:0x20(GFP_ATOMIC)"


class Pipe:
    """A log whose handle is a pipe; it may break."""

    name = "journal"
    cursor: str | None = "c"

    def __init__(self) -> None:
        self.handle, self.inlet = os.pipe()
        self.texts: list[str] = []
        self.broken = False

    def read(self, collector: LogCollector, now_ns: int, limit: int) -> tuple[int, bool]:
        if self.broken:
            raise ReadError("journal", "gone")
        os.set_blocking(self.handle, False)
        with contextlib.suppress(BlockingIOError):
            os.read(self.handle, 100)
        texts, self.texts = self.texts[:limit], self.texts[limit:]
        for text in texts:
            collector.feed(RawLine(text), now_ns)
        return len(texts), bool(self.texts)

    def close(self) -> None:
        for handle in (self.handle, self.inlet):
            os.close(handle)


class Setting:
    """A reader over such a log, and the poller that waits for it."""

    def __init__(self, pipe: Pipe) -> None:
        self.pipe = pipe
        self.poller = select.poll()
        self.reader = LogReader(self.poller, None, 0)
        self.reader.open(None, 0)
        self.reader.read(0, None, woken=False)

    def entry(self, *texts: str) -> None:
        """Something is written into the journal."""
        self.pipe.texts += texts
        os.write(self.pipe.inlet, b"x")

    def turn(self, now_ns: int) -> bool:
        """Do as the loop does; give whether the log woke it."""
        self.reader.listen(now_ns)
        woken = self.reader.woke({handle for handle, _ in self.poller.poll(0)})
        if woken or self.reader.is_due(now_ns):
            self.counts, _ = self.reader.read(now_ns, None, woken=woken)
        return woken


@pytest.fixture
def setting(monkeypatch: pytest.MonkeyPatch) -> Iterator[Setting]:
    pipe = Pipe()
    monkeypatch.setattr(log_reader, "open_source", lambda cursor, journal: pipe)
    yield Setting(pipe)
    if not pipe.broken:
        pipe.close()


@pytest.mark.parametrize(
    ("texts", "pause_ns"), [((), VAIN_PAUSE_NS), ((OPENING,), PAUSE_NS), (("usb 1-1: reset",), PAUSE_NS)]
)
def test_a_pause_after_each_wake(setting: Setting, texts: tuple[str, ...], pause_ns: int) -> None:
    setting.entry(*texts)
    assert setting.turn(0)
    setting.entry(OPENING)
    assert not setting.turn(pause_ns - 1)
    waits = setting.reader.timeout_ns(pause_ns // 2)
    assert waits is not None
    assert 0 < waits <= pause_ns // 2
    assert setting.turn(pause_ns), "what came in the pause"
    assert setting.counts is not None
    assert sum(setting.counts.counts.values()) == 1


def test_nothing_to_wait_for_where_the_log_may_wake(setting: Setting) -> None:
    assert setting.reader.timeout_ns(0) is None


def test_a_poll_reads_in_the_pause_as_well(setting: Setting) -> None:
    setting.entry()
    assert setting.turn(0)
    setting.entry(OPENING)
    counts, _ = setting.reader.read(SECOND_NS, None, woken=False)
    assert counts is not None


@pytest.mark.parametrize("paused", [True, False])
def test_a_log_that_breaks_is_told_and_tried_again(
    setting: Setting, monkeypatch: pytest.MonkeyPatch, paused: bool
) -> None:
    if paused:
        setting.entry()
        assert setting.turn(0)
    setting.pipe.broken = True
    setting.reader.read(SECOND_NS, None, woken=False)
    assert setting.reader.fault == "journal: gone"
    assert not setting.reader.is_open
    fresh = Pipe()
    monkeypatch.setattr(log_reader, "open_source", lambda cursor, journal: fresh)
    setting.reader.read(RETRY_NS - 1, None, woken=False)
    assert not setting.reader.is_open
    setting.reader.read(RETRY_NS, None, woken=False)
    assert setting.reader.is_open
    assert setting.reader.fault is None
    fresh.close()
