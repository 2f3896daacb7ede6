"""A whole Debian with systemd in QEMU, without KVM and without a network: a script runs in it as root.

The image holds Debian's own packages and, not installed, those that pagewarden's package depends on with the lists of
the archive: `apt-get install ./pagewarden_*.deb` resolves and installs as on a machine with a network. Every run
starts from the same image; nothing that a run does stays.
"""

import json
import lzma
import shutil
import subprocess
import tarfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.vm.archive import Archive, mirror
from tests.vm.cache import locked
from tests.vm.guest import BootError
from tests.vm.initrd import FOLDER, PROGRAM, TEXT, Files, archive_of

INSTALLED = "systemd,systemd-sysv,dbus,udev,kmod,procps,iproute2,busybox-static,python3,apt,man-db"
AT_HAND = (
    "python3-systemd",
    "python3-psutil",
    "python3-rich",
    "python3-pydantic",
    "python3-prometheus-client",
    "python3-jinja2",
)
"""Not installed; in the image's cache of packages, with all that they need."""

BUILD_SECONDS = 1800
DRIVERS = ("virtio_pci", "virtio_blk", "crc32c_generic", "ext4")
MASKED = (
    *("getty@.service", "serial-getty@.service", "console-getty.service", "systemd-timesyncd.service"),
    *(
        "apt-daily.timer",
        "apt-daily-upgrade.timer",
        "dpkg-db-backup.timer",
        "e2scrub_all.timer",
        "e2scrub_reap.service",
    ),
    *("fstrim.timer", "man-db.timer", "systemd-firstboot.service", "systemd-networkd-wait-online.service"),
)

JOB_UNIT = """\
[Unit]
Description=the job of this boot
After=multi-user.target

[Service]
Type=oneshot
ExecStart=/usr/local/sbin/run-job
TimeoutStartSec=infinity
"""
JOB_TARGET = """\
[Unit]
Description=the job, once all else is up
Requires=multi-user.target
Wants=job.service
After=multi-user.target
AllowIsolate=yes
"""
RUN_JOB = """\
#!/bin/bash
# The job is a tar on the second disk; its result becomes one on the third. Output goes out at once over a serial line.
mkdir -p /var/lib/job /var/lib/out
tar -xf /dev/vdb -C /var/lib/job
export OUT=/var/lib/out HOME=/root TERM=dumb LC_ALL=C.UTF-8
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
cd /var/lib/job
cut -d' ' -f1 /proc/uptime >$OUT/uptime-at-start
stty -F /dev/ttyS1 raw -opost 2>/dev/null
bash ./script </dev/null >/dev/ttyS1 2>&1
echo $? >$OUT/status
tar -cf /dev/vdc -C $OUT . && sync /dev/vdc
exec busybox poweroff -f
"""
INIT = """\
#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t devtmpfs dev /dev; mount -t proc proc /proc; mount -t sysfs sys /sys
while read module; do insmod $module; done </order
n=0; while [ ! -b /dev/vda ] && [ $n -lt 300 ]; do sleep 0.1; n=$((n+1)); done
mount -t ext4 /dev/vda /root || { echo NO ROOT; poweroff -f; }
mount --move /dev /root/dev; mount --move /proc /root/proc; mount --move /sys /root/sys
exec switch_root /root /sbin/init
"""


@dataclass(frozen=True, slots=True)
class Image:
    """What a whole system boots from."""

    kernel: Path
    initrd: Path
    disk: Path


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a script did. `files` holds what it left in $OUT; `boot_seconds` is the guest's clock when it started."""

    status: int
    output: str
    files: Path
    boot_seconds: float
    seconds: float


def missing_for_systems() -> str | None:
    """Why no whole system can be built or booted here, or None."""
    needed = {
        "qemu-system-x86_64": "qemu-system-x86",
        "mmdebstrap": "mmdebstrap",
        "mke2fs": "e2fsprogs",
        "depmod": "kmod",
    }
    lacking = sorted(package for program, package in needed.items() if shutil.which(program, path=SEARCHED) is None)
    return f"no whole systems: not installed: {', '.join(lacking)}" if lacking else None


PATIENCE = (
    "systemd.default_timeout_start_sec=900 systemd.default_device_timeout_sec=900 "
    "rcupdate.rcu_cpu_stall_suppress=1 no_timer_check"
)
"""A guest's clock runs on while a busy machine does not let it: units must not be given up for that."""
SEARCHED = "/usr/sbin:/usr/bin:/sbin:/bin"


def image_of(suite: str, cache: Path, *, ready: bool = False) -> Image:
    """Build the image of a suite, or give the one that was built; needs root.

    :param ready: with what pagewarden depends on installed, which takes a minute and more in a guest.
    """
    folder = cache / "systems" / (f"{suite}-ready" if ready else suite)
    image = Image(folder / "vmlinuz", folder / "initrd", folder / "disk.ext4")
    recipe = json.dumps([INSTALLED, AT_HAND, JOB_UNIT, JOB_TARGET, RUN_JOB, INIT, MASKED])
    with locked(folder):
        done = folder / "recipe"
        if not done.exists() or done.read_text() != recipe or time.time() - done.stat().st_mtime > 30 * 86400:
            done.unlink(missing_ok=True)
            _build(suite, cache, folder, image, ready=ready)
            done.write_text(recipe)
    return image


def _build(suite: str, cache: Path, folder: Path, image: Image, *, ready: bool) -> None:
    root = folder / "root"
    shutil.rmtree(root, ignore_errors=True)
    kernel = Archive(cache, suite, "amd64").unpacked("linux-image-cloud-amd64*").folder
    busybox = Archive(cache, suite, "amd64").unpacked("busybox-static").folder
    download = 'rm -f "$1"/var/cache/apt/archives/*.deb; '
    download += "APT_CONFIG=$MMDEBSTRAP_APT_CONFIG apt-get -y -q --download-only "
    download += f"-o APT::Install-Recommends=yes install {' '.join(AT_HAND)}"
    included = ",".join([INSTALLED, *(AT_HAND if ready else ())])
    # By way of an archive: mmdebstrap mounts the machine's /proc and /dev into a folder; none of ours may hold them.
    packed = folder / "root.tar"
    _run(
        *("mmdebstrap", "--quiet", "--variant=minbase", f"--include={included}", "--skip=cleanup/apt"),
        *(f"--customize-hook={download}", suite, str(packed), mirror()),
    )
    root.mkdir()
    _run("tar", "-x", "-f", str(packed), "-C", str(root), "--exclude=./dev/*")
    packed.unlink()
    _set_up(root)
    (modules,) = (path for path in kernel.glob("**/lib/modules/*") if path.is_dir())
    shutil.copytree(modules, root / "usr/lib/modules" / modules.name, symlinks=True)
    _run("depmod", "-b", str(root), modules.name)
    shutil.copy(next(path for path in kernel.rglob("vmlinuz*") if path.is_file()), image.kernel)
    image.initrd.write_bytes(drivers_initrd(busybox, root, modules.name, INIT))
    image.disk.unlink(missing_ok=True)
    with image.disk.open("wb") as disk:
        disk.truncate(4 << 30)
    _run("mke2fs", "-q", "-F", "-t", "ext4", "-O", "^has_journal", "-d", str(root), str(image.disk))
    shutil.rmtree(root)


def _set_up(root: Path) -> None:
    units = root / "etc/systemd/system"
    (units / "job.service").write_text(JOB_UNIT)
    (units / "job.target").write_text(JOB_TARGET)
    (units / "default.target").unlink(missing_ok=True)
    (units / "default.target").symlink_to("job.target")
    for name in MASKED:
        (units / name).unlink(missing_ok=True)
        (units / name).symlink_to("/dev/null")
    program = root / "usr/local/sbin/run-job"
    program.write_text(RUN_JOB)
    program.chmod(0o755)
    (root / "etc/hostname").write_text("guest\n")
    (root / "etc/hosts").write_text("127.0.0.1 localhost guest\n")
    (root / "etc/machine-id").write_text("a" * 32 + "\n")


def drivers_initrd(busybox: Path, root: Path, release: str, init: str, more: Files | None = None) -> bytes:
    """busybox and the modules between the kernel and its disk, unpacked and in the order of loading."""
    order: dict[str, bytes] = {}
    for driver in DRIVERS:
        listed = _run("modprobe", "-d", str(root), "-S", release, "--show-depends", driver, check=False)
        for path in (Path(line.split()[1]) for line in listed.splitlines() if line.startswith("insmod")):
            packed = path.read_bytes()
            order.setdefault(
                f"{path.name.partition('.ko')[0]}.ko", lzma.decompress(packed) if path.suffix == ".xz" else packed
            )
    program = max((path for path in busybox.rglob("busybox") if path.is_file()), key=lambda path: path.stat().st_size)
    files: Files = dict.fromkeys(("bin", "dev", "proc", "sys", "root", "modules"), FOLDER)
    files |= {"bin/busybox": (PROGRAM, program.read_bytes()), "init": (PROGRAM, init.encode())}
    files |= {"order": (TEXT, "".join(f"/modules/{name}\n" for name in order).encode())}
    files |= {f"modules/{name}": (TEXT, data) for name, data in order.items()}
    return archive_of(files | (more or {}))


def _run(*command: str, check: bool = True) -> str:
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=BUILD_SECONDS,
        env={"PATH": SEARCHED, "HOME": "/root", "LC_ALL": "C.UTF-8"},
    )
    if check and done.returncode != 0:
        raise BootError(f"{' '.join(command)}: status {done.returncode}\n{done.stderr[-2000:]}")
    return done.stdout


def run_in(
    image: Image,
    script: Path,
    files: Mapping[str, Path],
    folder: Path,
    *,
    seconds: float,
    memory_mb: int = 768,
    more: Sequence[str] = (),
) -> Outcome:
    """Boot and run a script with `files` (name there -> file here) beside it; what happens goes to `folder`.

    :raises BootError: where no status came back within `seconds`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(folder / "job.tar", "w") as job:
        for name, path in {"script": script, **files}.items():
            job.add(path, name)
    with (folder / "result.img").open("wb") as result:
        result.truncate(256 << 20)
    output, console = folder / "output", folder / "console"
    began = time.monotonic()
    with (folder / "qemu").open("wb") as said:
        process = subprocess.Popen(
            [
                *(
                    "qemu-system-x86_64",
                    "-accel",
                    "tcg",
                    "-cpu",
                    "max",
                    "-m",
                    str(memory_mb),
                    "-smp",
                    "1",
                    "-nographic",
                ),
                *("-nodefaults", "-no-reboot", "-nic", "none", "-monitor", "none"),
                *("-kernel", str(image.kernel), "-initrd", str(image.initrd)),
                *("-serial", f"file:{console}", "-serial", f"file:{output}"),
                *(
                    "-append",
                    f"console=ttyS0 quiet panic=-1 net.ifnames=0 systemd.show_status=0 mitigations=off {PATIENCE}",
                ),
                *("-drive", f"file={image.disk},format=raw,if=virtio,snapshot=on,cache=unsafe"),
                *("-drive", f"file={folder / 'job.tar'},format=raw,if=virtio,readonly=on"),
                *("-drive", f"file={folder / 'result.img'},format=raw,if=virtio,cache=unsafe"),
                *more,
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=said,
        )
        try:
            process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            pass
        finally:
            process.kill()
            process.wait()
    took = time.monotonic() - began
    return _outcome(folder, took)


def _outcome(folder: Path, took: float) -> Outcome:
    said = (folder / "output").read_text(errors="replace") if (folder / "output").exists() else ""
    results = folder / "results"
    try:
        with tarfile.open(folder / "result.img") as archive:
            archive.extractall(results, filter="data")
        status = int((results / "status").read_text())
        booted = float((results / "uptime-at-start").read_text())
    except (tarfile.TarError, OSError, ValueError):
        console = (folder / "console").read_text(errors="replace") if (folder / "console").exists() else ""
        qemu = (folder / "qemu").read_text(errors="replace")
        raise BootError(
            f"no result after {took:.0f} s\n{qemu}\n{said[-3000:]}\n-- console\n{console[-2000:]}"
        ) from None
    return Outcome(status, said, results, booted, took)
