"""In a guest: bursts of received packets that the network driver has no memory for, until it is told to end.

eth0 and eth1 are wired to each other; eth1 stands in a network namespace. Readers keep the page cache full. A
sender of real-time priority sends bursts, so that kswapd does not run meanwhile; the receiver lets its sockets fill and
then drains them. The driver refills its ring with pages of callers that cannot wait (GFP_ATOMIC). This is a constructed
load: it shows the mechanism, not how often it happens.
"""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

NAMESPACE = ("ip", "netns", "exec", "rx")
RECEIVER, PORTS = "10.9.0.2", range(7000, 7004)
BURST_BYTES = 12_000_000
DATAGRAM = bytes(1400)  # fits a page of the slab: the sender itself never has to reclaim
SO_RCVBUFFORCE = 33


def wire() -> None:
    """Put the two cards up, and the receive work before kswapd."""
    for line in (
        "ip netns add rx",
        "ip link set eth1 netns rx",
        "ip addr add 10.9.0.1/24 dev eth0",
        "ip link set eth0 up",
        f"{' '.join(NAMESPACE)} ip addr add {RECEIVER}/24 dev eth1",
        f"{' '.join(NAMESPACE)} ip link set eth1 up",
        f"ip neigh replace {RECEIVER} lladdr 52:54:00:00:00:02 dev eth0",
    ):
        subprocess.run(line.split(), check=True)
    Path("/proc/sys/kernel/sched_rt_runtime_us").write_text("-1")
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # processes come and go
            if re.match("ksoftirqd", (process / "comm").read_text()):
                os.sched_setscheduler(int(process.name), os.SCHED_FIFO, os.sched_param(2))


def receive() -> None:
    """Let the sockets fill, and drain them."""
    sockets = []
    for port in PORTS:
        one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        one.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BURST_BYTES // 2)
        one.bind(("0.0.0.0", port))
        one.setblocking(False)
        sockets.append(one)
    buffer = bytearray(2048)
    while True:
        time.sleep(0.2)
        for one in sockets:
            try:
                while True:
                    one.recv_into(buffer)
            except BlockingIOError:
                continue


def send() -> None:
    """Send a burst, and pause."""
    sockets = []
    for port in PORTS:
        one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        one.connect((RECEIVER, port))
        sockets.append(one)
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    while True:
        for number in range(BURST_BYTES // len(DATAGRAM)):
            try:
                sockets[number % len(sockets)].send(DATAGRAM)
            except OSError:
                continue  # no buffers for the moment
        time.sleep(0.6)


def read(part: int) -> None:
    """Read the disk round and round from one of its sevenths on."""
    disk = os.open("/dev/vda", os.O_RDONLY)
    size = os.lseek(disk, 0, os.SEEK_END)
    place, buffer = size // 7 * part % size, bytearray(1 << 20)
    while True:
        got = os.preadv(disk, [buffer], place)
        place = place + got if got == len(buffer) else 0


def main() -> None:
    """Start the parts, and end them when this process is ended."""
    if sys.argv[1:]:
        part, *which = sys.argv[1:]
        {"receive": receive, "send": send, "read": lambda: read(int(which[0]))}[part]()
    wire()
    me = (sys.executable, __file__)
    parts = [subprocess.Popen([*me, "read", str(number)]) for number in (1, 4)]
    parts.append(subprocess.Popen([*NAMESPACE, *me, "receive"]))
    time.sleep(1)
    parts.append(subprocess.Popen([*me, "send"]))
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    for one in parts:
        one.kill()
    subprocess.run(["ip", "netns", "del", "rx"], check=True)


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT} if not sys.argv[1:] else set())
    main()
