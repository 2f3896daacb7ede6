"""packaging/release in a repository of two files: what it refuses, and that nothing is left of a try that failed."""

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.thorough
PROJECT = Path(__file__).parents[3]
CHANGES = "# Changes\n\n## Unreleased\n\n### Fixed\n\n- A fault.\n\n## 0.1.0 - 2026-01-01\n\n- The first.\n"
MODULE = "src/pagewarden/__init__.py"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    if shutil.which("git") is None:
        pytest.skip("no git")
    for name, text in (
        (MODULE, '"""x"""\n\n__version__ = "0.1.0"\n'),
        ("CHANGELOG.md", CHANGES),
        ("bin/setup", "#!/bin/sh\nexit 3\n"),
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "bin/setup").chmod(0o755)
    (tmp_path / "packaging").mkdir()
    shutil.copy(PROJECT / "packaging/release", tmp_path / "packaging/release")
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    git(tmp_path, "config", "user.name", "A Tester")
    git(tmp_path, "config", "user.email", "tester@example.org")
    git(tmp_path, "add", "--all")
    git(tmp_path, "commit", "--quiet", "--message", "first")
    return tmp_path


def git(folder: Path, *words: str) -> str:
    return subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True, text=True).stdout


def release(folder: Path, *words: str) -> tuple[int, str, str]:
    done = subprocess.run([folder / "packaging/release", *words], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def state(folder: Path) -> tuple[str, ...]:
    return git(folder, "rev-parse", "HEAD"), git(folder, "tag"), git(folder, "status", "--porcelain", "--ignored")


def leave_a_change(folder: Path) -> None:
    (folder / "stray").touch()


def tag_it(folder: Path) -> None:
    git(folder, "tag", "v0.2.0")


def leave_main(folder: Path) -> None:
    git(folder, "checkout", "--quiet", "-b", "other")


def empty_changes(folder: Path) -> None:
    (folder / "CHANGELOG.md").write_text(CHANGES.replace("- A fault.\n", ""))
    git(folder, "commit", "--quiet", "--all", "--message", "nothing to say")


@pytest.mark.parametrize(
    ("words", "spoil", "status", "message"),
    [
        ([], None, 2, "expected a version"),
        (["1.0"], None, 2, "expected a version"),
        (["v1.0.0"], None, 2, "expected a version"),
        (["01.0.0"], None, 2, "expected a version"),
        (["0.2.0", "0.3.0"], None, 2, "one version is enough"),
        (["--force", "0.2.0"], None, 2, "not known"),
        (["0.0.9"], None, 1, "does not come after 0.1.0"),
        (["0.2.0"], leave_a_change, 1, "not committed"),
        (["0.2.0"], tag_it, 1, "a tag v0.2.0 already"),
        (["0.2.0"], leave_main, 1, "on branch other"),
        (["0.2.0"], empty_changes, 1, "nothing under"),
    ],
)
def test_refused_before_anything_changes(
    repository: Path, words: list[str], spoil: Callable[[Path], None] | None, status: int, message: str
) -> None:
    if spoil is not None:
        spoil(repository)
    before = state(repository)
    found, stdout, stderr = release(repository, *words)
    assert (found, stdout) == (status, "")
    assert message in stderr
    assert state(repository) == before


def test_a_version_that_was_released_is_not_released_again(repository: Path) -> None:
    assert release(repository, "--dry-run", "0.1.0")[0] == 0, "the first release may have the version that stands there"
    git(repository, "tag", "v0.0.1")
    assert "does not come after" in release(repository, "--dry-run", "0.1.0")[2]
    assert release(repository, "--dry-run", "0.1.10")[0] == release(repository, "--dry-run", "0.10.0")[0] == 0


def test_a_dry_run_shows_the_commit_and_leaves_nothing(repository: Path) -> None:
    before = state(repository)
    status, stdout, _ = release(repository, "--dry-run", "0.2.0")
    assert status == 0
    assert re.findall(r"^[-+][^-+\n].*", stdout, re.MULTILINE) == [
        next(line for line in stdout.splitlines() if line.startswith("+## 0.2.0 - 2")),
        '-__version__ = "0.1.0"',
        '+__version__ = "0.2.0"',
    ]
    assert state(repository) == before
    assert (repository / "CHANGELOG.md").read_text() == CHANGES


def test_a_build_that_fails_leaves_nothing(repository: Path) -> None:
    before = state(repository)
    status, _, stderr = release(repository, "0.2.0")
    assert status == 3
    assert "as it was before" in stderr
    assert state(repository) == before
    assert (repository / "CHANGELOG.md").read_text() == CHANGES
