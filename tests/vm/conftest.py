"""Options and fixtures of the tests that boot."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.vm.cache import cache_folder
from tests.vm.support import SUPPORT, Row, merged


@pytest.fixture(scope="session")
def vm_cache() -> Path:
    """Give the folder of downloads and images."""
    return cache_folder()


@pytest.fixture(scope="session")
def matrix_rows(request: pytest.FixtureRequest) -> Iterator[list[Row]]:
    """Give the list that takes a row of docs/support.md a boot; it is written at the end where that was asked for."""
    rows: list[Row] = []
    yield rows
    if request.config.getoption("--update-support") and rows:
        SUPPORT.write_text(merged(SUPPORT.read_text() if SUPPORT.exists() else "", rows))
