"""pytest plugin (`-p tests.workers`, as bin/test does): which tests run, and on how many processors.

The whole suite leaves out what carries the marker `thorough` (kills, races, floods, and the project's own tools, at
length) unless `--thorough` asks for it; what a path, `-k` or `-m` chooses runs with it. CI runs both.

`-n auto` starts a process for each processor only where everything runs: for a few tests their start costs more than
they save. `-n 3` is three in any case, `-n 0` none.

A test with the marker `alone` changes what other tests see (settings of this machine). No other runs beside it.
"""

import fcntl
import os
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from xdist.workermanage import WorkerController

EVERYTHING = "not vm"
"""The marker expression of bin/test."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the way to run the whole suite with what it leaves out every day."""
    parser.addoption("--thorough", action="store_true", help="whole suite: with what bin/test leaves out every day")


def is_whole_suite(config: pytest.Config) -> bool:
    """Whether no test was chosen by a path, `-k`, `-m` or `--lf`."""
    chosen = config.args_source is not config.ArgsSource.TESTPATHS or config.option.keyword
    again = getattr(config.option, "lf", False)  # of a plugin that can be left out
    return not (chosen or config.option.markexpr != EVERYTHING or again)


def is_every_day(config: pytest.Config) -> bool:
    """Whether tests marked thorough are left out. Workers of xdist are always given paths: the first process knows."""
    worker: dict[str, bool] | None = getattr(config, "workerinput", None)
    return worker["every_day"] if worker else is_whole_suite(config) and not config.option.thorough


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: "WorkerController") -> None:
    node.workerinput["every_day"] = is_every_day(node.config)


def pytest_report_header(config: pytest.Config) -> str | None:
    return "without tests marked thorough (--thorough: with them)" if is_every_day(config) else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not is_every_day(config):
        return
    left_out = [item for item in items if item.get_closest_marker("thorough")]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if not item.get_closest_marker("thorough")]


@pytest.hookimpl(optionalhook=True, tryfirst=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    if not is_whole_suite(config):
        return 0
    processors = len(os.sched_getaffinity(0))
    return processors if processors > 1 else 0


@contextmanager
def turn(folder: Path, *, alone: bool) -> Iterator[None]:
    """Wait until this test may run beside what runs now, and hold others back that may not.

    Who waits to run alone keeps the gate, through which all must go: it does not starve.
    """
    with (folder / "gate").open("w") as gate, (folder / "room").open("w") as room:
        fcntl.flock(gate, fcntl.LOCK_EX)
        fcntl.flock(room, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        fcntl.flock(gate, fcntl.LOCK_UN)
        try:
            yield
        finally:
            fcntl.flock(room, fcntl.LOCK_UN)  # a child that a test forked and left has the descriptor too


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    if not hasattr(item.config, "workerinput"):  # xdist's: this process is one of several
        return (yield)
    with turn(Path(item.config.option.basetemp).parent, alone=item.get_closest_marker("alone") is not None):
        return (yield)
