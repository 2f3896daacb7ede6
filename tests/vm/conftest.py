"""Options and fixtures of the tests that boot."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.vm.cache import cache_folder
from tests.vm.support import SUPPORT, Row, merged


@pytest.fixture(scope="session")
def vm_cache() -> Path:
    """Give the folder of downloads and images."""
    return cache_folder()


@pytest.fixture
def note_row(request: pytest.FixtureRequest) -> Callable[[Row], None]:
    """Give a function that puts a boot's row into docs/support.md, where that was asked for."""

    def note(row: Row) -> None:
        if request.config.getoption("--update-support"):
            SUPPORT.write_text(merged(SUPPORT.read_text() if SUPPORT.exists() else "", [row]))

    return note
