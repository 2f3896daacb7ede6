"""What counters tell about the time between two polls."""

import pytest

from pagewarden.daemon.counters import Increase, followed, increase, less


@pytest.mark.parametrize(
    ("vmstat", "expected"),
    [
        pytest.param({}, {}, id="a kernel without any of them"),
        pytest.param({"allocstall": 7}, {"allocstall": 7}, id="before 4.10"),
        pytest.param({"allocstall_dma": 1, "allocstall_normal": 2}, {"allocstall": 3}, id="by zone"),
        pytest.param(
            {"pgscan_direct": 10, "pgscan_direct_throttle": 99}, {"pgscan_direct": 10}, id="a throttle is no scan"
        ),
        pytest.param({"pgscan_direct_dma32": 4, "pgscan_direct_throttle": 1}, {"pgscan_direct": 4}, id="before 4.8"),
        pytest.param({"nr_free_pages": 5, "oom_kill": 0}, {"oom_kill": 0}, id="zero is a value"),
    ],
)
def test_followed(vmstat: dict[str, int], expected: dict[str, int]) -> None:
    assert followed(vmstat) == expected


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        pytest.param(None, {"oom_kill": 5}, Increase(), id="nothing before"),
        pytest.param({"oom_kill": 5}, None, Increase(), id="not read now"),
        pytest.param({"oom_kill": 5}, {}, Increase(), id="the counter has vanished"),
        pytest.param({"oom_kill": 5}, {"oom_kill": 5}, Increase(kills=0), id="nothing happened"),
        pytest.param({"oom_kill": 5}, {"oom_kill": 9}, Increase(kills=4), id="four"),
        pytest.param(
            {"oom_kill": 5, "allocstall": 1}, {"oom_kill": 2, "allocstall": 3}, Increase(stalls=2), id="reset"
        ),
        pytest.param({"allocstall": 2**32 - 1}, {"allocstall": 4}, Increase(), id="wrapped on 32 bits"),
    ],
)
def test_increase(before: dict[str, int] | None, after: dict[str, int] | None, expected: Increase) -> None:
    assert increase(before, after) == expected


def test_less() -> None:
    assert (less(5, 3), less(3, 5), less(None, 3), less(3, None)) == (2, None, None, None)
