"""One poll: what is missing or damaged is said, and the rest is read."""

from pathlib import Path

import pytest
from tests.conftest import DATA, MakeRoot

from pagewarden.daemon.observe import Observer

MACHINE = DATA / "machines" / "db1-16g" / "proc"
VMSTAT = "allocstall_normal 5\noom_kill 2\n"
PRESSURE = "some avg10=0.00 avg60=0.00 avg300=0.00 total=17\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=7\n"


def files(**changes: str | None) -> dict[str, str | bytes]:
    whole: dict[str, str | bytes] = {
        "proc/zoneinfo": (MACHINE / "zoneinfo").read_bytes(),
        "proc/vmstat": VMSTAT,
        "proc/pressure/memory": PRESSURE,
    }
    for name, content in changes.items():
        path = f"proc/{name.replace('__', '/')}"
        whole.pop(path)
        if content is not None:
            whole[path] = content
    return whole


def test_all_is_there(make_root: MakeRoot) -> None:
    reading = Observer(str(make_root(files()))).read()
    assert reading.failures == {}
    assert {zone.name for zone in reading.zones} >= {"DMA32", "Normal"}
    assert reading.counters == {"allocstall": 5, "oom_kill": 2}
    assert (reading.pressure_some_us, reading.pressure_full_us) == (17, 7)


@pytest.mark.parametrize(
    ("changes", "path", "words"),
    [
        pytest.param({"zoneinfo": None}, "proc/zoneinfo", "no such file", id="no zoneinfo"),
        pytest.param({"zoneinfo": ""}, "proc/zoneinfo", "expected zones", id="empty"),
        pytest.param({"zoneinfo": "Node 0, zone Normal\n  pages"}, "proc/zoneinfo", "expected", id="cut"),
        pytest.param({"vmstat": "x\0y"}, "proc/vmstat", "expected", id="binary"),
        pytest.param({"pressure__memory": "some"}, "proc/pressure/memory", "expected", id="another pressure"),
    ],
)
def test_what_cannot_be_read_is_said(
    make_root: MakeRoot, changes: dict[str, str | None], path: str, words: str
) -> None:
    reading = Observer(str(make_root(files(**changes)))).read()
    assert list(reading.failures) == [path]
    assert words in reading.failures[path]
    assert (reading.zones == ()) == (path == "proc/zoneinfo")
    assert (reading.counters is None) == (path == "proc/vmstat")


def test_the_fingerprint_sees_settings_and_no_pages(tmp_path: Path, make_root: MakeRoot) -> None:
    root = make_root(files())
    observer = Observer(str(root))
    first = observer.read().settings
    text = (root / "proc" / "zoneinfo").read_text()
    free = text[text.index("pages free") :].split("\n")[0]
    (root / "proc" / "zoneinfo").write_text(text.replace(free, "pages free     777"))
    assert observer.read().settings == first
    minimum = next(line for line in text.splitlines() if line.split()[:1] == ["min"] and line.split()[1] != "0")
    (root / "proc" / "zoneinfo").write_text(text.replace(minimum, "        min      778"))
    assert observer.read().settings != first
