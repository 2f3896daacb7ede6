"""Reports as the kernel of a scenario prints them, for its own machine: written from `[[reports]]`."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from tests.scenario_machine import pages, part, refuse_unknown, version_of

from pagewarden.kernel.gfp import encode_names
from pagewarden.kernel.gfp_tables import generation_for
from pagewarden.kernel.version import KernelVersion
from pagewarden.procfs.types import Snapshot, Zone

REPORT_KEYS = frozenset(
    {"kind", "request", "order", "comm", "trace", "at", "times", "every_seconds", "host", "kernel"}
    | {"zones", "reclaimable", "stall_ms", "constraint", "group", "low_then", "kernels_own"}
)
KINDS = ("failure", "oom", "stall", "memcg-oom", "no-addresses")


@dataclass(frozen=True, slots=True)
class Box:
    """What a kernel prints in every report."""

    release: str
    version: KernelVersion
    page_kb: int
    zones: tuple[Zone, ...]
    numa: bool

    def at_least(self, *release: int) -> bool:
        return self.version.at_least(*release)


def write_log(reports: Sequence[Mapping[str, Any]], snapshot: Snapshot) -> str:
    """The log of a scenario, with the prefix of syslog where a report has a time, of dmesg where it has none."""
    return "".join(f"{line}\n" for table in reports for line in _repeated(table, snapshot))


def _repeated(table: Mapping[str, Any], snapshot: Snapshot) -> Iterator[str]:
    refuse_unknown(table, REPORT_KEYS, "[[reports]]")
    release = table.get("kernel", snapshot.kernel)
    arch = snapshot.arch or ""
    box = Box(
        release,
        version_of(release),
        snapshot.page_size // 1024,
        tuple(zone for zone in snapshot.zones if zone.populated),
        numa=arch in ("x86_64", "ppc64le") or len(snapshot.nodes) > 1 or arch == "arm64",
    )
    lines = list(_report(table, box))
    host = table.get("host", snapshot.host or "box")
    at = None if "at" not in table else datetime.fromisoformat(table["at"])
    for number in range(table.get("times", 1)):
        passed = number * table.get("every_seconds", 60)
        seconds = 5000 + passed
        stamp = "" if at is None else f"{at + timedelta(seconds=passed):%b %e %H:%M:%S} {host} kernel: "
        for index, line in enumerate(lines):
            yield f"{stamp}[{seconds + index * 1e-5:12.6f}] {line}"


def _report(table: Mapping[str, Any], box: Box) -> Iterator[str]:
    kind = table.get("kind", "failure")
    if kind not in KINDS:
        raise ValueError(f"[[reports]] kind {kind!r}: expected one of {', '.join(KINDS)}")
    comm, order = table.get("comm", "swapper/0"), table.get("order", 0)
    mask = _mask(table.get("request", "GFP_ATOMIC"), box.version)
    yield from _header(table, kind, box, comm, order, mask)
    if box.at_least(3, 10):
        yield f"CPU: 2 PID: 4711 Comm: {comm} Not tainted {box.release} #1"
    else:
        yield f"Pid: 4711, comm: {comm} Not tainted {box.release} #1"
    yield "Call Trace:"
    for frame in ("__alloc_pages", *table.get("trace", ())):
        function, _, module = frame.partition(" ")
        yield f" [<ffffffff8110ef89>] {function}+0x147/0x300" + (f" {module}" if module else "")
    if kind == "memcg-oom":
        yield "memory: usage 1048576kB, limit 1048576kB, failcnt 4480"
        yield f"Memory cgroup stats for {table['group']}:"
    else:
        yield from _memory(table, box)
    if kind in ("oom", "memcg-oom"):
        yield from _killed(table, kind, box)


def _mask(names: str, version: KernelVersion) -> str:
    mask = encode_names(names.split("|"), generation_for(version))
    if mask is None:
        raise ValueError(f"[[reports]] request {names!r}: not of kernel {version.release}")
    return f"{mask:#x}({names})" if version.at_least(4, 6) else f"{mask:#x}"


def _header(table: Mapping[str, Any], kind: str, box: Box, comm: str, order: int, mask: str) -> Iterator[str]:
    policy = ", nodemask=(null)" if box.at_least(4, 12) else ""
    policy += ",cpuset=/,mems_allowed=0" if box.at_least(5, 0) else ""
    if kind in ("oom", "memcg-oom"):
        word = "oom_score_adj" if box.at_least(3, 8) else "oom_adj"
        policy = "" if box.at_least(5, 0) else policy
        yield f"{comm} invoked oom-killer: gfp_mask={mask}{policy}, order={order}, {word}=0"
    elif kind == "stall":
        yield f"{comm}: page allocation stalls for {table['stall_ms']}ms, order:{order}, mode:{mask}{policy}"
    elif kind == "no-addresses":
        yield "vmap allocation for size 1052672 failed: use vmalloc=<size> to increase size"
        yield f"{comm}: vmalloc: allocation failure: 1048576 bytes, mode:{mask}{policy}"
    else:
        yield f"{comm}: page allocation failure{':' if box.at_least(3, 0) else '.'} order:{order}, mode:{mask}{policy}"


def _memory(table: Mapping[str, Any], box: Box) -> Iterator[str]:
    size = box.page_kb * 1024
    cache = pages(table.get("reclaimable", "40 MiB"), size)
    own = pages(table.get("kernels_own", 4000), size)
    yield "Mem-Info:"
    if box.at_least(2, 6, 28):
        yield "active_anon:2010 inactive_anon:101370 isolated_anon:0"
        yield f" active_file:{cache // 4} inactive_file:{cache // 2} isolated_file:0"
        yield " unevictable:0 dirty:31 writeback:0"
        yield f" slab_reclaimable:{cache // 4} slab_unreclaimable:{own}"
    else:
        yield f"Active:{cache // 2} inactive:{cache // 2} dirty:1 writeback:0 unstable:0 free:1000 slab:{own}"
    if box.at_least(4, 8):
        for node in sorted({zone.node for zone in box.zones}):
            yield f"Node {node} active_anon:8040kB inactive_anon:405480kB active_file:{cache}kB all_unreclaimable? no"
    lists = []
    for zone in box.zones:
        given = table.get("zones", {}).get(zone.name, table.get("zones", {}).get(f"{zone.node}/{zone.name}", {}))
        refuse_unknown(given, frozenset({"free", "blocks", "cma", "letter", "lists"}), "[[reports]] zones")
        label = f"Node {zone.node} {zone.name}" if box.numa else zone.name
        free = _free(given, zone, size)
        yield _zone_line(table, box, zone, label, free, given)
        yield "lowmem_reserve[]: " + " ".join(map(str, zone.protection_pages or ()))
        lists.append(f"{label}: {_blocks(given, box, free)} = {free * box.page_kb}kB")
    yield from lists
    yield f"{cache} total pagecache pages"
    yield "Free swap  = 0kB"
    yield "Total swap = 0kB"


def _free(given: Mapping[str, Any], zone: Zone, page_size: int) -> int:
    """Pages: plain, as a size, or as a share of the zone's own min mark ("30 % of min")."""
    text = given.get("free", zone.free_pages)
    if isinstance(text, str) and text.endswith(" of min"):
        return part(text.removesuffix(" of min"), zone.min_pages, page_size)
    return part(text, zone.present_pages, page_size)


def _zone_line(table: Mapping[str, Any], box: Box, zone: Zone, label: str, free: int, given: Mapping[str, Any]) -> str:
    kb = box.page_kb
    # low_then: the report is of a time when the marks were lower (or higher): a share of today's.
    share = float(table["low_then"].removesuffix(" %")) / 100 if "low_then" in table else 1.0
    low, minimum, high = (int(mark * share) for mark in (zone.low_pages, zone.min_pages, zone.high_pages))
    cma = pages(given.get("cma", 0), kb * 1024)
    words = [f"{label} free:{free * kb}kB"]
    words += [f"boost:{(zone.boost_pages or 0) * kb}kB"] if box.at_least(5, 16) else []
    words += [f"min:{minimum * kb}kB low:{low * kb}kB high:{high * kb}kB"]
    words += ["reserved_highatomic:0KB"] if box.at_least(5, 5) else []
    words += ["free_highatomic:0KB"] if box.at_least(6, 15) else []
    anon = pages(given.get("lists", 1), kb * 1024)
    words += [f"active_anon:0kB inactive_anon:{anon * kb}kB active_file:16kB inactive_file:8kB unevictable:0kB"]
    words += [f"present:{zone.present_pages * kb}kB"]
    if zone.managed_pages is not None:
        words += [f"managed:{zone.managed_pages * kb}kB mlocked:0kB"]
    if "kernels_own" in table and not box.at_least(4, 8):
        own = pages(table["kernels_own"], kb * 1024) if zone.name == "Normal" else 0
        words += [f"slab_reclaimable:0kB slab_unreclaimable:{own * kb}kB kernel_stack:0kB pagetables:0kB"]
    words += [f"free_cma:{cma * kb}kB"] if box.at_least(3, 8) else []
    words += ["pages_scanned:0 all_unreclaimable? no"] if not box.at_least(4, 7) else []
    return " ".join(words)


def _blocks(given: Mapping[str, Any], box: Box, free: int) -> str:
    """Free blocks by order: all single pages unless `blocks` gives the counts of higher orders ({9 = 3})."""
    counts = [0] * 11
    for order, count in given.get("blocks", {}).items():
        counts[int(order)] = count
    counts[0] = max(0, free - sum(count << order for order, count in enumerate(counts)))
    letter = given.get("letter", "U")
    marks = [f" ({letter})" if count and box.at_least(3, 8) else "" for count in counts]
    return " ".join(f"{count}*{box.page_kb << order}kB{marks[order]}" for order, count in enumerate(counts))


def _killed(table: Mapping[str, Any], kind: str, box: Box) -> Iterator[str]:
    comm, group = table.get("comm", "java"), table.get("group", "/")
    constraint = table.get("constraint", "CONSTRAINT_MEMCG" if kind == "memcg-oom" else "CONSTRAINT_NONE")
    if box.at_least(5, 0):
        scope = f"oom_memcg={group}" if kind == "memcg-oom" else "global_oom"
        yield (
            f"oom-kill:constraint={constraint},nodemask=(null),cpuset=/,mems_allowed=0,{scope},task_memcg={group},"
            f"task={comm},pid=4711,uid=1000"
        )
    what = "Memory cgroup out of memory" if kind == "memcg-oom" else "Out of memory"
    if box.at_least(4, 20):
        yield f"{what}: Killed process 4711 ({comm}) total-vm:4861244kB, anon-rss:900416kB, file-rss:0kB, shmem-rss:0kB"
    else:
        yield f"{what}: Kill process 4711 ({comm}) score 900 or sacrifice child"
        yield f"Killed process 4711 ({comm}) total-vm:4861244kB, anon-rss:900416kB, file-rss:0kB"
