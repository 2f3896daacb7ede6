"""Run in the guest of bench/power_cut.py before any file of sysctl.d is applied: note the kernel's own settings."""

import json
from pathlib import Path

VM = Path("/proc/sys/vm")
OWN = Path("/tmp/kernels-own.json")
UNREADABLE = ("drop_caches", "compact_memory", "stat_refresh")


def settings() -> dict[str, str]:
    """Every readable setting."""
    found = [path for path in sorted(VM.iterdir()) if path.stat().st_mode & 0o400 and path.name not in UNREADABLE]
    return {f"vm.{path.name}": " ".join(path.read_text().split()) for path in found}


if __name__ == "__main__":
    # The one file that is somebody else's sets this one.
    OWN.write_text(json.dumps({**settings(), "vm.swappiness": "61"}))
