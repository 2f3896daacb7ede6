"""Which installations the units may run: what the service can name, see and read, and nobody but root change."""

import os
import pwd
import sys
import sysconfig
from pathlib import Path

import pytest

from pagewarden.service import environment
from pagewarden.service.environment import InstallError, below, code_folders, faults, objections, program


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """Give a folder of code that nobody can object to."""
    folder = tmp_path / "site-packages"
    for name in ("pagewarden/cli/main.py", "pydantic_core/core.so", "six.py"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return folder


def found(code: Path) -> list[str]:
    return list(faults((code, *below(code)), [code], os.getuid()))


@pytest.mark.parametrize(
    ("name", "mode", "reason"),
    [
        (".", 0o755, None),
        ("six.py", 0o444, None),
        (".", 0o1777, None),
        ("pagewarden", 0o775, "can be changed"),
        ("pagewarden/cli/main.py", 0o646, "can be changed"),
        ("pagewarden/cli/main.py", 0o1646, "can be changed"),
        ("pydantic_core/core.so", 0o664, "can be changed"),
        (".", 0o700, "cannot be read"),
        ("pagewarden", 0o744, "cannot be read"),
        ("pagewarden/cli", 0o711, "cannot be read"),
        ("six.py", 0o640, "cannot be read"),
    ],
)
def test_code_is_looked_through_to_the_bottom(code: Path, name: str, mode: int, reason: str | None) -> None:
    (code / name).chmod(mode)
    reasons = found(code)
    assert len(reasons) == (reason is not None)
    if reason is not None:
        assert reasons[0].startswith(f"{code / name} {reason}")


def test_one_of_each_fault_is_named_and_the_command_that_mends_all(code: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "HIDDEN", ())  # /tmp, where this is, is one
    for path in map(Path, below(code)):
        path.chmod(0o770 if path.is_dir() else 0o660)
    assert [reason.split("; ")[0] for reason in found(code)] == [
        f"{code}/pagewarden can be changed by others than root, and parts of the service run as root",
        f"{code}/pagewarden cannot be read by the account of the service",
    ]
    assert found(code)[1].endswith(f"this mends it: chmod -R a+rX {code}")
    assert list(faults([code / "pagewarden"], owner=os.getuid()))[1].endswith(f"chmod a+rX {code}/pagewarden")


def test_code_of_another_owner_and_a_link_to_nothing(code: Path) -> None:
    (code / "gone.py").symlink_to("nowhere")
    assert found(code) == []
    reasons = list(faults(below(code), [code], os.getuid() + 1))
    assert len(reasons) == 1
    assert f"{code}/pagewarden can be changed by others than root" in reasons[0]


@pytest.mark.parametrize(
    ("path", "plain"),
    [
        ("/opt/pw-1.0_x+y@z/bin/pagewarden", True),
        ("/opt/page warden/bin/pagewarden", False),
        ("/opt/100%n/bin/pagewarden", False),
        ("/opt/$HOME/bin/pagewarden", False),
        ("/opt/a\nb/bin/pagewarden", False),
        ("/opt/w\u00e4rter/bin/pagewarden", False),
    ],
)
def test_a_path_that_a_unit_cannot_hold(path: str, plain: bool) -> None:
    assert any("a unit cannot hold" in reason for reason in objections(Path(path))) is not plain


def test_an_environment_in_a_home_and_what_to_do_with_pipx() -> None:
    said = list(objections(Path("/root/.local/share/pipx/venvs/pagewarden/bin/pagewarden")))
    assert "may not see" in said[0]
    assert "pipx install --global" in said[0]
    said = list(objections(Path("/home/x/venv/bin/pagewarden")))
    assert said[0].endswith("the end of --help shows environments that it can use, such as /opt/pagewarden")
    assert len(said) == 1, "nothing mends such an environment"


@pytest.mark.parametrize(
    ("home", "closed", "ends"),
    [
        ("srv/x", "srv/x", "such as /opt/pagewarden"),
        ("srv/x", "srv/x/own", "such as /opt/pagewarden"),
        ("srv/x", "srv", "chmod a+rX {}/srv"),
        (None, "srv/x", "chmod a+rX {}/srv/x"),
    ],
)
def test_a_home_is_never_to_be_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: str | None, closed: str, ends: str
) -> None:
    def account(_uid: int) -> pwd.struct_passwd:
        if home is None:
            raise KeyError
        return pwd.struct_passwd(("x", "x", 0, 0, "", str(tmp_path / home), ""))

    monkeypatch.setattr(environment, "HIDDEN", ("/home",))
    monkeypatch.setattr(pwd, "getpwuid", account)
    (tmp_path / "srv/x/own/lib").mkdir(parents=True)
    (tmp_path / closed).chmod(0o700)
    reasons = list(faults([tmp_path / closed], [tmp_path / "srv/x/own/lib"], os.getuid()))
    assert len(reasons) == 1
    assert reasons[0].startswith(f"{tmp_path / closed} cannot be read by the account of the service; ")
    assert reasons[0].endswith(ends.format(tmp_path))


def test_below_names_everything_once_and_follows_no_link(code: Path) -> None:
    (code / "pagewarden/up").symlink_to(code)
    (code / "gone").symlink_to("nowhere")
    assert sorted(below(code)) == sorted(map(str, code.rglob("*")))
    assert list(below(code)) == list(below(code))
    assert list(below(code / "none")) == []


def test_code_in_a_home_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/opt/p/bin/python")
    said = list(objections(Path("/opt/p/bin/pagewarden"), [Path("/home/x/lib")]))
    assert said[0].startswith("/home/x/lib is in a folder that the service may not see")


def test_our_code_and_its_neighbours_are_looked_at() -> None:
    assert Path(environment.__file__).parents[2] in code_folders()
    assert Path(sysconfig.get_path("purelib")) in code_folders()
    assert Path(os.__file__).parent.resolve() in [folder.resolve() for folder in code_folders()]


@pytest.mark.parametrize(
    ("there", "called", "expected"),
    [
        (("venv/pagewarden", "local/pagewarden"), "x", "venv/pagewarden"),
        (("local/pagewarden",), "x", "local/pagewarden"),
        (("own/pagewarden",), "own/pagewarden", "own/pagewarden"),
        (("own/__main__.py",), "own/__main__.py", None),
        ((), "own/pagewarden", None),
    ],
)
def test_where_the_program_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: tuple[str, ...], called: str, expected: str | None
) -> None:
    for name in there:
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    monkeypatch.setattr(sys, "executable", str(tmp_path / "venv/python"))
    monkeypatch.setattr(sys, "argv", [str(tmp_path / called)])
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path / "local") if name == "scripts" else None)
    if expected is not None:
        assert program() == tmp_path / expected
    else:
        with pytest.raises(InstallError, match="venv/pagewarden: not there; install"):
            program()
