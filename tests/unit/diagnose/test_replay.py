"""Which zones a request may use, which reserve holds against it, and what is said where kernels differ."""

import dataclasses

import pytest
from tests.unit.diagnose.reports import blocks, failure, modern, recent, zone

from pagewarden.diagnose.replay import replay
from pagewarden.kernel.allocation import Verdict
from pagewarden.klog.types import Report, ReportKind


def box(free_normal: int = 100, **more: object) -> Report:
    """Four zones' worth of reserves, DMA DMA32 Normal Movable."""
    return failure(
        zone("DMA", 3900, 71, (0, 3019, 3531, 3531), 3976),
        zone("DMA32", 20_000, 14_385, (0, 0, 512, 512)),
        zone("Normal", free_normal, 2439, (0, 0, 0, 0)),
        **more,
    )


def verdicts(report: Report, kernel: str | None = None) -> dict[str, str]:
    return {found.dump.zone: str(found.verdict) for found in replay(report, kernel).zones}


def reserves(report: Report) -> dict[str, int | None]:
    return {found.dump.zone: found.check.reserve_pages if found.check else None for found in replay(report).zones}


@pytest.mark.parametrize(
    ("mask", "expected"),
    [
        (0x20, {"DMA": 3531, "DMA32": 512, "Normal": 0}),  # no zone bit: Normal
        (0x22, {"DMA": 3531, "DMA32": 512, "Normal": 0}),  # HIGHMEM without such a zone: Normal
        (0x2A, {"DMA": 3531, "DMA32": 512, "Normal": 0}),  # HIGHMEM and MOVABLE: Movable, whose reserve is the same
        (0x24, {"DMA": 3019, "DMA32": 0, "Normal": None}),  # DMA32
        (0x21, {"DMA": 0, "DMA32": None, "Normal": None}),  # DMA
    ],
)
def test_the_mask_chooses_the_zones_and_the_entry_of_the_reserve(mask: int, expected: dict[str, int | None]) -> None:
    assert reserves(box(gfp_mask=mask)) == expected


def test_a_zone_above_the_mask_is_not_eligible() -> None:
    found = {each.dump.zone: each for each in replay(box(gfp_mask=0x24)).zones}
    assert (found["Normal"].usable, found["Normal"].verdict) == (False, Verdict.NOT_ELIGIBLE)
    assert found["DMA32"].usable is True


def test_the_zone_bits_may_contradict_each_other() -> None:
    found = replay(box(gfp_mask=0x27))
    assert {each.verdict for each in found.zones} == {Verdict.UNKNOWN}
    assert all(each.usable is None and "contradict" in each.reason for each in found.zones)


def test_since_5_8_the_mask_itself_indexes_the_reserve_even_if_its_zone_is_empty() -> None:
    # HIGHUSER_MOVABLE: Movable is empty, and its entry (5000) differs from that of Normal on purpose.
    zones = (modern("DMA32", 4000, 100, (0, 700, 5000)), modern("Normal", 10, 100, (0, 0, 0)))
    report = recent(*zones, names="GFP_HIGHUSER_MOVABLE", release="5.8.1")
    assert replay(report).zones[0].check is not None
    assert reserves(report)["DMA32"] == 5000
    old = recent(*zones, names="GFP_HIGHUSER_MOVABLE", release="5.7.1")
    assert reserves(old)["DMA32"] == 700


def test_a_mask_for_a_zone_that_the_kernel_does_not_have_falls_back_on_normal() -> None:
    (found,) = replay(failure(zone("Normal", 30, 100, (0,), node=None), gfp_mask=0x21)).zones
    assert (found.usable, found.verdict) == (True, Verdict.BELOW_MARK)
    # Two zones, of which only Normal has pages: the other may be DMA below it or Movable above it.
    (found,) = replay(failure(zone("Normal", 30, 100, (0, 0), node=None), gfp_mask=0x21)).zones
    assert (found.usable, found.verdict) == (None, Verdict.UNKNOWN)
    assert "which zones this kernel has" in found.reason


def test_empty_zones_and_zones_of_other_nodes_are_not_eligible() -> None:
    zones = (
        modern("Normal", 10, 100, (0, 0, 0)),
        modern("Normal", 9000, 100, (0, 0, 0), node=1),
        modern("Movable", 0, 0, (0, 0, 0), size=0),
    )
    found = replay(recent(*zones, names="GFP_HIGHUSER_MOVABLE", nodemask="0")).zones
    assert [each.verdict for each in found] == [Verdict.BELOW_MARK, Verdict.NOT_ELIGIBLE, Verdict.NOT_ELIGIBLE]


@pytest.mark.parametrize(
    ("nodemask", "allowed"),
    [
        ("(null)", [0, 1, 2]),
        (None, [0, 1, 2]),
        ("0-1", [0, 1]),
        ("2", [2]),
        ("0,2", [0, 2]),
        ("", [0, 1, 2]),
        ("rubbish", [0, 1, 2]),
        ("0-99999999999", [0, 1, 2]),
        ("2-0", []),
    ],
)
def test_nodemasks(nodemask: str | None, allowed: list[int]) -> None:
    zones = tuple(modern("Normal", 10, 100, (0, 0), node=node) for node in range(3))
    found = replay(recent(*zones, nodemask=nodemask)).zones
    assert [each.dump.node for each in found if each.usable] == allowed


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"free_kb": None}, "free: line"),
        ({"min_kb": None}, "free: line"),
        ({"lowmem_reserve_pages": None}, "lowmem_reserve"),
    ],
)
def test_what_is_not_printed_is_not_guessed(changes: dict[str, object], reason: str) -> None:
    low = dataclasses.replace(zone("DMA", 3900, 71, (0, 3531, 3531)), **changes)  # type: ignore[arg-type]
    found = replay(failure(low, zone("Normal", 10, 100, (0, 0, 0)))).zones[0]
    assert found.verdict is Verdict.UNKNOWN
    assert reason in found.reason


def test_no_mask_no_verdict() -> None:
    found = replay(box(gfp_mask=None))
    assert found.flags is None
    assert {each.verdict for each in found.zones} == {Verdict.UNKNOWN}


def test_kernels_that_agree_are_one_answer_and_kernels_that_differ_are_said() -> None:
    # One page, GFP_ATOMIC, far below and far above every variant's mark.
    assert replay(box(release=None)).disagreement == ""
    assert not replay(box(release=None)).known
    # 2.6.38 to 3.2 ask for two pages more: 915 of them pass elsewhere, there 917.
    edge = replay(box(free_normal=916, release=None))
    assert verdicts(box(free_normal=916, release=None))["Normal"] == "unknown"
    assert "Normal" in edge.disagreement
    assert verdicts(box(free_normal=916, release="2.6.32"))["Normal"] == "would-pass"
    assert verdicts(box(free_normal=916, release="3.2.0"))["Normal"] == "below-mark"
    assert verdicts(box(free_normal=918, release="3.2.0"))["Normal"] == "would-pass"


def test_a_kernel_that_the_user_names_wins_over_the_log() -> None:
    found = replay(box(free_normal=916, release="2.6.32"), "3.2.0")
    assert (str(found.version), found.known) == ("3.2.0", True)
    assert found.zones[2].verdict is Verdict.BELOW_MARK


def test_a_mask_that_makes_no_sense_in_some_kernels_has_not_been_printed_by_them() -> None:
    # 0x1200d2 is GFP_HIGHUSER_MOVABLE of 2.6.24 to 2.6.29 only.
    found = replay(box(release=None, gfp_mask=0x1200D2))
    assert found.gfp_name == "GFP_HIGHUSER_MOVABLE"
    assert [str(version) for version in found.candidates] == ["2.6.24"]


def test_names_are_trusted_whatever_the_mask() -> None:
    found = replay(recent(modern("Normal", 10, 100, (0, 0)), names="GFP_KERNEL|__GFP_COMP", gfp_mask=0x20))
    assert found.flags is not None
    assert found.flags.can_direct_reclaim
    assert found.gfp_name == "GFP_KERNEL|__GFP_COMP"


def test_an_order_that_is_not_printed_is_checked_as_a_single_page() -> None:
    oom = box(kind=ReportKind.OOM, order=None, gfp_mask=0xD0)
    assert replay(oom).order == 0
    assert replay(box(kind=ReportKind.OOM, order=-1, gfp_mask=0xD0)).order == 0


# Highatomic and CMA, as printed or not


def test_a_reserve_that_is_printed_is_withheld_from_ordinary_requests() -> None:
    low = modern("Normal", 600, 100, (0, 0), reserved_highatomic_kb=512 * 4)
    (sleeper,) = replay(recent(low, names="GFP_KERNEL")).zones
    (atomic,) = replay(recent(low)).zones
    assert sleeper.check is not None
    assert (sleeper.verdict, sleeper.check.available_pages) == (Verdict.BELOW_MARK, 88)
    assert atomic.verdict is Verdict.WOULD_PASS


def test_since_6_12_only_free_pages_of_the_reserve_are_withheld() -> None:
    low = modern("Normal", 600, 100, (0, 0), reserved_highatomic_kb=2048, free_highatomic_kb=400)
    for release, available in (("6.18.2", 500), ("6.8.1", 88)):
        (found,) = replay(recent(low, names="GFP_KERNEL", release=release)).zones
        assert found.check is not None
        assert found.check.available_pages == available, release


def test_a_reserve_that_is_not_printed_makes_the_verdict_doubtful_only_near_the_mark() -> None:
    def found(free: int, release: str = "4.14.177") -> Verdict:
        listed = blocks(free - 1, 1, letters="UH")
        low = modern(
            "Normal", free, 100, (0, 0), reserved_highatomic_kb=None, boost_kb=None, size=1_000_000, free_blocks=listed
        )
        return replay(recent(low, names="GFP_KERNEL|__GFP_COMP", release=release, order=1)).zones[0].verdict

    assert found(90) is Verdict.BELOW_MARK
    assert found(300) is Verdict.UNKNOWN
    assert found(90_000) is Verdict.WOULD_PASS


def test_cma_pages_do_not_count_for_what_cannot_move() -> None:
    low = modern("Normal", 600, 100, (0, 0), free_cma_kb=550 * 4)
    (fixed,) = replay(recent(low, names="GFP_KERNEL")).zones
    (movable,) = replay(recent(low, names="GFP_HIGHUSER_MOVABLE")).zones
    assert fixed.check is not None
    assert (fixed.check.available_pages, fixed.verdict) == (50, Verdict.BELOW_MARK)
    assert movable.verdict is Verdict.WOULD_PASS


def test_pages_of_64_kb_are_counted_in_their_own_unit() -> None:
    large = modern("Normal", 16 * 50, 16 * 100, (0, 0), size=1_600_000)
    (found,) = replay(recent(large, page_size=65536, names="GFP_KERNEL")).zones
    assert found.check is not None
    assert (found.check.available_pages, found.check.required_pages) == (50, 101)


def test_boosted_marks_do_not_hold_against_urgent_single_pages_since_5_9() -> None:
    boosted = modern("Normal", 300, 612, (0, 0), boost_kb=512 * 4)
    for names, release, verdict in (
        ("GFP_ATOMIC", "6.1.0", Verdict.WOULD_PASS),
        ("GFP_KERNEL", "6.1.0", Verdict.BELOW_MARK),
        ("GFP_NOWAIT", "6.1.0", Verdict.BELOW_MARK),
        ("GFP_ATOMIC", "6.18.2", Verdict.WOULD_PASS),
    ):
        (found,) = replay(recent(boosted, names=names, release=release)).zones
        assert found.verdict is verdict, (names, release)
