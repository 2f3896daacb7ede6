"""The whole text of `explain` for a few reports; refreshed as the other golden files are."""

from pathlib import Path

import pytest
from tests.conftest import DATA

from pagewarden.cli.main import main

GOLDEN = Path(__file__).parent / "explain"
LOGS = DATA / "explain"
NAMES = sorted(path.stem for path in LOGS.glob("*.log"))


@pytest.mark.parametrize("name", NAMES)
def test_report(
    name: str, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.chdir(LOGS)
    assert main(["explain", f"{name}.log"]) == 0
    text = capsys.readouterr().out
    golden = GOLDEN / f"{name}.txt"
    if request.config.getoption("--update-golden"):
        golden.write_text(text)
    assert text == golden.read_text()
    assert max(map(len, text.splitlines())) <= 80


def test_no_golden_file_is_left_over() -> None:
    assert sorted(path.stem for path in GOLDEN.glob("*.txt")) == NAMES
