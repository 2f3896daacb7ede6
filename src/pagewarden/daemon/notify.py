"""What the service tells its manager: ready, alive, reloading, stopping, and one line for `systemctl status`."""

import os
import time
from collections.abc import Callable

from pagewarden.daemon.libsystemd import notify

Notify = Callable[[str], object]


class Notifier:
    """Speaks to systemd where it listens; else says nothing."""

    def __init__(self, environment: dict[str, str] | None = None) -> None:
        """Find out whether a manager listens, and how often it wants a sign of life."""
        variables = dict(os.environ) if environment is None else environment
        self._send: Notify | None = _sender(variables.get("NOTIFY_SOCKET", ""))
        mine = variables.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        usec = variables.get("WATCHDOG_USEC", "")
        self.watchdog_ns: int | None = int(usec) * 1000 if mine and usec.isdigit() and int(usec) > 0 else None
        self._status = ""

    def ready(self, status: str) -> None:
        """Start-up, or a reload, is done."""
        self._status = status
        self._tell(f"READY=1\nSTATUS={status}")

    def alive(self, status: str) -> None:
        """Another turn of the loop is done: a sign of life, and the status line where it has changed."""
        line = f"\nSTATUS={status}" if status != self._status else ""
        self._status = status
        self._tell(f"WATCHDOG=1{line}")

    def status(self, status: str) -> None:
        """Show a line for the time being."""
        self._status = status
        self._tell(f"STATUS={status}")

    def reloading(self) -> None:
        """The configuration is being read again."""
        self._tell(f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self) -> None:
        """The service ends."""
        self._tell("STOPPING=1\nSTATUS=Ending.")

    def _tell(self, message: str) -> None:
        if self._send is not None:
            try:
                self._send(message)
            except OSError:
                return  # the manager is being restarted; the next message will reach it


def _sender(socket_path: str) -> Notify | None:
    if not socket_path:
        return None
    try:
        return notify()
    except ImportError:
        return _plain_sender(socket_path)


def _plain_sender(socket_path: str) -> Notify:
    """The same without systemd-python: one datagram a message (man sd_notify)."""
    import socket

    address = f"\0{socket_path[1:]}" if socket_path.startswith("@") else socket_path

    def send(message: str) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
            channel.sendto(message.encode(), address)

    return send
