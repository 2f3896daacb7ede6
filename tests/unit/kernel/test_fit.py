"""Which variant a kernel follows, told from what it prints; and what differs, named with its reason."""

import time
from dataclasses import replace

import pytest
from tests.machines import GIB, machine, snapshot, zone

from pagewarden.kernel.fit import Fit, Settings, find_fit
from pagewarden.kernel.fit_causes import scale_factor
from pagewarden.kernel.machine import inferred_settings, machine_of
from pagewarden.kernel.rules import Gap, Size, rules_for
from pagewarden.kernel.simulate import Write, simulate
from pagewarden.procfs.types import Zone

SETTINGS = {"min_free_kbytes": "67584", "watermark_scale_factor": "10", "lowmem_reserve_ratio": "256 256 32 0 0"}
EMPTY = (0, 0, 0, 0, 0)


def guest_6_18() -> list[Zone]:
    """Section 12.1 of the description, as 6.18 prints it."""
    return [
        zone("DMA", 3840, marks=(71, 88, 105, 122), protection=(0, 3019, 3531, 3531, 3531)),
        zone("DMA32", 772917, marks=(14385, 17981, 21577, 25173), protection=(0, 0, 512, 512, 512)),
        zone("Normal", 131072, marks=(2439, 3048, 3657, 4266), protection=EMPTY),
        zone("Movable", 0, marks=(32, 32, 32, 32), protection=EMPTY),
        zone("Device", 0, marks=(0, 0, 0, 0), protection=EMPTY),
    ]


def guest_6_1() -> list[Zone]:
    """Section 12.2: managed pages grew after the marks and the reserves were computed."""
    return [
        zone("DMA", 3840, present=3998, marks=(64, 80, 96), protection=(0, 2990, 3902, 3902, 3902)),
        zone("DMA32", 765920, present=782304, marks=(12899, 16123, 19347), protection=(0, 0, 911, 911, 911)),
        zone("Normal", 235498, present=262144, marks=(3931, 4913, 5895), protection=EMPTY),
        zone("Movable", 0, marks=(0, 0, 0), protection=EMPTY),
        zone("Device", 0, marks=(0, 0, 0), protection=EMPTY),
    ]


def test_an_exact_guest() -> None:
    fit = machine(guest_6_18(), SETTINGS, kernel="6.18.44").fit
    assert fit.exact
    assert not fit.stale
    assert fit.usable
    assert (fit.differences, fit.reasons) == ((), ())
    assert fit.layout == ("DMA", "DMA32", "Normal", "Movable", "Device")
    assert not fit.inferred
    assert fit.variant == fit.rules.watermarks.label


def test_the_kernel_overrules_its_release() -> None:
    fit = machine(guest_6_18(), SETTINGS, kernel="6.1.0").fit
    assert fit.exact
    assert fit.rules.watermarks.movable_special, "Movable's 32 is told from what is printed"


def test_marks_of_an_earlier_count_are_stale() -> None:
    fit = machine(guest_6_1(), SETTINGS, kernel="6.1.176").fit
    assert not fit.exact
    assert fit.stale
    assert fit.usable
    differing = {(d.zone, d.what): (d.predicted, d.printed) for d in fit.differences}
    assert differing["DMA32", "min"] == (12873, 12899)
    assert differing["Normal", "min"] == (3958, 3931)
    assert differing["DMA", "protection[1]"] == (2991, 2990)
    assert differing["DMA", "protection[2]"] == (3911, 3902)
    assert differing["DMA32", "protection[2]"] == (919, 911)
    assert ("DMA", "min") not in differing
    assert all("earlier count" in reason for reason in fit.reasons)
    assert {reason.split(":")[0] for reason in fit.reasons} == {"node 0 DMA", "node 0 DMA32", "node 0 Normal"}


@pytest.mark.parametrize(
    "marks",
    [
        pytest.param((12899, 16124, 19347), id="low is not min and a gap"),
        pytest.param((12899, 16123, 19348), id="high is not min and two gaps"),
        pytest.param((12899, 14000, 15101), id="the gap is less than a quarter of the share"),
        pytest.param((12000, 15000, 18000), id="the mins do not add up to min_free_kbytes"),
        pytest.param((12902, 16127, 19352), id="they are more than min_free_kbytes"),
        pytest.param((12899, 112899, 212899), id="the gap is beyond what the zone could ever hold"),
    ],
)
def test_marks_no_count_explains_are_a_misfit(marks: tuple[int, int, int]) -> None:
    zones = guest_6_1()
    zones[1] = replace(zones[1], min_pages=marks[0], low_pages=marks[1], high_pages=marks[2])
    fit = machine(zones, SETTINGS, kernel="6.1.176").fit
    assert not fit.usable
    assert fit.variant is None
    assert any("none of the formulas" in reason and "DMA32" in reason for reason in fit.reasons)


@pytest.mark.parametrize(
    ("row", "stale"),
    [
        pytest.param((0, 2990, 3902, 3902, 3902), True, id="a little less: an earlier count"),
        pytest.param((0, 2990, 2980, 3902, 3902), False, id="rows never fall"),
        pytest.param((0, 2990, 90000, 90000, 90000), False, id="more than all that is spanned"),
    ],
)
def test_reserves_stale_or_not(row: tuple[int, ...], stale: bool) -> None:
    zones = guest_6_1()
    zones[0] = replace(zones[0], protection_pages=row)
    assert machine(zones, SETTINGS, kernel="6.1.176").fit.stale is stale


def test_a_reserve_where_the_formula_gives_none_is_a_misfit() -> None:
    zones = guest_6_1()
    zones[2] = replace(zones[2], protection_pages=(0, 0, 0, 7, 7))
    fit = machine(zones, SETTINGS, kernel="6.1.176").fit
    assert not fit.usable
    assert any("protection follows none" in reason for reason in fit.reasons)


def test_a_boost_that_is_printed_is_taken_off() -> None:
    zones = guest_6_18()
    zones[1] = replace(zones[1], boost_pages=512, min_pages=14897, low_pages=18493, high_pages=22089, promo_pages=25685)
    assert machine(zones, SETTINGS, kernel="6.18.44").fit.exact


def test_a_boost_that_is_not_printed_is_told() -> None:
    zones = [
        zone("DMA", 3840, marks=(80, 100, 120)),
        zone("Normal", 800000, marks=(16815 + 512, 21018 + 512, 25221 + 512)),
    ]
    fit = machine(zones, SETTINGS, kernel="5.4.0").fit
    assert fit.hidden_boost_pages == ((0, "Normal", 512),)
    assert any("boost" in reason for reason in fit.reasons)
    assert not fit.exact
    assert fit.usable
    old = machine(zones, SETTINGS, kernel="4.19.0").fit
    assert old.hidden_boost_pages == (), "there was no boost before 5.0"
    assert not old.usable


def test_low_and_high_alone_may_keep_a_boost() -> None:
    """5.0 to 5.7 left it in them for good when a setting was written while it was in force."""
    zones = [zone("DMA", 3840, marks=(80, 100, 120)), zone("Normal", 800000, marks=(16815, 21018 + 512, 25221 + 512))]
    fit = machine(zones, SETTINGS, kernel="5.4.0").fit
    assert fit.hidden_boost_pages == ((0, "Normal", 512),)
    assert fit.stale
    (reason,) = fit.reasons
    assert "low and high are 512 pages above the formula, min is not" in reason


def boosted_and_stale(**sysctls: str) -> Fit:
    """A capture of the wild: min is far above four gaps, so 13312 and 512 pages of boost are on top."""
    zones = [
        zone("DMA", 3956, present=3975, marks=(33, 41, 49), protection=(0, 2877, 7826, 7826, 7826)),
        zone("DMA32", 742806, present=759231, marks=(19510, 21059, 22608), protection=(0, 0, 4949, 4949, 4949)),
        zone("Normal", 1268711, present=1308160, marks=(11176, 13842, 16508), protection=EMPTY),
        zone("Movable", 0, protection=EMPTY),
        zone("Device", 0, protection=EMPTY),
    ]
    return machine(zones, {**sysctls, "lowmem_reserve_ratio": "256 256 32 0 0"}, kernel="5.4.0").fit


@pytest.mark.parametrize("sysctls", [{"min_free_kbytes": "67584"}, {}])
def test_boosts_over_marks_of_an_earlier_count(sysctls: dict[str, str]) -> None:
    fit = boosted_and_stale(**sysctls)
    assert fit.stale
    assert fit.min_free_kbytes == 67584
    boosts = {name: pages for _, name, pages in fit.hidden_boost_pages}
    assert set(boosts) == {"DMA32", "Normal"}
    assert abs(boosts["DMA32"] - 13312) <= 3
    assert abs(boosts["Normal"] - 512) <= 3
    assert sum("boost" in reason for reason in fit.reasons) == 2


def test_boosts_do_not_explain_just_any_sum() -> None:
    assert not boosted_and_stale(min_free_kbytes="90112").usable
    assert not boosted_and_stale(min_free_kbytes="45056").usable


def test_what_huge_pages_ask_for_is_the_likeliest_inference() -> None:
    zones = guest_6_1()
    fit = machine(zones, {"lowmem_reserve_ratio": "256 256 32 0 0"}, kernel="6.1.176").fit
    assert (fit.min_free_kbytes, fit.inferred, fit.stale) == (67584, True, True)


def test_without_min_free_kbytes_it_is_inferred_from_the_mins() -> None:
    settings = {key: value for key, value in SETTINGS.items() if key != "min_free_kbytes"}
    fit = machine(guest_6_18(), settings, kernel="6.18.44").fit
    assert fit.exact
    assert fit.inferred
    assert fit.min_free_kbytes in range(67584 - 8, 67584 + 12)
    assert fit.rules.watermarks.gap is Gap.SCALED


def test_without_any_setting_the_defaults_are_tried() -> None:
    fit = machine(guest_6_18(), {}, kernel="6.18.44").fit
    assert fit.exact


def test_ratios_that_do_not_fit_the_zones_place_nothing() -> None:
    fit = machine(guest_6_18(), {**SETTINGS, "lowmem_reserve_ratio": "256 32"}, kernel="6.18.44").fit
    assert fit.layout is None
    assert not fit.exact
    assert {d.what for d in fit.differences} == {f"protection[{index}]" for index in range(1, 5)}


def test_a_zone_nobody_knows_places_nothing() -> None:
    zones = [zone("DMA", 4000, protection=(0, 5, 5)), zone("Odd", 100, protection=(0, 0, 0))]
    fit = machine(zones, {"min_free_kbytes": "0", "lowmem_reserve_ratio": "256 32"}, kernel="2.6.32").fit
    assert fit.layout is None
    assert not fit.usable


def test_without_protection_there_is_nothing_to_place() -> None:
    fit = machine([zone("Normal", GIB, marks=(1024, 1286, 1548))], {"min_free_kbytes": "4096"}, kernel="4.9.0").fit
    assert fit.layout is None
    assert fit.exact


def test_present_pages_where_nothing_else_is_printed() -> None:
    zones = [
        zone("DMA", None, present=4000, marks=(4, 5, 6), protection=(0, 390, 390, 390)),
        zone("DMA32", None, present=100000, marks=(120, 150, 180), protection=(0, 0, 0, 0)),
    ]
    fit = machine(zones, {"min_free_kbytes": "500", "lowmem_reserve_ratio": "256 256 32"}, kernel="6.1.0").fit
    assert fit.exact
    assert fit.rules.watermarks.size is Size.PRESENT
    assert fit.rules.reserve.size is Size.PRESENT
    assert fit.rules.watermarks.gap is Gap.QUARTERS


def test_a_vendors_lift_is_found_without_its_setting() -> None:
    zones = [
        zone("Normal", 100000, marks=(1000, 2500, 2750)),
        zone("HighMem", 300000, marks=(292, 4792 + 750, 4792 + 1500)),
    ]
    normal, highmem = zones
    fit = machine(
        [normal, replace(highmem, low_pages=292 + 3750 + 750, high_pages=292 + 3750 + 1500)],
        {"min_free_kbytes": "4000"},
        kernel="3.4.0",
    ).fit
    assert not fit.exact, "HighMem's min is clamped to 128: this one follows no rule"
    clamped = replace(highmem, min_pages=128, low_pages=128 + 3750 + 750, high_pages=128 + 3750 + 1500)
    fit = machine([normal, clamped], {"min_free_kbytes": "4000"}, kernel="3.4.0").fit
    assert fit.exact
    assert fit.extra_free_kbytes is not None
    assert abs(fit.extra_free_kbytes - 20000) < 20


def test_ratios_nobody_changed_tell_the_zones() -> None:
    """A small i386 machine of 4.4 prints DMA and Normal alone, but four reserves."""
    normal = zone("Normal", 1000, protection=(0, 0, 0, 0))
    zones = [zone("DMA", 4000, protection=(0, 3, 3, 3)), normal]
    i386 = machine(zones, {"min_free_kbytes": "0", "lowmem_reserve_ratio": "256 32 32"}, kernel="4.4.0").fit
    assert i386.layout == ("DMA", "Normal", "HighMem", "Movable")
    alone = {"min_free_kbytes": "0", "lowmem_reserve_ratio": "256 32 32"}
    assert machine([normal], alone, kernel="4.4.0").fit.layout == ("DMA", "Normal", "HighMem", "Movable")
    alone = {"min_free_kbytes": "0", "lowmem_reserve_ratio": "256 256 32"}
    assert machine([normal], alone, kernel="4.4.0").fit.layout == ("DMA", "DMA32", "Normal", "Movable")


@pytest.mark.parametrize(("kernel", "topmost"), [("2.6.13", "HighMem"), ("2.6.32", "Movable")])
def test_before_2_6_23_there_is_no_movable(kernel: str, topmost: str) -> None:
    """x86-64 with three zones, of which the third is empty and not printed."""
    zones = [zone("DMA", None, present=3994, protection=(0, 2031, 2031))]
    zones.append(zone("Normal", None, present=520191, protection=(0, 0, 0)))
    assert machine(zones, {}, kernel=kernel).fit.layout == ("DMA", "Normal", topmost)


def test_stale_reserves_tell_the_zones_too() -> None:
    """Normal had 3 pages when DMA's reserves were computed; the zone above DMA is Normal all the same."""
    zones = [zone("DMA", 1, protection=(0, 3, 3, 3)), zone("Normal", 4, protection=(0, 0, 0, 0))]
    fit = machine(zones, {"min_free_kbytes": "0", "lowmem_reserve_ratio": "1 1 1"}, kernel="3.10.0").fit
    assert fit.layout == ("DMA", "Normal", "HighMem", "Movable")
    assert fit.stale


def test_kernels_that_print_a_boost_scale_their_gaps() -> None:
    """Quarters would do as well here (4 * 25 = 100), but 6.1 has the scale factor, whatever was captured."""
    zones = [zone("Normal", GIB, marks=(100, 125, 150), boost=0)]
    fit = machine(zones, {"min_free_kbytes": "400"}, kernel="6.1.0").fit
    assert not fit.exact
    assert fit.rules.watermarks.gap is Gap.SCALED


def test_5_9_early_stables_are_told_by_their_sums() -> None:
    rows = {(0, 100, 50): True, (0, 100, 150): False}
    for row, quirk in rows.items():
        zones = [
            zone("DMA", 10, protection=row),
            zone("DMA32", 1000, protection=(0, 0, 0)),
            zone("Normal", 500, protection=(0, 0, 0)),
        ]
        fit = machine(zones, {"min_free_kbytes": "0", "lowmem_reserve_ratio": "10 0 0"}, kernel="5.10.0").fit
        assert fit.rules.reserve.skipped_not_summed is quirk


@pytest.mark.parametrize(
    ("kernel", "row", "exact", "stale"),
    [
        ("6.12.5", (0, 3019, 3531, 0, 0), True, False),  # 6.10 to 6.13 keep nothing from requests for empty zones
        ("6.11.0", (0, 3019, 3531, 0, 0), True, False),
        ("6.12.5", (0, 3019, 3531, 3531, 3531), True, False),  # a vendor took the revert before its stable series did
        ("6.8.0", (0, 3019, 3531, 0, 0), True, False),  # or the change itself
        ("6.12.5", (0, 3010, 3520, 0, 0), False, True),  # memory was freed to the allocator since
        ("6.12.5", (0, 3010, 0, 0, 0), False, False),  # nothing from requests for Normal, which has pages: no formula
        ("6.12.5", (0, 3010, 3520, 0, 3520), False, False),
        ("6.12.5", (0, 3010, 3000, 0, 0), False, False),  # falls: no counts give that
    ],
)
def test_reserves_against_requests_for_empty_zones(kernel: str, row: tuple[int, ...], exact: bool, stale: bool) -> None:
    dma, dma32, *rest = guest_6_18()
    full = row[3] or row[4]
    dma32 = replace(dma32, protection_pages=(0, 0, 512, 512, 512) if full else (0, 0, 512, 0, 0))
    fit = machine([replace(dma, protection_pages=row), dma32, *rest], SETTINGS, kernel=kernel).fit
    assert (fit.exact, fit.stale) == (exact, stale)


def test_the_guess_wins_a_tie() -> None:
    nodes = snapshot([zone("Normal", GIB, marks=(1024, 1286, 1548))]).nodes
    for version in ("5.10.0", "6.18.0"):
        guess = rules_for(machine_of(snapshot([zone("Normal", 1)], kernel=version)).version)
        fit = find_fit(nodes, Settings(4096, 10, None), guess, 4096)
        assert fit.rules.watermarks == guess.watermarks


def android_5_10() -> list[Zone]:
    """A phone whose gaps are 216 ten-thousandths of its zones, as a bugreport shows it: no protection."""
    return [zone("DMA32", 413348, marks=(862, 9790, 18718)), zone("Normal", 500548, marks=(1044, 11855, 22666))]


def test_wider_gaps_tell_a_scale_factor_that_was_not_captured() -> None:
    zones = android_5_10()
    phone = machine(zones, {}, kernel="5.10.66")
    assert phone.fit.exact
    assert phone.fit.watermark_scale_factor == 216
    assert inferred_settings(phone) == {"vm.min_free_kbytes": 7628, "vm.watermark_scale_factor": 216}
    assert not machine(zones, {"watermark_scale_factor": "10"}, kernel="5.10.66").fit.usable, "what was captured counts"
    assert not machine(zones, {}, kernel="4.4.0").fit.usable, "there is none before 4.6"
    odd = [zones[0], replace(zones[1], low_pages=11900, high_pages=22756)]
    assert not machine(odd, {}, kernel="5.10.66").fit.usable, "no one factor gives both"


def test_marks_of_no_formula_are_not_tried_with_every_factor() -> None:
    """Gaps of less than a quarter of min come from no factor; they took minutes."""
    odd = [
        replace(zone("Normal", 33000000 + node, marks=(11000, 13749, 16500), protection=(0,)), node=node)
        for node in range(8)
    ]
    started = time.monotonic()
    found = machine(odd, {}, kernel="5.4.0").fit
    assert time.monotonic() - started < 10
    assert (found.usable, found.watermark_scale_factor) == (False, None)


def test_gaps_that_hold_no_factor_bound_it() -> None:
    told = [zone("Normal", 1000000, marks=(1000, 3000, 5000)), zone("DMA", 10000, marks=(400, 500, 600))]
    assert scale_factor(told, rules_for(None).watermarks) == 20
    bounded = [told[0], zone("DMA", 1000000, marks=(4000, 5000, 6000))]
    assert scale_factor(bounded, rules_for(None).watermarks) is None, "20 would widen DMA's gap"
    assert scale_factor(told[1:], rules_for(None).watermarks) is None, "a quarter of min tells nothing"


def test_an_inferred_scale_factor_counts_in_what_is_simulated() -> None:
    done = simulate(machine(android_5_10(), {}, kernel="5.10.66"), [Write("vm.min_free_kbytes", "8192")])
    assert [after.marks.low_pages - after.marks.min_pages for after in done.after] == [8928, 10811]
    assert done.assumptions[1] == (
        "vm.watermark_scale_factor is not in this capture; 216 was inferred from the gaps between the marks"
    )


def test_a_capture_of_some_zones_says_so() -> None:
    """el5: DMA alone, which keeps 296 pages for a Normal that is not there."""
    cut = machine(
        [zone("DMA", None, present=4096, marks=(28, 35, 42), protection=(0, 0, 296, 296))], {}, kernel="2.6.18"
    )
    assert cut.fit.zones_left_out
    assert not cut.fit.usable
    assert cut.fit.reasons == ("node 0 DMA: protection counts zones that this capture lacks",)


def test_until_2_6_14_low_and_high_are_fractions_of_min() -> None:
    """A desktop of 1 GB, 2.6.14: HighMem's low is 5/4 of its own min, not of its share."""
    zones = [
        zone("DMA", None, present=4096, marks=(17, 21, 25), protection=(0, 880, 998)),
        zone("Normal", None, present=225280, marks=(939, 1173, 1408), protection=(0, 0, 948)),
        zone("HighMem", None, present=30342, marks=(32, 40, 48), protection=(0, 0, 0)),
    ]
    old = machine(zones, {}, kernel="2.6.14-rc5")
    assert old.fit.exact
    assert old.fit.rules.watermarks == rules_for(old.version).watermarks
