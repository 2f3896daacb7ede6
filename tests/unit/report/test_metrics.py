"""Metrics: numbers equal to the kernel's, names by convention, documented, and a file that is replaced at once."""

import json
import math
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.conftest import DATA, PROJECT

from pagewarden.cli.main import main
from pagewarden.history.state import StateFile
from pagewarden.history.store import History, Limits
from pagewarden.history.types import Batch, Event, EventKind, OpenFinding, ServiceState
from pagewarden.procfs.snapshot import read_snapshot
from pagewarden.report.metrics import DECLARED, reference_table

MACHINES = DATA / "machines"
RULES = PROJECT / "packaging" / "prometheus"
NOW = 1_750_000_000.0

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def scrape(root: Path, capsys: pytest.CaptureFixture[str]) -> Samples:
    assert main(["metrics", "--root", str(root)]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    families = text_string_to_metric_families(out)
    return {(s.name, frozenset(s.labels.items())): s.value for family in families for s in family.samples}


def of(samples: Samples, name: str) -> dict[frozenset[tuple[str, str]], float]:
    return {labels: value for (found, labels), value in samples.items() if found == name}


@pytest.mark.parametrize("machine", sorted(path.name for path in MACHINES.iterdir()))
def test_numbers_are_those_of_the_kernel(machine: str, capsys: pytest.CaptureFixture[str]) -> None:
    samples = scrape(MACHINES / machine, capsys)
    snapshot = read_snapshot(str(MACHINES / machine))
    for zone in snapshot.zones:
        place = frozenset({("node", str(zone.node)), ("zone", zone.name)})
        free = of(samples, "pagewarden_zone_free_bytes").get(place)
        assert free == (zone.free_pages * snapshot.page_size if zone.populated else None)
        low = of(samples, "pagewarden_zone_watermark_bytes").get(place | {("mark", "low")})
        assert low == (zone.low_pages * snapshot.page_size if zone.populated else None)
    value = of(samples, "pagewarden_setting_value")[frozenset({("key", "vm.min_free_kbytes"), ("index", "0")})]
    assert value == int(snapshot.sysctls["vm.min_free_kbytes"])
    assert of(samples, "pagewarden_service_running") == {frozenset(): 0.0}
    assert not of(samples, "pagewarden_service_start_time_seconds"), "not known is not there"
    assert not of(samples, "pagewarden_reports_total")
    assert all(not math.isnan(value) for value in samples.values())


@pytest.fixture
def serviced(tmp_path: Path) -> Path:
    root = Path(shutil.copytree(MACHINES / "db1-16g", tmp_path / "root"))
    (root / "run/pagewarden").mkdir(parents=True)
    (root / "var/lib/pagewarden/history").mkdir(parents=True)
    finding = OpenFinding("x", 'odd "cause"\\\n', "warning", "text", NOW)
    state = ServiceState(
        "0.1.0", 1, NOW - 100, NOW - 5, NOW, 10, 2, (finding, finding), ("a", "b"), (), ("journal: x",)
    )
    StateFile(str(root / "run/pagewarden/state.json")).write(state)
    history = History(str(root / "var/lib/pagewarden/history/history.db"), Limits(), NOW)
    history.write(Batch(events=(Event(EventKind.REPORT, NOW, NOW, "t", "fragmented", count=7),)), NOW)
    history.write(Batch(), NOW + 1e9)  # removes the event, not what was counted
    history.close()
    return root


def test_the_service_and_its_history(serviced: Path, capsys: pytest.CaptureFixture[str]) -> None:
    samples = scrape(serviced, capsys)
    assert of(samples, "pagewarden_reports_total") == {frozenset({("cause", "fragmented")}): 7}
    labels = frozenset({("cause", 'odd "cause"\\\n'), ("severity", "warning")})
    assert of(samples, "pagewarden_open_findings") == {labels: 2}
    assert of(samples, "pagewarden_changes_planned") == {frozenset(): 2}
    assert of(samples, "pagewarden_service_degraded_functions") == {frozenset(): 1}
    assert of(samples, "pagewarden_service_last_reading_timestamp_seconds") == {frozenset(): NOW - 5}


def test_a_damaged_history_and_state_cost_only_their_own_numbers(
    serviced: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (serviced / "run/pagewarden/state.json").write_text("{")
    (serviced / "var/lib/pagewarden/history/history.db").write_bytes(b"x" * 5000)
    assert main(["metrics", "--root", str(serviced)]) == 0
    out, err = capsys.readouterr()
    assert "pagewarden_zone_free_bytes" in out
    assert [line.partition(": without ")[2].split(":")[0] for line in err.splitlines()] == [
        "the service's state",
        "the reports",
    ]


def test_a_file_is_replaced_at_once(serviced: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "out" / "pagewarden.prom"
    assert main(["metrics", "--root", str(serviced), "--output", str(target)]) == 1
    assert capsys.readouterr().err == f"pagewarden metrics: {target}: No such file or directory\n"
    target.parent.mkdir()
    target.write_text("old")
    previous = os.umask(0o077)
    try:
        assert main(["metrics", "--root", str(serviced), "--output", str(target)]) == 0
    finally:
        os.umask(previous)
    assert target.read_text().startswith("# HELP pagewarden_build_info")
    assert target.stat().st_mode & 0o777 == 0o644
    assert [entry.name for entry in target.parent.iterdir()] == ["pagewarden.prom"]
    target.unlink()
    target.mkdir()
    assert main(["metrics", "--root", str(serviced), "--output", str(target)]) == 2
    assert [entry.name for entry in target.parent.iterdir()] == ["pagewarden.prom"], "nothing half-written is left"


def test_names_follow_the_convention() -> None:
    names = [declared.full_name for declared in DECLARED]
    assert len(names) == len(set(names))
    for declared in DECLARED:
        assert re.fullmatch(r"pagewarden_[a-z_]+[a-z]", declared.name)
        assert not declared.name.endswith(("_total", "_count", "_kb", "_pages", "_ms"))
        assert declared.meaning.endswith(".")


def test_the_page_names_every_metric(request: pytest.FixtureRequest) -> None:
    page = PROJECT / "docs" / "metrics.md"
    table = f"<!-- table -->\n{reference_table()}<!-- end of table -->"
    text = re.sub(r"<!-- table -->.*<!-- end of table -->", lambda _: table, page.read_text(), flags=re.DOTALL)
    if request.config.getoption("--update-golden"):
        page.write_text(text)
    assert page.read_text() == text


def test_rules_and_dashboard_use_metrics_that_exist() -> None:
    known = {declared.full_name for declared in DECLARED}
    for path in sorted(RULES.iterdir()):
        used = set(re.findall(r"\bpagewarden_[a-z_]+\b", path.read_text()))
        assert used
        assert used <= known, path.name
    dashboard = json.loads((RULES / "pagewarden-dashboard.json").read_text())
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])


def test_promtool_accepts_rules_and_output(capsys: pytest.CaptureFixture[str]) -> None:
    if shutil.which("promtool") is None:
        pytest.skip("no promtool: Debian's package prometheus brings it")
    for arguments in (["check", "rules", "pagewarden.rules.yml"], ["test", "rules", "pagewarden.rules.test.yml"]):
        done = subprocess.run(["promtool", *arguments], cwd=RULES, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    assert main(["metrics", "--root", str(MACHINES / "numa-64g")]) == 0
    text = capsys.readouterr().out
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
