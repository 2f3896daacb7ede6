"""`pagewarden history` as an administrator reads it, from a history that is written here."""

from datetime import UTC
from pathlib import Path

import pytest

from pagewarden.cli.common import print_text
from pagewarden.history.summary import overview
from pagewarden.history.types import Event, EventKind, OpenFinding, Sample, ZoneSample
from pagewarden.report.history import EVENTS_SHOWN, render_history, strip_slices

GOLDEN = Path(__file__).parent / "history"
NOW = 1_795_650_000.0
DAY = 86_400.0


def samples() -> list[Sample]:
    made = []
    for minute in range(0, 2880, 10):
        at = NOW - 2 * DAY + minute * 60
        if 1000 < minute < 1200:
            continue  # switched off
        free = 4000 - abs(1440 - minute) if 1200 <= minute < 1700 else 90_000
        zones = (
            ZoneSample(0, "DMA", 3840, 3840, 43, 53, 63, 3840),
            ZoneSample(0, "Normal", free, free - 1500, 8320, 10_400, 12_480, 753_664),
            ZoneSample(1, "Normal", 700_000, 600_000, 8320, 10_400, 12_480, 753_664),
        )
        made.append(Sample(at, f"b{minute >= 1200}", 4096, zones, {"allocstall": minute, "oom_kill": minute // 1400}))
    return made


def events() -> list[Event]:
    text = "ksoftirqd/0 (\x1b[31mevil) asked for 4 pages (order 2, GFP_ATOMIC); Normal refused"
    return [
        Event(EventKind.SERVICE_STARTED, NOW - 2 * DAY, NOW - 2 * DAY, "pagewarden 0.1.0"),
        Event(EventKind.REPORT, NOW - DAY, NOW - DAY + 900, text, "fragmented", "alloc_skb", "warning", 1234),
        Event(EventKind.CHANGE_APPLIED, NOW - 7000, NOW - 7000, "67584 -> 131072", severity="notice"),
        Event(EventKind.DEGRADED, NOW + 1e15, NOW + 1e15, "the journal cannot be read", subject="journal"),
    ]


FINDING = OpenFinding("i", "below-kernel-default", "notice", "vm.min_free_kbytes is 4096; the kernel: 67584", NOW - DAY)
CASES: dict[str, tuple[list[Sample], list[Event], list[OpenFinding]]] = {
    "two-days": (samples(), events(), [FINDING]),
    "no-reading": ([], [], []),
    "flood": (samples()[-3:], [Event(EventKind.STALLS, NOW, NOW, str(n)) for n in range(EVENTS_SHOWN + 5)], []),
}


@pytest.mark.parametrize("name", sorted(CASES))
def test_history(
    name: str, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    kept, happened, findings = CASES[name]
    print_text(render_history(overview(kept, NOW - 2 * DAY, NOW, strip_slices(80)), happened, findings, UTC))
    text = capsys.readouterr().out
    golden = GOLDEN / f"{name}.txt"
    if request.config.getoption("--update-golden"):
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(text)
    assert text == golden.read_text()
    assert max(map(len, text.splitlines())) <= 80
    assert text.isascii()
    assert text.replace("\n", "").isprintable()
