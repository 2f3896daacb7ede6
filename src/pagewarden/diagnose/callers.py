"""What kind of work asked for the memory, read from the functions on the stack.

The name in a report's first line is whoever happened to run; the trace says what was being done.
"""

import re
from dataclasses import dataclass
from enum import StrEnum

from pagewarden.klog.callers import find_caller
from pagewarden.klog.types import Frame, Report


class Work(StrEnum):
    """Kinds of work whose failures mean different things."""

    SOCKET_CLONE = "socket-clone"
    NETWORK_RECEIVE = "network-receive"
    NETWORK_TRANSMIT = "network-transmit"
    HUGE_PAGE = "huge-page"
    FORK = "fork"
    USB = "usb"
    NETWORK_FS = "network-file-system"
    FILE_SYSTEM = "file-system"
    PAGE_FAULT = "page-fault"
    PAGE_CACHE = "page-cache"
    MODULE_LOAD = "module-load"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asked.

    :ivar frame: the innermost function past the allocator's own; None where there is no trace.
    :ivar work: what it was doing.
    :ivar driver: a module on the stack that stands for a device or a file system, if any.
    """

    frame: Frame | None
    work: Work
    driver: str | None


_TRANSMIT = (
    r"dev_queue_xmit|dev_hard_start_xmit|ip_output|ip_queue_xmit|ip6_xmit|tcp_write_xmit|tcp_transmit_skb|start_xmit"
)
_RECEIVE = (
    r"netif_receive_skb|napi_poll|net_rx_action|process_backlog|ip_rcv|ip6_rcv|ipv6_rcv|tcp_v[46]_rcv|udp_rcv|napi_gro_receive|"
    r"alloc_rx|rx_alloc|rx_refill|refill_rx|rx_poll|clean_rx|receive_buf|rx_fill|fill_rx|alloc_rxb|rx_replenish|rx_skb|"
    r"e100_rx|rx_ring|post_rx|receive_mergeable|netdev_alloc_skb|napi_alloc_skb"
)
_RULES = (
    (Work.HUGE_PAGE, r"do_huge_pmd|khugepaged|collapse_huge|alloc_hugepage|__do_huge|hugetlb"),
    (
        Work.FORK,
        r"copy_process|dup_task_struct|alloc_thread_info|alloc_thread_stack|_do_fork|do_fork|kernel_clone|pgd_alloc",
    ),
    (Work.SOCKET_CLONE, r"tcp_v[46]_syn_recv_sock|sk_clone|inet_csk_clone|tcp_create_openreq_child"),
    (Work.NETWORK_RECEIVE, _RECEIVE),
    (Work.NETWORK_TRANSMIT, _TRANSMIT),
    (Work.USB, r"usb_|uhci_|ehci_|xhci_|ohci_|proc_do_submiturb|usbdev_|uas_|^ffs_ep"),
    (
        Work.NETWORK_FS,
        r"(?<!ker)nfs[34d]?_|rpc_create|rpc_|xprt_|xs_setup|^svc_|^nfsd|cifs_|smb[23]?_|SendReceive|ceph_",
    ),
    (Work.MODULE_LOAD, r"load_module|module_alloc|init_module|sys_init_module|layout_and_allocate"),
    (
        Work.FILE_SYSTEM,
        r"ext[234]_|xfs_|btrfs_|jbd2?_|reiserfs_|f2fs_|ocfs2_|gfs2_|ntfs|zfs_|spl_|bio_alloc|mpage_|submit_bio",
    ),
    (
        Work.PAGE_CACHE,
        r"page_cache_|filemap_|do_page_cache_readahead|read_pages|generic_file_(?!splice)|grab_cache_page|readahead",
    ),
    (
        Work.PAGE_FAULT,
        r"handle_mm_fault|do_page_fault|do_anonymous_page|do_user_addr_fault|exc_page_fault|asm_exc_page|el0_da",
    ),
)
_PATTERNS = tuple((work, re.compile(rf"(?:{pattern})")) for work, pattern in _RULES)
_NOT_DRIVERS = frozenset({"sunrpc", "usbcore", "libata", "scsi_mod", "nf_conntrack", "bridge", "ip_tables", "x_tables"})
_COMPILED = re.compile(r"(?:\.(?:isra|part|constprop|cold|llvm)(?:\.\d+)?)+$")
NEAR_FRAMES = 24
"""Frames past the allocator's that are looked at: farther out, everything ends in an interrupt or a system call."""


def plain_function(name: str) -> str:
    """A function's name without what the compiler put behind it (`.isra.0`, `.part.1.constprop.2`)."""
    return _COMPILED.sub("", name)


def identify_caller(report: Report) -> Caller:
    """Find who asked for the memory in a report, past the allocator's own frames."""
    frame = find_caller(report.trace)
    near = report.trace[:NEAR_FRAMES]
    reliable = [f for f in near if f.reliable] or list(near)
    return Caller(frame, _work(reliable), _driver(reliable, frame))


def _work(frames: list[Frame]) -> Work:
    if not frames:
        return Work.OTHER
    for work, pattern in _PATTERNS:
        if any(pattern.search(frame.function) for frame in frames):
            return work
    return Work.OTHER


def _driver(frames: list[Frame], caller: Frame | None) -> str | None:
    if caller is not None and caller.module is not None:
        return caller.module
    modules = [frame.module for frame in frames if frame.module is not None and frame.module not in _NOT_DRIVERS]
    return modules[0] if modules else None
