"""Writing the units below a root, and taking them away again."""

import os
import shutil
import subprocess
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pagewarden.errors import ReadError
from pagewarden.service.environment import InstallError
from pagewarden.service.files import TARGETS, UNIT_SUFFIXES, ServiceFile, is_ours, is_untouched, service_file

COMMAND_SECONDS = 60


@dataclass(slots=True)
class Report:
    """What was done.

    :ivar units: the names of those among the removed that systemd may run. :ivar left: files that stay, and why.
    """

    written: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    units: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


def unit_folder() -> Path:
    """Where the units are: in an installed package's data, or in the checkout that this runs from.

    :raises ReadError: in neither.
    """
    installed = Path(sysconfig.get_path("data")) / "share" / "pagewarden" / "systemd"
    checkout = Path(__file__).parents[3] / "systemd"
    for folder in (installed, checkout):
        if any(folder.glob("*.service")):
            return folder
    raise ReadError(str(installed), "no units there; this installation of pagewarden is not complete", missing=True)


def files_to_install(folder: Path, path: Path, version: str) -> tuple[ServiceFile, ...]:
    """All of our files as they will be, in the order of their names."""
    found = []
    for pattern in TARGETS:
        for source in sorted(folder.glob(pattern)):
            made = service_file(source.relative_to(folder).as_posix(), source.read_text(), str(path), version)
            if made is not None:
                found.append(made)
    return tuple(found)


def packaged_unit(root: Path) -> Path | None:
    """The unit of a distribution's package, which must not be doubled."""
    places = (root / "usr/lib/systemd/system/pagewarden.service", root / "lib/systemd/system/pagewarden.service")
    return next((place for place in places if place.exists()), None)


def how_to_start(root: Path) -> str:
    """What an administrator does so that the service runs: start the unit, or bring it along first."""
    folders = ("etc", "run", "usr/local/lib", "usr/lib", "lib")
    if any((root / folder / "systemd/system/pagewarden.service").exists() for folder in folders):
        return "systemctl enable --now pagewarden"
    return "not installed: install the package or run 'pagewarden install-service' first"


def install(root: Path, files: Sequence[ServiceFile]) -> Report:
    """Write every file; one that somebody edited stays as it is.

    :raises InstallError: what could not be written.
    """
    report = Report()
    for file in files:
        target = root / file.target
        found = _text(target)
        if found is not None and not is_untouched(found):
            report.left.append(f"{target}: {'was edited' if is_ours(found) else 'is not ours'}; left as it is")
            continue
        _write(target, file.text)
        report.written.append(str(target))
    return report


def uninstall(root: Path, *, dry_run: bool = False) -> Report:
    """Remove every file that we wrote and nobody edited.

    :param dry_run: remove nothing; the report is the same.
    :raises InstallError: what could not be read or removed.
    """
    report = Report()
    for pattern, folder in TARGETS.items():
        suffix = Path(pattern).suffix
        names = {path for stem in ("*pagewarden", "pagewarden-*") for path in (root / folder).glob(stem + suffix)}
        for target in sorted(names):
            found = _text(target)
            if found is None or not is_ours(found):
                continue
            if not is_untouched(found):
                unit = suffix in UNIT_SUFFIXES
                kept = "left alone, running or not" if unit else "left as it is"
                stop = f"systemctl disable --now {target.name}; " if unit else ""
                report.left.append(f"{target}: was edited; {kept}. To take it away: {stop}rm {target}")
                continue
            if not dry_run:
                try:
                    target.unlink()
                except OSError as error:
                    raise InstallError(f"{target}: {error.strerror}") from None
            report.removed.append(str(target))
            if suffix in UNIT_SUFFIXES:
                report.units.append(target.name)
    return report


def run_commands(commands: Sequence[Sequence[str]], report: Report) -> None:
    """Tell systemd; what fails is noted and the rest is done all the same."""
    for command in commands:
        shown = " ".join(command)
        if shutil.which(command[0]) is None:
            report.failed.append(f"{shown}: {command[0]} is not installed")
            continue
        try:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=COMMAND_SECONDS
            )
        except subprocess.TimeoutExpired:
            report.failed.append(f"{shown}: no end after {COMMAND_SECONDS} s")
            continue
        if done.returncode != 0:
            report.failed.append(f"{shown}: {' '.join(done.stderr.split()) or f'status {done.returncode}'}")


def _text(path: Path) -> str | None:
    try:
        return path.read_text()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise InstallError(f"{path}: {getattr(error, 'strerror', None) or 'not a text'}") from None


def _write(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("w") as handle:
            handle.write(text)
            handle.flush()
            os.fsync(handle.fileno())
        temporary.chmod(0o644)
        temporary.rename(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise InstallError(f"{path}: {error.strerror}") from None
