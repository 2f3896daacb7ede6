from pathlib import Path

import pytest

from pagewarden.cli import common
from pagewarden.cli.main import main
from pagewarden.procfs.container import in_container


@pytest.mark.parametrize("kind", ["pid", "cgroup"])
def test_namespaces_of_its_own_are_a_container(tmp_path: Path, kind: str) -> None:
    assert not in_container(str(tmp_path)), "nothing tells"
    (tmp_path / "proc/self/ns").mkdir(parents=True)
    (tmp_path / "proc/self/ns" / kind).touch()  # any inode but the first namespace's
    assert in_container(str(tmp_path))


def test_files_of_container_programs_tell_nothing(tmp_path: Path) -> None:
    """Virtual machines are made of containers' images."""
    (tmp_path / ".dockerenv").touch()
    assert not in_container(str(tmp_path))


@pytest.mark.parametrize("words", [["status"], ["advise"], ["apply", "--dry-run"]])
def test_it_is_said_and_the_answer_given(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(common, "in_container", lambda: True)
    main(words)
    said = capsys.readouterr()
    assert said.err.startswith("pagewarden: this is a container")
    assert said.out


def test_a_capture_is_of_its_own_machine(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(common, "in_container", lambda: True)
    assert main(["status", "--root", str(Path(__file__).parents[2] / "data/machines/guest-4g")]) == 0
    assert capsys.readouterr().err == ""
