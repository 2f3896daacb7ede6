"""Reports counted by their opening lines, and a few kept for the decoder."""

import random

import pytest
from bench.made_reports import ERAS, make_report

from pagewarden.daemon.log_lines import (
    AGAIN_NS,
    DECODE_BURST,
    MAX_BLOCK_BYTES,
    MAX_BLOCK_LINES,
    MAX_SIGNATURE,
    QUIET_NS,
    Block,
    LogCollector,
    RawLine,
    signature_of,
)
from pagewarden.daemon.types import MINUTE_NS, LogCounts
from pagewarden.klog.group import group_lines
from pagewarden.klog.types import LogLine, ReportKind

FAILURE = "nginx: page allocation failure: order:2, mode:0x40820(GFP_ATOMIC|__GFP_COMP), nodemask=(null),cpuset=/"
OOM = "java invoked oom-killer: gfp_mask=0x140cca(GFP_HIGHUSER_MOVABLE), order=0, oom_score_adj=0"
OOM_SIGNATURE = "oom-killer: gfp_mask=0x140cca(GFP_HIGHUSER_MOVABLE), order=0"
KILL = "Out of memory: Killed process 77 (java) total-vm:9kB, anon-rss:8kB"
MEMCG_KILL = "Memory cgroup out of memory: Killed process 78 (java) total-vm:9kB"
GROUP = "Tasks in /a are going to be killed due to memory.oom.group set"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (FAILURE, "page allocation failure: order:2, mode:0x40820(GFP_ATOMIC|__GFP_COMP)"),
        ("swapper: page allocation failure. order:1, mode:0x20", "page allocation failure. order:1, mode:0x20"),
        (OOM, "oom-killer: gfp_mask=0x140cca(GFP_HIGHUSER_MOVABLE), order=0"),
        ("a: page allocation stalls for 101ms, order:0, mode:0x14(X), nodemask=(null)", "stall, order:0, mode:0x14(X)"),
        ("q: vmalloc error: size 4096, page order 0, failed to allocate pages, mode:0xdc2(X), nodemask=(null)",
         "vmalloc error: size N, page order 0, failed to allocate pages, mode:0xdc2(X)"),
        ("vmap allocation for size 8192 failed: use vmalloc=", "vmap allocation for size N failed: use vmalloc="),
        ("XFS: a(9) possible memory allocation deadlock size 8 in f (mode:0x2)", "possible memory allocation deadlock"),
        (KILL, None),
        ("warn_alloc: 7 callbacks suppressed", None),
        ("usb 1-1: new device", None),
        ("allocation of a new failure mode", None),
        ("", None),
    ],
)  # fmt: skip
def test_signature(text: str, expected: str | None) -> None:
    assert signature_of(text) == expected


def test_a_signature_forgets_who_asked_and_is_bounded() -> None:
    assert signature_of(FAILURE) == signature_of(FAILURE.replace("nginx", "kswapd0"))
    assert len(signature_of(FAILURE.replace("GFP_ATOMIC", "X" * 5000)) or "") == MAX_SIGNATURE


def collect(texts: list[str], collector: LogCollector | None = None, now_ns: int = 0) -> tuple[LogCounts, list[Block]]:
    collector = collector or LogCollector(0)
    for text in texts:
        collector.feed(RawLine(text, lambda: 1.5), now_ns)
    counts, blocks = collector.take(now_ns + QUIET_NS)
    assert counts is not None
    return counts, list(blocks)


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        pytest.param([], {}, id="nothing"),
        pytest.param([OOM, KILL], {OOM_SIGNATURE: 1}, id="its own kill"),
        pytest.param([KILL], {"kill": 1}, id="a kill whose report was held back"),
        pytest.param([OOM, KILL, KILL], {OOM_SIGNATURE: 1, "kill": 1},
                     id="a second kill"),
        pytest.param([OOM, GROUP, MEMCG_KILL, MEMCG_KILL, MEMCG_KILL],
                     {OOM_SIGNATURE: 1}, id="a whole group"),
        pytest.param([MEMCG_KILL], {"kill in a memory cgroup": 1}, id="memcg"),
        pytest.param(["vmap allocation for size 8192 failed", "x", "a: vmalloc error: size 8192, vm_struct allocation "
                      "failed, mode:0xcc0(X), nodemask=(null)"],
                     {"vmalloc error: size N, vm_struct allocation failed, mode:0xcc0(X)": 1}, id="told twice"),
    ],
)  # fmt: skip
def test_counts(texts: list[str], expected: dict[str, int]) -> None:
    counts, _ = collect(["filler", *texts])
    assert counts.counts == expected


def test_held_back_and_lost_are_counted() -> None:
    collector = LogCollector(0)
    collector.lost(12)
    counts, _ = collect(["warn_alloc: 27 callbacks suppressed", "net_ratelimit: 5 callbacks suppressed"], collector)
    assert (counts.suppressed, counts.lost_lines, counts.lines) == (27, 12, 2)


@pytest.mark.parametrize("era", [era for era in ERAS if era.version >= (4, 19, 0)], ids=lambda era: era.release)
def test_counts_as_many_as_the_decoder_finds(era: object) -> None:
    rng = random.Random(7)
    texts: list[str] = []
    for _ in range(30):
        texts += [*make_report(era, rng), "usb 1-1: new device"]  # type: ignore[arg-type]
    lines = [LogLine(number, text, prefixed=True) for number, text in enumerate(texts, 1)]
    found = [report for report in group_lines(lines) if report.kind is not ReportKind.MEMORY_DUMP]
    assert sum(collect(texts)[0].counts.values()) == len(found) == 30


def test_a_block_holds_the_report_and_its_stamps() -> None:
    _, blocks = collect(["before", FAILURE, "Call Trace:", " f+0x1/0x2"])
    assert [(line.text, line.seconds) for line in blocks[0]] == [
        (FAILURE, 1.5),
        ("Call Trace:", 1.5),
        (" f+0x1/0x2", 1.5),
    ]


def test_a_block_waits_for_slow_consoles() -> None:
    collector = LogCollector(0)
    collector.feed(RawLine(FAILURE), 0)
    assert collector.take(QUIET_NS - 1)[1] == ()
    assert collector.due_ns(QUIET_NS - 1) == 1
    assert len(collector.take(QUIET_NS)[1]) == 1
    assert collector.due_ns(QUIET_NS) is None


def test_a_process_table_does_not_push_out_the_kill() -> None:
    rows = [f"[{pid:7}]     0 {pid:7}    12345      678    90112        0             0 worker" for pid in range(5000)]
    _, blocks = collect([OOM, *rows, KILL])
    assert KILL in [line.text for line in blocks[0]]
    assert len(blocks[0]) < 200


def test_a_flood_is_bounded() -> None:
    collector = LogCollector(0)
    blocks: list[Block] = []
    total = 0
    for number in range(3000):
        for text in (FAILURE.replace("order:2", f"order:{number % 700}"), *["x" * 4000] * 3):
            collector.feed(RawLine(text), number)
        if number % 100 == 99:
            counts, some = collector.take(number)
            assert counts is not None
            total += sum(counts.counts.values())
            assert len(counts.counts) <= 257
            blocks += some
    assert total == 3000
    assert len(blocks) <= DECODE_BURST + 1
    assert all(len(block) <= MAX_BLOCK_LINES for block in blocks)
    assert all(sum(len(line.text) for line in block) <= MAX_BLOCK_BYTES + 4096 for block in blocks)


def test_what_was_decoded_is_decoded_again_later() -> None:
    collector = LogCollector(0)
    assert len(collect([FAILURE], collector)[1]) == 1
    assert collect([FAILURE], collector, MINUTE_NS)[1] == []
    assert len(collect([FAILURE], collector, AGAIN_NS)[1]) == 1
