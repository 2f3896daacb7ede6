"""Whole reports, as an administrator reads them: the diff of a golden file is what changes for the user.

Refreshed by `bin/test tests/golden --update-golden` alone; read the diff before committing it.
"""

from pathlib import Path

import pytest
from tests.conftest import DATA

from pagewarden.cli.main import main

GOLDEN = Path(__file__).parent
MACHINES = DATA / "machines"

REPORTS = {
    **{f"status-{path.name}": (path.name, "status") for path in MACHINES.iterdir()},
    **{f"advise-{path.name}": (path.name, "advise") for path in MACHINES.iterdir()},
    "simulate-both-knobs": ("db1-16g", "simulate", "vm.min_free_kbytes=131072", "vm.lowmem_reserve_ratio=256 128 32"),
    "simulate-far-too-much": ("router-64m", "simulate", "vm.min_free_kbytes=32768"),
    "simulate-the-whole-zone": ("pae-8g", "simulate", "vm.min_free_kbytes=900000"),
    "simulate-scale-factor": ("numa-64g", "simulate", "vm.min_free_kbytes=180224"),
    "simulate-no-zone-changes": ("numa-64g", "simulate", "vm.zone_reclaim_mode=0"),
    "simulate-refused": ("db1-16g", "simulate", "vm.min_free_kbytes=1e4", "vm.swappiness=10", "vm.defrag_mode=1"),
    "simulate-huge-pages-off": ("guest-4g", "simulate", "transparent_hugepage=never"),
    "simulate-stronger-protection": ("pae-8g", "simulate", "vm.lowmem_reserve_ratio=256 1"),
}


@pytest.mark.parametrize("name", sorted(REPORTS))
def test_report(
    name: str, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    machine, command, *arguments = REPORTS[name]
    main([command, "--root", str(MACHINES / machine), *arguments])
    text = capsys.readouterr().out
    golden = GOLDEN / f"{name}.txt"
    if request.config.getoption("--update-golden"):
        golden.write_text(text)
    assert text == golden.read_text()
    assert max(map(len, text.splitlines())) <= 80
    assert text.isascii()


def test_no_golden_file_is_left_over() -> None:
    assert {path.stem for path in GOLDEN.glob("*.txt")} == REPORTS.keys()
