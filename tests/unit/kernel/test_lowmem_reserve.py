"""Reserves by release, worked out by hand; and what they cost."""

import pytest
from tests.machines import zone

from pagewarden.kernel.lowmem_reserve import (
    default_ratio,
    effective_ratio,
    mem_available_pages,
    setup_per_zone_lowmem_reserve,
    totalreserve_pages,
)
from pagewarden.kernel.rules import ReserveRules, Size, rules_for
from pagewarden.kernel.version import parse_version
from pagewarden.procfs.types import Zone

X86 = ("DMA", "DMA32", "Normal", "Movable")
X86_DEVICE = (*X86, "Device")
I386 = ("DMA", "Normal", "HighMem", "Movable")


def rules(release: str) -> ReserveRules:
    version = parse_version(release)
    assert version is not None
    return rules_for(version).reserve


def zones(*sizes: int) -> list[Zone | None]:
    return [
        zone(name, size) for name, size in zip(("DMA", "DMA32", "Normal", "Movable", "Device"), sizes, strict=False)
    ]


def reserve(sizes: tuple[int, ...], ratio: tuple[int, ...], release: str) -> tuple[tuple[int, ...], ...]:
    return setup_per_zone_lowmem_reserve(zones(*sizes), ratio, rules(release))


def test_a_6_18_guest() -> None:
    assert reserve((3840, 772917, 131072, 0, 0), (256, 256, 32, 0, 0), "6.18.0") == (
        (0, 3019, 3531, 3531, 3531),
        (0, 0, 512, 512, 512),
        (0, 0, 0, 0, 0),
        (0, 0, 0, 0, 0),
        (0, 0, 0, 0, 0),
    )


def test_the_sum_is_divided_not_its_parts() -> None:
    assert reserve((1, 255, 255, 255), (256, 256, 32, 0), "6.1.0")[0] == (0, 0, 1, 2)


@pytest.mark.parametrize(
    ("release", "row"),
    [
        pytest.param("2.6.18", (0, 2000, 3000, 3000), id="below 1 becomes 1"),
        pytest.param("4.16.13", (0, 2000, 3000, 3000), id="until 4.16"),
        pytest.param("4.17.0", (0, 0, 0, 0), id="below 1 switches off since 4.17"),
        pytest.param("7.2.0", (0, 0, 0, 0), id="still"),
    ],
)
@pytest.mark.parametrize("below", [0, -1, -2147483648])
def test_a_ratio_below_one(release: str, row: tuple[int, ...], below: int) -> None:
    assert reserve((500, 2000, 1000, 0), (below, 256, 32), release)[0] == row


@pytest.mark.parametrize(
    ("release", "written", "stored"),
    [
        pytest.param("4.16.13", (0, -5, -7), (1, 1, 1), id="until 4.16"),
        pytest.param("4.17.0", (0, -5, 32, -7), (0, 0, 32, -7), id="4.17 does not look at the topmost zone's"),
        pytest.param("5.7.14", (0, -5, 32, -7), (0, 0, 32, -7), id="until 5.7"),
        pytest.param("5.8.0", (0, -5, 32, -7), (0, 0, 32, 0), id="5.8 does"),
        pytest.param("7.2.0", (0, 1, 32, 0), (0, 1, 32, 0), id="nothing to rewrite"),
    ],
)
def test_what_is_printed_afterwards(release: str, written: tuple[int, ...], stored: tuple[int, ...]) -> None:
    assert effective_ratio(written, rules(release)) == stored


@pytest.mark.parametrize(
    ("release", "dma"), [("5.7.14", (0, 7, 11, 11)), ("5.8.0", (0, 0, 0, 0)), ("6.1.0", (0, 0, 0, 0))]
)
def test_an_empty_zone_keeps_nothing_since_5_8(release: str, dma: tuple[int, ...]) -> None:
    assert reserve((0, 2000, 1000, 0), (256, 256, 32, 0), release)[0] == dma


@pytest.mark.parametrize(
    ("release", "dma"),
    [
        pytest.param("5.7.14", (0, 100, 150), id="before: all zones above count"),
        pytest.param("5.8.0", (0, 100, 50), id="5.8: DMA32's ratio is 0, so it is left out of what is above DMA"),
        pytest.param("5.9.1", (0, 100, 50), id="5.9 likewise"),
        pytest.param("5.10.50", (0, 100, 150), id="since 5.10.50 all count again"),
    ],
)
def test_5_8_to_5_10_leave_skipped_zones_out_of_the_sums(release: str, dma: tuple[int, ...]) -> None:
    assert setup_per_zone_lowmem_reserve(zones(10, 1000, 500), (10, 0, 0), rules(release))[0] == dma


def test_the_smallest_ratio_and_the_smallest_zone_are_not_skipped() -> None:
    """A ratio of 1 is no ratio of 0, and a zone of one page is not empty: both count in what is above DMA."""
    assert setup_per_zone_lowmem_reserve(zones(10, 1000, 500), (10, 1, 0), rules("5.8.0"))[0] == (0, 100, 150)
    assert setup_per_zone_lowmem_reserve(zones(10, 1, 99, 0), (10, 1, 32, 0), rules("5.8.0"))[0] == (0, 0, 10, 10)


def test_a_zone_without_an_entry_keeps_nothing() -> None:
    assert reserve((100, 200, 300), (10,), "6.1.0") == ((0, 20, 50), (0, 0, 0), (0, 0, 0))


def test_the_quirk_spares_the_zone_that_is_asked_for() -> None:
    # Movable's ratio is 0 by default, and still it counts for requests that could have used Movable.
    assert reserve((10, 1000, 500, 200), (10, 256, 32, 0), "5.9.1")[0] == (0, 100, 150, 170)
    assert reserve((10, 1000, 500, 200), (10, 0, 32, 0), "5.9.1")[0] == (0, 100, 50, 70)
    assert reserve((10, 0, 500, 200), (10, 256, 32, 0), "5.9.1")[0] == (0, 0, 50, 70)


def test_normal_reserves_against_highmem_and_movable() -> None:
    highmem = [zone("DMA", 4000), zone("Normal", 200000), zone("HighMem", 320000), zone("Movable", 64000)]
    old = setup_per_zone_lowmem_reserve(highmem, (256, 32, 32), rules("4.4.0"))
    new = setup_per_zone_lowmem_reserve(highmem, (256, 32, 0, 0), rules("6.1.0"))
    assert old[1:] == ((0, 0, 10000, 12000), (0, 0, 0, 2000), (0, 0, 0, 0))
    assert new[1:] == ((0, 0, 10000, 12000), (0, 0, 0, 0), (0, 0, 0, 0))


def test_size_is_present_until_3_8_and_zones_not_printed_are_empty() -> None:
    placed: list[Zone | None] = [zone("DMA", 100, present=200), zone("DMA32", 25600, present=51200), None, None]
    assert setup_per_zone_lowmem_reserve(placed, (256, 256, 32), rules("3.8.0"))[0] == (0, 200, 200, 200)
    assert setup_per_zone_lowmem_reserve(placed, (256, 256, 32), rules("3.9.0"))[0] == (0, 100, 100, 100)


@pytest.mark.parametrize(
    ("release", "layout", "expected"),
    [
        pytest.param("2.6.18", ("DMA", "DMA32", "Normal", "HighMem"), (256, 256, 32), id="2.6.18: three entries"),
        pytest.param("2.6.32", X86, (256, 256, 32), id="x86-64 until 4.16"),
        pytest.param("4.4.0", X86_DEVICE, (256, 256, 32, 1), id="the slot nobody initialised reads 1"),
        pytest.param("4.16.13", I386, (256, 32, 32), id="i386 until 4.16"),
        pytest.param("4.16.13", (*I386, "Device"), (256, 32, 32, 1), id="i386 with Device"),
        pytest.param("4.17.0", X86, (256, 256, 32, 0), id="x86-64 since 4.17"),
        pytest.param("4.17.0", X86_DEVICE, (256, 256, 32, 0, 0), id="with Device"),
        pytest.param("6.1.0", I386, (256, 32, 0, 0), id="i386 since 4.17"),
        pytest.param("6.12.0", ("DMA", "Normal", "Movable"), (256, 32, 0), id="s390x"),
        pytest.param("6.1.0", ("DMA32", "Normal", "Movable"), (256, 32, 0), id="no DMA: the first value is DMA32's"),
        pytest.param("6.1.0", ("Normal", "Movable"), (32, 0), id="Normal alone"),
    ],
)
def test_default_ratio(release: str, layout: tuple[str, ...], expected: tuple[int, ...]) -> None:
    assert default_ratio(layout, rules(release)) == expected


def test_totalreserve_of_the_6_18_guest() -> None:
    guest = [zone("DMA", 3840), zone("DMA32", 772917), zone("Normal", 131072), zone("Movable", 0), zone("Device", 0)]
    protection = reserve((3840, 772917, 131072, 0, 0), (256, 256, 32, 0, 0), "6.18.0")
    assert totalreserve_pages(guest, (105, 21577, 3657, 32, 0), protection, Size.MANAGED) == 29382


def test_a_zone_never_costs_more_than_its_size() -> None:
    small = [zone("DMA", 3840, present=4000)]
    assert totalreserve_pages(small, (100,), ((0, 9000),), Size.MANAGED) == 3840
    assert totalreserve_pages(small, (100,), ((0, 9000),), Size.PRESENT) == 4000
    assert totalreserve_pages(small, (100,), (None,), Size.MANAGED) == 100


@pytest.mark.parametrize(
    ("free", "cache", "slab", "reserve", "low", "available"),
    [
        pytest.param(1000, 0, 0, 300, 100, 700, id="free less the reserve"),
        pytest.param(1000, 500, 0, 300, 100, 1100, id="of the cache all but the low marks"),
        pytest.param(1000, 100, 0, 300, 100, 750, id="or half, if that is less"),
        pytest.param(1000, 101, 0, 300, 100, 751, id="or half, rounded down"),
        pytest.param(1000, 500, 81, 300, 100, 1100 + 41, id="slab likewise"),
        pytest.param(100, 0, 0, 300, 100, 0, id="never negative"),
        pytest.param(0, 600, 0, 700, 300, 0, id="not even with cache"),
    ],
)
def test_mem_available(free: int, cache: int, slab: int, reserve: int, low: int, available: int) -> None:
    assert mem_available_pages(free, cache, slab, reserve, low) == available
