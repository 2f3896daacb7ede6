"""What the kernel would have chosen, and whether it did."""

from dataclasses import replace

import pytest
from tests.machines import GIB, machine, zone

from pagewarden.kernel.defaults import KernelMade, default_min_free, default_settings, kernel_made
from pagewarden.kernel.machine import Machine
from pagewarden.procfs.types import HugePages

SETTINGS = {"min_free_kbytes": "67584", "watermark_scale_factor": "10", "lowmem_reserve_ratio": "256 256 32 0"}
LAYOUT = ("DMA", "DMA32", "Normal", "Movable")


def one_node(huge: str | None = "always", min_free: str = "67584", kernel: str = "6.1.0", gib: int = 16) -> Machine:
    zones = [
        zone(name, pages, protection=(0, 0, 0, 0))
        for name, pages in zip(LAYOUT, (3840, 3 * GIB - 3840, (gib - 3) * GIB, 0), strict=True)
    ]
    return machine(zones, {**SETTINGS, "min_free_kbytes": min_free}, kernel=kernel, huge=huge)


def two_nodes() -> Machine:
    low = [zone("DMA", 3840), zone("DMA32", 3 * GIB), zone("Normal", 13 * GIB)]
    return machine([*low, zone("Normal", 16 * GIB, node=1)], SETTINGS, huge="madvise")


def test_one_node_with_huge_pages() -> None:
    default = default_min_free(one_node())
    assert (default.lowmem_pages, default.lowmem_formula_kb, default.effective_kb) == (16 * GIB, 16384, 67584)
    assert default.huge is not None
    assert (default.huge.zone_count, default.huge.pageblock_pages) == (3, 512)


def test_two_nodes_with_huge_pages() -> None:
    assert default_min_free(two_nodes()).effective_kb == 90112


@pytest.mark.parametrize("huge", ["never", None])
def test_without_huge_pages_the_square_root_alone(huge: str | None) -> None:
    default = default_min_free(one_node(huge))
    assert default.huge is None
    assert default.effective_kb == 16384


def test_without_huge_pages_in_the_kernel() -> None:
    assert default_min_free(one_node("always", kernel="2.6.37")).effective_kb == 16384


def test_the_twentieth_is_taken_of_what_the_first_marks_leave() -> None:
    # 1 GiB: root 4096 kB -> min 1024, low 1286, high 1548 pages; (262144 - 1548) / 20 = 13029 pages.
    default = default_min_free(machine([zone("DMA32", GIB)], SETTINGS, huge="always"))
    assert default.huge is not None
    assert default.huge.cap_kb == 13029 * 4
    assert default.effective_kb == default.huge.recommended_kb == 22528


@pytest.mark.parametrize(
    ("value", "made"),
    [
        (67584, KernelMade.HUGE_PAGES),
        (67583, None),
        (67588, None),
        (16384, KernelMade.SQUARE_ROOT),
        (16385, None),
        (14745, KernelMade.SQUARE_ROOT),
        (14653, None),
        (8192, None),
        (0, None),
        (1048576, None),
    ],
)
@pytest.mark.parametrize("huge", ["always", "never"])
def test_kernel_made(value: int, made: KernelMade | None, huge: str) -> None:
    assert kernel_made(one_node(huge), value) is made


def test_a_kernel_without_huge_pages_never_chose_their_value() -> None:
    assert kernel_made(one_node(kernel="2.6.37"), 67584) is None
    assert kernel_made(one_node(kernel="2.6.37"), 16384) is KernelMade.SQUARE_ROOT


def test_a_twentieth_of_an_earlier_count_is_the_kernels_too() -> None:
    small = machine([zone("DMA", 3840), zone("DMA32", 120000), zone("Normal", 120000)], SETTINGS, huge="always")
    huge = default_min_free(small).huge
    assert huge is not None
    assert huge.cap_kb < huge.wanted_kb
    for value in (huge.cap_kb, huge.cap_kb - 400, huge.cap_kb + 40):
        assert kernel_made(small, value) is KernelMade.HUGE_PAGES
    assert kernel_made(small, huge.cap_kb * 7 // 10) is None
    assert kernel_made(small, huge.cap_kb * 11 // 10) is None


def test_settings_that_depend_on_nothing_and_those_that_do() -> None:
    full = one_node()
    more = replace(full, sysctls={**full.sysctls, "vm.swappiness": "1", "vm.dirty_ratio": "5"})
    assert default_settings(more) == {
        "vm.min_free_kbytes": "67584",
        "vm.watermark_scale_factor": "10",
        "vm.lowmem_reserve_ratio": "256 256 32 0",
        "vm.swappiness": "60",
    }


@pytest.mark.parametrize(("kernel", "known"), [("6.12.0", True), ("5.14.0-362.8.1.el9_3.x86_64", False)])
def test_what_red_hat_ships_otherwise_has_no_default_there(kernel: str, known: bool) -> None:
    found = machine([zone("Normal", GIB)], {"min_free_kbytes": "4096", "compaction_proactiveness": "0"}, kernel=kernel)
    assert ("vm.compaction_proactiveness" in default_settings(found)) is known
    without = machine([zone("Normal", GIB)], {"min_free_kbytes": "4096"}, kernel=kernel)
    assert "vm.compaction_proactiveness" not in default_settings(without)


def test_settings_the_kernel_does_not_have_are_left_out() -> None:
    bare = machine([zone("Normal", GIB)], {"min_free_kbytes": "4096"})
    assert default_settings(bare) == {"vm.min_free_kbytes": "4096"}


def test_the_kernels_page_block_decides() -> None:
    arm = replace(one_node(), pageblock_pages=8192, page_size=65536, huge_pages=HugePages("always"))
    huge = default_min_free(arm).huge
    assert huge is not None
    assert huge.wanted_kb == 3 * 5767168
    assert huge.recommended_kb == huge.cap_kb
