"""Which files make up a snapshot, and in which order they are read.

Write-only files, and those whose reading or writing makes the kernel work (`compact_memory`, `drop_caches`,
`stat_refresh`), are not among them.
"""

from pagewarden.procfs.reader import Root
from pagewarden.procfs.sysctl import SYSCTL_SHAPES, sysctl_path
from pagewarden.procfs.sysctl_files import SYSCTL_CONF, SYSCTL_FOLDERS

ZONEINFO = "proc/zoneinfo"
PAGETYPEINFO = "proc/pagetypeinfo"
META = "pagewarden-capture.json"
HUGE_PAGES = "sys/kernel/mm/transparent_hugepage"
# Where Red Hat 6 kept it.
HUGE_PAGES_EL6 = "sys/kernel/mm/redhat_transparent_hugepage"
NODES = "sys/devices/system/node"
CPUS = "sys/devices/system/cpu/online"

# One instant, as nearly as it can be had: zoneinfo first, since reading lowmem_reserve_ratio (the last sysctl of the
# table) makes kernels before 7.3 compute what zoneinfo prints as protection anew.
INSTANT = (ZONEINFO, "proc/buddyinfo", "proc/vmstat", "proc/meminfo", *map(sysctl_path, SYSCTL_SHAPES))
REST = (
    PAGETYPEINFO,
    "proc/version",
    "proc/cmdline",
    "proc/uptime",
    "proc/pressure/memory",
    "proc/swaps",
    "proc/sys/kernel/osrelease",
    "proc/sys/kernel/hostname",
    CPUS,
    f"{NODES}/online",
    f"{NODES}/has_cpu",
)
LOGS = (
    "var/log/kern.log",
    "var/log/messages",
    "var/log/syslog",
    "var/log/dmesg",
    "sos_commands/kernel/dmesg",
    "sos_commands/kernel/dmesg_-T",
    "sos_commands/logs/journalctl_--no-pager_--boot",
    "sos_commands/logs/journalctl_--no-pager",
)
"""Where the kernel's log is kept, on a machine and in a sosreport; several of them hold the same lines as a rule."""

# Where captures by others keep the same facts; nobody misses these.
SYSCTL_DUMP = "sos_commands/kernel/sysctl_-a"
UNAME = ("sos_commands/kernel/uname_-a", "uname")
HOSTNAME = ("sos_commands/host/hostname", "sos_commands/general/hostname", "hostname", "etc/hostname")
SUBSTITUTES = (META, SYSCTL_DUMP, *UNAME, *HOSTNAME)


def node_paths(root: Root) -> tuple[str, ...]:
    """List what each node's folder tells."""
    nodes = [name for name in root.names(NODES) if name.startswith("node") and name[4:].isdigit()]
    return tuple(f"{NODES}/{node}/{file}" for node in nodes for file in ("distance", "cpulist"))


def huge_page_paths(root: Root) -> tuple[str, ...]:
    """List the files of transparent huge pages, in the folder that this root has."""
    folder = HUGE_PAGES_EL6 if root.names(HUGE_PAGES_EL6) else HUGE_PAGES
    sizes = [name for name in root.names(folder) if name.startswith("hugepages-")]
    files = ("enabled", "shmem_enabled", "khugepaged/defrag", "hpage_pmd_size", *(f"{size}/enabled" for size in sizes))
    return tuple(f"{folder}/{file}" for file in files)


def sysctl_file_paths(root: Root) -> tuple[str, ...]:
    """List the files that set sysctls at boot."""
    files = [
        f"{folder[1:]}/{name}" for folder in SYSCTL_FOLDERS for name in root.names(folder[1:]) if name.endswith(".conf")
    ]
    return *files, SYSCTL_CONF[1:]
