"""The predicted effect of a change, as every recommendation carries it."""

from pagewarden.advise.types import Effect
from pagewarden.diagnose.settings import assigned
from pagewarden.kernel.machine import MIN_FREE, Machine
from pagewarden.kernel.projection import project
from pagewarden.kernel.simulate import Write, simulate
from pagewarden.kernel.sysctl_write import parse_integers
from pagewarden.procfs.types import Snapshot


def assigned_min_free(snapshot: Snapshot) -> int | None:
    """The value of vm.min_free_kbytes that a file or the kernel command line asks for, as a number."""
    entry = assigned(snapshot, MIN_FREE)
    values = parse_integers(entry.value, 1).values if entry else ()
    return values[0] if values else None


def predict_effect(snapshot: Snapshot, machine: Machine, *writes: Write) -> Effect:
    """Simulate writes on this machine and set the result against its present use.

    :raises ModelError: where a setting that is needed is not in the capture.
    """
    simulation = simulate(machine, writes, assigned_min_free(snapshot))
    return Effect(simulation, project(simulation, snapshot))
