"""Everything there is to say about one machine: each knob's module asked in turn, the result put in order."""

from collections.abc import Container, Mapping, Sequence
from dataclasses import replace

from pagewarden.advise.answered import without_answered
from pagewarden.advise.build import AGAINST_PERCENT
from pagewarden.advise.companions import advise_companions
from pagewarden.advise.failures import failure_findings
from pagewarden.advise.heading import trend_findings
from pagewarden.advise.lowmem_from_logs import advise_ratio_from_logs, short_device_zones
from pagewarden.advise.lowmem_reserve_ratio import advise_lowmem_reserve_ratio
from pagewarden.advise.min_free_kbytes import advise_min_free_kbytes
from pagewarden.advise.observed import NOTHING, Observed
from pagewarden.advise.policy import AdvicePolicy
from pagewarden.advise.types import Advice, Defaults, Recommendation
from pagewarden.advise.vfs_cache_pressure import advise_vfs_cache_pressure
from pagewarden.advise.watermark_scale_factor import MARKS, advise_watermark_scale_factor
from pagewarden.advise.watermarks import advise_watermarks
from pagewarden.advise.zone_reclaim_mode import advise_zone_reclaim_mode
from pagewarden.diagnose.settings import Setting, Writer, huge_pages_unknown, kernel_defaults, settings_of
from pagewarden.diagnose.types import Evidence, Finding, FindingCause, Severity
from pagewarden.kernel.defaults import default_min_free
from pagewarden.kernel.machine import MIN_FREE, RATIO, RECLAIM_MODE, Machine
from pagewarden.kernel.projection import usage_of
from pagewarden.kernel.watermarks import zone_size
from pagewarden.procfs.types import Snapshot

_ORDER = list(Severity)


def advise(
    snapshot: Snapshot, machine: Machine, policy: AdvicePolicy | None = None, observed: Observed = NOTHING
) -> Advice:
    """Advise on one machine: from one snapshot, and from what else was observed of it.

    Where the model does not reproduce what the kernel prints, or the files are of different instants, findings are
    still made but every recommendation is withheld.
    """
    policy = policy or AdvicePolicy()
    recommendations: list[Recommendation] = []
    findings: list[Finding] = failure_findings(observed.logs)
    ratio = _ratio(snapshot, machine, observed, policy)
    rest = without_answered(observed, machine, [r for r in ratio[0] if not is_declined(r, policy.declined)])
    for some, more in (
        advise_min_free_kbytes(snapshot, machine, rest, policy),
        advise_watermark_scale_factor(snapshot, machine, rest, policy),
        ratio,
        advise_zone_reclaim_mode(snapshot, machine, observed, policy),
        (advise_companions(snapshot, machine, rest, policy), []),
        advise_vfs_cache_pressure(snapshot, machine, observed),
        advise_watermarks(snapshot, machine),
    ):
        recommendations += some
        findings += more
    findings += _exhausted(snapshot, machine)
    findings += _contradicted_files(snapshot, machine)
    findings += trend_findings(snapshot, machine, observed)
    withheld = _withheld(snapshot, machine)
    if withheld:
        findings.append(Finding("model-misfit", Severity.NOTICE, " ".join(withheld), _misfit_evidence(machine)))
        recommendations = []
    declined = [recommendation for recommendation in recommendations if is_declined(recommendation, policy.declined)]
    kept = _without_rewrite([recommendation for recommendation in recommendations if recommendation not in declined])
    silent = {recommendation.cause for recommendation in declined} - {recommendation.cause for recommendation in kept}
    return Advice(
        host=snapshot.host,
        kernel=snapshot.kernel or "unknown",
        defaults=_defaults(snapshot, machine),
        recommendations=tuple(kept),
        findings=tuple(
            sorted((_silenced(f, silent) for f in findings), key=lambda finding: -_ORDER.index(finding.severity))
        ),
        withheld=withheld,
        not_judged=_not_judged(snapshot, machine),
        declined=tuple(recommendation.identifier for recommendation in declined),
        unseen=tuple(name for name, seen in (("logs", observed.logs), ("counters", observed.interval)) if seen is None),
    )


def _ratio(
    snapshot: Snapshot, machine: Machine, observed: Observed, policy: AdvicePolicy
) -> tuple[list[Recommendation], list[Finding]]:
    """One value for one setting: what failed in the log counts more than what one instant looks like."""
    from_logs = advise_ratio_from_logs(snapshot, machine, observed, policy)
    recommendations, findings = advise_lowmem_reserve_ratio(snapshot, machine, short_device_zones(observed.logs))
    if any(recommendation.key == RATIO for recommendation in from_logs):
        recommendations = []
    if from_logs:  # they say why the zone is short; the instant only that it is
        findings = [finding for finding in findings if finding.cause != FindingCause.SQUEEZED]
    return [*from_logs, *recommendations], findings


def _without_rewrite(recommendations: list[Recommendation]) -> list[Recommendation]:
    """Whatever changes the marks computes all of them anew: then nothing need be written again for that."""
    if not any(recommendation.key in MARKS for recommendation in recommendations):
        return recommendations
    return [recommendation for recommendation in recommendations if recommendation.key != "action:rewrite"]


def is_declined(recommendation: Recommendation, declined: Sequence[str]) -> bool:
    """Whether an administrator declined this, or the like of it.

    Declined may be a setting ("vm.zone_reclaim_mode"), a setting for one cause ("vm.min_free_kbytes/too-high"), or one
    proposal ("vm.min_free_kbytes/atomic-reserve-exhausted/98304"): that last one speaks again when the evidence calls
    for a value that differs from it by more than a proposal must differ from the value in force.
    """
    for identifier in declined:
        if identifier in (
            recommendation.key,
            f"{recommendation.key}/{recommendation.cause}",
            recommendation.identifier,
        ):
            return True
        prefix, _, value = identifier.rpartition("/")
        mine = recommendation.recommended
        numbers = value.isdigit() and mine.isdigit() and prefix == f"{recommendation.key}/{recommendation.cause}"
        if numbers and abs(int(value) - int(mine)) * 100 <= int(value) * AGAINST_PERCENT:
            return True
    return False


def _silenced(finding: Finding, causes: Container[str]) -> Finding:
    """What was declined is still told to who asks, but to nobody else."""
    if finding.cause not in causes:
        return finding
    return replace(finding, severity=Severity.INFO, text=f"{finding.text} (The change for it was declined.)")


def _not_judged(snapshot: Snapshot, machine: Machine) -> tuple[tuple[str, str], ...]:
    """Settings about which nothing can be said, with the reason: not captured, or damaged."""
    found = []
    for key in (MIN_FREE, RATIO, RECLAIM_MODE):
        if key in machine.sysctls or (key == RECLAIM_MODE and len(machine.nodes) == 1):
            continue
        whole = machine.fit.layout is not None and not machine.fit.zones_left_out
        if key == MIN_FREE and machine.fit.min_free_kbytes is not None and whole:
            continue
        path = "/proc/sys/" + key.replace(".", "/")
        found.append((key, snapshot.absent.get(path, "not captured")))
    return tuple(found)


MATTERS_PERCENT = 1
"""Zones of less than this share of memory do not decide whether the machine is out of memory."""


def _exhausted(snapshot: Snapshot, machine: Machine) -> list[Finding]:
    """Every zone that matters is at or below its min mark: each allocation reclaims by itself now."""
    size = machine.rules.watermarks.size
    total = sum(zone_size(zone, size) for zone in machine.zones)
    weighty = [zone for zone in machine.zones if zone_size(zone, size) * 100 >= total * MATTERS_PERCENT > 0]
    if not weighty or any(zone.free_pages > zone.min_pages for zone in weighty):
        return []
    usage = usage_of(snapshot, machine)
    little = usage is not None and (usage.cache_pages + usage.slab_pages) * 100 < total * 2 * MATTERS_PERCENT
    text = "Every zone that matters is at or below its min mark: allocations reclaim memory by themselves"
    text += ", and next to nothing is left to reclaim: expect OOM kills." if little else "."
    evidence = tuple(
        Evidence(
            f"node {zone.node} {zone.name} free and min, pages",
            f"{zone.free_pages} and {zone.min_pages}",
            "/proc/zoneinfo",
        )
        for zone in weighty
    )
    severity = Severity.CRITICAL if little else Severity.WARNING
    return [Finding("memory-exhausted" if little else "reclaim-too-slow", severity, text, evidence)]


def _withheld(snapshot: Snapshot, machine: Machine) -> tuple[str, ...]:
    reasons = [f"The files are not of one instant: {reason}." for reason in snapshot.torn]
    if machine.fit.zones_left_out and not machine.fit.usable:
        reasons.append(
            "Zones are missing: protection speaks of more than this capture holds. Nothing can be predicted from the "
            "rest: no setting is recommended."
        )
    elif not machine.fit.usable:
        zones = len({(difference.node, difference.zone) for difference in machine.fit.differences})
        reasons.append(
            f"The model does not reproduce what this kernel prints for {zones} of {len(machine.zones)} zones, so "
            "nothing "
            "it would predict can be trusted: no setting is recommended."
        )
    return tuple(reasons)


def _misfit_evidence(machine: Machine) -> tuple[Evidence, ...]:
    return tuple(
        Evidence(
            f"node {difference.node} {difference.zone} {difference.what}, pages: predicted {difference.predicted}",
            difference.printed,
            "/proc/zoneinfo",
        )
        for difference in machine.fit.differences
    )


def _defaults(snapshot: Snapshot, machine: Machine) -> Mapping[str, Defaults]:
    found = {key: Defaults(None, None, value) for key, value in kernel_defaults(snapshot, machine).items()}
    default = default_min_free(machine)
    huge = default.huge.recommended_kb if default.huge else None
    effective = None if huge_pages_unknown(snapshot, machine) else str(default.effective_kb)
    found[MIN_FREE] = Defaults(default.lowmem_formula_kb, huge, effective)
    return found


def _contradicted_files(snapshot: Snapshot, machine: Machine) -> list[Finding]:
    """Settings that a file asks for and that are not in force: they will change at the next boot."""
    return [
        Finding(
            "foreign-setting",
            Severity.INFO,
            f"{setting.key} is {setting.value} ({setting.set_by}): {setting.note}.",
            (Evidence(f"{setting.key} in force", setting.value, "/proc/sys"),),
        )
        for setting in settings_of(snapshot, machine)
        if _is_contradicted(setting)
    ]


def _is_contradicted(setting: Setting) -> bool:
    return setting.writer in (Writer.RUN_TIME, Writer.KERNEL, Writer.HUGE_PAGES) and "asks for" in setting.note
