"""What runs in the guest of bench/power_cut.py: judge what the last cut left, then apply and revert until the next."""

import contextlib
import importlib
import io
import json
import time
from pathlib import Path

from bench.power_note import OWN, VM, settings

from pagewarden.apply.files import read_snippet, temporary_of
from pagewarden.apply.paths import Paths
from pagewarden.apply.probation_file import load_probation
from pagewarden.apply.probation_run import watch_once
from pagewarden.apply.state import load_record
from pagewarden.apply.transaction import recover
from pagewarden.cli.applying import running_system
from pagewarden.cli.main import main as pagewarden

PATHS = Paths()
FOREIGN = Path("/etc/sysctl.d/90-other.conf")
LATE = ("pagewarden.cli.apply", "pagewarden.cli.revert", "pagewarden.cli.following", "pagewarden.report.apply")
"""Imported by the commands when they need them; a cut is to fall into what they do, not into that."""


def run(*words: str) -> tuple[int, str]:
    """Run a command of pagewarden's as a user does: its exit status, and what it printed."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        status = int(pagewarden(list(words)))
    return status, said.getvalue()


def judge() -> dict[str, object]:
    """Let this start recover, and look at everything."""
    own = json.loads(OWN.read_text())
    pending = load_record(PATHS).pending
    found: dict[str, object] = {"found": f"unfinished {pending.intent.value}" if pending else "nothing unfinished"}
    status, said = run("rollback-status")
    problems = [f"rollback-status: {status} {said}"] if status else []
    found["said"] = list(recover(running_system()))
    record, in_force, file = load_record(PATHS), settings(), read_snippet(PATHS.snippet)
    lines = (file.text or "").splitlines()
    if record.pending is not None:
        problems.append("still unfinished")
    expected = {**own, **{entry.key: entry.value for entry in record.owned}}
    problems += [f"{k} is {in_force[k]}, not {expected[k]}" for k in own if in_force[k] != expected[k]]
    wanted = {f"{entry.key} = {entry.value}" for entry in record.owned}
    if {line for line in lines if line and not line.startswith("#")} != wanted or bool(file.text) != bool(wanted):
        problems.append(f"the file does not hold what the record says: {lines}")
    if temporary_of(PATHS.snippet).exists():
        problems.append("a temporary file is left")
    if FOREIGN.read_text() != "vm.swappiness = 61\n":
        problems.append("somebody else's file was changed")
    watch_once(running_system(), lambda since: 0)
    if (load_probation(PATHS) is not None) != bool(record.owned):
        problems.append("watched, and not in force; or the other way round")
    found["state"] = "new" if record.owned else "old"
    status, said = run("revert")
    if status or settings() != own or PATHS.snippet.exists():
        problems.append(f"revert: {status} {said} {set(settings().items()) ^ set(own.items())}")
    found["wrong"] = problems
    return found


def main() -> None:
    for name in LATE:
        importlib.import_module(name)
    try:
        found = judge()
    except BaseException as error:  # noqa: BLE001 - the host is told whatever it is
        found = {"wrong": [f"{type(error).__name__}: {error}"]}
    print(f"@@VERDICT {json.dumps(found)}", flush=True)
    current = int((VM / "min_free_kbytes").read_text())
    changes = (
        [f"vm.min_free_kbytes={current * 3 // 4}", "vm.lowmem_reserve_ratio=128 256 32 0 0"],
        ["vm.watermark_scale_factor=40"],
    )
    for words in changes * 3:
        for name, command in (("apply", ["apply", *words]), ("revert", ["revert"])):
            label = "revert" if name == "revert" else f"apply {'and wait' if len(words) == 1 else 'at once'}"
            print(f"@@BEGIN {label}", flush=True)
            began = time.monotonic()
            status, said = run(*command)
            print(f"@@END {label} {status} {time.monotonic() - began:.3f} {said if status else ''}", flush=True)
            time.sleep(0.2)


if __name__ == "__main__":
    main()
