"""What packages are made from: the purge on a made root, man pages and completion of every command, pinned licences."""

import hashlib
import json
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from pagewarden.apply.record_text import record_text
from pagewarden.apply.snippet import digest, render_snippet
from pagewarden.apply.types import Intent, Owned, Pending, Record
from pagewarden.cli.main import COMMANDS
from pagewarden.kernel.simulate import Write

PROJECT = Path(__file__).parents[3]
PACKAGING = PROJECT / "packaging"
SNIPPET = "# Written by pagewarden\nvm.min_free_kbytes = 90000\n"
OWNED = {
    "key": "vm.min_free_kbytes",
    "value": "90000",
    "original": "67584",
    "why": 'a "quoted" reason',
    "evidence": ["a"],
}
RATIO = {"key": "vm.lowmem_reserve_ratio", "value": "256 128 32 0 0", "original": "256 256 32 0 0", "why": ""}


def record(*owned: dict[str, object], snippet: str = SNIPPET) -> str:
    digest = hashlib.sha256(snippet.encode()).hexdigest()
    retired = [{"key": "vm.zone_reclaim_mode", "reason": "", "since": ""}]
    found = {"version": 1, "owned": owned, "retired": retired, "snippet_sha256": digest, "pending": None}
    return json.dumps(found, indent=1) + "\n"


def maintained(root: Path, action: str, path: str = os.environ["PATH"]) -> list[str]:
    """Run postrm on a root that is a folder, and give what it says, without the program's name."""
    done = subprocess.run(
        ["sh", PACKAGING / "debian/postrm", action],
        env={"PATH": path, "DPKG_ROOT": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    return [line.removeprefix("pagewarden: ") for line in done.stderr.splitlines()]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Give a machine on which pagewarden set min_free_kbytes."""
    files = {
        "proc/sys/vm/min_free_kbytes": "90000\n",
        "proc/sys/vm/lowmem_reserve_ratio": "256\t128\t32\t0\t0\n",
        "etc/sysctl.d/60-pagewarden.conf": SNIPPET,
        "var/lib/pagewarden/apply/record.json": record(OWNED),
        "var/lib/pagewarden/history/history.db": "x",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "run/systemd/system").mkdir(parents=True)
    return tmp_path


def setting(root: Path, name: str = "min_free_kbytes") -> str:
    return " ".join((root / "proc/sys/vm" / name).read_text().split())


def test_remove_keeps_everything_and_says_so(root: Path) -> None:
    assert maintained(root, "remove") == [
        "/etc/sysctl.d/60-pagewarden.conf and the settings in it stay in force until this package is purged"
    ]
    assert setting(root) == "90000"
    assert (root / "var/lib/pagewarden/apply/record.json").exists()


def test_purge_puts_back_and_leaves_nothing(root: Path) -> None:
    assert maintained(root, "purge") == [
        "removed /etc/sysctl.d/60-pagewarden.conf",
        "vm.min_free_kbytes: 90000 -> 67584, as it was before pagewarden changed it",
    ]
    assert setting(root) == "67584"
    assert not list(root.rglob("*pagewarden*"))
    assert maintained(root, "purge") == []


def test_purge_of_several_settings_and_of_a_vector(root: Path) -> None:
    (root / "var/lib/pagewarden/apply/record.json").write_text(record(OWNED, RATIO))
    maintained(root, "purge")
    assert setting(root) == "67584"
    assert setting(root, "lowmem_reserve_ratio") == "256 256 32 0 0"


def test_what_somebody_else_set_is_left_alone(root: Path) -> None:
    (root / "proc/sys/vm/min_free_kbytes").write_text("70000\n")
    (root / "etc/sysctl.d/60-pagewarden.conf").write_text(SNIPPET + "vm.swappiness = 1\n")
    assert maintained(root, "purge") == [
        "/etc/sysctl.d/60-pagewarden.conf was edited: left alone",
        "vm.min_free_kbytes is 70000, which pagewarden did not write: left alone",
    ]
    assert setting(root) == "70000"
    assert (root / "etc/sysctl.d/60-pagewarden.conf").exists()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        record({**OWNED, "key": "vm.no_such_setting"}),
        record({**OWNED, "key": "vm.../../kernel/panic"}),
        record({**OWNED, "key": "kernel.panic"}),
        record(),
    ],
)
def test_a_record_that_says_nothing_of_ours_writes_nothing(root: Path, text: str) -> None:
    (root / "var/lib/pagewarden/apply/record.json").write_text(text)
    before = {path: path.read_bytes() for path in (root / "proc").rglob("*") if path.is_file()}
    maintained(root, "purge")
    assert {path: path.read_bytes() for path in (root / "proc").rglob("*") if path.is_file()} == before


def owned(key: str, value: str, original: str, why: str = 'a "reason" \\ – Ω') -> Owned:
    return Owned(key, value, original, why, ("value", "original"), "", "2026-11-25T11:00:00+00:00", "boot", "1")


MIN_FREE = owned("vm.min_free_kbytes", "90000", "67584")
SHARES = owned("vm.lowmem_reserve_ratio", "256 128 32 0 0", "256 256 32 0 0")


def interrupted(
    root: Path,
    intent: Intent,
    before: tuple[Owned, ...],
    after: tuple[Owned, ...],
    *writes: Write,
    written: bool = True,
) -> None:
    """Leave the record of a run that was killed, and our file as it was before or (written) after the run."""
    old, new = (render_snippet(entries, "1") or None for entries in (before, after))
    pending = Pending(
        intent=intent,
        started_at="2026-11-25T12:00:00+00:00",
        boot_id="boot",
        before={"vm.min_free_kbytes": "67584" if intent is Intent.APPLY else "90000"},
        writes=writes,
        snippet_before=old,
        snippet_after=new,
        owned_after=after,
        retired_after=(),
    )
    record = Record(before, (), None if old is None else digest(old), pending)
    (root / "var/lib/pagewarden/apply/record.json").write_text(record_text(record))
    snippet = root / "etc/sysctl.d/60-pagewarden.conf"
    text = new if written else old
    if text is None:
        snippet.unlink()
    else:
        snippet.write_text(text)


@pytest.mark.parametrize("written", [True, False])
@pytest.mark.parametrize("now", ["67584", "80000", "90000"])
@pytest.mark.parametrize("earlier", [(), (SHARES,)], ids=["first", "second"])
def test_purge_undoes_an_apply_that_was_interrupted(
    root: Path, earlier: tuple[Owned, ...], now: str, written: bool
) -> None:
    writes = (Write("vm.min_free_kbytes", "80000"), Write("vm.min_free_kbytes", "90000"))
    interrupted(root, Intent.APPLY, earlier, (*earlier, MIN_FREE), *writes, written=written)
    (root / "proc/sys/vm/min_free_kbytes").write_text(f"{now}\n")
    said = maintained(root, "purge")
    assert ("removed /etc/sysctl.d/60-pagewarden.conf" in said) == (written or bool(earlier))
    assert not any("left alone" in line for line in said)
    assert setting(root) == "67584"
    assert setting(root, "lowmem_reserve_ratio") == ("256 256 32 0 0" if earlier else "256 128 32 0 0")
    assert not list(root.rglob("*pagewarden*"))


@pytest.mark.parametrize("written", [True, False])
@pytest.mark.parametrize("now", ["67584", "90000"])
@pytest.mark.parametrize("kept", [(), (SHARES,)], ids=["all", "one"])
def test_purge_finishes_a_revert_that_was_interrupted(
    root: Path, kept: tuple[Owned, ...], now: str, written: bool
) -> None:
    interrupted(root, Intent.REVERT, (*kept, MIN_FREE), kept, Write("vm.min_free_kbytes", "67584"), written=written)
    (root / "proc/sys/vm/min_free_kbytes").write_text(f"{now}\n")
    said = maintained(root, "purge")
    assert not any("left alone" in line for line in said)
    assert setting(root) == "67584"
    assert setting(root, "lowmem_reserve_ratio") == ("256 256 32 0 0" if kept else "256 128 32 0 0")
    assert not list(root.rglob("*pagewarden*"))


def test_what_somebody_else_set_beside_an_interrupted_run_is_left_alone(root: Path) -> None:
    interrupted(root, Intent.APPLY, (), (MIN_FREE,), Write("vm.min_free_kbytes", "90000"))
    (root / "proc/sys/vm/min_free_kbytes").write_text("70000\n")
    with (root / "etc/sysctl.d/60-pagewarden.conf").open("a") as snippet:
        snippet.write("vm.swappiness = 1\n")
    assert maintained(root, "purge") == [
        "/etc/sysctl.d/60-pagewarden.conf was edited: left alone",
        "vm.min_free_kbytes is 70000, which pagewarden did not write: left alone",
    ]


def test_an_edited_file_that_an_interrupted_run_would_have_kept_is_left_alone(root: Path) -> None:
    interrupted(root, Intent.APPLY, (MIN_FREE,), (MIN_FREE,), Write("vm.min_free_kbytes", "90000"))
    record = root / "var/lib/pagewarden/apply/record.json"
    record.write_text(re.sub(r'("snippet_sha256": )"\w+"', r'\1"0123"', record.read_text()))
    assert "/etc/sysctl.d/60-pagewarden.conf was edited: left alone" in maintained(root, "purge")


def test_a_file_that_was_being_written_goes(root: Path) -> None:
    (root / "etc/sysctl.d/.60-pagewarden.conf.pagewarden-new").write_text("vm.min_fr")
    maintained(root, "purge")
    assert not list(root.rglob("*pagewarden*"))


@pytest.mark.parametrize("lost", [1, 2, 40, 200])
def test_a_record_that_is_cut_is_called_damaged(root: Path, lost: int) -> None:
    record = root / "var/lib/pagewarden/apply/record.json"
    record.write_text(record.read_text()[:-lost].rstrip("}\n"))
    assert maintained(root, "purge") == [
        "/var/lib/pagewarden/apply/record.json is damaged: what was changed is not known, and left as it is",
        "/etc/sysctl.d/60-pagewarden.conf is left too",
    ]
    assert setting(root) == "90000"
    assert (root / "etc/sysctl.d/60-pagewarden.conf").exists()


def test_a_file_without_a_record_is_named(root: Path) -> None:
    (root / "var/lib/pagewarden/apply/record.json").unlink()
    assert maintained(root, "purge") == ["/etc/sysctl.d/60-pagewarden.conf is left alone: there is no record of it"]


def test_in_a_chroot_the_running_kernel_is_left_alone(root: Path) -> None:
    (root / "run/systemd/system").rmdir()
    assert maintained(root, "purge") == [
        "removed /etc/sysctl.d/60-pagewarden.conf",
        "the running kernel is left alone: systemd does not run here, so it may be another system's",
    ]
    assert setting(root) == "90000"


def test_a_setting_that_cannot_be_written_is_said_in_our_words(root: Path) -> None:
    # A folder, as root may write any file.
    path = root / "proc/sys/vm/min_free_kbytes"
    tools = root / "tools"
    tools.mkdir()
    (tools / "tr").write_text("#!/bin/sh\necho 90000\n")
    (tools / "tr").chmod(0o755)
    path.unlink()
    path.mkdir()
    said = maintained(root, "purge", f"{tools}:{os.environ['PATH']}")
    assert said[1:] == ["vm.min_free_kbytes: could not be put back to 67584; it stays 90000 until the next boot"]


@pytest.mark.parametrize(
    ("account", "goes"),
    [
        ("pagewarden:x:998:998:Watches the Linux page allocator:/var/lib/pagewarden:/usr/sbin/nologin", True),
        ("pagewarden:x:998:998::/var/lib/pagewarden:/sbin/nologin", True),
        ("pagewarden:x:1000:1000:Page Warden:/home/pagewarden:/bin/bash", False),
        ("pagewarden:x:1000:1000::/var/lib/pagewarden:/bin/bash", False),
        ("", None),
    ],
)
def test_only_the_account_that_the_package_made_goes(tmp_path: Path, account: str, goes: bool | None) -> None:
    # The function alone: the script would look for the account, and for all else, on this machine.
    script = (PACKAGING / "debian/postrm").read_text()
    functions = re.findall(r"^say\(\) .*?}$|^remove_account\(\) .*?^}$", script, re.MULTILINE | re.DOTALL)
    assert len(functions) == 2
    for name in ("userdel", "groupdel"):
        (tmp_path / name).write_text(f'#!/bin/sh\necho "{name} $*"\n')
    (tmp_path / "getent").write_text(
        f'#!/bin/sh\n[ "$*" = "passwd pagewarden" ] || exit 1\necho "{account}" | grep .\n'
    )
    for tool in tmp_path.iterdir():
        tool.chmod(0o755)
    done = subprocess.run(
        ["sh", "-ec", "\n".join([*functions, "remove_account"])],
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == ("userdel pagewarden\ngroupdel pagewarden\n" if goes else "")
    assert ("is not the one that this package makes" in done.stderr) == (goes is False)


def test_every_command_has_a_man_page(tmp_path: Path) -> None:
    subprocess.run([sys.executable, PACKAGING / "man_pages.py", tmp_path], check=True)
    assert {path.name for path in tmp_path.iterdir()} == {
        "pagewarden.1",
        *(f"pagewarden-{name}.1" for name in COMMANDS),
    }
    for page in tmp_path.iterdir():
        text = page.read_text()
        assert re.match(rf"\.TH {page.stem.upper()} 1 ", text)
        assert all(f"\n.SH {part}" in text for part in ("NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", '"EXAMPLES"'))


@pytest.mark.thorough
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_command_completes(shell: str) -> None:
    done = subprocess.run(
        [sys.executable, PACKAGING / "completions.py", shell], capture_output=True, text=True, check=True
    )
    assert all(name in done.stdout for name in COMMANDS)
    assert "numa-partitioned" in done.stdout
    if shell == "bash":
        subprocess.run(["bash", "-n"], input=done.stdout, text=True, check=True)
    if shell == "fish":
        # -r alone offers files too.
        lines = [line for line in done.stdout.splitlines() if re.search(r" -[rx] ", line)]
        assert lines
        assert [line for line in lines if (" -r " in line) != (" -F " in line)] == []
        for option in ("root", "logs", "plan", "html", "output"):
            assert f" -l {option} -r -F " in done.stdout


def test_units_name_their_manual_and_start_only_what_every_system_has() -> None:
    units = [*(PROJECT / "systemd").glob("*.service"), *(PROJECT / "systemd").glob("*.path")]
    assert len(units) == 5
    for unit in units:
        text = unit.read_text()
        pages = re.findall(r"man:(\S+)\(1\)", re.search("^Documentation=(.*)$", text, re.MULTILINE)[1])  # type: ignore[index]
        assert set(pages) <= {"pagewarden", *(f"pagewarden-{name}" for name in COMMANDS)}
        assert pages
        started = re.findall(r"^Exec\w+=[-@:+!]*(\S+)", text, re.MULTILINE)
        assert set(started) <= {"/usr/bin/pagewarden", "/bin/sh"}


def test_what_is_carried_is_pinned_and_its_licence_named() -> None:
    requirements = (PACKAGING / "vendor/requirements.txt").read_text()
    names = re.findall(r"^([\w-]+)==\S+ \\\n +--hash=sha256:[0-9a-f]{64}", requirements, re.MULTILINE)
    assert len(names) == len(re.findall("==", requirements)) == 5
    copyright_file = (PACKAGING / "debian/copyright").read_text()
    assert [name for name in names if f"vendor/{name.replace('-', '_')}" not in copyright_file] == []


def test_crates_are_those_of_the_version_that_is_carried() -> None:
    text = (PACKAGING / "vendor/crates.txt").read_text()
    (version,) = re.findall(r"^pydantic-core==(\S+)", (PACKAGING / "vendor/requirements.txt").read_text(), re.MULTILINE)
    assert f"pydantic-core {version} " in text.splitlines()[0]
    listed = [line for line in text.splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r"[\w-]+ \d+\.\d+\.\d+\S* [0-9a-f]{64}", line) for line in listed)
    found = runpy.run_path(str(PACKAGING / "sbom"))["crates"]()
    assert len(found) == len(listed) > 90
    assert {"pkg:cargo/pyo3@0.26.0", "pkg:cargo/wasi@0.14.2%2Bwasi-0.2.4"} <= {crate["purl"] for crate in found}
    assert all(len(crate["externalReferences"][0]["hashes"][0]["content"]) == 64 for crate in found)


def test_what_is_needed_stands_in_the_list_once() -> None:
    needed = runpy.run_path(str(PACKAGING / "sbom"))["needed"]
    depends = "python3 (>= 3.11), python3 (<< 3.13), python3:any, libc6 (>= 2.14)"
    depends += ", systemd | systemd-standalone-sysusers (>= 2) | opensysusers"
    found = {component["name"]: (component["scope"], component.get("description")) for component in needed(depends)}
    assert len(needed(depends)) == len(found)
    assert found == {
        "python3": ("required", "needed: >= 3.11, << 3.13"),
        "systemd": ("optional", "needed: this or systemd-standalone-sysusers or opensysusers"),
        "systemd-standalone-sysusers": ("optional", "needed: >= 2, this or systemd or opensysusers"),
        "opensysusers": ("optional", "needed: this or systemd or systemd-standalone-sysusers"),
        "libc6": ("required", "needed: >= 2.14"),
    }


def test_the_sdist_holds_every_folder_of_the_source() -> None:
    left_out = {"src", "build", "dist", "mutants"}  # found by setuptools; made, and not the source
    folders = {path.name for path in PROJECT.iterdir() if path.is_dir() and path.name[0] != "."} - left_out
    grafted = set(re.findall(r"^graft (\S+)$", (PROJECT / "MANIFEST.in").read_text(), re.MULTILINE))
    assert grafted == {*folders, ".ci"}
