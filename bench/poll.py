"""What one poll of /proc/zoneinfo costs, next to the least it could cost: reading the text and throwing it away.

Run as `python bench/poll.py`. CPU time (user and system) of this process alone, best of several rounds, so that other
work on the machine disturbs little.
"""

import argparse
import os
import platform
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from pagewarden.kernel.machine import machine_of
from pagewarden.procfs.reader import read_file
from pagewarden.procfs.snapshot import read_snapshot
from pagewarden.procfs.zoneinfo import parse_zoneinfo

ZONEINFO = Path("/proc/zoneinfo")
NODE_COUNTERS = 52
ZONE_COUNTERS = 17


def zone_text(node: int, name: str, pages: int, cpus: int, *, statistics: bool) -> str:
    """Write one zone as 6.12 does."""
    lines = [f"Node {node}, zone {name:>8}"]
    if statistics:
        lines.append("  per-node stats")
        lines += [f"      nr_statistic_{index:<3} {pages // (index + 3)}" for index in range(NODE_COUNTERS)]
    lines.append(f"  pages free     {pages // 3}")
    marks = {"boost": 0, "min": pages // 200, "low": pages // 160, "high": pages // 133, "promo": pages // 120}
    sizes = {"spanned": pages, "present": pages, "managed": pages, "cma": 0}
    lines += [f"        {key:<8} {value}" for key, value in (marks | sizes).items()]
    lines.append("        protection: (0, 2868, 15906, 15906, 15906)")
    if not pages:
        return "\n".join(lines) + "\n"
    lines += [f"      nr_counter_{index:<3} {pages // (index + 7)}" for index in range(ZONE_COUNTERS)]
    lines.append("  pagesets")
    for cpu in range(cpus):
        lists = {"count": cpu * 7 % 9000, "high": 7072, "batch": 63, "high_min": 2664, "high_max": 16384}
        lines.append(f"    cpu: {cpu}")
        lines += [f"              {key + ':':<9} {value}" for key, value in lists.items()]
        lines.append("  vm stats threshold: 125")
    lines += ["  node_unreclaimable:  0", "  start_pfn:           1048576"]
    return "\n".join(lines) + "\n"


def large_zoneinfo(nodes: int, cpus: int) -> str:
    """Write the zoneinfo of a machine with this many nodes and CPUs."""
    text = ""
    for node in range(nodes):
        low = {"DMA": 3840, "DMA32": 505_000} if node == 0 else {"DMA": 0, "DMA32": 0}
        for name, pages in {**low, "Normal": 33_000_000, "Movable": 0, "Device": 0}.items():
            first = name == ("DMA" if node == 0 else "Normal")
            text += zone_text(node, name, pages, cpus, statistics=first)
    return text


def cpu_ms(work: Callable[[], object], rounds: int, repeats: int) -> float:
    """Measure the CPU time of one call in milliseconds, the best of several rounds."""
    work()
    best = float("inf")
    for _ in range(rounds):
        start = time.process_time()
        for _ in range(repeats):
            work()
        best = min(best, time.process_time() - start)
    return best * 1000 / repeats


def measure(label: str, path: Path, rounds: int, repeats: int) -> tuple[float, float]:
    """Print one row of the table; give the milliseconds of reading alone and of reading and parsing."""
    size = len(read_file(path))
    limit = cpu_ms(lambda: read_file(path), rounds, repeats)
    poll = cpu_ms(lambda: parse_zoneinfo(read_file(path).decode()), rounds, repeats)
    print(f"{label:<34}{size / 1024:>9.1f}{limit:>11.3f}{poll:>13.3f}{poll / limit:>9.2f}x")
    return limit, poll


def main() -> None:
    """Measure this machine's zoneinfo and that of a large one."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--nodes", type=int, default=8)
    options.add_argument("--cpus", type=int, default=512)
    options.add_argument("--rounds", type=int, default=15)
    options.add_argument("--repeats", type=int, default=20)
    chosen = options.parse_args()
    times = chosen.rounds, chosen.repeats
    print(f"Python {platform.python_version()}, Linux {platform.release()}, {os.cpu_count()} CPUs; CPU ms per poll")
    print(f"{'zoneinfo of':<34}{'KiB':>9}{'read':>11}{'read+parse':>13}{'ratio':>10}")
    live_ms, _ = measure("this machine, from its kernel", ZONEINFO, *times)
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        path = Path(folder, "zoneinfo")
        path.write_text(large_zoneinfo(chosen.nodes, chosen.cpus))
        size = path.stat().st_size
        copied, polled = measure(f"{chosen.nodes} nodes, {chosen.cpus} CPUs, from memory", path, *times)
    printed = live_ms * size / len(read_file(ZONEINFO))
    whole = printed + polled - copied
    print(
        "The limit of the large one is only a copy of its bytes: no kernel here prints them. At this kernel's time per"
    )
    print(
        f"byte it would take {printed:.1f} ms (estimate); a poll then {whole:.1f} ms, {whole / printed:.2f} times that."
    )
    snapshot = read_snapshot("/", page_types=False)
    reading = cpu_ms(lambda: read_snapshot("/", page_types=False), chosen.rounds, 3)
    fitting = cpu_ms(lambda: machine_of(snapshot), chosen.rounds, 3)
    print(
        f"This machine's whole snapshot, without pagetypeinfo: {reading:.2f} ms. Fitting the model: {fitting:.2f} ms."
    )


if __name__ == "__main__":
    main()
