"""What a caller was allowed to do about a shortage: wait for reclaim, or go below the min mark."""

from pagewarden.diagnose.replay import Replay
from pagewarden.klog.types import Report

CONFINED = frozenset({"CONSTRAINT_CPUSET", "CONSTRAINT_MEMORY_POLICY"})


def highest_zone(report: Report, replay: Replay) -> str | None:
    """The highest zone the mask allows, by the name it has on that machine: a kernel of 64 bits has no HighMem.

    Kernel: include/linux/gfp.h:gfp_zone(): OPT_ZONE_HIGHMEM
    """
    zone = replay.flags.zone if replay.flags is not None else None
    return "Normal" if zone == "HighMem" and report.is_64_bit else zone


def has_discount(replay: Replay) -> bool:
    """Some zone was checked against less than its whole mark: the caller may use a part of the reserve.

    Since 4.4 GFP_NOWAIT alone may not: min is its limit as it is everybody's.
    """
    return any(zone.check is not None and zone.check.mark_pages < zone.check.base_mark_pages for zone in replay.zones)


def constraint_words(report: Report) -> str:
    """What confined the task, of an OOM report with one of `CONFINED`."""
    return "cpuset" if report.constraint == "CONSTRAINT_CPUSET" else "memory policy"


def bound_to(report: Report) -> str:
    """To which nodes a request is bound by its nodemask or its task's cpuset: "only node 0 may be used"."""
    listed = (report.nodemask, report.mems_allowed)
    nodes = next((text for text in listed if text is not None and text[:1].isdigit()), None)
    if nodes is None:
        return "the request was bound to other nodes"
    return f"only node{'' if nodes.isdigit() else 's'} {nodes} may be used"


def names_its_node(report: Report, replay: Replay) -> bool:
    """The request itself asked for one node (__GFP_THISNODE), and nothing confined its task."""
    if replay.flags is None or not replay.flags.thisnode or report.constraint in CONFINED:
        return False
    return report.nodemask is None or not report.nodemask[:1].isdigit()
