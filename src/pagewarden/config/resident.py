"""The configuration for the service, which never loads what checks it.

A child process, `pagewarden config --format json`, reads and checks the files; the service takes the values from what
it prints. The child's memory goes with it. (The module `subprocess` would stay, and takes 1 MiB.)
"""

import json
import os
import signal
import sys
import time

from pagewarden.config.settings import Config, ConfigError, config_of

_TIMEOUT_SECONDS = 30.0
_PATIENCE_SECONDS = 0.02


def load_config(root: str = "/") -> Config:
    """Read the configuration in a child process.

    :raises ConfigError: the files are wrong (the child's own line), or the child does not come to an end.
    """
    command = [sys.executable, "-P", "-m", "pagewarden", "config", "--format", "json", "--root", root]
    try:
        status, out, complaint = _run(command)
    except OSError as error:
        raise ConfigError(f"the configuration cannot be read: {sys.executable}: {error.strerror}") from None
    if status != 0:
        lines = complaint.decode(errors="replace").strip().splitlines() or [f"'pagewarden config' ended with {status}"]
        raise ConfigError(lines[-1].removeprefix("pagewarden config: "))
    return config_from_json(out)


def config_from_json(text: bytes) -> Config:
    """Take the values from the document that `pagewarden config --format json` prints."""
    entries = json.loads(text)["settings"]
    return config_of({(entry["section"], entry["name"]): entry["value"] for entry in entries})


def _run(command: list[str]) -> tuple[int, bytes, bytes]:
    """Run a child to its end; give its exit status (negative: the signal), standard output and standard error.

    It writes to memory, not to pipes: nobody has to read while it runs.
    """
    with os.fdopen(os.memfd_create("out"), "rb") as out, os.fdopen(os.memfd_create("err"), "rb") as err:
        wiring = [
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_DUP2, out.fileno(), 1),
            (os.POSIX_SPAWN_DUP2, err.fileno(), 2),
        ]
        child = os.posix_spawn(command[0], command, os.environ, file_actions=wiring)
        status = _wait(child)
        for stream in (out, err):
            stream.seek(0)
        return status, out.read(), err.read()


def _wait(child: int) -> int:
    deadline = time.monotonic() + _TIMEOUT_SECONDS
    while True:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            raise ConfigError(f"the configuration cannot be read: no answer within {_TIMEOUT_SECONDS:.0f} seconds")
        time.sleep(_PATIENCE_SECONDS)
