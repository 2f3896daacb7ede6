"""`pagewarden explain` for people."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from pagewarden.diagnose.diagnosis import Diagnosis, Harm
from pagewarden.diagnose.replay import ZoneReplay, is_empty
from pagewarden.kernel.allocation import Check, Verdict
from pagewarden.klog.types import NONE_KILLABLE, PANICKED, LogRead, ReportGroup, ReportKind
from pagewarden.report.headline import (
    NOT_NAMED,
    PANIC,
    action_text,
    harm_text,
    names_text,
    setting_text,
    victim_name,
    when_text,
)
from pagewarden.report.words import Flowing, hanging, lines_read, log_name, plain_table, printable

_KIND = {
    ReportKind.PAGE_ALLOCATION_FAILURE: "page allocation failure",
    ReportKind.OOM: "out of memory",
    ReportKind.MEMCG_OOM: "control group out of memory",
    ReportKind.ALLOCATION_STALL: "page allocation stall",
    ReportKind.VMALLOC_FAILURE: "vmalloc failure",
    ReportKind.DEADLOCK_WARNING: "possible deadlock in memory allocation",
    ReportKind.NOMMU_FAILURE: "contiguous allocation failure (no MMU)",
    ReportKind.MEMORY_DUMP: "memory dump without a request",
    ReportKind.UNRECOGNISED: "unrecognised memory report",
}
_VERDICT = {
    Verdict.WOULD_PASS: "would pass",
    Verdict.BELOW_MARK: "below the mark",
    Verdict.LOWMEM_RESERVE: "keeps it for lower requests",
    Verdict.NO_BLOCK: "no block of the order",
    Verdict.NOT_ELIGIBLE: "not allowed",
    Verdict.UNKNOWN: "cannot be told",
}
NO_MARK = "none: "
MAX_RAW_LINES = 12
MAX_LOGS = 30


Rows = Sequence[tuple[str, ReportGroup, Diagnosis]]


def render_summary(rows: Rows, logs: Sequence[LogRead]) -> Iterator[RenderableType]:
    """What was read, and a line for each kind of report in it; nothing for a single report.

    Kills first, then the most frequent: one kill must not drown in a thousand failures.
    """
    total = sum(group.count for _, group, _ in rows)
    if total == 0:
        yield "No memory reports found."
        yield from _each_log(rows, logs)
        return
    if total > 1 or len(logs) > 1:
        yield Text(_counts([group for _, group, _ in rows]), style="bold")
    if total < 2:
        if len(logs) > 1:
            yield from _each_log(rows, logs)
            yield ""
        return
    kinds: dict[tuple[str, str, str], _Kind] = {}
    for _, group, diagnosis in rows:
        key = _KIND[diagnosis.report.kind], _request(diagnosis), diagnosis.judgement.cause.value
        kinds.setdefault(key, _Kind()).add(group, diagnosis)
    # What and the request share a column: rich narrows columns without regard for words that must stay whole.
    table = plain_table("times", "what", "cause")
    for column in table.columns[1:]:
        column.justify = "left"
    table.columns[2].no_wrap = True
    worst_first = sorted(kinds.items(), key=lambda entry: (not entry[1].killed, -entry[1].count))
    for (kind, request, cause), counted in worst_first[:20]:
        what = Text(", ".join(part for part in (kind, request) if part), overflow="fold")
        if counted.killed:
            what.append(f"\n{counted.harm()}", style="bold red")
        table.add_row(str(counted.count), Flowing(what), cause)
    if len(kinds) > 20:
        table.add_row("", f"and {len(kinds) - 20} more", "")
    yield table
    held_back = sum(group.suppressed_count or 0 for _, group, _ in rows)
    if held_back and len(rows) > 1:  # a single group says so itself
        yield _held_back(held_back)
    if len(logs) > 1:
        yield from _each_log(rows, logs)
    yield ""


@dataclass(slots=True)
class _Kind:
    """What the reports in one line of the summary did.

    :ivar not_named: reports whose victim is not known: of repeats one example is kept.
    """

    count: int = 0
    killed: bool = False
    panicked: bool = False
    victims: list[str] = field(default_factory=list)
    not_named: int = 0

    def add(self, group: ReportGroup, diagnosis: Diagnosis) -> None:
        report = diagnosis.report
        self.count += group.count
        self.killed |= diagnosis.harm is Harm.KILLED
        self.panicked |= report.panicked
        self.victims += [victim_name(victim) for victim in report.victims]
        self.not_named += group.count - bool(report.victims)

    def harm(self) -> str:
        if self.panicked:
            return PANIC
        if not self.victims:
            return NOT_NAMED
        return f"killed {names_text(self.victims, len(self.victims) + self.not_named)}"


def _held_back(count: int) -> str:
    more = f"{count} more message{'s' if count > 1 else ''}"
    return f"The kernel held back {more}: the reports in a log are fewer than the failures."


def _counts(groups: Sequence[ReportGroup]) -> str:
    total = sum(group.count for group in groups)
    if total == 0:
        return "no report"
    if total == 1:
        return "1 report"
    kinds = len({group.key for group in groups})
    return f"{total} reports" + (f", {kinds} different" if kinds > 1 else ", all of one kind")


def _each_log(rows: Rows, logs: Sequence[LogRead]) -> Iterator[RenderableType]:
    for log in logs[:MAX_LOGS]:
        found = _counts([group for name, group, _ in rows if name == log.name])
        what = lines_read(log) if log.lines == 0 else f"{found}; {lines_read(log)}"
        yield Padding(Text(f"{log_name(log.name)}: {what}", style="dim"), (0, 0, 0, 2))
    if len(logs) > MAX_LOGS:
        yield Padding(Text(f"and {len(logs) - MAX_LOGS} more logs", style="dim"), (0, 0, 0, 2))


def _request(diagnosis: Diagnosis) -> str:
    name, order = diagnosis.replay.gfp_name, diagnosis.report.order
    parts = [f"order {order}" if order is not None else "", name or ""]
    return ", ".join(part for part in parts if part)


def render_report(number: int, file: str, group: ReportGroup, diagnosis: Diagnosis) -> Iterator[RenderableType]:
    """One report: what and whom, what to do first, where and when, the paragraph, the zones, all there is to do."""
    report = diagnosis.report
    title = Text(_KIND[report.kind], style="bold", overflow="fold")  # of names nothing is cut off
    harm, style = harm_text(group, diagnosis)
    cause = diagnosis.judgement.cause.value + (" (inferred)" if diagnosis.judgement.inferred else "")
    title.append(f"  {cause}", style="bold yellow")
    title.append(f"  {harm}", style=style)
    yield hanging(f"{number}.", title, "bold")
    label, words = action_text(group, diagnosis)
    action = Text(words, overflow="fold")
    yield Padding(hanging(label, action, "bold") if label else action, (0, 0, 0, 3))
    yield Padding(Flowing(Text(_where(file, group, diagnosis), style="dim")), (0, 0, 0, 3))
    yield Padding(Text(diagnosis.explanation), (1, 0, 0, 3))
    if group.suppressed_count:
        yield Padding(Text(_held_back(group.suppressed_count)), (0, 0, 0, 3))
    if report.raw:
        lines = report.raw.splitlines()
        shown = lines[:MAX_RAW_LINES] + (["..."] if len(lines) > MAX_RAW_LINES else [])
        yield Padding(Text("\n".join(shown), style="dim"), (1, 0, 0, 3))
    checked = [zone for zone in diagnosis.replay.zones if zone.usable is not None or zone.check]
    if checked:
        yield Padding(_zones(checked), (1, 0, 0, 3))
    if diagnosis.remedies:
        yield Padding(Text("What to do", style="bold"), (1, 0, 0, 3))
    for remedy in diagnosis.remedies:
        item = f"{remedy.action}{setting_text(remedy)}: {remedy.why}"
        yield Padding(hanging("-", Text(item)), (0, 0, 0, 3))
    for note in report.notes:
        if note in (PANICKED, NONE_KILLABLE):  # which stand above
            continue
        yield Padding(hanging("Note:", Text(note), "dim"), (0, 0, 0, 3))
    yield ""


def _where(file: str, group: ReportGroup, diagnosis: Diagnosis) -> str:
    report = diagnosis.report
    times = f"{group.count} times, " if group.count > 1 else ""
    kernel = f"Linux {report.release}" if report.release else "kernel not named"
    place = f"{printable(file)}:{group.line_numbers[0]}"
    return f"{place}, {times}{when_text(group)}, {kernel}" + (f", {_request(diagnosis)}" if _request(diagnosis) else "")


def _zones(zones: Sequence[ZoneReplay]) -> Table:
    table = plain_table("zone", "counted", "needs", "short by", "verdict, in pages")
    table.columns[4].justify = "left"
    for zone in zones:
        check = zone.check
        numbers = ("", "", "")
        if check is not None:
            short = str(check.short_pages) if check.short_pages else "-"
            numbers = (str(check.available_pages), str(check.required_pages), short)
        table.add_row(zone.name, *numbers, _verdict(zone, check))
    return table


def _verdict(zone: ZoneReplay, check: Check | None) -> Text:
    if is_empty(zone.dump):
        return Text("empty", style="dim")
    text = Text(_VERDICT[zone.verdict], style="green" if zone.verdict is Verdict.WOULD_PASS else "")
    if check is not None:
        mark = (
            f"; no mark, as {check.mark.removeprefix(NO_MARK)}" if check.mark.startswith(NO_MARK) else f": {check.mark}"
        )
        text.append(mark + (f", reserve {check.reserve_pages}" if check.reserve_pages else ""), style="dim")
        if zone.verdict is Verdict.WOULD_PASS and check.short_pages:
            text.append("; less than nothing counts as a large number here: it passes by mistake", style="dim")
        if check.loop_pages is not None and check.failed_order is not None:
            free, least = check.loop_pages
            lists = (block for block in zone.dump.free_blocks or () if block.order <= check.failed_order)
            small = sum((block.count or 0) << block.order for block in lists)
            what = f"pages in blocks below order {check.failed_order + 1}" if check.failed_order else "single pages"
            text.append(f"; without the {small} {what}: {free} against {least}", style="dim")
        elif zone.verdict is Verdict.NO_BLOCK and check.usable_order is not None:
            text.append(f"; largest usable order {check.usable_order}", style="dim")
    if zone.reason:
        text.append(f" ({zone.reason})", style="dim")
    return text
