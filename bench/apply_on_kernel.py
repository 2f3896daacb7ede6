"""Apply and revert on a real kernel, in a virtual machine made for it: zones against predictions, then kills.

    python -m bench.apply_on_kernel [--kill-every N [--only-kills]]

Refuses to run anywhere but as root in QEMU: it writes to /proc/sys and /etc. Round trips: after apply every zone must
print what was predicted from the reading before; after revert every setting and every file of /etc/sysctl.d must be
byte for byte as before. Kills: SIGKILL before and after every Nth system call of an apply and of a revert.
"""

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from bench.tracer import run_traced

from pagewarden.apply.paths import Paths
from pagewarden.apply.runtime import Kernel
from pagewarden.apply.state import load_record
from pagewarden.apply.transaction import System, apply_changes, recover, revert_changes
from pagewarden.apply.types import Change, Clock
from pagewarden.cli.main import main as pagewarden
from pagewarden.errors import PagewardenError
from pagewarden.kernel.machine import machine_of
from pagewarden.kernel.simulate import Write, ZoneState, simulate
from pagewarden.procfs.snapshot import read_snapshot
from pagewarden.procfs.types import Zone

VM = Path("/proc/sys/vm")
FOLDER = Path("/etc/sysctl.d")
PATHS = Paths()


def state() -> dict[str, bytes]:
    """Every readable setting and every file of sysctl.d, with mode and owner."""
    found = {}
    for path in sorted(VM.iterdir()):
        if path.stat().st_mode & 0o400 and path.name not in ("drop_caches", "compact_memory", "stat_refresh"):
            found[str(path)] = path.read_bytes()
    for path in sorted(FOLDER.iterdir()):
        status = path.lstat()
        head = f"{status.st_mode:o} {status.st_uid} {status.st_gid} ".encode()
        found[str(path)] = head + (str(path.readlink()).encode() if path.is_symlink() else path.read_bytes())
    return found


def sets(current: int, twentieth: int) -> Iterator[dict[str, str]]:
    """What is applied, one after the other, each reverted before the next."""
    for value in (current - 1, current * 9 // 10, current // 2, twentieth - 4, max(1024, current // 5)):
        yield {"vm.min_free_kbytes": str(value)}
    for value in ("11", "50", "100", "300"):
        yield {"vm.watermark_scale_factor": value}
    for value in ("128 256 32 0 0", "512 512 64 0 0", "1 1 1 0 0", "256 256 32 1 0"):
        yield {"vm.lowmem_reserve_ratio": value}
    yield {"vm.watermark_boost_factor": "0", "vm.compaction_proactiveness": "0", "vm.vfs_cache_pressure": "200"}
    yield {
        "vm.watermark_scale_factor": "120",
        "vm.min_free_kbytes": str(current * 2 // 3),
        "vm.lowmem_reserve_ratio": "64 64 16 0 0",
    }


def round_trips() -> int:
    wrong = zones = values = 0
    snapshot = read_snapshot("/")
    lowmem = sum(zone.managed_pages or 0 for zone in snapshot.zones) * snapshot.page_size // 1024
    for wanted in sets(int(snapshot.sysctls["vm.min_free_kbytes"]), lowmem // 20):
        before = state()
        machine = machine_of(read_snapshot("/"))
        order = [key for key in ("vm.watermark_scale_factor", "vm.min_free_kbytes") if key in wanted]
        order += [key for key in wanted if key not in order]
        predicted = simulate(machine, [Write(key, wanted[key]) for key in order]).after
        status = int(pagewarden(["apply", "--no-watch", *(f"{key}={value}" for key, value in wanted.items())]))
        after = read_snapshot("/").zones
        bad = [f"{zone.node} {zone.name}" for zone, say in zip(after, predicted, strict=True) if not equal(zone, say)]
        reverted = int(pagewarden(["revert"]))
        same = state() == before
        good = (status, reverted, bad, same) == (0, 0, [], True)
        refused = status == 1 and reverted == 0 and same
        wrong += not (good or refused)
        zones += len(after) if good else 0
        values += len(before) if same else 0
        what = (
            "equal, reverted"
            if good
            else "refused, untouched"
            if refused
            else f"WRONG {status} {reverted} {bad} {same}"
        )
        print(f"  {wanted}: {what}", flush=True)
    print(f"round trips: {zones} zones as predicted, {values} settings and files as before, wrong: {wrong}", flush=True)
    return wrong


def equal(zone: Zone, predicted: ZoneState) -> bool:
    boost = zone.boost_pages or 0
    marks = predicted.marks
    printed = [zone.min_pages, zone.low_pages, zone.high_pages]
    expected = [marks.min_pages, marks.low_pages, marks.high_pages]
    reserves = predicted.protection_pages in (None, zone.protection_pages)
    return [pages - boost for pages in printed] == expected and reserves


def system() -> System:
    clock = Clock(lambda: datetime.now(UTC), time.monotonic, lambda seconds: time.sleep(min(seconds, 0.02)))
    return System(PATHS, Kernel(PATHS), clock)


def work(operation: str, changes: tuple[Change, ...]) -> int:
    try:
        if operation == "apply":
            apply_changes(system(), changes)
        else:
            revert_changes(system())
    except PagewardenError as error:
        os.write(2, f"{error}\n".encode())
        return int(error.exit_status)
    return 0


def kills(operation: str, every: int) -> int:
    current = int((VM / "min_free_kbytes").read_text())
    changes = (
        Change("vm.min_free_kbytes", str(current * 3 // 4), "a test"),
        Change("vm.watermark_scale_factor", "40", "a test"),
        Change("vm.lowmem_reserve_ratio", "128 256 32 0 0", "a test"),
    )
    original = state()
    if operation == "revert":
        apply_changes(system(), changes)
    old = state()
    ended = run_traced(partial(work, operation, changes))
    new = state()
    assert ended.status == 0, ended.status
    results, wrong, start = Counter[str](), 0, time.monotonic()
    for index in range(0, len(ended.calls), every):
        for where in ("kill_before", "kill_after"):
            put_back(operation, changes)
            # The stamps in the file change with the time; what it sets does not.
            old = state()
            run_traced(partial(work, operation, changes), **{where: index})
            recover(system())
            what = judge(state(), old, new)
            revert_changes(system())
            if state() != original:
                what = "WRONG: revert does not bring back the original"
            results[what] += 1
            print(f"  {operation} {where} {index}/{len(ended.calls)}: {what}", flush=True)
            if what.startswith("WRONG"):
                wrong += 1
    put_back("apply", changes)
    seconds = time.monotonic() - start
    print(f"{operation}: {len(ended.calls)} system calls, every {every}.: {dict(results)}, {seconds:.0f} s", flush=True)
    return wrong


def put_back(operation: str, changes: tuple[Change, ...]) -> None:
    if operation == "apply":
        revert_changes(system())
    else:
        apply_changes(system(), changes)


def judge(found: dict[str, bytes], old: dict[str, bytes], new: dict[str, bytes]) -> str:
    if load_record(PATHS).pending is not None:
        return "WRONG: unfinished"
    if found == old:
        return "old"
    return "new" if without_stamps(found) == without_stamps(new) else "WRONG: neither old nor new"


def without_stamps(found: dict[str, bytes]) -> dict[str, bytes]:
    return {
        path: b"\n".join(line for line in content.split(b"\n") if not line.startswith(b"#"))
        for path, content in found.items()
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kill-every", type=int, default=0, metavar="N", help="0: no kills")
    parser.add_argument("--only-kills", action="store_true", help="no round trips")
    args = parser.parse_args()
    vendor = Path("/sys/class/dmi/id/sys_vendor")
    if os.geteuid() != 0 or not vendor.exists() or vendor.read_text().strip() != "QEMU":
        print("apply_on_kernel: only as root in a virtual machine of QEMU's", file=sys.stderr)
        return 2
    print(Path("/proc/version").read_text().strip(), flush=True)
    wrong = 0 if args.only_kills else round_trips()
    if args.kill_every:
        wrong += kills("apply", args.kill_every) + kills("revert", args.kill_every)
    print(f"wrong: {wrong}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
