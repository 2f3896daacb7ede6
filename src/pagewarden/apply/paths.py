"""Where everything is that a change reads or writes, below a root that tests make themselves."""

from dataclasses import dataclass
from pathlib import Path

from pagewarden.procfs.sysctl import sysctl_path

SNIPPET = "/etc/sysctl.d/60-pagewarden.conf"
"""Our file, ours alone. Files of administrators that sort after it (70-..., 99-...) keep the last word."""


@dataclass(frozen=True, slots=True)
class Paths:
    """The files of one machine. :ivar root: "/" on the running system."""

    root: Path = Path("/")

    @property
    def snippet(self) -> Path:
        """Our file in sysctl.d."""
        return self.root / SNIPPET[1:]

    @property
    def state(self) -> Path:
        """The folder of the durable record."""
        return self.root / "var/lib/pagewarden/apply"

    @property
    def record(self) -> Path:
        """What we set, and a run that is not finished."""
        return self.state / "record.json"

    @property
    def lock(self) -> Path:
        """Held while anything is changed."""
        return self.state / "lock"

    @property
    def boot_id(self) -> Path:
        """Names this boot."""
        return self.root / "proc/sys/kernel/random/boot_id"

    def sysctl(self, key: str) -> Path:
        """The file of a setting in /proc/sys."""
        return self.root / sysctl_path(key)

    def shown(self, path: Path) -> str:
        """Write a path as on the machine itself."""
        return "/" + str(path.relative_to(self.root))
