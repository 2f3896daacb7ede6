"""The service's units without a package: what is written where, and what is taken away again."""

from pathlib import Path

import pytest

from pagewarden.service.files import is_ours, is_untouched, marked, service_file
from pagewarden.service.install import Report, files_to_install, how_to_start, install, run_commands, uninstall

UNIT = "[Service]\nExecStart=/usr/bin/pagewarden daemon\nExecReload=/bin/kill -HUP $MAINPID\n"


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """Give a folder of units as the project has it."""
    folder = tmp_path / "systemd"
    for name in ("pagewarden.service", "pagewarden-apply.path", "pagewarden.catalog", "sysusers.d/pagewarden.conf"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(UNIT)
    (folder / "notes.md").write_text("not installed\n")
    return folder


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("pagewarden.service", "etc/systemd/system/pagewarden.service"),
        ("pagewarden-apply.path", "etc/systemd/system/pagewarden-apply.path"),
        ("pagewarden.catalog", "usr/local/lib/systemd/catalog/pagewarden.catalog"),
        ("preset/90-pagewarden.preset", "etc/systemd/system-preset/90-pagewarden.preset"),
        ("sysusers.d/pagewarden.conf", "etc/sysusers.d/pagewarden.conf"),
        ("90-pagewarden.preset", None),
        ("deeper/pagewarden.service", None),
        ("notes.md", None),
    ],
)
def test_where_a_file_goes(name: str, target: str | None) -> None:
    made = service_file(name, UNIT, "/opt/pagewarden/bin/pagewarden", "1.0")
    assert (None if made is None else str(made.target)) == target
    if made is not None:
        assert "ExecStart=/opt/pagewarden/bin/pagewarden daemon\n" in made.text
        assert "/usr/bin/pagewarden" not in made.text
        assert made.is_unit is name.endswith((".service", ".path"))


@pytest.mark.parametrize(
    ("text", "ours", "untouched"),
    [
        (marked(UNIT, "1.0"), True, True),
        (marked(UNIT, "1.0") + "MemoryMax=1G\n", True, False),
        (marked(UNIT, "1.0").replace("HUP", "USR1"), True, False),
        (UNIT, False, False),
        ("", False, False),
        ("# Written by 'pagewarden install-service'\n", True, False),
    ],
)
def test_an_edit_is_seen(text: str, ours: bool, untouched: bool) -> None:
    assert (is_ours(text), is_untouched(text)) == (ours, untouched)


@pytest.mark.parametrize(
    ("unit", "start"),
    [
        (None, "not installed: install the package or run 'pagewarden install-service' first"),
        ("etc/systemd/system/pagewarden.service", "systemctl enable --now pagewarden"),
        ("usr/lib/systemd/system/pagewarden.service", "systemctl enable --now pagewarden"),
        (
            "etc/systemd/system/other.service",
            "not installed: install the package or run 'pagewarden install-service' first",
        ),
    ],
)
def test_how_to_start_what_is_not_there(tmp_path: Path, unit: str | None, start: str) -> None:
    if unit is not None:
        (tmp_path / unit).parent.mkdir(parents=True)
        (tmp_path / unit).touch()
    assert how_to_start(tmp_path) == start


def test_what_was_written_is_taken_away_and_nothing_else(units: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    files = files_to_install(units, Path("/opt/p/bin/pagewarden"), "1.0")
    assert len(files) == 4
    assert len(install(root, files).written) == 4
    assert len(install(root, files).written) == 4, "a second time, as after an upgrade"
    foreign = root / "etc/systemd/system/pagewarden-mine.service"
    foreign.write_text(UNIT)
    edited = root / "etc/systemd/system/pagewarden.service"
    edited.write_text(edited.read_text() + "MemoryMax=1G\n")
    assert install(root, files).left == [f"{edited}: was edited; left as it is"]
    before = sorted(root.rglob("*"))
    dry = uninstall(root, dry_run=True)
    assert sorted(root.rglob("*")) == before
    report = uninstall(root)
    assert report == dry
    assert len(report.removed) == 3
    assert report.units == ["pagewarden-apply.path"]
    assert report.left == [
        f"{edited}: was edited; left alone, running or not. To take it away: "
        f"systemctl disable --now {edited.name}; rm {edited}"
    ]
    assert sorted(path.name for path in root.rglob("*") if path.is_file()) == [foreign.name, edited.name]
    assert uninstall(root).removed == []


def test_a_file_of_somebody_else_is_not_replaced(units: Path, tmp_path: Path) -> None:
    theirs = tmp_path / "root/etc/systemd/system/pagewarden.service"
    theirs.parent.mkdir(parents=True)
    theirs.write_text(UNIT)
    report = install(tmp_path / "root", files_to_install(units, Path("/opt/p/bin/pagewarden"), "1.0"))
    assert report.left == [f"{theirs}: is not ours; left as it is"]
    assert theirs.read_text() == UNIT


def test_commands_that_fail_are_noted() -> None:
    report = Report()
    run_commands([["no-such-program"], ["sh", "-c", "echo bad >&2; exit 3"], ["true"]], report)
    assert report.failed == [
        "no-such-program: no-such-program is not installed",
        "sh -c echo bad >&2; exit 3: bad",
    ]
