"""How far watermarks are boosted where the kernel does not print it (5.0 to 5.15)."""

from collections.abc import Sequence
from fractions import Fraction

_STALE = Fraction(1, 50)
"""Marks were computed from an earlier count of managed pages, up to this part away from the one printed."""


def infer_boost_ranges(zones: Sequence[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Compare the min marks of a machine's zones: without a boost they are proportional to the zones' sizes.

    The smallest share is taken for unboosted: a boost is of one zone and passes, so that some zone has none. HighMem
    has a min mark of its own and must not be among the zones.

    :param zones: (min mark as printed, managed pages) of each zone with managed pages.
    :return: for each zone at least and at most how many pages of its min mark are boost.
    """
    shares = [(Fraction(least, managed), Fraction(least + 1, managed)) for least, managed in zones]
    if not shares:
        return ()
    low, high = min(shares, key=lambda share: share[1])
    return tuple(
        _range(least, int(low * managed * (1 - _STALE)), int(high * managed * (1 + _STALE))) for least, managed in zones
    )


def _range(printed: int, base_least: int, base_most: int) -> tuple[int, int]:
    if printed <= base_most:
        return 0, 0
    return printed - base_most, printed - base_least
