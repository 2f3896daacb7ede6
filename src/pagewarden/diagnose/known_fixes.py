"""What later kernels mended, and what helps until then: read from the changes themselves, by release."""

from dataclasses import dataclass

from pagewarden.diagnose.releases import format_bounds
from pagewarden.kernel.version import KernelVersion
from pagewarden.klog.types import Report, ReportKind


@dataclass(frozen=True, slots=True)
class Fix:
    """A known change that bears on a report.

    :ivar text: what was wrong, where it was mended, what helps until then.
    :ivar cures: a kernel with the change would probably not have refused; else it is background only.
    """

    text: str
    stopgap: str | None
    cures: bool = False


def known_fixes(report: Report, version: KernelVersion | None) -> list[Fix]:
    """List the known changes for this kernel and this kind of request."""
    found = []
    waits = bool((report.gfp_mask or 0) & _OLD_WAIT)
    atomic_pairs = report.kind is ReportKind.PAGE_ALLOCATION_FAILURE and (report.order or 0) > 0 and not waits
    if atomic_pairs and (_may_be_el6(report) if version is None else version.vendor == "el6"):
        cures = version is not None and _el6_build(version) < EL6_MENDED
        found.append(Fix(_el6_text(version), _EL6_STOPGAP, cures))
    if version is None:
        return found
    if (2, 6, 38) <= version.numbers < (3, 3, 0) and version.vendor is None:
        found.append(Fix("2.6.38 to 3.2 demand two free pages more than meant in every check (mended in 3.3).", None))
    return found


_OLD_WAIT = 0x10
"""__GFP_WAIT, as Red Hat 6 numbers it."""

EL6_MENDED = 358
"""The build of Red Hat 6 in which kswapd compacts."""

_EL6_STOPGAP = (
    "As stopgaps the vendor names a larger vm.min_free_kbytes (more free memory, and so more free pairs of pages) and "
    "vm.zone_reclaim_mode=1 (reclaim near the failing node)."
)


def _el6_text(version: KernelVersion | None) -> str:
    known = (
        "before 2.6.32-358.el6 kswapd of Red Hat 6 did not compact memory, so that requests of two pages and more that "
    )
    known += "cannot wait failed with plenty of memory free"
    if version is None:
        return f"If this is Red Hat 6: {known}."
    if _el6_build(version) < EL6_MENDED:
        return f"{known[0].upper()}{known[1:]}."
    return f"{known[0].upper()}{known[1:]}; this kernel has that change already, a later one has more of the kind."


def _may_be_el6(report: Report) -> bool:
    # A bare mask, and a full stop before the order: kernels until 2.6.39, and Red Hat 6. Before its traces it names
    # the release.
    bare = report.gfp_names is None and not report.zones and not report.trace
    return bare and report.wording in (None, "failure.") and format_bounds(report)[1] <= (4, 6, 0)


def _el6_build(version: KernelVersion) -> int:
    # 2.6.32-358.el6.x86_64
    build = version.release.partition("-")[2].partition(".")[0]
    return int(build) if build.isdigit() else 0
