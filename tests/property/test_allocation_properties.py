"""What must hold of the check for every kernel, caller and zone."""

from dataclasses import replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pagewarden.kernel.allocation import AllocRequest, Check, Verdict, ZoneState, check_zone
from pagewarden.kernel.allocation_rules import AllocationRules, FastPath, OrderTest, allocation_rules
from pagewarden.kernel.gfp import flags_from_mask
from pagewarden.kernel.gfp_tables import generation_for
from pagewarden.kernel.version import KernelVersion, parse_version

RELEASES = (
    *("2.6.18", "2.6.32", "2.6.32-642.6.2.el6.x86_64", "2.6.38", "3.2", "3.4.24", "3.8", "3.10.53", "4.3"),
    *("3.10.0-1160.el7.x86_64", "4.4", "4.8", "4.14", "5.4", "5.8", "5.10.0", "5.10.223", "6.1.0", "6.1.176"),
    *("6.3", "6.6.0", "6.9", "6.12.0", "6.12.107", "6.18", "7.2"),
)
KINDS = ("UME", "U", "M", "R", "H", "C", "I", "UMEHC", "HC", "")
REFUSALS = frozenset({Verdict.BELOW_MARK, Verdict.LOWMEM_RESERVE, Verdict.NO_BLOCK})
COMPARISON = frozenset({Verdict.BELOW_MARK, Verdict.LOWMEM_RESERVE})


def version_of(release: str) -> KernelVersion:
    version = parse_version(release)
    assert version is not None
    return version


versions = st.sampled_from([version_of(release) for release in RELEASES])
small = st.integers(0, 600)


@st.composite
def requests(draw: st.DrawFn, version: KernelVersion) -> AllocRequest:
    generation = generation_for(version)
    composites = [mask for mask in generation.composites.values() if mask]
    extra = draw(st.integers(0, 0xFFFFFFFF)) & sum(generation.bits)
    mask = draw(st.sampled_from(composites)) | (extra if draw(st.booleans()) else 0)
    privileges = {name: draw(st.booleans()) for name in ("realtime", "victim", "memalloc", "in_interrupt")}
    return AllocRequest(draw(st.integers(0, 5)), flags_from_mask(mask, generation), **privileges)


@st.composite
def zones(draw: st.DrawFn) -> ZoneState:
    """A zone whose free blocks make up its free pages."""
    blocks = draw(st.tuples(*[st.integers(0, 60)] * 7))
    kinds = draw(st.tuples(*[st.sampled_from(KINDS)] * 7))
    base, boost = draw(small), draw(st.integers(0, 200))
    minimum = base + boost
    pages = sum(count << order for order, count in enumerate(blocks))
    return ZoneState(
        free_pages=pages,
        min_pages=minimum,
        low_pages=minimum + base // 4,
        high_pages=minimum + base // 2,
        boost_pages=boost,
        free_blocks=blocks,
        block_types=kinds,
        highatomic_pages=(reserved := draw(small), reserved),
        cma_pages=draw(small),
    )


@st.composite
def cases(draw: st.DrawFn) -> tuple[ZoneState, AllocRequest, AllocationRules, int, str]:
    version = draw(versions)
    marks = st.sampled_from(["min", "min", "low", "high"])
    return draw(zones()), draw(requests(version)), allocation_rules(version), draw(small), draw(marks)


Case = tuple[ZoneState, AllocRequest, AllocationRules, int, str]


def run(case: Case, **changes: object) -> Check:
    state, request, rules, reserve, mark = case
    return check_zone(replace(state, **changes), request, rules, reserve, mark)  # type: ignore[arg-type]


def cannot_wrap(case: Case) -> None:
    """5.9 to 5.18 grant single pages by mistake when less than nothing counts: more free pages then do harm."""
    assume(case[2].fast_path is not FastPath.WRAPS or case[1].order > 0)


@given(cases())
@settings(max_examples=100)
def test_the_number_required_is_exact(case: Case) -> None:
    cannot_wrap(case)
    found = run(case)
    assert found.available_pages + found.withheld_pages == case[0].free_pages
    assert (found.available_pages < found.required_pages) is (found.short_pages > 0)
    assert (found.short_pages > 0) is (found.verdict in COMPARISON)
    assert run(case, free_pages=found.required_free_pages).verdict not in COMPARISON
    assert run(case, free_pages=found.required_free_pages - 1).verdict in COMPARISON


@given(cases(), st.integers(0, 6), st.integers(1, 2000), st.booleans())
@settings(max_examples=100)
def test_no_request_is_refused_for_more_free_memory(case: Case, order: int, more: int, in_blocks: bool) -> None:
    cannot_wrap(case)
    state = case[0]
    assert state.free_blocks is not None
    if in_blocks:
        blocks = list(state.free_blocks)
        blocks[order] += more
        after = run(case, free_blocks=tuple(blocks), free_pages=state.free_pages + (more << order))
    else:
        after = run(case, free_pages=state.free_pages + more)
    if run(case).verdict is Verdict.WOULD_PASS:
        assert after.verdict is Verdict.WOULD_PASS


@given(cases(), st.integers(0, 500))
def test_more_reserve_never_helps(case: Case, more: int) -> None:
    state, request, rules, reserve, mark = case
    before = check_zone(state, request, rules, reserve, mark)
    after = check_zone(state, request, rules, reserve + more, mark)
    if before.verdict in REFUSALS:
        assert after.verdict in REFUSALS
    if before.verdict in COMPARISON:
        assert after.verdict in COMPARISON
    assert after.required_pages in (before.required_pages, before.required_pages + more)


@given(cases(), st.integers(1, 300))
def test_a_higher_mark_or_more_withheld_never_helps(case: Case, more: int) -> None:
    cannot_wrap(case)
    state = case[0]
    raised = run(
        case, min_pages=state.min_pages + more, low_pages=state.low_pages + more, high_pages=state.high_pages + more
    )
    withheld = run(case, cma_pages=state.cma_pages + more)
    reserved = run(case, highatomic_pages=(state.highatomic_pages[0] + more, state.highatomic_pages[1] + more))
    if run(case).verdict in REFUSALS:
        assert raised.verdict in REFUSALS
        assert withheld.verdict in REFUSALS
        assert reserved.verdict in REFUSALS


@given(cases(), st.integers(0, 500), st.integers(0, 200))
def test_a_range_is_answered_only_where_both_ends_agree(case: Case, more: int, boost: int) -> None:
    cannot_wrap(case)
    least = case[0].highatomic_pages[0]
    both = run(case, highatomic_pages=(least, least + more), boost_pages=None, boost_range=(0, boost))
    ends = {
        run(case, highatomic_pages=(pages, pages), boost_pages=taken).verdict is Verdict.WOULD_PASS
        for pages in (least, least + more)
        for taken in (0, boost)
    }
    assert (both.verdict is Verdict.UNKNOWN) is (len(ends) == 2)
    if len(ends) == 1:
        assert (both.verdict is Verdict.WOULD_PASS) is ends.pop()


@given(cases())
def test_verdict_and_numbers_never_contradict_each_other(case: Case) -> None:
    found = run(case)
    if found.verdict is Verdict.WOULD_PASS and case[1].order > 0:
        assert found.usable_order is not None
        assert found.usable_order >= case[1].order
    if found.verdict is Verdict.LOWMEM_RESERVE:
        assert found.available_pages >= found.required_pages - found.reserve_pages
    if found.verdict is Verdict.BELOW_MARK:
        assert found.available_pages < found.required_pages - found.reserve_pages
    assert (found.failed_order is None) is (found.loop_pages is None)
    if found.loop_pages is not None:
        left, least = found.loop_pages
        assert left <= least
        assert case[2].order_test is not OrderTest.BLOCKS
        assert found.verdict is Verdict.NO_BLOCK
    assert 0 <= found.mark_pages <= found.base_mark_pages
    assert bool(found.reason) is (found.verdict is Verdict.UNKNOWN)


@pytest.mark.parametrize(
    "release", [r for r in RELEASES if allocation_rules(version_of(r)).fast_path is not FastPath.WRAPS]
)
@given(data=st.data())
@settings(max_examples=20)
def test_single_pages_never_ask_for_blocks(release: str, data: st.DataObject) -> None:
    version = version_of(release)
    request = replace(data.draw(requests(version)), order=0, memalloc=False, victim=False)
    assume(not (request.flags.memalloc and not request.flags.nomemalloc))
    state = data.draw(zones())
    rules = allocation_rules(version)
    bare = replace(state, free_blocks=None, block_types=None)
    assert check_zone(bare, request, rules, 5).verdict is check_zone(state, request, rules, 5).verdict
