"""Kill an apply and a revert before and after every system call, and let every call that writes fail; print the matrix.

    python -m bench.crash_apply [--operation apply|revert] [--kill] [--fail] [--power] [--every N] [--jobs N]

On a made machine (tests/made_machine.py): a root folder whose kernel answers to writes. After each case the next run
must find everything wholly old or wholly new, the running values must be those of the files, and a revert must bring
back the original, byte for byte. --power plays a power cut after every call that changes a file: what no fsync of its
folder has brought to the disk is lost, or survives, in /etc and in our state each for itself; the next boot begins with
the kernel's own values and what /etc/sysctl.d sets.
"""

import argparse
import errno
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from bench.tracer import NUMBERS, Call, run_traced
from tests.made_machine import FileKernel, MadeMachine, MadeTime, made_system

from pagewarden.apply.probation_file import load_probation, load_trials
from pagewarden.apply.probation_run import Terms, apply_on_probation, watch_once
from pagewarden.apply.state import load_record
from pagewarden.apply.transaction import System, recover, revert_changes
from pagewarden.apply.types import Change
from pagewarden.errors import PagewardenError

CHANGES = (
    Change("vm.min_free_kbytes", "131072", "a test"),
    Change("vm.lowmem_reserve_ratio", "128 256 32 0 0", "a test"),
)
FILE = "etc/sysctl.d/60-pagewarden.conf"
TERMS = Terms(seconds=900.0, unattended=False, promised=None, count_refusals=lambda since: 0)
OPERATIONS = ("apply", "revert")
ERRORS = ("EACCES", "EROFS", "ENOSPC", "EIO", "EINTR")
FAILING = ("openat", "write", "pwrite64", "fsync", "rename", "close", "unlink", "fchmod", "ftruncate", "mkdir", "flock")
UNEXPECTED = 70

State = tuple[dict[str, bytes], dict[str, str]]


@dataclass(frozen=True, slots=True)
class Case:
    """One way to disturb a run.

    :ivar where: "kill-before", "kill-after", "EIO", "EIO from here on", or "power cut: " and what is lost.
    """

    operation: str
    where: str
    index: int


def state_of(machine: MadeMachine) -> State:
    """What must be wholly old or wholly new: the files of /etc, and the values in force."""
    return machine.files(), {key: machine.value(key) for key in machine.sysctls}


class Stage:
    """What every case of an operation starts from, made once. :ivar original: before anything was applied."""

    def __init__(self, operation: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="crash-apply-"))
        machine = MadeMachine(self.folder)
        self.original = state_of(machine)
        if operation == "revert":
            apply_on_probation(made_system(machine), CHANGES, TERMS)
        self.old = state_of(machine)

    def copy(self) -> MadeMachine:
        folder = Path(tempfile.mkdtemp(prefix="crash-apply-"))
        shutil.copytree(self.folder, folder, dirs_exist_ok=True)
        return MadeMachine(folder, None)


@cache
def stage(operation: str) -> Stage:
    return Stage(operation)


def work(machine: MadeMachine, operation: str) -> int:
    """What the child does; its exit status is the command's."""
    system = System(machine.paths, FileKernel(machine), MadeTime().clock())
    try:
        if operation == "apply":
            apply_on_probation(system, CHANGES, TERMS)
        else:
            revert_changes(system)
    except PagewardenError as error:
        return int(error.exit_status)
    except BaseException:  # noqa: BLE001 - counted, and shown as unexpected
        return UNEXPECTED
    return 0


def fail_one(case: Case, call: Call) -> int:
    number = getattr(errno, case.where.partition(" ")[0])
    if "from here on" in case.where:
        hit = call.index >= case.index and call.name in FAILING and call.name not in ("close", "flock")
        return number if hit and (call.name != "openat" or call.writing) else 0
    return number if call.index == case.index else 0


def run_case(case: Case) -> tuple[Case, str]:
    """Run one case on a machine of its own: what it came to, or what is wrong with it ("WRONG: ...")."""
    machine = stage(case.operation).copy()
    try:
        return case, judge(case, machine)
    finally:
        shutil.rmtree(machine.root)


class Disk:
    """What a power cut would leave of two folders: as they were when an fsync of the folder last returned."""

    def __init__(self, machine: MadeMachine) -> None:
        self.folders = {"etc": machine.paths.snippet.parent, "state": machine.paths.state}
        self.durable = {name: contents(folder) for name, folder in self.folders.items()}

    def returned(self, call: Call) -> None:
        for name, folder in self.folders.items():
            if call.path is not None and call.path == folder.resolve():
                self.durable[name] = contents(folder)

    def lose(self, name: str) -> None:
        folder = self.folders[name]
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for file, content in self.durable[name].items():
            (folder / file).write_bytes(content)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()} if folder.is_dir() else {}


def cut_power(case: Case, machine: MadeMachine) -> str:
    """Kill the run, lose what is lost, boot anew, let the next start recover, and look at everything."""
    original = stage(case.operation).original
    disk = Disk(machine)

    def returned(call: Call) -> None:
        disk.returned(call)
        if call.number == NUMBERS["write"]:
            machine.sync()

    run_traced(partial(work, machine, case.operation), kill_after=case.index, returned=returned)
    for name in disk.folders:
        if name in case.where:
            disk.lose(name)
    machine.boot("made-boot-2", uptime_seconds=20.0)
    for key, value in original[1].items():
        if machine.value(key) != value:
            machine.write(key, value)
    for line in contents(machine.paths.snippet.parent).get(Path(FILE).name, b"").decode().splitlines():
        if line and not line.startswith("#"):
            machine.write(*line.split(" = "))
    return after_next_run(case, machine, stage(case.operation).old, original)


def judge(case: Case, machine: MadeMachine) -> str:
    if case.where.startswith("power"):
        found = cut_power(case, machine)
        return found if found.startswith("WRONG") else f"cut, {found}"
    old, original = stage(case.operation).old, stage(case.operation).original
    ended = run_traced(
        partial(work, machine, case.operation),
        kill_before=case.index if case.where == "kill-before" else None,
        kill_after=case.index if case.where == "kill-after" else None,
        fail=(lambda call: 0) if case.where.startswith("kill") else partial(fail_one, case),
        returned=lambda call: machine.sync() if call.number == NUMBERS["write"] else None,
    )
    if ended.status == UNEXPECTED:
        return "WRONG: an unexpected exception"
    at_once = state_of(machine)
    if ended.status is not None and ended.status not in (0, 5) and at_once != old:
        return f"WRONG: exit status {ended.status} and not as before"
    found = after_next_run(case, machine, old, original)
    how = "killed" if ended.status is None else f"exit {ended.status}"
    return found if found.startswith("WRONG") else f"{how}, {found}"


def after_next_run(case: Case, machine: MadeMachine, old: State, original: State) -> str:
    """Let the next start recover, and look at everything."""
    system = made_system(machine)
    recover(system)
    state, record = state_of(machine), load_record(machine.paths)
    new = original if case.operation == "revert" else None
    is_new = state == new if new is not None else bool(record.owned) and changed_as_wanted(state)
    if record.pending is not None:
        return "WRONG: still unfinished"
    if state != old and not is_new:
        return f"WRONG: neither old nor new: {sorted(state[0])} {state[1]}"
    if agrees_with_record(machine, state) is False:
        return "WRONG: values, file and record differ"
    if any(path.name.startswith(".") for path in machine.paths.snippet.parent.iterdir()):
        return "WRONG: a temporary file is left"
    watch_once(system, TERMS.count_refusals)
    if (load_probation(machine.paths) is not None) != bool(record.owned):
        return "WRONG: a change in force is not watched, or one is watched that is not in force"
    if state_of(machine) != state:
        return "WRONG: the first reading of the watch changes something"
    if state != original:
        revert_changes(system)
    if state_of(machine) != original:
        return "WRONG: revert does not bring back the original"
    watch_once(system, TERMS.count_refusals)
    if load_probation(machine.paths) is not None or any(trial.ended_at is None for trial in load_trials(machine.paths)):
        return "WRONG: what was reverted is still watched"
    return "old" if state == old else "new"


def changed_as_wanted(state: State) -> bool:
    files, values = state
    return FILE in files and all(values[change.key] == change.value for change in CHANGES)


def agrees_with_record(machine: MadeMachine, state: State) -> bool:
    """What the record says is ours is in force, and stands in the file; where nothing is ours there is no file."""
    files, values = state
    record = load_record(machine.paths)
    lines = files.get(FILE, b"").decode().splitlines()
    if not record.owned:
        return FILE not in files and record.snippet_sha256 is None
    return all(values[own.key] == own.value and f"{own.key} = {own.value}" in lines for own in record.owned)


def calls_of(operation: str) -> list[Call]:
    """Count the calls of an undisturbed run."""
    machine = stage(operation).copy()
    ended = run_traced(
        partial(work, machine, operation),
        returned=lambda call: machine.sync() if call.number == NUMBERS["write"] else None,
    )
    shutil.rmtree(machine.root)
    if ended.status != 0:
        raise SystemExit(f"the undisturbed {operation} ended with {ended.status}")
    return ended.calls


CHANGING = ("write", "pwrite64", "rename", "unlink", "mkdir", "fsync", "fchmod", "ftruncate")


def cuts_of(operation: str, calls: list[Call], every: int) -> Iterable[Case]:
    for call in [call for call in calls if call.name in CHANGING or call.writing][::every]:
        for lost in ("nothing", "etc", "state", "etc and state"):
            yield Case(operation, f"power cut: {lost} lost", call.index)


def cases_of(operation: str, calls: list[Call], *, kill: bool, fail: bool, every: int) -> Iterable[Case]:
    if kill:
        for call in calls[::every]:
            yield Case(operation, "kill-before", call.index)
            yield Case(operation, "kill-after", call.index)
    if fail:
        for call in [call for call in calls if call.name in FAILING][::every]:
            for name in ERRORS:
                yield Case(operation, name, call.index)
            if call.name != "close" and (call.name != "openat" or call.writing):
                for name in ("EROFS", "ENOSPC", "EIO"):
                    yield Case(operation, f"{name} from here on", call.index)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--operation", choices=OPERATIONS, action="append")
    parser.add_argument("--kill", action="store_true", help="only the kills")
    parser.add_argument("--fail", action="store_true", help="only the failing calls")
    parser.add_argument("--power", action="store_true", help="only the power cuts")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="only every Nth call")
    parser.add_argument("--jobs", type=int, default=1)
    args = parser.parse_args()
    whole = not (args.kill or args.fail or args.power)
    wrong = 0
    for operation in args.operation or OPERATIONS:
        start = time.monotonic()
        calls = calls_of(operation)
        cases = list(cases_of(operation, calls, kill=whole or args.kill, fail=whole or args.fail, every=args.every))
        if whole or args.power:
            cases += cuts_of(operation, calls, args.every)
        print(f"{operation}: {len(calls)} system calls, {len(cases)} cases", flush=True)
        results = Counter[tuple[str, str]]()
        with ProcessPoolExecutor(args.jobs) as pool:
            for case, what in pool.map(run_case, cases, chunksize=8):
                if what.startswith("WRONG"):
                    wrong += 1
                    print(f"  {case}: {calls[case.index].name}: {what}", flush=True)
                results[label(case, calls), what.partition(":")[0]] += 1
        print_matrix(results)
        print(f"  {time.monotonic() - start:.0f} s", flush=True)
        shutil.rmtree(stage(operation).folder)
    print(f"wrong: {wrong}")
    return 1 if wrong else 0


def label(case: Case, calls: list[Call]) -> str:
    return case.where if case.where.startswith(("kill", "power")) else f"{calls[case.index].name}: {case.where}"


def print_matrix(results: Counter[tuple[str, str]]) -> None:
    columns = sorted({what for _, what in results})
    rows = sorted({row for row, _ in results})
    width = max(map(len, rows), default=0)
    print("  " + " " * width + "".join(f"  {column:>12}" for column in columns))
    for row in rows:
        cells = "".join(f"  {results[row, column] or '-':>12}" for column in columns)
        print(f"  {row:<{width}}{cells}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
