from dataclasses import replace

import pytest
from tests.machines import zone

from pagewarden.kernel.zones import ORDER, is_lowmem, layouts, printed_layout, zones_left_out
from pagewarden.procfs.types import Node


@pytest.mark.parametrize(
    ("seen", "count", "likeliest"),
    [
        pytest.param(
            {"DMA", "DMA32", "Normal"}, 4, ("DMA", "DMA32", "Normal", "Movable"), id="x86-64 of 2.6.24 to 4.2"
        ),
        pytest.param({"DMA", "DMA32"}, 4, ("DMA", "DMA32", "Normal", "Movable"), id="Normal is there though empty"),
        pytest.param({"DMA", "DMA32"}, 5, ("DMA", "DMA32", "Normal", "Movable", "Device"), id="HighMem is for 32 bits"),
        pytest.param({"DMA", "Normal", "HighMem"}, 4, ("DMA", "Normal", "HighMem", "Movable"), id="i386"),
        pytest.param({"Normal"}, 2, ("Normal", "Movable"), id="arm without DMA"),
        pytest.param({"Normal", "HighMem"}, 3, ("Normal", "HighMem", "Movable"), id="arm with HighMem"),
        pytest.param({"Normal"}, 1, ("Normal",), id="one zone"),
        pytest.param(set(ORDER), 6, ORDER, id="everything"),
    ],
)
def test_likeliest_layout(seen: set[str], count: int, likeliest: tuple[str, ...]) -> None:
    found = layouts(seen, count)
    assert found[0] == likeliest
    assert all(len(layout) == count and seen <= set(layout) and "Normal" in layout for layout in found)


@pytest.mark.parametrize(("seen", "count"), [({"Nosave"}, 3), ({"DMA", "Normal"}, 1), ({"Normal"}, 7), ({"Normal"}, 0)])
def test_no_layout(seen: set[str], count: int) -> None:
    assert layouts(seen, count) == ()


def test_lowmem_goes_up_to_normal() -> None:
    assert [name for name in (*ORDER, "Odd") if is_lowmem(zone(name, 1))] == ["DMA", "DMA32", "Normal"]


@pytest.mark.parametrize(
    ("names", "rows", "cma", "left_out"),
    [
        (("DMA",), [(0, 0, 296, 296)], None, True),  # el5, one zone of two
        (("DMA", "Normal"), [(0, 296), (0, 0)], None, False),
        (("Normal",), [(0, 0, 0)], None, False),  # before 4.12 empty zones are not printed
        (("DMA32", "Normal"), [(0, 0, 448), (0, 0, 0)], 0, True),  # 5.12 and later print them
        (("DMA", "DMA32", "Normal"), [(0, 9, 9), (0, 0, 448), (0, 0, 0)], 0, False),
        (("Normal",), [None], None, False),
    ],
)
def test_protection_tells_that_zones_were_left_out(
    names: tuple[str, ...], rows: list[tuple[int, ...] | None], cma: int | None, left_out: bool
) -> None:
    zones = [zone(name, 100, protection=row) for name, row in zip(names, rows, strict=True)]
    assert zones_left_out([Node(0, tuple(replace(each, cma_pages=cma) for each in zones))]) is left_out


def test_printed_layout_needs_as_many_zones_as_reserves() -> None:
    low, normal = zone("DMA", 10, protection=(0, 5, 5)), zone("Normal", 100, protection=(0, 0, 0))
    movable = zone("Movable", 0, protection=(0, 0, 0))
    assert printed_layout([Node(0, (low, normal))]) is None
    assert printed_layout([Node(0, (low, normal, movable))]) == ("DMA", "Normal", "Movable")
    without = zone("Movable", 0)  # 5.8 prints no protection for an empty zone
    assert printed_layout([Node(0, (low, normal, without))]) == ("DMA", "Normal", "Movable")
    assert printed_layout([Node(0, (normal,)), Node(1, (low, normal, movable))]) == ("DMA", "Normal", "Movable")
    assert printed_layout([Node(0, (without,))]) is None
