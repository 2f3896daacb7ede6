import io
import itertools
import random
from typing import Any

import pytest
from tests.unit.klog.samples import LINE_STYLES, NAMES, reports_of, sample, without_origin

from pagewarden.klog import scan
from pagewarden.klog.scan import BLOCK_BYTES, LONGEST_LINE, SMALL_BYTES, LogScanner, Search
from pagewarden.klog.sources import _reports_in, reports_in

NOISE = [
    b"Nov 21 01:30:07 box kernel: [ 8421.000012] usb 1-1: new high-speed USB device number 4 using xhci_hcd",
    b"Nov 21 01:30:07 box sshd[4711]: Accepted publickey for root from 192.0.2.7 port 50022 ssh2",
    b"Nov 21 01:30:08 box kernel: [ 8421.000013] EXT4-fs (sda1): mounted filesystem with ordered data mode",
    b"",
    b"Nov 21 01:30:09 box app[99]: address allocation for 10.0.0.0/8 done, 17 left \xff\xfe",
]


def noise(size: int) -> list[bytes]:
    """At least this many bytes of lines without a report."""
    lines = itertools.cycle(NOISE)
    out: list[bytes] = []
    while size > 0:
        out.append(next(lines))
        size -= len(out[-1]) + 1
    return out


def report(name: str, style: str = "syslog-dmesg") -> list[bytes]:
    return LINE_STYLES[style](sample(name)).splitlines()


def read_in_pieces(data: bytes, rng: random.Random) -> Any:
    stream = io.BytesIO(data)

    def read_into(view: memoryview) -> int:
        return stream.readinto(view[: rng.randrange(1, len(view) + 1)])

    return read_into


WAYS = {"stringzilla": scan._vectors(), "memmem": scan._memmem(), "Python": scan.PLAIN}


@pytest.fixture(params=WAYS)
def search(request: pytest.FixtureRequest) -> Search:
    found = WAYS[request.param]
    if found is None:
        pytest.skip(f"searching with {request.param} is not possible here")
    return found


@pytest.fixture
def searching(search: Search, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "fastest", lambda: search)


@pytest.mark.thorough
@pytest.mark.usefixtures("searching")
class TestLargeLogs:
    def test_reports_are_those_of_the_small_log_with_their_line_numbers(self) -> None:
        rng = random.Random(1)
        lines: list[bytes] = []
        starts: list[int] = []
        for name in NAMES * 3:
            lines += noise(rng.randrange(3 * BLOCK_BYTES // 2))
            starts.append(len(lines) + 1)
            lines += report(name)
        lines += noise(SMALL_BYTES)
        data = b"\n".join(lines)
        assert len(data) > 4 * SMALL_BYTES
        found = list(reports_in(data))
        alone = [list(reports_in(b"\n".join(report(name)))) for name in NAMES]
        assert [without_origin(given) for given in found] == [without_origin(one[0]) for one in alone] * 3
        offsets = [one[0].line_number - 1 for one in alone] * 3
        assert [given.line_number - offset for given, offset in zip(found, offsets, strict=True)] == starts

    @pytest.mark.parametrize("shift", range(0, 6000, 997))
    def test_a_report_across_the_end_of_a_block(self, shift: int) -> None:
        before = b"\n".join(noise(SMALL_BYTES + BLOCK_BYTES))[: SMALL_BYTES + BLOCK_BYTES - shift]
        data = before + b"\n" + b"\n".join([*report("failure-6.1"), *noise(SMALL_BYTES)])
        (found,) = reports_in(data)
        (alone,) = reports_in(b"\n".join(report("failure-6.1")))
        assert without_origin(found) == without_origin(alone)
        assert found.line_number == before.count(b"\n") + 1 + alone.line_number

    def test_a_word_across_the_end_of_a_block(self) -> None:
        word = b"a: page allocation failure: order:2, mode:0x20"
        for shift in range(1, len(word), 3):
            before = b"x" * 99 + b"\n"
            before = (before * (SMALL_BYTES // 50))[: SMALL_BYTES + BLOCK_BYTES - shift - 1] + b"\n"
            data = before + word + b"\n" + b"y\n" * BLOCK_BYTES
            (found,) = reports_in(data)
            assert (found.order, found.line_number) == (2, before.count(b"\n") + 1), shift

    @pytest.mark.parametrize(
        "line", [b"Linux version 6.5.0-rc1 (x@y) #1 SMP", b"vmalloc error: size 4096, page order 0"]
    )
    def test_a_line_across_the_end_of_a_block(self, line: bytes) -> None:
        # The word stood before the end, and what bears it out behind it.
        for shift in range(1, len(line) + 1):
            before = (b"x" * 99 + b"\n") * (2 * SMALL_BYTES // 100)
            before = before[-(SMALL_BYTES + BLOCK_BYTES - shift) :]
            found = list(LogScanner(io.BytesIO(before + line + b"\n" + b"y\n" * BLOCK_BYTES).readinto).lines())
            assert line in [raw for _, raw in found], shift

    @pytest.mark.parametrize(
        "line",
        [
            b"swapper: page allocation failure. order:0, mode:0x20",
            b"a: page allocation stalls for 10003ms, order:0, mode:0x20",
            b"a invoked oom-killer: gfp_mask=0x1d2, order=0, oom_score_adj=0",
            b"oom-killer: gfp_mask=0x1d2",
            b"Killed process 5 (x) total-vm:4kB, anon-rss:2kB, file-rss:0kB",
            b"Memory cgroup out of memory: Killed process 5 (x) total-vm:4kB",
            b"vmap allocation for size 4198400 failed: use vmalloc=<size> to increase size.",
            b"vmalloc_node_range for size 8192 failed: Address range restricted to 0xffff800000 - 0xffff900000",
            b"vmalloc: allocation failure: 268435456 bytes",
            b"__alloc_pages: 0-order allocation failed (gfp=0x1f0/0)",
            b"a: vmalloc error: size 4096, page order 0, failed to allocate pages, mode:0xcc0(GFP_KERNEL)",
            b"XFS: possible memory allocation deadlock in kmem_alloc (mode:0x250)",
            b"Allocation of length 1052672 from process 181 (x) failed",
            b"DMA32 free:5kB min:2kB low:3kB high:4kB\nlowmem_reserve[]: 0 0 0",
        ],
    )
    def test_every_kind_of_opening_line_is_found(self, line: bytes) -> None:
        data = b"\n".join([*noise(2 * SMALL_BYTES), line, *noise(2 * SMALL_BYTES)])
        assert len(list(reports_in(data))) == len(reports_of(line)) == 1

    def test_the_banner_far_before_a_report_counts(self) -> None:
        banner = b"[    0.000000] Linux version 6.5.0-rc1 (x@y) #1 SMP"
        data = b"\n".join([banner, *noise(2 * SMALL_BYTES), b"a: page allocation failure: order:0, mode:0x20"])
        assert [found.release for found in reports_in(data)] == ["6.5.0-rc1"]

    def test_silence_between_two_halves_counts_the_lines_not_read(self) -> None:
        halves = report("failure-6.1")
        middle = next(number for number, line in enumerate(halves) if b"Mem-Info" in line)
        data = b"\n".join([*halves[:middle], *noise(2 * SMALL_BYTES), *halves[middle:], *noise(SMALL_BYTES)])
        assert [found.kind for found in reports_in(data)] == ["page-allocation-failure", "memory-dump"]


@pytest.mark.thorough
@pytest.mark.usefixtures("searching")
def test_searching_misses_nothing_that_reading_every_line_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    # Small blocks, so that every part of a report comes to lie across the end of one.
    monkeypatch.setattr(scan, "SMALL_BYTES", 3000)
    monkeypatch.setattr(scan, "BLOCK_BYTES", 2000)
    rng = random.Random(6)
    for _ in range(25):
        lines: list[bytes] = []
        for _ in range(rng.randrange(1, 5)):
            lines += noise(rng.randrange(9000))
            lines += report(rng.choice(NAMES), rng.choice(list(LINE_STYLES)))
        data = b"\n".join(lines + noise(rng.randrange(4000)))
        searched = list(_reports_in(LogScanner(read_in_pieces(data, rng))))
        assert searched == list(_reports_in(LogScanner(io.BytesIO(data).readinto, everything=True)))


def test_numbers_and_lines_are_those_of_the_log() -> None:
    rng = random.Random(2)
    for size in (0, 1, 100, SMALL_BYTES - 1, SMALL_BYTES, SMALL_BYTES + 1, 3 * SMALL_BYTES):
        data = rng.randbytes(size)
        lines = list(LogScanner(read_in_pieces(data, rng), everything=True).lines())
        wanted = data.split(b"\n")
        if not wanted[-1]:
            wanted.pop()
        assert lines == list(enumerate(wanted, 1))


@pytest.mark.parametrize("ending", [b"", b"\nnext\nlast"])
@pytest.mark.parametrize("length", [LONGEST_LINE - 1, LONGEST_LINE, LONGEST_LINE + 1, 3 * SMALL_BYTES])
def test_an_endless_line_is_cut_and_counts_as_one(length: int, ending: bytes) -> None:
    data = b"first\n" + b"x" * length + ending
    lines = list(LogScanner(io.BytesIO(data).readinto, everything=True).lines())
    assert lines[:2] == [(1, b"first"), (2, b"x" * min(length, LONGEST_LINE))]
    assert lines[2:] == ([(3, b"next"), (4, b"last")] if ending else [])


def test_a_report_after_an_endless_line() -> None:
    data = b"\0" * (4 * SMALL_BYTES) + b"\na: page allocation failure: order:3, mode:0x20\n"
    assert [(found.line_number, found.order) for found in reports_in(data)] == [(2, 3)]


def test_a_report_right_after_many_hits_that_are_none() -> None:
    hits = b"Nov 21 01:30:07 box app[99]: resource allocation took 3 ms; allocation done\n" * 16000
    data = hits + b"a: page allocation failure: order:3, mode:0x20\n" + hits
    assert [(found.line_number, found.order) for found in reports_in(data)] == [(16001, 3)]


def test_every_way_agrees_with_find_and_count(search: Search) -> None:
    rng = random.Random(3)
    data = bytearray(rng.choices(b"ab\n", k=400))
    for _ in range(3000):
        word = bytes(rng.choices(b"ab\n", k=rng.randrange(1, 12)))
        start = rng.randrange(len(data))
        end = rng.randrange(start, len(data) + 1)
        assert search.find(data, word, start, end) == data.find(word, start, end)
        assert search.count(data, b"\n", start, end) == data.count(b"\n", start, end)
    data += b"the buffer is let go of"
