"""A kernel of any suite with Debian's Python and no init system: a program runs in it as process 1, up in seconds.

The root is the disk of tests/vm/system.py, thrown away after each run. The program and pagewarden, byte-compiled, come
on a second disk, since under emulation importing takes most of the time.
"""

import compileall
import os
import shutil
import subprocess
import sysconfig
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.vm.archive import Archive
from tests.vm.system import drivers_initrd, image_of

PROJECT = Path(__file__).parents[2]
PACKAGES = (
    *("pydantic", "pydantic_core", "annotated_types", "typing_extensions.py", "typing_inspection"),
    *("rich", "markdown_it", "mdurl", "pygments"),
)
ROOT_SUITE = "bookworm"
"""Its Python is 3.11; the packages come from the Python that runs this, which must be of that version."""

INIT = """\
#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t devtmpfs dev /dev; mount -t proc proc /proc; mount -t sysfs sys /sys
while read module; do insmod $module; done </order
for disk in vda vdb; do
  n=0; while [ ! -b /dev/$disk ] && [ $n -lt 300 ]; do sleep 0.1; n=$((n+1)); done
done
mount -t ext4 /dev/vda /root && mount -t ext4 -o ro /dev/vdb /root/mnt || { echo NO ROOT; poweroff -f; }
mount -t tmpfs run /root/run; mount -t tmpfs tmp /root/tmp
mount --move /dev /root/dev; mount --move /proc /root/proc; mount --move /sys /root/sys
exec switch_root /root /bin/sh /mnt/start
"""
START = """\
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 TERM=dumb
export PYTHONPATH=/mnt/lib:/mnt PYTHONUNBUFFERED=1
stty -F /dev/ttyS1 raw -opost
exec </dev/null >/dev/ttyS1 2>&1
cd /mnt
"""


@dataclass(frozen=True, slots=True)
class Guest:
    """What boots. :ivar job: the disk with the program, `disk` the root."""

    kernel: Path
    initrd: Path
    disk: Path
    job: Path
    release: str


def guest_of(suite: str, program: str, files: Mapping[str, Path], cache: Path, folder: Path) -> Guest:
    """Make everything that boots, in `folder`; needs root.

    :param program: shell, run at the end of START.
    :param files: name on the second disk -> file or folder here, beside pagewarden and what it needs.
    """
    folder.mkdir(parents=True, exist_ok=True)
    image = image_of(ROOT_SUITE, cache)
    disk = folder / "disk.ext4"
    disk.unlink(missing_ok=True)
    try:
        os.link(image.disk, disk)  # it may be built anew meanwhile
    except OSError:
        disk.symlink_to(image.disk)
    archive = Archive(cache, suite, "amd64")
    kernel = archive.unpacked("linux-image-cloud-amd64*").folder
    busybox = Archive(cache, ROOT_SUITE, "amd64").unpacked("busybox-static").folder
    (modules,) = (path for path in kernel.glob("**/lib/modules/*") if path.is_dir())
    if not (modules / "kernel").exists():  # forky and later have them in a package of their own
        apart = archive.unpacked(f"linux-modules-{modules.name}").folder
        (modules,) = (path for path in apart.glob("**/lib/modules/*") if path.is_dir())
    shutil.copy(next(path for path in kernel.rglob("vmlinuz*") if path.is_file()), folder / "vmlinuz")
    with tempfile.TemporaryDirectory() as scratch:
        shutil.copytree(modules, Path(scratch, "lib/modules", modules.name), symlinks=True)
        subprocess.run(["depmod", "-b", scratch, modules.name], check=True)
        packed = drivers_initrd(busybox, Path(scratch), modules.name, INIT)
    (folder / "initrd").write_bytes(packed)
    _make_job(folder / "job", START + program, files)
    make_disk(folder / "job.ext4", 128, folder / "job")
    return Guest(folder / "vmlinuz", folder / "initrd", disk, folder / "job.ext4", modules.name)


def _make_job(job: Path, start: str, files: Mapping[str, Path]) -> None:
    shutil.rmtree(job, ignore_errors=True)
    lib = job / "lib"
    lib.mkdir(parents=True)
    ignored = shutil.ignore_patterns("__pycache__")
    sources = [PROJECT / "src" / "pagewarden", *(Path(sysconfig.get_path("purelib")) / name for name in PACKAGES)]
    for source, target in [*((path, lib / path.name) for path in sources), *((files[n], job / n) for n in files)]:
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=ignored)
        else:
            shutil.copy(source, target)
    compileall.compile_dir(job, quiet=2, stripdir=str(job), prependdir="/mnt")
    (job / "start").write_text(start)


def make_disk(path: Path, megabytes: int, content: Path | None = None) -> None:
    """Make an ext4 disk, with a journal as any, from a folder."""
    path.unlink(missing_ok=True)
    with path.open("wb") as disk:
        disk.truncate(megabytes << 20)
    # Without what kernels before 5.15 lack.
    options = ["-O", "^orphan_file,^metadata_csum_seed", *(["-d", str(content)] if content else [])]
    done = subprocess.run(["mke2fs", "-q", "-F", "-t", "ext4", *options, str(path)], capture_output=True, text=True)
    if done.returncode != 0 and "Invalid filesystem option" in done.stderr:
        options[1] = "^metadata_csum_seed"
        subprocess.run(["mke2fs", "-q", "-F", "-t", "ext4", *options, str(path)], check=True)


def command_of(guest: Guest, console: Path, *, memory_mb: int = 512, more: Sequence[str] = ()) -> list[str]:
    """QEMU's command line; what the program prints comes on its standard output."""
    return [
        *("qemu-system-x86_64", "-accel", "tcg,thread=single", "-cpu", "max", "-m", str(memory_mb)),
        *("-display", "none", "-nodefaults", "-no-reboot", "-nic", "none", "-monitor", "none"),
        *("-kernel", str(guest.kernel), "-initrd", str(guest.initrd)),
        *("-serial", f"file:{console}", "-serial", "stdio"),
        *("-append", "console=ttyS0 quiet panic=-1 mitigations=off no_timer_check"),
        *("-drive", f"file={guest.disk},format=raw,if=none,id=root,snapshot=on,cache=unsafe"),
        *("-drive", f"file={guest.job},format=raw,if=none,id=job,readonly=on"),
        # Named one by one: their order decides which is vda.
        *("-device", "virtio-blk-pci,drive=root", "-device", "virtio-blk-pci,drive=job"),
        *more,
    ]
