"""`status`, `advise`, `schema`, `capture`: JSON by contract, exit statuses, text and JSON of one mind."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import DATA
from tests.documents import validated

from pagewarden.advise.advice import advise
from pagewarden.apply.policy import Verdict
from pagewarden.cli.advise import with_verdicts
from pagewarden.cli.main import main
from pagewarden.cli.schema import DOCUMENTS
from pagewarden.kernel.machine import machine_of
from pagewarden.procfs.snapshot import read_snapshot
from pagewarden.report.wire import AdviceDocument
from pagewarden.report.wire_status import Status

PROJECT = Path(__file__).parents[3]
MACHINES = DATA / "machines"
NAMES = sorted(path.name for path in MACHINES.iterdir())
LOUD = {"db1-16g", "guest-4g", "pae-8g"}


def test_another_machine_has_no_service_to_start(capsys: pytest.CaptureFixture[str]) -> None:
    root = str(DATA / "machines" / "db1-16g")
    for command in ("status", "history"):
        assert main([command, "--root", root]) == 0
        assert not re.search("systemctl|install-service", capsys.readouterr().out)
    assert main(["report", "--root", root, "--html", "-"]) == 0
    assert "<p>There is no history.</p>" in capsys.readouterr().out


def answer(capsys: pytest.CaptureFixture[str], command: str, name: str, *more: str) -> dict[str, Any]:
    assert main([command, "--root", str(MACHINES / name), "--format", "json", *more]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    assert captured.out.count("\n") == 1
    return validated({"status": Status, "advise": AdviceDocument}[command], captured.out)


@pytest.mark.parametrize("name", NAMES)
def test_status(capsys: pytest.CaptureFixture[str], name: str) -> None:
    found = answer(capsys, "status", name)
    assert found["schema"] == "pagewarden.status/1"
    assert found["host"] == name.split("-")[0]
    assert found["page_size"] == 4096
    assert found["fit"]["exact"] is (name != "guest-4g")
    assert found["fit"]["stale"] is (name == "guest-4g")
    assert bool(found["fit"]["differences"]) is (name == "guest-4g")
    assert found["torn"] == []
    for zone in found["zones"]:
        blocks, indexes = zone["free_blocks"], zone["fragmentation_index"]
        assert (blocks is None) == (indexes is None)
        for order, index in enumerate(indexes or ()):
            assert (index == -1000) == any(blocks[order:])
        assert zone["min_pages"] <= zone["low_pages"] <= zone["high_pages"]
        assert (
            zone["free_blocks"] is None or sum(n << o for o, n in enumerate(zone["free_blocks"])) == zone["free_pages"]
        )
    assert {setting["key"] for setting in found["settings"]} >= {"vm.min_free_kbytes", "vm.lowmem_reserve_ratio"}


def test_status_says_who_set_what(capsys: pytest.CaptureFixture[str]) -> None:
    settings = {entry["key"]: entry for entry in answer(capsys, "status", "db1-16g")["settings"]}
    assert settings["vm.min_free_kbytes"]["set_by"] == "/etc/sysctl.d/90-db.conf:3"
    assert settings["vm.min_free_kbytes"]["kernel_default"] == "67584"
    settings = {entry["key"]: entry for entry in answer(capsys, "status", "numa-64g")["settings"]}
    assert settings["vm.min_free_kbytes"]["set_by"] == "kernel: khugepaged, for transparent huge pages"
    assert "90112 = 4 zones" in settings["vm.min_free_kbytes"]["note"]
    assert settings["transparent_hugepage"]["set_by"] == "kernel command line"


def test_what_old_kernels_do_not_print_is_null(capsys: pytest.CaptureFixture[str]) -> None:
    zone = answer(capsys, "status", "numa-64g")["zones"][0]
    assert (zone["boost_pages"], zone["promo_pages"]) == (None, None)
    assert zone["managed_pages"] == 3977


@pytest.mark.parametrize("name", NAMES)
def test_check(capsys: pytest.CaptureFixture[str], name: str) -> None:
    for form in ("text", "json"):
        assert main(["advise", "--root", str(MACHINES / name), "--format", form, "--check"]) == (
            3 if name in LOUD else 0
        )
        assert main(["advise", "--root", str(MACHINES / name), "--format", form]) == 0
    capsys.readouterr()


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("db1-16g", [("vm.min_free_kbytes", "8192", "16208", "below-kernel-default")]),
        (
            "guest-4g",
            [
                (
                    "action:rewrite",
                    "marks of an earlier memory size",
                    "write 10 to vm.watermark_scale_factor again",
                    "stale-watermarks",
                )
            ],
        ),
        ("pae-8g", [("vm.min_free_kbytes", "262144", "37884", "too-high")]),
        ("numa-64g", []),
        ("router-64m", []),
    ],
)
def test_advice(capsys: pytest.CaptureFixture[str], name: str, changes: list[tuple[str, ...]]) -> None:
    found = answer(capsys, "advise", name)
    assert found["schema"] == "pagewarden.advice/1"
    assert [(r["key"], r["current"], r["recommended"], r["cause"]) for r in found["recommendations"]] == changes
    for recommendation in found["recommendations"]:
        assert recommendation["effect"]["schema"] == "pagewarden.simulation/1"
        assert recommendation["effect"]["cost_bytes"] == recommendation["cost_bytes"]
        assert recommendation["auto"] is False
        assert recommendation["risk"] == "low"
    assert found["withheld"] == []


def test_defaults(capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(capsys, "advise", "numa-64g")["defaults"]["vm.min_free_kbytes"]
    assert found == {"lowmem_formula": 32476, "hugepage_formula": 90112, "effective": 90112}
    found = answer(capsys, "advise", "router-64m")["defaults"]["vm.min_free_kbytes"]
    assert found == {"lowmem_formula": 966, "hugepage_formula": None, "effective": 966}


def test_workload_decides_about_zone_reclaim(capsys: pytest.CaptureFixture[str]) -> None:
    general = answer(capsys, "advise", "numa-64g")
    partitioned = answer(capsys, "advise", "numa-64g", "--workload", "numa-partitioned")
    assert {f["cause"] for f in general["findings"]} == {"zone-reclaim-harm", "foreign-setting"}
    assert all(f["severity"] == "info" for f in general["findings"] + partitioned["findings"])
    assert "partitioned by node" in partitioned["findings"][0]["text"]


CONTRACT = {
    "status": {"schema", "kernel", "page_size", "zones", "settings", "fit"},
    "advice": {"schema", "host", "kernel", "defaults", "recommendations", "findings"},
    "simulation": {"schema", "kernel", "sysctls", "zones", "cost_bytes", "errors", "warnings"},
    "report": {
        "schema", "source", "kind", "timestamp", "kernel", "arch", "comm", "pid", "count", "order", "gfp_mask",
        "gfp_flags", "gfp_name", "context", "complete", "caller", "zones", "cause", "inferred", "explanation",
        "harm", "remedies",
    },
}  # fmt: skip
"""The fields of design.md 6."""

PARTS = {
    "StatusZone": {
        "node", "zone", "free_pages", "min_pages", "low_pages", "high_pages", "promo_pages", "boost_pages",
        "present_pages", "managed_pages", "spanned_pages", "protection_pages", "free_blocks",
    },
    "StatusSetting": {"key", "value", "kernel_default", "set_by"},
    "StatusFit": {"exact", "stale", "variant", "differences"},
    "StatusDifference": {"node", "zone", "what", "predicted", "printed"},
    "SimulatedZone": {
        "node", "zone", "managed_pages", "min_pages", "low_pages", "high_pages", "promo_pages",
        "protection_pages", "before",
    },
    "SimulationError": {"key", "error"},
    "AdviceDefaults": {"lowmem_formula", "hugepage_formula", "effective"},
    "AdviceRecommendation": {
        "key", "current", "recommended", "reason", "cause", "evidence", "effect", "cost_bytes", "risk", "confidence",
        "auto", "reference",
    },
    "AdviceFinding": {"cause", "severity", "text", "evidence"},
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(CONTRACT))
def test_schema_requires_what_the_contract_lists(capsys: pytest.CaptureFixture[str], name: str) -> None:
    assert main(["schema", name]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert set(schema["required"]) | {"schema"} >= CONTRACT[name]
    number = {"advice": "advice", "report": "report"}.get(name, name)
    assert schema["properties"]["schema"]["const"] == f"pagewarden.{number}/1"
    for part, fields in PARTS.items():
        if part in schema["$defs"]:
            assert set(schema["$defs"][part]["required"]) >= fields, part


def test_every_document_has_a_contract() -> None:
    assert set(CONTRACT) <= set(DOCUMENTS)


@pytest.mark.parametrize("name", ["db1-16g", "numa-64g"])
def test_a_capture_says_the_same_as_its_machine(capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str) -> None:
    path = tmp_path / "machine.tar.gz"
    assert main(["capture", "--root", str(MACHINES / name), str(path)]) == 0
    captured = capsys.readouterr()
    assert str(path) in captured.out
    for command in ("status", "advise"):
        of_machine = answer(capsys, command, name)
        assert main([command, "--root", str(path), "--format", "json"]) == 0
        of_capture = json.loads(capsys.readouterr().out)
        assert of_capture == of_machine


def test_a_capture_does_not_overwrite(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "machine.tar.gz"
    path.write_text("mine")
    argv = ["capture", "--root", str(MACHINES / "db1-16g"), str(path)]
    assert main(argv) == 2
    assert path.read_text() == "mine"
    assert str(path) in capsys.readouterr().err
    assert main([*argv[:1], "--force", *argv[1:]]) == 0
    assert main(["capture", "--root", str(MACHINES / "db1-16g"), str(tmp_path / "no/such/folder.tar.gz")]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_an_installed_command_says_where_its_pages_lie(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "share/doc/pagewarden/docs").mkdir(parents=True)
    monkeypatch.setattr("sys.prefix", str(tmp_path))
    monkeypatch.setattr("pagewarden.cli.common.__file__", str(tmp_path / "lib/python3/pagewarden/cli/common.py"))
    monkeypatch.setenv("COLUMNS", "300")
    assert main(["advise", "--root", str(MACHINES / "db1-16g")]) == 0
    (shown,) = (line for line in capsys.readouterr().out.splitlines() if "More:" in line)
    assert shown.split() == ["More:", f"{tmp_path}/share/doc/pagewarden/docs/settings/min_free_kbytes.md"]


def test_every_page_that_is_referred_to_is_installed() -> None:
    declared = tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]["setuptools"]["data-files"]
    patterns = [pattern for group in declared.values() for pattern in group]
    installed = {str(path.relative_to(PROJECT)) for pattern in patterns for path in PROJECT.glob(pattern)}
    sources = "".join(path.read_text() for path in (PROJECT / "src").rglob("*.py"))
    named = set(re.findall(r'"(docs/[\w/]+\.md)"', sources))
    assert named
    assert named <= installed


def test_advise_tells_an_empty_log_from_one_without_a_report(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    empty, quiet, report = tmp_path / "empty", tmp_path / "quiet", DATA / "klog" / "failure-6.1.log"
    empty.write_bytes(b"")
    quiet.write_bytes(b"one\ntwo\n")

    def said(*logs: Path) -> str:
        arguments = ["advise", "--root", str(MACHINES / "router-64m"), "--logs", *map(str, logs)]
        assert main(arguments) == 0
        return capsys.readouterr().out

    assert f"No line was read in {empty}: empty." in said(empty)
    assert "Read " not in said(empty)
    assert f"Read 2 lines of {quiet}: no report of memory in them." in said(quiet)
    assert f"Read 2 lines of {quiet}: no report of memory in them." in said(quiet, empty, quiet)
    both = said(report, empty, quiet)
    assert f"No line was read in {empty}: empty." in both
    assert "Read " not in both


def test_auto_says_what_the_policy_would() -> None:
    machine = read_snapshot(str(MACHINES / "db1-16g"))
    advice = advise(machine, machine_of(machine))
    assert [entry.auto for entry in advice.recommendations] == [False]
    for verdict in (Verdict(()), Verdict(("too soon",))):
        (entry,) = with_verdicts(advice, {"vm.min_free_kbytes": verdict}).recommendations
        assert entry.auto is verdict.allowed
