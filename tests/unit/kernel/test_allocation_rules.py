"""Which release follows which form of the check, with the releases on both sides of each change."""

from collections.abc import Callable

import pytest

from pagewarden.kernel.allocation_rules import (
    AllocationRules,
    Boost,
    Cma,
    FastPath,
    HighAtomic,
    NonBlocking,
    OrderTest,
    allocation_rules,
)
from pagewarden.kernel.version import parse_version


def rules(release: str) -> AllocationRules:
    version = parse_version(release)
    assert version is not None
    return allocation_rules(version)


@pytest.mark.parametrize(
    ("what", "before", "since"),
    [
        (lambda r: r.off_by_two, "2.6.37", "2.6.38"),
        (lambda r: not r.off_by_two, "3.2.0", "3.3.0"),
        (lambda r: r.off_by_two, "2.6.32-41-server", "2.6.32-358.el6.x86_64"),
        (lambda r: r.order_test is OrderTest.EL6_LOOP, "2.6.32.67", "2.6.32-642.el6.i686"),
        (lambda r: r.order_test is OrderTest.BLOCKS, "4.3.0", "4.4.0"),
        (lambda r: r.cma is not Cma.COUNTED, "3.6.5", "3.7.0"),
        (lambda r: r.cma is Cma.FIRST_COMPARISON, "3.8.0", "3.10.9"),
        (lambda r: r.cma is Cma.FIRST_COMPARISON, "4.4.0", "3.10.0-1160.el7.x86_64"),
        (lambda r: r.cma is Cma.LEFT_OUT, "4.3.0", "4.4.0"),
        (lambda r: r.nomemalloc_excepted, "2.6.37", "2.6.38"),
        (lambda r: r.no_kswapd_excepted, "3.14.0", "3.16.0"),
        (lambda r: r.no_kswapd_excepted, "3.10.9", "3.10.65"),
        (lambda r: r.no_kswapd_excepted, "3.10.9", "3.10.0-693.21.1.el7.x86_64"),
        (lambda r: not r.no_kswapd_excepted, "4.3.0", "4.4.0"),
        (lambda r: r.memalloc_flag, "3.5.0", "3.6.0"),
        (lambda r: r.non_blocking is NonBlocking.ATOMIC_BIT, "4.3.0", "4.4.0"),
        (lambda r: r.non_blocking is NonBlocking.HIGH_ONLY, "6.2.0", "6.3.0"),
        (lambda r: r.non_blocking is NonBlocking.HIGH_ONLY, "6.1.0", "6.1.158"),
        (lambda r: r.reserves_uncounted, "6.1.0", "6.1.158"),
        (lambda r: r.realtime_half, "6.2.0", "6.3.0"),
        (lambda r: r.victim_half, "4.13.0", "4.14.0"),
        (lambda r: r.any_kind_if_harder, "4.3.0", "4.4.0"),
        (lambda r: not r.any_kind_if_harder, "4.12.0", "4.14.0"),
        (lambda r: r.highatomic is HighAtomic.RESERVED, "4.3.0", "4.4.0"),
        (lambda r: r.highatomic is HighAtomic.FREE, "6.9.0", "6.12.0"),
        (lambda r: r.highatomic_needs_high, "6.14.0", "6.17.0"),
        (lambda r: r.highatomic_needs_high, "6.12.0", "6.12.107"),
        (lambda r: r.highatomic_needs_high, "6.1.0", "6.1.158"),
        (lambda r: r.fast_path is FastPath.IGNORES_HIGHATOMIC, "4.6.0", "4.8.0"),
        (lambda r: r.fast_path is FastPath.WRAPS, "5.8.1", "5.9.1"),
        (lambda r: r.fast_path is FastPath.CLAMPED, "5.17.0", "5.19.0"),
        (lambda r: r.fast_path is FastPath.CLAMPED, "5.15.16", "5.15.100"),
        (lambda r: r.fast_path is FastPath.CLAMPED, "5.10.0", "5.10.223"),
        (lambda r: r.boost is Boost.ATOMIC_BIT, "5.8.1", "5.9.1"),
        (lambda r: r.boost is Boost.HIGH, "6.2.0", "6.3.0"),
        (lambda r: r.by_preferred_zone, "5.8.0", "5.7.14"),
    ],
)
def test_each_change(what: Callable[[AllocationRules], bool], before: str, since: str) -> None:
    assert not what(rules(before))
    assert what(rules(since))


@pytest.mark.parametrize(
    ("release", "era"),
    [
        ("2.6.9", "before 2.6.38"),
        ("2.4.20", "before 2.6.38"),
        ("2.6.32-358.el6.x86_64", "el6"),
        ("3.0.1", "2.6.38 to 3.2"),
        ("3.4.24", "3.3 to 3.6"),
        ("4.3", "3.10 to 4.3"),
        ("5.4.0-29-generic", "4.14 to 5.7"),
        ("6.1.0", "5.9 to 6.2"),
        ("6.1.176", "6.3 to 6.11"),
        ("7.2", "since 6.12"),
    ],
)
def test_labels(release: str, era: str) -> None:
    assert rules(release).era == era
