"""When the kernel's log is read: as it comes, but not woken for every entry that others write into the journal.

The journal can be waited for as a whole only. On a busy machine entries come several times a second, next to none of
them the kernel's; so after each reading there is a pause in which the journal may not wake the service: a long one
where it had nothing for us. A report is seen at the end of the pause, or with the next poll if that comes first.
"""

import select

from pagewarden.daemon.log_lines import Block, LogCollector
from pagewarden.daemon.log_source import Source, open_source
from pagewarden.daemon.types import MINUTE_NS, SECOND_NS, LogCounts
from pagewarden.errors import ReadError
from pagewarden.klog.journal_files import JOURNAL

LINES_AT_ONCE = 20_000
"""Log entries read before the loop looks after everything else again."""
PAUSE_NS = SECOND_NS
"""The pause after a reading that brought lines of the kernel; reports come in several."""
VAIN_PAUSE_NS = 10 * SECOND_NS
"""The pause after one that did not: the longest time for which a report can go unnoticed."""
RETRY_NS = 10 * MINUTE_NS
"""How often a log that could not be opened is tried again."""


class LogReader:
    """The kernel's log, from where the last reading ended.

    :param poller: what the service waits with; the log is in it while it may wake the service.
    :param journal: a directory with journal files, instead of this machine's own log.
    :ivar fault: why it cannot be read; None where it can, or is not wanted.
    """

    def __init__(self, poller: "select.poll", journal: str | None, now_ns: int) -> None:
        self.fault: str | None = None
        self._poller = poller
        self._journal = journal
        self._collector = LogCollector(now_ns)
        self._source: Source | None = None
        self._tried_ns: int | None = None
        self._asleep_until_ns: int | None = None
        self._more = False

    @property
    def cursor(self) -> str | None:
        """Where the last reading ended; None where there is no log."""
        return None if self._source is None else self._source.cursor

    @property
    def is_open(self) -> bool:
        """The log can be read."""
        return self._source is not None

    @property
    def is_journal(self) -> bool:
        """It is the journal, which the adviser can read as well."""
        return self._source is not None and self._source.name == JOURNAL

    @property
    def idle(self) -> bool:
        """Nothing that was read waits to be taken."""
        return self._collector.idle

    def open(self, cursor: str | None, now_ns: int) -> None:
        """Open the log at a cursor; `fault` tells whether that went well."""
        self._tried_ns = now_ns
        try:
            self._source = open_source(cursor, self._journal)
        except ReadError as error:
            self.fault = str(error)
            return
        self.fault = None
        self._poller.register(self._source.handle, select.POLLIN)
        self._more = True

    def timeout_ns(self, now_ns: int) -> int | None:
        """Give the time until there is something to do here unless the log wakes the service; None: nothing."""
        if self._more:
            return 0
        block_ns = self._collector.due_ns(now_ns)
        if self._asleep_until_ns is None:
            return block_ns
        awake_ns = max(0, self._asleep_until_ns - now_ns)
        return awake_ns if block_ns is None else min(awake_ns, block_ns)

    def is_due(self, now_ns: int) -> bool:
        """Whether there is more to read, or a block of lines is complete."""
        return self._more or self._collector.due_ns(now_ns) == 0

    def woke(self, ready: set[int]) -> bool:
        """Whether the log is among what woke the service."""
        return self._source is not None and self._source.handle in ready

    def listen(self, now_ns: int) -> None:
        """Let the log wake the service again once the pause is over."""
        if self._source is not None and self._asleep_until_ns is not None and now_ns >= self._asleep_until_ns:
            self._poller.register(self._source.handle, select.POLLIN)
            self._asleep_until_ns = None

    def read(self, now_ns: int, cursor: str | None, *, woken: bool) -> tuple[LogCounts | None, tuple[Block, ...]]:
        """Read what there is; give what was counted (None: nothing), and the blocks of lines to decode.

        :param cursor: where to begin if the log has to be opened first.
        :param woken: the log itself woke the service.
        """
        self._more = False
        if self._source is not None:
            self._read_source(self._source, now_ns, woken=woken)
        elif self._tried_ns is not None and now_ns - self._tried_ns >= RETRY_NS:
            self.open(cursor, now_ns)
        counts, blocks = self._collector.take(now_ns)
        told = counts is not None and (counts.counts or counts.suppressed or counts.lost_lines)
        return counts if told else None, blocks

    def _read_source(self, source: Source, now_ns: int, *, woken: bool) -> None:
        handle = source.handle
        listening = self._asleep_until_ns is None
        try:
            count, self._more = source.read(self._collector, now_ns, LINES_AT_ONCE)
        except ReadError as error:
            if listening:
                self._poller.unregister(handle)
            source.close()
            self._source, self._asleep_until_ns, self.fault = None, None, str(error)
            return
        if source.handle != handle and listening:
            self._poller.unregister(handle)
            self._poller.register(source.handle, select.POLLIN)
        if woken and not self._more and listening:
            self._poller.unregister(source.handle)
            self._asleep_until_ns = now_ns + (PAUSE_NS if count else VAIN_PAUSE_NS)

    def close(self) -> None:
        """Give everything back."""
        if self._source is not None:
            self._source.close()
            self._source = None
