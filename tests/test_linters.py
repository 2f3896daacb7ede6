"""The linters are tests: `bin/test` is all there is to run."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPTS = ["bin/pagewarden", "bin/setup", "bin/test", ".ci/run"]


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
    run(str(shellcheck), *SCRIPTS)


def test_every_script_is_checked_and_executable() -> None:
    scripts = [path for folder in ("bin", ".ci") for path in (ROOT / folder).iterdir()]
    assert sorted(str(path.relative_to(ROOT)) for path in scripts) == sorted(SCRIPTS)
    assert [path.name for path in scripts if not path.stat().st_mode & 0o111] == []
