"""The running kernel: its settings written and read back, its zones, and the signs that a change hurts."""

import os
import time

from pagewarden.apply.paths import Paths
from pagewarden.apply.types import Signs
from pagewarden.errors import ApplyError
from pagewarden.kernel.simulate import Write
from pagewarden.procfs.pressure import parse_pressure
from pagewarden.procfs.reader import read_file
from pagewarden.procfs.sysctl import parse_sysctl
from pagewarden.procfs.types import Node
from pagewarden.procfs.vmstat import parse_vmstat
from pagewarden.procfs.zoneinfo import parse_zoneinfo


class Kernel:
    """The kernel of one machine, by its files."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths

    def read(self, key: str) -> str:
        """Read a setting, white space folded.

        :raises OSError: it is gone or may not be read.
        :raises PagewardenError: it is not what a kernel prints.
        """
        path = self._paths.sysctl(key)
        return parse_sysctl(key, read_file(path).decode(errors="replace"), str(path))

    def write(self, write: Write) -> None:
        """Write a setting with one call, as the kernel wants it.

        :raises OSError: the kernel refused it, or there is no such setting.
        """
        handle = os.open(self._paths.sysctl(write.key), os.O_WRONLY | os.O_CLOEXEC)
        try:
            content = f"{write.text}\n".encode()
            if os.write(handle, content) != len(content):
                raise OSError(f"{self._paths.sysctl(write.key)}: the kernel took only a part of it")
        finally:
            os.close(handle)

    def nodes(self) -> tuple[Node, ...]:
        """Read every zone.

        :raises PagewardenError: zoneinfo is damaged.
        """
        path = self._paths.root / "proc/zoneinfo"
        return parse_zoneinfo(read_file(path).decode(errors="replace"), str(path))

    def signs(self) -> Signs:
        """Read the signs.

        :raises PagewardenError: vmstat or the pressure file is damaged.
        """
        path = self._paths.root / "proc/vmstat"
        vmstat = parse_vmstat(read_file(path).decode(errors="replace"), str(path))
        stalls = sum(count for name, count in vmstat.items() if name.split("_")[0] == "allocstall")
        return Signs(stalls, vmstat.get("oom_kill"), self._full_stall_us())

    def _full_stall_us(self) -> int | None:
        path = self._paths.root / "proc/pressure/memory"
        try:
            full = parse_pressure(read_file(path).decode(errors="replace"), str(path)).full
        except OSError:
            return None  # not built in, or switched off
        return None if full is None else full.total_us

    def awake_seconds(self) -> float:
        """Give the time since boot, as the journal counts it: without the machine's sleep, which /proc/uptime has."""
        return time.clock_gettime(time.CLOCK_MONOTONIC)

    def boot_id(self) -> str:
        """Name this boot.

        :raises ApplyError: /proc does not tell.
        """
        try:
            return read_file(self._paths.boot_id).decode(errors="replace").strip()
        except OSError as error:
            raise ApplyError(f"{self._paths.boot_id}: {str(error.strerror or error).lower()}") from None


def in_words(error: BaseException) -> str:
    """Say in one line what went wrong."""
    if isinstance(error, OSError):
        text = str(error.strerror or error).lower()
        return f"{error.filename}: {text}" if error.filename else text
    return str(error) or type(error).__name__
