"""Reports that several logs hold."""

from dataclasses import replace

import pytest

from pagewarden.klog.repeats import Doubles
from pagewarden.klog.types import Report, ReportKind

ONE = Report(
    ReportKind.PAGE_ALLOCATION_FAILURE, 7, 40, "Nov 21 01:30:07", 12.5, host="box", pid=3, counters_pages={"free": 90}
)
SAME = replace(ONE, line_number=900, last_line_number=950, timestamp="12.5", host=None, notes=("odd",))
OTHER = replace(ONE, counters_pages={"free": 91})
BARE = replace(ONE, counters_pages={})


@pytest.mark.parametrize(
    ("logs", "kept"),
    [
        pytest.param([], [], id="none"),
        pytest.param([[], [ONE], []], [0, 1, 0], id="empty ones"),
        pytest.param([[ONE], [SAME]], [1, 0], id="the same with another stamp"),
        pytest.param([[ONE], [OTHER]], [1, 1], id="other counters"),
        pytest.param([[ONE], [replace(ONE, pid=4)]], [1, 1], id="another task"),
        pytest.param([[ONE, SAME], []], [2, 0], id="twice in one log"),
        pytest.param([[ONE, SAME], [ONE, SAME]], [2, 0], id="twice in both"),
        pytest.param([[ONE], [ONE, SAME, OTHER]], [1, 2], id="more in the second"),
        pytest.param([[ONE, OTHER], [SAME], [OTHER]], [2, 0, 0], id="three logs"),
        pytest.param([[BARE], [BARE]], [1, 0], id="without counters, one stamp"),
        pytest.param([[BARE], [replace(BARE, timestamp="Nov 22 01:30:07")]], [1, 1], id="without counters, two stamps"),
    ],
)
def test_a_report_in_several_logs_counts_once(logs: list[list[Report]], kept: list[int]) -> None:
    doubles = Doubles()
    assert [len(list(doubles.left_out(log))) for log in logs] == kept
