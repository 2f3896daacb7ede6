"""The configuration of a machine: its files read, checked and merged."""

from typing import Any

from pagewarden.config.files import config_files
from pagewarden.config.settings import Config, ConfigError, Entry, Merged, all_settings
from pagewarden.procfs.reader import Root

_Found = tuple[Any, str | None, int | None]
"""A value, its file and its line."""


def read_config(root: Root) -> Merged:
    """Read the configuration below a root; without any file it is the defaults.

    :raises ConfigError: something is wrong with a file, or with what the files say together.
    """
    found: dict[tuple[str, str], _Found] = {}
    files = tuple(config_files(root))
    if files:
        # It takes a tenth of a second to load; most machines have no file.
        from pagewarden.config.check import check_file

        for file in files:
            for section, name, value, number in check_file(file):
                found[section, name] = (value, file.path, number)
    entries = []
    for setting in all_settings():
        value, path, line = found.get((setting.section, setting.name), (setting.default, None, None))
        entries.append(Entry(setting, tuple(value) if setting.is_list else value, path, line))
    merged = Merged(tuple(entries), tuple(file.path for file in files))
    _check_together(merged.config, merged)
    return merged


def _check_together(config: Config, merged: Merged) -> None:
    service = config.service
    if service.poll_min_seconds > service.poll_max_seconds:
        entry = merged.entry("service.poll_min_seconds")
        other = merged.entry("service.poll_max_seconds")
        raise ConfigError(
            f"{(entry if entry.file else other).place}: service.poll_min_seconds ({entry.value}) must not be more than"
            f" service.poll_max_seconds ({other.value}, {other.place})"
        )
