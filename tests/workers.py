"""pytest plugin (`-p tests.workers`, as bin/test does): the whole suite on all processors, a few tests on one.

`-n auto` starts a process for each processor only where everything runs: for a few tests their start costs more than
they save. `-n 3` is three in any case, `-n 0` none.

A test with the marker `alone` changes what other tests see (settings of this machine). No other runs beside it.
"""

import fcntl
import os
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

EVERYTHING = "not vm"
"""The marker expression of bin/test."""


@pytest.hookimpl(optionalhook=True, tryfirst=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    chosen = config.args_source is not config.ArgsSource.TESTPATHS or config.option.keyword
    if chosen or config.option.markexpr != EVERYTHING or config.option.lf:
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
