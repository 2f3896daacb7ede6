"""Scenarios: what an administrator has, and what the advice must and must not say (tests/scenarios/README.md)."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path
from typing import Any

from rich.console import Console
from tests.machines import applied
from tests.scenario_log import write_log
from tests.scenario_machine import make_machine, refuse_unknown, time_taken

from pagewarden.advise.advice import advise
from pagewarden.advise.observed import Observed, ZoneTrend
from pagewarden.advise.policy import AdvicePolicy, Workload
from pagewarden.advise.types import Advice, Recommendation
from pagewarden.diagnose.interval import Interval, interval_between
from pagewarden.diagnose.log_evidence import Here, LogEvidence, gather_evidence
from pagewarden.diagnose.trend import fit_trend
from pagewarden.diagnose.types import Severity
from pagewarden.kernel.machine import machine_of
from pagewarden.kernel.simulate import Write, simulate
from pagewarden.klog.sources import reports_in
from pagewarden.klog.types import Report
from pagewarden.procfs.types import Pressure, PressureLine, Snapshot
from pagewarden.report.advice import render_advice

SCENARIOS = Path(__file__).parent / "scenarios"
LOGS = Path(__file__).parent / "data" / "scenario-logs"
KEYS = frozenset({"about", "machine", "counters", "reports", "log", "watched", "workload", "policy", "expect"})
COUNTER_KEYS = frozenset({"seconds", "given_seconds", "grew", "fell", "waited_percent", "rebooted", "before"})
EXPECT_KEYS = frozenset(
    {"quiet", "findings", "absent", "recommend", "forbid", "says", "declined", "withheld"} | {"confidence", "risk"}
)
ORDER = list(Severity)
RANGE = re.compile(r"(\d+)?\.\.(\d+)?")


@dataclass(frozen=True, slots=True)
class Scenario:
    """One file."""

    name: str
    table: Mapping[str, Any]

    @property
    def expect(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.table["expect"]
        return found


def load(path: Path) -> Scenario:
    """Read one file.

    :raises ValueError: a key that the format does not have.
    """
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    refuse_unknown(table, KEYS, path.name)
    refuse_unknown(table["expect"], EXPECT_KEYS, f"{path.name} [expect]")
    refuse_unknown(table.get("counters", {}), COUNTER_KEYS, f"{path.name} [counters]")
    return Scenario(path.stem, table)


def snapshot_of(scenario: Scenario) -> Snapshot:
    """The machine as it is now."""
    return make_machine(scenario.table["machine"])


def policy_of(scenario: Scenario) -> AdvicePolicy:
    """What its administrator decided."""
    given = scenario.table.get("policy", {})
    workload = Workload(scenario.table.get("workload", "general"))
    return AdvicePolicy(workload, **{k: tuple(v) if isinstance(v, list) else v for k, v in given.items()})


def observed_on(scenario: Scenario, now: Snapshot) -> Observed:
    """Logs, counters and trends, seen from the machine as it is now (or would be after a change)."""
    at_first = snapshot_of(scenario)
    return Observed(
        logs=_logs(scenario, at_first, now), interval=_interval(scenario, at_first, now), zones=_trends(scenario, now)
    )


def _logs(scenario: Scenario, at_first: Snapshot, now: Snapshot) -> LogEvidence | None:
    if "reports" not in scenario.table and "log" not in scenario.table:
        return None
    given = scenario.table.get("log", {})
    text = given.get("text", "")
    text += (LOGS / given["file"]).read_text(encoding="utf-8") if "file" in given else ""
    text += write_log(scenario.table.get("reports", ()), at_first)
    reports = list(reports_in(text.encode()))
    assert reports, f"{scenario.name}: the log holds no report"
    here = Here(now, machine_of(now), time_taken(now), policy_of(scenario).evidence_days)
    return gather_evidence(_many(reports, given.get("repeat", 1)), here)


def _many(reports: list[Report], repeat: int) -> Iterator[tuple[str, Report]]:
    for _ in range(repeat):
        for report in reports:
            yield "kern.log", report


def _interval(scenario: Scenario, at_first: Snapshot, now: Snapshot) -> Interval | None:
    counters = scenario.table.get("counters")
    if counters is None:
        return None
    seconds, grew = float(counters["seconds"]), counters.get("grew", {})
    fell = counters.get("fell", ())
    some, full = (counters.get("waited_percent", {}).get(word) for word in ("some", "full"))
    earlier = replace(
        at_first,
        uptime_seconds=5e6 if counters.get("rebooted") else (at_first.uptime_seconds or 0) - seconds,
        vmstat={**dict.fromkeys(grew, 1000), **dict.fromkeys(fell, 10**9)},
        sysctls={**at_first.sysctls, **counters.get("before", {})},
        pressure=None if some is None else _pressure(0, 0),
    )
    later = replace(
        now,
        vmstat={**{name: 1000 + count for name, count in grew.items()}, **dict.fromkeys(fell, 5)},
        pressure=None
        if some is None
        else _pressure(round(some * seconds * 10_000), round((full or 0) * seconds * 1e4)),
    )
    return interval_between(earlier, later, counters.get("given_seconds"))


def _pressure(some_us: int, full_us: int) -> Pressure:
    return Pressure(PressureLine(0, 0, 0, some_us), PressureLine(0, 0, 0, full_us))


def _trends(scenario: Scenario, now: Snapshot) -> tuple[ZoneTrend, ...]:
    """Straight lines, with every tenth sample far off."""
    found = []
    for entry in scenario.table.get("watched", ()):
        seconds, count = float(entry["seconds"]), 60

        def line(first: float, last: float, seconds: float = seconds, count: int = count) -> list[tuple[float, float]]:
            step = seconds / (count - 1)
            return [
                (i * step, (first + (last - first) * i / (count - 1)) * (3 if i % 10 == 5 else 1)) for i in range(count)
            ]

        free = fit_trend(line(*entry["free"])) if "free" in entry else None
        blocks = fit_trend(line(*entry["blocks"])) if "blocks" in entry else None
        found.append(ZoneTrend(entry.get("node", 0), entry["zone"], free, 3, blocks))
    return tuple(found)


def advice_of(scenario: Scenario, now: Snapshot | None = None) -> Advice:
    """What the program says."""
    snapshot = now or snapshot_of(scenario)
    return advise(snapshot, machine_of(snapshot), policy_of(scenario), observed_on(scenario, snapshot))


def followed(snapshot: Snapshot, recommendation: Recommendation) -> Snapshot:
    """The machine after the change, by the model."""
    simulation = simulate(machine_of(snapshot), [Write(recommendation.key, recommendation.recommended)])
    assert simulation.refusals == ()
    return applied(snapshot, simulation)


def complaints(scenario: Scenario, advice: Advice) -> list[str]:
    """What differs from what is expected, each as a sentence."""
    return [
        *_findings(scenario.expect, advice),
        *_recommendations(scenario.expect, advice),
        *_words(scenario.expect, advice),
        *_repeated(scenario, advice),
    ]


def _findings(expect: Mapping[str, Any], advice: Advice) -> Iterator[str]:
    wanted: Mapping[str, str] = expect.get("findings", {})
    for cause, least in wanted.items():
        found = [finding.severity for finding in advice.findings if finding.cause == cause]
        if not found:
            yield f"expected the finding '{cause}' ({least} at least); it was not made"
        elif ORDER.index(max(found, key=ORDER.index)) < ORDER.index(Severity(least)):
            yield f"expected '{cause}' to be {least} at least; it is {max(found, key=ORDER.index)}"
        elif least == "info" and max(found, key=ORDER.index) != "info":
            yield f"expected '{cause}' to be for information only; it is {max(found, key=ORDER.index)}"
    for finding in advice.findings:
        if finding.severity != "info" and finding.cause not in wanted:
            yield f"did not expect the finding '{finding.cause}' ({finding.severity})"
        if finding.cause in expect.get("absent", ()):
            yield f"did not expect the finding '{finding.cause}' at all"
    if expect.get("quiet") and not advice.quiet:
        yield "expected nothing to do and nothing above info; that is not so"


def _recommendations(expect: Mapping[str, Any], advice: Advice) -> Iterator[str]:
    wanted: Mapping[str, str] = expect.get("recommend", {})
    forbidden: Mapping[str, str] = expect.get("forbid", {})
    given = {recommendation.key: recommendation for recommendation in advice.recommendations}
    for key, value in wanted.items():
        if key not in given:
            yield f"expected {key} = {value} to be recommended; it was not"
        elif not _within(given[key].recommended, value):
            yield f"expected {key} = {value}; {given[key].recommended} is recommended"
    for key, recommendation in given.items():
        if key in forbidden:
            yield f"{key} = {recommendation.recommended} must not be recommended: {forbidden[key]}"
        elif key not in wanted:
            yield f"did not expect {key} = {recommendation.recommended} ({recommendation.cause}) to be recommended"
    for word in ("confidence", "risk"):
        for key, level in expect.get(word, {}).items():
            if key in given and getattr(given[key], word) != level:
                yield f"expected a {word} of {level} in {key}; it is {getattr(given[key], word)}"


def _within(value: str, wanted: str) -> bool:
    """`wanted`: "100..200", "100..", "..200", "*" for whatever, or the value itself."""
    match = RANGE.fullmatch(wanted)
    if match is None:
        return wanted in ("*", value)
    return value.isdigit() and int(match[1] or 0) <= int(value) and (match[2] is None or int(value) <= int(match[2]))


def _words(expect: Mapping[str, Any], advice: Advice) -> Iterator[str]:
    text = shown(advice)
    yield from (f"expected the answer to say '{words}'" for words in expect.get("says", ()) if words not in text)
    declined = list(expect.get("declined", ()))
    if list(advice.declined) != declined:
        yield f"expected declined: {declined}; it is {list(advice.declined)}"
    if bool(advice.withheld) != bool(expect.get("withheld", False)):
        yield f"expected recommendations {'to be withheld' if expect.get('withheld') else 'not to be withheld'}"


def _repeated(scenario: Scenario, advice: Advice) -> Iterator[str]:
    """After the change the same evidence must not ask for more of the same."""
    for recommendation in advice.recommendations:
        if not recommendation.key.startswith("vm."):
            continue
        again = advice_of(scenario, followed(snapshot_of(scenario), recommendation))
        for other in again.recommendations:
            if other.key == recommendation.key:
                yield (
                    f"after {recommendation.key} = {recommendation.recommended} the advice was followed, yet "
                    f"{other.recommended} is recommended next"
                )


def shown(advice: Advice, width: int = 10_000) -> str:
    """The answer as the program prints it, with the arithmetic."""
    output = Console(file=StringIO(), width=width, no_color=True)
    for part in render_advice(advice, steps=True):
        output.print(part)
    text = output.file.getvalue()  # type: ignore[attr-defined]
    return "\n".join(line.rstrip() for line in text.splitlines())
