"""Everything there is to say about one machine: each knob's module asked in turn, the result put in order."""

from collections.abc import Mapping

from pagewarden.advise.lowmem_reserve_ratio import advise_lowmem_reserve_ratio
from pagewarden.advise.min_free_kbytes import advise_min_free_kbytes
from pagewarden.advise.types import Advice, Defaults, Recommendation, Workload
from pagewarden.advise.watermarks import advise_watermarks
from pagewarden.advise.zone_reclaim_mode import advise_zone_reclaim_mode
from pagewarden.diagnose.settings import Setting, Writer, settings_of
from pagewarden.diagnose.types import Evidence, Finding, Severity
from pagewarden.kernel.defaults import default_min_free, default_settings
from pagewarden.kernel.machine import MIN_FREE, Machine
from pagewarden.procfs.types import Snapshot

_ORDER = list(Severity)


def advise(snapshot: Snapshot, machine: Machine, workload: Workload = Workload.GENERAL) -> Advice:
    """Advise on one machine from one snapshot.

    Where the model does not reproduce what the kernel prints, or the files are of different instants, findings are
    still made but every recommendation is withheld.
    """
    recommendations: list[Recommendation] = []
    findings: list[Finding] = []
    for some, more in (
        advise_min_free_kbytes(snapshot, machine),
        advise_lowmem_reserve_ratio(snapshot, machine),
        advise_zone_reclaim_mode(snapshot, machine, workload),
        advise_watermarks(snapshot, machine),
    ):
        recommendations += some
        findings += more
    findings += _contradicted_files(snapshot, machine)
    withheld = _withheld(snapshot, machine)
    if withheld:
        findings.append(Finding("model-misfit", Severity.NOTICE, " ".join(withheld), _misfit_evidence(machine)))
        recommendations = []
    return Advice(
        host=snapshot.host,
        kernel=snapshot.kernel or "unknown",
        defaults=_defaults(machine),
        recommendations=tuple(recommendations),
        findings=tuple(sorted(findings, key=lambda finding: -_ORDER.index(finding.severity))),
        withheld=withheld,
    )


def _withheld(snapshot: Snapshot, machine: Machine) -> tuple[str, ...]:
    reasons = [f"The files are not of one instant: {reason}." for reason in snapshot.torn]
    if not machine.fit.usable:
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


def _defaults(machine: Machine) -> Mapping[str, Defaults]:
    found = {key: Defaults(None, None, value) for key, value in default_settings(machine).items()}
    default = default_min_free(machine)
    huge = default.huge.recommended_kb if default.huge else None
    found[MIN_FREE] = Defaults(default.lowmem_formula_kb, huge, str(default.effective_kb))
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
