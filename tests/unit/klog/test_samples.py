"""What the samples say, field by field."""

import re

import pytest
from tests.unit.klog.samples import only_report, sample

from pagewarden.klog.callers import find_caller
from pagewarden.klog.types import (
    Frame,
    FreeBlocks,
    HugePages,
    MemcgCounter,
    ReportKind,
    SlabFailure,
    Suppressed,
    Task,
    Totals,
    Victim,
)


def test_a_page_allocation_failure_of_6_1() -> None:
    report = only_report("\n".join(sample("failure-6.1")))
    assert report.kind is ReportKind.PAGE_ALLOCATION_FAILURE
    assert (report.line_number, report.last_line_number) == (2, len(sample("failure-6.1")))
    assert (report.comm, report.pid, report.cpu) == ("ksoftirqd/2", 26, 2)
    assert (report.release, report.arch) == ("6.1.0-13-amd64", "x86_64")
    assert (report.order, report.gfp_mask, report.gfp_names) == (1, 0x40A20, "GFP_ATOMIC|__GFP_COMP")
    assert (report.nodemask, report.cpuset, report.mems_allowed) == ("(null)", "/", "0-1")
    assert report.hardware == "Example Works EX-100/Board 7, BIOS 1.2.3 02/03/2022"
    assert report.suppressed == (Suppressed("warn_alloc", 12),)
    assert report.page_size == 4096
    assert report.complete
    assert report.missing == ()
    assert report.notes == ()
    assert report.trace[3] == Frame("__build_skb", 0x1F, 0x60, None, reliable=False, section="IRQ")
    assert report.trace[-1] == Frame("kthread", 0xDA, 0x100)
    caller = find_caller(report.trace)
    assert caller == Frame("nic_refill_rx", 0x155, 0x250, "examplenic", section="IRQ")
    assert report.counters_pages["free"] == 4950
    assert [node.all_unreclaimable for node in report.nodes] == [False, True]
    assert report.nodes[1].values_kb["inactive_anon"] == 200000
    assert report.hugepages[0] == HugePages(0, 2048, 4, 3, 0)
    assert report.totals == Totals(1047386, 0, 51230, None, 0, 295090, 17, 1021476, 1048572)
    assert report.slab_failures == (SlabFailure("skbuff_head_cache", 0xA20, "GFP_ATOMIC", -1, 232, 256, 0, 0, count=2),)


def test_the_zones_of_6_1() -> None:
    dma, dma32, normal = only_report("\n".join(sample("failure-6.1"))).zones
    assert [(zone.node, zone.zone) for zone in (dma, dma32, normal)] == [(0, "DMA"), (0, "DMA32"), (1, "Normal")]
    assert (dma32.free_kb, dma32.boost_kb, dma32.min_kb, dma32.low_kb, dma32.high_kb) == (6028, 2048, 7164, 8356, 9548)
    assert (dma32.reserved_highatomic_kb, dma32.free_highatomic_kb, dma32.free_cma_kb) == (4096, None, 0)
    assert (dma32.present_kb, dma32.managed_kb) == (2076400, 1925360)
    assert dma.lowmem_reserve_pages == (0, 1880, 1880, 1880, 1880)
    assert dma32.values_kb["local_pcp"] == 12
    assert dma32.free_blocks is not None
    assert dma32.free_blocks[0] == FreeBlocks(0, 1507, "UMEH")
    assert len(dma32.free_blocks) == 11
    assert normal.free_list_total_kb == 13020
    assert not normal.cut


def test_a_page_allocation_failure_of_2_6_32() -> None:
    report = only_report("\n".join(sample("failure-2.6.32")))
    assert (report.comm, report.pid, report.order, report.gfp_mask) == ("imapd", 4711, 3, 0x4020)
    assert (report.gfp_names, report.nodemask) == (None, None)
    assert report.trace[0].section == "IRQ"
    assert report.trace[-1].section is None
    assert [zone.all_unreclaimable for zone in report.zones] == [True, False]
    assert report.zones[1].pages_scanned == 66
    assert report.zones[0].free_kb == 4640
    assert report.zones[0].free_list_total_kb == 4608
    assert report.totals.ram_pages == 262144
    assert report.complete


def test_an_oom_of_5_10() -> None:
    report = only_report("\n".join(sample("oom-5.10")))
    assert report.kind is ReportKind.OOM
    assert (report.constraint, report.oom_score_adj) == ("CONSTRAINT_NONE", 0)
    assert report.victim == Victim(2207, "java", 1000, None, 4861244, 900416, 0, 0, 1936, 0)
    assert report.task_count == 5
    assert report.largest_tasks[:2] == (Task(2207, 225104, "java"), Task(2300, 462, "(sd-pam)"))
    assert report.memcg is not None
    assert (report.memcg.limited, report.memcg.task) == (None, "/user.slice")


def test_an_oom_of_a_control_group() -> None:
    report = only_report("\n".join(sample("memcg-6.6")))
    assert report.kind is ReportKind.MEMCG_OOM
    assert (report.comm, report.oom_score_adj) == ("worker 3", 830)
    assert report.memcg is not None
    assert (report.memcg.limited, report.memcg.task) == ("/pods/a", "/pods/a/one")
    assert report.memcg.counters[0] == MemcgCounter("memory", 10240, 10240, 4480)
    assert report.largest_tasks == (Task(70870, 1722, "worker 3"),)
    assert (report.zones, report.missing) == ((), ())


def test_a_vmalloc_failure_with_64k_pages() -> None:
    report = only_report("\n".join(sample("vmalloc-6.6-64k")))
    assert report.kind is ReportKind.VMALLOC_FAILURE
    assert (report.order, report.request_bytes, report.address_space) == (None, 65536, True)
    assert report.detail == "vmalloc error: size 65536, vm_struct allocation failed"
    assert (report.arch, report.page_size) == ("ppc64le", 65536)
    assert report.trace[0] == Frame("dump_stack_lvl", 0x6C, 0x9C, None, reliable=False)
    assert report.trace[-1] == Frame("load_module", 0xEC, 0x180, "example")
    assert report.zones[0].free_blocks is not None
    assert report.zones[0].free_blocks[8].order == 8


def test_an_oom_before_orders_and_names_were_printed() -> None:
    report = only_report("\n".join(sample("oom-2.6.11")))
    assert (report.kind, report.order, report.comm, report.gfp_mask) == (ReportKind.OOM, None, None, 0x1D2)
    assert [(zone.node, zone.zone, zone.free_kb) for zone in report.zones] == [
        (None, "DMA", 5120),
        (None, "Normal", 0),
        (None, "HighMem", 0),
    ]
    assert report.zones[1].free_blocks == ()
    assert report.victim == Victim(453, "smbd")
    assert report.complete
    assert report.missing == ("order", "comm", "release", "trace")


@pytest.mark.parametrize(
    ("lost", "missing"),
    [
        (r"^CPU: 2 PID", ("release",)),
        (r"^ (?!active_|unev|slab|mapp|sec_|kernel_|free:)", ("trace",)),
        (
            r"^Mem-Info|^active_anon|^ (active_|unev|slab|mapp|sec_|kernel_|free:)|^Node|^lowmem",
            ("memory-dump", "zones"),
        ),
        (r"^Node \d \w+ free:|^lowmem", ("zones", "watermarks", "lowmem-reserve")),
        (r"^lowmem_reserve", ("lowmem-reserve",)),
        (r"^Node 1 Normal: ", ("free-lists",)),
    ],
)
def test_what_a_report_lacks_is_said(lost: str, missing: tuple[str, ...]) -> None:
    kept = [line for line in sample("failure-6.1") if not re.search(lost, line)]
    report = only_report("\n".join(kept))
    assert report.missing == missing
