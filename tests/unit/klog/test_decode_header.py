import pytest
from tests.unit.klog.samples import only_report, reports_of

from pagewarden.klog.decode_header import clean_comm, parse_header, parse_vmap
from pagewarden.klog.types import ReportKind

FAILURE = ReportKind.PAGE_ALLOCATION_FAILURE
STALL = ReportKind.ALLOCATION_STALL
VMALLOC = ReportKind.VMALLOC_FAILURE
OOM = ReportKind.OOM


@pytest.mark.parametrize(
    ("text", "kind", "comm", "order", "mask", "names"),
    [
        ("kswapd0: page allocation failure. order:0, mode:0x20", FAILURE, "kswapd0", 0, 0x20, None),
        ("swapper/13: page allocation failure: order:5, mode:0x4020", FAILURE, "swapper/13", 5, 0x4020, None),
        ("a: page allocation failure: order:0, mode:0x2204000(GFP_NOWAIT)", FAILURE, "a", 0, 0x2204000, "GFP_NOWAIT"),
        ("a: page allocation failure: order:0, mode:0x0(), nodemask=(null)", FAILURE, "a", 0, 0, ""),
        ("tmux: server: page allocation failure: order:1, mode:0x20", FAILURE, "tmux: server", 1, 0x20, None),
        ("runc:[2:INIT]: page allocation failure: order:1, mode:0x20", FAILURE, "runc:[2:INIT]", 1, 0x20, None),
        ("(sd-pam): page allocation failure: order:1, mode:0x20", FAILURE, "(sd-pam)", 1, 0x20, None),
        (
            "a: vmemmap alloc failure: order:9, mode:0x4cc0(GFP_KERNEL), nodemask=0",
            FAILURE,
            "a",
            9,
            0x4CC0,
            "GFP_KERNEL",
        ),
        ("a: page allocation stalls for 10014ms, order:0, mode:0x24280ca(A|B)", STALL, "a", 0, 0x24280CA, "A|B"),
        (
            "a: page allocation stall for 10 secs: order:2, mode:0xcc0(A) nodemask=0,cpuset=/,mems_allowed=0",
            STALL,
            "a",
            2,
            0xCC0,
            "A",
        ),
        ("oom-killer: gfp_mask=0x2d0", OOM, None, None, 0x2D0, None),
        ("oom-killer: gfp_mask=0x201d2, order=0", OOM, None, 0, 0x201D2, None),
        ("smbd invoked oom-killer: gfp_mask=0x1201d2, order=0, oomkilladj=0", OOM, "smbd", 0, 0x1201D2, None),
        ("a invoked oom-killer: gfp_mask=0xd0, order=3, oom_adj=0", OOM, "a", 3, 0xD0, None),
        ("a invoked oom-killer: gfp_mask=0x280da, order=0, oom_adj=0, oom_score_adj=5", OOM, "a", 0, 0x280DA, None),
        ("a invoked oom-killer: gfp_mask=0x24280ca(A), order=0, oom_score_adj=0", OOM, "a", 0, 0x24280CA, "A"),
        (
            "a invoked oom-killer: gfp_mask=0x24280ca(A), nodemask=0-1, order=0, oom_score_adj=0",
            OOM,
            "a",
            0,
            0x24280CA,
            "A",
        ),
        (
            "a invoked oom-killer: gfp_mask=0x14200ca(A), nodemask=(null),  order=0, oom_score_adj=0",
            OOM,
            "a",
            0,
            0x14200CA,
            "A",
        ),
        (
            "CPU 11/KVM invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=830",
            OOM,
            "CPU 11/KVM",
            0,
            0xCC0,
            "GFP_KERNEL",
        ),
        (
            "bash invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=-1, oom_score_adj=0",
            OOM,
            "bash",
            -1,
            0xCC0,
            "GFP_KERNEL",
        ),
        (
            "a: vmalloc: allocation failure: 16384 bytes, mode:0x14080c0(A), nodemask=(null)",
            VMALLOC,
            "a",
            None,
            0x14080C0,
            "A",
        ),
        (
            "a: vmalloc: allocation failure, allocated 8192 of 20480 bytes, mode:0x7080c0(A)",
            VMALLOC,
            "a",
            None,
            0x7080C0,
            "A",
        ),
        (
            "a: vmalloc error: size 14680064, page order 9, failed to allocate pages, mode:0xcc2(A|B)",
            VMALLOC,
            "a",
            9,
            0xCC2,
            "A|B",
        ),
        (
            "a: vmalloc size 8192 allocation failure: page order 0 allocation failed, mode:0xcc0(A)",
            VMALLOC,
            "a",
            None,
            0xCC0,
            "A",
        ),
        (
            "a: vmalloc error: size 5, exceeds total pages, mode:0xcc0(A), nodemask=(null)",
            VMALLOC,
            "a",
            None,
            0xCC0,
            "A",
        ),
        (
            "XFS: possible memory allocation deadlock in kmem_alloc (mode:0x2d0)",
            ReportKind.DEADLOCK_WARNING,
            None,
            None,
            0x2D0,
            None,
        ),
        (
            "xfs: possible memory allocation deadlock in kmem_alloc(mode: 0xd0)",
            ReportKind.DEADLOCK_WARNING,
            None,
            None,
            0xD0,
            None,
        ),
        (
            "XFS: fs_mark(8414) possible memory allocation deadlock size 65768 in kmem_alloc (mode:0x2d40)",
            ReportKind.DEADLOCK_WARNING,
            "fs_mark",
            None,
            0x2D40,
            None,
        ),
        (
            "XFS: a b(c)(84) possible memory allocation deadlock in kmem_alloc (mode:0x250",
            ReportKind.DEADLOCK_WARNING,
            "a b(c)",
            None,
            0x250,
            None,
        ),
        (
            "XFS (sda1): possible memory allocation deadlock in xfs_buf_allocate_memory (mode:0x250)",
            ReportKind.DEADLOCK_WARNING,
            None,
            None,
            0x250,
            None,
        ),
        (
            "nommu: Allocation of length 221184 from process 67 (free) failed",
            ReportKind.NOMMU_FAILURE,
            "free",
            None,
            None,
            None,
        ),
        ("Allocation of length 299008 from process 50 failed", ReportKind.NOMMU_FAILURE, None, None, None, None),
        ("__alloc_pages: 0-order allocation failed (gfp=0x1d2/0)", ReportKind.UNRECOGNISED, None, None, None, None),
        ("a: page allocation failure: flags=0x20 level=3", ReportKind.UNRECOGNISED, "a", None, None, None),
        ("a invoked oom-killer: mask=0x20, level=3", ReportKind.UNRECOGNISED, "a", None, None, None),
        (
            "a: hot page refill: order:2, mode:0xcc0(GFP_KERNEL), nodemask=(null)",
            ReportKind.UNRECOGNISED,
            "a",
            2,
            0xCC0,
            "GFP_KERNEL",
        ),
    ],
)
def test_opening_lines(
    text: str, kind: ReportKind, comm: str | None, order: int | None, mask: int | None, names: str | None
) -> None:
    header = parse_header(text, prefixed=True)
    assert header is not None
    assert header == parse_header(text)
    assert (header.kind, header.comm, header.order, header.gfp_mask, header.gfp_names) == (
        kind,
        comm,
        order,
        mask,
        names,
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        ": page allocation failure",
        "page allocation failure",
        "After other blocking page allocation failures for bucket size > 8MB, this may",
        "I see swapper: page allocation failure. order:1, mode:0x20 in my log every day",
        '"swapper: page allocation failure. order:1, mode:0x20" is what it says',
        'I get "swapper: page allocation failure. order:1, mode:0x20" daily',
        "Subject: swapper: page allocation failure. order:1, mode:0x20",
        "Re: swapper: page allocation failure. order:1, mode:0x20",
        "swapper: page allocation failure. order:1, mode:0x20 is normal here.",
        "swapper: page allocation failure. order:1, mode:0x20.",
        'printk("%s: page allocation failure. order:%d, mode:0x%x\\n",',
        "app[123]: swapper: page allocation failure. order:1, mode:0x20",
        "[ERROR] storage-controller: page allocation failure: disk=3 shelf=4",
        "the process that invoked oom-killer: something else",
        'if (strstr(line, "invoked oom-killer: gfp_mask=0x")) {',
        "text: 'java: page allocation stalls for 10412ms, order:0' }",
        'pr_warn("%s: page allocation stall for %lu secs: order:%d, mode:%#x(%pGg)',
        "nommu: Allocation of length %lu from process %d (%s) failed",
        "no allocation of length 0 from process 5 failed",
        "XFS possible memory allocation deadlock, see the FAQ",
        '"%s(%u) possible memory allocation deadlock in %s (mode:0x%x)",',
        "Kernel: vmalloc: allocation failure when the module is loaded",
        "__alloc_pages: %lu-order allocation failed",
        "DMA: failed to allocate 128 KiB GFP_KERNEL|GFP_DMA pool for atomic allocation",
        "cma: cma_alloc: reserved: alloc failed, req-size: 256 pages, ret: -12",
        "systemd-oomd[512]: Killed /user.slice due to memory pressure",
        "Memory allocations:",
    ],
)
def test_what_only_speaks_of_failures(text: str) -> None:
    assert parse_header(text) is None
    assert reports_of(f"{text}\n\nand so on\n") == []


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("a: page allocation failure: order:4711, mode:0x20", "the order printed, 4711, is impossible"),
        ("a: page allocation failure: order:99999999999999999999, mode:0x20", "the order printed"),
        ("a: page allocation failure: order:-2, mode:0x20", "the order printed, -2, is impossible"),
    ],
)
def test_an_impossible_order_is_unknown(text: str, note: str) -> None:
    report = only_report(f"[    1.500000] {text}")
    assert report.order is None
    assert report.gfp_mask == 0x20
    assert report.notes[0].startswith(note)
    assert "order" in report.missing


def test_an_impossible_mask_is_unknown() -> None:
    report = only_report("[    1.500000] a: page allocation failure: order:0, mode:0x12345678901234567")
    assert report.gfp_mask is None
    assert "longer than any mask" in report.notes[0]


@pytest.mark.parametrize(
    ("text", "order", "mask"),
    [
        ("a: page allocation failure: order:1, mode:0x40a20(GFP_ATOMIC|__GFP_COMP), nodemas0", 1, 0x40A20),
        ("a: page allocation failure: order:1, mode:0x40a20(GFP_ATOM", 1, 0x40A20),
        ("a: page allocation failure: order:1, mo", 1, None),
        ("a: page allocation failure: ord", None, None),
        ("a: page allocation failure", None, None),
    ],
)
def test_a_line_cut_off_is_still_a_report(text: str, order: int | None, mask: int | None) -> None:
    report = only_report(f"[    1.500000] {text}")
    assert (report.kind, report.comm, report.order, report.gfp_mask) == (FAILURE, "a", order, mask)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["a: page", "allocation failure: order:3, mode:0x20(GFP_ATOMIC)"], ("a", 3, 0x20, "GFP_ATOMIC")),
        (["a: page allocation", "failure: order:3, mode:0x20(GFP_ATOMIC)"], ("a", 3, 0x20, "GFP_ATOMIC")),
        (["a: page allocation failure:", "order:3, mode:0x20(GFP_ATOMIC)"], ("a", 3, 0x20, "GFP_ATOMIC")),
        (["a: page allocation failure: order:3,", "mode:0x20(GFP_ATOMIC)"], ("a", 3, 0x20, "GFP_ATOMIC")),
        (["a: page allocation failure: order:3, mode:0x20(GFP_A", "TOMIC)"], ("a", 3, 0x20, "GFP_ATOMIC")),
        (["a invoked", "oom-killer: gfp_mask=0x20(A|B),", "order=3, oom_score_adj=0"], ("a", 3, 0x20, "A|B")),
        (["a invoked oom-killer:", "gfp_mask=0x20(A|B), order=3,", "oom_score_adj=0"], ("a", 3, 0x20, "A|B")),
        (
            ["a: vmalloc", "error: size 64, page order 3, failed to", "allocate pages, mode:0x20(A)"],
            ("a", 3, 0x20, "A"),
        ),
    ],
)
@pytest.mark.parametrize("prefix", ["", "> ", "[    1.500000] "])
def test_wrapped_opening_lines(prefix: str, lines: list[str], expected: tuple[object, ...]) -> None:
    quote = prefix if prefix == "> " else ""
    report = only_report("\n".join([prefix + lines[0], *(quote + line for line in lines[1:])]))
    assert (report.comm, report.order, report.gfp_mask, report.gfp_names) == expected


@pytest.mark.parametrize(
    ("lead", "comm", "long"),
    [
        ("cat", "cat", False),
        ("exactly15letter", "exactly15letter", False),
        ("[Playing][00:02:54/00:04:07]swapper/0", "swapper/0", True),
        ("Starting the daemon ... swapper/0", "swapper/0", True),
        ("Creating journal (262144 blocks): [   34.739137] mkfs.ext4", "mkfs.ext4", False),
        ("[<TIMESTAMP-OF-LINE>] fc_vmm", "fc_vmm", True),
        ("x" * 40, None, True),
        ("ä" * 8, None, True),
    ],
)
def test_the_name_among_other_text(lead: str, comm: str | None, long: bool) -> None:
    found, text_before, notes = clean_comm(lead)
    assert found == comm
    assert (text_before is not None) == long
    assert bool(notes) == long


def test_the_next_line_corrects_the_name() -> None:
    report = only_report(
        "Waiting for a [thing]to end: my server: page allocation failure: order:0, mode:0x20\n"
        "CPU: 0 PID: 5 Comm: my server Not tainted 3.10.53 #1\n"
    )
    assert report.comm == "my server"
    assert report.notes == ("other text stands before the task's name on the header line",)


def test_words_before_the_name_need_the_lines_that_follow() -> None:
    assert reports_of("Bug 8464 new autoreconf: page allocation failure. order:2, mode:0x84020\n") == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("vmap allocation for size 33562624 failed: use vmalloc=<size> to increase size", 33562624),
        ("vmalloc_node_range for size 4198400 failed: Address range restricted to 0xf1000000 - 0xf5110000", 4198400),
        ("allocation failed: out of vmalloc space - use vmalloc=<size> to increase size.", None),
    ],
)
def test_failures_for_want_of_addresses(text: str, expected: int | None) -> None:
    parsed = parse_vmap(text)
    assert parsed is not None
    assert parsed[0] == expected
    report = only_report(f"[    1.500000] {text}")
    assert (report.kind, report.request_bytes, report.address_space) == (VMALLOC, expected, True)


def test_a_cpuset_on_a_line_of_its_own() -> None:
    report = only_report(
        "[    1.500000] a b: page allocation failure: order:0, mode:0x14000c0(GFP_KERNEL), nodemask=0-1\n"
        "[    1.500001] a b cpuset=/some, group mems_allowed=0-3\n"
    )
    assert (report.nodemask, report.cpuset, report.mems_allowed) == ("0-1", "/some, group", "0-3")


def test_the_tail_of_an_opening_line_printed_later() -> None:
    report = only_report(
        "[    1.500000] a: page allocation failure: order:0, mode:0xcc0(GFP_KERNEL), nodemask=(null)\n"
        "[    1.500001] SLUB: Unable to allocate memory on node -1, gfp=0x820(GFP_ATOMIC)\n"
        "[    1.500002] ,cpuset=one,mems_allowed=0\n"
    )
    assert (report.cpuset, report.mems_allowed) == ("one", "0")
    assert report.slab_failures[0].gfp_mask == 0x820
