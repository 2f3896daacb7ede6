"""The facts of one instant of a machine, as its kernel printed them. Frozen; imports nothing of ours.

Integers are the kernel's integers, never rescaled. None means "this kernel does not print it" or "the capture
does not hold it" (`Snapshot.absent` says which files are not there); it never means zero.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Zone:
    """One zone of `/proc/zoneinfo`; all quantities in pages.

    :ivar name: the kernel's name ("DMA", "DMA32", "Normal", "HighMem", "Movable", "Device", or one we never heard of).
    :ivar boost_pages: the `boost` line (5.16 and later); already contained in min, low, high and promo.
    :ivar managed_pages: 3.8 and later.
    :ivar protection_pages: `protection: (...)`, one entry per zone index of this kernel; entry j holds against requests
        that could have used zone j. None where the line is not printed (5.8 omits it for empty zones).
    :ivar counters: every other `name value` line of the zone (`nr_free_pages`, `numa_hit`, `all_unreclaimable`, ...).
    """

    node: int
    name: str
    free_pages: int
    min_pages: int
    low_pages: int
    high_pages: int
    spanned_pages: int
    present_pages: int
    managed_pages: int | None = None
    boost_pages: int | None = None
    promo_pages: int | None = None
    cma_pages: int | None = None
    reserved_highatomic_pages: int | None = None
    free_highatomic_pages: int | None = None
    protection_pages: tuple[int, ...] | None = None
    start_pfn: int | None = None
    counters: Mapping[str, int] = field(default_factory=dict)

    @property
    def populated(self) -> bool:
        """Twin of `populated_zone()`: the zone has pages at all."""
        return self.present_pages > 0


@dataclass(frozen=True, slots=True)
class Node:
    """One NUMA node: its zones, lowest first, and the node-wide counters (4.8 and later) in pages or events."""

    node: int
    zones: tuple[Zone, ...]
    counters: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PageTypeInfo:
    """`/proc/pagetypeinfo` (root only since 5.4).

    :ivar free_blocks: (node, zone, migrate type) -> free blocks by order.
    :ivar truncated: (node, zone, migrate type, order) where the kernel cut the count off (`>100000`); the number kept
        there is the lower bound.
    :ivar blocks: (node, zone) -> migrate type -> number of page blocks.
    """

    pageblock_order: int
    pageblock_pages: int
    free_blocks: Mapping[tuple[int, str, str], tuple[int, ...]]
    truncated: frozenset[tuple[int, str, str, int]]
    blocks: Mapping[tuple[int, str], Mapping[str, int]]


@dataclass(frozen=True, slots=True)
class HugePages:
    """Transparent huge pages, from `/sys/kernel/mm/transparent_hugepage/`.

    :ivar enabled: the word in brackets: "always", "madvise" or "never".
    :ivar shmem_enabled: likewise for shmem ("never", "advise", "always", "within_size", "deny", "force").
    :ivar sizes: kB of each multi-size folder `hugepages-<N>kB/enabled` (6.8 and later) -> its word in brackets.
    :ivar pmd_size_bytes: `hpage_pmd_size`.
    """

    enabled: str
    shmem_enabled: str | None = None
    khugepaged_defrag: bool | None = None
    pmd_size_bytes: int | None = None
    sizes: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PressureLine:
    """One line of `/proc/pressure/memory`: averages in percent, total in microseconds."""

    avg10_percent: float
    avg60_percent: float
    avg300_percent: float
    total_us: int


@dataclass(frozen=True, slots=True)
class Pressure:
    """`/proc/pressure/memory` (4.20 and later)."""

    some: PressureLine
    full: PressureLine | None


@dataclass(frozen=True, slots=True)
class Link:
    """One network interface that is up. :ivar speed_mbit: line rate in Mbit/s; None where the driver does not say."""

    name: str
    speed_mbit: int | None
    mtu_bytes: int


@dataclass(frozen=True, slots=True)
class SysctlFile:
    """One file of a `sysctl.d` folder, or `/etc/sysctl.conf`.

    :ivar path: as seen on the machine ("/etc/sysctl.d/90-db.conf").
    :ivar text: None where it leads to /dev/null or nowhere (it only hides others), or could not be read.
    :ivar link: where it leads on the machine, if it is a link to /etc/sysctl.conf or to nothing that could be read.
    """

    path: str
    text: str | None
    link: str | None = None

    @property
    def name(self) -> str:
        """The name that decides hiding and order."""
        return self.path.rpartition("/")[2]

    @property
    def folder(self) -> str:
        """The folder that decides which of two files of one name counts."""
        return self.path.rpartition("/")[0]


@dataclass(frozen=True, slots=True)
class SysctlAssignment:
    """One assignment found in a sysctl.d style file or on the kernel command line.

    :ivar key: dotted, for example "vm.min_free_kbytes".
    :ivar source: file as seen on the machine ("/etc/sysctl.d/90-db.conf") or "kernel command line".
    :ivar line_number: 1-based; 0 for the command line.
    :ivar overridden: another assignment of the same key wins over this one.
    :ivar needs_procps: stands in an /etc/sysctl.conf that no sysctl.d folder links to, on a machine that boots with
        systemd: only `sysctl -p` or `sysctl --system` reads it.
    """

    key: str
    value: str
    source: str
    line_number: int
    overridden: bool = False
    needs_procps: bool = False


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One instant of one machine, live or captured.

    :ivar source: what the user named: "/", a folder or an archive.
    :ivar live: read from the running kernel.
    :ivar kernel: `uname -r`, from `/proc/version` (or `/proc/sys/kernel/osrelease`); None where not captured.
    :ivar banner: the whole of `/proc/version`: distributions name the stable patch level only there.
    :ivar page_size: bytes.
    :ivar page_size_assumed: True where nothing in the capture tells the page size and 4096 or the architecture's
        usual value was taken.
    :ivar cpu_count: online CPUs.
    :ivar free_blocks: (node, zone) -> free blocks by order, from buddyinfo.
    :ivar sysctls: key ("vm.min_free_kbytes") -> text as printed, white space folded to one blank.
    :ivar vmstat: counter -> value.
    :ivar meminfo_kb: field -> kB (fields without a unit, such as HugePages_Total, hold their plain number).
    :ivar distances: node -> row of the distance table in node order (`nodeN/distance`).
    :ivar cpu_nodes: nodes that have CPUs; None where not known.
    :ivar swaps_kb: what swap lies on ("/dev/sda2", "/dev/zram0") -> size in kB; empty where there is no swap.
    :ivar sysctl_files: the files that set sysctls, those that are hidden by others too, and /etc/sysctl.conf.
    :ivar assignments: every assignment of a vm.* key on the kernel command line, in sysctl.d files and in
        /etc/sysctl.conf, in the order in which they are applied.
    :ivar absent: path -> reason, for each file that was looked for and could not be used.
    :ivar torn: why the files cannot be of one instant (empty: nothing seen).
    :ivar taken_at: when a capture of ours was made, as it says (ISO 8601); None for any other root.
    """

    source: str
    live: bool
    kernel: str | None
    banner: str | None
    arch: str | None
    page_size: int
    page_size_assumed: bool
    nodes: tuple[Node, ...]
    sysctls: Mapping[str, str]
    cpu_count: int | None = None
    host: str | None = None
    cmdline: str | None = None
    uptime_seconds: float | None = None
    free_blocks: Mapping[tuple[int, str], tuple[int, ...]] | None = None
    pagetypes: PageTypeInfo | None = None
    huge_pages: HugePages | None = None
    vmstat: Mapping[str, int] | None = None
    meminfo_kb: Mapping[str, int] | None = None
    distances: Mapping[int, tuple[int, ...]] | None = None
    cpu_nodes: frozenset[int] | None = None
    pressure: Pressure | None = None
    swaps_kb: Mapping[str, int] | None = None
    sysctl_files: tuple[SysctlFile, ...] = ()
    assignments: tuple[SysctlAssignment, ...] = ()
    absent: Mapping[str, str] = field(default_factory=dict)
    torn: tuple[str, ...] = ()
    taken_at: str | None = None

    @property
    def zones(self) -> tuple[Zone, ...]:
        """All zones of all nodes, in the order the kernel prints them."""
        return tuple(zone for node in self.nodes for zone in node.zones)

    @property
    def swaps_to_memory(self) -> bool:
        """Whether there is swap and all of it lies on zram, which keeps what it takes in memory, compressed."""
        names = [name.rpartition("/")[2] for name in self.swaps_kb or ()]
        return bool(names) and all(name.startswith("zram") and name[4:].isdigit() for name in names)
