"""What the logs say happened: one finding for each cause, and what of the logs does not count."""

from collections.abc import Sequence

from pagewarden.diagnose.context import within_reclaim
from pagewarden.diagnose.diagnosis import Harm
from pagewarden.diagnose.log_evidence import NO_ANSWER, Failure, LogEvidence, Rejected
from pagewarden.diagnose.types import Cause, Evidence, Finding, FindingCause, Severity
from pagewarden.units import counts_from_boot

_ORDER = list(Severity)
MOST_EVIDENCE = 6
"""Groups of reports that are listed for one cause; the others are counted."""


def by_boost(failure: Failure) -> bool:
    """Whether the request would have been served but for the boost of the marks, which this caller has to keep to.

    Not kills: reclaim had made no progress, and what the boost held back would only have put them off.
    """
    return failure.example.judgement.boosted_pages > 0 and failure.harm is not Harm.KILLED


def wants_larger_marks(failure: Failure) -> bool:
    """Whether marks answer a request below them: not where a boost alone decided, which would grow as well, nor to
    reclaim itself, which goes on without the page.
    """
    return not by_boost(failure) and not within_reclaim(failure.example.report)


def failure_findings(logs: LogEvidence | None) -> list[Finding]:
    """Say for each cause how often, who, and what it did; then what was left out and why."""
    if logs is None:
        return []
    causes = dict.fromkeys(failure.cause for failure in logs.failures)
    found = [_finding(cause, logs.of(cause)) for cause in causes]
    found += [_rejected(cause, logs.rejected) for cause in dict.fromkeys(entry.cause for entry in logs.rejected)]
    if logs.undated:
        text = f"{_reports(logs.undated)} without a date that could be read: of unknown age, and counted."
        found.append(Finding(FindingCause.EVIDENCE_OUTDATED, Severity.INFO, text))
    return found


def severity_of(failure: Failure) -> Severity:
    """How much reports of one kind matter: by what they did, and whether that was lately."""
    if failure.cause is Cause.MEMCG_LIMIT:
        return Severity.NOTICE  # the group's limit is somebody's choice
    if failure.harm is Harm.KILLED:
        return Severity.CRITICAL if failure.recent else Severity.WARNING
    if failure.cause in NO_ANSWER:  # there is nothing to do about it that is known; what failed is said louder
        return Severity.NOTICE if failure.harm is Harm.FAILED else Severity.INFO
    return {Harm.NONE: Severity.INFO, Harm.DEGRADED: Severity.NOTICE, Harm.FAILED: Severity.WARNING}[failure.harm]


def failure_evidence(failures: Sequence[Failure]) -> tuple[Evidence, ...]:
    """The groups of reports a finding rests on, most frequent first."""
    listed = sorted(failures, key=lambda failure: -failure.count)[:MOST_EVIDENCE]
    found = [Evidence(f"reports: {_what(failure)}", failure.count, _where(failure)) for failure in listed]
    rest = sum(failure.count for failure in failures) - sum(failure.count for failure in listed)
    if rest:
        found.append(Evidence("reports of other callers", rest, "the same logs"))
    held_back = sum(failure.held_back or 0 for failure in failures)
    if held_back:
        found.append(Evidence("messages the kernel held back beside them", held_back, "'callbacks suppressed' lines"))
    return tuple(found)


def _finding(cause: Cause, failures: Sequence[Failure]) -> Finding:
    count = sum(failure.count for failure in failures)
    worst = max(failures, key=lambda failure: (_ORDER.index(severity_of(failure)), failure.count))
    many = f"{count} reports" if count > 1 else "One report"
    when = ""
    if count > 1 and worst.first and worst.last:
        when = f" between {worst.first} and {_with_unit(worst.last)}"
    elif worst.first:
        when = f" {_with_unit(worst.first)}" if counts_from_boot(worst.first) else f" at {worst.first}"
    text = f"{many} in the kernel log{when} ({worst.source}). {worst.example.explanation}"
    if any(failure.not_replayed for failure in failures):
        left = sum(failure.not_replayed for failure in failures)
        text += f" {left} of them are so unlike each other that they were counted but not replayed."
    return Finding(cause, severity_of(worst), text, failure_evidence(failures))


def _what(failure: Failure) -> str:
    report, caller = failure.example.report, failure.example.caller
    words = [report.kind.value]
    if report.order is not None and failure.cause is not Cause.MEMCG_LIMIT:
        words.append(f"order {report.order}")
    if failure.example.replay.gfp_name:
        words.append(failure.example.replay.gfp_name)
    if caller.frame is not None:
        module = f" [{caller.frame.module}]" if caller.frame.module else ""
        words.append(f"by {caller.frame.function}{module}")
    return " ".join(words)


def _with_unit(stamp: str) -> str:
    return f"{stamp} s after boot" if counts_from_boot(stamp) else stamp


def _where(failure: Failure) -> str:
    if failure.first is None or failure.first == failure.last or failure.last is None:
        return failure.source + (f", {_with_unit(failure.first)}" if failure.first else "")
    return f"{failure.source}, {failure.first} to {_with_unit(failure.last)}"


def _rejected(cause: FindingCause, rejected: Sequence[Rejected]) -> Finding:
    entries = [entry for entry in rejected if entry.cause is cause]
    reasons = "; ".join(f"{_reports(entry.count)}: {entry.why}" for entry in entries[:3])
    left = len(entries) - 3
    more = f"; and {left} more reason{'s' if left > 1 else ''}" if left > 0 else ""
    what = "another machine's, or this one's under another kernel" if cause is FindingCause.LOG_MISMATCH else "outdated"
    text = f"Not used as evidence, because {what}: {reasons}{more}."
    evidence = tuple(Evidence(entry.why, entry.count, entry.source) for entry in entries[:MOST_EVIDENCE])
    return Finding(cause, Severity.INFO, text, evidence)


def _reports(count: int) -> str:
    return "1 report" if count == 1 else f"{count} reports"
