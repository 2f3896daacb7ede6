"""Every vm setting beside what the kernel itself would have chosen, and who set it."""

from dataclasses import dataclass
from enum import StrEnum

from pagewarden.kernel.defaults import KernelMade, MinFreeDefault, default_min_free, default_settings, kernel_made
from pagewarden.kernel.machine import HUGE_SWITCH, MIN_FREE, RECLAIM_MODE, Machine
from pagewarden.kernel.min_free import HugePageReserve
from pagewarden.kernel.node_reclaim import switched_on_at_boot
from pagewarden.kernel.sysctl_write import parse_integers
from pagewarden.kernel.watermarks import zone_size
from pagewarden.kernel.zones import is_lowmem
from pagewarden.procfs.types import Snapshot, SysctlAssignment


class Writer(StrEnum):
    """Who gave a setting its value."""

    KERNEL = "kernel"
    HUGE_PAGES = "huge-pages"
    FILE = "file"
    COMMAND_LINE = "command-line"
    RUN_TIME = "run-time"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting in force.

    :ivar kernel_default: what this kernel would have chosen on this machine; None where not known.
    :ivar set_by: the writer in words ("kernel default", "/etc/sysctl.d/90-db.conf:3"); None where nothing tells.
    :ivar note: what makes the value no mystery, or a contradiction worth knowing; empty where there is none.
    """

    key: str
    value: str
    kernel_default: str | None
    writer: Writer
    set_by: str | None
    note: str = ""


def settings_of(snapshot: Snapshot, machine: Machine) -> tuple[Setting, ...]:
    """Judge every setting of the snapshot, in the order of their names; the huge-page switch last."""
    defaults = kernel_defaults(snapshot, machine)
    found = [
        _setting(snapshot, machine, key, value, defaults.get(key)) for key, value in sorted(snapshot.sysctls.items())
    ]
    if snapshot.huge_pages is not None:
        found.append(_huge_switch(snapshot))
    return tuple(found)


def kernel_defaults(snapshot: Snapshot, machine: Machine) -> dict[str, str]:
    """What this kernel would have chosen for each setting; settings of which nothing tells are left out."""
    defaults = default_settings(machine)
    if huge_pages_unknown(snapshot, machine):
        del defaults[MIN_FREE]
    old = machine.version is not None and not machine.version.at_least(3, 16) and machine.version.vendor != "el7"
    if RECLAIM_MODE in snapshot.sysctls and not (old and snapshot.distances is None and len(machine.nodes) > 1):
        auto = switched_on_at_boot(machine.version, snapshot.distances or {}, snapshot.arch)
        defaults[RECLAIM_MODE] = "1" if auto else "0"
    return defaults


HUGE_PAGES_FROM_BYTES = 512 << 20
"""Kernel: mm/huge_memory.c:hugepage_init(): smaller machines start with huge pages off."""


def huge_pages_unknown(snapshot: Snapshot, machine: Machine) -> bool:
    """The capture does not say whether huge pages were on, so that what khugepaged would ask for is not known."""
    if snapshot.huge_pages is not None or snapshot.live or not machine.rules.min_free.huge_pages:
        return False
    managed = sum(zone_size(zone, machine.rules.min_free.size) for zone in machine.zones)
    return managed * machine.page_size >= HUGE_PAGES_FROM_BYTES


def assigned(snapshot: Snapshot, key: str) -> SysctlAssignment | None:
    """The assignment that wins at boot, if any file or the kernel command line has one."""
    winning = [entry for entry in snapshot.assignments if entry.key == key and not entry.overridden]
    return winning[-1] if winning else None


def _setting(snapshot: Snapshot, machine: Machine, key: str, value: str, default: str | None) -> Setting:
    entry = assigned(snapshot, key)
    if entry is not None and _same(entry.value, value):
        return _from_assignment(key, value, default, entry)
    if key == MIN_FREE:
        return _min_free(snapshot, machine, value, entry)
    if value == default:
        note = f"{_where(entry)} asks for {entry.value}, which is not in force" if entry else ""
        return Setting(key, value, default, Writer.KERNEL, "kernel default", note)
    if default is None:
        maybe = key == RECLAIM_MODE and value == "1"
        note = "a kernel before 3.16 may have done it itself; the node distances are not captured" if maybe else ""
        return Setting(key, value, None, Writer.UNKNOWN, None, note)
    return Setting(key, value, default, *_not_the_kernel(snapshot, entry))


def _same(written: str, printed: str) -> bool:
    # A file may say 0x2000, give fewer ratios than there are slots, or end in words the kernel does not look at,
    # and an entry below 1 reads back as what the kernel made of it.
    got = [int(word) if word.lstrip("-").isdigit() else None for word in printed.split()]
    asked = parse_integers(written, len(got)).values
    return bool(asked) and all(
        value == entry or (value < 1 and entry in (0, 1)) for value, entry in zip(asked, got, strict=False)
    )


def _where(entry: SysctlAssignment) -> str:
    return f"{entry.source}:{entry.line_number}" if entry.line_number else entry.source


def _from_assignment(key: str, value: str, default: str | None, entry: SysctlAssignment) -> Setting:
    writer = Writer.FILE if entry.line_number else Writer.COMMAND_LINE
    return Setting(key, value, default, writer, _where(entry))


def _not_the_kernel(snapshot: Snapshot, entry: SysctlAssignment | None) -> tuple[Writer, str | None, str]:
    if entry is not None:
        return Writer.RUN_TIME, "written at run time", f"{_where(entry)} asks for {entry.value}"
    if snapshot.live or snapshot.assignments:
        note = "no sysctl.d file sets it; unless what wrote it runs again, it is gone after a reboot"
        return Writer.RUN_TIME, "written at run time", note
    return Writer.UNKNOWN, None, "not what the kernel chooses; the capture holds nothing that says who set it"


def _min_free(snapshot: Snapshot, machine: Machine, value: str, entry: SysctlAssignment | None) -> Setting:
    default = default_min_free(machine)
    effective = None if huge_pages_unknown(snapshot, machine) else str(default.effective_kb)
    made = kernel_made(machine, int(value))
    if made is None:
        writer, words, note = _not_the_kernel(snapshot, entry)
        if default.huge is not None and int(value) < default.huge.recommended_kb:
            note += f"; khugepaged would have set {huge_page_arithmetic(machine, default.huge)}"
        return Setting(MIN_FREE, value, effective, writer, words, note)
    if made is KernelMade.HUGE_PAGES:
        writer = Writer.HUGE_PAGES
        if default.huge is not None:
            note = huge_page_arithmetic(machine, default.huge)
        else:
            note = "" if snapshot.huge_pages is None else "huge pages have been switched off since"
    else:
        writer, note = Writer.KERNEL, _square_root_note(int(value), default)
    if entry is not None:
        note = f"{_where(entry)} asks for {entry.value}{_why_not(entry, int(value))}. {note}".rstrip()
    return Setting(MIN_FREE, value, effective, writer, f"kernel: {made.value}", note)


def _why_not(entry: SysctlAssignment, value: int) -> str:
    """Why a file's value is not in force: the kernel only ever raises a value that a user wrote."""
    asked = next(iter(parse_integers(entry.value, 1).values), None)
    if entry.needs_procps:
        return ", but systemd does not read that file (only sysctl -p does)"
    if asked is not None and asked < value:
        return "; the kernel raised it since"
    return ", which is not in force (not applied yet?)"


def _square_root_note(current: int, default: MinFreeDefault) -> str:
    if current == default.lowmem_formula_kb:
        return ""
    return (
        f"the formula gives {default.lowmem_formula_kb} for the memory managed now; it was computed at boot, "
        "when less was managed"
    )


def huge_page_arithmetic(machine: Machine, huge: HugePageReserve) -> str:
    """khugepaged's sum in words, so that 67584 or 90112 is no mystery."""
    counted = [z for z in machine.zones if z.populated and (machine.rules.min_free.huge_zones_all or is_lowmem(z))]
    names = ", ".join(f"{_node_words(machine, zone.node)}{zone.name}" for zone in counted)
    per_zone = huge.wanted_kb // huge.zone_count if huge.zone_count else 0
    text = f"{huge.wanted_kb} = {huge.zone_count} zones ({names}) x {per_zone} kB (11 page blocks each)"
    if huge.recommended_kb < huge.wanted_kb:
        text += f", cut to a twentieth of low memory beyond the high marks: {huge.cap_kb} kB"
    return text


def _node_words(machine: Machine, node: int) -> str:
    return f"node {node} " if len(machine.nodes) > 1 else ""


def _huge_switch(snapshot: Snapshot) -> Setting:
    assert snapshot.huge_pages is not None
    value = snapshot.huge_pages.enabled
    word = next((w for w in (snapshot.cmdline or "").split() if w.startswith("transparent_hugepage=")), None)
    if word is not None and word.partition("=")[2] == value:
        return Setting(HUGE_SWITCH, value, None, Writer.COMMAND_LINE, "kernel command line")
    return Setting(HUGE_SWITCH, value, None, Writer.UNKNOWN, None)
