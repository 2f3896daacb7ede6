"""The allocator's check against a second one, written from the description of each kernel and sharing nothing with it.

This one is a plain transcript: numbers in, yes or no out, with everything printed known. Cases are drawn at random from
a fixed seed, near the comparisons: many cheap ones find more here than few well chosen.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from pagewarden.kernel.allocation import AllocRequest, Verdict, ZoneState, check_zone
from pagewarden.kernel.allocation_rules import AllocationRules, allocation_rules
from pagewarden.kernel.gfp import GfpFlags, flags_from_names
from pagewarden.kernel.version import parse_version

RELEASES = (
    "2.6.18",
    "2.6.32",
    "2.6.37",
    "2.6.38",
    "2.6.32-358.el6.x86_64",
    "3.2.0",
    "3.4.39",
    "3.6.5",
    "3.8.0",
    "3.11.0",
    "3.10.0-1160.el7.x86_64",
    "4.1.19",
    "4.3.0",
    "4.4.0",
    "4.6.2",
    "4.8.15",
    "4.12.0",
    "4.14.177",
    "5.4.0",
    "5.8.1",
    "5.9.1",
    "5.11.14",
    "5.19.0",
    "6.1.0",
    "6.1.176",
    "6.3.8",
    "6.8.0",
    "6.12.107",
    "6.18.2",
    "7.2.13",
)
FLAGS = ("HIGH", "DIRECT_RECLAIM", "ATOMIC", "NOMEMALLOC", "MOVABLE", "RECLAIMABLE", "NO_KSWAPD")
LETTERS = ("U", "M", "E", "UME", "H", "C", "I", "HC", "MC", "UMH")


@dataclass(frozen=True)
class Case:
    release: str
    free: int
    low_mark: int
    boost: int
    reserve: int
    blocks: tuple[int, ...]
    letters: tuple[str, ...]
    highatomic: int
    cma: int
    order: int
    flags: frozenset[str]
    realtime: bool
    victim: bool


def numbers(release: str) -> tuple[int, int, int]:
    first, second, *third = release.partition("-")[0].split(".")
    return int(first), int(second), int(third[0]) if third else 0


def grants(case: Case) -> bool:
    """Whether the min mark lets the request through, and a block is there for it."""
    at = numbers(case.release)
    el6, el7 = ".el6." in case.release, ".el7." in case.release
    if at < (4, 4, 0):
        return grants_until_4_3(case, at, el6, el7)
    return grants_since_4_4(case, at)


def grants_until_4_3(case: Case, at: tuple[int, int, int], el6: bool, el7: bool) -> bool:
    waits = "DIRECT_RECLAIM" in case.flags
    if case.victim and "NOMEMALLOC" not in case.flags:
        return unchecked(case)
    mark = case.low_mark
    if "HIGH" in case.flags:
        mark -= mark // 2
    harder = not waits
    if at >= (2, 6, 38) and "NOMEMALLOC" in case.flags:
        harder = False
    if (at >= (3, 16, 0) or el7) and "NO_KSWAPD" in case.flags:
        # The right of those who cannot sleep is taken away, and with it the branch: a real-time task gets it then.
        harder = case.realtime
    if waits and case.realtime:
        harder = True
    if harder:
        mark -= mark // 4
    off_by_two = el6 or (2, 6, 38) <= at < (3, 3, 0)
    free = case.free - ((1 << case.order) + 1 if off_by_two else (1 << case.order) - 1)
    cma = case.cma if at >= (3, 7, 0) and not movable(case) else 0
    first_only = at >= (3, 10, 0)
    if not first_only:
        free -= cma
        cma = 0
    if free - cma <= mark + case.reserve:
        return False
    if case.order == 0:
        return True
    least = 0 if el6 else mark
    for order in range(case.order):
        free -= case.blocks[order] << order
        if not el6 or order < 2:
            least >>= 1
        if free <= least:
            return False
    return any(case.blocks[order] and usable(case, order, "") for order in range(case.order, 11))


def unchecked(case: Case) -> bool:
    """Without a watermark: enough pages, and a block."""
    enough = case.free >= 1 << case.order
    return enough and any(case.blocks[order] and usable(case, order, "") for order in range(case.order, 11))


def movable(case: Case) -> bool:
    return "MOVABLE" in case.flags and "RECLAIMABLE" not in case.flags


def usable(case: Case, order: int, more: str) -> bool:
    kinds = set(case.letters[order])
    return bool(kinds & set("UME" + more)) or ("C" in kinds and movable(case))


def grants_since_4_4(case: Case, at: tuple[int, int, int]) -> bool:
    new = at >= (6, 3, 0) or at == (6, 1, 176)
    victim_without_marks = case.victim and at < (4, 14, 0) and "NOMEMALLOC" not in case.flags
    if victim_without_marks:
        return unchecked(case)
    waits = "DIRECT_RECLAIM" in case.flags
    privileged = case.realtime and (waits if new else "ATOMIC" not in case.flags)
    high = "HIGH" in case.flags or (privileged and new)
    if new:
        non_block = not waits and "NOMEMALLOC" not in case.flags
        harder = non_block or high
        quarter = non_block and high
        needs_high = at >= (6, 17, 0) or at in ((6, 12, 107), (6, 1, 176))
        takes_h = non_block and case.order > 0 and (high or not needs_high)
    else:
        quarter = ("ATOMIC" in case.flags and "NOMEMALLOC" not in case.flags) or privileged
        harder = takes_h = quarter
    attempts = [(high, quarter, harder, takes_h)]
    if case.victim and at >= (4, 14, 0) and "NOMEMALLOC" not in case.flags:
        attempts.append((False, False, True, True))
    return any(
        attempt_since_4_4(case, at, *attempt, as_victim=index == 1, new=new) for index, attempt in enumerate(attempts)
    )


def attempt_since_4_4(
    case: Case,
    at: tuple[int, int, int],
    high: bool,
    quarter: bool,
    harder: bool,
    takes_h: bool,
    *,
    as_victim: bool,
    new: bool,
) -> bool:
    def left(mark: int) -> int:
        if as_victim:
            return mark - mark // 2
        if high:
            mark -= mark // 2
        if quarter:
            mark -= mark // 4
        return mark

    cma = 0 if movable(case) else case.cma
    withheld = cma + (0 if harder else case.highatomic)
    if case.order == 0 and at >= (4, 8, 0):
        seen = case.free - cma if at < (5, 9, 0) else case.free - withheld
        if seen > case.low_mark + case.reserve or ((5, 9, 0) <= at < (5, 18, 16) and seen < 0):
            return True
    marks = [case.low_mark]
    retested = high if new else "ATOMIC" in case.flags and at >= (5, 9, 0)
    if case.order == 0 and retested:
        marks.append(case.low_mark - case.boost)
    free = case.free - ((1 << case.order) - 1) - withheld
    if all(free <= left(mark) + case.reserve for mark in marks):
        return False
    if case.order == 0:
        return True
    # The check is content with any block then; CMA and isolated ones it does not get all the same.
    any_kind = at < (4, 13, 0) and harder
    return any(
        case.blocks[order]
        and (
            (any_kind and not (set(case.letters[order]) and set(case.letters[order]) <= {"C", "I"}))
            or usable(case, order, "H" if takes_h else "")
        )
        for order in range(case.order, 11)
    )


def draw(rng: random.Random) -> Case:
    release = rng.choice(RELEASES)
    old = numbers(release) < (4, 4, 0)
    blocks = tuple(rng.choice((0, 0, 1, 3)) for _ in range(11))
    mark = rng.randrange(400)
    reserve = rng.choice((0, 0, 5, 120))
    highatomic = 0 if old else rng.choice((0, 0, 64, 512))
    cma = rng.choice((0, 0, 64)) if numbers(release) >= (3, 8, 0) else 0
    about = rng.choice((mark, mark - mark // 2, mark - mark // 4, mark * 3 // 8)) + reserve
    about += rng.choice((0, cma, highatomic, cma + highatomic))
    names = frozenset(name for name in FLAGS if rng.random() < 0.4)
    return Case(
        release=release,
        free=max(0, about + rng.randrange(-3, 20)) if rng.random() < 0.8 else rng.randrange(900),
        low_mark=mark,
        boost=rng.randrange(mark + 1) if numbers(release) >= (5, 0, 0) else 0,
        reserve=reserve,
        blocks=blocks,
        letters=tuple(rng.choice(LETTERS) if count else "" for count in blocks),
        highatomic=highatomic,
        cma=cma,
        order=rng.choice((0, 0, 0, 1, 2, 3, 4)),
        flags=names - ({"ATOMIC"} if old else {"NO_KSWAPD"}),
        realtime=rng.random() < 0.5,
        victim=rng.random() < 0.2,
    )


def drawn(count: int) -> Iterator[tuple[Case, random.Random]]:
    rng = random.Random(count)
    return ((draw(rng), rng) for _ in range(count))


@cache
def flags_of(names: frozenset[str], waits: str) -> GfpFlags:
    return flags_from_names([f"__GFP_{waits if name == 'DIRECT_RECLAIM' else name}" for name in sorted(names)])


@cache
def rules_of(release: str) -> AllocationRules:
    version = parse_version(release)
    assert version is not None
    return allocation_rules(version)


def checked(case: Case, **changes: int) -> Verdict:
    mark = case.low_mark
    state = ZoneState(
        free_pages=changes.get("free", case.free),
        min_pages=mark,
        low_pages=mark + mark // 4,
        high_pages=mark + mark // 2,
        boost_pages=case.boost,
        free_blocks=case.blocks,
        block_types=case.letters,
        highatomic_pages=(case.highatomic, case.highatomic),
        cma_pages=case.cma,
    )
    flags = flags_of(case.flags, "WAIT" if numbers(case.release) < (4, 4, 0) else "DIRECT_RECLAIM")
    request = AllocRequest(case.order, flags, realtime=case.realtime, victim=case.victim)
    return check_zone(state, request, rules_of(case.release), changes.get("reserve", case.reserve)).verdict


def is_wrapped(case: Case) -> bool:
    """5.9 to 5.18 let a single page through when less is free than is withheld: then the lists decide."""
    return (5, 9, 0) <= numbers(case.release) < (5, 18, 16) and case.order == 0


def test_both_give_the_same_answer() -> None:
    granted = 0
    for case, _ in drawn(20_000):
        verdict = checked(case)
        if is_wrapped(case) and verdict is Verdict.NO_BLOCK:
            continue
        assert (verdict is Verdict.WOULD_PASS) is grants(case), (case, verdict)
        granted += verdict is Verdict.WOULD_PASS
    assert 4_000 < granted < 16_000  # else the cases say little


def test_a_larger_reserve_never_helps_and_more_free_pages_never_hurt() -> None:
    for case, rng in drawn(5_000):
        more = rng.randrange(1, 50)
        if not is_wrapped(case) and checked(case) is Verdict.WOULD_PASS:
            assert checked(case, free=case.free + more) is Verdict.WOULD_PASS, case
        if not is_wrapped(case) and checked(case) is not Verdict.WOULD_PASS:
            assert checked(case, reserve=case.reserve + more) is not Verdict.WOULD_PASS, case
