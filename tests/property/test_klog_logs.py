"""Whatever a log holds: nothing is raised, nothing grows without bounds, and no form of a log changes a report."""

import contextlib
import dataclasses
import functools
import math
import os
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.klog.samples import LINE_STYLES, NAMES, lines_of, only_report, reports_of, sample, without_origin

from pagewarden.errors import UsageError
from pagewarden.klog import prefix
from pagewarden.klog.group import Grouper
from pagewarden.klog.repeats import group_repeats
from pagewarden.klog.since import parse_since
from pagewarden.klog.sources import reports_in
from pagewarden.klog.types import LogLine, Report, ReportKind

FACTOR = int(os.environ.get("PAGEWARDEN_EXAMPLES", "1"))
"""More examples for whoever has the time."""

NUMBERS = re.compile(r"\d+")
UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff]")
WORDS = (
    *("page allocation failure", ": page allocation failure: order:", "mode:0x20", "(GFP_ATOMIC|", "nodemask=(null)"),
    *("cat invoked oom-killer: ", "gfp_mask=0x", ", order=", "Mem-Info:", "Node 0 ", "DMA", "Normal", "HighMem"),
    *(" free:", "kB", " min:", "lowmem_reserve[]:", " 0*4kB", " (UME)", " = 4kB", "Call Trace:", "+0x1/0x2"),
    *("[<c0123456>] ", "? ", "<IRQ>", "CPU: 0 PID: 1 Comm: ", "Not tainted 6.1.0", "Killed process "),
    *("Out of memory: ", "Memory cgroup ", "Task in / killed as a result of limit of /", "vmalloc"),
    *("oom-kill:constraint=", "[   12.345678]", "<4>", "> ", "Nov 21 01:30:07 box kernel: ", "4,5,6,-;", "#012"),
    *("\\n", "\\x0a", '{"MESSAGE":', "MESSAGE=", "= "),
    *("=\r", "\r", "\x1b[1m", "\0", " " * 40, "(" * 30, "[" * 30, "0" * 40, "9" * 40, "-1", "18446744073709551616"),
    *("SLUB: Unable to allocate memory on node -1", "XFS: possible memory allocation deadlock in x (mode:0x250)"),
    *("Linux version 6.1.0", "warn_alloc: 5 callbacks suppressed", "Allocation of length 4096 from process 5 failed"),
)  # fmt: skip

PLAIN_WORDS = tuple(word for word in WORDS if word.isprintable() and "\\" not in word)
STARTS = ("[   12.345678]", "[   12.345678] ", "[   12.345678][   T12] ", "Nov 21 01:30:07 box kernel: [   12.345678] ")


def examples(count: int) -> settings:
    return settings(max_examples=count * FACTOR, deadline=None)


@functools.cache
def written(name: str, style: str) -> bytes:
    return LINE_STYLES[style](sample(name))


logs = st.builds(written, st.sampled_from(NAMES), st.sampled_from(sorted(LINE_STYLES)))
plain = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30)
fragments = st.lists(st.sampled_from(WORDS) | st.text(max_size=8) | st.just("\n"), max_size=60)


def values(thing: object) -> list[object]:
    """Everything in a report, however deep."""
    if dataclasses.is_dataclass(thing) and not isinstance(thing, type):
        return [part for field in dataclasses.fields(thing) for part in values(getattr(thing, field.name))]
    if isinstance(thing, dict):
        return [part for pair in thing.items() for part in (*values(pair[0]), *values(pair[1]))]
    if isinstance(thing, (tuple, list)):
        return [part for entry in thing for part in values(entry)]
    return [thing]


def check(reports: Sequence[Report]) -> None:
    """What holds for every report of every log."""
    assert all(one.line_number <= other.line_number for one, other in pairwise(reports))
    for report in reports:
        assert 1 <= report.line_number <= report.last_line_number
        for value in values(report):
            if isinstance(value, str):
                assert len(value) <= 16 * 1024
                assert UNSEEN.search(value.replace("\n", "")) is None
            elif isinstance(value, float):
                assert math.isfinite(value)
            elif value is not None:
                assert isinstance(value, int)
        if report.complete:
            assert report.zones
            assert not {"zones", "memory-dump", "watermarks", "free-lists"} & set(report.missing)
        assert (report.raw is not None) == (report.kind is ReportKind.UNRECOGNISED)
    groups = list(group_repeats(reports))
    assert sum(group.count for group in groups) == len(reports)


@examples(150)
@given(st.binary(max_size=4000))
def test_any_bytes(data: bytes) -> None:
    check(list(reports_in(data)))


@examples(300)
@given(fragments)
def test_any_words(words: list[str]) -> None:
    check(list(reports_in("".join(words).encode("utf-8", "surrogatepass"))))


@examples(60)
@given(logs, st.data())
def test_any_cut_of_a_log(log: bytes, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(log)))
    end = data.draw(st.integers(start, len(log)))
    check(list(reports_in(log[start:end])))


@examples(100)
@given(logs, st.data())
def test_any_damage_to_a_log(log: bytes, data: st.DataObject) -> None:
    for _ in range(data.draw(st.integers(1, 8))):
        start = data.draw(st.integers(0, len(log)))
        end = data.draw(st.integers(start, min(start + 300, len(log))))
        put = data.draw(st.sampled_from(WORDS).map(str.encode) | st.binary(max_size=40) | st.just(log[start:end] * 2))
        log = log[:start] + put + log[end:]
    check(list(reports_in(log)))


@examples(60)
@given(logs, st.data())
def test_any_numbers(log: bytes, data: st.DataObject) -> None:
    giant = st.sampled_from(["0", "00", "9" * 30, "4294967296", "18446744073709551616", "x", "", "7"])
    text = log.decode("utf-8", "replace")
    often = data.draw(st.integers(1, 30))
    draw = iter(data.draw(st.lists(giant, min_size=1, max_size=40)) * 400)
    seen = iter(range(1 << 30))
    text = NUMBERS.sub(lambda match: next(draw, "7") if next(seen) % often == 0 else match[0], text)
    check(list(reports_in(text.encode())))


@examples(40)
@given(st.lists(logs, min_size=2, max_size=3), st.randoms(use_true_random=False))
def test_any_mixture_of_logs(several: list[bytes], rng: object) -> None:
    queues = [log.splitlines(keepends=True) for log in several]
    mixed: list[bytes] = []
    while queues := [queue for queue in queues if queue]:
        mixed.append(rng.choice(queues).pop(0))  # type: ignore[attr-defined]
    check(list(reports_in(b"".join(mixed))))


@examples(60)
@given(st.sampled_from(NAMES), st.data())
def test_a_form_for_every_line_gives_the_same_report(name: str, data: st.DataObject) -> None:
    styles = [LINE_STYLES[style] for style in ("dmesg", "level-dmesg", "syslog-dmesg", "syslog", "short-iso", "quoted")]
    lines = sample(name)
    chosen = data.draw(st.lists(st.sampled_from(styles), min_size=len(lines), max_size=len(lines)))
    mixed = b"".join(style([line]) for style, line in zip(chosen, lines, strict=True))
    assert without_origin(only_report(mixed)) == without_origin(only_report("\n".join(lines)))


@examples(40)
@given(st.sampled_from(NAMES), st.lists(st.sampled_from(NAMES), max_size=4), st.integers(1, 5))
def test_reports_in_a_row_do_not_disturb_each_other(first: str, more: list[str], gap: int) -> None:
    names = [first, *more]
    noise = ["usb 1-1: new high-speed USB device number 4 using xhci_hcd"] * gap
    text = "\n".join(line for name in names for line in (*sample(name), *noise))
    found = [dataclasses.replace(without_origin(report), notes=(), related_lines=()) for report in reports_of(text)]
    alone = [without_origin(only_report("\n".join(sample(name)))) for name in names]
    assert found == [dataclasses.replace(report, notes=()) for report in alone]


@examples(200)
@given(st.sampled_from(STARTS), fragments | st.lists(st.sampled_from(PLAIN_WORDS) | plain, max_size=6))
def test_the_short_way_to_read_a_line_gives_what_the_long_way_does(start: str, words: list[str]) -> None:
    raw = (start + "".join(words)).encode("utf-8", "surrogatepass").split(b"\n")[0]
    fast = prefix._read_plain(1, raw)
    if fast is not None:
        assert [fast] == prefix.PrefixReader().read_text(1, raw.decode("utf-8", "replace"))


@examples(60)
@given(st.lists(st.sampled_from(NAMES), min_size=1, max_size=3), st.integers(0, 60))
def test_a_live_log_gives_what_the_whole_log_gives(names: list[str], between: int) -> None:
    noise = ["something else"] * between
    text = "\n".join(line for name in names for line in (*sample(name), *noise))
    lines: list[LogLine] = lines_of(text.encode())
    grouper = Grouper(hold_leading=False)
    live = [report for line in lines for report in grouper.feed(line)]
    assert live + grouper.finish() == reports_of(text)


@examples(200)
@given(st.text(max_size=30) | st.text("0123456789-: dhmsago@TZ", max_size=20))
def test_any_point_in_time(text: str) -> None:
    with contextlib.suppress(UsageError):
        assert parse_since(text, datetime(2026, 11, 21, 15, 30, tzinfo=UTC)).tzinfo is not None


@pytest.mark.parametrize("style", ["dmesg", "quoted", "json"])
def test_every_cut_at_a_line_of_every_sample(style: str) -> None:
    for name in NAMES:
        lines = written(name, style).splitlines(keepends=True)
        for at in range(0, len(lines), 3):
            check(list(reports_in(b"".join(lines[:at]))))
            check(list(reports_in(b"".join(lines[at:]))))
