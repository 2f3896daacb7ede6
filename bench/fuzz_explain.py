"""Fuzzing of `explain`: mutated logs through reading, replaying, judging and writing, checked for contradictions.

Run as `python -m bench.fuzz_explain --count 1000000 --seed 1` from the project's root. One process, one core; what it
finds is written to --out (the input, and what was wrong with it), one folder's worth of distinct faults at most.
Seeds are made up (`bench.made_reports`), those of tests/data/klog, and with --corpus DIR the logs of that folder.
With --tally FILE every thousand inputs are noted there, and those noted already are not run again: a long run may be
ended at any time and taken up later. One file counts the runs of several seeds; give each process a seed of its own.
"""

import argparse
import hashlib
import io
import json
import random
import re
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType

from bench.made_reports import ERAS, dmesg, make_report
from pydantic import TypeAdapter
from rich.console import Console

from pagewarden.diagnose.diagnosis import Diagnosis
from pagewarden.diagnose.explain import diagnose
from pagewarden.diagnose.replay import ZoneReplay
from pagewarden.diagnose.types import Cause
from pagewarden.kernel.allocation import Verdict
from pagewarden.kernel.allocation_rules import FastPath, allocation_rules
from pagewarden.klog.repeats import group_repeats
from pagewarden.klog.sources import reports_in
from pagewarden.klog.types import LogRead, ReportGroup
from pagewarden.report.document import to_json
from pagewarden.report.explain import render_report, render_summary
from pagewarden.report.wire_report import ReportDocument, report_document

DATA = Path(__file__).parents[1] / "tests" / "data" / "klog"
LONGEST_SECONDS = 5.0
RENDER_EVERY = 20
LONGEST_INPUT = 24_000
STRETCH = 1_000
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
DOCUMENT = TypeAdapter(ReportDocument)
_CAUSES = frozenset(cause.value for cause in Cause)

Lines = list[bytes]


class TooSlowError(Exception):
    """An input took more than LONGEST_SECONDS of CPU time."""


class ContradictionError(Exception):
    """An answer contradicts itself."""


# Mutations


def _number(rng: random.Random) -> bytes:
    giant = (b"18446744073709551615", b"9223372036854775808", b"-1", b"4294967295", b"0", b"9" * 40, b"00012", b"0x10")
    return rng.choice(giant) if rng.random() < 0.5 else str(rng.randrange(1 << rng.randrange(1, 64))).encode()


def drop(lines: Lines, rng: random.Random) -> Lines:
    at = rng.randrange(len(lines))
    return lines[:at] + lines[at + rng.randrange(1, 4) :]


def duplicate(lines: Lines, rng: random.Random) -> Lines:
    at = rng.randrange(len(lines))
    return lines[:at] + lines[at : at + rng.randrange(1, 6)] * rng.randrange(2, 4) + lines[at + 1 :]


def swap(lines: Lines, rng: random.Random) -> Lines:
    first, second = rng.randrange(len(lines)), rng.randrange(len(lines))
    lines[first], lines[second] = lines[second], lines[first]
    return lines


def cut(lines: Lines, rng: random.Random) -> Lines:
    at = rng.randrange(len(lines))
    return lines[:at] if rng.random() < 0.5 else lines[at:]


def cut_line(lines: Lines, rng: random.Random) -> Lines:
    at = rng.randrange(len(lines))
    lines[at] = lines[at][: rng.randrange(len(lines[at]) + 1)]
    return lines


def wrap(lines: Lines, rng: random.Random) -> Lines:
    width = rng.randrange(20, 120)
    indent = rng.choice((b"", b" ", b"\t", b"> "))
    return [
        (indent if start else b"") + line[start : start + width]
        for line in lines
        for start in range(0, max(1, len(line)), width)
    ]


def prefix(lines: Lines, rng: random.Random) -> Lines:
    kind = rng.randrange(6)
    forms: tuple[Callable[[int], bytes], ...] = (
        lambda n: b"Nov 21 01:30:%02d box kernel: " % (n % 60),
        lambda n: b"<4>[%5d.%06d] " % (n // 7, n * 11),
        lambda n: b"[Sat Nov 21 01:30:%02d 2026] " % (n % 60),
        lambda n: b"> ",
        lambda n: b"2026-11-21T01:30:%02d+0000 box kernel[-]: " % (n % 60),
        lambda n: b"[%5d.%06d][    C%d] " % (n // 7, n * 11, n % 2),
    )
    some = rng.random() < 0.3
    return [(b"" if some and rng.random() < 0.2 else forms[kind](n)) + line for n, line in enumerate(lines)]


def digits(lines: Lines, rng: random.Random) -> Lines:
    at = rng.randrange(len(lines))
    found = list(re.finditer(rb"\d+", lines[at]))
    if found:
        match = rng.choice(found)
        lines[at] = lines[at][: match.start()] + _number(rng) + lines[at][match.end() :]
    return lines


def flip(lines: Lines, rng: random.Random) -> Lines:
    at = rng.randrange(len(lines))
    data = bytearray(lines[at] or b" ")
    for _ in range(rng.randrange(1, 4)):
        data[rng.randrange(len(data))] = rng.randrange(256)
    lines[at] = bytes(data)
    return lines


def insert(lines: Lines, rng: random.Random) -> Lines:
    at = rng.randrange(len(lines))
    place = rng.randrange(len(lines[at]) + 1)
    odd = (
        b"\x1b[31m",
        b"\x00",
        b"\x1b]0;x\x07",
        b"\xc2\x9b",
        b"\xff\xfe",
        "\u202e\u2028".encode(),
        b"\r",
        b"\x7f",
        b"#012",
    )
    lines[at] = lines[at][:place] + rng.choice(odd) + lines[at][place:]
    return lines


def foreign(lines: Lines, rng: random.Random) -> Lines:
    at = rng.randrange(len(lines))
    words = (
        b"usb 1-1: new device",
        b"Killed process 12 (java)",
        b"Mem-Info:",
        b"Call Trace:",
        b"",
        b"---[ end trace ]---",
    )
    return [*lines[:at], rng.choice(words), *lines[at:]]


def words(lines: Lines, rng: random.Random) -> Lines:
    """Another mask, order, zone or letter: inputs that stay well formed and reach further in."""
    masks = (b"0x20", b"0x0", b"0xa20", b"0x820", b"0x2800", b"0x6", b"0x7", b"0xffffffff", b"0x4352da")
    names = (
        b"GFP_NOWAIT",
        b"GFP_ATOMIC",
        b"GFP_KERNEL",
        b"__GFP_MOVABLE",
        b"__GFP_HIGH|__GFP_NOMEMALLOC",
        b"0x8000000",
    )
    changes = (
        (rb"(?<=order[:=])-?\d+", (b"0", b"1", b"3", b"9", b"10", b"11", b"30", b"64", b"-1", b"100000000")),
        (rb"0x[0-9a-f]+(?=[(,]|$)", masks),
        (rb"\((?=GFP)[^)]*\)", tuple(b"(" + name + b")" for name in names)),
        (
            rb"nodemask=[^,]*",
            (b"nodemask=0", b"nodemask=1-3", b"nodemask=0-99999999", b"nodemask=9-0,x", b"nodemask=(null)"),
        ),
        (rb"\bDMA32\b|\bNormal\b|\bDMA\b", (b"DMA", b"Normal", b"HighMem", b"Movable", b"Device", b"Other")),
        (rb"\((?:[UMEHCI]+)\)", (b"(C)", b"(H)", b"(I)", b"(HC)", b"(UME)", b"")),
        (
            rb"(?:boost|free_cma|reserved_highatomic):\d+",
            (b"boost:9999999", b"free_cma:9999999", b"reserved_highatomic:99999999"),
        ),
        (rb"(?<=\d\*)\d+kB", (b"4kB", b"16kB", b"64kB", b"0kB", b"3kB")),
        (
            rb"[2-7]\.\d+\.\d+\S*",
            (b"2.6.32-358.el6.x86_64", b"3.1.0", b"4.13.0", b"5.17.1", b"6.1.158", b"9.9", b"6.3.0"),
        ),
    )
    pattern, values = rng.choice(changes)
    value = rng.choice(values)
    return re.sub(pattern, lambda match: value, b"\n".join(lines)).split(b"\n")


MUTATIONS = (drop, duplicate, swap, cut, cut_line, wrap, prefix, digits, digits, flip, insert, foreign, words, words)


def interleave(first: Lines, second: Lines, rng: random.Random) -> Lines:
    left, right, mixed = list(first), list(second), []
    while left or right:
        mixed.append((left if left and (not right or rng.random() < 0.5) else right).pop(0))
    return mixed


def own_seeds() -> list[Lines]:
    """Logs of tests/data and several made-up reports of every format."""
    rng = random.Random(2026)
    seeds = [path.read_bytes().split(b"\n") for path in sorted(DATA.glob("*.log"))]
    for era in ERAS:
        for _ in range(6):
            lines = make_report(era, rng)
            lines = dmesg(lines) if rng.random() < 0.5 else lines
            seeds.append([line.encode() for line in lines])
    return seeds


def corpus_seeds(folder: Path) -> list[Lines]:
    """The logs of a folder, long ones in windows."""
    seeds = []
    for path in sorted(folder.glob("*.log")):
        lines = path.read_bytes().split(b"\n")
        seeds += [lines[start : start + 150] for start in range(0, len(lines), 120)]
    return seeds


def shortened(lines: Lines, rng: random.Random) -> Lines:
    """The opening line, one with the kernel's release and a stretch of the rest: most inputs are short, to be many."""
    opening = [line for line in lines if b"order:" in line or b"gfp_mask" in line or b" Comm: " in line][:2]
    zones = [number for number, line in enumerate(lines) if b" free:" in line and b"min:" in line]
    start = rng.choice(zones) if zones and rng.random() < 0.8 else rng.randrange(len(lines))
    return opening + lines[max(0, start - 1) : start + rng.randrange(2, 9)]


def mutate(seeds: Sequence[Lines], rng: random.Random) -> bytes:
    """One input: a seed, or two, changed a few times."""
    lines = list(rng.choice(seeds))
    if rng.random() < 0.88:
        lines = shortened(lines, rng)
    if rng.random() < 0.1:
        lines = interleave(lines, list(rng.choice(seeds)), rng)
    for _ in range(rng.choice((1, 1, 2, 3, 5, 8))):
        lines = rng.choice(MUTATIONS)(lines, rng) or [b""]
    return b"\n".join(lines)[:LONGEST_INPUT]


# Checks


def check_zone_answer(zone: ZoneReplay, diagnosis: Diagnosis) -> None:
    """The numbers of a zone and its verdict must not contradict each other."""
    check, verdict, version = zone.check, zone.verdict, diagnosis.replay.version
    if zone.usable is False and verdict is not Verdict.NOT_ELIGIBLE:
        raise ContradictionError(f"{zone.name}: not usable, and {verdict}")
    if verdict is Verdict.NOT_ELIGIBLE and zone.usable is not False:
        raise ContradictionError(f"{zone.name}: not eligible, and usable is {zone.usable}")
    if verdict is Verdict.UNKNOWN and not zone.reason:
        raise ContradictionError(f"{zone.name}: unknown, and no reason")
    if verdict in (Verdict.UNKNOWN, Verdict.NOT_ELIGIBLE) or version is None:
        return
    if check is None:
        raise ContradictionError(f"{zone.name}: {verdict} without a check")
    enough = check.available_pages >= check.required_pages
    if verdict in (Verdict.BELOW_MARK, Verdict.LOWMEM_RESERVE) and enough:
        raise ContradictionError(f"{zone.name}: {verdict}, and {check.available_pages} of {check.required_pages}")
    if verdict is Verdict.LOWMEM_RESERVE and check.available_pages < check.required_pages - check.reserve_pages:
        raise ContradictionError(f"{zone.name}: the reserve is said to decide, and the mark alone refuses")
    single = diagnosis.replay.order == 0
    wraps = single and allocation_rules(version).fast_path is FastPath.WRAPS and check.available_pages < 0
    if verdict in (Verdict.WOULD_PASS, Verdict.NO_BLOCK) and not enough and not wraps:
        raise ContradictionError(f"{zone.name}: {verdict}, and {check.available_pages} of {check.required_pages}")
    if verdict is Verdict.NO_BLOCK and single and check.mark_pages > 0 and not wraps:
        raise ContradictionError(f"{zone.name}: no block of a single page, and enough pages")
    if (check.short_pages == 0) != enough:
        raise ContradictionError(f"{zone.name}: short by {check.short_pages}")


def check_answer(diagnosis: Diagnosis, line: str, *, again: bool) -> None:
    """A diagnosis and its JSON must not contradict themselves or each other."""
    for zone in diagnosis.replay.zones:
        check_zone_answer(zone, diagnosis)
    cause = diagnosis.judgement.cause
    granted = any(zone.verdict is Verdict.WOULD_PASS for zone in diagnosis.replay.zones)
    if cause is Cause.RECOVERED and not granted:
        raise ContradictionError("recovered, and no zone would grant the request")
    if cause in (Cause.ATOMIC_RESERVE_EXHAUSTED, Cause.MEMORY_EXHAUSTED) and granted_by_weight(diagnosis):
        raise ContradictionError(f"{cause}, and a zone would grant the request")
    if not diagnosis.explanation.strip():
        raise ContradictionError("no explanation")
    if not line.isascii() and _CONTROL.search(line):
        raise ContradictionError("control characters in JSON")
    document = json.loads(line)
    if document["cause"] not in _CAUSES:
        raise ContradictionError(f"no such cause: {document['cause']}")
    if again and to_json(DOCUMENT.validate_json(line, strict=True)) != line:
        raise ContradictionError("JSON does not survive reading and writing")


def granted_by_weight(diagnosis: Diagnosis) -> bool:
    """Whether the largest usable zone would grant the request."""
    usable = [zone for zone in diagnosis.replay.zones if zone.usable]
    if not usable:
        return False
    largest = max(usable, key=lambda zone: zone.dump.present_kb or 0)
    return largest.verdict is Verdict.WOULD_PASS


def render(rows: Sequence[tuple[str, ReportGroup, Diagnosis]]) -> str:
    """The text for people."""
    output = Console(file=io.StringIO(), width=100, highlight=False, markup=False, emoji=False, no_color=True)
    for part in render_summary(rows, [LogRead("log", None), LogRead("-", 0)]):
        output.print(part)
    for number, row in enumerate(rows, 1):
        for part in render_report(number, *row):
            output.print(part)
    written = output.file
    assert isinstance(written, io.StringIO)
    return written.getvalue()


def examine(data: bytes, *, text: bool) -> int:
    """Explain one input and check the answers; gives the number of reports.

    :raises ContradictionError: with what contradicts itself.
    """
    rows = []
    reports = list(reports_in(data))
    for group in group_repeats(reports):
        diagnosis = diagnose(group.example)
        check_answer(diagnosis, to_json(report_document("log", group, diagnosis)), again=text)
        rows.append(("log", group, diagnosis))
    if text and rows:
        written = render(rows)
        odd = _CONTROL.search(written)
        if odd is not None:
            raise ContradictionError(
                f"control character {odd[0]!r} in the text: {written[max(0, odd.start() - 40) :][:80]!r}"
            )
    return len(reports)


# The loop


def _expired(number: int, frame: FrameType | None) -> None:
    raise TooSlowError


def run(
    seeds: Sequence[Lines], count: int, seed: int | str, *, render_every: int = RENDER_EVERY
) -> Iterator[tuple[bytes, BaseException | None, int]]:
    """Examine `count` inputs; gives each with what was wrong with it (None: nothing) and its number of reports."""
    rng = random.Random(seed)
    signal.signal(signal.SIGPROF, _expired)
    for number in range(count):
        data = mutate(seeds, rng)
        found: BaseException | None = None
        reports = 0
        try:
            signal.setitimer(signal.ITIMER_PROF, LONGEST_SECONDS)
            reports = examine(data, text=number % render_every == 0)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the find
            found = error
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
        yield data, found, reports


def fault_key(error: BaseException) -> str:
    """The same fault gives the same key: its kind and the place it was raised at, or its words without numbers."""
    if isinstance(error, ContradictionError):
        return re.sub(r"\d+|'.*'|node \d+ \w+|^\w+:", "#", str(error))
    frames = traceback.extract_tb(error.__traceback__)
    place = next((frame for frame in reversed(frames) if "pagewarden" in frame.filename), frames[-1])
    return f"{type(error).__name__} in {Path(place.filename).name}:{place.name}:{place.lineno}"


class Faults:
    """What was found: how often each, and the first inputs of each in a folder."""

    def __init__(self, out: Path | None) -> None:
        self.times: Counter[str] = Counter()
        self._out = out

    def add(self, data: bytes, error: BaseException) -> None:
        key = fault_key(error)
        self.times[key] += 1
        if self._out is not None and self.times[key] <= 3:
            self._out.mkdir(parents=True, exist_ok=True)
            name = hashlib.sha256(key.encode()).hexdigest()[:12]
            (self._out / f"{name}-{self.times[key]}.log").write_bytes(data)
            (self._out / f"{name}.txt").write_text(key + "\n" + "".join(traceback.format_exception(error)))


class Tally:
    """The stretches that were run, as lines of JSON in a file that several runs append to."""

    def __init__(self, path: Path | None, seed: int) -> None:
        self._path = path
        self._seed = seed
        self.stretches = (
            [json.loads(line) for line in path.read_text().splitlines()] if path is not None and path.exists() else []
        )

    def holds(self, stretch: int) -> bool:
        return any((done["seed"], done["stretch"]) == (self._seed, stretch) for done in self.stretches)

    def add(self, stretch: int, inputs: int, reports: int, slowest: float, faults: Counter[str]) -> None:
        done = {"seed": self._seed, "stretch": stretch, "inputs": inputs, "reports": reports}
        done |= {"slowest_s": round(slowest, 3), "faults": dict(faults)}
        self.stretches.append(done)
        if self._path is not None:
            with self._path.open("a") as file:
                file.write(json.dumps(done) + "\n")

    def summary(self) -> str:
        inputs = sum(done["inputs"] for done in self.stretches)
        reports = sum(done["reports"] for done in self.stretches)
        slowest = max((done["slowest_s"] for done in self.stretches), default=0.0)
        return f"{inputs} inputs, {reports} reports, slowest {slowest:.2f} s"

    def faults(self) -> Counter[str]:
        return sum((Counter(done["faults"]) for done in self.stretches), Counter[str]())


def run_stretch(
    seeds: Sequence[Lines], seed: int, stretch: int, count: int, tally: Tally, out: Path | None
) -> Counter[str]:
    """Run the inputs of one stretch and note them."""
    faults = Faults(out)
    reports, slowest, before = 0, 0.0, time.process_time()
    for data, error, found in run(seeds, count, f"{seed}/{stretch}"):
        now = time.process_time()
        slowest, before = max(slowest, now - before), now
        reports += found
        if error is not None:
            faults.add(data, error)
    tally.add(stretch, count, reports, slowest, faults.times)
    return faults.times


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--corpus", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--tally", type=Path)
    args = parser.parse_args()
    seeds = own_seeds() + (corpus_seeds(args.corpus) if args.corpus else [])
    tally = Tally(args.tally, args.seed)
    for stretch in range(-(-args.count // STRETCH)):
        if tally.holds(stretch):
            continue
        count = min(STRETCH, args.count - stretch * STRETCH)
        for key in run_stretch(seeds, args.seed, stretch, count, tally, args.out):
            print(f"stretch {stretch}: {key}", flush=True)
        if (stretch + 1) % 20 == 0:
            print(tally.summary(), flush=True)
    print(tally.summary())
    for key, times in sorted(tally.faults().items()):
        print(f"  {times} x {key}")
    return 1 if tally.faults() else 0


if __name__ == "__main__":
    sys.exit(main())
