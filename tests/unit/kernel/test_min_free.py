"""The kernel's own choices for min_free_kbytes."""

import pytest
from tests.machines import GIB, zone

from pagewarden.kernel.min_free import (
    calculate_min_free_kbytes,
    huge_pages_want_reserve,
    nr_free_buffer_pages,
    set_recommended_min_free_kbytes,
    square_root_kb,
)
from pagewarden.kernel.rules import MinFreeRules, rules_for
from pagewarden.kernel.version import parse_version
from pagewarden.procfs.types import HugePages, Zone


def rules(release: str) -> MinFreeRules:
    version = parse_version(release)
    assert version is not None
    return rules_for(version).min_free


@pytest.mark.parametrize(
    ("gib", "kilobytes", "capped"),
    [
        (1, 4096, 4096),
        (2, 5792, 5792),
        (4, 8192, 8192),
        (8, 11585, 11585),
        (16, 16384, 16384),
        (32, 23170, 23170),
        (64, 32768, 32768),
        (128, 46340, 46340),
        (256, 65536, 65536),
        (512, 92681, 65536),
        (1024, 131072, 65536),
        (4096, 262144, 65536),
        (16384, 262144, 65536),
    ],
)
def test_square_root_rule(gib: int, kilobytes: int, capped: int) -> None:
    assert calculate_min_free_kbytes(gib * GIB, 4096, rules("5.7.14")) == kilobytes
    assert calculate_min_free_kbytes(gib * GIB, 4096, rules("3.10.0-1160.el7")) == kilobytes
    assert calculate_min_free_kbytes(gib * GIB, 4096, rules("5.4.0")) == capped
    assert calculate_min_free_kbytes(gib * GIB, 4096, rules("2.6.32")) == capped


def test_small_machines_get_128_and_the_root_is_not_clamped() -> None:
    assert calculate_min_free_kbytes(0, 4096, rules("6.1.0")) == 128
    assert calculate_min_free_kbytes(255, 4096, rules("6.1.0")) == 128  # isqrt(1020 * 16) = 127
    assert calculate_min_free_kbytes(260, 4096, rules("6.1.0")) == 128  # isqrt(1040 * 16) = 128
    assert calculate_min_free_kbytes(264, 4096, rules("6.1.0")) == 129
    assert square_root_kb(255, 4096) == 127
    assert square_root_kb(16384 * GIB, 4096) == 524288


def test_the_page_size_counts_only_through_kilobytes() -> None:
    assert calculate_min_free_kbytes(GIB // 16, 65536, rules("6.1.0")) == 4096


def test_lowmem_is_what_lies_above_the_high_marks() -> None:
    zones = [
        zone("DMA", 4000, present=4100),
        zone("DMA32", 100000, present=110000),
        zone("Normal", 50000, present=60000),
        zone("HighMem", 70000),
        zone("Movable", 80000),
        zone("Device", 90000),
    ]
    assert nr_free_buffer_pages(zones, [0] * 6, rules("6.1.0")) == 154000
    assert nr_free_buffer_pages(zones, [0] * 6, rules("3.8.0")) == 174100
    assert nr_free_buffer_pages(zones, [5000, 1000, 100, 1, 1, 1], rules("6.1.0")) == 0 + 99000 + 49900


@pytest.mark.parametrize(
    ("names", "kilobytes"),
    [
        pytest.param([(0, "DMA32"), (0, "DMA")], 45056, id="a small guest"),
        pytest.param([(0, "DMA"), (0, "DMA32"), (0, "Normal")], 67584, id="one node"),
        pytest.param([(0, "DMA"), (0, "DMA32"), (0, "Normal"), (1, "Normal")], 90112, id="two nodes"),
        pytest.param([(0, "DMA"), (0, "DMA32"), (0, "Normal"), (1, "Normal"), (2, "Normal")], 112640, id="three nodes"),
    ],
)
@pytest.mark.parametrize("release", ["2.6.32-642.el6", "3.10.0-1160.el7", "6.1.0"])
def test_what_huge_pages_ask_for(names: list[tuple[int, str]], kilobytes: int, release: str) -> None:
    zones = [zone(name, GIB, node=node) for node, name in names]
    reserve = set_recommended_min_free_kbytes(zones, len(zones) * GIB, 512, 4096, rules(release))
    assert (reserve.recommended_kb, reserve.wanted_kb, reserve.zone_count) == (kilobytes, kilobytes, len(zones))


@pytest.mark.parametrize(
    ("release", "count"), [("4.16.13", 5), ("3.10.0-1160.el7", 5), ("4.17.0", 3), ("4.18.0-147.el8", 3)]
)
def test_zones_above_normal_count_until_4_16(release: str, count: int) -> None:
    zones: list[Zone] = [zone(name, GIB) for name in ("DMA", "DMA32", "Normal", "HighMem", "Movable")]
    zones.append(zone("Device", 0))
    reserve = set_recommended_min_free_kbytes(zones, 3 * GIB, 512, 4096, rules(release))
    assert (reserve.zone_count, reserve.recommended_kb) == (count, 22528 * count)


def test_a_zone_without_managed_pages_counts_while_it_has_present_ones() -> None:
    zones = [zone("DMA", 0, present=4000), zone("DMA32", GIB), zone("Normal", 0)]
    assert set_recommended_min_free_kbytes(zones, GIB, 512, 4096, rules("6.1.0")).zone_count == 2


@pytest.mark.parametrize(
    ("lowmem", "kilobytes"),
    [(337920, 67584), (337919, 67580), (20, 4), (19, 0)],
)
def test_at_most_a_twentieth(lowmem: int, kilobytes: int) -> None:
    zones = [zone(name, lowmem // 3) for name in ("DMA", "DMA32", "Normal")]
    assert set_recommended_min_free_kbytes(zones, lowmem, 512, 4096, rules("6.1.0")).recommended_kb == kilobytes


@pytest.mark.parametrize(
    ("page_size", "pageblock", "per_zone_kb"),
    [
        (4096, 512, 22528),
        (4096, 1024, 45056),
        (16384, 2048, 360448),
        (65536, 8192, 5767168),
        (4096, 256, 11264),
        (65536, 32, 22528),
    ],
)
def test_per_zone_by_page_block(page_size: int, pageblock: int, per_zone_kb: int) -> None:
    reserve = set_recommended_min_free_kbytes([zone("Normal", 9**9)], 9**9, pageblock, page_size, rules("6.1.0"))
    assert reserve.wanted_kb == per_zone_kb


PMD = 2 << 20


@pytest.mark.parametrize(
    ("release", "huge", "wanted"),
    [
        pytest.param((2, 6, 38), HugePages("always"), True, id="always"),
        pytest.param((5, 10, 0), HugePages("madvise"), True, id="madvise counts too"),
        pytest.param((5, 10, 0), HugePages("never", shmem_enabled="always"), False, id="shmem does not"),
        pytest.param((6, 1, 0), HugePages("never"), False, id="never"),
        pytest.param(
            (6, 7, 0), HugePages("never", pmd_size_bytes=PMD, sizes={64: "always"}), False, id="sizes not yet"
        ),
        pytest.param(
            (6, 7, 99), HugePages("never", pmd_size_bytes=PMD, sizes={64: "always"}), False, id="6.7: not yet"
        ),
        pytest.param((6, 8, 0), HugePages("never", pmd_size_bytes=PMD, sizes={64: "always"}), True, id="6.8: any size"),
        pytest.param((6, 9, 0), HugePages("never", pmd_size_bytes=PMD, sizes={64: "always"}), True, id="6.9: any size"),
        pytest.param(
            (6, 9, 0), HugePages("never", pmd_size_bytes=PMD, sizes={64: "inherit"}), False, id="inherits never"
        ),
        pytest.param(
            (6, 12, 0), HugePages("never", pmd_size_bytes=PMD, sizes={64: "always"}), False, id="6.12: PMD size only"
        ),
        pytest.param(
            (6, 12, 0), HugePages("never", pmd_size_bytes=PMD, sizes={2048: "madvise"}), True, id="6.12: PMD size"
        ),
        pytest.param(
            (6, 12, 0), HugePages("always", pmd_size_bytes=PMD, sizes={2048: "inherit"}), True, id="inherits always"
        ),
        pytest.param(
            (6, 12, 0), HugePages("always", pmd_size_bytes=PMD, sizes={2048: "never"}), False, id="PMD size never"
        ),
        pytest.param(
            (6, 19, 9), HugePages("never", pmd_size_bytes=PMD, sizes={64: "always"}), False, id="6.19: PMD size only"
        ),
        pytest.param((6, 12, 0), HugePages("always"), True, id="sizes not captured"),
        pytest.param((6, 12, 0), HugePages("never", shmem_enabled="always"), False, id="6.12: no shmem"),
        pytest.param((6, 18, 0), HugePages("never", shmem_enabled="always"), True, id="6.18: shmem"),
        pytest.param((6, 18, 0), HugePages("never", shmem_enabled="deny"), False, id="shmem denied"),
        pytest.param((7, 2, 0), HugePages("never", pmd_size_bytes=PMD, sizes={64: "always"}), True, id="7.2: any size"),
        pytest.param(
            (7, 2, 0), HugePages("never", pmd_size_bytes=PMD, sizes={2048: "inherit"}), False, id="7.2: nothing on"
        ),
    ],
)
def test_gate(release: tuple[int, int, int], huge: HugePages, wanted: bool) -> None:
    assert huge_pages_want_reserve(huge, release) is wanted
