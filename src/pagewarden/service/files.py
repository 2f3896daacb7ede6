"""What an installation of the service consists of: which file goes where, with which text. Pure."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

PACKAGED = "/usr/bin/pagewarden"
"""The program's place in the units as they are written."""

TARGETS: Mapping[str, str] = {
    "*.service": "etc/systemd/system",
    "*.path": "etc/systemd/system",
    "*.timer": "etc/systemd/system",
    "*.catalog": "usr/local/lib/systemd/catalog",
    "preset/*.preset": "etc/systemd/system-preset",
    "sysusers.d/*.conf": "etc/sysusers.d",
    "tmpfiles.d/*.conf": "etc/tmpfiles.d",
}
"""Below our own folder of units -> below the root. systemd reads all of these beside those of packages."""

UNIT_SUFFIXES = (".service", ".path", ".timer")

MARK = "# Written by 'pagewarden install-service'"


@dataclass(frozen=True, slots=True)
class ServiceFile:
    """One file of the installation. :ivar target: relative to the root. :ivar text: whole."""

    target: PurePosixPath
    text: str

    @property
    def is_unit(self) -> bool:
        """systemd can enable, stop and start it by its name."""
        return self.target.suffix in UNIT_SUFFIXES


def service_file(name: str, text: str, program: str, version: str) -> ServiceFile | None:
    """Give what becomes of one of our files, by its name below the folder of units; None where it is not installed."""
    for pattern, folder in TARGETS.items():
        if PurePosixPath(name).match(pattern) and name.count("/") == pattern.count("/"):
            target = PurePosixPath(folder) / PurePosixPath(name).name
            return ServiceFile(target, marked(text.replace(PACKAGED, program), version))
    return None


def marked(text: str, version: str) -> str:
    """The text below a line that says whose it is, and by which an edit is seen."""
    return f"{MARK}, {version}, {_digest(text)}; to take it away: pagewarden install-service --uninstall\n{text}"


def is_ours(text: str) -> bool:
    """We wrote it."""
    return text.startswith(MARK)


def is_untouched(text: str) -> bool:
    """We wrote it, and nobody has edited it since."""
    head, _, body = text.partition("\n")
    found = re.match(rf"{re.escape(MARK)}, [^,]+, ([0-9a-f]{{16}});", head)
    return found is not None and found[1] == _digest(body)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
