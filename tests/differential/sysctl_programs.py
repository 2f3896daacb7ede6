"""Runs the real systemd-sysctl and `sysctl --system` on made-up files, where nothing of this machine can be reached.

Each program is copied with its libraries into a root folder of its own whose /proc/sys is a folder of ordinary files:
what it "sets" is read back from there. No kernel setting can be touched, for no /proc is mounted in that root.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pagewarden.procfs.sysctl_files import SYSCTL_CONF, SYSCTL_FOLDERS

KEYS = ("vm.min_free_kbytes", "vm.swappiness", "vm.watermark_boost_factor", "vm.watermark_scale_factor")
UNSET = "unset"
ROOTS = "PAGEWARDEN_SYSCTL_ROOTS"  # more Debian roots, separated by colons, for versions other than this machine's

_PLACES = {
    "systemd": ("usr/lib/systemd/systemd-sysctl", "lib/systemd/systemd-sysctl"),
    "procps": ("usr/sbin/sysctl", "sbin/sysctl"),
}
_VERSION = {"systemd": re.compile(r"systemd (\d+)"), "procps": re.compile(r"procps-ng ([\d.]+)")}


@dataclass(frozen=True, slots=True)
class Link:
    """A symbolic link in a layout."""

    target: str


Layout = Mapping[str, str | Link]
"""What lies below /etc, /run, /usr and /lib: path -> text or link."""


@dataclass(frozen=True, slots=True)
class Program:
    """A program in its own root. `name`: "systemd" or "procps"; `version`: "252", "4.0.2"."""

    name: str
    version: str
    root: Path

    def apply(self, layout: Layout) -> dict[str, str]:
        """Lay the files out, run the program, and give the value of each key that it has written."""
        _lay_out(self.root, layout)
        command = ["/bin/systemd-sysctl"] if self.name == "systemd" else ["/bin/sysctl", "--system"]
        run_inside(self.root, command)
        values = {
            key: (self.root / "proc/sys" / key.replace(".", "/")).read_bytes().decode(errors="replace") for key in KEYS
        }
        # systemd-sysctl writes over what was there without cutting it: what it wrote is the first line.
        return {key: " ".join(value.split("\n")[0].split()) for key, value in values.items() if value != UNSET}


def run_inside(root: Path, command: list[str]) -> subprocess.CompletedProcess[str]:
    """Run a command whose `/` is this root; a user namespace makes it work without being root."""
    inside = ["unshare", "--user", "--map-root-user", "--root", str(root), "--", *command]
    return subprocess.run(inside, capture_output=True, text=True, check=False, env={"PATH": "/bin"}, timeout=60)


def find_programs(work: Path) -> Iterable[Program]:
    """Make a root for each program of this machine and of the roots named in the environment."""
    sources = [Path("/"), *(Path(root) for root in os.environ.get(ROOTS, "").split(":") if root)]
    for number, source in enumerate(sources):
        for name, places in _PLACES.items():
            binary = next((source / place for place in places if (source / place).is_file()), None)
            if binary is not None:
                root = _make_root(source, binary, work / f"{name}-{number}")
                said = run_inside(root, [f"/bin/{binary.name}", "--version"]).stdout
                if (version := _VERSION[name].search(said)) is not None:
                    yield Program(name, version[1], root)


def _make_root(source: Path, binary: Path, root: Path) -> Path:
    """Copy a program and what it links with."""
    (root / "bin").mkdir(parents=True)
    shutil.copy(binary.resolve(), root / "bin" / binary.name)
    inside = "/" + str(binary.relative_to(source))
    loader = next(iter(sorted((source / "lib64").glob("ld-linux-*"))), None)
    if loader is None:
        return root
    listing = [f"/lib64/{loader.name}", "--list", inside]
    listed = subprocess.run(listing, capture_output=True, text=True, check=False) if source == Path("/") else None
    said = listed.stdout if listed is not None else run_inside(source, listing).stdout
    for library in {*re.findall(r"(/\S+) \(0x", said), f"/lib64/{loader.name}"}:
        target = root / library[1:]
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy((source / library[1:]).resolve(), target)
    return root


def setting(root: Path, key: str) -> Path:
    """Give the ordinary file that stands for a setting."""
    return root / "proc/sys" / key.replace(".", "/")


def _lay_out(root: Path, layout: Layout) -> None:
    """Replace the settings of a root, and its /proc/sys, by fresh ones."""
    for path in (*SYSCTL_FOLDERS, "/proc"):
        shutil.rmtree(root / path[1:], ignore_errors=True)
    (root / SYSCTL_CONF[1:]).unlink(missing_ok=True)
    (root / "dev").mkdir(exist_ok=True)
    (root / "dev/null").touch()
    for key in KEYS:
        file = setting(root, key)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(UNSET)
    for path, content in layout.items():
        file = root / path[1:]
        file.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, Link):
            file.symlink_to(content.target)
        else:
            file.write_bytes(content.encode("utf-8", "surrogateescape"))
