"""Lines that speak of memory trouble, in a log that holds no report: what is left of reports that were held back."""

from collections.abc import Callable, Generator, Iterable, Iterator

from pagewarden.klog.scan import LONGEST_LINE, fastest
from pagewarden.klog.types import LogLine, Report

WORDS = (
    b"warn_alloc",
    b"nable to allocate memory on node",
    b"oom_reaper: reaped",
    b"invoked oom-killer",
    b"page allocation failure",
)
TEXTS = tuple(word.decode() for word in WORDS)
LOOKED_BYTES = 64 << 20
"""Looking takes most of the time again that the search for reports takes: in a log of gigabytes it ends here."""


class TroubleLines:
    """Counts such lines in what is read, until there is a report.

    :ivar count: how many there are.
    :ivar whole: all that was read was looked at.
    :ivar first: the number of the first one, from 1; None where there is none.
    """

    def __init__(self) -> None:
        self.count = 0
        self.first: int | None = None
        self.whole = True
        self._looked = 0
        self._search = fastest()
        self._wanted = True
        self._lines = 0
        self._rest = bytearray()

    def until_a_report(self, reports: Generator[Report, None, int]) -> Generator[Report, None, int]:
        """Pass on what a log gives; at its first report look no further, and forget what was seen."""
        try:
            first = next(reports)
        except StopIteration as end:
            lines: int = end.value
            return lines
        self.count, self.first, self._wanted = 0, None, False
        yield first
        return (yield from reports)

    def watched(self, read_into: Callable[[memoryview], int]) -> Callable[[memoryview], int]:
        """Look at all that is read by a function that fills a buffer."""

        def read_and_look(view: memoryview) -> int:
            count = read_into(view)
            if self._wanted and self._looked < LOOKED_BYTES:
                self._look(view[:count])
                self._looked += count
            elif count:
                self.whole = False
            return count

        return read_and_look

    def watched_lines(self, lines: Iterable[LogLine]) -> Iterator[LogLine]:
        """Look at each line of a log that comes in lines already."""
        for line in lines:
            if self._wanted and any(word in line.text for word in TEXTS):
                self.first = line.number if self.first is None else self.first
                self.count += 1
            yield line

    def _look(self, block: memoryview) -> None:
        """Look at the lines that end in a block; what it leaves unfinished is kept for the next; the last is empty."""
        data = self._rest + block
        end = data.rfind(b"\n") + 1 if block else len(data)
        starts = set()
        for word in WORDS:
            at = self._search.find(data, word, 0, end)
            while at >= 0:
                starts.add(data.rfind(b"\n", 0, at) + 1)
                at = self._search.find(data, word, at + 1, end)
        if starts and self.first is None:
            self.first = self._lines + data.count(b"\n", 0, min(starts)) + 1
        self.count += len(starts)
        self._lines += self._search.count(data, b"\n", 0, end)
        self._rest = data[max(end, len(data) - LONGEST_LINE) :]
