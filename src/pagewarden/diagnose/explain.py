"""One report, explained: cause, harm and remedies, and a paragraph an administrator can forward."""

from collections.abc import Iterator

from pagewarden.diagnose.callers import Caller, Work, identify_caller, plain_function
from pagewarden.diagnose.context import within_reclaim
from pagewarden.diagnose.diagnosis import Diagnosis, Harm, Judgement
from pagewarden.diagnose.holders import holder_sentences, holders_of, huge_page_sentences, task_sentences
from pagewarden.diagnose.judge import judge
from pagewarden.diagnose.known_fixes import known_fixes
from pagewarden.diagnose.min_free import (
    MinFreeAtReport,
    min_free_at_report,
    smallest_passing,
)
from pagewarden.diagnose.remedies import Case, blocks_unknown, falls_back, harm_of, remedies_for
from pagewarden.diagnose.replay import Replay, replay
from pagewarden.diagnose.rights import has_discount
from pagewarden.diagnose.types import Cause
from pagewarden.diagnose.waiting import COSTLY_ORDER
from pagewarden.kernel.gfp import GfpFlags
from pagewarden.kernel.min_free import set_recommended_min_free_kbytes
from pagewarden.klog.types import Report, ReportKind
from pagewarden.units import human_bytes, kb_to_pages

_WORK = {
    Work.SOCKET_CLONE: "setting up a TCP connection that came in from the network",
    Work.NETWORK_RECEIVE: "receiving from the network",
    Work.NETWORK_TRANSMIT: "sending to the network",
    Work.HUGE_PAGE: "getting a huge page",
    Work.FORK: "starting a process",
    Work.USB: "handling a USB request",
    Work.NETWORK_FS: "working on a network file system",
    Work.FILE_SYSTEM: "working in a file system",
    Work.PAGE_FAULT: "handling a page fault",
    Work.PAGE_CACHE: "reading into the page cache",
    Work.MODULE_LOAD: "loading a module",
}

_NOTHING_LEFT = frozenset({Cause.RECOVERED, Cause.MEMORY_EXHAUSTED, Cause.RECLAIM_TOO_SLOW})
_NEEDS_VALUE = frozenset({Cause.ATOMIC_RESERVE_EXHAUSTED, Cause.RECLAIM_TOO_SLOW})


def diagnose(report: Report, kernel: str | None = None) -> Diagnosis:
    """Explain one report.

    :param kernel: a release the user named; it wins over what the log says.
    """
    replayed = replay(report, kernel)
    caller = identify_caller(report)
    judgement = judge(report, replayed)
    setting = min_free_at_report(report, replayed)
    passed = smallest_passing(replayed, setting) if setting and _needs_value(report, judgement) else None
    fixes = known_fixes(report, replayed.version if replayed.known else None)
    harm = harm_of(report, judgement, caller)
    case = Case(report, replayed, caller, setting, passed, judgement.boosted_pages > 0)
    return Diagnosis(
        report=report,
        replay=replayed,
        caller=caller,
        judgement=judgement,
        harm=harm,
        remedies=remedies_for(case, judgement, fixes),
        fixes=tuple(fixes),
        explanation=" ".join(_sentences(case, judgement, harm)),
    )


def _needs_value(report: Report, judgement: Judgement) -> bool:
    elsewhere = judgement.boosted_pages or judgement.unwritten or within_reclaim(report)
    return judgement.cause in _NEEDS_VALUE and not elsewhere


def _sentences(case: Case, judgement: Judgement, harm: Harm) -> list[str]:
    report, replayed = case.report, case.replay
    found = [_request(report, replayed, case.caller), *judgement.because]
    if judgement.inferred:
        found.append("This is inferred: the report does not print all that decides.")
    found += _uncertainty(replayed)
    found += _setting(case, judgement)
    found += _held(report, judgement)
    found += _related(report)
    found += _consequence(case, judgement, harm)
    return [sentence for sentence in found if sentence]


def _request(report: Report, replayed: Replay, caller: Caller) -> str:
    if report.kind is ReportKind.UNRECOGNISED:
        return "This looks like a memory report, but its format is not known here."
    if report.kind is ReportKind.MEMORY_DUMP:
        return ""
    who = plain_function(caller.frame.function) if caller.frame else None
    module = f" [{caller.frame.module}]" if caller.frame and caller.frame.module else ""
    doing = _WORK.get(caller.work)
    if doing and caller.driver and not module:
        doing += f" ({caller.driver})"
    named = f"; the task running was {report.comm}, which says where it happened, not why" if report.comm else ""
    subject = f"{who}{module}" if who else "The kernel"
    work = f", {doing}," if doing else ""
    if report.order is not None and report.order < 0:
        return ""
    if report.kind is ReportKind.OOM and report.gfp_mask == 0:
        return f"{subject}{work} was told that memory had run out; what was asked for before is not printed{named}."
    return f"{subject}{work} asked for {_size(report, replayed)} {_manner(report, replayed.flags)}{named}."


def _size(report: Report, replayed: Replay) -> str:
    # Beside an order, the bytes of a vmalloc report are those that it got before it failed.
    if report.request_bytes is not None and not falls_back(report):
        return human_bytes(report.request_bytes)
    if report.order is None or report.order < 0:
        return "memory (the order is not printed)"
    if report.order == 0:
        return "one page"
    pages = 1 << report.order
    return f"{pages} contiguous pages (order {report.order}, {human_bytes(pages * replayed.page_size)})"


def _manner(report: Report, flags: GfpFlags | None) -> str:
    if flags is None:
        return "in a way that is not printed"
    if within_reclaim(report):
        return "from within reclaim"
    if flags.can_direct_reclaim:
        return "and could wait for reclaim"
    return "in a context that cannot wait" + (", with access to part of the reserve" if flags.high else "")


def _uncertainty(replayed: Replay) -> list[str]:
    if replayed.known or not replayed.zones or replayed.version is None:
        return []
    first, last = replayed.candidates[0], replayed.candidates[-1]
    if replayed.disagreement:
        return [f"The kernel release is not in the log: {replayed.disagreement}; name it with --kernel."]
    return [f"The kernel release is not in the log; the rules of {first} to {last} all say the same."]


def _setting(case: Case, judgement: Judgement) -> list[str]:
    setting, passed, replayed = case.setting, case.passed, case.replay
    wanted = _needs_value(case.report, judgement)
    if setting is None or judgement.cause is Cause.ADDRESS_SPACE:
        return []
    if setting.value_kb == 0:
        return ["All marks were 0: the kernel had not set them up yet."]
    found = []
    per_zone = len(setting.zones)
    slack = per_zone * setting.page_size // 1024
    if 0 <= setting.formula_kb - setting.value_kb < slack:
        found.append(
            f"The marks follow from vm.min_free_kbytes={setting.formula_kb}, which is just what the kernel's own "
            "formula "
            f"gives for {human_bytes(setting.lowmem_kb * 1024)} of low memory."
        )
        found += _huge_page_value(setting, replayed)
    else:
        found.append(f"The marks follow from vm.min_free_kbytes of about {setting.value_kb}.")
    cannot_wait = replayed.flags is not None and not replayed.flags.can_direct_reclaim
    if passed is not None and cannot_wait and has_discount(replayed):
        found.append(f"By this model the request would have passed with {passed.value_kb}, in {passed.zone}.")
    elif (
        passed is None and judgement.cause is Cause.ATOMIC_RESERVE_EXHAUSTED and wanted and not blocks_unknown(replayed)
    ):
        found.append("No value within 5 % of low memory would have let it pass.")
    return found


def _held(report: Report, judgement: Judgement) -> Iterator[str]:
    if report.kind is ReportKind.MEMCG_OOM:
        yield from task_sentences(holders_of(report))
    if report.kind is ReportKind.OOM:
        held = holders_of(report)
        if judgement.cause in _NOTHING_LEFT:
            yield from holder_sentences(held)
        yield from huge_page_sentences(held)


X86_PAGEBLOCK_PAGES = 512
"""A page block of x86-64 (and x86 with PAE): 2 MiB."""


def _huge_page_value(setting: MinFreeAtReport, replayed: Replay) -> list[str]:
    # The value people find on such machines and take for a mystery. Only where the zones tell an x86-64.
    rules = setting.rules.min_free
    if not rules.huge_pages or setting.page_size != 4096 or all(zone.name != "DMA32" for zone in setting.zones):
        return []
    lowmem = kb_to_pages(setting.lowmem_kb, setting.page_size)
    huge = set_recommended_min_free_kbytes(setting.zones, lowmem, X86_PAGEBLOCK_PAGES, setting.page_size, rules)
    if huge.recommended_kb != huge.wanted_kb or huge.wanted_kb <= setting.formula_kb:
        return []
    nodes = len({zone.node for zone in setting.zones})
    where = f"{huge.zone_count} zones on {nodes} node{'s' if nodes != 1 else ''}"
    return [f"With transparent huge pages on, the kernel would have taken {huge.wanted_kb} ({where})."]


def _related(report: Report) -> list[str]:
    if not report.related_lines:
        return []
    lines = ", ".join(map(str, report.related_lines[:5]))
    return [f"The report at line {lines} asked with the same mask shortly before: they belong together."]


def _consequence(case: Case, judgement: Judgement, harm: Harm) -> list[str]:
    report = case.report
    if harm is Harm.KILLED:
        return [_killed(report, judgement)]
    if judgement.cause is Cause.RECOVERED:
        return [
            "By the time the report was written the shortage was over: once is nothing to act on, and repeated ones "
            "'pagewarden advise' weighs."
        ]
    if harm is Harm.DEGRADED and case.caller.work is Work.NETWORK_RECEIVE:
        return ["The driver drops the packet and tries again; this is no outage unless it repeats by the thousand."]
    if harm is Harm.DEGRADED and case.caller.work is Work.SOCKET_CLONE:
        return ["The other side asks for the connection again; this is no outage unless it repeats by the thousand."]
    if harm is Harm.DEGRADED and case.caller.work is Work.HUGE_PAGE:
        return ["Small pages are used instead; nothing is lost but speed."]
    if report.kind is ReportKind.ALLOCATION_STALL and report.stall_ms is not None:
        return [f"It had waited for {report.stall_ms / 1000:.1f} s by then, and went on waiting."]
    if report.kind is ReportKind.DEADLOCK_WARNING:
        return ["The file system tries again until it succeeds; what waits for it hangs meanwhile."]
    if falls_back(report):
        return ["The kernel then takes small pages for this mapping; nothing is lost but speed."]
    order, flags = report.order, case.replay.flags
    waited = flags is not None and flags.can_direct_reclaim
    if report.kind is ReportKind.PAGE_ALLOCATION_FAILURE and waited and order is not None and order > COSTLY_ORDER:
        return [
            f"Nobody was killed for it: order {order} is above the limit ({COSTLY_ORDER}) up to which the kernel would."
        ]
    return []


def _killed(report: Report, judgement: Judgement) -> str:
    victim = report.victim
    if report.panicked:
        return "The kernel panicked instead of killing a process."
    if victim is None and report.none_killable:
        return "No process was left that the kernel may kill."
    if victim is None:
        return "Which process was killed is not in the log."
    name = f"{victim.comm} (process {victim.pid})" if victim.comm else f"Process {victim.pid}"
    if judgement.cause is Cause.FRAGMENTED:
        return (
            f"{name} was killed, a bystander: memory was not short, and a kill seldom frees pages that are neighbours."
        )
    bystander = report.comm is not None and victim.comm is not None and report.comm != victim.comm
    return f"{name} was killed" + (", not the task that asked." if bystander else ".")
