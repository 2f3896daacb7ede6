"""A skip that CI does not allow must make CI's run fail; elsewhere it stays a skip."""

import pytest
from tests import skips

pytest_plugins = "pytester"

SKIPPED_TEST = "import pytest\n\ndef test_skips() -> None:\n    pytest.skip('no such thing here')\n"
SKIPPED_MODULE = "import pytest\npytest.importorskip('no_such_module_anywhere')\n\ndef test_never() -> None: ...\n"
EXPECTED_FAILURE = "import pytest\n\n@pytest.mark.xfail\ndef test_fails() -> None:\n    assert not pytest\n"


def run(pytester: pytest.Pytester) -> pytest.RunResult:
    return pytester.runpytest_inprocess("-p", "tests.skips", "-p", "no:hypothesispytest")


@pytest.mark.parametrize("source", [SKIPPED_TEST, SKIPPED_MODULE])
def test_a_skip_fails_only_where_skips_are_strict(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    pytester.makepyfile(source)
    monkeypatch.setenv(skips.STRICT, "1")
    strict = run(pytester)
    assert strict.ret in (pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.INTERRUPTED)
    strict.stdout.fnmatch_lines(["*tests/skips.py does not allow it: *no?such*"])
    monkeypatch.setenv(skips.STRICT, "")
    lenient = run(pytester)
    assert lenient.ret in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)
    lenient.assert_outcomes(skipped=1)


def test_expected_failures_are_not_skips(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    pytester.makepyfile(EXPECTED_FAILURE)
    monkeypatch.setenv(skips.STRICT, "1")
    result = run(pytester)
    result.assert_outcomes(xfailed=1)
    assert result.ret == pytest.ExitCode.OK


def test_allowed_reasons_match_from_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(skips, "ALLOWED", (skips.Allowed(r"needs \w+ for", "a sample"),))
    assert skips.is_allowed("needs root for this")
    assert not skips.is_allowed("it needs root for this")
    assert not skips.is_allowed("")
