"""bin/setup and bin/pagewarden against a stand-in for Python, pip and the package manager, without a network."""

import shutil
import subprocess
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

pytestmark = pytest.mark.thorough
ROOT = Path(__file__).parents[2]
TOOLS = (
    *("cat", "cksum", "cp", "cut", "find", "flock", "grep", "mkdir"),
    *("mv", "readlink", "rm", "sed", "sleep", "stat", "tail", "touch"),
)

# Stands for the system's python3 and for .venv/bin/python. What it "lacks" stands in a file that apt-get empties.
PYTHON = """#!/bin/sh
printf 'python %s\\n' "$*" >>"$SANDBOX/calls"
case "$1 ${2:-}" in
    '- ') cat "$SANDBOX/lacks" ;;
    '-m venv') mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
    '-m pip')
        cat
        [ ! -e "$SANDBOX/pip-is-slow" ] || sleep 0.5
        case "$*" in
            *--require-hashes*)
                [ ! -e "$SANDBOX/not-pinned" ] || { echo 'THESE PACKAGES DO NOT MATCH THE HASHES'; exit 1; }
                [ ! -e "$SANDBOX/lags" ] || { echo 'ERROR: No matching distribution'; exit 1; } ;;
        esac
        [ ! -e "$SANDBOX/pip-fails" ] || { echo 'WARNING: noise'; echo 'ERROR: no such package'; exit 1; }
        case "$*" in *stringzilla*) [ ! -e "$SANDBOX/no-wheel" ] || exit 1; exit 0 ;; esac
        case "$*" in *systemd*) [ ! -e "$SANDBOX/systemd-fails" ] || exit 1 ;; esac
        cp "$SANDBOX/command" .venv/bin/pagewarden
        ;;
esac
"""
COMMAND = """#!/bin/sh
printf '<%s>' "$@"
cat
"""
APT_GET = """#!/bin/sh
printf 'apt-get %s (%s)\\n' "$*" "$DEBIAN_FRONTEND" >>"$SANDBOX/calls"
case $1 in
    update) touch "$SANDBOX/lists/x_Packages" ;;
    install) [ -e "$SANDBOX/lists/x_Packages" ] && : >"$SANDBOX/lacks" && touch "$SANDBOX/header" ;;
esac
"""
DNF = "#!/bin/sh\nexit 1\n"
ALL_PRESENT = ""
ALL_LACKING = "venv\ncompiler\nheaders\n"


@dataclass(frozen=True, slots=True)
class Sandbox:
    """A checkout and a PATH that holds nothing but what it was given."""

    folder: Path

    @property
    def checkout(self) -> Path:
        return self.folder / "a checkout"

    def tool(self, name: str, text: str) -> None:
        path = self.folder / "bin" / name
        path.write_text(text)
        path.chmod(0o755)

    def flag(self, name: str) -> Path:
        path = self.folder / name
        path.touch()
        return path

    def start(self, *command: str, stdin: str = "") -> subprocess.Popen[str]:
        process = subprocess.Popen(
            command or [str(self.checkout / "bin/pagewarden")],
            cwd=self.folder,
            env={"PATH": str(self.folder / "bin"), "SANDBOX": str(self.folder)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdin is not None
        process.stdin.write(stdin)
        return process

    def run(self, *command: str, stdin: str = "") -> tuple[int, str, str]:
        process = self.start(*command, stdin=stdin)
        stdout, stderr = process.communicate(timeout=120)
        return process.returncode, stdout, stderr

    def calls(self, word: str) -> list[str]:
        """What was called since the last look, of the calls that contain `word`."""
        path = self.folder / "calls"
        lines = path.read_text().splitlines() if path.exists() else []
        path.write_text("")
        return [line for line in lines if word in line]


@pytest.fixture
def sandbox(tmp_path: Path) -> Sandbox:
    box = Sandbox(tmp_path)
    for folder in (box.folder / "bin", box.folder / "lists", box.checkout / "bin", box.checkout / "src"):
        folder.mkdir(parents=True)
    for tool in TOOLS:
        found = shutil.which(tool)
        assert found is not None, tool
        (box.folder / "bin" / tool).symlink_to(found)
    (box.folder / "lacks").write_text(ALL_PRESENT)
    (box.folder / "header").touch()
    (box.folder / "command").write_text(COMMAND)
    (box.folder / "command").chmod(0o755)
    box.tool("python3", PYTHON)
    box.tool("pkg-config", "#!/bin/sh\n")
    box.tool("id", "#!/bin/sh\necho 1000\n")
    for script in ("setup", "pagewarden"):
        text = (ROOT / "bin" / script).read_text()
        for machines, ours in (("/usr/include/systemd/sd-journal.h", "header"), ("/var/lib/apt/lists", "lists")):
            assert script != "setup" or machines in text
            text = text.replace(machines, str(box.folder / ours))
        path = box.checkout / "bin" / script
        path.write_text(text)
        path.chmod(0o755)
    (box.checkout / "pyproject.toml").write_text("[project]\n")
    return box


def test_first_start_sets_up_and_the_second_does_not(sandbox: Sandbox) -> None:
    assert sandbox.run(str(sandbox.checkout / "bin/pagewarden"), "a b", "*") == (
        0,
        "<a b><*>",
        f"pagewarden: installing Python packages into {sandbox.checkout}/.venv\n",
    )
    pip = sandbox.calls(" -e .")
    assert len(pip) == 1
    assert pip[0].endswith("-e .[metrics,html,systemd]")
    assert sandbox.run() == (0, "<>", "")
    assert sandbox.calls("") == []


def test_standard_input_is_left_to_the_command(sandbox: Sandbox) -> None:
    status, stdout, _ = sandbox.run(str(sandbox.checkout / "bin/pagewarden"), "explain", "-", stdin="a log\n")
    assert (status, stdout) == (0, "<explain><->a log\n")
    assert "a log" not in (sandbox.checkout / ".venv/setup.log").read_text()


def test_works_through_a_symbolic_link(sandbox: Sandbox) -> None:
    link = sandbox.folder / "elsewhere"
    link.symlink_to("a checkout/bin/pagewarden")
    assert sandbox.run(str(link), "x")[:2] == (0, "<x>")


@pytest.mark.parametrize(
    ("tools", "listed", "line"),
    [
        ({"apt-get": APT_GET}, True, "su -c 'apt-get install -y {}'"),
        ({"apt-get": APT_GET}, False, "su -c 'apt-get update && apt-get install -y {}'"),
        ({"apt-get": APT_GET, "sudo": ""}, True, "sudo apt-get install -y {}"),
        ({"apt-get": APT_GET, "sudo": ""}, False, "sudo sh -c 'apt-get update && apt-get install -y {}'"),
        ({"dnf": DNF, "sudo": ""}, True, "sudo dnf install -y {}"),
    ],
)
def test_without_root_the_line_to_run_is_printed(
    sandbox: Sandbox, tools: dict[str, str], listed: bool, line: str
) -> None:
    for name, text in tools.items():
        sandbox.tool(name, text)
    if listed:
        sandbox.flag("lists/deb_Packages.lz4")
    (sandbox.folder / "lacks").write_text(ALL_LACKING)
    packages = {
        "apt-get": "python3 python3-venv gcc libc6-dev python3-dev",
        "dnf": "python3 gcc python3-devel",
    }
    status, stdout, stderr = sandbox.run()
    assert (status, stdout) == (1, "")
    assert stderr.splitlines()[-1].strip() == line.format(packages[next(iter(tools))])
    assert sandbox.calls("apt-get") == []


def test_without_a_known_package_manager_it_says_what_is_missing(sandbox: Sandbox) -> None:
    (sandbox.folder / "lacks").write_text(ALL_LACKING)
    status, stdout, stderr = sandbox.run()
    assert (status, stdout) == (1, "")
    assert "Python 3.11 or later" in stderr
    assert "package manager" in stderr


def test_root_installs_what_is_missing_without_a_question(sandbox: Sandbox) -> None:
    sandbox.tool("id", "#!/bin/sh\necho 0\n")
    sandbox.tool("apt-get", APT_GET)
    (sandbox.folder / "lacks").write_text(ALL_LACKING)
    (sandbox.folder / "header").unlink()
    status, stdout, _ = sandbox.run()
    assert (status, stdout) == (0, "<>")
    calls = sandbox.calls("")
    apt = [call for call in calls if call.startswith("apt-get")]
    assert [call.split()[1] for call in apt] == ["install", "update", "install"]
    assert all(call.endswith("(noninteractive)") for call in apt)
    assert "-y " in apt[0]
    assert "python3 python3-venv gcc libc6-dev python3-dev libsystemd-dev" in apt[0]
    assert [call for call in calls if " -e ." in call][-1].endswith("-e .[metrics,html,systemd]")


def test_root_is_told_when_the_package_manager_fails(sandbox: Sandbox) -> None:
    sandbox.tool("id", "#!/bin/sh\necho 0\n")
    sandbox.tool("apt-get", "#!/bin/sh\necho 'E: no network'\nexit 100\n")
    (sandbox.folder / "lacks").write_text(ALL_LACKING)
    status, _, stderr = sandbox.run()
    assert status == 1
    assert "E: no network" in stderr
    assert stderr.splitlines()[-1].strip().startswith("apt-get update && apt-get install -y python3 ")


def test_an_old_python_asks_for_a_later_one(sandbox: Sandbox) -> None:
    sandbox.tool("python3", "#!/bin/sh\nexit 1\n")
    sandbox.tool("apt-get", APT_GET)
    assert "python3.11 python3.11-venv gcc libc6-dev python3.11-dev" in sandbox.run()[2]


def test_goes_on_without_the_journal_and_takes_it_up_once_it_can(sandbox: Sandbox) -> None:
    sandbox.tool("apt-get", APT_GET)
    (sandbox.folder / "header").unlink()
    status, _, stderr = sandbox.run()
    assert status == 0
    assert [
        line
        for line in stderr.splitlines()
        if "without reading the systemd journal" in line and "libsystemd-dev" in line
    ]
    assert sandbox.calls(" -e .")[0].endswith("-e .[metrics,html]")
    assert sandbox.run() == (0, "<>", "")
    # The headers alone do not help where the compiler is missing: nothing is tried, nothing is said.
    sandbox.flag("header")
    (sandbox.folder / "lacks").write_text("compiler\n")
    assert sandbox.run() == (0, "<>", "")
    assert sandbox.calls(" -e .") == []
    (sandbox.folder / "lacks").write_text(ALL_PRESENT)
    assert sandbox.run()[0] == 0
    assert sandbox.calls(" -e .")[0].endswith("-e .[metrics,html,systemd]")


def test_a_journal_module_that_does_not_build_is_left_out_once(sandbox: Sandbox) -> None:
    sandbox.flag("systemd-fails")
    status, _, stderr = sandbox.run()
    assert status == 0
    assert "systemd-python does not build" in stderr
    assert [call.split()[-1] for call in sandbox.calls(" -e .")] == [".[metrics,html,systemd]", ".[metrics,html]"]
    assert sandbox.run() == (0, "<>", "")
    assert sandbox.calls(" -e .") == []


def test_a_search_package_without_a_wheel_is_left_out(sandbox: Sandbox) -> None:
    sandbox.flag("no-wheel")
    status, stdout, stderr = sandbox.run()
    assert (status, stdout) == (0, "<>")
    assert "no wheel of stringzilla" in stderr
    assert sandbox.run() == (0, "<>", "")


def test_the_search_package_is_the_one_of_the_extra() -> None:
    fast = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["fast"]
    assert [f"'{requirement}'" in (ROOT / "bin/setup").read_text() for requirement in fast] == [True]


@pytest.fixture
def locked(sandbox: Sandbox) -> Path:
    folder = sandbox.checkout / "packaging/locked"
    shutil.copytree(ROOT / "packaging/locked", folder)
    return folder


def test_what_is_pinned_is_installed_first_by_its_hashes(sandbox: Sandbox, locked: Path) -> None:
    assert sandbox.run()[0] == 0
    installs = [call for call in sandbox.calls("pip install") if "--upgrade pip" not in call]
    names = [call.rpartition("/")[2] for call in installs if "--require-hashes" in call]
    assert names == ["run.txt", "systemd.txt", "fast.txt"]
    assert "-e .[metrics,html,systemd]" in installs[2]
    assert sandbox.run() == (0, "<>", "")
    (locked / "dev.txt").write_text("another\n")
    sandbox.run(str(sandbox.checkout / "bin/setup"), "dev")
    assert next(call.rpartition("/")[2] for call in sandbox.calls("--require-hashes")) == "dev.txt"


def test_a_mirror_that_lags_gives_other_versions_and_that_is_said(sandbox: Sandbox, locked: Path) -> None:
    sandbox.flag("lags")
    status, stdout, stderr = sandbox.run()
    assert (status, stdout) == (0, "<>")
    assert f"not all that {locked}/run.txt pins is to be had" in stderr
    assert sandbox.calls(" -e .")


def test_another_file_than_the_one_pinned_ends_the_set_up(sandbox: Sandbox, locked: Path) -> None:
    sandbox.flag("not-pinned")
    status, _, stderr = sandbox.run()
    assert status == 1
    assert f"a package is not the file that {locked}/run.txt pins" in stderr
    assert sandbox.calls(" -e .") == []


def test_a_failed_set_up_is_legible_and_made_anew(sandbox: Sandbox) -> None:
    flag = sandbox.flag("pip-fails")
    status, stdout, stderr = sandbox.run()
    assert (status, stdout) == (1, "")
    assert "ERROR: no such package" in stderr
    assert "WARNING" not in stderr
    assert stderr.splitlines()[-1].startswith("pagewarden: pip failed")
    flag.unlink()
    leftover = sandbox.checkout / ".venv/bin/leftover"
    leftover.touch()
    sandbox.calls("")
    assert sandbox.run()[0] == 0
    assert not leftover.exists()
    assert len(sandbox.calls("-m venv")) == 1


def test_a_changed_project_is_installed_again_into_the_same_environment(sandbox: Sandbox) -> None:
    sandbox.run(str(sandbox.checkout / "bin/setup"), "dev")
    assert sandbox.calls(" -e .")[0].endswith("-e .[dev,systemd]")
    assert sandbox.run() == (0, "<>", "")
    (sandbox.checkout / "pyproject.toml").write_text("[project]\n# changed\n")
    assert sandbox.run()[0] == 0
    calls = sandbox.calls("")
    assert not [call for call in calls if "-m venv" in call]
    assert next(call for call in calls if " -e ." in call).endswith("-e .[dev,systemd]")


def test_a_failed_update_is_not_forgotten_when_the_project_changes_back(sandbox: Sandbox) -> None:
    sandbox.run()
    flag = sandbox.flag("pip-fails")
    (sandbox.checkout / "pyproject.toml").write_text("[project]\n# changed\n")
    assert sandbox.run()[0] == 1
    flag.unlink()
    (sandbox.checkout / "pyproject.toml").write_text("[project]\n")
    sandbox.calls("")
    assert sandbox.run()[0] == 0
    assert len(sandbox.calls("-m venv")) == 1


def test_more_is_installed_when_the_tests_ask_for_it(sandbox: Sandbox) -> None:
    sandbox.run()
    sandbox.calls("")
    assert sandbox.run(str(sandbox.checkout / "bin/setup"), "dev")[0] == 0
    assert sandbox.calls(" -e .")[0].endswith("-e .[dev,systemd]")


def relocate(box: Sandbox) -> None:
    box.checkout.rename(box.folder / "b")
    box.checkout.symlink_to("b")


def change_interpreter(box: Sandbox) -> None:
    python = box.checkout / ".venv/bin/python"
    python.unlink()
    python.symlink_to(box.folder / "bin/python3")


@pytest.mark.parametrize("spoil", [relocate, change_interpreter])
def test_a_moved_checkout_or_another_interpreter_makes_it_anew(
    sandbox: Sandbox, spoil: Callable[[Sandbox], None]
) -> None:
    sandbox.run()
    spoil(sandbox)
    sandbox.calls("")
    assert sandbox.run()[0] == 0
    assert len(sandbox.calls("-m venv")) == 1


def test_two_first_starts_set_up_once(sandbox: Sandbox) -> None:
    sandbox.flag("pip-is-slow")
    starts = [sandbox.start() for _ in range(2)]
    outcomes = [(process.communicate(timeout=120), process.returncode) for process in starts]
    assert [(stdout, status) for (stdout, _), status in outcomes] == [("<>", 0), ("<>", 0)]
    assert len(sandbox.calls(" -e .")) == 1


def test_a_place_that_cannot_be_written_to_is_said(sandbox: Sandbox) -> None:
    (sandbox.checkout / ".venv").touch()
    status, _, stderr = sandbox.run()
    assert status == 1
    assert "cannot be written to" in stderr
    assert stderr.endswith(f"run this first: '{sandbox.checkout}/bin/setup' run\n")


def test_wrong_usage(sandbox: Sandbox) -> None:
    assert sandbox.run(str(sandbox.checkout / "bin/setup"), "tests") == (2, "", "usage: bin/setup [run|dev]\n")
