"""What an administrator wants to know of a report first: what happened to whom, what to do, and when it was."""

from pagewarden.diagnose.callers import plain_function
from pagewarden.diagnose.diagnosis import Diagnosis, Harm, Remedy
from pagewarden.diagnose.holders import memory_kb
from pagewarden.diagnose.types import Cause
from pagewarden.klog.types import NONE_KILLABLE, Report, ReportGroup, ReportKind, Victim
from pagewarden.report.words import duration_text, printable
from pagewarden.units import counts_from_boot, human_bytes

PANIC = "the kernel panicked"
NOT_NAMED = "the log does not say who was killed"
MAX_NAMED = 3

_HARM = {
    Harm.NONE: ("no harm", "green"),
    Harm.DEGRADED: ("degraded, not an outage", "yellow"),
    Harm.FAILED: ("the request failed", "bold yellow"),
    Harm.KILLED: ("a process was killed", "bold red"),
}


def harm_text(group: ReportGroup, diagnosis: Diagnosis) -> tuple[str, str]:
    """What the failure did and to whom, and the style of it."""
    report = diagnosis.report
    _, style = _HARM[diagnosis.harm]
    if report.panicked:
        return PANIC, "bold red"
    if report.none_killable and not report.victims:
        return NONE_KILLABLE, "bold red"
    if report.kind in (ReportKind.MEMORY_DUMP, ReportKind.UNRECOGNISED):
        return "harm not known", "dim"
    if diagnosis.harm is Harm.KILLED:
        return _kills_text(group, report), style
    frame = diagnosis.caller.frame
    if diagnosis.harm is Harm.FAILED and frame is not None:
        module = f" [{frame.module}]" if frame.module else ""
        return f"failed for {printable(plain_function(frame.function) + module)}", style
    return _HARM[diagnosis.harm]


def _kills_text(group: ReportGroup, report: Report) -> str:
    names = [
        f"{victim_name(victim)} (process {victim.pid})" if victim.comm else victim_name(victim)
        for victim in report.victims
    ]
    who = names_text(names, len(names)) if names else ""
    if len(names) == 1:
        who += _held(report, report.victims[0])
    if group.count > 1:  # told by one example: who was killed the other times is not kept
        return f"{group.count} kills (--all shows each)" + (f", one of {who}" if who else "")
    return f"killed {who}" if who else NOT_NAMED


def victim_name(victim: Victim) -> str:
    """The name of a process that was killed; its number where there is no name."""
    return printable(victim.comm) if victim.comm else f"process {victim.pid}"


def names_text(names: list[str], count: int) -> str:
    """The first few names, and how many more there are of `count`."""
    shown = names[:MAX_NAMED]
    more = count - len(shown)
    if more:
        return f"{', '.join(shown)} and {more} more"
    return " and ".join(part for part in (", ".join(shown[:-1]), shown[-1]) if part)


def _held(report: Report, victim: Victim) -> str:
    """How much memory the process had, and of how much: of the group's limit where that was what it reached."""
    printed = (victim.anon_rss_kb, victim.file_rss_kb, victim.shmem_rss_kb)
    known = [part for part in printed if part is not None]
    held_kb = sum(known) if known else _in_table_kb(report, victim)
    if not held_kb:
        return ""
    of = ""
    if report.kind is ReportKind.MEMCG_OOM:
        limit_kb = _limit_kb(report)
        if limit_kb is not None and held_kb <= limit_kb:
            of = f" of the group's {human_bytes(limit_kb * 1024)}"
    else:
        total_kb = memory_kb(report)
        if total_kb is not None and held_kb <= total_kb:
            of = f" of {human_bytes(total_kb * 1024)}"
    return f", which had {human_bytes(held_kb * 1024)}{of}"


def _in_table_kb(report: Report, victim: Victim) -> int | None:
    pages = next((task.rss_pages for task in report.largest_tasks if task.pid == victim.pid), None)
    return None if pages is None else pages * ((report.page_size or 4096) // 1024)


def _limit_kb(report: Report) -> int | None:
    counters = report.memcg.counters if report.memcg else ()
    limits = (counter.limit_kb for counter in counters if counter.name == "memory" and counter.has_limit)
    return next(limits, None)


def action_text(group: ReportGroup, diagnosis: Diagnosis) -> tuple[str, str]:
    """What to do first, without the reason: ("Do:", "use less memory"); or why there is nothing: ("", "No ...")."""
    remedies = diagnosis.remedies
    if not remedies:
        return "", _nothing(group, diagnosis)
    first = next((remedy for remedy in remedies if not remedy.against), None)
    if first is None:
        action = remedies[0].action
        return "", f"{action[:1].upper()}{action[1:]}."
    least = f" to {first.value} or more" if first.value and first.action == f"raise {first.key}" else ""
    return "Do:", printable(first.action + (least or setting_text(first)))


def _nothing(group: ReportGroup, diagnosis: Diagnosis) -> str:
    if diagnosis.judgement.cause is Cause.INCOMPLETE:
        return "No advice: the report lacks what a verdict needs."
    if diagnosis.judgement.cause is Cause.RECOVERED:
        if group.count == 1:
            return "Nothing to do unless it repeats."
        return "No remedy is known: the shortage was over when it was reported."
    return "No remedy is known."


def setting_text(remedy: Remedy) -> str:
    """The setting behind an action that does not name it, in brackets."""
    if remedy.key and remedy.value:
        return f" ({remedy.key}={remedy.value})"
    if remedy.key and remedy.key.startswith("vm.") and remedy.key not in remedy.action:
        return f" ({remedy.key})"
    return ""


def when_text(group: ReportGroup) -> str:
    """When it was: stamps as the log has them, so that they can be searched for; seconds since boot also in words."""
    first, last = group.first_timestamp, group.last_timestamp
    if first is None:
        return "no time given"
    stamps = [first] if group.count == 1 or last is None or last == first else [first, last]
    since_boot = group.example.seconds is not None and all(map(counts_from_boot, stamps))
    if not since_boot:
        return " to ".join(map(printable, stamps))
    if all(float(stamp) < 60 for stamp in stamps):
        return f"{' to '.join(stamps)} s after boot"
    words = dict.fromkeys(duration_text(float(stamp)) for stamp in stamps)
    return f"{' to '.join(words)} after boot ({' to '.join(stamps)})"
