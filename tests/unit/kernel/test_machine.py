"""From a snapshot to the state the formulas work on."""

from dataclasses import replace

import pytest
from tests.machines import GIB, snapshot, zone

from pagewarden.errors import ModelError
from pagewarden.kernel.machine import machine_of
from pagewarden.kernel.rules import Gap, Size
from pagewarden.procfs.types import HugePages, Node, PageTypeInfo, Snapshot, Zone

NORMAL = zone("Normal", GIB // 2, marks=(1024, 1280, 1536))


def test_no_zones_no_machine() -> None:
    with pytest.raises(ModelError, match="zoneinfo"):
        machine_of(snapshot([]))


@pytest.mark.parametrize(
    ("key", "value"),
    [("min_free_kbytes", "many"), ("min_free_kbytes", "1 2"), ("min_free_kbytes", ""), ("lowmem_reserve_ratio", "1 x")],
)
def test_a_setting_that_is_no_integer(key: str, value: str) -> None:
    with pytest.raises(ModelError, match=key):
        machine_of(snapshot([NORMAL], {key: value}))


def test_the_banner_knows_the_stable_patch() -> None:
    banner = "Linux version 5.10.0-32-amd64 (x) (gcc) #1 SMP Debian 5.10.223-1 (2024-08-10)"
    before = snapshot([NORMAL], kernel="5.10.0-32-amd64")
    found = machine_of(replace(before, banner=banner))
    assert found.version_numbers == (5, 10, 223)
    assert found.rules.sysctl.scale_factor_max == 3000
    assert machine_of(before).rules.sysctl.scale_factor_max == 1000


@pytest.mark.parametrize(
    ("changes", "gap", "size", "movable_special"),
    [
        pytest.param({"managed_pages": None}, Gap.QUARTERS, Size.PRESENT, False, id="2.6 or 3.0: no managed"),
        pytest.param({}, Gap.QUARTERS, Size.MANAGED, False, id="managed"),
        pytest.param({"cma_pages": 0}, Gap.SCALED, Size.MANAGED, False, id="cma: 5.12"),
        pytest.param({"boost_pages": 0}, Gap.SCALED, Size.MANAGED, False, id="boost: 6.1"),
        pytest.param({"promo_pages": 1792}, Gap.SCALED, Size.MANAGED, True, id="promo: 6.12"),
    ],
)
def test_without_a_release_the_format_tells(
    changes: dict[str, int | None], gap: Gap, size: Size, movable_special: bool
) -> None:
    found = machine_of(snapshot([replace(NORMAL, **changes)], {"min_free_kbytes": "4096"}, kernel=None))
    rules = found.rules.watermarks
    assert found.version is None
    assert (rules.gap, rules.size, rules.movable_special) == (gap, size, movable_special)


@pytest.mark.parametrize("release", ["custom", "", "vmlinux-6"])
def test_a_release_without_numbers_is_unknown(release: str) -> None:
    assert machine_of(snapshot([NORMAL], kernel=release)).version is None


def with_facts(**facts: object) -> Snapshot:
    return replace(snapshot([NORMAL]), **facts)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("facts", "pages", "read"),
    [
        pytest.param({"pagetypes": PageTypeInfo(10, 1024, {}, frozenset(), {})}, 1024, True, id="pagetypeinfo"),
        pytest.param({"huge_pages": HugePages("never", pmd_size_bytes=4 << 20)}, 1024, True, id="PMD size"),
        pytest.param({"huge_pages": HugePages("never")}, 512, False, id="x86-64"),
        pytest.param({"arch": None}, 512, False, id="unknown"),
        pytest.param({"arch": "s390x"}, 256, False, id="s390x"),
        pytest.param({"arch": "ppc64le", "page_size": 65536}, 32, False, id="powerpc"),
        pytest.param({"arch": "aarch64", "page_size": 65536}, 8192, False, id="arm with 64 KiB pages"),
        pytest.param({"arch": "aarch64", "page_size": 16384}, 2048, False, id="arm with 16 KiB pages"),
    ],
)
def test_page_block(facts: dict[str, object], pages: int, read: bool) -> None:
    found = machine_of(with_facts(**facts))
    assert (found.pageblock_pages, found.pageblock_read) == (pages, read)


@pytest.mark.parametrize(
    ("kernel", "switch", "on"), [("6.1.0", "always", True), ("6.1.0", "never", False), ("2.6.37", "always", False)]
)
def test_huge_pages_on(kernel: str, switch: str, on: bool) -> None:
    assert machine_of(snapshot([NORMAL], kernel=kernel, huge=switch)).huge_pages_on is on


def test_huge_pages_not_captured_are_not_on() -> None:
    assert not machine_of(snapshot([NORMAL])).huge_pages_on


def test_zones_of_several_nodes_keep_their_order() -> None:
    zones: list[Zone] = [zone("DMA", 1), zone("Normal", 2), zone("Normal", 3, node=1)]
    found = machine_of(snapshot(zones))
    assert [entry.managed_pages for entry in found.zones] == [1, 2, 3]
    assert [node.node for node in found.nodes] == [0, 1]
    assert isinstance(found.nodes[0], Node)
    assert [mark.min_pages for mark in found.marks] == [0, 0, 0]
