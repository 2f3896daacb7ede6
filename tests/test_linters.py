"""The linters are tests: `bin/test` is all there is to run."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("bin", ".ci", "packaging", "packaging/debian", "packaging/vendor", "tests/vm/guest-scripts")
NOT_RUN = (
    "packaging/debian/postrm",
    "packaging/debian/prerm",
    "tests/vm/guest-scripts/day.sh",
    "tests/vm/guest-scripts/packages.sh",
)
"""Started by something that does not ask whether they are executable."""


def shell_scripts() -> list[str]:
    """Every file in FOLDERS that a shell runs, relative to the project."""
    files = [path for folder in FOLDERS for path in (ROOT / folder).iterdir() if path.is_file()]
    first_lines = {path: path.read_bytes()[:20] for path in files}
    return sorted(
        str(path.relative_to(ROOT)) for path, line in first_lines.items() if re.match(rb"#!/bin/(ba)?sh", line)
    )


def run(*command: str) -> None:
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, f"{' '.join(command)}\n{result.stdout}{result.stderr}"


def test_ruff_has_nothing_to_say() -> None:
    run(sys.executable, "-m", "ruff", "check", "--quiet", "--no-fix")


def test_files_are_formatted() -> None:
    run(sys.executable, "-m", "ruff", "format", "--check", "--quiet")


def test_types_hold() -> None:
    run(sys.executable, "-m", "mypy", "--strict", "--no-error-summary")


def test_shell_scripts() -> None:
    shellcheck = Path(sys.executable).with_name("shellcheck")
    if not shellcheck.exists():
        pytest.skip("shellcheck is not packaged for this machine")
    run(str(shellcheck), "--external-sources", *shell_scripts())


def test_every_script_is_found_and_executable() -> None:
    scripts = shell_scripts()
    assert {"bin/pagewarden", "bin/setup", "bin/test", ".ci/run", "packaging/build-deb", *NOT_RUN} <= set(scripts)
    assert [name for name in scripts if name not in NOT_RUN and not (ROOT / name).stat().st_mode & 0o111] == []
