"""Who asked and what for, from the functions on the stack."""

import pytest
from tests.unit.diagnose.reports import failure, trace

from pagewarden.diagnose.callers import NEAR_FRAMES, Work, identify_caller, plain_function

OWN = ("warn_alloc", "__alloc_pages_slowpath.constprop.0", "__alloc_pages_nodemask", "kmalloc_large_node")


@pytest.mark.parametrize(
    ("functions", "work", "driver"),
    [
        (("__alloc_skb", "igb_alloc_rx_buffers [igb]", "igb_poll [igb]", "net_rx_action"), Work.NETWORK_RECEIVE, "igb"),
        (("sk_prot_alloc", "sk_clone_lock", "ip_rcv", "vmxnet3_poll [vmxnet3]"), Work.SOCKET_CLONE, "vmxnet3"),
        (("__alloc_skb", "skb_copy", "tg3_start_xmit [tg3]", "dev_hard_start_xmit"), Work.NETWORK_TRANSMIT, "tg3"),
        (("tcp_sendmsg", "tcp_write_xmit", "ip_queue_xmit"), Work.NETWORK_TRANSMIT, None),
        (("do_huge_pmd_anonymous_page", "handle_mm_fault"), Work.HUGE_PAGE, None),
        (("khugepaged", "kthread"), Work.HUGE_PAGE, None),
        (("dup_task_struct", "copy_process", "_do_fork"), Work.FORK, None),
        (("proc_do_submiturb [usbcore]", "usbdev_ioctl [usbcore]"), Work.USB, "usbcore"),
        (("xs_setup_xprt [sunrpc]", "rpc_create [sunrpc]"), Work.NETWORK_FS, "sunrpc"),
        (("nfs_idmap_new [nfs]", "nfs4_init_client [nfs]"), Work.NETWORK_FS, "nfs"),
        (("ext4_mb_init [ext4]", "ext4_fill_super [ext4]"), Work.FILE_SYSTEM, "ext4"),
        (("load_module", "sys_init_module"), Work.MODULE_LOAD, None),
        (("handle_mm_fault", "do_page_fault"), Work.PAGE_FAULT, None),
        (("__do_page_cache_readahead", "filemap_fault", "__do_fault", "handle_mm_fault"), Work.PAGE_CACHE, None),
        (("kernfs_iop_follow_link", "generic_readlink"), Work.OTHER, None),
        (("proc_sys_read", "generic_file_splice_read", "do_splice_to"), Work.OTHER, None),  # a pipe, no file
        (("evdev_open [evdev]", "chrdev_open"), Work.OTHER, "evdev"),
        ((), Work.OTHER, None),
        # Every system call of arm64 ends in svc; so does nothing else of ours.
        (("binder_alloc_mmap_handler", "el0_svc_common.constprop.0", "el0_svc_handler", "el0_svc"), Work.OTHER, None),
        (("ffs_epfile_io.isra.0", "el0_svc_handler"), Work.USB, None),
        (("svc_recv [sunrpc]", "nfsd [nfsd]", "kthread"), Work.NETWORK_FS, "sunrpc"),
    ],
)
def test_work(functions: tuple[str, ...], work: Work, driver: str | None) -> None:
    found = identify_caller(failure(trace=trace(*OWN, *functions)))
    assert (found.work, found.driver) == (work, driver)


def test_functions_without_what_the_compiler_adds() -> None:
    names = ("getname_flags.part.0", "a.isra.0.constprop.12", "b.cold", "c.llvm.1234", "v1.part", "x.apart.0", "plain")
    plain = ["getname_flags", "a", "b", "c", "v1", "x.apart.0", "plain"]
    assert [plain_function(name) for name in names] == plain


def test_the_caller_is_the_first_past_the_allocators_own() -> None:
    found = identify_caller(failure(trace=trace(*OWN, "igb_alloc_rx_buffers [igb]", "net_rx_action")))
    assert found.frame is not None
    assert (found.frame.function, found.frame.module) == ("igb_alloc_rx_buffers", "igb")
    assert identify_caller(failure(trace=trace(*OWN))).frame is None


def test_stale_frames_do_not_count_beside_reliable_ones() -> None:
    found = identify_caller(failure(trace=trace(*OWN, "? net_rx_action", "copy_process", "kernel_clone")))
    assert (found.work, found.frame.function if found.frame else None) == (Work.FORK, "copy_process")
    only = identify_caller(failure(trace=trace("? __alloc_skb", "? e100_rx_alloc_skb [e100]", "? net_rx_action")))
    assert (only.work, only.driver) == (Work.NETWORK_RECEIVE, "e100")


def test_what_is_far_out_is_not_what_was_done() -> None:
    near = tuple(f"own_function_{number}" for number in range(NEAR_FRAMES))
    assert identify_caller(failure(trace=trace(*near, "net_rx_action"))).work is Work.OTHER


@pytest.mark.parametrize("function", ["trace_rcu_torture", "my_usbish", "smb", "kernel_init", "rpciod"])
def test_names_that_only_resemble(function: str) -> None:
    assert identify_caller(failure(trace=trace(function))).work is Work.OTHER
