"""The writes of a plan on the running kernel: each read back, every zone compared, free memory waited for."""

from collections.abc import Callable, Sequence

from pagewarden.apply import verify
from pagewarden.apply.runtime import Kernel
from pagewarden.apply.types import Clock, Plan, Signs, Step
from pagewarden.apply.watch import (
    BASELINE_SECONDS,
    LIMIT_SECONDS,
    POLL_SECONDS,
    Rates,
    closed_nodes,
    harm,
    raised,
    rates,
    short_zones,
)
from pagewarden.errors import ApplyError
from pagewarden.kernel.fit_causes import Difference
from pagewarden.kernel.simulate import ZoneState
from pagewarden.procfs.types import Zone

READINGS = 3
"""A boost may come between a write and the reading, and where it is not printed it may look like a difference."""

READING_SECONDS = 0.2


class CarryOut:
    """One run over the steps of a plan.

    :ivar notes: what did not stop it and should be known.
    """

    def __init__(self, kernel: Kernel, clock: Clock, plan: Plan, tell: Callable[[str], None]) -> None:
        assert plan.simulation is not None
        self._kernel = kernel
        self._clock = clock
        self._plan = plan
        self._tell = tell
        self._machine = plan.simulation.machine
        self.notes: list[str] = []

    def run(self) -> None:
        """Make every write, and check it.

        :raises ApplyError: a value or a zone is not as predicted, free memory does not come, or the machine suffers.
        :raises OSError: the kernel refused.
        """
        assert self._plan.simulation is not None
        baseline = self._baseline()
        before = self._plan.simulation.before
        for step in self._plan.steps:
            first, start = self._kernel.signs(), self._clock.monotonic()
            self._kernel.write(step.write)
            self._check_value(step.write.key, step.sysctls[step.write.key])
            self._check_zones(step)
            if raised(before, step.zones):
                self._wait(step, before, baseline, first, start)
            before = step.zones
        self._check_end()

    def _baseline(self) -> Rates:
        """Watch the signs before anything is written, where a mark will rise."""
        states = [step.zones for step in self._plan.steps]
        assert self._plan.simulation is not None
        if not any(raised(self._plan.simulation.before, after) for after in states):
            return Rates(0.0, None)
        first, start = self._kernel.signs(), self._clock.monotonic()
        self._clock.sleep(BASELINE_SECONDS)
        return rates(first, self._kernel.signs(), self._clock.monotonic() - start)

    def _check_value(self, key: str, wanted: str) -> None:
        found = self._kernel.read(key)
        if found != wanted:
            raise ApplyError(f"{key} is {found} after {wanted} was written")

    def _check_zones(self, step: Step) -> None:
        found: tuple[Difference, ...] = ()
        for reading in range(READINGS):
            if reading:
                self._clock.sleep(READING_SECONDS)
            found = verify.differences(self._machine, step, self._kernel.nodes())
            if not found:
                return
        raise ApplyError(
            f"after {step.write.key}={step.write.text} the kernel's zones are not as predicted: "
            f"{verify.in_words(found)}; this is a fault of the model"
        )

    def _wait(self, step: Step, before: Sequence[ZoneState], baseline: Rates, first: Signs, start: float) -> None:
        """Wait until free memory is above the new low marks; stop where the machine suffers."""
        closed_before = set(closed_nodes(before, self._machine.zones))
        while True:
            elapsed = self._clock.monotonic() - start
            hurt = harm(baseline, first, self._kernel.signs(), elapsed)
            if hurt:
                raise ApplyError(f"stopped after {step.write.key}={step.write.text}: {hurt}")
            zones = self._zones()
            short = short_zones(self._machine, step.zones, zones)
            if not short:
                return
            if elapsed >= LIMIT_SECONDS:
                break
            self._tell(f"{step.write.key}={step.write.text} is written; waiting for free memory in {', '.join(short)}")
            self._clock.sleep(POLL_SECONDS)
        closed = set(closed_nodes(step.zones, zones)) - closed_before
        if closed or step is not self._plan.steps[-1]:
            raise ApplyError(
                f"stopped after {step.write.key}={step.write.text}: {LIMIT_SECONDS:.0f} s later free memory is still "
                f"not above the new low mark in {', '.join(short)}"
            )
        self.notes.append(
            f"{', '.join(short)}: not above the new low mark {LIMIT_SECONDS:.0f} s after "
            f"{step.write.key}={step.write.text}; requests are served from other zones meanwhile"
        )

    def _zones(self) -> tuple[Zone, ...]:
        zones = tuple(zone for node in self._kernel.nodes() for zone in node.zones)
        if [(z.node, z.name) for z in zones] != [(z.node, z.name) for z in self._machine.zones]:
            raise ApplyError("zones came or went meanwhile")
        return zones

    def _check_end(self) -> None:
        """All values once more, then all zones: nobody else wrote while we waited."""
        if not self._plan.steps:
            return
        last = self._plan.steps[-1]
        for key in dict.fromkeys(step.write.key for step in self._plan.steps):
            self._check_value(key, last.sysctls[key])
        self._check_zones(last)


def carry_back(kernel: Kernel, plan: Plan) -> tuple[str, ...]:
    """Make the writes of a way back: values are checked; zones that are not as predicted are said and no obstacle.

    :raises ApplyError: a value was not taken.
    :raises OSError: the kernel refused.
    """
    for step in plan.steps:
        kernel.write(step.write)
    for key, wanted in {step.write.key: step.write.text for step in plan.steps}.items():
        found = kernel.read(key)
        if found != wanted:
            raise ApplyError(f"{key} is {found} after {wanted} was written")
    if plan.simulation is None or not plan.steps:
        return ()
    found_zones = verify.differences(plan.simulation.machine, plan.steps[-1], kernel.nodes())
    return (f"zones are not as predicted: {verify.in_words(found_zones)}",) if found_zones else ()
