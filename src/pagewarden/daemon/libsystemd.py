"""The three things of systemd-python that the service uses, from the compiled parts of that library.

`systemd.journal` and `systemd.daemon` wrap them and import logging, traceback, uuid, socket and more for it: 1.9 MiB of
resident memory that nothing here would use. Where a later release has moved the parts, its public modules do.
"""

import importlib
from collections.abc import Callable
from typing import Any


def _part(private: str, public: str, name: str) -> Any:
    try:
        return getattr(importlib.import_module(private), name)
    except (ImportError, AttributeError):
        return getattr(importlib.import_module(public), name)


def notify() -> Callable[[str], object]:
    """Give `systemd.daemon.notify`.

    :raises ImportError: systemd-python is not installed; so do the others.
    """
    return _part("systemd._daemon", "systemd.daemon", "notify")  # type: ignore[no-any-return]


def sendv() -> Callable[..., object]:
    """Give `systemd.journal.sendv`: an entry for the journal from "NAME=value" texts."""
    return _part("systemd._journal", "systemd.journal", "sendv")  # type: ignore[no-any-return]


def open_journal(directory: str | None) -> Any:
    """Open this machine's journal, or that in a directory.

    :raises OSError: it cannot be opened.
    """
    if directory is not None:
        return _reader_class()(0, directory)
    return _reader_class()(_part("systemd._reader", "systemd.journal", "LOCAL_ONLY"))


def open_journal_file(path: str) -> Any:
    """Open one journal file alone. It cannot be waited for.

    :raises OSError: it cannot be opened.
    """
    return _reader_class()(0, None, [path])


def invalidated() -> int:
    """Give what `process()` of a journal answers where files came, went or were renamed."""
    return int(_part("systemd._reader", "systemd.journal", "INVALIDATE"))


def _reader_class() -> Any:
    return _part("systemd._reader", "systemd.journal", "_Reader")
