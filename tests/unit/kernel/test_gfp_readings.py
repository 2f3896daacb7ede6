"""Masks without a kernel: which readings make sense."""

import pytest

from pagewarden.kernel.gfp_readings import Reading, Sense, consistent_generations
from pagewarden.kernel.gfp_tables import GENERATIONS


def sensible(mask: int, names_printed: bool | None = None) -> dict[str, str]:
    return {r.kernels: r.name for r in consistent_generations(mask, names_printed) if r.sense is Sense.SENSIBLE}


def reading(mask: int, kernels: str) -> Reading:
    return next(r for r in consistent_generations(mask) if r.kernels == kernels)


@pytest.mark.parametrize(
    ("mask", "readings"),
    [
        (0x20, {"2.6.0 to 4.3": "GFP_ATOMIC", "el6": "GFP_ATOMIC", "el7": "GFP_ATOMIC"}),
        (0xD0, {"2.6.0 to 4.3": "GFP_KERNEL", "el6": "GFP_KERNEL", "el7": "GFP_KERNEL"}),
        (0x2080020, {"4.4 to 4.9": "GFP_ATOMIC"}),
        (0xCC0, {"since 5.1": "GFP_KERNEL"}),
        (0xA20, {"5.1 to 6.2": "GFP_ATOMIC"}),
        (0x820, {"5.1 to 6.2": "GFP_NOWAIT|__GFP_HIGH", "since 6.3": "GFP_ATOMIC"}),
        (0x2D40, {"5.1 to 6.13": "GFP_NOFS|__GFP_NOWARN|__GFP_ZERO", "since 6.14": "GFP_NOFS|__GFP_ZERO|__GFP_NOWARN"}),
        # Asks for nothing that another numbering would contradict.
        (0x1C20CA, {"5.1 to 5.13": "GFP_TRANSHUGE_LIGHT", "since 5.18": "GFP_TRANSHUGE_LIGHT"}),
        # Who takes only the bit for sleeping from GFP_KERNEL leaves IO and FS behind.
        (0x8C0, {"5.1 to 6.7": "GFP_NOWAIT|__GFP_IO|__GFP_FS", "since 6.8": "__GFP_IO|__GFP_FS|__GFP_KSWAPD_RECLAIM"}),
    ],
)  # fmt: skip
def test_the_readings_that_make_sense(mask: int, readings: dict[str, str]) -> None:
    assert sensible(mask) == readings


@pytest.mark.parametrize(
    ("mask", "kernels", "sense", "reason"),
    [
        (0xA20, "since 6.3", Sense.IMPOSSIBLE, "no such bit: 0x200"),
        (0x3, "2.6.31 to 4.3", Sense.IMPOSSIBLE, "zone bits that exclude each other"),
        (0x201DA, "4.18 to 5.0", Sense.IMPOSSIBLE, "both movable and reclaimable"),
        (0xCC0, "4.13 to 5.0", Sense.ODD, "may not sleep, so that IO, FS, NOFAIL, RETRY_MAYFAIL would mean nothing"),
        (0x20, "since 4.4", Sense.ODD, "urgent, and yet does not wake kswapd"),
        (0x80000, "4.4 to 5.0", Sense.ODD, "ATOMIC without HIGH"),
        (0x480020, "4.4 to 4.17", Sense.ODD, "ATOMIC, and yet may sleep"),
        (0x1C10, "2.6.0 to 4.3", Sense.ODD, "several of NORETRY, RETRY_MAYFAIL and NOFAIL"),
    ],
)
def test_why_a_reading_makes_no_sense(mask: int, kernels: str, sense: Sense, reason: str) -> None:
    found = reading(mask, kernels)
    assert found.sense is sense
    assert reason in found.reasons


def test_a_mask_printed_without_names_is_of_a_kernel_before_4_6() -> None:
    assert set(sensible(0x2080020)) == {"4.4 to 4.9"}
    assert set(sensible(0x2080020, names_printed=False)) == {"4.4 to 4.5"}
    assert set(sensible(0x2080020, names_printed=True)) == {"4.6 to 4.9"}
    assert sensible(0xCC0, names_printed=False) == {}


def test_bits_numbered_by_configuration_contradict_nothing() -> None:
    assert sensible(0x1000CC0)["since 6.9"] == "GFP_KERNEL|0x1000000"


def test_every_generation_is_in_exactly_one_reading() -> None:
    for mask in (0, 0x20, 0x140CCA, 0xFFFFFFFF):
        covered = [g for r in consistent_generations(mask) for g in r.generations]
        assert sorted(covered, key=GENERATIONS.index) == list(GENERATIONS)
