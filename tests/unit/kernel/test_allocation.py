"""The check against numbers worked out by hand from the description of each kernel, and from printed reports."""

from dataclasses import replace

import pytest

from pagewarden.kernel.allocation import AllocRequest, Check, Verdict, ZoneState, check_zone, passes
from pagewarden.kernel.allocation_boost import PrintedMarks, infer_boost_ranges
from pagewarden.kernel.allocation_rules import AllocationRules, allocation_rules
from pagewarden.kernel.gfp import flags_from_names, parse_names
from pagewarden.kernel.version import parse_version


def rules(release: str) -> AllocationRules:
    version = parse_version(release)
    assert version is not None
    return allocation_rules(version)


def zone(
    free: int,
    minimum: int,
    blocks: tuple[int, ...] | None = None,
    types: tuple[str, ...] | None = None,
    highatomic: int | tuple[int, int] = 0,
    cma: int = 0,
    boost: int | None = 0,
    low: int | None = None,
) -> ZoneState:
    """Low is min and a quarter, as without a boost, unless given."""
    low = minimum + minimum // 4 if low is None else low
    bounds = (highatomic, highatomic) if isinstance(highatomic, int) else highatomic
    return ZoneState(free, minimum, low, minimum + minimum // 2, boost, blocks, types, bounds, cma)


def request(names: str, order: int = 0, **privileges: bool) -> AllocRequest:
    return AllocRequest(order, flags_from_names(parse_names(names)), **privileges)


def check(
    state: ZoneState, names: str, release: str, order: int = 0, reserve: int = 0, mark: str = "min", **privileges: bool
) -> Check:
    return check_zone(state, request(names, order, **privileges), rules(release), reserve, mark)


def mark_of(names: str, release: str, order: int = 0, minimum: int = 71, **privileges: bool) -> int:
    return check(zone(0, minimum), names, release, order, **privileges).mark_pages


# 2.6.32-5-686, swapper order:0 mode:0x20: DMA and Normal as printed, in pages.


def test_report_of_2_6_32_normal() -> None:
    found = check(zone(179, 477, (179,)), "GFP_ATOMIC", "2.6.32-5-686")
    assert found.verdict is Verdict.BELOW_MARK
    assert found.mark == "min 477 - 1/2 - 1/4 = 180"
    assert (found.mark_pages, found.required_pages, found.available_pages, found.short_pages) == (180, 181, 179, 2)
    assert found.steps == (
        "min mark: 477",
        "1/2 off, urgent (__GFP_HIGH): 477 - 238 = 239",
        "1/4 off, cannot sleep: 239 - 59 = 180",
        "free: 179",
        "mark 180 + reserve 0 + 1 asked for: needs 181: short by 2",
    )


def test_report_of_2_6_32_dma() -> None:
    found = check(zone(248, 31), "GFP_ATOMIC", "2.6.32-5-686", reserve=238)
    assert found.verdict is Verdict.LOWMEM_RESERVE
    assert (found.mark_pages, found.reserve_pages, found.required_pages, found.short_pages) == (12, 238, 251, 3)


# 2.6.32-41-server, imap order:4 mode:0xc0d0.

IMAP = "GFP_KERNEL|__GFP_COMP|__GFP_ZERO"


def test_report_of_2_6_32_order_4_dma_is_barred_by_its_reserve() -> None:
    found = check(zone(3975, 7, (3, 2, 4, 2, 2, 0, 1, 0, 1, 1, 3)), IMAP, "2.6.32-41-server", 4, reserve=4016)
    assert (found.verdict, found.reserve_pages) == (Verdict.LOWMEM_RESERVE, 4016)
    assert found.usable_order == 10


def test_report_of_2_6_32_order_4_dma32_falls_at_order_0() -> None:
    blocks = (2360, 80, 21, 7, 4, 1, 2, 0, 1, 0, 0)
    found = check(zone(3140, 1769, blocks), IMAP, "2.6.32-41-server", 4, reserve=505)
    assert found.verdict is Verdict.NO_BLOCK
    assert found.short_pages == 0
    assert (found.failed_order, found.loop_pages) == (0, (765, 884))
    assert found.steps[-1] == "without the 2360 free blocks of order 0: 765, must be more than 884"


def test_report_of_2_6_32_order_4_normal_falls_at_order_3() -> None:
    found = check(zone(545, 254, (377, 14, 17, 9, 0, 0, 0, 0, 0, 0, 0)), IMAP, "2.6.32-41-server", 4)
    # 530 - 377 = 153 > 127, - 28 = 125 > 63, - 68 = 57 > 31, - 72 = -15 <= 15.
    assert (found.verdict, found.failed_order, found.loop_pages) == (Verdict.NO_BLOCK, 3, (-15, 15))


def test_order_5_without_free_lists_is_not_known_once_the_first_comparison_passes() -> None:
    for free, minimum in ((30193, 403), (9069, 3652), (4994, 4065)):
        found = check(zone(free, minimum), "GFP_ATOMIC|__GFP_COMP", "3.4.24", 5)
        assert (found.verdict, found.short_pages) == (Verdict.UNKNOWN, 0)
        assert "free blocks are not printed" in found.reason
    barred = check(zone(3980, 1), "GFP_ATOMIC|__GFP_COMP", "3.4.24", 5, reserve=32183)
    assert barred.verdict is Verdict.LOWMEM_RESERVE


# GFP_ATOMIC, one page, on zones of 6.18 with 67584 kB: by hand from the marks the kernel printed.


@pytest.mark.parametrize(("minimum", "reserve", "floor"), [(2439, 0, 915), (14385, 512, 5907), (71, 3531, 3558)])
def test_atomic_on_6_18(minimum: int, reserve: int, floor: int) -> None:
    at = check(zone(floor, minimum), "GFP_ATOMIC", "6.18.2", reserve=reserve)
    above = check(zone(floor + 1, minimum), "GFP_ATOMIC", "6.18.2", reserve=reserve)
    assert (at.required_pages, at.short_pages, above.short_pages) == (floor + 1, 1, 0)
    assert not passes(zone(floor, minimum), request("GFP_ATOMIC"), rules("6.18.2"), reserve)
    assert above.verdict is Verdict.WOULD_PASS


def test_kernel_on_6_18() -> None:
    assert check(zone(14385 + 512, 14385), "GFP_KERNEL", "6.18.2", reserve=512).short_pages == 1


# Who goes how far below the mark: 71 is 36 after a half, 54 after a quarter, 27 after both.

HALF, QUARTER, BOTH, FULL = 36, 54, 27, 71


@pytest.mark.parametrize(
    ("names", "old", "since_4_4", "since_6_3"),
    [
        ("GFP_ATOMIC", BOTH, BOTH, BOTH),
        ("GFP_KERNEL", FULL, FULL, FULL),
        ("GFP_KERNEL|__GFP_HIGH", HALF, HALF, HALF),
        ("GFP_NOWAIT", QUARTER, FULL, FULL),
        ("GFP_NOWAIT|__GFP_HIGH", BOTH, HALF, BOTH),
        ("GFP_ATOMIC|__GFP_NOMEMALLOC", HALF, HALF, HALF),
    ],
)
def test_discounts(names: str, old: int, since_4_4: int, since_6_3: int) -> None:
    for release, expected in (("2.6.38", old), ("4.3", old), ("4.4", since_4_4), ("6.2", since_4_4)):
        assert mark_of(names, release) == expected, release
    for release in ("6.3", "6.1.176", "7.2"):
        assert mark_of(names, release) == since_6_3, release


@pytest.mark.parametrize(
    ("names", "release", "expected"),
    [
        # Until 2.6.37 __GFP_NOMEMALLOC took no discount away.
        ("__GFP_HIGH|__GFP_NOMEMALLOC", "2.6.37", BOTH),
        ("__GFP_HIGH|__GFP_NOMEMALLOC", "2.6.38", HALF),
        # __GFP_NO_KSWAPD: who does not even wake kswapd is not one of those in need.
        ("__GFP_HIGH|__GFP_NO_KSWAPD", "3.14", BOTH),
        ("__GFP_HIGH|__GFP_NO_KSWAPD", "3.16", HALF),
        ("__GFP_HIGH|__GFP_NO_KSWAPD", "3.10.0-1160.el7.x86_64", HALF),
    ],
)
def test_exceptions_before_4_4(names: str, release: str, expected: int) -> None:
    assert mark_of(names, release) == expected


@pytest.mark.parametrize(
    ("names", "release", "expected"),
    [
        ("GFP_KERNEL", "2.6.32", QUARTER),
        ("GFP_KERNEL", "4.3", QUARTER),
        ("GFP_KERNEL", "6.2", QUARTER),
        ("GFP_KERNEL", "6.3", HALF),
        ("GFP_ATOMIC", "6.3", BOTH),
        ("GFP_NOWAIT", "4.4", QUARTER),
        ("GFP_NOWAIT", "6.3", FULL),
        ("__GFP_HIGH|__GFP_NO_KSWAPD", "3.16", BOTH),
    ],
)
def test_real_time_tasks(names: str, release: str, expected: int) -> None:
    assert mark_of(names, release, realtime=True) == expected


def test_an_interrupt_has_none_of_the_privileges_of_the_task_it_interrupted() -> None:
    for release in ("2.6.32", "4.4", "6.3"):
        privileges = {"realtime": True, "victim": True, "memalloc": True}
        assert mark_of("GFP_KERNEL", release, in_interrupt=True, **privileges) == FULL
        assert mark_of("GFP_ATOMIC", release, in_interrupt=True, **privileges) == BOTH


@pytest.mark.parametrize("release", ["4.14", "5.10", "6.3", "7.2"])
def test_oom_victims_go_half_way_down_since_4_14(release: str) -> None:
    assert mark_of("GFP_KERNEL", release, victim=True) == HALF
    # The right of a victim is a second try; the caller's own rights are not added to it.
    assert mark_of("GFP_ATOMIC", release, victim=True) == BOTH
    assert mark_of("GFP_KERNEL|__GFP_NOMEMALLOC", release, victim=True) == FULL


@pytest.mark.parametrize(
    ("names", "release", "privileges"),
    [
        ("GFP_KERNEL", "4.12", {"victim": True}),
        ("GFP_KERNEL", "2.6.32", {"memalloc": True}),
        ("GFP_KERNEL", "6.12", {"memalloc": True}),
        ("GFP_NOFS|__GFP_MEMALLOC", "6.12", {}),
        ("GFP_NOFS|__GFP_MEMALLOC", "6.12", {"in_interrupt": True}),
    ],
)
def test_callers_without_a_watermark_only_need_a_block(names: str, release: str, privileges: dict[str, bool]) -> None:
    empty = zone(1, 1000, (0, 0), ("", ""))
    found = check(zone(3, 1000, (1, 1), ("U", "U")), names, release, 1, 900, **privileges)
    assert (found.verdict, found.required_pages, found.mark_pages) == (Verdict.WOULD_PASS, 2, 0)
    assert found.mark == "none: the caller may use all reserves"
    assert check(empty, names, release, 0, **privileges).verdict is Verdict.NO_BLOCK
    assert check(zone(3, 1000), names, release, 1, **privileges).verdict is Verdict.UNKNOWN
    assert check(zone(1, 1000, (1,), ("U",)), names, release, 1, **privileges).verdict is Verdict.BELOW_MARK
    barred = f"{names}|__GFP_NOMEMALLOC"
    assert check(zone(3, 1000, (1, 1), ("U", "U")), barred, release, 1, **privileges).verdict is Verdict.BELOW_MARK


def test_the_flag_memalloc_does_nothing_before_3_6() -> None:
    assert mark_of("GFP_KERNEL|__GFP_MEMALLOC", "3.5") == FULL


@pytest.mark.parametrize("mark", ["low", "high"])
def test_other_marks_know_no_discounts(mark: str) -> None:
    state = zone(0, 400)
    for release in ("2.6.32", "4.4", "6.12"):
        found = check(state, "GFP_ATOMIC", release, mark=mark, realtime=True, victim=True, memalloc=True)
        assert found.mark_pages == {"low": 500, "high": 600}[mark]
        assert found.mark == f"{mark} {found.mark_pages}"


# Off by two, 2.6.38 to 3.2 and el6: an order-0 request subtracts two pages.


@pytest.mark.parametrize(
    ("release", "required"), [("2.6.37", 101), ("2.6.38", 103), ("3.2", 103), ("3.3", 101), ("2.6.32-642.el6", 103)]
)
def test_two_pages_too_many(release: str, required: int) -> None:
    assert check(zone(100, 100), "GFP_KERNEL", release).required_pages == required
    assert check(zone(required, 100), "GFP_KERNEL", release).verdict is Verdict.WOULD_PASS
    assert check(zone(required - 1, 100), "GFP_KERNEL", release).verdict is Verdict.BELOW_MARK


def test_the_loop_counts_the_two_pages_as_well() -> None:
    # 2.6.37: 116 - 16 + 1 = 101, less 50 leaves 51 > 50. Off by two: 49 falls.
    state = zone(216, 100, (150, 0, 0, 0, 4))
    assert check(state, "GFP_KERNEL", "2.6.37", 1).verdict is Verdict.WOULD_PASS
    off = check(zone(203, 100, (150, 0, 0, 0, 4)), "GFP_KERNEL", "3.2", 1)
    assert (off.verdict, off.loop_pages) == (Verdict.NO_BLOCK, (50, 50))
    assert check(zone(203, 100, (150, 0, 0, 0, 4)), "GFP_KERNEL", "3.3", 1).verdict is Verdict.WOULD_PASS


def test_the_loop_of_2_6_32() -> None:
    # 1500 - 16 + 1 = 1485 > 1000; without 1200 singles 285 <= 500.
    found = check(zone(1500, 1000, (1200, 100, 20, 2, 0)), "GFP_KERNEL|__GFP_COMP|__GFP_ZERO", "2.6.32", 4)
    assert (found.verdict, found.failed_order, found.loop_pages) == (Verdict.NO_BLOCK, 0, (285, 500))


def test_the_loop_of_el6_starts_from_what_exceeds_min() -> None:
    # First 1500 - 17 = 1483 > 1000; then against 0: 283, 83, 3, -13.
    blocks = (1200, 100, 20, 2, 0)
    found = check(zone(1500, 1000, blocks), "GFP_KERNEL", "2.6.32-642.el6.x86_64", 4)
    assert (found.verdict, found.failed_order, found.loop_pages) == (Verdict.NO_BLOCK, 3, (-13, 0))
    assert check(zone(1517, 1000, (1200, 100, 20, 2, 1)), "GFP_KERNEL", "2.6.32-642.el6", 4).verdict is (
        Verdict.WOULD_PASS
    )
    # Against low, 250 above min: halved to 125 and 62, and no further.
    low = check(zone(1500, 1000, blocks), "GFP_KERNEL", "2.6.32-642.el6", 4, mark="low")
    assert (low.failed_order, low.loop_pages) == (2, (3, 62))


def test_a_loop_that_passes_still_needs_a_block() -> None:
    state = zone(5000, 100, (0, 0, 10, 0), ("", "", "CI", ""))
    assert check(state, "GFP_KERNEL", "3.10.53", 2).verdict is Verdict.NO_BLOCK
    assert check(state, "GFP_HIGHUSER_MOVABLE", "3.10.53", 2).verdict is Verdict.WOULD_PASS
    reserve = replace(state, block_types=("", "", "R", ""))
    assert check(reserve, "GFP_KERNEL", "3.10.53", 2).verdict is Verdict.WOULD_PASS


# CMA pages.


@pytest.mark.parametrize(
    ("release", "withheld"), [("3.6", 0), ("3.8", 60), ("3.10.53", 60), ("4.3", 60), ("4.4", 60), ("6.12", 60)]
)
def test_cma_pages_do_not_count_unless_the_page_is_movable(release: str, withheld: int) -> None:
    state = zone(150, 100, cma=60)
    assert check(state, "GFP_KERNEL", release).withheld_pages == withheld
    assert passes(state, request("GFP_KERNEL"), rules(release), 0) is (withheld == 0)
    assert check(state, "GFP_HIGHUSER_MOVABLE", release).withheld_pages == 0
    assert check(state, "GFP_KERNEL|__GFP_MOVABLE|__GFP_RECLAIMABLE", release).withheld_pages == withheld


def test_the_loop_of_3_10_counts_cma_pages() -> None:
    # 400 free, 100 of them CMA: 400 - 1 - 100 = 299 > 200. Then without 240 singles: 159 > 100 with CMA, 59 without.
    state = zone(400, 200, (240, 80), ("U", "UC"), cma=100)
    assert check(state, "GFP_KERNEL", "3.10.53", 1).verdict is Verdict.WOULD_PASS
    old = check(state, "GFP_KERNEL", "3.8", 1)
    assert (old.verdict, old.loop_pages) == (Verdict.NO_BLOCK, (59, 100))


# Blocks, since 4.4.


@pytest.mark.parametrize(
    ("types", "names", "release", "verdict"),
    [
        ("U", "GFP_KERNEL", "4.4", Verdict.WOULD_PASS),
        ("E", "GFP_KERNEL", "6.12", Verdict.WOULD_PASS),
        ("M", "GFP_KERNEL", "6.12", Verdict.WOULD_PASS),
        ("C", "GFP_KERNEL", "6.12", Verdict.NO_BLOCK),
        ("C", "GFP_HIGHUSER_MOVABLE", "6.12", Verdict.WOULD_PASS),
        ("I", "GFP_HIGHUSER_MOVABLE", "6.12", Verdict.NO_BLOCK),
        ("H", "GFP_KERNEL", "4.4", Verdict.NO_BLOCK),
        ("H", "GFP_ATOMIC", "4.4", Verdict.WOULD_PASS),
        ("H", "GFP_ATOMIC", "4.14", Verdict.WOULD_PASS),
        ("H", "GFP_ATOMIC", "6.3", Verdict.WOULD_PASS),
        # The check of a caller with the discount was content with anything until 4.13; such blocks it did not get.
        ("CI", "GFP_ATOMIC", "4.12", Verdict.NO_BLOCK),
        ("CI", "GFP_ATOMIC|__GFP_MOVABLE", "4.12", Verdict.WOULD_PASS),
        ("UC", "GFP_ATOMIC", "4.12", Verdict.WOULD_PASS),
        ("CI", "GFP_ATOMIC", "4.14", Verdict.NO_BLOCK),
        ("H", "GFP_NOWAIT", "5.10", Verdict.NO_BLOCK),
        ("H", "GFP_NOWAIT", "6.3", Verdict.WOULD_PASS),
        ("H", "GFP_NOWAIT", "6.14", Verdict.WOULD_PASS),
        ("H", "GFP_NOWAIT", "6.17", Verdict.NO_BLOCK),
        ("H", "GFP_NOWAIT", "6.12.107", Verdict.NO_BLOCK),
        ("H", "GFP_KERNEL|__GFP_HIGH", "6.12", Verdict.NO_BLOCK),
        ("H", "GFP_ATOMIC|__GFP_NOMEMALLOC", "6.12", Verdict.NO_BLOCK),
    ],
)
def test_kinds_of_blocks(types: str, names: str, release: str, verdict: Verdict) -> None:
    state = zone(5000, 100, (900, 0, 0, 3), ("UME", "", "", types))
    found = check(state, names, release, 2)
    assert found.verdict is verdict
    assert found.usable_order == (3 if verdict is Verdict.WOULD_PASS else 0)


def test_an_oom_victim_takes_highatomic_blocks_since_4_14() -> None:
    state = zone(5000, 100, (900, 0, 3), ("UME", "", "H"))
    assert check(state, "GFP_KERNEL", "5.10", 2, victim=True).verdict is Verdict.WOULD_PASS
    assert check(state, "GFP_KERNEL", "5.10", 2).verdict is Verdict.NO_BLOCK


def test_an_oom_victim_counts_the_highatomic_reserve_since_4_14() -> None:
    # Its own try needs 101 of 120 - 60; as a victim 51 of 120.
    state = zone(120, 100, highatomic=60)
    found = check(state, "GFP_KERNEL", "5.10.223", victim=True)
    assert (found.verdict, found.required_pages, found.available_pages) == (Verdict.WOULD_PASS, 51, 120)


def test_many_single_pages_do_not_matter_since_4_4() -> None:
    state = zone(3140, 1769, (2360, 80, 21, 7, 4, 1, 2, 0, 1), ("U",) * 9)
    assert check(state, "GFP_KERNEL", "4.3", 4, reserve=505).verdict is Verdict.NO_BLOCK
    assert check(state, "GFP_KERNEL", "4.4", 4, reserve=505).verdict is Verdict.WOULD_PASS


# The highatomic reserve.


@pytest.mark.parametrize(
    ("names", "release", "order", "withheld"),
    [
        ("GFP_KERNEL", "4.3", 0, 0),
        ("GFP_KERNEL", "4.4", 0, 50),
        ("GFP_ATOMIC", "4.4", 0, 0),
        ("GFP_NOWAIT", "4.4", 0, 50),
        ("GFP_NOWAIT", "6.2", 0, 50),
        ("GFP_NOWAIT", "6.3", 0, 0),
        ("GFP_KERNEL|__GFP_HIGH", "6.2", 0, 50),
        ("GFP_KERNEL|__GFP_HIGH", "6.3", 0, 0),
        ("GFP_NOWAIT|__GFP_NOMEMALLOC", "6.3", 0, 50),
        # Single pages: the short cut of 4.8 to 5.8 forgets the reserve, so that nothing is withheld.
        ("GFP_KERNEL", "4.8", 0, 0),
        ("GFP_KERNEL", "5.8", 0, 0),
        ("GFP_KERNEL", "5.9", 0, 50),
        ("GFP_KERNEL", "4.8", 1, 50),
    ],
)
def test_who_may_count_the_highatomic_reserve(names: str, release: str, order: int, withheld: int) -> None:
    found = check(zone(120, 100, highatomic=50), names, release, order)
    assert found.withheld_pages == withheld
    assert found.available_pages == 120 - withheld


def test_the_short_cut_knows_no_discounts() -> None:
    # Half the mark with the reserve withheld asks for 50 + 60, the whole mark without withholding for 100.
    state = zone(105, 100, highatomic=60)
    found = check(state, "GFP_KERNEL|__GFP_HIGH", "5.4")
    assert (found.verdict, found.mark, found.required_pages) == (Verdict.WOULD_PASS, "min 100", 101)
    small = check(replace(state, highatomic_pages=(20, 20)), "GFP_KERNEL|__GFP_HIGH", "5.4")
    assert (small.mark, small.required_pages, small.withheld_pages) == ("min 100 - 1/2 = 50", 51, 20)


def test_a_reserve_that_is_not_printed_is_doubted_only_where_it_matters() -> None:
    state = zone(150, 100, (10, 0, 5), ("UME", "", "UM"), highatomic=(8, 80))
    doubtful = check(state, "GFP_KERNEL", "4.19", 1)
    assert doubtful.verdict is Verdict.UNKNOWN
    assert "the highatomic reserve, which is not printed (between 8 and 80 pages)" in doubtful.reason
    assert passes(state, request("GFP_KERNEL", 1), rules("4.19"), 0) is None
    assert check(state, "GFP_ATOMIC", "4.19", 1).verdict is Verdict.WOULD_PASS
    assert check(replace(state, free_pages=300), "GFP_KERNEL", "4.19", 1).verdict is Verdict.WOULD_PASS
    refused = check(replace(state, free_pages=105), "GFP_KERNEL", "4.19", 1)
    assert (refused.verdict, refused.required_pages, refused.withheld_pages) == (Verdict.BELOW_MARK, 102, 8)


# The short cut of 5.9 to 5.18 passes when less than nothing counts.


@pytest.mark.parametrize(
    ("release", "types", "verdict"),
    [
        ("5.10.0", "H", Verdict.NO_BLOCK),
        ("5.10.0", "UH", Verdict.WOULD_PASS),
        ("5.10.223", "UH", Verdict.BELOW_MARK),
        ("5.8.0", "UH", Verdict.BELOW_MARK),
        ("6.1.0", "UH", Verdict.BELOW_MARK),
    ],
)
def test_less_than_nothing_passes_by_mistake(release: str, types: str, verdict: Verdict) -> None:
    state = zone(40, 100, (40, 0), (types, ""), highatomic=50)
    assert check(state, "GFP_KERNEL", release).verdict is verdict
    assert check(state, "GFP_KERNEL", release, 1).verdict is Verdict.BELOW_MARK


def test_nothing_is_not_less_than_nothing() -> None:
    assert check(zone(50, 100, (50,), ("UH",), highatomic=50), "GFP_KERNEL", "5.10.0").verdict is Verdict.BELOW_MARK


def test_less_than_nothing_without_free_lists_is_not_known() -> None:
    assert check(zone(40, 100, highatomic=50), "GFP_KERNEL", "5.10.0").verdict is Verdict.UNKNOWN


# Boosts.


@pytest.mark.parametrize(
    ("names", "release", "order", "mark"),
    [
        ("GFP_ATOMIC", "5.8", 0, "min 400 - 1/2 - 1/4 = 150"),
        ("GFP_ATOMIC", "5.10", 0, "min 400 - boost 100 - 1/2 - 1/4 = 113"),
        ("GFP_ATOMIC", "5.10", 1, "min 400 - 1/2 - 1/4 = 150"),
        ("GFP_KERNEL|__GFP_HIGH", "5.10", 0, "min 400 - 1/2 = 200"),
        ("GFP_KERNEL|__GFP_HIGH", "6.3", 0, "min 400 - boost 100 - 1/2 = 150"),
        ("GFP_KERNEL", "6.3", 0, "min 400"),
        ("GFP_NOWAIT", "6.3", 0, "min 400"),
    ],
)
def test_urgent_single_pages_are_checked_without_the_boost(names: str, release: str, order: int, mark: str) -> None:
    assert check(zone(0, 400, boost=100, low=475), names, release, order).mark == mark


def test_real_time_tasks_are_urgent_since_6_3() -> None:
    assert check(zone(0, 400, boost=100), "GFP_KERNEL", "6.3", realtime=True).mark_pages == 150


def test_a_boost_that_is_not_printed() -> None:
    # The gap to low is a quarter of min: no boost. Otherwise min exceeds four gaps by the boost at least.
    plain = check(zone(151, 400, boost=None), "GFP_ATOMIC", "5.10.0")
    assert (plain.verdict, plain.mark) == (Verdict.WOULD_PASS, "min 400 - 1/2 - 1/4 = 150")
    assert check(zone(150, 400, boost=None), "GFP_ATOMIC", "5.10.0").verdict is Verdict.BELOW_MARK
    boosted = zone(39, 400, boost=None, low=425)
    doubtful = check(boosted, "GFP_ATOMIC", "5.10.0")
    assert doubtful.verdict is Verdict.UNKNOWN
    assert "the boost of its watermarks, which is not printed (between 297 and 400 pages)" in doubtful.reason
    # At least 297 of the 400 are boost, so that 103 less the discounts is the most that can be asked for.
    certain = check(replace(boosted, free_pages=40), "GFP_ATOMIC", "5.10.0")
    assert (certain.verdict, certain.mark) == (Verdict.WOULD_PASS, "min 400 - boost 297 - 1/2 - 1/4 = 39")
    known = replace(boosted, boost_range=(300, 310))
    assert check(known, "GFP_ATOMIC", "5.10.0").verdict is Verdict.WOULD_PASS
    assert check(replace(known, free_pages=30), "GFP_ATOMIC", "5.10.0").verdict is Verdict.BELOW_MARK
    assert check(boosted, "GFP_KERNEL", "5.10.0").verdict is Verdict.BELOW_MARK


def test_boosts_are_inferred_from_the_proportions_of_the_zones() -> None:
    # 6.1 with 67584 kB: DMA, DMA32 and Normal of one machine, as printed; then with 3000 pages of boost on the last.
    dma, dma32 = PrintedMarks(64, 16, 3840), PrintedMarks(12899, 3224, 765920)
    upper = PrintedMarks(3931, 982, 235498)
    assert infer_boost_ranges((dma, dma32, upper)) == ((0, 0), (0, 0), (0, 0))
    *others, (least, most) = infer_boost_ranges((dma, dma32, replace(upper, min_pages=6931)))
    assert others == [(0, 0), (0, 0)]
    assert least <= 3000 <= most
    assert most - least < 400
    assert infer_boost_ranges(()) == ()


@pytest.mark.parametrize("gaps", [(16, 3224, 982), (64, 12899, 3931)])  # a quarter of min; of the scale factor
def test_a_balloon_that_took_memory_is_no_boost(gaps: tuple[int, int, int]) -> None:
    sizes = (3840, 765920, 235498 // 2)  # marks are not computed anew
    zones = [PrintedMarks(*each) for each in zip((64, 12899, 3931), gaps, sizes, strict=True)]
    assert infer_boost_ranges(zones) == ((0, 0), (0, 0), (0, 0))


# Lists that end early.


@pytest.mark.parametrize(("release", "types"), [("2.6.32", None), ("6.12", ("U", "U", ""))])
def test_a_list_that_is_cut_off(release: str, types: tuple[str, ...] | None) -> None:
    state = replace(zone(5000, 10, (4, 4, 0), types), blocks_cut=True)
    assert check(state, "GFP_KERNEL", release, 4).verdict is Verdict.UNKNOWN
    assert check(state, "GFP_KERNEL", release, 1).verdict is Verdict.WOULD_PASS
    assert check(replace(state, blocks_cut=False), "GFP_KERNEL", release, 4).verdict is Verdict.NO_BLOCK


@pytest.mark.parametrize(
    ("free", "verdict"),
    [
        (100, Verdict.BELOW_MARK),
        (101, Verdict.LOWMEM_RESERVE),
        (107, Verdict.LOWMEM_RESERVE),
        (108, Verdict.WOULD_PASS),
    ],
)
def test_the_mark_alone_and_with_the_reserve(free: int, verdict: Verdict) -> None:
    for release in ("2.6.32", "3.4", "4.4", "6.12"):
        assert check(zone(free, 100), "GFP_KERNEL", release, reserve=7).verdict is verdict


def test_pages_in_total_against_what_counts() -> None:
    found = check(zone(120, 100, highatomic=50, cma=20), "GFP_KERNEL", "6.12", 1, reserve=7)
    assert (found.required_pages, found.available_pages, found.withheld_pages) == (109, 50, 70)
    assert found.required_free_pages == 179
    assert "free: 120 - 70 withheld = 50" in found.steps
