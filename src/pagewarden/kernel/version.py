"""Kernel releases: parsing `uname -r` and comparing with mainline releases.

A release is a first guess only. Distributions backport, so wherever a snapshot shows a behaviour the snapshot decides
(`fit`); a release decides alone only where nothing can be observed.
"""

import re
from dataclasses import dataclass

_RELEASE = re.compile(r"([0-9]{1,3})\.([0-9]{1,4})(?:\.([0-9]{1,6}))?(.*)", re.DOTALL)
_DEBIAN_STABLE = re.compile(r"Debian ([0-9]{1,3})\.([0-9]{1,4})\.([0-9]{1,6})-")
_ENTERPRISE = re.compile(r"\.(el[0-9]{1,2})(?:_|\.|$)")

# Other kernels are packaged for these families too (mainline by elrepo, uek by Oracle); these are the vendor's own.
_ENTERPRISE_BASE = {
    "el5": (2, 6, 18),
    "el6": (2, 6, 32),
    "el7": (3, 10, 0),
    "el8": (4, 18, 0),
    "el9": (5, 14, 0),
    "el10": (6, 12, 0),
}


@dataclass(frozen=True, slots=True)
class KernelVersion:
    """A kernel release.

    :ivar release: as printed, for example "2.6.32-358.el6.x86_64".
    :ivar numbers: (major, minor, patch). For 2.6.x the patch is the x; a stable suffix (2.6.32.67) is not kept.
        Debian names packages 5.10.0-32 whatever the stable patch; where the banner says more, it is used.
    :ivar vendor: "el6", "el7", ... for the kernels of Red Hat's families, else None.
    """

    release: str
    numbers: tuple[int, int, int]
    vendor: str | None = None

    def at_least(self, major: int, minor: int, patch: int = 0) -> bool:
        """Whether the release number is this or later (vendors' backports not considered)."""
        return self.numbers >= (major, minor, patch)

    def stable_at_least(self, major: int, minor: int, patch: int) -> bool:
        """Whether this is that stable series at that patch or later: for fixes carried back into a series."""
        return self.numbers[:2] == (major, minor) and self.numbers[2] >= patch

    def __str__(self) -> str:
        return self.release


def parse_version(text: str) -> KernelVersion | None:
    """Read a release ("6.1.0-50-amd64") or a whole `/proc/version` line.

    The line's trailing "Debian 6.1.176-1" gives the true stable patch level where the release hides it.

    :return: None where the text does not start with a release number.
    """
    banner = text.strip()
    release = banner
    if banner.startswith("Linux version "):
        release = banner.split(None, 3)[2]
    release = release.split()[0] if release.split() else ""
    match = _RELEASE.match(release)
    if match is None:
        return None
    numbers = (int(match[1]), int(match[2]), int(match[3] or 0))
    for debian in _DEBIAN_STABLE.finditer(banner):  # the compiler's version stands in the banner too
        if numbers[:2] == (int(debian[1]), int(debian[2])):
            numbers = (numbers[0], numbers[1], int(debian[3]))
    enterprise = _ENTERPRISE.search(release)
    vendor = enterprise[1] if enterprise and _ENTERPRISE_BASE.get(enterprise[1]) == numbers else None
    return KernelVersion(release, numbers, vendor)
