"""The installation that the units run: where its program and its code are, and whether the service can use them."""

import os
import pwd
import re
import stat
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path

from pagewarden.errors import PagewardenError

HIDDEN = ("/home", "/root", "/run/user", "/tmp", "/var/tmp")
"""Folders that the units cannot see (ProtectHome=, PrivateTmp=)."""
PLAIN = re.compile(r"[\w./+@-]+", re.ASCII)
"""A path that systemd takes as it stands: it ends a word at a blank and replaces what follows a %."""


class InstallError(PagewardenError):
    """The service cannot be installed or taken away: which file or program, and why."""


def program() -> Path:
    """The installed command of this installation.

    :raises InstallError: where there is none, as when it runs from a source folder alone.
    """
    # Beside the interpreter in an environment; elsewhere where pip puts programs (Debian: /usr/local/bin); as called.
    places = [Path(sys.executable).parent / "pagewarden", Path(sysconfig.get_path("scripts")) / "pagewarden"]
    called = Path(sys.argv[0])
    if called.is_absolute() and called.name == "pagewarden":
        places.append(called)
    for place in places:
        if place.is_file():
            return place
    raise InstallError(f"{places[0]}: not there; install pagewarden with pip or pipx first")


def code_folders() -> tuple[Path, ...]:
    """Where the program's code comes from: our own, what pip installed beside it, and the standard library."""
    others = (Path(sysconfig.get_path(name)) for name in ("purelib", "platlib", "stdlib"))
    return tuple(dict.fromkeys((Path(__file__).parents[2], *others)))


def objections(path: Path, code: Sequence[Path] = ()) -> Iterator[str]:
    """Why the units must not run this program: it cannot be named in them, seen or read, or others could change it.

    :param code: the folders of its code; everything below them is looked at, and the first of each fault named.
    """
    settings = Path(sys.prefix, "pyvenv.cfg")
    names = dict.fromkeys((path, path.resolve(), Path(sys.executable).resolve(), *code))
    if settings.is_file():
        names[settings] = None
    if not PLAIN.fullmatch(str(path)):
        yield f"{path}: a unit cannot hold every character of this path; {_elsewhere(path)}"
    for name in names:
        if _hidden(name):
            yield f"{name} is in a folder that the service may not see; {_elsewhere(name)}"
            return  # another environment is needed: what else is wrong with this one does not matter
    said = set()
    for name in names:
        # A folder of code within another one is looked through with that.
        inside = below(name) if name in code and not any(folder in name.parents for folder in code) else ()
        for reason in faults(chain(reversed(name.parents), (name,), inside), code):
            if reason not in said:
                said.add(reason)
                yield reason


def faults(parts: Iterable[Path | str], code: Sequence[Path] = (), owner: int = 0) -> Iterator[str]:
    """The first part that others than the owner may change, and the first that the service may not read.

    :param code: the folders of code, for the command that mends it. :param owner: the number of root.
    """
    # There are tens of thousands of parts: one call of the system for each, and no Path.
    changeable = closed = False
    for part in parts:
        try:
            found = os.stat(part)  # noqa: PTH116
        except OSError:
            continue  # a link to nothing; or a folder above it is closed to us, and is named
        mode = found.st_mode
        folder = stat.S_ISDIR(mode)
        shared = mode & _SHARED and not (folder and mode & stat.S_ISVTX)
        if not changeable and (shared or found.st_uid != owner):
            changeable = True
            where = _elsewhere(Path(part))
            yield f"{part} can be changed by others than root, and parts of the service run as root; {where}"
        needed = _FOLDER_READ if folder else stat.S_IROTH
        if not closed and mode & needed != needed:
            closed = True
            yield f"{part} cannot be read by the account of the service; {_opened(Path(part), code)}"
        if changeable and closed:
            return


_SHARED = stat.S_IWGRP | stat.S_IWOTH
_FOLDER_READ = stat.S_IROTH | stat.S_IXOTH


def below(folder: Path | str) -> Iterator[str]:
    """Everything in a folder, in an order that is always the same; links to folders are not followed."""
    left = [str(folder)]
    while left:
        try:
            with os.scandir(left.pop()) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError:
            continue  # gone, or closed to us: its parent's entry is looked at
        yield from (entry.path for entry in entries)
        left += [entry.path for entry in reversed(entries) if entry.is_dir(follow_symlinks=False)]


def _hidden(path: Path) -> bool:
    return any(path.is_relative_to(folder) for folder in HIDDEN)


def _opened(part: Path, code: Sequence[Path]) -> str:
    """What lets everybody read it and all of the environment or the folder of code that it is in; never a home."""
    if _hidden(part) or any(_is_home(folder) for folder in (part, *part.parents)):
        return _elsewhere(part)
    environment = (Path(sys.prefix),) if sys.prefix != sys.base_prefix else ()
    whole = next((folder for folder in (*environment, *code) if part.is_relative_to(folder)), None)
    command = f"chmod a+rX {part}" if whole is None else f"chmod -R a+rX {whole}"
    return f"this mends it: {command}"


def _is_home(folder: Path) -> bool:
    try:
        return folder != Path("/") and Path(pwd.getpwuid(folder.stat().st_uid).pw_dir) == folder
    except (OSError, KeyError):
        return False


def _elsewhere(path: Path) -> str:
    if "pipx" in path.parts:
        return "pipx install --global 'pagewarden[systemd]' makes one that it can use (before pipx 1.5: see --help)"
    return "the end of --help shows environments that it can use, such as /opt/pagewarden"
