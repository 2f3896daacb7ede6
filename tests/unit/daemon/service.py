"""The real service as a process, with a manager that listens and a journal of its own; for the tests beside this."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from bench.daemon import REMOTE, make_journal

NO_REMOTE = pytest.mark.skipif(not Path(REMOTE).exists(), reason="no systemd-journal-remote here")


class Daemon:
    """The service, running.

    :ivar told: what it told its manager, in order.
    """

    def __init__(self, folder: Path, *arguments: str, keep: bool = True) -> None:
        self.folder = folder
        self.told: list[str] = []
        path = folder / "notify"
        path.unlink(missing_ok=True)
        self._manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._manager.bind(str(path))
        self._manager.settimeout(0.2)
        places = ("--state", str(folder), "--run", str(folder)) if keep else ()
        environment = {**os.environ, "NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "60000000"}
        environment.pop("JOURNAL_STREAM", None)
        self._log = (folder / "stderr").open("ab")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "pagewarden", "daemon", *places, *arguments],
            stdout=subprocess.DEVNULL, stderr=self._log, stdin=subprocess.DEVNULL, env=environment,
        )  # fmt: skip

    def listen_for(self, word: str, seconds: float = 60.0) -> str:
        """Wait until a message begins with a word; give the message."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                message = self._manager.recv(4096).decode()
            except TimeoutError:
                assert self.process.poll() is None, self.entries()
                continue
            self.told.append(message)
            if message.startswith(word):
                return message
        raise AssertionError(f"no {word} within {seconds} s: {self.told}")

    def finish(self, seconds: float = 300.0) -> int:
        """Listen until it ends by itself (a manager that does not listen would stop it); give its exit status."""
        end = time.monotonic() + seconds
        while self.process.poll() is None and time.monotonic() < end:
            with contextlib.suppress(TimeoutError):
                self.told.append(self._manager.recv(4096).decode())
        return self.end()

    def wait_for_entry(self, words: str, seconds: float = 60.0) -> str:
        """Wait for an entry that holds these words; give it."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for line in self.entries():
                if words in line:
                    return line
            time.sleep(0.1)
        raise AssertionError(f"no entry with {words!r} within {seconds} s: {self.entries()}")

    def entries(self) -> list[str]:
        return (self.folder / "stderr").read_text().splitlines()

    def state(self) -> dict[str, object]:
        return dict(json.loads((self.folder / "state.json").read_text()))

    def send(self, number: int) -> None:
        self.process.send_signal(number)

    def end(self, number: int = signal.SIGTERM) -> int:
        """End it; give its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        status = self.process.wait(timeout=120)
        self._log.close()
        self._manager.close()
        return status


__all__ = ["NO_REMOTE", "Daemon", "make_journal"]
