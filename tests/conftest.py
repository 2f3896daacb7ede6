"""Fixtures for all tests."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from hypothesis import settings

# A busy machine is no fault of the code; how many examples is a matter of the suite's length.
settings.register_profile("pagewarden", deadline=None, max_examples=60)
settings.load_profile("pagewarden")

PROJECT = Path(__file__).parents[1]
DATA = PROJECT / "tests" / "data"
CORPUS = PROJECT.parent / "shared" / "corpus"

MakeRoot = Callable[[Mapping[str, str | bytes]], Path]


@pytest.fixture
def make_root(tmp_path: Path) -> MakeRoot:
    """Give a function that writes files (path below the root -> content) and returns the root's folder."""

    def make(files: Mapping[str, str | bytes]) -> Path:
        root = tmp_path / "root"
        root.mkdir(exist_ok=True)
        for name, content in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        return root

    return make


@pytest.fixture
def corpus() -> Path:
    """Give the folder of real captures, or skip."""
    if not CORPUS.is_dir():
        pytest.skip("no reference corpus: ../shared/corpus is not here")
    return CORPUS


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the only ways to refresh tests/golden and docs/support.md, and to boot more machines than every day."""
    parser.addoption("--update-golden", action="store_true", help="write the reports as they are now to tests/golden")
    parser.addoption("--vm-all", action="store_true", help="with -m vm: boot every machine of the matrix")
    parser.addoption(
        "--update-support", action="store_true", help="with -m vm: write what was compared to docs/support.md"
    )
