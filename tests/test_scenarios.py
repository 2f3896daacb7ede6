"""Every file of tests/scenarios: a machine, what is known of it, and what the advice must and must not say."""

from pathlib import Path

import pytest
from tests.scenario import SCENARIOS, advice_of, complaints, load, shown

FILES = sorted(SCENARIOS.glob("*.toml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_scenario(path: Path) -> None:
    scenario = load(path)
    advice = advice_of(scenario)
    found = complaints(scenario, advice)
    listed = "\n".join(f"  - {line}" for line in found)
    about = scenario.table["about"].strip()
    assert not found, f"\n\n{path.name}: {about}\n\n{listed}\n\nWhat came:\n\n{shown(advice, 120)}"


def test_there_are_enough_of_them() -> None:
    quiet = [path for path in FILES if load(path).expect.get("quiet")]
    assert len(FILES) >= 40
    assert len(quiet) >= 10
