"""`pagewarden advise` for people."""

from collections.abc import Iterator, Mapping

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from pagewarden.advise.types import Advice, Recommendation
from pagewarden.apply.policy import Policy, Verdict
from pagewarden.diagnose.log_evidence import LogEvidence
from pagewarden.diagnose.types import Evidence, Finding, Severity
from pagewarden.report.simulation import render_effect
from pagewarden.report.words import hanging, log_name

_STYLE = {
    Severity.INFO: "dim",
    Severity.NOTICE: "yellow",
    Severity.WARNING: "bold yellow",
    Severity.CRITICAL: "bold red",
}


def render_advice(
    advice: Advice, logs: LogEvidence | None = None, *, steps: bool = False, pages: str = ""
) -> Iterator[RenderableType]:
    """Lay out the advice: what to change first, then what was found, then that nothing was where nothing was.

    :param logs: what the logs said, where any were read.
    :param steps: with the arithmetic of each recommendation.
    :param pages: the folder in which the pages lie that are referred to; empty for the one of a checkout.
    """
    name = advice.host or "this machine"
    kernel = "release not known" if advice.kernel == "unknown" else advice.kernel
    if advice.recommendations:
        count = len(advice.recommendations)
        yield Text(f"{count} change{'s' if count > 1 else ''} recommended for {name} (Linux {kernel})", style="bold")
    elif advice.quiet and not advice.not_judged:
        yield Text(f"Nothing to change on {name} (Linux {kernel}).", style="bold green")
    elif advice.quiet:
        yield Text(f"Nothing to change on {name} (Linux {kernel}) as far as it could be judged.", style="bold")
    else:
        yield Text(f"No change is recommended for {name} (Linux {kernel}).", style="bold")
    yield from _unseen(advice)
    yield from _logs_read(logs)
    for key, why in advice.not_judged:
        yield Padding(Text(f"not judged: {key} ({why})", style="yellow"), (0, 0, 0, 2))
    severities = {finding.cause: finding.severity for finding in advice.findings}
    for number, recommendation in enumerate(advice.recommendations, 1):
        yield ""
        yield from _recommendation(number, recommendation, severities[recommendation.cause], steps=steps, pages=pages)
    explained = {recommendation.cause for recommendation in advice.recommendations}
    others = [finding for finding in advice.findings if finding.cause not in explained]
    if others:
        yield ""
        yield Text("Also seen", style="bold")
    for finding in others:
        yield _finding(finding)
    for identifier in advice.declined:
        yield Text(f"Declined by you, and not repeated: {identifier}", style="dim")


def render_unattended(verdicts: Mapping[str, Verdict], policy: Policy) -> Iterator[RenderableType]:
    """Say of each setting whether it would be changed without a person, and if not, why."""
    if verdicts:
        yield ""
        yield Text("Without a person (where pagewarden-apply.path is enabled)", style="bold")
    for key, verdict in verdicts.items():
        if verdict.allowed:
            yield Padding(
                Text(f"{key}: would be applied, and watched for {policy.probation_minutes} minutes"), (0, 0, 0, 2)
            )
        else:
            yield Padding(Text(f"{key}: would not be applied:"), (0, 0, 0, 2))
            yield from (Padding(Text(f"- {reason}", style="dim"), (0, 0, 0, 4)) for reason in verdict.reasons)


_LOOK = {
    "logs": "the kernel's log (--journal, or --logs FILE)",
    "counters": "how often tasks wait for memory (--watch 10m, or --later)",
}


def _unseen(advice: Advice) -> Iterator[RenderableType]:
    """Say what evidence was not looked at, where nothing was found without it."""
    if advice.unseen and not advice.recommendations:
        what = ", nor at ".join(_LOOK[name] for name in advice.unseen)
        yield Padding(Text(f"Not looked at {what}.", style="dim"), (0, 0, 0, 2))


def _logs_read(logs: LogEvidence | None) -> Iterator[RenderableType]:
    """Say what was read where no report was in it; a log without a line is something else, and told apart."""
    if logs is None:
        return
    some = [log for log in logs.read if log.lines]
    none = [log_name(log.name) for log in logs.read if not log.lines]
    if some and not logs.failures and not logs.rejected:
        lines, names = sum(log.lines or 0 for log in some), _few([log_name(log.name) for log in some])
        text = f"Read {lines} line{'s' if lines > 1 else ''} of {names}: no report of memory in them."
        yield Padding(Text(text, style="dim"), (0, 0, 0, 2))
    if none:
        yield Padding(Text(f"No line was read in {_few(none)}: empty.", style="yellow"), (0, 0, 0, 2))


def _few(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _recommendation(
    number: int, recommendation: Recommendation, severity: Severity, *, steps: bool, pages: str
) -> Iterator[RenderableType]:
    title = Text(
        f"{number}. {recommendation.key}: {recommendation.current} -> {recommendation.recommended}", style="bold"
    )
    yield title + Text(f"  {severity.value}: {recommendation.cause}", style=_STYLE[severity])
    parts: list[RenderableType] = [Text(recommendation.reason), ""]
    parts += [_evidence(entry) for entry in recommendation.evidence]
    if steps and recommendation.steps:
        parts += ["", Text("The arithmetic:")]
        parts += [hanging(f"{index}.", Text(step)) for index, step in enumerate(recommendation.steps, 1)]
    parts += ["", hanging("Wrong if:", Text(recommendation.against))]
    parts += [hanging("Worse:   ", Text(recommendation.worse))] if recommendation.worse else []
    parts += [Text(f"Risk {recommendation.risk}, confidence {recommendation.confidence}."), ""]
    if recommendation.effect is not None:
        parts += [*render_effect(recommendation.effect.simulation, recommendation.effect.projection), ""]
    parts += _commands(recommendation, pages)
    yield Padding(Group(*parts), (0, 0, 0, 3))


def _commands(recommendation: Recommendation, pages: str) -> list[RenderableType]:
    rows = [
        *(("Try:", command) for command in recommendation.commands),
        *(("Undo:", command) for command in recommendation.undo),
        ("Keep:", recommendation.keep),
        ("More:", f"{pages}/{recommendation.reference}" if pages else recommendation.reference),
        ("Name:", recommendation.identifier),
    ]
    return [hanging(f"{label:5}", Text(text)) for label, text in rows if text]


def _evidence(entry: Evidence) -> RenderableType:
    return hanging("-", Text(f"{entry.what}: {entry.value}  ({entry.source})"), style="dim")


def _finding(finding: Finding) -> RenderableType:
    head = Text(f"{finding.severity.value}: ", style=_STYLE[finding.severity])
    return Padding(head + Text(f"{finding.cause}. {finding.text}"), (0, 0, 0, 2))
