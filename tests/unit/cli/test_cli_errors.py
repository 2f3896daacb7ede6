"""Bad input: one line on standard error that says where and what was expected, the documented status, no answer."""

import io
import re
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.conftest import DATA

from pagewarden.cli.main import COMMANDS, main

MACHINE = DATA / "machines" / "db1-16g"
LOOKING = ("status", "advise")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A machine that may be damaged."""
    return Path(shutil.copytree(MACHINE, tmp_path / "root"))


def run(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    """Status, standard output and standard error of a command, whichever way it ends."""
    try:
        status = int(main(argv))
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else -1
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def refused(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    """The one line a command ends with that cannot answer."""
    status, out, err = run(capsys, *argv)
    assert (status, out) == (2, "")
    assert err.endswith("\n")
    assert len(err.splitlines()) == 1, err
    assert "Traceback" not in err
    return err.rstrip("\n")


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        ([], "COMMAND"),
        (["nosuch"], r"^pagewarden: 'nosuch': no such command \(see pagewarden --help\)$"),
        (["stat"], r"^pagewarden: 'stat': no such command; did you mean status\?"),
        (["explian", "x.log"], r"did you mean explain\?"),
        ([""], "'': no such command"),
        (["a\nb"], r"'a\\nb': no such command"),
        (["--format", "json"], "'json': no such command"),
        (
            ["explain", "--bogus", "f.log"],
            "^pagewarden explain: unrecognized arguments: --bogus .see pagewarden explain --h",
        ),
        (["gfp", "0x1", "0x2"], "^pagewarden gfp: unrecognized arguments: 0x2 .see pagewarden gfp --help"),
        (["--bogus", "status"], "^pagewarden status: unrecognized arguments: --bogus"),
        (["--nosuch"], "required: COMMAND|--nosuch"),
        (["status", "--format", "xml"], "invalid choice: 'xml'"),
        (["status", "extra"], "unrecognized arguments: extra"),
        (["status", "--root"], "expected one argument"),
        (["status", "--root", ""], "not an empty name"),
        (["status", "--roo", "/"], "unrecognized arguments"),
        (["advise", "--workload", "gaming"], "invalid choice: 'gaming'"),
        (["simulate"], "required: KEY=VALUE"),
        (["schema"], "required: NAME"),
        (["schema", "nosuch"], "invalid choice: 'nosuch'"),
        (["capture"], "required: "),
    ],
)
def test_usage(capsys: pytest.CaptureFixture[str], argv: list[str], expected: str) -> None:
    line = refused(capsys, *argv)
    assert line.startswith("pagewarden")
    assert re.search(expected, line)
    assert line.endswith("--help)")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["vm.min_free_kbytes"], "'vm.min_free_kbytes': expected KEY=VALUE"),
        (["=5"], "'': not a setting known here"),
        (["vm.nosuch=1"], "'vm.nosuch': not a setting known here"),
        (["vm.min_free_kbyte=1"], "did you mean vm.min_free_kbytes?"),
        (["min_free_kbytes=1"], "did you mean vm.min_free_kbytes?"),
        (["kernel.panic=1"], "not a setting known here"),
        (["transparent_hugepages=never"], "did you mean transparent_hugepage?"),
        (["vm.min_free_kbytes=1", "vm.min_free_kbytes=2"], "'vm.min_free_kbytes' is given twice"),
        (["vm.min_free_kbytes=1", "vm/min_free_kbytes=2"], "given twice"),
    ],
)
def test_simulate_refuses_what_is_no_write(capsys: pytest.CaptureFixture[str], words: list[str], expected: str) -> None:
    assert expected in refused(capsys, "simulate", "--root", str(MACHINE), *words)


Damage = Callable[[Path], object]


def zoneinfo(change: Callable[[bytes], bytes]) -> Damage:
    """Damage to proc/zoneinfo."""

    def damage(root: Path) -> None:
        path = root / "proc/zoneinfo"
        path.write_bytes(change(path.read_bytes()))

    return damage


def cut_in_a_number(content: bytes) -> bytes:
    return content[: content.index(b"managed  765920") + 11]


def duplicated(content: bytes) -> bytes:
    return content + content


DAMAGES = [
    pytest.param(lambda root: (root / "proc/zoneinfo").unlink(), r"zoneinfo", id="missing"),
    pytest.param(zoneinfo(lambda _: b""), r"proc/zoneinfo: expected .*empty", id="empty"),
    pytest.param(zoneinfo(lambda _: b"\n \n"), r"proc/zoneinfo: expected .*empty", id="blank"),
    pytest.param(zoneinfo(lambda c: c[:40]), r"proc/zoneinfo", id="cut at once"),
    pytest.param(zoneinfo(lambda c: b"\x7fELF\0\0\x01" + c), r"proc/zoneinfo(:1)?: expected", id="binary"),
    pytest.param(zoneinfo(lambda c: c + b"\xff\xfe"), r"proc/zoneinfo:\d+: expected text in UTF-8", id="not text"),
    pytest.param(
        zoneinfo(lambda c: c.replace(b"min      382", b"min      -3")), r"zoneinfo:\d+: expected", id="negative"
    ),
    pytest.param(
        zoneinfo(lambda c: c.replace(b"managed  765920", b"managed  18446744073709551616")),
        r"zoneinfo:\d+: expected .* below 2\^64, found '\s*managed",
        id="2^64",
    ),
    pytest.param(zoneinfo(duplicated), r"zoneinfo:\d+: expected", id="every zone twice"),
    pytest.param(zoneinfo(lambda c: c.replace(b"min      382", b"min      many")), r"zoneinfo:\d+", id="no number"),
    pytest.param(zoneinfo(lambda c: c.replace(b"\n", b"\r", 3)), r"zoneinfo:\d+: expected", id="stray returns"),
    pytest.param(zoneinfo(lambda _: b"<html>404</html>\n"), r"zoneinfo:1: expected", id="a web page"),
]


@pytest.mark.parametrize("command", LOOKING)
@pytest.mark.parametrize(("damage", "expected"), DAMAGES)
def test_damaged_zoneinfo(
    capsys: pytest.CaptureFixture[str], root: Path, damage: Damage, expected: str, command: str
) -> None:
    damage(root)
    line = refused(capsys, command, "--root", str(root))
    assert line.startswith(f"pagewarden {command}: ")
    assert re.search(expected, line), line


def test_zoneinfo_cut_within_a_number_gives_no_other_number(capsys: pytest.CaptureFixture[str], root: Path) -> None:
    """Of 765920 only 76 is left: nothing tells, but the zones that follow are missing."""
    zoneinfo(cut_in_a_number)(root)
    status, out, err = run(capsys, "status", "--root", str(root), "--format", "json")
    assert (status, out) == (2, "") or '"torn":["' in out
    assert err == "" or len(err.splitlines()) == 1


def test_crlf_is_the_same_machine(capsys: pytest.CaptureFixture[str], root: Path) -> None:
    plain = run(capsys, "status", "--root", str(MACHINE), "--format", "json")
    for path in root.glob("proc/*info"):
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert run(capsys, "status", "--root", str(root), "--format", "json") == plain


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("nosuch", "nosuch: no such file"),
        ("file", "expected a folder that mirrors /"),
        ("empty", "no proc/zoneinfo here"),
    ],
)
def test_roots_that_are_none(capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str, expected: str) -> None:
    (tmp_path / "file").write_text("not an archive\n")
    (tmp_path / "empty").mkdir()
    for command in LOOKING:
        assert expected in refused(capsys, command, "--root", str(tmp_path / name))


def archive(path: Path, add: Callable[[tarfile.TarFile], object]) -> str:
    with tarfile.open(path, "w:gz") as tar:
        add(tar)
    return str(path)


def member(
    name: str, kind: bytes = tarfile.REGTYPE, link: str = "", content: bytes = b""
) -> Callable[[tarfile.TarFile], None]:
    def add(tar: tarfile.TarFile) -> None:
        info = tarfile.TarInfo(name)
        info.type, info.linkname, info.size = kind, link, len(content)
        tar.addfile(info, io.BytesIO(content))

    return add


@pytest.mark.parametrize(
    ("add", "expected"),
    [
        pytest.param(member("../evil"), "leads out of the archive", id="dots"),
        pytest.param(member("/etc/passwd"), "leads out of the archive", id="absolute"),
        pytest.param(member("proc/zoneinfo", tarfile.SYMTYPE, "/etc/shadow"), "leads out of", id="absolute link"),
        pytest.param(member("proc/zoneinfo", tarfile.SYMTYPE, "../../etc/shadow"), "leads out of", id="link with dots"),
        pytest.param(member("proc/zoneinfo", tarfile.LNKTYPE, "../x"), "leads out of", id="hard link with dots"),
        pytest.param(member("proc/zoneinfo", tarfile.CHRTYPE), "device or a pipe", id="device"),
        pytest.param(member("proc/other"), "no proc/zoneinfo here", id="nothing of use"),
    ],
)
def test_archives_not_to_be_trusted(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, add: Callable[[tarfile.TarFile], object], expected: str
) -> None:
    path = archive(tmp_path / "bad.tar.gz", add)
    line = refused(capsys, "status", "--root", path)
    assert path in line
    assert expected in line


def test_broken_archives(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    whole = Path(archive(tmp_path / "whole.tar.gz", lambda tar: tar.add(MACHINE, "db1")))
    assert run(capsys, "status", "--root", str(whole))[0] == 0
    content = whole.read_bytes()
    for name, damaged in (
        ("cut", content[: len(content) // 2]),
        ("changed", content[:200] + b"\0\0\0" + content[203:]),
    ):
        path = tmp_path / f"{name}.tar.gz"
        path.write_bytes(damaged)
        assert str(path) in refused(capsys, "status", "--root", str(path))


def test_settings_that_cannot_be_read_are_unknown_not_zero(capsys: pytest.CaptureFixture[str], root: Path) -> None:
    (root / "proc/sys/vm/min_free_kbytes").write_text("lots\n")
    (root / "proc/sys/vm/watermark_scale_factor").unlink()
    status, out, err = run(capsys, "status", "--root", str(root), "--format", "json")
    assert (status, err) == (0, "")
    assert '"/proc/sys/vm/min_free_kbytes":"damaged at line 1: expected one integer"' in out
    assert '"key":"vm.min_free_kbytes"' not in out


@pytest.mark.parametrize("text", ["18446744073709551616", "99999999999999999999", "-1", "0"])
def test_absurd_settings_make_no_traceback(capsys: pytest.CaptureFixture[str], root: Path, text: str) -> None:
    for key in ("min_free_kbytes", "watermark_scale_factor", "zone_reclaim_mode"):
        (root / f"proc/sys/vm/{key}").write_text(f"{text}\n")
    (root / "proc/sys/vm/lowmem_reserve_ratio").write_text(f"{text} {text} {text}\n")
    for command in (*LOOKING, "simulate"):
        words = ["vm.min_free_kbytes=1"] if command == "simulate" else []
        status, _, err = run(capsys, command, "--root", str(root), *words)
        assert status in (0, 1, 2)
        assert len(err.splitlines()) <= 1


def test_a_machine_without_low_memory(capsys: pytest.CaptureFixture[str], root: Path) -> None:
    """A container's or a tool's rewriting may leave nothing but Movable: nothing is divided by it."""
    (root / "proc/zoneinfo").write_text(
        "Node 0, zone  Movable\n  pages free     5\n        min      1\n        low      1\n        high     1\n"
        "        spanned  10\n        present  10\n        managed  10\n"
    )
    for command in (*LOOKING, "simulate"):
        words = ["vm.min_free_kbytes=100"] if command == "simulate" else []
        status, out, err = run(capsys, command, "--root", str(root), *words)
        assert (status, err) == (0, "")
        assert out


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_help_has_examples(capsys: pytest.CaptureFixture[str], command: str) -> None:
    status, out, err = run(capsys, command, "--help")
    assert (status, err) == (0, "")
    assert f"pagewarden {command}" in out.partition("examples:")[2]
    assert max(map(len, out.splitlines())) <= 120


def test_the_overview_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "--help")
    assert status == 0
    assert all(re.search(rf"^ +{command}( |$)", out, re.MULTILINE) for command in COMMANDS)
    assert "exit status:" in out
    assert run(capsys, "--version")[1].startswith("pagewarden ")
