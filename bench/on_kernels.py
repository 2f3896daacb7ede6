"""Run bench/apply_on_kernel.py on Debian's kernels in QEMU, each in a machine of its own; print what it prints.

    python -m bench.on_kernels [--suite bullseye|bookworm|trixie|sid]... [--nodes 2] [--memory MB] [ARGUMENT]...

Needs root, QEMU and Python 3.11. The arguments go to apply_on_kernel, for example: --kill-every 16 --only-kills
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.vm.cache import cache_folder
from tests.vm.python_guest import command_of, guest_of

HERE = Path(__file__).parent
SUITES = ("bullseye", "bookworm", "trixie", "sid")
SECONDS = 3600
FILES = {f"bench/{name}": HERE / name for name in ("apply_on_kernel.py", "tracer.py")}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suite", action="append", choices=SUITES, help="whose kernel (default: all but sid)")
    parser.add_argument("--nodes", type=int, choices=(1, 2), default=1)
    parser.add_argument("--memory", type=int, default=768, metavar="MB")
    args, rest = parser.parse_known_args()
    if os.geteuid() != 0 or sys.version_info[:2] != (3, 11):
        print("on_kernels: needs root, and Python 3.11 as in the guest", file=sys.stderr)
        return 2
    wrong = 0
    for suite in args.suite or SUITES[:3]:
        with tempfile.TemporaryDirectory(prefix="on-kernels-") as folder:
            wrong += not ends_well(suite, Path(folder), args.nodes, args.memory, rest)
    return 1 if wrong else 0


def ends_well(suite: str, folder: Path, nodes: int, memory_mb: int, words: list[str]) -> bool:
    """Boot, and print every line as it comes; the guest says at its end that nothing was wrong."""
    program = f'python3 -m bench.apply_on_kernel {" ".join(words)}; echo "@@STATUS $?"; exec busybox poweroff -f\n'
    guest = guest_of(suite, program, FILES, cache_folder(), folder)
    began, status = time.monotonic(), ""
    command = command_of(guest, folder / "console", memory_mb=memory_mb, more=numa(nodes, memory_mb))
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, errors="replace"
    ) as qemu:
        assert qemu.stdout is not None
        try:
            for line in qemu.stdout:
                print(line, end="", flush=True)
                status = line.strip() if line.startswith("@@STATUS") else status
                if time.monotonic() - began > SECONDS:
                    break
        finally:
            qemu.kill()
    print(f"{guest.release}, {nodes} node(s), {memory_mb} MB, {time.monotonic() - began:.0f} s: {status or 'no end'}\n")
    return status == "@@STATUS 0"


def numa(nodes: int, memory_mb: int) -> list[str]:
    """Two nodes of half the memory, each with a processor."""
    if nodes == 1:
        return []
    words = ["-smp", str(nodes)]
    for node in range(nodes):
        words += ["-object", f"memory-backend-ram,id=ram{node},size={memory_mb // nodes}M"]
        words += ["-numa", f"node,nodeid={node},cpus={node},memdev=ram{node}"]
    return words


if __name__ == "__main__":
    sys.exit(main())
