"""What the service costs, beside its limits. Each part runs the real service in a process of its own.

    python -m bench.daemon rest --minutes 30     this machine, real time
    python -m bench.daemon day                   24 hours of simulated time
    python -m bench.daemon polls                 100,000 polls
    python -m bench.daemon flood                 1,000,000 log lines with 10,000 reports
    python -m bench.daemon corpus DIR            every report of a folder of logs

`flood` and `corpus` make a journal with systemd-journal-remote (Debian: apt-get install systemd-journal-remote).
CPU time is user and system, of the service and its children; resident memory is that of the service itself.
"""

import argparse
import contextlib
import json
import os
import random
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.made_reports import ERAS, make_report

REMOTE = "/lib/systemd/systemd-journal-remote"
LIMIT_RSS_MIB, LIMIT_POLL_MS, LIMIT_CORE_PERCENT, LIMIT_ENTRIES = 24.0, 1.0, 0.02, 100
BOOT = "0123456789abcdef0123456789abcdef"


@dataclass(frozen=True, slots=True)
class Look:
    """The service at one moment."""

    rss_kb: int
    anonymous_kb: int
    peak_kb: int
    cpu_seconds: float
    wakeups: int
    descriptors: int
    polls: int
    reports: int


FLOOR = """
import os, time
files = [os.open(f"/proc/{name}", os.O_RDONLY) for name in ("zoneinfo", "vmstat", "pressure/memory")]
while True:
    time.sleep(60)
    for file in files:
        at = 0
        while piece := os.pread(file, 65536, at):
            at += len(piece)
"""
"""The least that a poll a minute costs in Python: to wake up and to read what a poll reads, and nothing else."""


class Running:
    """The service as a process, with a manager that listens to it.

    Its state file is on a tmpfs, as in /run: on a disk each rename(2) waits for what it replaces to be discarded.
    """

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.folder = folder
        self.run_folder = Path(tempfile.mkdtemp(prefix="pagewarden-bench-", dir="/dev/shm"))
        self._state: dict[str, int] = {}
        self._manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._manager.bind(str(folder / "notify"))
        # At all times: a service that has its time simulated says more than the socket holds between two looks.
        threading.Thread(target=self._listen, daemon=True).start()
        environment = {**os.environ, "NOTIFY_SOCKET": str(folder / "notify"), "WATCHDOG_USEC": "180000000"}
        command = [sys.executable, "-m", "pagewarden", "daemon", "--state", str(folder), "--run", str(self.run_folder)]
        self._log = (folder / "stderr").open("wb")
        self.process = subprocess.Popen([*command, *arguments], stderr=self._log, env=environment)

    def _listen(self) -> None:
        """Throw away what the manager is told."""
        with contextlib.suppress(OSError):
            while self._manager.recv(4096):
                pass

    def look(self) -> Look:
        """Look at the process as it is now."""
        of = Path("/proc", str(self.process.pid))
        status = dict(line.split(":", 1) for line in (of / "status").read_text().splitlines())
        state = self.state()
        return Look(
            rss_kb=int(status["VmRSS"].split()[0]),
            anonymous_kb=int(status["RssAnon"].split()[0]),
            peak_kb=int(status["VmHWM"].split()[0]),
            cpu_seconds=int((of / "schedstat").read_text().split()[0]) / 1e9,
            wakeups=int(status["voluntary_ctxt_switches"]),
            descriptors=len(list((of / "fd").iterdir())),
            polls=state.get("poll_count", 0),
            reports=state.get("report_count", 0),
        )

    def state(self) -> dict[str, int]:
        """Read the state file; the last one read where it is gone, empty before there is one."""
        with contextlib.suppress(FileNotFoundError):
            self._state = dict(json.loads((self.run_folder / "state.json").read_text()))
        return self._state

    def looks(self, every_seconds: float) -> Iterator[Look]:
        """Look until the process has ended."""
        while self.process.poll() is None:
            with contextlib.suppress(FileNotFoundError, ProcessLookupError, KeyError):
                yield self.look()
            time.sleep(every_seconds)

    def entries(self) -> list[str]:
        """Give what it wrote for the journal."""
        return (self.folder / "stderr").read_text().splitlines()

    def end(self) -> None:
        """End it."""
        if self.process.poll() is None:
            self.process.terminate()
        status = self.process.wait()
        self.state()
        shutil.rmtree(self.run_folder)
        self._log.close()
        self._manager.shutdown(socket.SHUT_RDWR)
        self._manager.close()
        if status != 0:
            sys.exit("\n".join([*self.entries(), f"the service ended with status {status}"]))


class Floor:
    """A process that does nothing but read what a poll reads, once a minute."""

    def __init__(self) -> None:
        self.process = subprocess.Popen([sys.executable, "-c", FLOOR])

    def cpu_seconds(self) -> float:
        return int(Path("/proc", str(self.process.pid), "schedstat").read_text().split()[0]) / 1e9


def row(what: str, value: str, limit: str = "") -> None:
    print(f"  {what:<46}{value:>16}   {limit}", flush=True)


def memory_rows(looks: list[Look]) -> None:
    row("resident, first look", f"{looks[0].rss_kb / 1024:.1f} MiB")
    row("resident, last look", f"{looks[-1].rss_kb / 1024:.1f} MiB", f"at most {LIMIT_RSS_MIB:.0f}, flat")
    row("resident, highest", f"{max(look.peak_kb for look in looks) / 1024:.1f} MiB", f"at most {LIMIT_RSS_MIB:.0f}")
    row("of which anonymous, last look", f"{looks[-1].anonymous_kb / 1024:.1f} MiB")
    row("descriptors, first and last", f"{looks[0].descriptors}, {looks[-1].descriptors}", "flat")


def rest(folder: Path, minutes: float, arguments: list[str]) -> None:
    """Real time on this machine, from 90 seconds on (start-up is told apart)."""
    floor = Floor()
    service = Running(folder, *arguments)
    try:
        time.sleep(90)  # between two polls, and after the second question to the adviser
        looks = [service.look()]
        least = floor.cpu_seconds()
        row("CPU of the first 90 seconds", f"{looks[0].cpu_seconds:.2f} s")
        began = time.monotonic()
        while time.monotonic() - began < minutes * 60:
            time.sleep(30)
            looks.append(service.look())
        seconds = time.monotonic() - began
        least = floor.cpu_seconds() - least
    finally:
        floor.process.kill()
        floor.process.wait()
        service.end()
    first, last = looks[0], looks[-1]
    polls = last.polls - first.polls
    cpu = last.cpu_seconds - first.cpu_seconds
    row("minutes, polls", f"{seconds / 60:.1f}, {polls}")
    row("load average", " ".join(f"{load:.1f}" for load in os.getloadavg()))
    row("CPU a poll", f"{cpu * 1000 / polls:.2f} ms", f"at most {LIMIT_POLL_MS}")
    row("CPU a minute of reading the same files alone", f"{least * 1000 / (seconds / 60):.2f} ms", "the floor")
    row("share of a core", f"{cpu * 100 / seconds:.4f} %", f"at most {LIMIT_CORE_PERCENT}")
    row("wake-ups a poll", f"{(last.wakeups - first.wakeups) / polls:.2f}", "at most 1")
    memory_rows(looks)
    row("entries written", str(len(service.entries())))


def simulated(folder: Path, seconds: int) -> None:
    service = Running(folder, "--fast", str(seconds))
    looks = list(service.looks(0.5))
    service.end()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    polls = service.state()["poll_count"]
    row("simulated hours, polls", f"{seconds / 3600:.0f}, {polls}")
    row(
        "CPU of the service alone, a poll", f"{looks[-1].cpu_seconds * 1000 / looks[-1].polls:.2f} ms", "start-up in it"
    )
    row("CPU with children", f"{used.ru_utime + used.ru_stime:.1f} s")
    memory_rows([look for look in looks if look.polls] or looks)
    row("entries written", str(len(service.entries())))


def export(lines: Iterable[str], first: int = 1) -> Iterator[bytes]:
    """Write kernel lines as `journalctl -o export` does. :param first: the number of the first, which dates them."""
    for number, line in enumerate(lines, first):
        wall, since = 1_700_000_000_000_000 + number * 1000, 100_000_000 + number * 1000
        fields = {
            "__CURSOR": f"s={5:032x};i={number:x};b={BOOT};m={since:x};t={wall:x};x={number:x}",
            "__REALTIME_TIMESTAMP": wall,
            "__MONOTONIC_TIMESTAMP": since,
            "_BOOT_ID": BOOT,
            "_MACHINE_ID": BOOT,
            "_TRANSPORT": "kernel",
            "PRIORITY": 4,
            "SYSLOG_IDENTIFIER": "kernel",
            "_SOURCE_MONOTONIC_TIMESTAMP": since,
            "MESSAGE": line,
        }
        yield "".join(f"{name}={value}\n" for name, value in fields.items()).encode() + b"\n"


def flood_lines(lines: int, reports: int) -> Iterator[str]:
    """Reports of current kernels among other lines."""
    rng = random.Random(1)
    eras = [era for era in ERAS if era.version >= (6, 1, 0)]
    made = [list(make_report(rng.choice(eras), rng)) for _ in range(60)]
    written = 0
    for number in range(reports):
        for line in made[number % len(made)]:
            yield line.replace("\n", " ")
            written += 1
        while written < (number + 1) * lines // reports:
            yield f"usb 1-{written % 8}: new high-speed USB device number {written} using xhci_hcd"
            written += 1


def make_journal(folder: Path, lines: Iterable[str], first: int = 1) -> None:
    """Write the lines into journal files; see `export`."""
    folder.mkdir(exist_ok=True)
    writer = subprocess.Popen(
        [REMOTE, f"--output={folder / 'made.journal'}", "-"], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert writer.stdin is not None
    for entry in export(lines, first):
        writer.stdin.write(entry)
    writer.stdin.close()
    if writer.wait() != 0:
        sys.exit(f"{REMOTE} failed")


def replay(folder: Path, lines: Iterable[str], expected: int | None) -> None:
    """Let the service read a journal that holds these lines."""
    make_journal(folder / "journal", lines)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    service = Running(folder, "--journal", str(folder / "journal"), "--fast", "3600")
    looks = list(service.looks(0.05))
    service.end()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    row("CPU with children", f"{used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime:.1f} s")
    row("reports counted", str(service.state()["report_count"]), "" if expected is None else f"all {expected}")
    memory_rows([look for look in looks if look.polls] or looks)
    row("entries written", str(len(service.entries())), f"under {LIMIT_ENTRIES}")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("part", choices=("rest", "day", "polls", "flood", "corpus"))
    options.add_argument("logs", nargs="?", type=Path, help="corpus: the folder")
    options.add_argument("--minutes", type=float, default=30.0)
    options.add_argument("--polls", type=int, default=100_000)
    options.add_argument("--lines", type=int, default=1_000_000)
    options.add_argument("--reports", type=int, default=10_000)
    options.add_argument("--journal", help="rest: read the log from the journal files of this folder")
    options.add_argument("--keep", type=Path, help="a folder to work in, which is kept")
    chosen = options.parse_args()
    if chosen.part in ("flood", "corpus") and not Path(REMOTE).exists():
        sys.exit(f"{REMOTE} is missing")
    folder = chosen.keep or Path(tempfile.mkdtemp(prefix="pagewarden-bench-"))
    folder.mkdir(exist_ok=True)
    print(f"{chosen.part}: Python {sys.version.split()[0]}, Linux {os.uname().release}")
    try:
        if chosen.part == "rest":
            rest(folder, chosen.minutes, ["--journal", chosen.journal] if chosen.journal else [])
        elif chosen.part == "day":
            simulated(folder, 86_400)
        elif chosen.part == "polls":
            simulated(folder, chosen.polls * 60)
        elif chosen.part == "flood":
            replay(folder, flood_lines(chosen.lines, chosen.reports), chosen.reports)
        else:
            paths = sorted(path for path in chosen.logs.iterdir() if path.suffix == ".log")
            lines = (line for path in paths for line in path.read_text(errors="replace").splitlines())
            replay(folder, lines, None)
    finally:
        if chosen.keep is None:
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
