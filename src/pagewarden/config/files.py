"""Which files the configuration is read from, in the order in which they are applied."""

from collections.abc import Iterator
from dataclasses import dataclass

from pagewarden.config.settings import ConfigError
from pagewarden.errors import ParseError, ReadError
from pagewarden.procfs.reader import Root, decode_text

# Highest priority first. Not /run/pagewarden: it belongs to the service, which has no rights, and what may be changed
# by the part that has them must not be decided there.
FOLDERS = ("etc/pagewarden", "usr/local/lib/pagewarden", "usr/lib/pagewarden")
MAIN = "pagewarden.toml"
DROP_INS = "pagewarden.toml.d"
MAX_BYTES = 256 << 10


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """One file to read.

    :ivar path: as the user would look for it.
    """

    path: str
    text: str


def config_files(root: Root) -> Iterator[ConfigFile]:
    """Give the files, those that win last.

    The main file of the first folder that has one, then the drop-ins of all folders by their names; one hides those of
    the same name in later folders, and a link to /dev/null only hides.

    :raises ConfigError: a file or folder that is there and cannot be read.
    """
    main = [f"{folder}/{MAIN}" for folder in FOLDERS]
    yield from _read_first(root, main)
    names = {name for folder in FOLDERS for name in _drop_ins(root, f"{folder}/{DROP_INS}")}
    for name in sorted(names):
        yield from _read_first(root, [f"{folder}/{DROP_INS}/{name}" for folder in FOLDERS])


def _read_first(root: Root, paths: list[str]) -> Iterator[ConfigFile]:
    """Give the first of these files that is there, unless it is one that only hides the others."""
    for path in paths:
        if root.link_target(path) == "/dev/null":
            return
        try:
            content = root.read(path)
            if len(content) > MAX_BYTES:
                raise ConfigError(f"{root.shown(path)}: larger than {MAX_BYTES >> 10} KiB")
            text = decode_text(content, root.shown(path))
        except ReadError as error:
            if error.missing:
                continue
            raise ConfigError(str(error)) from None
        except ParseError as error:
            raise ConfigError(str(error)) from None
        yield ConfigFile(root.shown(path), text)
        return


def _drop_ins(root: Root, folder: str) -> list[str]:
    """List the drop-ins of a folder; other names (editors' and packagers' copies) are left alone."""
    names = root.names(folder)
    if not names:
        _check_folder(root, folder)
    return [name for name in names if name.endswith(".toml") and not name.startswith(".")]


def _check_folder(root: Root, folder: str) -> None:
    # A folder that may not be listed looks empty; to read it as a file tells the two apart.
    try:
        root.read(folder)
    except ReadError as error:
        if error.missing or error.reason in ("not a regular file", "is a directory"):
            return
        raise ConfigError(str(error)) from None
    raise ConfigError(f"{root.shown(folder)}: expected a folder")
