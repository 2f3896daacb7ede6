"""Counters between two snapshots: what can be compared, what cannot, and that it is said."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
from tests.machines import snapshot, zone

from pagewarden.diagnose.interval import another_machine, interval_between
from pagewarden.procfs.types import Pressure, PressureLine, Snapshot

BASE = snapshot([zone("Normal", 100_000)], {"min_free_kbytes": "4096"})


def at(
    uptime: float | None, vmstat: Mapping[str, int] | None, some_us: int | None = None, **changes: object
) -> Snapshot:
    line = None if some_us is None else Pressure(PressureLine(0, 0, 0, some_us), PressureLine(0, 0, 0, some_us // 2))
    found = replace(BASE, uptime_seconds=uptime, vmstat=vmstat, pressure=line)
    return replace(found, **changes)  # type: ignore[arg-type]


def test_counts_and_rates() -> None:
    found = interval_between(
        at(1000, {"allocstall_normal": 5, "allocstall_movable": 1, "pageoutrun": 7, "nr_free_pages": 100}, 0),
        at(1100, {"allocstall_normal": 105, "allocstall_movable": 51, "pageoutrun": 7, "nr_free_pages": 90}, 2_000_000),
    )
    assert (found.seconds, found.unusable, found.notes) == (100, "", ())
    assert found.total("allocstall") == 150
    assert found.rate("allocstall") == 1.5
    assert found.rate("pageoutrun") == 0
    assert found.total("pgscan_direct") is None
    assert found.rate("pgscan_direct") is None
    # A quantity is no counter: whether it rose or fell says nothing here.
    assert "nr_free_pages" not in found.counts
    assert (found.some_percent, found.full_percent) == (2.0, 1.0)


def test_until_4_6_one_counter_counts_all_zones() -> None:
    found = interval_between(at(0, {"allocstall": 10}), at(10, {"allocstall": 30}))
    assert found.total("allocstall") == 20


@pytest.mark.parametrize(
    ("first", "last", "given", "why"),
    [
        pytest.param(5000, 100, 60, "rebooted in between", id="reboot"),
        pytest.param(5000, 4999.9, None, "rebooted in between", id="reboot, almost unseen"),
        pytest.param(5000, 5000, None, "no time passed", id="the same instant"),
        pytest.param(5000, 5000, 600, "no time passed", id="the same capture twice, whatever is said"),
        pytest.param(None, 5000, None, "not known", id="no uptime before"),
        pytest.param(5000, None, None, "not known", id="no uptime later"),
        pytest.param(None, None, None, "not known", id="no uptime at all"),
        pytest.param(None, None, 0, "no time passed", id="zero given"),
        pytest.param(None, None, -5, "no time passed", id="less than nothing given"),
    ],
)
def test_what_cannot_be_compared(first: float | None, last: float | None, given: float | None, why: str) -> None:
    found = interval_between(at(first, {"allocstall": 1}), at(last, {"allocstall": 900}), given)
    assert why in found.unusable
    assert found.counts == {}
    assert found.rate("allocstall") is None


def test_without_uptime_the_time_given_counts() -> None:
    found = interval_between(at(None, {"allocstall": 1}), at(None, {"allocstall": 61}), 60)
    assert (found.unusable, found.rate("allocstall")) == ("", 1.0)


@pytest.mark.parametrize(
    ("given", "note"),
    [
        (600, None),
        (601, None),
        (500, None),
        (3600, "stood still in between"),
        (60, "too short, or a clock jumped"),
    ],
)
def test_a_time_that_disagrees_with_the_uptime(given: float, note: str | None) -> None:
    found = interval_between(at(1000, {"allocstall": 0}), at(1600, {"allocstall": 600}), given)
    assert found.rate("allocstall") == 1.0
    assert bool(found.notes) is bool(note)
    assert note is None or note in found.notes[0]


def test_a_counter_that_fell_is_left_out_and_named() -> None:
    found = interval_between(
        at(0, {"a": 10, "b": 10, "c": 10, "d": 10, "e": 10, "nr_x": 10, "workingset_nodes": 10, "up": 1}),
        at(60, {"a": 1, "b": 1, "c": 1, "d": 1, "e": 1, "nr_x": 1, "workingset_nodes": 1, "up": 3}),
    )
    assert found.counts == {"up": 2}
    assert found.notes == ("counters that fell in between are left out: a, b, c and 2 more",)


def test_one_zone_that_fell_leaves_the_sum_without_it() -> None:
    found = interval_between(
        at(0, {"allocstall_normal": 10, "allocstall_movable": 10}),
        at(60, {"allocstall_normal": 3, "allocstall_movable": 30}),
    )
    assert found.total("allocstall") == 20
    assert "allocstall_normal" in found.notes[0]


def test_counters_that_came_or_went_are_not_counted() -> None:
    found = interval_between(at(0, {"gone": 5, "both": 1}), at(60, {"new": 7, "both": 2}))
    assert found.counts == {"both": 1}


def test_another_kernel_and_a_missing_file() -> None:
    earlier = at(0, {"allocstall": 1}, kernel="5.10.0")
    assert "another kernel ran before (5.10.0)" in interval_between(earlier, at(60, {"allocstall": 2})).unusable
    assert "vmstat is missing" in interval_between(at(0, None), at(60, {"allocstall": 2})).unusable
    assert "vmstat is missing" in interval_between(at(0, {"allocstall": 2}), at(60, None)).unusable


def test_settings_written_in_between() -> None:
    later = at(60, {}, sysctls={"vm.min_free_kbytes": "8192", "vm.swappiness": "60"})
    assert interval_between(at(0, {}), later).rewritten == {"vm.min_free_kbytes"}


@pytest.mark.parametrize(
    ("before", "after", "percent"), [(0, 600_000, 1.0), (600_000, 0, None), (0, 10**12, 100.0), (0, 0, 0.0)]
)
def test_pressure(before: int, after: int, percent: float | None) -> None:
    assert interval_between(at(0, {}, before), at(60, {}, after)).some_percent == percent


def test_pressure_that_one_of_them_lacks() -> None:
    assert interval_between(at(0, {}), at(60, {}, 5)).some_percent is None


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"host": "db2"}, "one is of db1, the other of db2"),
        ({"page_size": 65536}, "the other of 65536"),
        ({"page_size": 65536, "page_size_assumed": True}, ""),
        ({"host": None}, ""),
        ({"kernel": "6.6.0"}, ""),  # upgraded: still the same machine
        ({"nodes": snapshot([zone("Normal", 5, node=7)]).nodes}, "no node in common"),
        ({"kernel": "6.6.0", "nodes": snapshot([zone("Normal", 5)]).nodes}, "their zones differ"),
    ],
)
def test_another_machine(changes: dict[str, object], why: str) -> None:
    found = another_machine(replace(BASE, host="db1"), replace(BASE, **{"host": "db1", **changes}))  # type: ignore[arg-type]
    assert (why in found) if why else found == ""
