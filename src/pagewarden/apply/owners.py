"""Which other program, running now, sets a key: we name it and step back. Pure."""

from collections.abc import Collection
from dataclasses import dataclass

from pagewarden.procfs.tuners import TunerFacts


@dataclass(frozen=True, slots=True)
class Tuner:
    """A program that writes sysctls by itself.

    :ivar service: its unit; :ivar command: its process, as `/proc/PID/comm` has it (cut after 15 characters).
    :ivar keys: what it writes whatever its configuration says.
    """

    name: str
    service: str
    command: str
    keys: frozenset[str]


# As their sources have it: oracle/adaptivemm 2.1.0, oracle/bpftune 0.4. The latter sets no vm key today; it is listed
# so that nobody wonders whether it was forgotten.
TUNERS = (
    Tuner(
        "adaptivemmd",
        "adaptivemmd.service",
        "adaptivemmd",
        frozenset({"vm.watermark_scale_factor", "vm.vfs_cache_pressure"}),
    ),
    Tuner("bpftune", "bpftune.service", "bpftune", frozenset()),
)
TUNED = Tuner("tuned", "tuned.service", "tuned", frozenset())


@dataclass(frozen=True, slots=True)
class Owner:
    """Another program that owns a key.

    :ivar evidence: how that is known ("tuned.service runs; /usr/lib/tuned/x/tuned.conf sets 135168").
    """

    key: str
    name: str
    evidence: str


def owners(facts: TunerFacts, keys: Collection[str]) -> tuple[Owner, ...]:
    """Find who else sets these keys while the machine runs, in the order of the keys."""
    found = []
    for key in keys:
        for tuner in TUNERS:
            running = _running(tuner, facts)
            if running and key in tuner.keys:
                found.append(Owner(key, tuner.name, f"{running}; it writes this key by itself"))
        running = _running(TUNED, facts)
        if running and key in facts.tuned_settings:
            value, path = facts.tuned_settings[key]
            found.append(Owner(key, TUNED.name, f"{running}; {path} sets {value}"))
    return tuple(found)


def _running(tuner: Tuner, facts: TunerFacts) -> str | None:
    """Say how it is known that a tuner runs; None where nothing tells."""
    if tuner.service in facts.services:
        return f"{tuner.service} runs"
    return f"a process '{tuner.command}' runs" if tuner.command in facts.commands else None
