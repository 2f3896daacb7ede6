"""A sample of bench/crash_apply.py: kills and failing calls at a few system calls. The bench does all of them."""

import platform

import pytest
from bench.crash_apply import Case, calls_of, run_case

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="the tracer knows x86-64 alone")
EACH = 8


@pytest.mark.parametrize("operation", ["apply", "revert"])
def test_a_killed_run_leaves_the_old_or_the_new(operation: str) -> None:
    calls = calls_of(operation)
    writing = [call for call in calls if call.name in ("write", "rename", "fsync", "unlink") or call.writing]
    assert len(calls) > 100
    assert len(writing) > 10
    cases = [Case(operation, "kill-after", call.index) for call in writing[:: max(1, len(writing) // EACH)]]
    cases += [Case(operation, "EIO", call.index) for call in writing[1 :: max(1, len(writing) // EACH)]]
    cases.append(Case(operation, "EROFS from here on", writing[len(writing) // 2].index))
    outcomes = [run_case(case)[1] for case in cases]
    assert not [outcome for outcome in outcomes if outcome.startswith("WRONG")]
    assert {outcome.rpartition(" ")[2] for outcome in outcomes} == {"old", "new"}
