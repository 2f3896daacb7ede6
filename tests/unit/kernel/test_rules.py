"""Which release follows which variant: the brackets of the description, each with the releases on both sides."""

from collections.abc import Callable

import pytest

from pagewarden.kernel.rules import Gap, KernelRules, RatioBelowOne, Size, rules_for
from pagewarden.kernel.version import parse_version


def rules(release: str) -> KernelRules:
    version = parse_version(release)
    assert version is not None
    return rules_for(version)


@pytest.mark.parametrize(
    ("what", "before", "since"),
    [
        (lambda r: r.watermarks.size is Size.MANAGED, "3.8.0", "3.9.0"),
        (lambda r: r.reserve.size is Size.MANAGED, "3.8.0", "3.9.0"),
        (lambda r: r.min_free.size is Size.MANAGED, "3.8.0", "3.9.0"),
        (lambda r: r.watermarks.gap is not Gap.FRACTIONS, "2.6.14", "2.6.16"),
        (lambda r: r.watermarks.gap is Gap.SCALED, "4.5.0", "4.6.0"),
        (lambda r: r.watermarks.boost, "4.20.0", "5.0.0"),
        (lambda r: r.watermarks.promo, "5.17.0", "5.18.0"),
        (lambda r: r.watermarks.movable_special, "6.5.0", "6.6.0"),
        (lambda r: r.reserve.below_one is RatioBelowOne.SWITCHES_OFF, "4.16.13", "4.17.0"),
        (lambda r: r.reserve.full_length_ratio, "4.16.13", "4.17.0"),
        (lambda r: r.reserve.skip_empty, "5.7.14", "5.8.0"),
        (lambda r: r.reserve.rewrites_topmost, "5.7.14", "5.8.0"),
        (lambda r: r.reserve.skipped_not_summed, "5.7.14", "5.8.0"),
        (lambda r: not r.reserve.skipped_not_summed, "5.10.49", "5.10.50"),
        (lambda r: not r.reserve.skipped_not_summed, "5.9.16", "5.11.0"),
        (lambda r: r.reserve.empty_upper_zero, "6.9.12", "6.10.0"),
        (lambda r: r.reserve.empty_upper_zero, "6.12.19", "6.12.18"),
        (lambda r: r.reserve.empty_upper_zero, "6.13.7", "6.13.6"),
        (lambda r: not r.reserve.empty_upper_zero, "6.11.11", "6.14.0"),
        (lambda r: r.min_free.cap_kb == 262144, "5.4.0", "5.7.14"),
        (lambda r: r.min_free.cap_kb == 262144, "4.18.0-147.el8", "3.10.0-1160.el7"),
        (lambda r: r.min_free.cap_kb == 262144, "4.4.1-1.el7.elrepo", "3.10.0-1160.el7"),
        (lambda r: r.min_free.keeps_user_value, "3.10.65", "3.11.0"),
        (lambda r: r.min_free.keeps_user_value, "3.10.65", "3.10.0-1160.el7"),
        (lambda r: r.min_free.huge_pages, "2.6.37", "2.6.38"),
        (lambda r: r.min_free.huge_pages, "2.6.32", "2.6.32-642.el6"),
        (lambda r: not r.min_free.huge_zones_all, "4.16.13", "4.17.0"),
        (lambda r: not r.min_free.huge_zones_all, "3.10.0-1160.el7", "4.18.0-147.el8"),
        (lambda r: r.min_free.huge_restores, "5.15.100", "5.16.0"),
        (lambda r: r.sysctl.min_free_checked, "3.13.10", "3.14.0"),
        (lambda r: r.sysctl.min_free_checked, "3.10.65", "3.10.0-1160.el7"),
        (lambda r: r.sysctl.scale_factor_max is not None, "4.5.7", "4.6.0"),
        (lambda r: r.sysctl.scale_factor_max == 3000, "5.15.16", "5.15.100"),
        (lambda r: r.sysctl.scale_factor_max == 3000, "5.10.0", "5.10.223"),
        (lambda r: r.sysctl.scale_factor_max == 3000, "5.14.0", "5.17.0"),
        (lambda r: r.sysctl.boost_factor, "4.20.0", "5.0.0"),
        (lambda r: r.sysctl.ratio_strict, "7.2.13", "7.3.0"),
        (lambda r: not r.sysctl.reclaim_mode_signed, "5.10.0", "5.10.223"),
        (lambda r: not r.sysctl.reclaim_mode_signed, "5.9.1", "5.11.0"),
        (lambda r: r.sysctl.reclaim_bits_shifted, "5.6.0", "5.7.0"),
        (lambda r: not r.sysctl.reclaim_bits_shifted, "5.9.1", "5.11.0"),
    ],
)
def test_bracket(what: Callable[[KernelRules], bool], before: str, since: str) -> None:
    assert not what(rules(before))
    assert what(rules(since))


def test_an_unknown_release_is_taken_as_current() -> None:
    assert rules_for(None) == rules("7.2.0")


def test_labels_tell_the_variants_apart() -> None:
    releases = ("2.6.11", "2.6.18", "3.9.0", "4.6.0", "6.6.0")
    assert len({rules(release).watermarks.label for release in releases}) == len(releases)
    assert rules("5.7.0").reserve.label != rules("5.8.0").reserve.label != rules("3.8.0").reserve.label
