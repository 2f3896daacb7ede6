"""What children of the service do: decode reports, ask the adviser, read the configuration.

Arguments and answers are plain lists, tuples, numbers and texts, as marshal carries them. All imports of what is heavy
stand in the functions: this module is loaded by the service itself.
"""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pagewarden.daemon.log_lines import Block, signature_of
from pagewarden.daemon.types import Advices, Advised, Decoded, Meanwhile
from pagewarden.errors import PagewardenError
from pagewarden.history.types import ServiceState

MAX_TEXT = 900
EVIDENCE_CPU_SECONDS = 8.0
"""For reading reports again as evidence; less than what a child may compute in all."""
SEEN_LATE_SECONDS = 600.0
"""A report may have been in the log for this long before the service saw it: where memory is short it waits as well."""
_ADVICE_SETTLED = frozenset(
    {"below-kernel-default", "too-high", "stranded", "squeezed", "zone-reclaim-pointless", "zone-reclaim-harm"}
    | {"huge-page-reserve-large", "foreign-setting", "model-misfit", "stale-watermarks"}
)


def decode(blocks: tuple[Block, ...]) -> list[dict[str, Any]]:
    """Decode blocks of log lines; give one answer for each signature in them."""
    from dataclasses import replace

    from pagewarden.diagnose.explain import diagnose
    from pagewarden.klog.group import Grouper
    from pagewarden.klog.prefix import PrefixReader

    found: dict[str, dict[str, Any]] = {}
    for block in blocks:
        grouper = Grouper(hold_leading=False)
        prefixes = PrefixReader()
        lines = [
            replace(line, seconds=kept.seconds, prefixed=True)
            for number, kept in enumerate(block, 1)
            for line in prefixes.read_text(number, kept.text)
        ]
        reports = [report for line in lines for report in grouper.feed(line)]
        for report in (*reports, *grouper.finish()):
            signature = _signature(report, block)
            if signature is not None and (signature not in found or report.complete):
                found[signature] = _answer(diagnose(report), signature)
    return list(found.values())


def _signature(report: Any, block: Block) -> str | None:
    """The signature under which the report was counted: of its opening line, or of its kill where that is all."""
    from pagewarden.klog.types import ReportKind

    for line in block[report.line_number - 1 : report.line_number + 3]:
        signature = signature_of(line.text)
        if signature is not None:
            return signature
    if report.kind is ReportKind.MEMCG_OOM:
        return "kill in a memory cgroup"
    return "kill" if report.kind is ReportKind.OOM else None


def _answer(diagnosis: Any, signature: str) -> dict[str, Any]:
    from pagewarden.diagnose.diagnosis import Harm

    report, cause = diagnosis.report, diagnosis.judgement.cause.value
    frame = diagnosis.caller.frame
    caller = "" if frame is None else f"{frame.function} [{frame.module}]" if frame.module else frame.function
    name = caller.replace(" [", ":").removesuffix("]")  # no blanks: journalctl PAGEWARDEN_ID=... is typed
    first = diagnosis.remedies[0] if diagnosis.remedies else None
    killed = "warning" if cause == "memcg-limit" else "critical"
    severity = {Harm.KILLED: killed, Harm.FAILED: "warning"}.get(diagnosis.harm, "notice")
    details = {"KIND": report.kind.value, "HARM": diagnosis.harm.value, "ORDER": report.order, "COMM": report.comm}
    return {
        "signature": signature,
        "identity": f"{report.kind.value}/{cause}/{name or '-'}",
        "kind": report.kind.value,
        "cause": cause,
        "severity": severity,
        "text": diagnosis.explanation[:MAX_TEXT],
        "caller": caller,
        "key": next((remedy.key for remedy in diagnosis.remedies if remedy.key), "") or "",
        "advice": "" if first is None else _remedy(first)[:MAX_TEXT],
        "details": {field: str(value) for field, value in details.items() if value is not None},
    }


def _remedy(remedy: Any) -> str:
    value = f" ({remedy.key}={remedy.value})" if remedy.key and remedy.value else ""
    return f"{remedy.action}{value}: {remedy.why}"


def decoded_of(answer: list[dict[str, Any]]) -> tuple[Decoded, ...]:
    """Read what `decode` answered."""
    return tuple(Decoded(**entry) for entry in answer)


def self_test() -> list[str]:
    """Decode a report that is built in; give what is wrong, nothing where all is well."""
    from pagewarden.daemon.log_lines import KeptLine
    from pagewarden.daemon.sample_report import EXPECTED, LINES

    (answer,) = decode((tuple(KeptLine(text, 1.0) for text in LINES),)) or [{}]
    return [f"{name} is {answer.get(name)!r}" for name, value in EXPECTED.items() if answer.get(name) != value]


def read_all(root: str) -> list[str]:
    """Read the machine whole and fit the model; give what stands in the way of any answer."""
    from pagewarden.kernel.machine import machine_of
    from pagewarden.procfs.snapshot import read_snapshot

    snapshot = read_snapshot(root, page_types=False)
    return [] if machine_of(snapshot).zones else [snapshot.absent.get("/proc/zoneinfo", "no zones")]


@dataclass(frozen=True, slots=True)
class Question:
    """What the adviser is asked.

    :ivar advise: the section [advise] of the configuration; `apply` the section [apply].
    :ivar since: identity of an open finding -> seconds since 1970 at which it was first seen.
    :ivar reports_since: when the oldest report that counts was seen; None where there is none to read.
    :ivar journal: the directory with the kernel's log, instead of this machine's own.
    :ivar meanwhile: what the counters tell of the last minute or two; None while that is not known.
    :ivar run_folder: where the plan is left; None: nowhere.
    """

    root: str
    advise: Mapping[str, Any]
    apply: Mapping[str, Any]
    since: Mapping[str, float]
    run_folder: str | None
    boot_id: str
    wall_seconds: float
    reports_since: float | None = None
    journal: str | None = None
    meanwhile: Meanwhile | None = None


def advise(question: Question) -> dict[str, Any]:
    """Read the machine whole, fit the model, ask the adviser, leave the plan.

    :return: `trouble` in it says why there is no plan where there could be one; "" where all is well.
    """
    from datetime import UTC, datetime

    from pagewarden.daemon.planning import make_plan, watched
    from pagewarden.kernel.machine import machine_of
    from pagewarden.procfs.snapshot import read_snapshot

    snapshot = read_snapshot(question.root, page_types=False)
    machine = machine_of(snapshot)
    advice = ask_adviser(question, snapshot, machine)
    now = datetime.fromtimestamp(question.wall_seconds, UTC)
    plan, trouble = make_plan(question, advice.recommendations, snapshot, now)
    return {
        "found": [*_recommended(advice), *_findings(advice)],
        "plan": [f"{change.key}: {change.current} -> {change.value}" for change in plan],
        "recommended": [
            (one.key, str(one.cause), one.risk.value, one.confidence.value) for one in advice.recommendations
        ],
        "probation": watched(question.root, now),
        "trouble": trouble,
    }


def ask_adviser(question: Question, snapshot: Any, machine: Any) -> Any:
    """Ask for advice: the one place that knows how the adviser is called."""
    from pagewarden.advise.advice import advise as adviser
    from pagewarden.advise.observed import Observed
    from pagewarden.advise.policy import AdvicePolicy, Workload

    chosen = question.advise
    policy = AdvicePolicy(
        workload=Workload(chosen["workload"]),
        burst_margin=chosen["burst_margin"],
        evidence_days=chosen["evidence_days"],
        declined=tuple(chosen["declined"]),
    )
    logs = log_evidence(question, snapshot, machine, policy)
    return adviser(snapshot, machine, policy, Observed(logs=logs, interval=_interval(question.meanwhile)))


def _interval(counted: Meanwhile | None) -> Any:
    from pagewarden.diagnose.interval import Interval

    if counted is None:
        return None
    return Interval(
        counted.seconds, counted.counts, some_percent=counted.some_percent, full_percent=counted.full_percent
    )


def log_evidence(question: Question, snapshot: Any, machine: Any, policy: Any) -> Any:
    """Give the adviser the reports that were seen; of a flood as many as can be decoded in a few seconds."""
    if question.reports_since is None:
        return None
    from datetime import UTC, datetime, timedelta

    from pagewarden.diagnose.log_evidence import Here, gather_evidence
    from pagewarden.klog.journal import read_journal

    now = datetime.fromtimestamp(question.wall_seconds, UTC)
    first = datetime.fromtimestamp(question.reports_since - SEEN_LATE_SECONDS, UTC)
    since = max(first, now - timedelta(days=policy.evidence_days))
    reports = read_journal(since, directory=question.journal)
    return gather_evidence(_for_a_while(reports), Here(snapshot, machine, now, policy.evidence_days))


def _for_a_while(reports: Iterable[Any]) -> Iterator[tuple[str, Any]]:
    began = time.process_time()
    for report in reports:
        yield "journal", report
        if time.process_time() - began > EVIDENCE_CPU_SECONDS:
            return


def _recommended(advice: Any) -> list[dict[str, Any]]:
    return [
        {
            "identity": f"{one.cause}/{one.key}",
            "cause": str(one.cause),
            "severity": "notice",
            "text": f"{one.key}: {one.current} -> {one.recommended}. {one.reason}"[:MAX_TEXT],
            "key": one.key,
            "mark": one.recommended,
            "settled": one.cause in _ADVICE_SETTLED,
            "details": {"CURRENT": one.current, "RECOMMENDED": one.recommended, "RISK": one.risk.value},
        }
        for one in advice.recommendations
    ]


def _findings(advice: Any) -> list[dict[str, Any]]:
    """The findings, one of each cause: the worst; those that a recommendation answers are its reason already."""
    answered = {one.cause for one in advice.recommendations}
    found: dict[str, dict[str, Any]] = {}
    for finding in advice.findings:
        if finding.cause in answered or finding.cause in found:
            continue
        found[finding.cause] = {
            "identity": str(finding.cause),
            "cause": str(finding.cause),
            "severity": finding.severity.value,
            "text": finding.text[:MAX_TEXT],
            "settled": finding.cause in _ADVICE_SETTLED,
        }
    return list(found.values())


def advices_of(answer: dict[str, Any]) -> Advices:
    """Read what `advise` answered."""
    return Advices(
        tuple(Advised(**entry) for entry in answer["found"]),
        tuple(answer["plan"]),
        tuple(answer["recommended"]),
        tuple(answer["probation"]),
    )


def write_metrics(
    root: str,
    target: str,
    history: str | None,
    state: ServiceState,
    recommendations: Sequence[tuple[str, str, str, str]],
) -> None:
    """Replace the file for node_exporter's textfile collector.

    :param history: the service's database; None where it keeps none.
    :raises PagewardenError: prometheus_client is missing, or the file or the machine cannot be read or written.
    """
    from pagewarden.diagnose.settings import settings_of
    from pagewarden.history.read import report_totals
    from pagewarden.kernel.machine import machine_of
    from pagewarden.procfs.snapshot import read_snapshot
    from pagewarden.report.output_file import write_output

    try:
        from pagewarden.report.metrics import Facts, metrics_text
    except ModuleNotFoundError as error:
        raise PagewardenError(f"{target}: the Python package {error.name} is missing") from None
    snapshot = read_snapshot(root, page_types=False)
    machine = machine_of(snapshot)
    text = metrics_text(
        Facts(
            snapshot=snapshot,
            machine=machine,
            settings=settings_of(snapshot, machine),
            recommendations=recommendations,
            findings=[(finding.cause, finding.severity) for finding in state.findings],
            state=state,
            report_totals=None if history is None else report_totals(history),
        )
    )
    write_output(target, text, mode=0o644)  # node_exporter's user reads it


def read_config(root: str) -> list[tuple[str, str, Any]]:
    """Read and check the configuration: section, name, value of each setting.

    :raises ConfigError: it is wrong.
    """
    from dataclasses import asdict

    from pagewarden.config.load import read_config as read
    from pagewarden.procfs.roots import open_root

    values = asdict(read(open_root(root)).config)
    return [(section, name, value) for section, settings in values.items() for name, value in settings.items()]
