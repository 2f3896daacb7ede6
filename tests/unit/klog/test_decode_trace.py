import pytest

from pagewarden.klog.callers import base_name, find_caller, is_allocator
from pagewarden.klog.decode_trace import (
    CpuLine,
    add_frames,
    arch_clue,
    infer_arch,
    parse_banner,
    parse_cpu_line,
    parse_frames,
    parse_sections,
)
from pagewarden.klog.types import Frame


def one(text: str) -> Frame:
    (frame,) = parse_frames(text)
    return frame


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[<ffffffff810fcd27>] __alloc_pages+0x4a7/0x590", Frame("__alloc_pages", 0x4A7, 0x590)),
        ("[<ffffffffa0158d9e>] xs_setup+0xae/0x1c0 [sunrpc]", Frame("xs_setup", 0xAE, 0x1C0, "sunrpc")),
        ("[<c108c9a2>] ? do_it+0x484/0x4d9", Frame("do_it", 0x484, 0x4D9, reliable=False)),
        ("do_it.constprop.0+0x1/0x2", Frame("do_it.constprop.0", 1, 2)),
        ("? do_it.isra.64+0x1/0x2 [a-b]", Frame("do_it.isra.64", 1, 2, "a-b", reliable=False)),
        ("do_it+0x1/0x2 [mhi 40df44e07c05479f7a6e7b90fba9f0e0031a7814]", Frame("do_it", 1, 2, "mhi")),
        ("do_it+0x1/0x2 [r8152 ...]", Frame("do_it", 1, 2, "r8152")),
        ("show_stack+0x18/0x30 (C)", Frame("show_stack", 0x18, 0x30)),
        ("[c0001] [c000000000927e00] dump_stack+0xc4/0x114", None),
        (
            "[c00000023de972e0] [c000000000927e00] .dump_stack+0xc4/0x114 (unreliable)",
            Frame("dump_stack", 0xC4, 0x114, reliable=False),
        ),
        ("[effe5cc0] [c0784b64] dump_stack_lvl+0x80/0xac", Frame("dump_stack_lvl", 0x80, 0xAC)),
        ("([<00000001f848fe2a>] show_stack+0x7a/0xc0)", Frame("show_stack", 0x7A, 0xC0)),
        ("[<8001ae08>] show_stack+0x6c/0x12c", Frame("show_stack", 0x6C, 0x12C)),
        ("[__alloc_pages+800/832] __alloc_pages+0x320/0x340", Frame("__alloc_pages", 0x320, 0x340)),
        ("[<e0850a47>] rx+0x567/0x590 [r8169]", Frame("rx", 0x567, 0x590, "r8169")),
        ("[<ffffffff884a9aa0>] :nf_x:alloc_table+0x33/0x7a", Frame("alloc_table", 0x33, 0x7A, "nf_x")),
        ("vb2_alloc (drivers/media/a-b.c:195 drivers/media/a-b.c:257) vb2_x", Frame("vb2_alloc", module="vb2_x")),
        ("? do_it.part.0 (lib/dump_stack.c:107 (discriminator 4)) ", Frame("do_it.part.0", reliable=False)),
        ("ext_rx (/build/linux-6.1+x~1/net/a.c:12) mod_x (P)", Frame("ext_rx", module="mod_x")),
        ("do_it (rust/kernel/init.rs:107)", Frame("do_it")),
        ("do_it (ide.c:107)", None),
        ("do_it (lib/dump_stack.c:107) says more than that", None),
        ("_RNvXs_4core+0x10/0x20", Frame("_RNvXs_4core", 0x10, 0x20)),
        ("[<c07ff5f0>] 0xc07ff5f0", None),
        ("RIP: 0010:memset_erms+0x9/0x20", None),
        ("NIP [c0458840] BIT_flushBits+0x1c/0x58", None),
        ("see do_it+0x1/0x2 in the listing", None),
        ("do_it+0x1/0x2 is where it stops", None),
        ("<ffffffff8014e5f0>{:mod:do_it+816}", Frame("do_it", 816, None, "mod")),
    ],
)
def test_frames(text: str, expected: Frame | None) -> None:
    assert parse_frames(text) == (() if expected is None else (expected,))


def test_two_frames_on_a_line_of_old_x86_64() -> None:
    frames = parse_frames("Call Trace:<ffffffff8014e5f0>{__alloc_pages+816} <ffffffff8014e65e>{__get_free_pages+78}")
    assert [(frame.function, frame.offset) for frame in frames] == [("__alloc_pages", 816), ("__get_free_pages", 78)]


@pytest.mark.parametrize(
    "lines",
    [
        [
            "[<c01>] (nothing)",
            "[<c0053230>] (unwind_backtrace+0x0/0xf0) from [<c0109a88>] (dump_header+0x50/0x84)",
            "[<c0109a88>] (dump_header+0x50/0x84) from [<c0109af0>] (evdev_open+0x34/0xec [evdev])",
        ],
        [
            "[<c0053230>] (unwind_backtrace) from [<c0109a88>] (dump_header+0x50/0x84)",
            "[<c0109a88>] (dump_header) from [<c0109af0>]  (evdev_open+0x34/0xec)",
        ],
        [
            "unwind_backtrace from dump_header+0x50/0x84",
            "dump_header from evdev_open+0x34/0xec",
        ],
        [
            "[<c0053230>] (unwind_backtrace+0x0/0xf0) from",
            "[<c0109a88>] (dump_header+0x50/0x84) [<c0109a88>] (dump_header+0x50/0x84) from",
            "[<c0109af0>] (evdev_open+0x34/0xec)",
        ],
    ],
)
def test_arm_names_each_caller_once(lines: list[str]) -> None:
    frames: list[Frame] = []
    for line in lines:
        add_frames(frames, line, None, 100)
    assert [frame.function for frame in frames] == ["unwind_backtrace", "dump_header", "evdev_open"]
    assert frames[1].offset in (0x50, None)


def test_elsewhere_a_frame_that_repeats_is_kept() -> None:
    frames: list[Frame] = []
    for line in ("? skb_clone+0x5e/0x77", "skb_clone+0x5e/0x77", "skb_clone+0x5e/0x77"):
        add_frames(frames, line, "IRQ", 2)
    assert frames == [
        Frame("skb_clone", 0x5E, 0x77, reliable=False, section="IRQ"),
        Frame("skb_clone", 0x5E, 0x77, section="IRQ"),
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<IRQ>", ("IRQ", "")),
        ("<IRQ>  [<ffffffff8109b77b>] warn+0xeb/0x130", ("IRQ", "[<ffffffff8109b77b>] warn+0xeb/0x130")),
        ("<EOI>  [<ffffffff8100a153>] idle+0x63/0x80", (None, "[<ffffffff8100a153>] idle+0x63/0x80")),
        ("</IRQ>", (None, "")),
        ("<TASK>", (None, "")),
        ("<NMI>", ("NMI", "")),
        ("<#DF>", ("#DF", "")),
        ("<IRQ></IRQ>", (None, "")),
        ("no marker", None),
        ("use vmalloc=<size> to", None),
    ],
)
def test_stack_markers(text: str, expected: tuple[str | None, str] | None) -> None:
    assert parse_sections(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Pid: 0, comm: swapper Not tainted 2.6.32-5-686 #1", CpuLine("swapper", 0, None, "2.6.32-5-686", True)),
        ("Pid: 1, comm: a b Tainted: P  (2.6.24 #1)", CpuLine("a b", 1, None, "2.6.24", True)),
        (
            "Pid: 8911, comm: httpd Not tainted2.6.32-279.el6.i686 #1",
            CpuLine("httpd", 8911, None, "2.6.32-279.el6.i686", True),
        ),
        (
            "CPU: 3 PID: 8 Comm: x Tainted: G  O E ----V-------   3.10.0-229.x86_64 #1",
            CpuLine("x", 8, 3, "3.10.0-229.x86_64", True),
        ),
        (
            "CPU: 1 UID: 0 PID: 5 Comm: kworker/u8:4 Kdump: loaded Not tainted 6.12.0 #1",
            CpuLine("kworker/u8:4", 5, 1, "6.12.0", True),
        ),
        ("CPU: 1 PID: 5 Comm: a 5.4 b Not tainted 6.1.0 #1", CpuLine("a 5.4 b", 5, 1, "6.1.0", True)),
        ("CPU: 1 PID: 5 Comm: cc1plus Kdump: loaded Not", CpuLine("cc1plus", 5, 1, None, False)),
        ("CPU: 1 PID: 5 Comm:", CpuLine("", 5, 1, None, False)),
        ("CPU: 1 PID: 5 Comm: x Tainted: G        W", CpuLine("x", 5, 1, None, False)),
        ("CPU    0: hi:  186, btch:  31 usd:   0", None),
        ("comm: nothing", None),
    ],
)
def test_lines_that_name_the_task(text: str, expected: CpuLine | None) -> None:
    assert parse_cpu_line(text) == expected


@pytest.mark.parametrize(
    ("text", "release"),
    [
        ("Linux version 6.1.0-13-amd64 (debian-kernel@lists.debian.org) (gcc-12) #1 SMP", "6.1.0-13-amd64"),
        ("Linux version 2.6.9", "2.6.9"),
        ("Linux version banana", None),
        ("this is not a Linux version 6.1 banner at the start of a line at all, far too late: Linux version 6.1", None),
    ],
)
def test_banners(text: str, release: str | None) -> None:
    assert parse_banner(text) == release


@pytest.mark.parametrize(
    ("release", "lines", "zones", "arch"),
    [
        ("5.14.0-70.el9.aarch64", [], [], "arm64"),
        ("2.6.32-5-686", [], [], "i386"),
        ("6.12.0-211.el10.ppc64le", [], [], "ppc64le"),
        (None, ["RIP: 0033:0x7f310423ee5d"], [], "x86_64"),
        (None, ["EIP: 0xb7f0d549"], [], "i386"),
        (None, ["NIP:  c0458840 LR: c0458fdc CTR: 00000000"], [], "ppc"),
        (None, ["NIP:  c000000000000000 LR: 0000"], [], "ppc64"),
        (None, ["NIP:  c000000000000000 LR: 0000", "MSR:  80009033 <SF,EE,ME,IR,DR,RI,LE>  CR: 0"], [], "ppc64le"),
        (None, ["<TASK>"], ["DMA32"], "x86_64"),
        (None, ["<TASK>"], ["HighMem"], "i386"),
        (None, ["<TASK>"], ["Normal"], None),
        (None, ["Call trace:"], [], "arm64"),
        (None, [" something", "Code: 48 89"], ["DMA", "Normal"], None),
        ("5.10.0", ["([<00000001f848fe2a>] show_stack+0x7a/0xc0)"], [], "s390x"),
        ("5.13.x", [], [], None),
    ],
)
def test_the_architecture_only_where_something_settles_it(
    release: str | None, lines: list[str], zones: list[str], arch: str | None
) -> None:
    clues = {clue for line in lines if (clue := arch_clue(line)) is not None}
    assert infer_arch(release, (), clues, set(zones)) == arch


def test_an_entry_function_settles_the_architecture() -> None:
    assert infer_arch(None, (one("entry_SYSCALL_64_after_hwframe+0x44/0xa9"),), set(), set()) == "x86_64"
    assert infer_arch(None, (one("el0_svc+0x8/0xc"),), set(), set()) == "arm64"


@pytest.mark.parametrize(
    "function",
    [
        "warn_alloc_failed",
        "__alloc_pages_slowpath.constprop.0",
        "__kmalloc_noprof",
        "kmem_cache_alloc",
        "new_slab",
        "skb_clone",
        "__netdev_alloc_skb",
        "dump_stack_lvl",
        "__vmalloc_node_range",
        "dma_direct_alloc",
        "kvmalloc_node",
        "try_charge_memcg",
        "mem_cgroup_out_of_memory",
        "out_of_memory",
        "__get_free_pages",
        "warn_alloc.cold",
        "panic",
        "alloc_kmem_pages",
        "obj_cgroup_charge_account",
        "__memcg_slab_post_alloc_hook",
        "napi_skb_cache_get",
        "__napi_build_skb",
    ],
)
def test_the_allocators_own_functions(function: str) -> None:
    assert is_allocator(Frame(function))


@pytest.mark.parametrize(
    "function",
    [
        "xs_setup_xprt",
        "e100_rx_alloc_skb",
        "tg3_start_xmit",
        "ivtv_stream_alloc",
        "alloc_extent_state",
        "sk_prot_alloc",
        "nfs_writehdr_alloc",
        "amdgpu_bo_create",
        "do_anonymous_page",
        "tcp_stream_alloc_skb",
        "atomic_pool_expand",
    ],
)
def test_functions_that_ask_for_memory(function: str) -> None:
    assert not is_allocator(Frame(function))


def test_stale_frames_count_only_where_all_are() -> None:
    stale, own, caller = Frame("stale", reliable=False), Frame("__alloc_pages"), Frame("asks")
    assert find_caller((own, stale, caller)) == caller
    assert find_caller((Frame("__alloc_pages", reliable=False), stale)) == stale
    assert find_caller((own,)) is None
    woken = (Frame("dump_header"), Frame("ttwu_do_wakeup"), Frame("oom_kill_process"), Frame("find_lock_task_mm"))
    assert find_caller((*woken, Frame("mem_cgroup_oom_synchronize"), caller)) == caller
    among = (
        own,
        Frame("bond_xmit"),
        Frame("kmem_getpages"),
        Frame("fallback_alloc"),
        caller,
        Frame("kmem_cache_alloc"),
    )
    assert find_caller(among) == caller
    assert find_caller(()) is None


@pytest.mark.parametrize(
    ("functions", "caller"),
    [
        (
            "new_slab __slab_alloc kmem_cache_alloc alloc_buffer_head alloc_page_buffers grow_dev_page",
            "alloc_buffer_head",
        ),
        ("__alloc_pages __get_free_pages own_ring_alloc own_open alloc_pages_for_rings", "own_ring_alloc"),
        ("dump_stack __alloc_pages alloc_pages_current own_rx irq page_fault out_of_memory older", "own_rx"),
        ("dump_header mem_cgroup_out_of_memory try_charge shmem a b c out_of_memory older", "shmem"),
    ],
)
def test_a_real_caller_is_never_stale(functions: str, caller: str) -> None:
    found = find_caller(tuple(map(Frame, functions.split())))
    assert found is not None
    assert found.function == caller


def test_names_without_what_compilers_add() -> None:
    assert base_name("foo.constprop.0.isra.12.cold") == "foo"
    assert base_name("__alloc_pages_noprof") == "__alloc_pages"
