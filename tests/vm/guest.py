"""One boot in QEMU, without KVM: the kernel's own answers to a list of writes, as a folder that `--root` reads.

A boot that does not come up is tried a second time: under emulation a kernel sometimes crashes early. What it said is
never asked twice.
"""

import gzip
import json
import lzma
import re
import shutil
import struct
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.vm.archive import Archive
from tests.vm.initrd import initrd
from tests.vm.matrix import ARCHES, Machine, steps_of

BOOT_SECONDS = 600
"""The longest that a boot may take; it takes 3 to 30 s on an idle machine."""
TRIES = 2


class BootError(Exception):
    """A machine did not come up, or did not come to its end: the last of what it and QEMU said."""


@dataclass(frozen=True, slots=True)
class Boot:
    """A machine that was booted: its files as they were before the first write, and the state after every write."""

    machine: Machine
    folder: Path
    kernel: str
    package_version: str
    steps: tuple[dict[str, Any], ...]
    seconds: float


def missing_program(machine: Machine) -> str | None:
    """Why this machine cannot be booted here, or None."""
    arch = ARCHES[machine.arch]
    if shutil.which(arch.program) is None:
        return f"no QEMU for {machine.arch}: {arch.program} is not installed (Debian: {arch.package})"
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        return "no apt-get to fetch Debian's kernels with"
    return None


def boot(machine: Machine, cache: Path, folder: Path) -> Boot:
    """Boot a machine, perform its writes, and leave what it printed in `folder`.

    :raises BootError: where it does not come to its end twice in a row.
    :raises ArchiveError: where its kernel cannot be fetched.
    """
    archive = Archive(cache, machine.suite, machine.arch)
    kernel = archive.unpacked(f"{machine.kernel_package}*", only="vmlinu[xz]*")
    busybox = archive.unpacked("busybox-static")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vmlinuz").write_bytes(_loadable(_largest(kernel.folder, "vmlinu[xz]*").read_bytes()))
    (folder / "initrd").write_bytes(initrd(_largest(busybox.folder, "busybox").read_bytes(), steps_of(machine)))
    for attempt in range(1, TRIES + 1):
        began = time.monotonic()
        printed, said = _run(machine, folder)
        seconds = time.monotonic() - began
        (folder / f"console-{attempt}").write_text(printed)
        if "\n@@END" in printed:
            break
    else:
        raise BootError(f"{machine.name}: no end after {seconds:.0f} s, {TRIES} times\n{said}\n{printed[-1500:]}")
    (folder / "vmlinuz").unlink()
    steps = tuple(_record(printed, folder))
    release = (folder / "proc/version").read_text().split()[2]
    return Boot(machine, folder, release, kernel.version, steps, seconds)


def _largest(folder: Path, pattern: str) -> Path:
    """The one that is meant: hooks and completions may have a program's name."""
    found = [path for path in folder.rglob(pattern) if path.is_file() and not path.is_symlink()]
    if not found:
        raise BootError(f"{folder}: no {pattern} in this package")
    return max(found, key=lambda path: path.stat().st_size)


def _loadable(image: bytes) -> bytes:
    """What is packed into an image that unpacks itself under EFI: QEMU before 8.2 cannot load those."""
    if image[:2] != b"MZ" or image[4:8] != b"zimg":
        return image
    start, size = struct.unpack_from("<II", image, 8)
    kind, packed = image[24:56].split(b"\0")[0], image[start : start + size]
    if kind == b"gzip":
        return gzip.decompress(packed)
    if kind in (b"xzkern", b"lzma"):
        return lzma.decompress(packed)
    done = subprocess.run(["zstd", "-dc"], input=packed, stdout=subprocess.PIPE, check=True)
    return done.stdout


def _run(machine: Machine, folder: Path) -> tuple[str, str]:
    """What the machine printed on its console, and what QEMU had to say."""
    process = subprocess.Popen(
        qemu_command(machine), cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        console, said = process.communicate(timeout=BOOT_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        console, said = process.communicate()
    finally:
        process.kill()
        process.wait()
    return console.decode("latin-1").replace("\r", ""), said.decode("latin-1")[-800:]


def qemu_command(machine: Machine) -> list[str]:
    """The command line; kernel and initial RAM disk are named relative to the working folder."""
    arch = ARCHES[machine.arch]
    # A busy machine's guest must not conclude that its timer is broken.
    cmdline = f"console={arch.console} quiet panic=-1 no_timer_check {machine.cmdline}".strip()
    memory = f"{machine.memory_mb}M" + (f",slots=2,maxmem={8 * 1024}M" if machine.plugged_mb else "")
    backend = "" if machine.nodes_mb else ",memory-backend=ram"
    command = [arch.program, "-machine", arch.machine + backend, "-accel", "tcg,thread=single", "-nodefaults"]
    command += [
        "-display",
        "none",
        "-no-reboot",
        "-serial",
        "stdio",
        "-smp",
        str(len(machine.nodes_mb) or 1),
        "-m",
        memory,
    ]
    command += ["-cpu", arch.cpu] if arch.cpu else []
    command += _memory(machine)
    return [*command, "-kernel", "vmlinuz", "-initrd", "initrd", "-append", cmdline]


def _memory(machine: Machine) -> Iterator[str]:
    # reserve=off: a guest of 64 GiB that touches little of it boots on a small machine.
    if not machine.nodes_mb:
        yield from ("-object", f"memory-backend-ram,id=ram,size={machine.memory_mb}M,reserve=off")
    for number, megabytes in enumerate(machine.nodes_mb):
        node = f"node,nodeid={number},cpus={number}"
        if megabytes:
            yield from ("-object", f"memory-backend-ram,id=ram{number},size={megabytes}M,reserve=off")
            node += f",memdev=ram{number}"
        yield from ("-numa", node)
    if machine.distance is not None:
        yield from ("-numa", f"dist,src=0,dst=1,val={machine.distance}")
    if machine.plugged_mb:
        yield from ("-object", f"memory-backend-ram,id=plugged,size={machine.plugged_mb}M,reserve=off")
        yield from ("-device", "pc-dimm,memdev=plugged,id=dimm0")


FILE = re.compile(r"^@@F (\S+)\n(.*?)@@E (\d+)\n", re.MULTILINE | re.DOTALL)
STEP = re.compile(r"^@@S (\S+)\n@@V ([^\n]*)\n@@X ([^\n]*)\n(.*?)@@Z\n", re.MULTILINE | re.DOTALL)
ZONE = re.compile(r"^Node (\d+), zone +(\S+)\n(.*?)(?=^Node|^@@|\Z)", re.MULTILINE | re.DOTALL)
COUNT = re.compile(r"^ +(?:pages )?(\w+) +(\d+)$", re.MULTILINE)
ERRORS = {"Invalid argument": "EINVAL", "Device or resource busy": "EBUSY", "Permission denied": "EACCES"}


def _record(printed: str, folder: Path) -> Iterator[dict[str, Any]]:
    """Write the files below `folder` and a line a step to steps.jsonl there, and give the steps."""
    text = printed[printed.index("@@BEGIN\n") :]
    for path, content, status in FILE.findall(text):
        if status == "0":
            target = folder / path.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(content)
    with (folder / "steps.jsonl").open("w") as lines:
        for key, value, error, rest in STEP.findall(text):
            if error != "missing":
                step = _step(key, value, error, rest)
                lines.write(json.dumps(step) + "\n")
                yield step


def _step(key: str, value: str, error: str, rest: str) -> dict[str, Any]:
    switch = re.search(r"^@@T .*\[(\w+)\]", rest, re.MULTILINE)
    return {
        "write": {} if key == "-" else {key: value},
        "error": _errno(error),
        "sysctl": {name: text.replace("\t", " ") for name, text in re.findall(r"^@@Y (\w+)=(.*)$", rest, re.MULTILINE)},
        "thp": switch and switch[1],
        "zones": [_zone(int(node), name, body) for node, name, body in ZONE.findall(rest)],
    }


def _zone(node: int, name: str, body: str) -> dict[str, Any]:
    zone: dict[str, Any] = {"node": node, "zone": name, **{word: int(count) for word, count in COUNT.findall(body)}}
    protection = re.search(r"protection: \(([^)]*)\)", body)
    if protection is not None:
        zone["protection"] = [int(entry) for entry in protection[1].split(",")]
    return zone


def _errno(said: str) -> str | None:
    """The error's name; what is not in the table stays as it was said, and so is seen as a difference."""
    return next((name for words, name in ERRORS.items() if words in said), said.strip() or None)
