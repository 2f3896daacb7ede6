"""Writes, one by one: what is taken, what is refused, which numbers move and which must not."""

from dataclasses import replace

import pytest
from tests.machines import GIB, applied, snapshot, zone

from pagewarden.errors import ModelError
from pagewarden.kernel.machine import HUGE_SWITCH, Machine, machine_of
from pagewarden.kernel.simulate import KEYS, NEVER_WRITTEN, Refusal, Simulation, Write, simulate
from pagewarden.kernel.watermarks import Marks
from pagewarden.procfs.types import Snapshot
from pagewarden.report.simulation import refusal_text

EMPTY = (0, 0, 0, 0, 0)
SETTINGS = {
    "min_free_kbytes": "67584",
    "watermark_scale_factor": "10",
    "watermark_boost_factor": "15000",
    "lowmem_reserve_ratio": "256 256 32 0 0",
    "zone_reclaim_mode": "0",
    "min_unmapped_ratio": "1",
    "swappiness": "60",
    "percpu_pagelist_high_fraction": "0",
}


def guest(kernel: str = "6.18.44", huge: str | None = "madvise", **sysctls: str) -> Snapshot:
    zones = [
        zone("DMA", 3840, marks=(71, 88, 105, 122), protection=(0, 3019, 3531, 3531, 3531)),
        zone("DMA32", 772917, marks=(14385, 17981, 21577, 25173), protection=(0, 0, 512, 512, 512)),
        zone("Normal", 131072, marks=(2439, 3048, 3657, 4266), protection=EMPTY),
        zone("Movable", 0, marks=(32, 32, 32, 32), protection=EMPTY),
        zone("Device", 0, marks=(0, 0, 0, 0), protection=EMPTY),
    ]
    return snapshot(zones, {**SETTINGS, **sysctls}, kernel=kernel, huge=huge)


def write(machine: Machine, *texts: str, assigned: int | None = None) -> Simulation:
    """Simulate writes given as "key=text"; a key without a dot is of vm."""
    writes = []
    for text in texts:
        key, _, value = text.partition("=")
        writes.append(Write(key if key == HUGE_SWITCH else f"vm.{key}", value))
    return simulate(machine, writes, assigned)


def mins(simulation: Simulation) -> list[int]:
    return [state.marks.min_pages for state in simulation.after]


def test_no_write_changes_nothing() -> None:
    machine = machine_of(guest())
    same = simulate(machine, [])
    assert same.before == same.after
    assert same.cost_bytes == 0
    assert same.totalreserve_pages == (29382, 29382)
    assert same.sysctls == {**machine.sysctls, HUGE_SWITCH: "madvise"}
    assert (same.refusals, same.assumptions) == ((), ())


def test_min_free_moves_the_marks_alone() -> None:
    machine = machine_of(guest())
    done = write(machine, "min_free_kbytes=0x10000")
    assert done.sysctls["vm.min_free_kbytes"] == "65536"
    assert mins(done) == [16384 * size // 907829 for size in (3840, 772917, 131072)] + [32, 0]
    assert [state.protection_pages for state in done.after] == [state.protection_pages for state in done.before]
    assert done.cost_bytes < 0


def test_a_scale_factor_moves_low_and_high_alone() -> None:
    done = write(machine_of(guest()), "watermark_scale_factor=1000")
    assert mins(done) == [71, 14385, 2439, 32, 0]
    assert done.after[1].marks == Marks(14385, 14385 + 77291, 14385 + 2 * 77291, 14385 + 3 * 77291)
    # DMA keeps its reserve and 2 * 384 more above the old 105; the others as far as their sizes go
    grown = (3531 + 71 + 768) - 3636, (2 * 77291 - 2 * 3596), (2 * 13107 - 2 * 609)
    assert done.cost_bytes == (3840 - 3636 + grown[1] + grown[2]) * 4096


def test_a_ratio_moves_the_reserves_alone() -> None:
    done = write(machine_of(guest()), "lowmem_reserve_ratio=256 128 32")
    assert done.sysctls["vm.lowmem_reserve_ratio"] == "256 128 32 0 0"
    assert [state.marks for state in done.before] == [state.marks for state in done.after]
    assert done.after[1].protection_pages == (0, 0, 1024, 1024, 1024)
    assert done.after[0].protection_pages == (0, 3019, 3531, 3531, 3531)
    assert done.cost_bytes == 512 * 4096


def test_order_of_writes_does_not_matter_to_the_marks() -> None:
    one = write(machine_of(guest()), "min_free_kbytes=9000", "watermark_scale_factor=50")
    other = write(machine_of(guest()), "watermark_scale_factor=50", "min_free_kbytes=9000")
    assert one.after == other.after


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("min_free_kbytes=-1", "EINVAL"),
        ("min_free_kbytes=", "EINVAL"),
        ("min_free_kbytes=2147483648", "EINVAL"),
        ("watermark_scale_factor=0", "EINVAL"),
        ("watermark_scale_factor=3001", "EINVAL"),
        ("watermark_boost_factor=-1", "EINVAL"),
        ("zone_reclaim_mode=-1", "EINVAL"),
        ("min_unmapped_ratio=101", "EINVAL"),
        ("swappiness=201", "EINVAL"),
        ("percpu_pagelist_high_fraction=7", "EINVAL"),
        ("transparent_hugepage=bogus", "EINVAL"),
        ("transparent_hugepage=", "EINVAL"),
        ("transparent_hugepage=Always", "EINVAL"),
        ("defrag_mode=1", "ENOENT"),
        ("extra_free_kbytes=1", "ENOENT"),
    ],
)
def test_refused_writes_change_nothing(text: str, error: str) -> None:
    machine = machine_of(guest())
    done = write(machine, text)
    key, _, value = text.partition("=")
    assert [(r.key.removeprefix("vm."), r.text, r.error) for r in done.refusals] == [(key, value, error)]
    assert done.before == done.after
    assert done.sysctls == simulate(machine, []).sysctls


# Settings that `guest` does not have, as a kernel that has them.
OTHERS = {
    "extfrag_threshold": "500",
    "defrag_mode": "0",
    "extra_free_kbytes": "0",
    "dirty_ratio": "20",
    "stat_interval": "1",
}


@pytest.mark.parametrize(
    ("key", "taken", "refused"),
    [
        ("extfrag_threshold", ("0", "1", "1000"), ("-1", "1001")),
        ("defrag_mode", ("0", "1"), ("-1", "2")),
        ("extra_free_kbytes", ("0", "1", "2147483647"), ("-1", "2147483648", "x")),
        ("dirty_ratio", ("0", "1", "100"), ("-1", "101")),
        ("swappiness", ("0", "1", "200"), ("-1", "201")),
        ("zone_reclaim_mode", ("0", "1", "2147483647"), ("-1", "2147483648")),
        ("watermark_scale_factor", ("1", "2", "3000"), ("0", "3001")),
        ("percpu_pagelist_high_fraction", ("0", "8", "2147483647"), ("-1", "1", "7", "2147483648")),
        ("min_free_kbytes", ("0", "1", "2147483647"), ("-1", "2147483648")),
    ],
)
def test_bounds_of_every_handler(key: str, taken: tuple[str, ...], refused: tuple[str, ...]) -> None:
    machine = machine_of(guest(**OTHERS))
    assert [write(machine, f"{key}={text}").sysctls[f"vm.{key}"] for text in taken] == list(taken)
    for text in refused:
        done = write(machine, f"{key}={text}")
        assert [refusal.error for refusal in done.refusals] == ["EINVAL"], text
        assert done.before == done.after


def test_a_second_value_is_not_looked_at() -> None:
    assert write(machine_of(guest()), "swappiness=10 20").sysctls["vm.swappiness"] == "10"


def test_a_vendors_extra_lifts_low_and_high_by_its_share() -> None:
    """4000 pages: DMA32 has 772917 of 907829 managed pages, so 3405; DMA 16, Normal 577. Min stays."""
    done = write(machine_of(guest(**OTHERS)), "extra_free_kbytes=16000")
    moved = [
        (
            now.marks.min_pages - then.marks.min_pages,
            now.marks.low_pages - then.marks.low_pages,
            now.marks.high_pages - then.marks.high_pages,
        )
        for then, now in zip(done.before, done.after, strict=True)
    ]
    assert moved == [(0, 16, 16), (0, 3405, 3405), (0, 577, 577), (0, 0, 0), (0, 0, 0)]


@pytest.mark.parametrize(
    "text",
    [
        "watermark_scale_factor=3000",
        "watermark_boost_factor=0",
        "zone_reclaim_mode=255",
        "min_unmapped_ratio=100",
        "swappiness=200",
        "percpu_pagelist_high_fraction=8",
        "percpu_pagelist_high_fraction=0",
    ],
)
def test_taken_at_the_bound(text: str) -> None:
    done = write(machine_of(guest()), text)
    key, _, value = text.partition("=")
    assert done.refusals == ()
    assert done.sysctls[f"vm.{key}"] == value


@pytest.mark.parametrize(
    ("kernel", "text", "error"),
    [
        ("5.15.16", "watermark_scale_factor=1001", "EINVAL"),
        ("5.15.100", "watermark_scale_factor=1001", None),
        ("5.9.1", "zone_reclaim_mode=-1", None),
        ("5.11.0", "zone_reclaim_mode=-1", "EINVAL"),
        ("5.7.0", "swappiness=101", "EINVAL"),
        ("5.8.0", "swappiness=101", None),
        ("7.2.0", "lowmem_reserve_ratio=x", None),
        ("7.3.0", "lowmem_reserve_ratio=x", "EINVAL"),
        ("7.3.0", "lowmem_reserve_ratio=-1", "EINVAL"),
    ],
)
def test_bounds_by_release(kernel: str, text: str, error: str | None) -> None:
    done = write(machine_of(guest(kernel)), text)
    assert [refusal.error for refusal in done.refusals] == ([error] if error else [])


def test_until_3_13_the_handler_ignored_errors_and_bounds() -> None:
    zones = [zone("Normal", 100000, marks=(1000, 1250, 1500))]
    machine = machine_of(snapshot(zones, {"min_free_kbytes": "4000"}, kernel="3.13.10"))
    refused = write(machine, "min_free_kbytes=x")
    assert refused.refusals == ()
    assert refused.before == refused.after
    negative = write(machine, "min_free_kbytes=-1")
    assert negative.refusals == ()
    assert negative.sysctls["vm.min_free_kbytes"] == "-1"
    assert negative.after[0].marks.min_pages > 100000
    since = write(machine_of(snapshot(zones, {"min_free_kbytes": "4000"}, kernel="3.14.0")), "min_free_kbytes=-1")
    assert since.refusals == (Refusal("vm.min_free_kbytes", "-1", "EINVAL", "a whole number from 0 to 2147483647"),)


def test_what_was_refused_does_not_stop_what_follows() -> None:
    done = write(machine_of(guest()), "min_free_kbytes=x", "watermark_scale_factor=20", "nothing_like_it=1")
    assert [refusal.error for refusal in done.refusals] == ["EINVAL", "ENOENT"]
    assert done.sysctls["vm.watermark_scale_factor"] == "20"


def test_ratios_are_printed_as_stored() -> None:
    assert (
        write(machine_of(guest()), "lowmem_reserve_ratio=-3 64 x").sysctls["vm.lowmem_reserve_ratio"] == "0 64 32 0 0"
    )
    zones = [zone("DMA", 4000, protection=(0, 390, 390, 390)), zone("DMA32", 100000, protection=EMPTY[:4])]
    old = machine_of(snapshot(zones, {"min_free_kbytes": "0", "lowmem_reserve_ratio": "256 256 32"}, kernel="4.9.0"))
    done = write(old, "lowmem_reserve_ratio=0")
    assert done.sysctls["vm.lowmem_reserve_ratio"] == "1 256 32"
    assert done.after[0].protection_pages == (0, 100000, 100000, 100000)


def test_any_write_of_the_ratio_refreshes_stale_reserves() -> None:
    stale = guest()
    nodes = tuple(
        replace(
            node,
            zones=tuple(
                replace(z, protection_pages=(0, 3000, 3500, 3500, 3500)) if z.name == "DMA" else z for z in node.zones
            ),
        )
        for node in stale.nodes
    )
    done = write(machine_of(replace(stale, nodes=nodes)), "lowmem_reserve_ratio=256")
    assert done.before[0].protection_pages == (0, 3000, 3500, 3500, 3500)
    assert done.after[0].protection_pages == (0, 3019, 3531, 3531, 3531)


def test_a_boost_is_cleared_by_whatever_computes_the_marks() -> None:
    boosted = guest()
    nodes = tuple(
        replace(
            node,
            zones=tuple(
                replace(z, boost_pages=512, min_pages=14897, low_pages=18493, high_pages=22089, promo_pages=25685)
                if z.name == "DMA32"
                else z
                for z in node.zones
            ),
        )
        for node in boosted.nodes
    )
    machine = machine_of(replace(boosted, nodes=nodes))
    for text in ("min_free_kbytes=67584", "watermark_scale_factor=10"):
        done = write(machine, text)
        assert done.before[1].marks.min_pages == 14897
        assert done.after[1].marks.min_pages == 14385
        assert done.cost_bytes == -512 * 4096
    assert write(machine, "lowmem_reserve_ratio=256").after[1].marks.min_pages == 14897


@pytest.mark.parametrize(
    ("kernel", "left"), [("5.0.0", 512), ("5.4.0", 512), ("5.7.19", 512), ("5.8.0", 0), ("5.10.0", 0)]
)
def test_a_write_during_a_boost_leaves_it_in_low_and_high(kernel: str, left: int) -> None:
    """Kernel: 5.0 to 5.7, __setup_per_zone_wmarks() takes min_wmark_pages() before it clears watermark_boost."""
    zones = [
        zone("DMA", 3840, marks=(80, 100, 120)),
        zone("Normal", 800000, marks=(16815 + 512, 21018 + 512, 25221 + 512)),
    ]
    machine = machine_of(snapshot(zones, {**SETTINGS, "lowmem_reserve_ratio": "256 32"}, kernel=kernel))
    for text in ("min_free_kbytes=67584", "watermark_scale_factor=10"):
        once = write(machine, text)
        assert once.after[0].marks == Marks(80, 100, 120)
        assert once.after[1].marks == Marks(16815, 21018 + left, 25221 + left)
        assert any("leaves it in low and high" in told for told in once.assumptions) == bool(left)
        assert write(machine, text, text).after[1].marks == Marks(16815, 21018, 25221)


def test_a_boost_that_was_left_behind_is_taken_out_by_the_next_write() -> None:
    zones = [zone("DMA", 3840, marks=(80, 100, 120)), zone("Normal", 800000, marks=(16815, 21018 + 512, 25221 + 512))]
    machine = machine_of(snapshot(zones, {**SETTINGS, "lowmem_reserve_ratio": "256 32"}, kernel="5.4.0"))
    assert machine.fit.boosted_now(machine.zones[1]) == 0
    assert write(machine, "min_free_kbytes=67584").after[1].marks == Marks(16815, 21018, 25221)


def test_promo_is_told_only_where_it_is_printed() -> None:
    assert write(machine_of(guest()), "min_free_kbytes=5000").after[0].marks.promo_pages is not None
    zones = [zone("Normal", GIB, marks=(1024, 1286, 1548))]
    machine = machine_of(snapshot(zones, {"min_free_kbytes": "4096"}, kernel="6.1.0"))
    assert write(machine, "min_free_kbytes=5000").after[0].marks.promo_pages is None


class TestHugePages:
    """khugepaged raises min_free_kbytes, and since 5.16 gives it back."""

    @pytest.mark.parametrize(
        ("kernel", "start", "text", "value"),
        [
            pytest.param("6.18.44", "4096", "transparent_hugepage=always", "67584", id="raised over the user's value"),
            pytest.param("6.18.44", "131072", "transparent_hugepage=always", "131072", id="never lowered"),
            pytest.param("5.15.0", "4096", "transparent_hugepage=madvise", "67584", id="madvise too"),
            pytest.param("5.15.0", "67584", "transparent_hugepage=never", "67584", id="kept until 5.15"),
            pytest.param("6.18.44", "131072", "transparent_hugepage=never", "131072", id="a larger user value stays"),
            # (907829 - 25339 above the high marks) * 4 kB = 3529960; isqrt(* 16) = 7515
            pytest.param("6.18.44", "67584", "transparent_hugepage=never", "7515", id="the root again since 5.16"),
        ],
    )
    def test_value(self, kernel: str, start: str, text: str, value: str) -> None:
        machine = machine_of(guest(kernel, min_free_kbytes=start))
        assert write(machine, text).sysctls["vm.min_free_kbytes"] == value

    def test_an_assigned_value_that_was_replaced_comes_back_into_the_comparison(self) -> None:
        machine = machine_of(guest())
        assert write(machine, "transparent_hugepage=never", assigned=7516).sysctls["vm.min_free_kbytes"] == "67584"
        assert write(machine, "transparent_hugepage=never", assigned=7514).sysctls["vm.min_free_kbytes"] == "7515"

    def test_what_must_be_taken_for_granted_is_said(self) -> None:
        machine = machine_of(guest())
        assert any("never written" in text for text in write(machine, "transparent_hugepage=never").assumptions)
        assert write(machine, "min_free_kbytes=70000", "transparent_hugepage=never").assumptions == ()
        bare = replace(machine, pageblock_read=False)
        assert any("page block is 512" in text for text in write(bare, "transparent_hugepage=always").assumptions)

    def test_marks_follow(self) -> None:
        done = write(machine_of(guest()), "transparent_hugepage=never")
        assert mins(done)[1] == (7515 // 4) * 772917 // 907829
        assert done.sysctls[HUGE_SWITCH] == "never"

    def test_without_huge_pages_there_is_no_switch(self) -> None:
        done = write(machine_of(guest(huge=None)), "transparent_hugepage=never")
        assert [refusal.error for refusal in done.refusals] == ["ENOENT"]
        assert HUGE_SWITCH not in done.sysctls

    def test_there_and_back(self) -> None:
        machine = machine_of(guest())
        done = write(machine, "transparent_hugepage=never", "transparent_hugepage=always")
        assert done.sysctls["vm.min_free_kbytes"] == "67584"
        assert [state.marks for state in done.after] == [state.marks for state in done.before]


def test_a_capture_without_settings() -> None:
    before = replace(guest(), sysctls={})
    machine = machine_of(before)
    done = write(machine, "lowmem_reserve_ratio=256 128")
    assert done.after[1].protection_pages == (0, 0, 1024, 1024, 1024)
    assert any("inferred" in text for text in done.assumptions)
    assert any("kernel's own values" in text for text in done.assumptions)
    assert write(machine, "swappiness=1").refusals[0].error == "ENOENT"
    assert write(machine, "watermark_scale_factor=20").refusals == ()


def test_the_release_tells_which_settings_exist_where_some_were_captured() -> None:
    before = guest()
    before = replace(before, sysctls={"vm.min_free_kbytes": "67584"})
    assert write(machine_of(before), "watermark_scale_factor=20").refusals == ()
    old = machine_of(replace(before, kernel="4.4.0"))
    (refusal,) = write(old, "watermark_scale_factor=20").refusals
    assert refusal_text(refusal) == "no such setting on this machine, or not in this capture (ENOENT)"


def test_what_cannot_be_answered_is_an_error() -> None:
    lost = machine_of(guest(lowmem_reserve_ratio="256 32"))
    with pytest.raises(ModelError, match="cannot be placed"):
        write(lost, "lowmem_reserve_ratio=1")
    assert write(lost, "min_free_kbytes=9000").refusals == ()


def test_every_known_key_has_a_name_of_vm() -> None:
    assert all(key.startswith("vm.") for key in KEYS)
    assert NEVER_WRITTEN < 0


def test_the_model_agrees_with_itself() -> None:
    before = guest()
    after = applied(before, write(machine_of(before), "min_free_kbytes=99999", "lowmem_reserve_ratio=7 8 9"))
    assert machine_of(after).fit.exact
