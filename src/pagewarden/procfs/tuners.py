"""What tells that another program tunes this machine: its cgroup, its process, its files."""

import configparser
from collections.abc import Mapping
from dataclasses import dataclass, field

from pagewarden.errors import ReadError
from pagewarden.procfs.reader import Root

# Where systemd keeps the cgroups of services: the one hierarchy, or the named one beside the old controllers.
_SLICES = ("sys/fs/cgroup/system.slice", "sys/fs/cgroup/systemd/system.slice", "sys/fs/cgroup/unified/system.slice")
_PROFILE = "etc/tuned/active_profile"
_PROFILE_FOLDERS = ("etc/tuned/profiles", "etc/tuned", "usr/lib/tuned/profiles", "usr/lib/tuned")
_MOST_PROFILES = 32


@dataclass(frozen=True, slots=True)
class TunerFacts:
    """What was seen of other tuners.

    :ivar services: services whose cgroup holds processes ("tuned.service").
    :ivar commands: names of running processes (`/proc/PID/comm`); empty where others' processes are hidden.
    :ivar tuned_profiles: each profile of tuned that is active or included by one that is, the strongest first.
    :ivar tuned_settings: key -> (value as the profile has it, file of the profile).
    :ivar unread: file -> why it could not be read.
    """

    services: frozenset[str] = frozenset()
    commands: frozenset[str] = frozenset()
    tuned_profiles: tuple[str, ...] = ()
    tuned_settings: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    unread: Mapping[str, str] = field(default_factory=dict)


def read_tuners(root: Root) -> TunerFacts:
    """Look for other tuners. Never raises: what cannot be read is named in `unread`."""
    unread: dict[str, str] = {}
    profiles, settings = _tuned(root, unread)
    return TunerFacts(_services(root), _commands(root), profiles, settings, unread)


def _services(root: Root) -> frozenset[str]:
    found = set()
    for slice_path in _SLICES:
        for name in root.names(slice_path):
            # An empty file is a service that has ended and left its cgroup.
            if name.endswith(".service") and _text(root, f"{slice_path}/{name}/cgroup.procs").strip():
                found.add(name)
    return frozenset(found)


def _commands(root: Root) -> frozenset[str]:
    pids = [name for name in root.names("proc") if name.isdigit()]
    return frozenset(name for pid in pids if (name := _text(root, f"proc/{pid}/comm").strip()))


def _text(root: Root, path: str) -> str:
    """Read a file that may be gone by now."""
    try:
        return root.read(path).decode(errors="replace")
    except ReadError:
        return ""


def _tuned(root: Root, unread: dict[str, str]) -> tuple[tuple[str, ...], dict[str, tuple[str, str]]]:
    """Read the active profiles of tuned: the later of them wins, and a profile wins over those that it includes."""
    waiting = _text(root, _PROFILE).split()[::-1]
    seen: list[str] = []
    settings: dict[str, tuple[str, str]] = {}
    while waiting and len(seen) < _MOST_PROFILES:
        name = waiting.pop(0)
        if name in seen:
            continue
        seen.append(name)
        path, text = _profile(root, name)
        if path is None:
            unread[f"tuned profile {name}"] = "no such profile"
            continue
        try:
            own, included = parse_tuned_profile(text)
        except configparser.Error as error:
            unread[f"/{path}"] = str(error).partition("\n")[0]
            continue
        settings = {key: (value, f"/{path}") for key, value in own.items()} | settings
        waiting[:0] = reversed(included)
    return tuple(seen), settings


def _profile(root: Root, name: str) -> tuple[str | None, str]:
    for folder in _PROFILE_FOLDERS:
        path = f"{folder}/{name}/tuned.conf"
        if "/" not in name and (text := _text(root, path)):
            return path, text
    return None, ""


def parse_tuned_profile(text: str) -> tuple[dict[str, str], list[str]]:
    """Read a profile of tuned: the sysctls it sets, and the profiles it includes.

    :raises configparser.Error: not a profile.
    """
    parser = configparser.RawConfigParser(
        strict=False, allow_no_value=True, delimiters=("=",), comment_prefixes=("#", ";"), default_section=""
    )
    parser.optionxform = str  # type: ignore[method-assign,assignment]
    parser.read_string(text)
    settings: dict[str, str] = {}
    included: list[str] = []
    for section in parser.sections():
        entries = {key: value or "" for key, value in parser.items(section)}
        if section == "main":
            included = entries.get("include", "").replace(",", " ").split()
        elif entries.pop("type", section) == "sysctl":
            settings |= {key.replace("/", "."): " ".join(value.split()) for key, value in entries.items()}
    return settings, included
