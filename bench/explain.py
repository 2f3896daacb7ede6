"""How fast `pagewarden explain` goes through large kernel logs, beside `grep -F` on the same file, with what memory.

Run as `python -m bench.explain` from the project's root. Writes logs of 1 GB with a report every 10 MB and without any,
and of 100 MB of nothing but reports into a temporary folder, and removes them. Wall time, CPU time and peak memory are
those of the child process; each file is read once before, so that all find it in the page cache.
"""

import argparse
import os
import platform
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.made_reports import ERAS, dmesg, make_report

MB = 1_000_000
BLOCK_LINES = 20_000
QUIET = (
    "usb 1-1: new high-speed USB device number {n} using xhci_hcd",
    'audit: type=1400 audit(1763683807.{n}:42): apparmor="ALLOWED" operation="open" profile="/usr/sbin/ntpd" pid={n}',
    "IPv6: ADDRCONF(NETDEV_CHANGE): veth{n}: link becomes ready",
    "EXT4-fs (dm-{n}): mounted filesystem with ordered data mode. Opts: (null)",
    "nf_conntrack: default automatic helper assignment has been turned off for security reasons",
    "[UFW BLOCK] IN=eth0 OUT= MAC=52:54:00:12:34:56 SRC=192.0.2.{n} DST=192.0.2.1 LEN=40 TTL=245 ID={n} PROTO=TCP",
    "docker0: port {n}(vethd2f1a3c) entered forwarding state",
    "systemd[1]: Started Session {n} of user root.",
)


def quiet_block(rng: random.Random) -> bytes:
    lines = [
        f"Nov 21 {n // 3600 % 24:02}:{n // 60 % 60:02}:{n % 60:02} db1 kernel: [{8421 + n}.{rng.randrange(10**6):06}] "
        + rng.choice(QUIET).format(n=rng.randrange(255))
        for n in range(BLOCK_LINES)
    ]
    return ("\n".join(lines) + "\n").encode()


def report_text(rng: random.Random) -> bytes:
    lines = make_report(rng.choice(ERAS), rng)
    return "".join(f"Nov 21 01:30:07 db1 kernel: {line}\n" for line in dmesg(lines)).encode()


def mixed_log(path: Path, size: int, every: int | None) -> int:
    """A log of `size` bytes with a report about every `every` bytes, or none; gives the number of reports."""
    rng = random.Random(3)
    blocks = [quiet_block(rng) for _ in range(3)]
    reports = since = 0
    with path.open("wb") as log:
        while log.tell() < size:
            block = rng.choice(blocks)
            log.write(block)
            since += len(block)
            if every is not None and since >= every:
                log.write(report_text(rng))
                reports, since = reports + 1, 0
    return reports


def reports_log(path: Path, size: int) -> int:
    rng = random.Random(4)
    texts = [report_text(rng) for _ in range(2_000)]
    reports = 0
    with path.open("wb") as log:
        while log.tell() < size:
            log.write(texts[reports % len(texts)])
            reports += 1
    return reports


@dataclass(frozen=True, slots=True)
class Run:
    """What a child process needed."""

    wall_s: float
    cpu_s: float
    peak_mb: float
    lines: int


def measure(command: Sequence[str]) -> Run:
    """Run a command; its output is counted by lines and thrown away."""
    began = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        lines = sum(1 for _ in process.stdout)
        # wait4() knows what this one child used; the process object must not wait for it again.
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.monotonic() - began
    if process.returncode not in (0, 1):
        raise SystemExit(f"{command[0]} ended with status {process.returncode}")
    return Run(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, lines)


def best(command: Sequence[str], rounds: int) -> Run:
    return min((measure(command) for _ in range(rounds)), key=lambda run: run.wall_s)


def rows(folder: Path, size_mb: int, reports_mb: int, rounds: int) -> Iterator[str]:
    explain = (str(Path(sys.executable).parent / "pagewarden"), "explain", "--format", "json")
    yield "| log | command | wall s | CPU s | MB/s | peak MB | lines out |"
    yield "|---|---|---|---|---|---|---|"

    def row(log: str, name: str, mb: float, run: Run) -> str:
        speed = f"{mb / run.wall_s:.0f}"
        return f"| {log} | {name} | {run.wall_s:.2f} | {run.cpu_s:.2f} | {speed} | {run.peak_mb:.0f} | {run.lines} |"

    large, small = folder / "large.log", folder / "tenth.log"
    speeds: list[str] = []
    for every in (10 * MB, None):
        reports = mixed_log(large, size_mb * MB, every)
        fewer = mixed_log(small, size_mb * MB // 10, every)
        mb, tenth_mb = large.stat().st_size / MB, small.stat().st_size / MB
        grep = best(("grep", "-F", "page allocation failure", str(large)), rounds)
        yield row(f"{mb:.0f} MB, {reports} reports", "grep -F", mb, grep)
        ours = best((*explain, str(large)), rounds)
        yield row(f"{mb:.0f} MB, {reports} reports", "explain", mb, ours)
        tenth = best((*explain, str(small)), rounds)
        yield row(f"{tenth_mb:.0f} MB, {fewer} reports", "explain", tenth_mb, tenth)
        # What the lines between the reports take: without start-up, which both sizes have.
        part = (mb - tenth_mb) / mb
        wall = grep.wall_s * part / (ours.wall_s - tenth.wall_s)
        cpu = grep.cpu_s * part / (ours.cpu_s - tenth.cpu_s)
        speeds.append(f"{wall:.2f} of grep's speed by wall time, {cpu:.2f} by CPU time")
        more = ours.peak_mb - tenth.peak_mb
        large.unlink()
    yield ""
    yield f"with the reports: {speeds[0]}"
    yield f"lines that do not matter: {speeds[1]} (limit: 0.50)"
    yield f"ten times the log takes {more:+.0f} MB"
    yield ""
    yield "| log | command | wall s | CPU s | reports/s | peak MB | lines out |"
    yield "|---|---|---|---|---|---|---|"
    for part in (reports_mb // 4, reports_mb):
        only = folder / "reports.log"
        count = reports_log(only, part * MB)
        for name in ("explain", "explain --all"):
            run = measure((*explain, *name.split()[1:], str(only)))
            speed = f"{count / run.wall_s:.0f}"
            yield (
                f"| {part} MB, {count} reports | {name} | {run.wall_s:.2f} | {run.cpu_s:.2f} | {speed} "
                f"| {run.peak_mb:.0f} | {run.lines} |"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mb", type=int, default=1000, help="size of the log with reports scattered in it")
    parser.add_argument("--reports-mb", type=int, default=100, help="size of the log of nothing but reports")
    parser.add_argument("--rounds", type=int, default=3, help="the best of so many counts")
    args = parser.parse_args()
    print(f"{os.cpu_count()} processors, Python {platform.python_version()}, Linux {platform.release()}")
    with tempfile.TemporaryDirectory(prefix="pagewarden-bench-") as folder:
        for row in rows(Path(folder), args.mb, args.reports_mb, args.rounds):
            print(row, flush=True)


if __name__ == "__main__":
    main()
