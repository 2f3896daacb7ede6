"""What reclaim could have taken of the memory that a request may use."""

from collections.abc import Mapping
from dataclasses import dataclass

from pagewarden.klog.types import Report

_LISTS = ("active_file", "inactive_file")
_UNWRITTEN = ("dirty", "writeback", "unstable")


@dataclass(frozen=True, slots=True)
class Reclaimable:
    """Page cache and reclaimable slab.

    :ivar files_kb: the page cache alone.
    :ivar unwritten_kb: what storage must take before it can be freed: dirty or under writeback.
    """

    files_kb: int
    slab_kb: int
    unwritten_kb: int

    @property
    def total_kb(self) -> int:
        """All of it."""
        return self.files_kb + self.slab_kb

    @property
    def clean_kb(self) -> int:
        """What can be freed at once."""
        return max(0, self.total_kb - self.unwritten_kb)


def reclaimable_of(report: Report, nodes: frozenset[int] | None = None) -> Reclaimable | None:
    """Sum what the counters print, of the whole machine or of NODES; None where they do not print it.

    The first counters are of the whole machine whatever the request is bound to. A node's own line (since 4.8) has no
    slab in it.
    """
    if nodes is None:
        kb = (report.page_size or 4096) // 1024
        machine = {name: pages * kb for name, pages in report.counters_pages.items()}
        return _sum([machine], machine.get("slab_reclaimable"))
    lines = {line.node: line.values_kb for line in report.nodes if line.node in nodes}
    if not lines or any(dump.node in nodes and dump.node not in lines for dump in report.zones):
        return None
    return _sum(list(lines.values()), 0)


def _sum(values: list[Mapping[str, int]], slab_kb: int | None) -> Reclaimable | None:
    if slab_kb is None or not all(name in each for each in values for name in _LISTS):
        return None
    files = sum(each[name] for each in values for name in _LISTS)
    return Reclaimable(files, slab_kb, sum(each.get(name, 0) for each in values for name in _UNWRITTEN))
