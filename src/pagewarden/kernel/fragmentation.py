"""How broken up a zone's free memory is, from its free blocks by order."""

from collections.abc import Sequence

HAS_BLOCK = -1000
"""The fragmentation index of an order of which a block is free."""


def free_pages(free_blocks: Sequence[int]) -> int:
    """Pages in the free blocks; can differ from the zone's `free`, which is counted at another moment."""
    return sum(count << order for order, count in enumerate(free_blocks))


def suitable_blocks(free_blocks: Sequence[int], order: int) -> int:
    """How many requests of this order the free blocks could serve, larger blocks split."""
    return sum(count << (at - order) for at, count in enumerate(free_blocks) if at >= order)


def fragmentation_index(free_blocks: Sequence[int], order: int) -> int:
    """Would a request of this order fail for lack of memory (towards 0) or for fragmentation (towards 1000)?

    HAS_BLOCK says that a block is there and the request would not fail.

    Kernel: mm/vmstat.c:__fragmentation_index(), since 2.6.35; debugfs prints it divided by 1000.
    """
    blocks = sum(free_blocks)
    if blocks == 0:
        return 0
    if suitable_blocks(free_blocks, order):
        return HAS_BLOCK
    return 1000 - (1000 + free_pages(free_blocks) * 1000 // (1 << order)) // blocks


def fragmentation_indexes(free_blocks: Sequence[int]) -> tuple[int, ...]:
    """The index of every order."""
    return tuple(fragmentation_index(free_blocks, order) for order in range(len(free_blocks)))


def unusable_free_index(free_blocks: Sequence[int], order: int) -> int:
    """Thousandths of the free memory that lie in blocks too small for this order.

    Kernel: mm/vmstat.c:unusable_free_index(), since 2.6.35; debugfs prints it divided by 1000.
    """
    pages = free_pages(free_blocks)
    if pages == 0:
        return 1000
    return (pages - (suitable_blocks(free_blocks, order) << order)) * 1000 // pages


def largest_order(free_blocks: Sequence[int]) -> int | None:
    """The largest order of which a block is free; None where nothing is."""
    return max((order for order, count in enumerate(free_blocks) if count), default=None)
