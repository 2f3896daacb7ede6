"""Lines that speak of memory trouble, where no report does."""

import gzip
from pathlib import Path

import pytest
from tests.conftest import DATA

from pagewarden.klog import scan, trouble
from pagewarden.klog.sources import read_reports
from pagewarden.klog.trouble import TroubleLines

FAILURE = (DATA / "klog" / "failure-6.1.log").read_bytes()
REAPED = b"Nov 21 01:30:07 box kernel: oom_reaper: reaped process 99 (java)\n"
QUIET = b"Nov 21 01:30:07 box kernel: usb 1-1: new high-speed USB device number 4 using xhci_hcd\n"


@pytest.fixture(params=["fastest", "memmem", "plain"])
def search(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    made = {"fastest": scan.fastest(), "memmem": scan._memmem() or scan.PLAIN, "plain": scan.PLAIN}[request.param]
    monkeypatch.setattr(trouble, "fastest", lambda: made)


@pytest.mark.usefixtures("search")
@pytest.mark.parametrize(
    ("log", "count", "first"),
    [
        pytest.param(b"", 0, None, id="empty"),
        pytest.param(QUIET * 9, 0, None, id="quiet"),
        pytest.param(b"warn_alloc: 305 callbacks suppressed\n", 1, 1, id="held back"),
        pytest.param(b"\nSLUB: Unable to allocate memory on node -1, gfp=0x20(GFP_ATOMIC)\n", 1, 2, id="slab"),
        pytest.param(b"SLAB: Unable to allocate memory on node 0 (gfp=0x20)\r\n", 1, 1, id="old slab, CRLF"),
        pytest.param(b"x invoked oom-killer", 1, 1, id="no newline at the end"),
        pytest.param(QUIET * 2 + b"page allocation failure: order:0, mode:0x20\n" + REAPED, 2, 3, id="two"),
        pytest.param(b"invoked oom-killer page allocation failure invoked oom-killer\n", 1, 1, id="thrice in one line"),
        pytest.param(gzip.compress(QUIET + REAPED), 1, 2, id="compressed"),
        pytest.param(QUIET * 40_000 + REAPED + QUIET + REAPED, 2, 40_001, id="far down in a large log"),
        pytest.param(b"x" * 3_000_000 + b"\n" + REAPED, 1, 2, id="after a line without end"),
        pytest.param((QUIET * 9 + REAPED) * 6000, 6000, 10, id="across the blocks"),
        pytest.param(QUIET + REAPED + FAILURE, 0, None, id="with a report behind them"),
        pytest.param(FAILURE + REAPED * 9, 0, None, id="with a report before them"),
    ],
)
def test_lines_without_a_report(tmp_path: Path, log: bytes, count: int, first: int | None) -> None:
    (tmp_path / "log").write_bytes(log)
    seen = TroubleLines()
    reports = list(seen.until_a_report(read_reports(str(tmp_path / "log"), trouble=seen)))
    assert bool(reports) is (b"lowmem_reserve" in log)
    assert (seen.count, seen.first) == (count, first)


def test_a_large_log_is_looked_through_at_its_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "log"
    log.write_bytes(REAPED + QUIET * 40_000 + REAPED)
    monkeypatch.setattr(trouble, "LOOKED_BYTES", 1 << 20)
    seen = TroubleLines()
    assert not list(read_reports(str(log), trouble=seen))
    assert (seen.count, seen.first, seen.whole) == (1, 1, False)
    whole = TroubleLines()
    monkeypatch.setattr(trouble, "LOOKED_BYTES", 64 << 20)
    assert not list(read_reports(str(log), trouble=whole))
    assert (whole.count, whole.first, whole.whole) == (2, 1, True)
