"""What every recommendation to change a setting carries: effect, risk, who set the value, how to keep the change."""

from collections.abc import Sequence

from pagewarden.advise.effect import predict_effect
from pagewarden.advise.types import Effect, Level, Recommendation
from pagewarden.diagnose.log_evidence import Failure
from pagewarden.diagnose.settings import Setting, assigned, settings_of
from pagewarden.diagnose.types import Evidence
from pagewarden.kernel.machine import HUGE_SWITCH, Machine
from pagewarden.kernel.simulate import Write
from pagewarden.procfs.types import Snapshot, SysctlAssignment

AGAINST_PERCENT = 10
"""A proposal this close to the value in force is not made."""


def recommend_value(
    snapshot: Snapshot,
    machine: Machine,
    key: str,
    current: str,
    value: str,
    cause: str,
    reason: str,
    against: str,
    evidence: tuple[Evidence, ...],
    *,
    steps: tuple[str, ...] = (),
    worse: str = "",
    confidence: Level | None = None,
    failures: Sequence[Failure] = (),
) -> Recommendation:
    """Recommend one value of one setting, with the predicted effect of this change alone.

    :param confidence: in the evidence; it is lowered where the model is not certain of the machine.
    :param failures: the reports it rests on, for their age.
    """
    effect = predict_effect(snapshot, machine, Write(key, value))
    setting = next((entry for entry in settings_of(snapshot, machine) if entry.key == key), None)
    certain = machine.fit.exact and not machine.fit.inferred
    by = () if setting is None or setting.set_by is None else (Evidence(f"{key} set by", setting.set_by, "see status"),)
    return Recommendation(
        key=key,
        current=current,
        recommended=value,
        cause=cause,
        reason=reason,
        against=against,
        evidence=(*evidence, *by),
        effect=effect,
        risk=_risk(effect),
        confidence=least(confidence or Level.HIGH, Level.HIGH if certain else Level.MEDIUM),
        auto=False,
        reference=f"docs/settings/{key.partition('.')[2]}.md",
        keep=_keep(setting, assigned(snapshot, key), key, value),
        steps=steps,
        worse=worse,
        set_by=None if setting is None else setting.set_by,
        commands=(write_command(key, value),),
        undo=(write_command(key, current),),
        evidence_since=min((f.first_at for f in failures if f.first_at is not None), default=None),
        evidence_latest=max((f.last_at for f in failures if f.last_at is not None), default=None),
    )


def recommend_action(
    word: str,
    current: str,
    what: str,
    cause: str,
    reason: str,
    against: str,
    evidence: tuple[Evidence, ...],
    *,
    reference: str,
    confidence: Level = Level.MEDIUM,
    commands: tuple[str, ...] = (),
    steps: tuple[str, ...] = (),
) -> Recommendation:
    """Recommend something that is not a setting.

    :param word: after "action:", one of those the contract lists.
    :param current: what is the case now; `what` is to be done about it.
    """
    return Recommendation(
        key=f"action:{word}",
        current=current,
        recommended=what,
        cause=cause,
        reason=reason,
        against=against,
        evidence=evidence,
        effect=None,
        risk=Level.LOW,
        confidence=confidence,
        auto=False,
        reference=reference,
        steps=steps,
        commands=commands,
    )


def write_command(key: str, value: str) -> str:
    """The command that writes a setting."""
    if key == HUGE_SWITCH:
        return f"echo {value} > /sys/kernel/mm/transparent_hugepage/enabled"
    return f'sysctl -w {key}="{value}"' if " " in value else f"sysctl -w {key}={value}"


def least(*levels: Level) -> Level:
    """The lowest of some levels."""
    order = list(Level)
    return min(levels, key=order.index)


PAINFUL_PERCENT = 25
"""A change that takes more than this share of available memory away is no small one."""


def _risk(effect: Effect) -> Level:
    if any(warning.startswith("DANGER") for warning in effect.projection.warnings):
        return Level.HIGH
    available = effect.projection.available_bytes
    painful = available is not None and (available[0] - available[1]) * 100 > available[0] * PAINFUL_PERCENT
    return Level.MEDIUM if effect.projection.warnings or painful else Level.LOW


def _keep(setting: Setting | None, entry: SysctlAssignment | None, key: str, value: str) -> str:
    """Say how the change outlives a reboot: change the line that sets it, or add one, or take one out."""
    own = setting is not None and setting.kernel_default == value
    if entry is not None:
        place = f"{entry.source}:{entry.line_number}" if entry.line_number else f"the {entry.source}"
        return f"take it out of {place}: the kernel chooses this value by itself" if own else f"change it in {place}"
    if own:
        return "nothing: the kernel chooses this value by itself at boot, unless something writes another"
    return f'put "{key} = {value}" into a file in /etc/sysctl.d'
