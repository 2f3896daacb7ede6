"""The kernel's arithmetic written a second time, in the plainest way, straight from the description of each release.

It shares nothing with pagewarden.kernel, so that a slip has to be made twice to pass. Releases are (major, minor,
patch); zones are dictionaries with `node`, `name`, `present` and `managed`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

PlainZone = Mapping[str, Any]
Release = tuple[int, int, int]

SWAP_CLUSTER_MAX = 32
HEX = frozenset("0123456789abcdef")


def size(zone: PlainZone, release: Release) -> int:
    counted: int = zone["managed"] if release >= (3, 9, 0) else zone["present"]
    return counted


def special(zone: PlainZone, release: Release, highmem: bool) -> bool:
    """HighMem; Movable since 6.6, and before that where Movable's pages are taken from HighMem."""
    return zone["name"] == "HighMem" or (zone["name"] == "Movable" and (release >= (6, 6, 0) or highmem))


def marks(
    zones: Sequence[PlainZone], min_free_kbytes: int, scale: int, release: Release, page_kb: int = 4
) -> list[tuple[int, int, int, int]]:
    """min, low, high and promo of every zone (promo is meaningful since 5.18)."""
    highmem = any(zone["name"] == "HighMem" and zone["present"] for zone in zones)
    wanted = min_free_kbytes // page_kb
    lowmem = 0
    for zone in zones:
        if not special(zone, release, highmem):
            lowmem += size(zone, release)
    result = []
    for zone in zones:
        pages = size(zone, release)
        share = wanted * pages // lowmem if lowmem else 0
        lowest = share
        if special(zone, release, highmem):
            lowest = pages // 1024
            lowest = SWAP_CLUSTER_MAX if lowest < SWAP_CLUSTER_MAX else 128 if lowest > 128 else lowest
        if release >= (4, 6, 0):
            gap = (pages // 10000) * scale + (pages % 10000) * scale // 10000
            gap = share // 4 if share // 4 > gap else gap
            result.append((lowest, lowest + gap, lowest + 2 * gap, lowest + 3 * gap))
        elif release >= (2, 6, 15):
            result.append((lowest, lowest + share // 4, lowest + share // 2, 0))
        else:
            result.append((lowest, lowest * 5 // 4, lowest * 6 // 4, 0))
    return result


def protection(sizes: Sequence[int], ratio: Sequence[int], release: Release) -> list[list[int]]:
    """lowmem_reserve of one node: sizes and ratios by zone index, one row a zone."""
    count = len(sizes)
    stored = [entry if entry >= 1 else 1 if release < (4, 17, 0) else 0 for entry in ratio]
    rows = [[0] * count for _ in range(count)]
    for i in range(count - 1):
        off = stored[i] == 0 or (release >= (5, 8, 0) and sizes[i] == 0)
        for j in range(i + 1, count):
            total = 0
            for k in range(i + 1, j + 1):
                quirk = (5, 8, 0) <= release < (5, 10, 50) and (stored[k : k + 1] == [0] or sizes[k] == 0)
                total += 0 if quirk and k != j else sizes[k]
            fault = (6, 10, 0) <= release < (6, 12, 19) or (6, 13, 0) <= release < (6, 13, 7)
            rows[i][j] = 0 if off or (fault and sizes[j] == 0) else total // stored[i]
    return rows


def totalreserve(zone_sizes: Sequence[int], highs: Sequence[int], rows: Sequence[Sequence[int]]) -> int:
    total = 0
    for pages, high, row in zip(zone_sizes, highs, rows, strict=True):
        held = high + max(row)
        total += held if held < pages else pages
    return total


def integers(text: str, slots: int) -> tuple[list[int], bool]:
    """What proc_dointvec() stores of a write, and whether it ends in EINVAL; character by character."""
    buffer, at, stored = text + "\n", 0, []
    while len(stored) < slots:
        while at < len(buffer) and buffer[at] in " \t\n\v\f\r":
            at += 1
        if at == len(buffer):
            break
        window, here = buffer[at : at + 21], 0
        negative = window[0] == "-" and len(buffer) - at > 1
        here += negative
        if here >= len(window) or window[here] not in "0123456789":
            return stored, True
        base, digits = 10, "0123456789"
        if window[here] == "0":
            base, digits = 8, "01234567"
            if window[here + 1 : here + 2] in ("x", "X") and window[here + 2 : here + 3].lower() in HEX:
                base, digits, here = 16, "0123456789abcdef", here + 2
        value = 0
        while here < len(window) and window[here].lower() in digits:
            value = value * base + digits.index(window[here].lower())
            here += 1
        if here == 21 or (at + here < len(buffer) and buffer[at + here] not in " \t\n"):
            return stored, True
        if value > 2**31 - (not negative):
            return stored, True
        stored.append(-value if negative else value)
        at += here
    return stored, not stored
