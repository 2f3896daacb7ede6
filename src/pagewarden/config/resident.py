"""The configuration for the service, which never loads what checks it.

A child process, `pagewarden config --format json`, reads and checks the files; the service takes the values from what
it prints. The child's memory goes with it.
"""

import json
import subprocess
import sys

from pagewarden.config.settings import Config, ConfigError, config_of

_TIMEOUT_SECONDS = 30.0


def load_config(root: str = "/") -> Config:
    """Read the configuration in a child process.

    :raises ConfigError: the files are wrong (the child's own line), or the child cannot be started.
    """
    command = [sys.executable, "-P", "-m", "pagewarden", "config", "--format", "json", "--root", root]
    try:
        done = subprocess.run(
            command, capture_output=True, stdin=subprocess.DEVNULL, timeout=_TIMEOUT_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ConfigError(f"the configuration cannot be read: {error}") from None
    if done.returncode != 0:
        lines = done.stderr.decode(errors="replace").strip().splitlines() or [f"status {done.returncode}"]
        raise ConfigError(lines[-1].removeprefix("pagewarden config: "))
    return config_from_json(done.stdout)


def config_from_json(text: bytes) -> Config:
    """Take the values from the document that `pagewarden config --format json` prints."""
    entries = json.loads(text)["settings"]
    return config_of({(entry["section"], entry["name"]): entry["value"] for entry in entries})
