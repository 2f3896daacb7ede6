"""The page: nothing that others named becomes part of it, it needs nothing else, and it is written at once."""

import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.conftest import DATA

from pagewarden.cli.main import main
from pagewarden.history.store import History, Limits
from pagewarden.history.summary import overview
from pagewarden.history.types import Batch, Event, EventKind, OpenFinding, Sample, ZoneSample
from pagewarden.report.chart import BARS_HEIGHT, HEIGHT, WIDTH, bars, event_places, zone_chart

EVIL = "</title><script>alert(1)</script>\"'><img src=x onerror=y> {{ 7*7 }} \x1b[31m \u202e&amp;"
NOW = 1_750_000_000.0
MACHINE = DATA / "machines" / "db1-16g"


class Tags(HTMLParser):
    """Collects the tags, their attributes and the text; checks that what is opened is closed."""

    EMPTY = frozenset({"meta"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    root = Path(shutil.copytree(MACHINE, tmp_path / "root"))
    (root / "var/lib/pagewarden/history").mkdir(parents=True)
    history = History(str(root / "var/lib/pagewarden/history/history.db"), Limits(), NOW)
    event = Event(EventKind.REPORT, NOW, NOW + 60, EVIL, EVIL, EVIL, EVIL, 3, {EVIL: EVIL})
    zones = tuple(ZoneSample(0, name, 10, 10, 20, 30, 40) for name in (EVIL, "Normal"))
    samples = tuple(Sample(NOW + n, "b", 4096, zones, {"allocstall": n}, n, n) for n in range(5))
    history.write(Batch(samples, (event,), (OpenFinding(EVIL, EVIL, EVIL, EVIL, NOW),)), NOW)
    history.close()
    return root


def written(root: Path, target: Path, capsys: pytest.CaptureFixture[str], *more: str) -> str:
    assert main(["report", "--html", str(target), "--root", str(root), *more]) == 0
    assert capsys.readouterr() == ("", f"pagewarden report: wrote {target}\n")
    return target.read_text()


def test_names_of_others_stay_text(hostile: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = written(hostile, tmp_path / "r.html", capsys, "--since", f"@{NOW - 60:.0f}")
    parsed = Tags(page)
    assert parsed.open == []
    assert {"script", "img", "iframe", "link", "a", "object"}.isdisjoint(parsed.tags)
    assert [name for name, _ in parsed.attributes if name.startswith("on") or name in ("src", "href")] == []
    assert "</title><script>" in "".join(parsed.texts), "the text itself is there"
    assert "\x1b" not in page
    assert "\u202e" not in page
    assert "{{ 7*7 }}" in page
    assert page.count("<svg") == 4


def test_it_needs_nothing_else(hostile: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = written(hostile, tmp_path / "r.html", capsys)
    assert "default-src 'none'" in page
    assert not re.search(r"https?:|url\(|@import", page)


def test_without_a_history(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = written(MACHINE, tmp_path / "r.html", capsys)
    assert "There is no history" in page
    assert "vm.min_free_kbytes: 8192 &rarr; 16208" in page
    assert Tags(page).open == []


def test_a_stretch_without_readings(hostile: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "No reading between" in written(hostile, tmp_path / "r.html", capsys, "--since", "-1min")


def test_to_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "--html", "-", "--root", str(MACHINE)]) == 0
    assert capsys.readouterr().out.startswith("<!doctype html>")


@pytest.mark.parametrize(("target", "status"), [("none/r.html", 1), ("folder", 2)])
def test_a_page_that_cannot_be_written(
    target: str, status: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "folder").mkdir()
    before = sorted(tmp_path.iterdir())
    assert main(["report", "--html", str(tmp_path / target), "--root", str(MACHINE)]) == status
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"pagewarden report: {tmp_path / target}: ")
    assert err.count("\n") == 1
    assert sorted(tmp_path.iterdir()) == before


PAGES = st.integers(0, 2**40)
ZONES = st.lists(
    st.none() | st.builds(ZoneSample, st.just(0), st.just("Normal"), PAGES, PAGES, PAGES, PAGES, PAGES, st.none()),
    min_size=1,
    max_size=20,
)


@given(ZONES)
def test_pictures_stay_on_their_canvas(slices: list[ZoneSample | None]) -> None:
    samples = [Sample(NOW + index, "b", 4096, (part,)) for index, part in enumerate(slices) if part is not None] or [
        Sample(NOW, "b", 4096, (ZoneSample(0, "Normal", 1, 1, 1, 1, 1),))
    ]
    summed = overview(samples, NOW, NOW + len(slices), len(slices))
    chart = zone_chart(replace(summed.zones[0]), [str(n) for n in range(len(slices))])
    for points in (*chart.lines, *(stretch for _, stretches in chart.marks for stretch in stretches)):
        for point in points.split():
            x, y = map(float, point.split(","))
            assert 0 <= x <= WIDTH
            assert 0 <= y <= HEIGHT
    assert all(0 <= tick.at <= HEIGHT for tick in chart.ticks)
    assert len(chart.cells) == len(slices)


@given(st.lists(st.none() | st.floats(0, 1e18), min_size=1, max_size=50))
def test_bars_stay_on_their_canvas(values: list[float | None]) -> None:
    for bar in bars(values, [""] * len(values), "x"):
        assert 0 <= bar.y <= BARS_HEIGHT
        assert bar.y + bar.height == pytest.approx(BARS_HEIGHT)
        assert 0 <= bar.x <= WIDTH


def test_events_outside_of_the_time_have_no_place() -> None:
    summed = overview([], NOW, NOW + 100, 10)
    assert event_places([NOW - 1, NOW, NOW + 50, NOW + 50.001, NOW + 101], summed) == (0.0, WIDTH / 2)
