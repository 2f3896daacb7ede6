"""What packages are made from: the purge on a made root, man pages and completion of every command, pinned licences."""

import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pagewarden.cli.main import COMMANDS

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


def maintained(root: Path, action: str) -> list[str]:
    """Run postrm on a root that is a folder, and give what it says, without the program's name."""
    done = subprocess.run(
        ["sh", PACKAGING / "debian/postrm", action],
        env={"PATH": os.environ["PATH"], "DPKG_ROOT": str(root)},
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
    return tmp_path


def setting(root: Path, name: str = "min_free_kbytes") -> str:
    return " ".join((root / "proc/sys/vm" / name).read_text().split())


def test_remove_keeps_everything_and_says_so(root: Path) -> None:
    assert any("stay in force" in line for line in maintained(root, "remove"))
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


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_command_completes(shell: str) -> None:
    done = subprocess.run(
        [sys.executable, PACKAGING / "completions.py", shell], capture_output=True, text=True, check=True
    )
    assert all(name in done.stdout for name in COMMANDS)
    assert "numa-partitioned" in done.stdout
    if shell == "bash":
        subprocess.run(["bash", "-n"], input=done.stdout, text=True, check=True)


def test_what_is_carried_is_pinned_and_its_licence_named() -> None:
    requirements = (PACKAGING / "vendor/requirements.txt").read_text()
    names = re.findall(r"^([\w-]+)==\S+ \\\n +--hash=sha256:[0-9a-f]{64}", requirements, re.MULTILINE)
    assert len(names) == len(re.findall("==", requirements)) == 5
    copyright_file = (PACKAGING / "debian/copyright").read_text()
    assert [name for name in names if f"vendor/{name.replace('-', '_')}" not in copyright_file] == []
