"""`pagewarden simulate`: the contract of its JSON, refusals, exit statuses."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import DATA
from tests.documents import validated

from pagewarden.cli.main import main
from pagewarden.cli.simulate import parse_writes
from pagewarden.kernel.simulate import Write
from pagewarden.report.wire import SimulationDocument

MACHINES = DATA / "machines"


def answer(capsys: pytest.CaptureFixture[str], machine: str, *words: str) -> dict[str, Any]:
    assert main(["simulate", "--root", str(MACHINES / machine), "--format", "json", "--", *words]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    assert captured.out.count("\n") == 1
    return validated(SimulationDocument, captured.out)


def test_document(capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(capsys, "guest-4g", "vm.min_free_kbytes=67584")
    assert found["schema"] == "pagewarden.simulation/1"
    assert found["kernel"] == "6.12.9-200.fc41.x86_64"
    assert found["sysctls"]["vm.min_free_kbytes"] == "67584"
    assert (found["errors"], found["warnings"]) == ([], [])
    dma32 = found["zones"][1]
    assert (dma32["node"], dma32["zone"], dma32["managed_pages"]) == (0, "DMA32", 743110)
    assert dma32["min_pages"] == 16896 * 743110 // (3840 + 743110 + 251904)
    assert dma32["before"]["min_pages"] == 8552
    assert dma32["promo_pages"] - dma32["high_pages"] == dma32["low_pages"] - dma32["min_pages"]
    assert dma32["protection_pages"] == dma32["before"]["protection_pages"] == [0, 0, 984, 984, 984]
    assert found["cost_bytes"] == -4096
    before, after = found["mem_available_bytes"]["before"], found["mem_available_bytes"]["after"]
    assert before == 2635244 * 1024 or before > 0
    assert after - before == 8192


def test_what_is_not_known_is_null(capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(capsys, "router-64m", "vm.min_free_kbytes=1200")
    assert found["zones"][0]["promo_pages"] is None
    assert found["zones"][0]["before"]["promo_pages"] is None


ANY_FROM_0 = "a whole number from 0 to 2147483647"


@pytest.mark.parametrize(
    ("word", "error", "accepted"),
    [
        ("vm.min_free_kbytes=", "EINVAL", ANY_FROM_0),
        ("vm.min_free_kbytes=-1", "EINVAL", ANY_FROM_0),
        ("vm.min_free_kbytes=18446744073709551616", "EINVAL", ANY_FROM_0),
        ("vm.min_free_kbytes=5000abc", "EINVAL", ANY_FROM_0),
        ("vm.watermark_scale_factor=3001", "EINVAL", "a whole number from 1 to 3000"),
        ("vm.swappiness=201", "EINVAL", "a whole number from 0 to 200"),
        ("vm.defrag_mode=1", "ENOENT", None),
        ("transparent_hugepage=sometimes", "EINVAL", "always, madvise or never"),
    ],
)
def test_a_refusal_is_an_answer_in_json_and_a_failure_in_text(
    capsys: pytest.CaptureFixture[str], word: str, error: str, accepted: str | None
) -> None:
    key, _, value = word.partition("=")
    found = answer(capsys, "db1-16g", word)
    assert found["errors"] == [{"key": key, "error": error, "value": value, "accepted": accepted}]
    assert all(zone[name] == zone["before"][name] for zone in found["zones"] for name in zone["before"])
    assert main(["simulate", "--root", str(MACHINES / "db1-16g"), "--", word]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"pagewarden simulate: {word}: ")
    assert f"({error})" in captured.err
    assert (accepted or "no such setting") in captured.err
    assert len(captured.err.splitlines()) == 1


def test_no_huge_pages_no_switch(capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(capsys, "router-64m", "transparent_hugepage=never")
    assert [entry["error"] for entry in found["errors"]] == ["ENOENT"]


def test_writes_as_sysctl_takes_them() -> None:
    assert parse_writes(["vm/min_free_kbytes=5", " vm.swappiness = 6"]) == [
        Write("vm.min_free_kbytes", "5"),
        Write("vm.swappiness", " 6"),
    ]
    assert parse_writes(["vm.lowmem_reserve_ratio=1=2"]) == [Write("vm.lowmem_reserve_ratio", "1=2")]


def test_bytes_that_are_no_text_are_refused_not_printed_raw(capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(capsys, "db1-16g", "vm.min_free_kbytes=\udcff5")
    assert [error["value"] for error in found["errors"]] == ["\\xff5"]


def test_a_capture_without_settings(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/zoneinfo").write_text((MACHINES / "guest-4g/proc/zoneinfo").read_text())
    assert main(["simulate", "--root", str(tmp_path), "--format", "json", "vm.min_free_kbytes=131072"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert any("inferred" in text for text in found["assumptions"])
    assert found["kernel"] is None
    assert found["mem_available_bytes"] is None


@pytest.mark.parametrize(
    ("machine", "words"), [("numa-64g", "is off: a full node's"), ("guest-4g", "does nothing here")]
)
def test_a_reclaim_mode_is_put_into_words(capsys: pytest.CaptureFixture[str], machine: str, words: str) -> None:
    value = "0" if machine == "numa-64g" else "1"
    (note,) = answer(capsys, machine, f"vm.zone_reclaim_mode={value}")["notes"]
    assert note.startswith(f"vm.zone_reclaim_mode {value} is ")
    assert words in note
    assert main(["simulate", "--root", str(MACHINES / machine), f"vm.zone_reclaim_mode={value}"]) == 0
    assert words in " ".join(capsys.readouterr().out.split())
    assert answer(capsys, machine, "vm.swappiness=10")["notes"] == []
