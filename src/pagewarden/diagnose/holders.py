"""Who held memory when an out-of-memory report was written, from its tasks, counters, swap and huge page pools."""

from collections.abc import Iterator
from dataclasses import dataclass

from pagewarden.diagnose.diagnosis import Remedy
from pagewarden.klog.types import Report
from pagewarden.units import human_bytes

LARGE_PERCENT = 20
"""A holder with this share of memory is worth a look of its own."""

MAX_TASKS = 3


@dataclass(frozen=True, slots=True)
class Holders:
    """What held memory, in kB; None where the report does not print it.

    :ivar total_kb: of the zones printed.
    :ivar tasks: the largest by resident memory, with what they had; pages they share count with each.
    :ivar anonymous_kb: what all tasks have for themselves.
    :ivar huge_kb: in the pools of huge pages, `huge_free_kb` of it in pages that nobody uses.
    """

    total_kb: int | None
    tasks: tuple[tuple[str, int], ...]
    anonymous_kb: int | None
    slab_kb: int | None
    shared_kb: int | None
    huge_kb: int
    huge_free_kb: int
    swap_total_kb: int | None
    swap_free_kb: int | None

    def is_large(self, kb: int | None) -> bool:
        """Whether it is a large share of memory."""
        return bool(kb and self.total_kb) and (kb or 0) * 100 >= (self.total_kb or 0) * LARGE_PERCENT


def memory_kb(report: Report) -> int | None:
    """The memory of all zones printed; None where no size is."""
    sizes = [zone.present_kb if zone.managed_kb is None else zone.managed_kb for zone in report.zones]
    known = [size for size in sizes if size is not None]
    return sum(known) if known else None


def holders_of(report: Report) -> Holders:
    """Collect who held memory."""
    page_kb = (report.page_size or 4096) // 1024

    def counted(name: str) -> int | None:
        pages = report.counters_pages.get(name)
        return None if pages is None else pages * page_kb

    active, inactive, shared = counted("active_anon"), counted("inactive_anon"), counted("shmem")
    return Holders(
        total_kb=memory_kb(report),
        tasks=_tasks(report, page_kb),
        anonymous_kb=None if active is None or inactive is None else max(active + inactive - (shared or 0), 0),
        slab_kb=counted("slab_unreclaimable"),
        shared_kb=shared,
        huge_kb=sum(pool.total * pool.size_kb for pool in report.hugepages),
        huge_free_kb=sum(pool.free * pool.size_kb for pool in report.hugepages),
        swap_total_kb=report.totals.swap_total_kb,
        swap_free_kb=report.totals.swap_free_kb,
    )


def _tasks(report: Report, page_kb: int) -> tuple[tuple[str, int], ...]:
    if report.largest_tasks:
        return tuple((_named(task.comm, task.pid), task.rss_pages * page_kb) for task in report.largest_tasks)
    victim = report.victim
    parts = () if victim is None else (victim.anon_rss_kb, victim.file_rss_kb, victim.shmem_rss_kb)
    known = [part for part in parts if part is not None]
    return ((_named(victim.comm, victim.pid), sum(known)),) if victim is not None and known else ()


def _named(comm: str | None, pid: int) -> str:
    return f"{comm} (process {pid})" if comm else f"process {pid}"


def holder_sentences(held: Holders) -> Iterator[str]:
    """Say who held memory: the largest tasks, the kernel's own caches, shared memory, and whether swap was left."""
    where = f"Of {human_bytes(held.total_kb * 1024)}" if held.total_kb else "In the report"
    parts = _largest_tasks(held, (held.total_kb or 0) // 100)
    if held.is_large(held.anonymous_kb):
        parts.append(f"all tasks together had {human_bytes((held.anonymous_kb or 0) * 1024)} of their own")
    if held.slab_kb is not None:
        parts.append(f"unreclaimable slab took {human_bytes(held.slab_kb * 1024)}")
    if held.is_large(held.shared_kb):
        parts.append(f"tmpfs and shared memory took {human_bytes((held.shared_kb or 0) * 1024)}")
    if parts:
        yield f"{where}, {', '.join(parts)}."
    if held.swap_total_kb is not None and held.swap_free_kb is not None:
        yield _swap(held.swap_total_kb, held.swap_free_kb)


def _largest_tasks(held: Holders, least_kb: int) -> list[str]:
    return [
        f"{name} had {human_bytes(kb * 1024)}"
        for name, kb in held.tasks[:MAX_TASKS]
        if kb > least_kb and kb * 10 >= held.tasks[0][1]
    ]


def task_sentences(held: Holders) -> Iterator[str]:
    """Name the largest tasks alone: all there is to say of a control group."""
    largest = _largest_tasks(held, 0)
    if largest:
        yield f"Of its tasks, {', '.join(largest)}."


def huge_page_sentences(held: Holders) -> Iterator[str]:
    """Name the pools of huge pages where they are large."""
    if held.is_large(held.huge_kb):
        yield f"Huge pages held {_huge(held)}, which nothing else can use."


def _huge(held: Holders) -> str:
    of = f" of {human_bytes(held.total_kb * 1024)}" if held.total_kb else ""
    unused = f" ({human_bytes(held.huge_free_kb * 1024)} of it unused)" if held.huge_free_kb else ""
    return f"{human_bytes(held.huge_kb * 1024)}{of}{unused}"


def _swap(total_kb: int, free_kb: int) -> str:
    if total_kb == 0:
        return "There was no swap."
    if free_kb == 0:
        return f"All {human_bytes(total_kb * 1024)} of swap were in use."
    return f"Of {human_bytes(total_kb * 1024)} of swap, {human_bytes(free_kb * 1024)} were free."


def holder_remedies(held: Holders) -> list[Remedy]:
    """Where to look: each holder with a large share of memory, the largest first."""
    of = f" of {human_bytes((held.total_kb or 0) * 1024)}"
    found: list[tuple[int, Remedy]] = []

    def add(kb: int | None, action: str, key: str, why: str) -> None:
        if kb is not None and held.is_large(kb):
            found.append((kb, Remedy(action, key, None, why)))

    for name, kb in held.tasks[:1]:
        why = f"it had {human_bytes(kb * 1024)}{of}; limit it, move it, or add memory"
        add(kb, f"look at {name}", "action:reduce-load", why)
    if not found:
        why = f"tasks had {human_bytes((held.anonymous_kb or 0) * 1024)}{of} together; "
        why += "none of them stands out" if len(held.tasks) > 1 else "the list of them is not in the log"
        add(held.anonymous_kb, "look at what ran at that time", "action:reduce-load", why)
    why = "slabtop and /proc/slabinfo name the caches; one that only grows is a leak in the kernel or a module"
    add(held.slab_kb, "look at the kernel's own unreclaimable slab", "action:reduce-load", why)
    why = "df -t tmpfs and ipcs -m show them; nothing but swap takes them when memory is short"
    add(held.shared_kb, "look at tmpfs and shared memory", "action:reduce-load", why)
    add(held.huge_kb, "keep fewer huge pages", "vm.nr_hugepages", f"they held {_huge(held)}")
    return [remedy for _, remedy in sorted(found, key=lambda entry: -entry[0])]
