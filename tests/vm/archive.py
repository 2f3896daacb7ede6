"""Packages of Debian's archive for any architecture, by an apt of our own: the machine's is not touched.

apt checks signatures and hashes. What was unpacked stays in the cache for a month.
"""

import json
import os
import re
import shutil
import subprocess
import tarfile
import time
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from tests.vm.cache import locked

MIRROR = "PAGEWARDEN_DEBIAN_MIRROR"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
FRESH_SECONDS = 30 * 86400
APT_SECONDS = 600
"""The longest that one call of apt may take."""


class ArchiveError(Exception):
    """Something cannot be fetched: which, and what apt said."""


@dataclass(frozen=True, slots=True)
class Package:
    """An unpacked package."""

    name: str
    version: str
    folder: Path


def mirror() -> str:
    """$PAGEWARDEN_DEBIAN_MIRROR, the mirror of a machine that runs Debian, or Debian's own."""
    if os.environ.get(MIRROR):
        return os.environ[MIRROR]
    sources = [Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("debian.sources"))]
    for path in sources if Path("/etc/debian_version").exists() else []:
        found = re.search(r"^(?:URIs: *|deb (?:\[.*?\] )?)(\S+/debian/?)\s", _text(path), re.MULTILINE)
        if found:
            return found[1].rstrip("/")
    return "http://deb.debian.org/debian"


def _text(path: Path) -> str:
    return path.read_text() if path.is_file() else ""


@dataclass(frozen=True, slots=True)
class Archive:
    """One suite for one architecture."""

    cache: Path
    suite: str
    arch: str

    @property
    def folder(self) -> Path:
        return self.cache / "apt" / f"{self.suite}-{self.arch}"

    def unpacked(self, package: str, only: str = "*") -> Package:
        """Fetch and unpack a package, or its files `only` of this name; a name ending in `*` takes what it depends on.

        `linux-image-cloud-amd64*` is the kernel that this package stands for, whatever its version is today.

        :raises ArchiveError: where apt cannot.
        """
        with locked(self.folder):
            target = self.folder / "unpacked" / (package.rstrip("*") + ("" if only == "*" else "-part"))
            if not _is_fresh(target):
                self._refresh(target, package, only)
            noted = json.loads((target / "package.json").read_text())
            return Package(noted["name"], noted["version"], target)

    def _refresh(self, target: Path, package: str, only: str) -> None:
        had = (target / "package.json").exists()
        try:
            self._update()
            self._first_of(self._candidates(package), target, only)
        except ArchiveError:
            if not had:  # what was fetched a month ago will do while the archive is out of reach
                raise

    def _candidates(self, package: str) -> list[str]:
        if not package.endswith("*"):
            return [package]
        newest = self._behind(package.rstrip("*"))
        kind = re.escape(package.rstrip("*").removeprefix("linux-image-"))
        listed = self._apt(
            "apt-cache", "search", "--names-only", rf"^linux-(image|binary)-[0-9.]+[^-]*(-[0-9]+)?-{kind}$"
        )
        names = {line.split()[0] for line in listed.splitlines()} - {newest}
        return [newest, *sorted(names, key=_numbers, reverse=True)]

    def _first_of(self, names: list[str], target: Path, only: str) -> None:
        """A mirror lists a kernel a while before it has it: then the one before it in the suite is taken."""
        failures = []
        for name in names:
            try:
                self._unpack(name, target, only)
            except ArchiveError as error:
                failures.append(str(error))
            else:
                return
        raise ArchiveError("\n".join(failures))

    def _update(self) -> None:
        stamp = self.folder / "updated"
        if stamp.exists() and time.time() - stamp.stat().st_mtime < 3600:
            return
        for name in ("lists/partial", "cache/archives/partial"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        (self.folder / "sources.list").write_text(f"deb [signed-by={KEYRING}] {mirror()} {self.suite} main\n")
        (self.folder / "apt.conf").write_text(APT_CONF.format(arch=self.arch, folder=self.folder))
        self._apt("apt-get", "-q", "-o", "Acquire::Retries=3", "update", "--error-on=any")
        stamp.touch()

    def _behind(self, package: str) -> str:
        """The versioned package with the kernel's files that a package depends on, however many steps away."""
        for _ in range(3):
            depends = self._apt("apt-cache", "depends", package)
            found = re.search(r"^ +Depends: (linux-(?:image|binary)-\d\S+)$", depends, re.MULTILINE)
            if found is None:
                return package
            package = found[1]
        return package

    def _unpack(self, name: str, target: Path, only: str) -> None:
        working = target.with_name(f"{target.name}.new")
        shutil.rmtree(working, ignore_errors=True)
        working.mkdir(parents=True)
        self._apt("apt-get", "-q", "-o", "Acquire::Retries=3", "download", name, cwd=working)
        (deb,) = working.glob("*.deb")
        version = _run(["dpkg-deb", "-f", str(deb), "Version"]).strip()
        _run(["dpkg-deb", "--fsys-tarfile", str(deb)], into=working / "files.tar")
        with tarfile.open(working / "files.tar") as files:
            wanted = [member for member in files if fnmatch(Path(member.name).name, only)]
            files.extractall(working, wanted, filter="tar")
        (working / "files.tar").unlink()
        deb.unlink()
        (working / "package.json").write_text(json.dumps({"name": name, "version": version}) + "\n")
        shutil.rmtree(target, ignore_errors=True)
        working.rename(target)

    def _apt(self, *command: str, cwd: Path | None = None) -> str:
        program, *arguments = command
        return _run([program, "-c", str(self.folder / "apt.conf"), *arguments], cwd=cwd)


APT_CONF = """\
APT::Architecture "{arch}"; APT::Architectures {{ "{arch}"; }};
Dir::Etc::sourcelist "{folder}/sources.list"; Dir::Etc::sourceparts "-";
Dir::State::lists "{folder}/lists"; Dir::State::status "/dev/null"; Dir::Cache "{folder}/cache";
Acquire::Languages "none"; APT::Sandbox::User "root";
"""


def _numbers(name: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", name)]


def _is_fresh(target: Path) -> bool:
    note = target / "package.json"
    return note.exists() and time.time() - note.stat().st_mtime < FRESH_SECONDS


def _run(command: list[str], cwd: Path | None = None, into: Path | None = None) -> str:
    """Run to the end and give what was printed, or nothing where it went `into` a file."""
    output = into.open("wb") if into else subprocess.PIPE
    try:
        done = subprocess.run(
            command,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.PIPE,
            check=False,
            timeout=APT_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise ArchiveError(f"{' '.join(command)}: no end after {APT_SECONDS} s") from None
    finally:
        if not isinstance(output, int):
            output.close()
    if done.returncode != 0:
        raise ArchiveError(
            f"{' '.join(command)}: status {done.returncode}\n{done.stderr[-2000:].decode(errors='replace')}"
        )
    return done.stdout.decode() if into is None else ""
