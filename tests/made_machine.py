"""A machine made of files, with a kernel that answers to writes: for tests of changing settings without changing any.

`MadeMachine.sync()` plays the kernel: it looks for settings that were written since, computes what a kernel would make
of them, and prints them and zoneinfo anew. `MadeKernel` calls it after every write; a tracer calls it when a write(2)
returns (bench/crash_apply.py).
"""

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pagewarden.apply.paths import Paths
from pagewarden.apply.runtime import Kernel
from pagewarden.apply.signals import undisturbed
from pagewarden.apply.transaction import System
from pagewarden.apply.types import Clock
from pagewarden.kernel.machine import machine_of
from pagewarden.kernel.simulate import Simulation, Write, simulate
from pagewarden.procfs.snapshot import read_snapshot
from pagewarden.procfs.types import Zone

MACHINES = Path(__file__).parent / "data" / "machines"
VMSTAT = {"nr_active_file": 102500, "nr_inactive_file": 220000, "nr_slab_reclaimable": 22500, "oom_kill": 0}
STALLS = {"allocstall_normal": 0, "allocstall_dma32": 0}
_PRESSURE = "{} avg10=0.00 avg60=0.00 avg300=0.00 total={}\n"


class MadeMachine:
    """A root folder in which a machine's files stand. :ivar sysctls: as last printed by the made kernel.

    :param name: one of tests/data/machines; None where the folder holds a made machine already.
    """

    def __init__(self, root: Path, name: str | None = "guest-4g") -> None:
        self.root = root
        self.paths = Paths(root)
        self.vmstat = {**VMSTAT, **STALLS}
        self.slept_seconds = 0.0
        if name is not None:
            self._make(name)
        self._print_sysctls()

    def _make(self, name: str) -> None:
        root = self.root
        shutil.copytree(MACHINES / name, root, dirs_exist_ok=True)
        for folder in ("etc/sysctl.d", "var/lib", "proc/sys/kernel/random", "proc/pressure"):
            (root / folder).mkdir(parents=True, exist_ok=True)
        self.boot("made-boot-1")
        self.print_counters()

    def boot(self, boot_id: str, uptime_seconds: float = 90_000.0) -> None:
        """Name this boot, in which the machine has been up for so long."""
        self.paths.boot_id.write_text(f"{boot_id}\n")
        (self.root / "proc/uptime").write_text(f"{uptime_seconds:.2f} 1.0\n")

    def print_counters(self, full_stall_us: int = 0) -> None:
        """Print vmstat and the pressure file."""
        (self.root / "proc/vmstat").write_text("".join(f"{key} {value}\n" for key, value in self.vmstat.items()))
        text = _PRESSURE.format("some", full_stall_us) + _PRESSURE.format("full", full_stall_us)
        (self.root / "proc/pressure/memory").write_text(text)

    def value(self, key: str) -> str:
        """The value in force, as printed."""
        return " ".join(self.paths.sysctl(key).read_text().split())

    def write(self, key: str, text: str) -> None:
        """Somebody else writes a setting."""
        self.paths.sysctl(key).write_text(f"{text}\n")
        self.sync()

    def refresh(self) -> None:
        """Write vm.min_free_kbytes again, so that no mark is stale."""
        self._take("vm.min_free_kbytes", self.value("vm.min_free_kbytes"))

    def sync(self) -> None:
        """Answer to what was written since."""
        for key, printed in self.sysctls.items():
            content = self.paths.sysctl(key).read_text()
            if content != printed:
                # A write starts at the beginning and replaces nothing behind it; the kernel sees what was written.
                self._take(key, content.partition("\n")[0])
                return

    def _take(self, key: str, text: str) -> None:
        self.paths.sysctl(key).write_text(self.sysctls[key])
        snapshot = read_snapshot(str(self.root))
        simulation = simulate(machine_of(snapshot), [Write(key, text)])
        for name, value in simulation.sysctls.items():
            if name in self.sysctls:
                self.paths.sysctl(name).write_text("\t".join(value.split()) + "\n")
        self._print_zones(simulation)
        self._print_sysctls()

    def _print_sysctls(self) -> None:
        folder = self.root / "proc/sys/vm"
        self.sysctls = {f"vm.{path.name}": path.read_text() for path in sorted(folder.iterdir())}

    def _print_zones(self, simulation: Simulation) -> None:
        path = self.root / "proc/zoneinfo"
        heads = re.split(r"(?m)^(?=Node )", path.read_text())[1:]
        after = {(state.node, state.zone): state for state in simulation.after}
        printed = []
        for text in heads:
            node, name = re.match(r"Node (\d+), zone +(\S+)", text).groups()  # type: ignore[union-attr]
            state = after[int(node), name]
            for word in ("min", "low", "high", "promo"):
                pages = getattr(state.marks, f"{word}_pages")
                text = re.sub(rf"(?m)^(        {word} +)\d+$", rf"\g<1>{pages}", text)
            reserves = ", ".join(map(str, state.protection_pages or ()))
            printed.append(re.sub(r"protection: \(.*\)", f"protection: ({reserves})", text))
        path.write_text("".join(printed))

    def set_free(self, zone: str, pages: int) -> None:
        """Let a zone of node 0 have this much free."""
        path = self.root / "proc/zoneinfo"
        text = re.sub(
            rf"(Node 0, zone +{zone}\n(?:  per-node stats\n(?:      .*\n)*)?  pages free +)\d+",
            rf"\g<1>{pages}",
            path.read_text(),
        )
        path.write_text(text)

    def zone(self, name: str) -> Zone:
        """A zone of node 0 as printed."""
        return next(zone for zone in read_snapshot(str(self.root)).zones if (zone.node, zone.name) == (0, name))

    def files(self) -> dict[str, bytes]:
        """Every file that outlives a reboot, by path, but for our own state."""
        folder = self.root / "etc"
        return {str(path.relative_to(self.root)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


class FileKernel(Kernel):
    """Reads and writes files as the real one does; time since boot is that of the made machine."""

    def __init__(self, machine: MadeMachine) -> None:
        super().__init__(machine.paths)
        self.machine = machine

    def awake_seconds(self) -> float:
        """The time since boot without the sleep of the made machine."""
        return float((self.machine.root / "proc/uptime").read_text().split()[0]) - self.machine.slept_seconds


class MadeKernel(FileKernel):
    """One that lets the made kernel answer to every write."""

    def __init__(self, machine: MadeMachine) -> None:
        super().__init__(machine)
        self.after_write: Callable[[Write], None] = lambda write: None

    def write(self, write: Write) -> None:
        """Write, then let the made kernel answer."""
        with undisturbed():  # a kernel's handler is not interrupted half-way
            super().write(write)
            self.machine.sync()
        self.after_write(write)


@dataclass
class MadeTime:
    """Time that passes only in sleep. :ivar during: called at every sleep."""

    seconds: float = 0.0
    during: Callable[[float], None] = field(default=lambda seconds: None)

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds
        self.during(self.seconds)

    def clock(self) -> Clock:
        start = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
        return Clock(lambda: start + timedelta(seconds=self.seconds), lambda: self.seconds, self.sleep)


def made_system(machine: MadeMachine, time: MadeTime | None = None) -> System:
    """A system on a made machine."""
    return System(machine.paths, MadeKernel(machine), (time or MadeTime()).clock())
