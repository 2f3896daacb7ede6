"""Which runs are split over processes, and what still runs alone in one that is."""

import os
from pathlib import Path

import pytest
from tests import skips, workers
from tests.conftest import PROJECT

pytest_plugins = "pytester"
pytestmark = pytest.mark.thorough

# Each test writes a line when it begins and one when it ends.
TESTS = """
import os, time, pytest
def run(name):
    for step in ("begin", "end"):
        with open(os.environ["TRACE"], "a") as trace:
            trace.write(f"{step} {name}\\n")
        time.sleep(0.05)
@pytest.mark.parametrize("number", range(10))
def test_beside(number): run(f"beside {number}")
@pytest.mark.alone
@pytest.mark.parametrize("number", range(3))
def test_alone(number): run(f"alone {number}")
@pytest.mark.parametrize("number", range(10, 20))
def test_after(number): run(f"beside {number}")
"""


def run(pytester: pytest.Pytester, source: str, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> pytest.RunResult:
    pytester.makeini("[pytest]\nmarkers =\n  alone\n  thorough\ntestpaths = .\n")
    pytester.makepyfile(source)
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))
    for name in [name for name in os.environ if name.startswith("PYTEST_XDIST")]:
        monkeypatch.delenv(name)
    plugins = ("-p", "tests.skips", "-p", "tests.workers", "-p", "no:hypothesispytest")
    return pytester.runpytest_subprocess(*plugins, "-n", "2", "--dist", "load", "--maxschedchunk=1", *arguments)


def test_no_test_runs_beside_one_that_is_to_be_alone(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    trace = pytester.path / "trace"
    monkeypatch.setenv("TRACE", str(trace))
    run(pytester, TESTS, monkeypatch).assert_outcomes(passed=23)
    running: set[str] = set()
    together = 0
    for step, name in (line.split(maxsplit=1) for line in trace.read_text().splitlines()):
        if step == "end":
            running.remove(name)
            continue
        running.add(name)
        together = max(together, len(running))
        assert len(running) == 1 or not any("alone" in other for other in running), running
    assert running == set()
    assert together == 2, "nothing ran in parallel: the test has shown nothing"


def test_strict_skips_hold_in_the_workers(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(skips.STRICT, "1")
    result = run(pytester, "import pytest\n\ndef test_x() -> None:\n    pytest.skip('no such thing')\n", monkeypatch)
    result.assert_outcomes(failed=1)


@pytest.mark.parametrize(
    ("arguments", "passed"),
    [((), 1), (("-n", "0"), 1), (("--thorough",), 2), (("-m", "thorough"), 1), (("-k", "test"), 2), ((".",), 2)],
)
def test_what_takes_long_is_left_out_of_the_whole_suite_alone(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], passed: int
) -> None:
    source = "import pytest\n\ndef test_x() -> None: pass\n\n@pytest.mark.thorough\ndef test_y() -> None: pass\n"
    result = run(pytester, source, monkeypatch, "-m", workers.EVERYTHING, *arguments)
    said = result.stdout.str()
    assert f" {passed} passed" in said
    assert ("(--thorough: with them)" in said) == (arguments in ((), ("-n", "0")))


@pytest.mark.parametrize(
    ("arguments", "processors", "expected"),
    [
        ([], 2, 2),
        (["-q", "--durations=3"], 4, 4),
        ([], 1, 0),
        (["-k", "fit"], 2, 0),
        (["--lf"], 2, 0),
        (["-p", "no:cacheprovider"], 2, 2),
        (["tests/unit"], 2, 0),
        (["tests"], 2, 0),
        (["-m", "vm"], 2, 0),
    ],
)
def test_only_the_whole_suite_is_split(
    pytester: pytest.Pytester,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    processors: int,
    expected: int,
) -> None:
    (Path(pytester.path) / "tests/unit").mkdir(parents=True)
    pytester.makeini("[pytest]\ntestpaths = tests\n")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(processors)))
    plugins = ("-p", "tests.workers", "-p", "no:hypothesispytest")
    config = pytester.parseconfigure(*plugins, "-n", "auto", "-m", workers.EVERYTHING, *arguments)
    assert config.hook.pytest_xdist_auto_num_workers(config=config) == expected


def test_the_marker_expression_is_the_one_of_the_script() -> None:
    assert f"-m '{workers.EVERYTHING}' \"$@\"" in (PROJECT / "bin/test").read_text()
