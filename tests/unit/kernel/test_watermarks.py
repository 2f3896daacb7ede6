"""Marks of single zones, every number worked out by hand."""

from dataclasses import replace

import pytest
from tests.machines import zone

from pagewarden.kernel.rules import Gap, Size, WatermarkRules, rules_for
from pagewarden.kernel.version import parse_version
from pagewarden.kernel.watermarks import Marks, is_special, mult_frac, setup_per_zone_wmarks, zone_size
from pagewarden.procfs.types import Zone


def rules(release: str) -> WatermarkRules:
    version = parse_version(release)
    assert version is not None
    return rules_for(version).watermarks


def marks(
    zones: list[Zone], min_free: int, release: str, scale: int | None = 10, extra: int | None = None, page: int = 4096
) -> list[tuple[int | None, ...]]:
    found = setup_per_zone_wmarks(zones, min_free, scale, rules(release), page, extra)
    return [(m.min_pages, m.low_pages, m.high_pages, m.promo_pages) for m in found]


def pages_of_one_zone(share: int) -> list[Zone]:
    """One zone that gets all of min_free_kbytes, so that its share is what is asked for; too small for the scale."""
    return [zone("Normal", 999 if share < 999 else share)]


def test_three_zones_of_a_6_18_guest() -> None:
    zones = [zone("DMA", 3840), zone("DMA32", 772917), zone("Normal", 131072), zone("Movable", 0), zone("Device", 0)]
    assert marks(zones, 67584, "6.18.0") == [
        (71, 88, 105, 122),
        (14385, 17981, 21577, 25173),
        (2439, 3048, 3657, 4266),
        (32, 32, 32, 32),
        (0, 0, 0, 0),
    ]


def test_the_scale_factor_wins_in_large_zones() -> None:
    zones = [zone("DMA", 3840), zone("DMA32", 772917), zone("Normal", 4751360)]
    assert [entry[:2] for entry in marks(zones, 67584, "6.18.44")] == [(11, 14), (2362, 3134), (14521, 19272)]


@pytest.mark.parametrize(
    ("release", "expected"),
    [
        pytest.param("2.6.11", (71, 88, 106, None), id="fractions of min: 71*5/4, 71*6/4"),
        pytest.param("2.6.18", (71, 88, 106, None), id="71 >> 2 is 17, 71 >> 1 is 35: one more than twice 17"),
        pytest.param("4.5.0", (71, 88, 106, None), id="the same until 4.5"),
        pytest.param("4.6.0", (71, 88, 105, None), id="twice the gap since 4.6"),
        pytest.param("5.18.0", (71, 88, 105, 122), id="promo since 5.18"),
    ],
)
def test_gap_by_release(release: str, expected: tuple[int | None, ...]) -> None:
    assert marks(pages_of_one_zone(71), 71 * 4, release) == [expected]


@pytest.mark.parametrize("share", range(8, 24))
def test_until_4_5_high_is_one_page_more_for_remainders_of_two_and_three(share: int) -> None:
    (low_gap, old_high), (_, new_high) = (
        (low - lowest, high - lowest)
        for lowest, low, high in (
            (m.min_pages, m.low_pages, m.high_pages)
            for release in ("4.5.0", "4.6.0")
            for m in setup_per_zone_wmarks(pages_of_one_zone(share), share * 4, 10, rules(release), 4096)
        )
    )
    assert (low_gap, old_high - new_high) == (share // 4, 1 if share % 4 >= 2 else 0)


@pytest.mark.parametrize(
    ("size", "lowest"),
    [(0, 32), (1, 32), (32767, 32), (33791, 32), (33792, 33), (131071, 127), (131072, 128), (9**9, 128)],
)
def test_highmem_has_a_min_of_its_own(size: int, lowest: int) -> None:
    normal, highmem = marks([zone("Normal", 200000), zone("HighMem", size)], 40000, "4.4.0")
    assert normal[0] == 10000, "HighMem is left out of the sum"
    assert highmem[0] == lowest


def test_the_gap_of_highmem_follows_its_share_not_its_min() -> None:
    zones = [zone("DMA", 3840), zone("Normal", 187845), zone("HighMem", 823266), zone("Movable", 0)]
    special = replace(rules("6.1.0"), movable_special=True)
    found = setup_per_zone_wmarks(zones, 37972, 10, special, 4096)
    # 9493 * 823266 // 191685 = 40771; a quarter is 10192, more than 823 of the scale factor
    assert found[2] == Marks(128, 128 + 10192, 128 + 2 * 10192, 128 + 3 * 10192)
    assert found[1].min_pages == 9493 * 187845 // 191685


def test_movable_shares_until_6_5_and_has_its_own_min_since() -> None:
    zones = [zone("Normal", 300000), zone("Movable", 100000)]
    assert marks(zones, 40000, "6.5.0") == [(7500, 9375, 11250, 13125), (2500, 3125, 3750, 4375)]
    assert marks(zones, 40000, "6.6.0") == [(10000, 12500, 15000, 17500), (97, 930, 1763, 2596)]


def test_an_empty_device_zone_is_nothing_special() -> None:
    assert marks([zone("Normal", 1000), zone("Device", 0)], 400, "6.18.0")[1] == (0, 0, 0, 0)


def test_size_is_present_pages_until_3_8() -> None:
    zones = [zone("Normal", 90000, present=100000), zone("Movable", 100000, present=100000)]
    assert [entry[0] for entry in marks(zones, 38000, "3.8.0")] == [4750, 4750]
    assert [entry[0] for entry in marks(zones, 38000, "3.9.0")] == [4500, 5000]


def test_zone_size_falls_back_to_present_pages() -> None:
    assert zone_size(zone("Normal", None, present=7), Size.MANAGED) == 7
    assert zone_size(zone("Normal", 5, present=7), Size.MANAGED) == 5
    assert zone_size(zone("Normal", 5, present=7), Size.PRESENT) == 7


def test_kilobytes_are_rounded_down_to_pages() -> None:
    for kilobytes in range(400, 404):
        assert marks([zone("Normal", 1000)], kilobytes, "6.1.0")[0][0] == 100
    assert marks([zone("Normal", 1000)], 6463, "6.1.0", page=65536)[0][0] == 100


def test_an_unknown_scale_factor_is_the_default() -> None:
    zones = [zone("Normal", 1_000_000)]
    assert marks(zones, 400, "6.1.0", scale=None) == marks(zones, 400, "6.1.0", scale=10)
    assert marks(zones, 400, "6.1.0", scale=3000)[0][1] == 100 + 300_000


def test_a_vendors_extra_lifts_low_and_high_alone() -> None:
    zones = [zone("Normal", 100000), zone("HighMem", 300000)]
    plain = marks(zones, 4000, "3.4.0")
    lifted = marks(zones, 4000, "3.4.0", extra=4000)
    differences = [
        tuple(b - a for a, b in zip(x, y, strict=True) if a is not None and b is not None)
        for x, y in zip(plain, lifted, strict=True)
    ]
    assert differences == [(0, 250, 250), (0, 750, 750)]


def test_a_vendors_extra_on_top_of_the_scale_factors_gap() -> None:
    """1000 pages of min and of extra, shared 600 to 400 by managed pages; the gap is a quarter of min, 150 and 100."""
    zones = [zone("DMA32", 60_000, present=90_000), zone("Normal", 40_000, present=40_000)]
    assert marks(zones, 4000, "5.4.0", extra=4000) == [(600, 1350, 1500, None), (400, 900, 1000, None)]
    assert (
        marks(zones, 4000, "5.4.0", extra=0)
        == marks(zones, 4000, "5.4.0")
        == [
            (600, 750, 900, None),
            (400, 500, 600, None),
        ]
    )
    assert marks([zone("Normal", 1 << 20)], 4, "5.4.0", scale=0, page=1024) == [(4, 5, 6, None)], "no extra page"


def test_no_lowmem_at_all_divides_by_nothing() -> None:
    assert marks([zone("HighMem", 50000)], 4000, "6.1.0")[0][0] == 48
    assert marks([], 4000, "6.1.0") == []


def test_a_negative_value_wraps_as_it_did_until_3_13() -> None:
    # The handler took -1: -1 >> 2 is still -1, which an unsigned long holds as 2^64 - 1.
    (found,) = setup_per_zone_wmarks([zone("Normal", 1000)], -1, None, rules("3.8.0"), 4096)
    assert found.min_pages == (2**64 - 1) * 1000 % 2**64 // 1000
    assert found.min_pages > 2**50


@pytest.mark.parametrize(
    ("number", "numerator", "denominator", "result"),
    [
        (9999, 10, 10000, 9),
        (10000, 10, 10000, 10),
        (19999, 1, 10000, 1),
        (0, 3000, 10000, 0),
        (2**52, 3000, 10000, 2**52 * 3 // 10),
    ],
)
def test_mult_frac(number: int, numerator: int, denominator: int, result: int) -> None:
    assert mult_frac(number, numerator, denominator) == result
    whole, rest = divmod(number, denominator)
    assert whole * numerator + rest * numerator // denominator == result


def test_special_zones() -> None:
    new, old = rules("6.6.0"), rules("6.5.0")
    assert [is_special(zone(name, 1), new) for name in ("DMA", "Normal", "HighMem", "Movable", "Device")] == [
        False,
        False,
        True,
        True,
        False,
    ]
    assert is_special(zone("HighMem", 1), old)
    assert not is_special(zone("Movable", 1), old)


def test_boost_raises_every_mark_and_the_gap_is_lows() -> None:
    assert Marks(10, 20, 30).raised(5) == Marks(15, 25, 35)
    assert Marks(10, 20, 30, 40).raised(5) == Marks(15, 25, 35, 45)
    assert Marks(10, 25, 30).gap_pages == 15


def test_the_gap_variants_are_named() -> None:
    assert {rules(release).gap for release in ("2.6.11", "2.6.18", "4.6.0")} == set(Gap)
