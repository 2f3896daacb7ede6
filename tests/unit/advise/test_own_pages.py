"""How much of a low zone those that can use no higher one had taken themselves, as far as a report proves it."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from pagewarden.advise.lowmem_from_logs import _took_themselves


@pytest.mark.parametrize(
    ("reserve", "min_kb", "free_kb", "own"),
    [
        pytest.param((0, 0, 952, 952, 952), 400, 200, 1002, id="others stop at min and the reserve"),
        pytest.param((0, 0, 952, 0, 0), 400, 200, 0, id="6.10 to 6.13: movable requests stop at min alone"),
        pytest.param((0, 0, 952, 1952, 0), 400, 200, 2002, id="nobody asks for Device"),
        pytest.param((0, 0, 952, 952, 952), 400, 8000, 0, id="more free than others are left"),
        pytest.param(None, 400, 200, 0, id="not printed"),
        pytest.param((0, 0, 952), 400, 200, 0, id="cut"),
        pytest.param((0, 0, 952, 952, 952), None, 200, 0, id="no mark"),
    ],
)
def test_own_pages(reserve: tuple[int, ...] | None, min_kb: int | None, free_kb: int, own: int) -> None:
    layout = ("DMA", "DMA32", "Normal", "Movable", "Device")
    machine = cast("Any", SimpleNamespace(fit=SimpleNamespace(layout=layout)))
    dump = SimpleNamespace(lowmem_reserve_pages=reserve, min_kb=min_kb, free_kb=free_kb)
    zone = cast("Any", SimpleNamespace(dump=dump))
    diagnosis = cast("Any", SimpleNamespace(replay=SimpleNamespace(page_size=4096)))
    assert _took_themselves(machine, zone, diagnosis) == own
