import pytest

from pagewarden.kernel.fragmentation import (
    fragmentation_index,
    fragmentation_indexes,
    free_pages,
    largest_order,
    suitable_blocks,
    unusable_free_index,
)

NOTHING = (0,) * 11
SINGLES = (1000, *NOTHING[1:])
TOP = (*NOTHING[:-1], 3)


@pytest.mark.parametrize(
    ("blocks", "order", "index"),
    [
        pytest.param(NOTHING, 0, 0, id="no memory: not for fragmentation"),
        pytest.param((), 3, 0, id="no orders"),
        pytest.param(SINGLES, 0, -1000, id="a block is there"),
        pytest.param(TOP, 9, -1000, id="a larger one is there"),
        # B = 1000, P = 1000: 1000 - (1000 + 1000*1000 >> 3) / 1000 = 1000 - 126000 / 1000
        pytest.param(SINGLES, 3, 874, id="many single pages: fragmentation"),
        # B = 2, P = 2, order 4: 1000 - (1000 + 2000 / 16) / 2 = 1000 - 1125 / 2
        pytest.param((2, 0, 0, 0, 0), 4, 438, id="few pages: lack of memory as much"),
        # B = 1, P = 1, order 10: 1000 - (1000 + 1000 / 1024) / 1
        pytest.param((1, *NOTHING[1:]), 10, 0, id="one page: lack of memory"),
        # B = 3, P = 1 + 2*2 = 5, order 2: 1000 - (1000 + 5000 / 4) / 3 = 1000 - 750
        pytest.param((1, 2, 0), 2, 250, id="mixed"),
        pytest.param((1, 2, 0), 5, 1000 - (1000 + 156) // 3, id="beyond the orders listed"),
    ],
)
def test_fragmentation_index(blocks: tuple[int, ...], order: int, index: int) -> None:
    assert fragmentation_index(blocks, order) == index


def test_every_order_has_its_index() -> None:
    # Order 2: B = 3, P = 5: 1000 - (1000 + 1250) / 3. Order 3: 1000 - (1000 + 625) / 3 = 1000 - 541.
    assert fragmentation_indexes((1, 2, 0, 0)) == (-1000, -1000, 250, 459)
    # B = 1000, P = 1000, order 1: 500 000 thousandths more, where 1001 thousandths a page would be 500 500.
    assert fragmentation_index((1000, 0), 1) == 1000 - 501_000 // 1000
    # B = 7, P = 7, order 1: 3500 and no fraction of it: 1000 - 4500 // 7.
    assert fragmentation_index((7, 0), 1) == 358
    assert fragmentation_indexes(()) == ()


@pytest.mark.parametrize(
    ("blocks", "order", "index"),
    [
        (NOTHING, 4, 1000),
        (SINGLES, 0, 0),
        (SINGLES, 1, 1000),
        (TOP, 10, 0),
        ((1, 1, 1), 1, 1000 // 7),
        ((1, 1, 1), 2, 3000 // 7),
        ((1, 1, 1), 3, 1000),
    ],
)
def test_unusable_free_index(blocks: tuple[int, ...], order: int, index: int) -> None:
    assert unusable_free_index(blocks, order) == index


def test_sums() -> None:
    assert free_pages((1, 1, 1, 1)) == 15
    assert free_pages(()) == 0
    assert suitable_blocks((9, 9, 1, 1), 2) == 3
    assert suitable_blocks((9, 9), 2) == 0
    assert largest_order((5, 0, 1, 0)) == 2
    assert largest_order(NOTHING) is None
