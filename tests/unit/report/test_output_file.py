"""Answers in files that the user named: links, pipes and folders are not torn away."""

import os
import threading
from pathlib import Path

import pytest

from pagewarden.cli.main import main
from pagewarden.errors import PagewardenError, UsageError
from pagewarden.report.output_file import write_output
from pagewarden.report.page import PAGE_MARK

MACHINE = str(Path(__file__).parents[2] / "data" / "docs" / "one-node")


def test_a_pipe_is_written_into(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append(pipe.read_bytes()))
    reader.start()
    write_output(str(pipe), b"page")
    reader.join(10)
    assert got == [b"page"]
    assert pipe.is_fifo()
    assert [entry.name for entry in tmp_path.iterdir()] == ["pipe"]


def test_the_target_of_a_link_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    target = tmp_path / "there" / "page"
    target.write_text("old")
    (tmp_path / "link").symlink_to("there/page")
    write_output(str(tmp_path / "link"), b"new")
    assert (tmp_path / "link").is_symlink()
    assert target.read_bytes() == b"new"
    (tmp_path / "early").symlink_to("there/later")
    write_output(str(tmp_path / "early"), b"new")
    assert (tmp_path / "there" / "later").read_bytes() == b"new"
    assert sorted(entry.name for entry in target.parent.iterdir()) == ["later", "page"]


def test_a_link_to_itself_is_told(tmp_path: Path) -> None:
    (tmp_path / "round").symlink_to("round")
    with pytest.raises(PagewardenError, match=r"Too many levels"):
        write_output(str(tmp_path / "round"), b"x")


@pytest.mark.parametrize("name", ["", ".", "..", "/", "new/", "folder", "to-folder"])
def test_no_file_is_refused(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "to-folder").symlink_to("folder")
    with pytest.raises(UsageError, match=r"directory|empty name"):
        write_output(name, b"x")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["folder", "to-folder"]


@pytest.mark.parametrize("command", [["report", "--html"], ["metrics", "--output"]])
@pytest.mark.parametrize("name", ["", ".", "/"])
def test_the_commands_say_so_in_one_line(command: list[str], name: str, capsys: pytest.CaptureFixture[str]) -> None:
    machine = str(Path(__file__).parents[2] / "data" / "docs" / "one-node")
    assert main([*command, name, "--root", machine]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.count("\n") == 1


@pytest.mark.parametrize(
    ("there", "replaced"),
    [
        (None, True),
        (b"", True),
        (b"<html><title>pagewarden: db1</title>", True),
        (b"<html><title>mine</title>", False),
        (b" " * 5000 + PAGE_MARK, False),
        (b"\x00\xff", False),
    ],
)
def test_a_page_replaces_a_page_alone(
    there: bytes | None, replaced: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "page.html"
    if there is not None:
        target.write_bytes(there)
    for _ in range(2):
        assert main(["report", "--html", str(target), "--root", MACHINE]) == (0 if replaced else 2)
        out, err = capsys.readouterr()
        assert out == ""
        if replaced:
            assert err == f"pagewarden report: wrote {target}\n"
            assert PAGE_MARK in target.read_bytes()[:1024]
        else:
            assert err.endswith("page.html: there already and not written by pagewarden; it is not replaced\n")
            assert target.read_bytes() == there


@pytest.mark.parametrize(
    ("name", "status"),
    [("x.prom", 0), ("x.txt", 2), ("x.prom.txt", 2), ("prom", 2), ("/dev/null", 0), ("-", 0)],
)
def test_what_node_exporter_does_not_read_is_not_written(
    name: str, status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["metrics", "--output", name, "--root", MACHINE]) == status
    out, err = capsys.readouterr()
    assert (name == "-") is out.startswith("# HELP")
    assert ("expected a name that ends in .prom" in err) is (status == 2)
    assert [path.name for path in tmp_path.iterdir()] == (["x.prom"] if name == "x.prom" else [])
