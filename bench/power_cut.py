"""Cut the power of a virtual machine at random instants of an apply and of a revert; print what the next boot finds.

    python -m bench.power_cut [--cuts N] [--seed S] [--suite bookworm|trixie|bullseye] [--keep FOLDER]

Needs root, QEMU and Python 3.11. The guest is an unmodified Debian kernel with ext4 on the disk that holds
/etc/sysctl.d and /var/lib/pagewarden. QEMU is killed; and since what a guest wrote would survive that in the host's
memory, its disk is one with a volatile cache: QEMU logs every write and every flush (blklogwrites), and the disk of
the next boot is made from the log. What was written before the last flush that was answered is there; of what came
after it, one cut in four loses nothing, one everything, one whole writes at random, one single sectors at random.
The next boot runs systemd-sysctl as any boot does, lets pagewarden recover, checks files, record and every setting,
reverts, and goes on to the next cut.
"""

import argparse
import json
import os
import random
import selectors
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.vm.cache import cache_folder
from tests.vm.python_guest import Guest, command_of, guest_of, make_disk

HERE = Path(__file__).parent
PROGRAM = """\
mkdir -p /state /var/lib/pagewarden
mount -t ext4 /dev/vdc /state || echo '@@VERDICT {"wrong": ["the disk cannot be mounted"]}'
mount --bind /state/sysctl.d /etc/sysctl.d; mount --bind /state/pagewarden /var/lib/pagewarden
python3 -m bench.power_note
/lib/systemd/systemd-sysctl
exec python3 -m bench.power_guest
"""
FILES = {f"bench/{name}": HERE / name for name in ("power_guest.py", "power_note.py")}
SECTOR = 512
FLUSH, FUA, DISCARD = 1, 2, 4
OPERATIONS = ("apply at once", "revert", "apply and wait", "revert")
LOSSES = ("nothing", "everything", "whole writes", "sectors")
STATE_MB, LOG_MB = 32, 512
BOOT_SECONDS = 600


@dataclass(frozen=True, slots=True)
class Cut:
    """One cut: in which operation, which part of its time had gone, what was lost of what was not flushed."""

    operation: str
    part: float
    loss: str
    unflushed: int
    dropped: int


def entries(log: Path) -> Iterator[tuple[int, int, bytes]]:
    """The log of QEMU's blklogwrites in order: first sector, flags, content."""
    with log.open("rb") as file:
        magic, _, _, size = struct.unpack("<QQQI", file.read(28))
        assert (magic, size) == (0x6A736677736872, SECTOR)
        file.seek(SECTOR)
        while len(head := file.read(SECTOR)) == SECTOR:
            sector, count, flags, length = struct.unpack_from("<QQQQ", head)
            if (sector, count, flags, length) == (0, 0, 0, 0):
                return
            yield sector, flags, b"" if flags & DISCARD else file.read(count * SECTOR)


def after_cut(disk: bytearray, log: Path, loss: str, chance: random.Random) -> tuple[int, int]:
    """Make the disk what a power cut leaves of it: (sectors that were not flushed, sectors lost of them)."""
    cached: list[tuple[int, bytes]] = []
    for sector, flags, content in entries(log):
        if flags & FLUSH:
            for start, data in cached:
                disk[start : start + len(data)] = data
            cached = []
        if content:
            cached.append((sector * SECTOR, content))
        if flags & FUA:
            start, data = cached.pop()
            disk[start : start + len(data)] = data
    total = lost = 0
    for start, data in cached:
        whole = chance.random() < 0.5
        for offset in range(0, len(data), SECTOR):
            total += 1
            kept = {"nothing": True, "everything": False, "whole writes": whole}.get(loss, chance.random() < 0.5)
            lost += not kept
            if kept:
                disk[start + offset : start + offset + SECTOR] = data[offset : offset + SECTOR]
    return total, lost


class Run:
    """One boot: judged, then cut in the operation that was asked for."""

    def __init__(self, guest: Guest, folder: Path) -> None:
        self.log = folder / "log.img"
        self.log.unlink(missing_ok=True)
        with self.log.open("wb") as file:
            file.truncate(LOG_MB << 20)
        scratch = folder / "state-now.img"
        shutil.copy(folder / "state.img", scratch)
        drives = (
            *("-blockdev", f"driver=file,node-name=f0,filename={scratch},cache.no-flush=on"),
            *("-blockdev", f"driver=file,node-name=f1,filename={self.log},cache.no-flush=on"),
            *("-blockdev", f"driver=blklogwrites,node-name=state,file=f0,log=f1,log-sector-size={SECTOR}"),
            *("-device", "virtio-blk-pci,drive=state,write-cache=on"),
        )
        self._said = (folder / "qemu").open("wb")
        self._process = subprocess.Popen(
            command_of(guest, folder / "console", more=drives),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._said,
        )
        assert self._process.stdout is not None
        self._pipe = self._process.stdout.fileno()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._pipe, selectors.EVENT_READ)
        self._buffer = b""
        self.lines: list[str] = []

    def until(self, start: str) -> str:
        """Wait for a line; every line is kept."""
        deadline = time.monotonic() + BOOT_SECONDS
        while True:
            while b"\n" in self._buffer:
                line, _, self._buffer = self._buffer.partition(b"\n")
                self.lines.append(line.decode(errors="replace"))
                if self.lines[-1].startswith(start):
                    return self.lines[-1]
            if not self._selector.select(max(0.0, deadline - time.monotonic())):
                raise TimeoutError(f"no {start!r}: {self.lines[-20:]}")
            read = os.read(self._pipe, 65536)
            if not read:
                raise EOFError(f"the guest ended before {start!r}: {self.lines[-20:]}")
            self._buffer += read

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        self._selector.close()
        self._said.close()


def seconds_of(lines: list[str]) -> dict[str, float]:
    """How long each operation took that was not cut; each must have ended well."""
    found = {}
    for line in lines:
        if line.startswith("@@END "):
            name, status, seconds = _end(line)
            assert status == 0, line
            found[name] = max(seconds, found.get(name, 0.0))
    return found


def _end(line: str) -> tuple[str, int, float]:
    words = line.split()
    number = next(index for index, word in enumerate(words) if word.isdigit())
    return " ".join(words[1:number]), int(words[number]), float(words[number + 1])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cuts", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--suite", default="bookworm", help="whose kernel")
    parser.add_argument("--keep", type=Path, help="keep everything in this folder")
    args = parser.parse_args()
    if os.geteuid() != 0 or sys.version_info[:2] != (3, 11):
        print("power_cut: needs root, and Python 3.11 as in the guest", file=sys.stderr)
        return 2
    folder = args.keep or Path(tempfile.mkdtemp(prefix="power-cut-"))
    try:
        return cuts(folder, args.suite, args.cuts, random.Random(args.seed))
    finally:
        if args.keep is None:
            shutil.rmtree(folder)


def cuts(folder: Path, suite: str, count: int, chance: random.Random) -> int:
    guest = guest_of(suite, PROGRAM, FILES, cache_folder(), folder)
    content = folder / "content"
    for name in ("sysctl.d", "pagewarden"):
        (content / name).mkdir(parents=True, exist_ok=True)
    (content / "sysctl.d/90-other.conf").write_text("vm.swappiness = 61\n")
    make_disk(folder / "state.img", STATE_MB, content)
    print(f"Linux {guest.release}", flush=True)
    last: Cut | None = None
    durations: dict[str, float] = {}
    results, wrong, began = Counter[tuple[str, str]](), 0, time.monotonic()
    for number in range(count + 1):
        run = Run(guest, folder)
        try:
            verdict = json.loads(run.until("@@VERDICT ").removeprefix("@@VERDICT "))
            wrong += bool(verdict["wrong"])
            if last is not None:
                show(number, last, verdict)
                results[f"{last.operation}, lost: {last.loss}", outcome(verdict)] += 1
            elif verdict["wrong"]:
                raise SystemExit(f"power_cut: the first boot: {verdict}")
            if number == count:
                break
            last = cut(run, folder, number, durations, chance)
        finally:
            run.kill()
    print_matrix(results)
    print(f"{count} cuts, {time.monotonic() - began:.0f} s; wrong: {wrong}")
    return 1 if wrong else 0


def cut(run: Run, folder: Path, number: int, durations: dict[str, float], chance: random.Random) -> Cut:
    """Let operations come and go until the one that is to be cut, and cut it."""
    operation = OPERATIONS[number % 4]
    if not durations:
        run.until("@@BEGIN apply and wait")
        run.until("@@BEGIN revert")
        run.until("@@BEGIN apply")  # a whole round is over
        durations |= seconds_of(run.lines)
    run.until(f"@@BEGIN {operation}")
    length = next(seconds for name, seconds in durations.items() if name.startswith(operation))
    part = chance.random()
    time.sleep(part * length)
    run.kill()
    loss = LOSSES[number // 4 % 4]
    disk = bytearray((folder / "state.img").read_bytes())
    total, lost = after_cut(disk, run.log, loss, chance)
    (folder / "state.img").write_bytes(disk)
    return Cut(operation, part, loss, total, lost)


def outcome(verdict: dict[str, object]) -> str:
    return "WRONG" if verdict["wrong"] else f"{verdict['found']}: {verdict['state']}"


def show(number: int, last: Cut, verdict: dict[str, object]) -> None:
    print(
        f"  {number:3} {last.operation} at {last.part:.0%}; not flushed: {last.unflushed} sectors, lost {last.dropped} "
        f"({last.loss}); {outcome(verdict)} {verdict['wrong'] or verdict['said']}",
        flush=True,
    )


def print_matrix(results: Counter[tuple[str, str]]) -> None:
    columns = sorted({what for _, what in results})
    rows = sorted({row for row, _ in results})
    print(f"  {'':36}" + "".join(f"  {column}" for column in columns))
    for row in rows:
        print(f"  {row:36}" + "".join(f"  {results[row, column] or '-':>{len(column)}}" for column in columns))


if __name__ == "__main__":
    sys.exit(main())
