"""One instant of a machine, from the running system, a folder, a sosreport or an archive."""

import os
from collections.abc import Callable, Mapping
from functools import partial
from typing import TypeVar

from pagewarden.errors import ParseError, ReadError
from pagewarden.procfs import layout
from pagewarden.procfs.buddyinfo import parse_buddyinfo
from pagewarden.procfs.capture_notes import CaptureNotes, parse_notes
from pagewarden.procfs.derive import arch_from_facts, is_part_of, page_size_from_facts, usual_page_size
from pagewarden.procfs.gather import Gathered, gather
from pagewarden.procfs.hugepages import parse_choice, parse_size, parse_switch
from pagewarden.procfs.meminfo import parse_meminfo
from pagewarden.procfs.numa import parse_distances, parse_id_list
from pagewarden.procfs.pagetypeinfo import parse_pagetypeinfo
from pagewarden.procfs.pressure import parse_pressure
from pagewarden.procfs.roots import open_root
from pagewarden.procfs.swaps import parse_swaps
from pagewarden.procfs.sysctl import SYSCTL_SHAPES, parse_sysctl, parse_sysctl_dump, sysctl_path
from pagewarden.procfs.sysctl_files import SYSCTL_CONF, resolve_assignments
from pagewarden.procfs.sysctl_lines import parse_sysctl_file
from pagewarden.procfs.types import HugePages, Node, Snapshot, SysctlAssignment, SysctlFile, Zone
from pagewarden.procfs.vmstat import parse_vmstat
from pagewarden.procfs.zoneinfo import count_cpus, parse_zoneinfo

_T = TypeVar("_T")
_NOTHING_HERE = "no proc/zoneinfo here: expected a folder that mirrors /, an extracted sosreport or a capture archive"


def read_snapshot(root: str = "/", *, page_types: bool = True) -> Snapshot:
    """Read one instant of a machine.

    A file that is missing, refused or damaged is named in `absent` with the reason, and its facts are None. Only
    zoneinfo must be sound; where it is missing and buddyinfo is there, the snapshot has no nodes.

    :param root: "/", a folder that mirrors it, an extracted sosreport, or an archive of one of these.
    :param page_types: also read pagetypeinfo (the kernel holds each zone's lock while it counts).
    :raises ReadError: nothing there, no permission for zoneinfo, or an archive that is none or is not to be trusted.
    :raises ParseError: zoneinfo is damaged.
    """
    return assemble(gather(open_root(root), page_types=page_types))


def assemble(gathered: Gathered) -> Snapshot:
    """Make a snapshot of what was read; see `read_snapshot`."""
    return _Assembly(gathered).snapshot()


class _Assembly:
    """The parsing of what was gathered, and the reasons for what is missing."""

    def __init__(self, gathered: Gathered) -> None:
        self.gathered = gathered
        self.root = gathered.root
        self.absent: dict[str, str] = {}
        self.notes = CaptureNotes()
        self.notes = self._optional(layout.META, parse_notes, note=False) or self.notes

    def snapshot(self) -> Snapshot:
        """Put everything together."""
        nodes = self._nodes()
        zones = tuple(zone for node in nodes for zone in node.zones)
        vmstat = self._optional("proc/vmstat", parse_vmstat)
        meminfo = self._meminfo(zones)
        free_blocks = self._optional("proc/buddyinfo", parse_buddyinfo)
        sysctls = self._sysctls()
        uname = self._uname()
        banner = self._line("proc/version")
        kernel = _release(banner) or self._line("proc/sys/kernel/osrelease") or uname.get("release")
        cmdline = self._line("proc/cmdline")
        arch = self._arch(uname.get("machine")) or arch_from_facts(kernel, banner, zones, meminfo)
        min_free = sysctls.get("vm.min_free_kbytes")
        known_size = self._page_size() or page_size_from_facts(zones, meminfo, vmstat, int(min_free or 0))
        return Snapshot(
            source=self.root.source,
            live=self.root.live,
            kernel=kernel,
            banner=banner,
            arch=arch,
            page_size=known_size or usual_page_size(arch),
            page_size_assumed=known_size is None,
            nodes=nodes,
            sysctls=sysctls,
            cpu_count=self._cpu_count(),
            host=self._host(uname.get("host")),
            cmdline=cmdline,
            uptime_seconds=self._optional("proc/uptime", _parse_uptime),
            free_blocks=free_blocks,
            pagetypes=self._optional(layout.PAGETYPEINFO, parse_pagetypeinfo),
            huge_pages=self._huge_pages(),
            vmstat=vmstat,
            meminfo_kb=meminfo,
            distances=self._distances(),
            cpu_nodes=self._cpu_nodes(),
            pressure=self._optional("proc/pressure/memory", parse_pressure),
            swaps_kb=self._optional("proc/swaps", parse_swaps, note=False),
            sysctl_files=(files := self._sysctl_files()),
            assignments=self._assignments(files, cmdline or "", tuple(sysctls)),
            torn=(*self.notes.torn, *self.gathered.torn, *_zones_apart(nodes, free_blocks)),
            absent=self.absent,
            taken_at=self.notes.when,
        )

    def _nodes(self) -> tuple[Node, ...]:
        """Read the zones: the one file that must be sound."""
        failure = self.gathered.failures.get(layout.ZONEINFO)
        if self.gathered.nodes is not None:
            return self.gathered.nodes
        if failure is None:
            return parse_zoneinfo(self.gathered.text(layout.ZONEINFO) or "", self.root.shown(layout.ZONEINFO))
        if not failure.missing:
            raise failure
        if "proc/buddyinfo" not in self.gathered.contents:
            raise ReadError(self.root.source, _NOTHING_HERE, missing=True)
        self.absent["/" + layout.ZONEINFO] = failure.reason
        return ()

    def _optional(self, path: str, parse: Callable[[str, str], _T], *, note: bool = True) -> _T | None:
        """Parse a file that may be missing or damaged; the reason goes to `absent`."""
        failure = self.gathered.failures.get(path)
        if failure is not None:
            if note:
                self.absent["/" + path] = self.notes.absent.get("/" + path, failure.reason)
            return None
        try:
            text = self.gathered.text(path)
            return parse(text, self.root.shown(path)) if text is not None else None
        except ParseError as error:
            self.absent["/" + path] = _reason(error)
            return None

    def _meminfo(self, zones: tuple[Zone, ...]) -> Mapping[str, int] | None:
        """Read meminfo, unless it is not of the machine whose zones these are."""
        meminfo = self._optional("proc/meminfo", parse_meminfo)
        if meminfo is None or not is_part_of(zones, meminfo):
            return meminfo
        self.absent["/proc/meminfo"] = "less than half of what the zones hold: of a container, or of another machine"
        return None

    def _line(self, path: str, *, note: bool = True) -> str | None:
        """Give a file of one line, stripped; None where it is missing or empty."""
        return self._optional(path, lambda text, _: text.strip() or None, note=note)

    def _first_line(self, paths: tuple[str, ...]) -> str | None:
        """Give the first of these files that is there."""
        return next((line for path in paths if (line := self._line(path, note=False)) is not None), None)

    def _sysctls(self) -> dict[str, str]:
        """Read the sysctls, each from its file or from a `sysctl -a` in the capture."""
        dump = self._optional(layout.SYSCTL_DUMP, parse_sysctl_dump, note=False) or {}
        values: dict[str, str] = {}
        for key in SYSCTL_SHAPES:
            path = sysctl_path(key)
            value = self._optional(path, partial(parse_sysctl, key), note=key not in dump)
            if value is None and key in dump:
                try:
                    value = parse_sysctl(key, dump[key], self.root.shown(layout.SYSCTL_DUMP))
                except ParseError as error:
                    self.absent["/" + path] = _reason(error)
            if value is not None:
                values[key] = value
        return values

    def _uname(self) -> dict[str, str]:
        """Read `uname -a` of a sosreport: Linux HOST RELEASE ... MACHINE [...] GNU/Linux."""
        words = (self._first_line(layout.UNAME) or "").split()
        if len(words) < 6 or words[0] != "Linux":
            return {}
        machine = words[-2] if words[-1] == "GNU/Linux" else words[-1]
        return {"host": words[1], "release": words[2], "machine": machine}

    def _host(self, uname_host: str | None) -> str | None:
        """Find the machine's name."""
        if self.root.live:
            return os.uname().nodename
        return (
            self._line("proc/sys/kernel/hostname", note=False)
            or self.notes.host
            or uname_host
            or self._first_line(layout.HOSTNAME)
        )

    def _arch(self, uname_machine: str | None) -> str | None:
        """Find what the machine itself says it is."""
        return os.uname().machine if self.root.live else self.notes.arch or uname_machine

    def _page_size(self) -> int | None:
        """Find the page size where somebody knows it."""
        return os.sysconf("SC_PAGE_SIZE") if self.root.live else self.notes.page_size

    def _cpu_count(self) -> int | None:
        """Count the online CPUs."""
        online = self._optional(layout.CPUS, parse_id_list, note=False)
        if online:
            return len(online)
        zoneinfo = self.gathered.text(layout.ZONEINFO)
        counted = count_cpus(zoneinfo) if zoneinfo is not None else None
        if counted is None:
            self.absent["/" + layout.CPUS] = "no such file, and no other list of CPUs"
        return counted

    def _distances(self) -> dict[int, tuple[int, ...]] | None:
        """Read the distance table, a row a node."""
        rows = {node: self._optional(path, parse_distances) for node, path in self._node_files("distance")}
        return {node: row for node, row in rows.items() if row is not None} or None

    def _cpu_nodes(self) -> frozenset[int] | None:
        """Find the nodes that have CPUs."""
        nodes = self._optional(f"{layout.NODES}/has_cpu", parse_id_list, note=False)
        if nodes is not None:
            return frozenset(nodes)
        lists = {node: self._optional(path, parse_id_list) for node, path in self._node_files("cpulist")}
        read = {node: cpus for node, cpus in lists.items() if cpus is not None}
        return frozenset(node for node, cpus in read.items() if cpus) if read else None

    def _node_files(self, name: str) -> list[tuple[int, str]]:
        """List (node, path) of this file in every node's folder, in node order."""
        read = (*self.gathered.contents, *self.gathered.failures)
        paths = [path for path in read if path.startswith(f"{layout.NODES}/node") and path.endswith(f"/{name}")]
        return sorted((int(path.split("/")[-2].removeprefix("node")), path) for path in paths)

    def _huge_pages(self) -> HugePages | None:
        """Read the state of transparent huge pages."""
        read = (*self.gathered.contents, *self.gathered.failures)
        folder = next(
            (found for found in (layout.HUGE_PAGES_EL6, layout.HUGE_PAGES) if f"{found}/enabled" in read),
            layout.HUGE_PAGES,
        )
        enabled = self._optional(f"{folder}/enabled", parse_choice)
        if enabled is None:
            return None
        sizes: dict[int, str] = {}
        for path in self.gathered.contents:
            name = path.removeprefix(f"{folder}/hugepages-").removesuffix("kB/enabled")
            if name.isdigit() and (choice := self._optional(path, parse_choice)) is not None:
                sizes[int(name)] = choice
        return HugePages(
            enabled,
            self._optional(f"{folder}/shmem_enabled", parse_choice),
            self._optional(f"{folder}/khugepaged/defrag", parse_switch),
            self._optional(f"{folder}/hpage_pmd_size", parse_size),
            dict(sorted(sizes.items())),
        )

    def _sysctl_files(self) -> tuple[SysctlFile, ...]:
        """Read the files that set sysctls at boot."""
        read = {*self.gathered.contents, *self.gathered.failures, *self.gathered.links}
        paths = sorted(path for path in read if "/sysctl.d/" in path)
        files = [SysctlFile("/" + path, self._settings_text(path), self._telling_link(path)) for path in paths]
        conf = SYSCTL_CONF[1:]
        if conf in read:
            linked = any(file.link == SYSCTL_CONF for file in files)
            text = self._settings_text(conf, note=not paths, complain=not linked)
            failure = self.gathered.failures.get(conf)
            if failure is None or not failure.missing:
                files.append(SysctlFile(SYSCTL_CONF, text))
        return tuple(files)

    def _telling_link(self, path: str) -> str | None:
        """Give where a link leads where that matters: to sysctl.conf, or to nothing that could be read."""
        target = self.gathered.links.get(path)
        return target if target == SYSCTL_CONF or path not in self.gathered.contents else None

    def _assignments(
        self, files: tuple[SysctlFile, ...], cmdline: str, keys: tuple[str, ...]
    ) -> tuple[SysctlAssignment, ...]:
        """Find what sets sysctls at boot."""
        systemd = self.gathered.systemd if self.notes.systemd is None else self.notes.systemd
        return resolve_assignments(files, command_line=cmdline, systemd=systemd is not False, keys=keys)

    def _settings_text(self, path: str, *, note: bool = True, complain: bool = True) -> str | None:
        """Give the text of a file that sets sysctls; lines that are no assignment are noted.

        The programs that apply it do not care for its encoding: a comment in Latin-1 must not hide the rest.
        """
        if path not in self.gathered.contents:
            return self._optional(path, lambda text, _: text, note=note)
        text = self.gathered.contents[path].decode(errors="replace")
        for number, line in parse_sysctl_file(text, path).invalid if complain else ():
            self.absent[f"/{path}:{number}"] = f"neither 'key = value' nor a comment: '{line[:60]}'"
        return text


def _parse_uptime(text: str, path: str) -> float:
    """Read the first number of `/proc/uptime`."""
    word = text.split(None, 1)[0] if text.split() else ""
    if not word.replace(".", "", 1).isdigit():
        raise ParseError(path, 1, text.strip(), "seconds since boot")
    return float(word)


def _reason(error: ParseError) -> str:
    """Say what is wrong without the path, which differs between a folder and its archive."""
    where = f"damaged at line {error.line_number}" if error.line_number else "damaged"
    return f"{where}: expected {error.expected}"


def _release(banner: str | None) -> str | None:
    """Take the release out of `Linux version 6.1.0-50-amd64 (...) ...`."""
    words = (banner or "").split(None, 3)
    return words[2] if len(words) > 2 and words[:2] == ["Linux", "version"] else None


def _zones_apart(nodes: tuple[Node, ...], free_blocks: Mapping[tuple[int, str], object] | None) -> list[str]:
    """Compare the populated zones of zoneinfo with those of buddyinfo: files of one machine name the same."""
    if not nodes or not free_blocks:
        return []
    populated = {(zone.node, zone.name) for node in nodes for zone in node.zones if zone.populated}
    return [
        f"{where} has no node {node} zone {zone}, {other} has"
        for where, other, keys in (
            ("buddyinfo", "zoneinfo", populated - free_blocks.keys()),
            ("zoneinfo", "buddyinfo", free_blocks.keys() - populated),
        )
        for node, zone in sorted(keys)
    ]
