"""Find the few places of a large log that matter, fast.

A log of gigabytes holds a handful of reports. Blocks of it are searched for a few words of which every report has one;
only the lines around them are looked at one by one. The package stringzilla finds the words and counts the lines
between them; where it is missing, the C library's memmem() and Python's own functions do.
"""

import ctypes
import functools
import importlib
import re
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

BLOCK_BYTES = 512 * 1024
# Logs up to this size are given whole.
SMALL_BYTES = 1 << 20
# Bytes before a hit that may still belong to the report: a whole trace, for reports found by their memory dump.
LOOK_BEHIND = 24 * 1024
# A line is given out up to this length; what is beyond is dropped.
LONGEST_LINE = 64 * 1024
# A hit is borne out, or not, by what stands this near on its line.
CONFIRM_BYTES = 512
BUFFER_BYTES = SMALL_BYTES + BLOCK_BYTES + 2 * LONGEST_LINE

_FAILURE = re.compile(
    rb"page alloc|alloc\w{0,5} (?:fail|stall)|allocation (?:deadlock|for size)|Allocation of length|vmalloc|nodemask="
)


@dataclass(frozen=True, slots=True)
class Needle:
    """A word to search for.

    :ivar confirm: what the line must hold besides, so that chance hits cost little; None: nothing.
    :ivar look_behind: bytes before the hit to read as well.
    """

    word: bytes
    confirm: re.Pattern[bytes] | None
    look_behind: int


NEEDLES = (
    Needle(b"llocation ", _FAILURE, 4096),
    Needle(b"vmalloc", re.compile(rb"vmalloc(?: error: |_node_range for size )"), 4096),
    Needle(b"oom-killer:", None, 4096),
    Needle(b"Killed process ", None, 8192),
    Needle(b"lowmem_reserve[]:", None, LOOK_BEHIND),
    Needle(b"Linux version ", re.compile(rb"Linux version \d"), 0),
)


@dataclass(frozen=True, slots=True)
class Search:
    """`find` and `count` of bytearray, in a part of a buffer."""

    find: Callable[[bytearray, bytes, int, int], int]
    count: Callable[[bytearray, bytes, int, int], int]


PLAIN = Search(bytearray.find, bytearray.count)


def _memmem() -> Search | None:
    """Find with the C library's memmem(); None where there is none."""
    try:
        function = ctypes.CDLL(None).memmem
    except (OSError, AttributeError):
        return None
    function.restype = ctypes.c_void_p
    function.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t]

    def find(data: bytearray, word: bytes, start: int, end: int) -> int:
        if end - start < len(word):
            return -1
        address = ctypes.addressof(ctypes.c_char.from_buffer(data, start))
        found = function(address, end - start, word, len(word))
        return -1 if found is None else start + int(found) - address

    return Search(find, bytearray.count)


def _vectors() -> Search | None:
    """Find and count with the processor's vector instructions; None where the package is missing."""
    try:
        package = importlib.import_module("stringzilla")
    except ImportError:
        return None
    return Search(package.find, package.count)


@functools.cache
def fastest() -> Search:
    """What finds and counts fastest here."""
    return _vectors() or _memmem() or PLAIN


class _Hits:
    """The hits in a buffer that loses its front and grows at its end."""

    def __init__(self, search: Search) -> None:
        self._find = search.find
        self._found: deque[tuple[int, Needle]] = deque()
        self._searched = 0

    def first(self, data: bytearray, start: int, end: int, *, last: bool) -> tuple[int, Needle] | None:
        """The first hit between `start` and `end` on a line that bears it out.

        :param last: nothing comes after `end`. Otherwise a line that is cut there is judged when there is more of it.
        """
        self._search(data, start, end)
        while self._found:
            at, needle = self._found[0]
            if at >= start and (needle.confirm is None or needle.confirm.search(_line_around(data, at, end))):
                return at, needle
            if not last and end - at < CONFIRM_BYTES and data.find(b"\n", at, end) < 0:
                break
            self._found.popleft()
        return None

    def _search(self, data: bytearray, start: int, end: int) -> None:
        """Search what has not been searched; a word may have begun before it."""
        if self._searched >= end:
            return
        new = []
        for needle in NEEDLES:
            at = self._find(data, needle.word, max(start, self._searched - len(needle.word) + 1), end)
            while at >= 0:
                new.append((at, needle))
                at = self._find(data, needle.word, at + 1, end)
        self._found += sorted(new, key=lambda hit: hit[0])
        self._searched = end

    def shift(self, count: int) -> None:
        """The buffer lost `count` bytes at its front."""
        self._found = deque((at - count, needle) for at, needle in self._found if at >= count)
        self._searched = max(self._searched - count, 0)


class LogScanner:
    """Gives the lines of a log that may belong to reports, with their numbers.

    A log that fits into the buffer is given whole: mail may have wrapped the words that are searched for.

    :param read_into: fills a buffer and says how many bytes it wrote; 0 at the end of the log.
    :param everything: give every line however large the log.
    :ivar quiet: whoever takes the lines sets this while they belong to no report: the scanner then goes on searching.
    """

    def __init__(self, read_into: Callable[[memoryview], int], *, everything: bool = False) -> None:
        self.quiet = True
        self._read_into = read_into
        search = fastest()
        self._count = search.count
        self._hits = _Hits(search)
        self._data = bytearray(BUFFER_BYTES)
        self._at = 0
        self._end = 0
        self._hit = -1
        self._number = 1
        self._ended = False
        while not self._ended and self._end < SMALL_BYTES:
            self._read_more()
        self._everything = everything or self._ended

    def lines(self) -> Iterator[tuple[int, bytes]]:
        """Line numbers (from 1) and lines without their newlines."""
        while self._everything or self._seek():
            line = self._next_line()
            while line is not None:
                yield line
                if self.quiet and self._at > self._hit and not self._everything:
                    break
                line = self._next_line()
            if line is None:
                return

    @property
    def line_count(self) -> int:
        """How many lines the log has, once it has been gone through; a last one may lack its newline."""
        left = self._count(self._data, b"\n", self._at, self._end)
        unfinished = self._at < self._end and not self._data.endswith(b"\n", self._at, self._end)
        return self._number - 1 + left + unfinished

    def _seek(self) -> bool:
        """Go to a line a little before the next hit; False at the end of the log."""
        while True:
            found = self._hits.first(self._data, self._at, self._end, last=self._ended)
            if found is not None:
                self._hit, needle = found
                self._advance(max(self._at, self._hit - needle.look_behind))
                return True
            if self._ended:
                return False
            self._advance(max(self._at, self._end - LOOK_BEHIND))
            self._read_more()

    def _advance(self, to: int) -> None:
        """Go on to the start of the line that holds `to`; of a line too long to be one, to where it is now."""
        start = self._data.rfind(b"\n", self._at, to) + 1
        if start == 0:
            start = to if to - self._at > LONGEST_LINE else self._at
        self._number += self._count(self._data, b"\n", self._at, start)
        self._at = start

    def _read_more(self) -> bool:
        """Drop what is done with and append what the log has next; False at its end."""
        if self._at > 0:
            left = self._end - self._at
            self._data[:left] = self._data[self._at : self._end]
            self._hits.shift(self._at)
            self._hit -= self._at
            self._at, self._end = 0, left
        with memoryview(self._data) as view:
            count = self._read_into(view[self._end : self._end + BLOCK_BYTES])
        self._end += count
        self._ended = count == 0
        return count > 0

    def _next_line(self) -> tuple[int, bytes] | None:
        start = self._at
        while True:
            end = self._data.find(b"\n", start, self._end)
            if end >= 0:
                return self._take(end, end + 1)
            if self._end - self._at > LONGEST_LINE:
                return self._take_long()
            start = self._end - self._at
            if not self._read_more():
                break
        return self._take(self._end, self._end) if self._at < self._end else None

    def _take(self, end: int, following: int) -> tuple[int, bytes]:
        line = (self._number, bytes(self._data[self._at : min(end, self._at + LONGEST_LINE)]))
        self._at = following
        self._number += 1
        return line

    def _take_long(self) -> tuple[int, bytes]:
        """Cut a line that does not end, and drop the rest of it."""
        line = (self._number, bytes(self._data[self._at : self._at + LONGEST_LINE]))
        self._at = self._end
        while self._read_more():
            end = self._data.find(b"\n", 0, self._end)
            if end >= 0:
                self._at = end + 1
                break
            self._at = self._end
        self._number += 1
        return line


def _line_around(data: bytearray, at: int, end: int) -> bytes:
    """The line at a place, as far as it is near."""
    begin = max(at - CONFIRM_BYTES, 0)
    start = data.rfind(b"\n", begin, at) + 1 or begin
    return bytes(data[start : min(at + CONFIRM_BYTES, end)]).partition(b"\n")[0]
