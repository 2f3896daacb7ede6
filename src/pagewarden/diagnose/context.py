"""Where a request came from, by its trace: an interrupt, or reclaim itself."""

import re

from pagewarden.klog.types import Report

_INTERRUPT = re.compile(
    r"_*do_softirq(?:_own_stack)?|irq_exit(?:_rcu)?|_*handle_irq_event\w*|do_IRQ|net_rx_action|__irq_svc|el[01]_irq|"
    r"el[01]t?_interrupt|el[01][ht]_64_irq(?:_handler)?|gic_handle_irq|handle_percpu_devid_irq"
)


def in_interrupt(report: Report) -> bool:
    """Whether the trace leads through an interrupt: not what a stack keeps of an earlier one ("? net_rx_action")."""
    certain = [frame for frame in report.trace if frame.reliable] or report.trace
    return any(frame.section in ("IRQ", "SOFTIRQ", "NMI") or _INTERRUPT.fullmatch(frame.function) for frame in certain)


_RECLAIM = re.compile(
    r"balance_pgdat|kswapd|try_to_free_(?:mem_cgroup_)?pages|__perform_reclaim|shrink_(?:node|zone|lruvec)"
)


def within_reclaim(report: Report) -> bool:
    """The request came from reclaim itself, which frees memory and cannot wait for memory to be freed.

    An interrupt over reclaim is none of it.

    Kernel: mm/page_alloc.c:__alloc_pages_slowpath(): PF_MEMALLOC ends it before direct reclaim.
    """
    if in_interrupt(report):
        return False
    return any(frame.reliable and _RECLAIM.fullmatch(frame.function) for frame in report.trace)
