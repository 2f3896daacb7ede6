"""The machines that are booted, and what is written on each."""

from dataclasses import dataclass

from tests.vm.initrd import Step

HUGE = "/sys/kernel/mm/transparent_hugepage/enabled"
BLOCK = "/sys/devices/system/memory/memory{}/state"


@dataclass(frozen=True, slots=True)
class Arch:
    """How QEMU is told to be a machine of an architecture, by Debian's name of it."""

    program: str
    package: str
    machine: str
    console: str
    cpu: str | None = None


ARCHES = {
    "amd64": Arch("qemu-system-x86_64", "qemu-system-x86", "pc", "ttyS0"),
    "i386": Arch("qemu-system-x86_64", "qemu-system-x86", "pc", "ttyS0", "qemu64"),
    "arm64": Arch("qemu-system-aarch64", "qemu-system-arm", "virt", "ttyAMA0", "cortex-a76"),
    "ppc64el": Arch(
        "qemu-system-ppc64",
        "qemu-system-ppc",
        "pseries,cap-cfpc=broken,cap-sbbc=broken,cap-ibs=broken,cap-ccf-assist=off",
        "hvc0",
        "power9",
    ),
}


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine to boot. `nodes_mb`: memory of each NUMA node (0: a node without), one processor each."""

    name: str
    arch: str
    suite: str
    flavour: str
    memory_mb: int
    nodes_mb: tuple[int, ...] = ()
    distance: int | None = None
    cmdline: str = ""
    plugged_mb: int = 0
    more_steps: tuple[Step, ...] = ()
    everyday: bool = False
    page_size: int = 4096

    @property
    def kernel_package(self) -> str:
        """The package that always depends on the suite's newest kernel of this flavour."""
        return f"linux-image-{self.flavour}"


def _writes(key: str, *values: str) -> tuple[Step, ...]:
    return tuple((key, value) for value in values)


STEPS: tuple[Step, ...] = (
    *_writes("watermark_scale_factor", "1", "7", "50", "100", "500", "1000", "3000", "10"),
    *_writes(
        "lowmem_reserve_ratio", "256 128 32 0 0", "1 1 1", "0 0 0", "32 32 32 32 32", "3 7 5 2 9", "999999999", "@"
    ),
    *_writes("zone_reclaim_mode", "1", "3", "7", "0"),
    *_writes(HUGE, "never", "always", "madvise", "never", "@"),
    *_writes("min_free_kbytes", "3", "100", "1024", "4096", "16384"),
    *_writes(HUGE, "never", "always"),  # now with somebody's own value in force
    *_writes("watermark_scale_factor", "200", "10"),
    *_writes("min_free_kbytes", "65536", "131072", "262144", "@"),
    *_writes("watermark_boost_factor", "0", "15000"),
    # What the kernel refuses, or takes in its own way.
    *_writes("min_free_kbytes", "-1", "0", "@", "", "abc", "0x2000", "020000", " 5000", "5000abc", "5000 6000"),
    *_writes("min_free_kbytes", "2147483648", "4294967296", "1e4", "+4096", "@"),
    *_writes("watermark_scale_factor", "0", "3001", "-1", "x", "0x20", "10"),
    *_writes(
        "lowmem_reserve_ratio", "abc", "64", "64 x 16", "-1 -1 -1", "2147483648", "256 256 32 0 0 7", "1,2,3", "@"
    ),
    *_writes("zone_reclaim_mode", "8", "-1", "4", "2", "255", "0"),
    *_writes(HUGE, "bogus"),
)


def steps_of(machine: Machine) -> tuple[Step, ...]:
    """The writes of a machine. A min_free_kbytes of a fifth of the memory or more would end the guest."""
    most_kb = machine.memory_mb * 1024 // 5
    common = [
        (key, value)
        for key, value in STEPS
        if not (key == "min_free_kbytes" and value.isdigit() and most_kb < int(value) < 2**31)
    ]
    return (*common, *machine.more_steps)


def _after(*blocks: Step) -> tuple[Step, ...]:
    """Changes of memory blocks, and after each a write of every setting that computes with the zones' sizes."""
    again = (("min_free_kbytes", "20000"), ("watermark_scale_factor", "30"), ("lowmem_reserve_ratio", "128 64 16 8 4"))
    return tuple(step for block in blocks for step in (block, *again))


# A DIMM of 1 GiB beside 1 GiB of memory: blocks of 128 MiB from number 32 (4 GiB) on.
PLUG = _after(
    *((BLOCK.format(number), "online") for number in (32, 33, 34)),
    (BLOCK.format(34), "offline"),
    (BLOCK.format(39), "online_movable"),
    (BLOCK.format(38), "online_movable"),
)
# 4 GiB without a DIMM: blocks of the memory it booted with go and come.
UNPLUG = _after((BLOCK.format(38), "offline"), (BLOCK.format(20), "offline"), (BLOCK.format(38), "online_movable"))

CLOUD = "cloud-amd64"
MACHINES: tuple[Machine, ...] = (
    Machine("amd64-5.10-4g", "amd64", "bullseye", CLOUD, 4096, everyday=True),
    Machine("amd64-6.1-4g", "amd64", "bookworm", CLOUD, 4096, everyday=True),
    Machine("amd64-6.12-2g", "amd64", "trixie", CLOUD, 2048, everyday=True),
    Machine("amd64-newest-4g", "amd64", "sid", CLOUD, 4096, everyday=True),
    Machine("i386-6.1-pae-4g", "i386", "bookworm", "686-pae", 4096, everyday=True),
    Machine("arm64-6.12-4g", "arm64", "trixie", "cloud-arm64", 4096, everyday=True),
    Machine("arm64-6.12-16k-4g", "arm64", "trixie", "arm64-16k", 4096, everyday=True, page_size=16384),
    Machine(
        "ppc64el-6.12-64k-2-nodes",
        "ppc64el",
        "trixie",
        "powerpc64le-64k",
        4096,
        nodes_mb=(1024, 3072),
        distance=40,
        everyday=True,
        page_size=65536,
    ),
    Machine("amd64-6.1-2-nodes", "amd64", "bookworm", CLOUD, 3584, nodes_mb=(512, 3072), distance=40, everyday=True),
    Machine(
        "amd64-6.12-4-nodes",
        "amd64",
        "trixie",
        CLOUD,
        6144,
        nodes_mb=(1024, 1024, 2048, 2048),
        cmdline="movablecore=2G",
        everyday=True,
    ),
    Machine("amd64-6.1-node-without-memory", "amd64", "bookworm", CLOUD, 3072, nodes_mb=(3072, 0), everyday=True),
    Machine("amd64-6.1-movablecore", "amd64", "bookworm", CLOUD, 2048, cmdline="movablecore=512M", everyday=True),
    Machine("amd64-6.1-plugged", "amd64", "bookworm", CLOUD, 1024, plugged_mb=1024, more_steps=PLUG, everyday=True),
    # The rest of the matrix.
    Machine("amd64-5.10-128m", "amd64", "bullseye", CLOUD, 128),
    Machine("amd64-5.10-64g", "amd64", "bullseye", CLOUD, 65536),
    Machine("amd64-5.10-movablecore", "amd64", "bullseye", CLOUD, 4096, cmdline="movablecore=1G"),
    Machine("amd64-5.10-2-nodes", "amd64", "bullseye", CLOUD, 4096, nodes_mb=(2048, 2048), distance=20),
    Machine("amd64-6.1-256m", "amd64", "bookworm", CLOUD, 256),
    Machine("amd64-6.1-12g", "amd64", "bookworm", CLOUD, 12288),
    Machine("amd64-6.1-64g", "amd64", "bookworm", CLOUD, 65536),
    Machine("amd64-6.1-crashkernel", "amd64", "bookworm", CLOUD, 4096, cmdline="crashkernel=256M"),
    Machine("amd64-6.1-madvise", "amd64", "bookworm", CLOUD, 4096, cmdline="transparent_hugepage=madvise"),
    Machine("amd64-6.12-512m", "amd64", "trixie", CLOUD, 512),
    Machine("amd64-6.12-plugged", "amd64", "trixie", CLOUD, 1024, plugged_mb=1024, more_steps=PLUG),
    Machine(
        "amd64-6.12-movablecore-2-nodes",
        "amd64",
        "trixie",
        CLOUD,
        6144,
        nodes_mb=(2048, 4096),
        cmdline="movablecore=25%",
    ),
    Machine("amd64-6.12-no-huge-pages", "amd64", "trixie", CLOUD, 2048, cmdline="transparent_hugepage=never"),
    Machine("amd64-newest-32g", "amd64", "sid", CLOUD, 32768),
    Machine("amd64-newest-2-nodes", "amd64", "sid", CLOUD, 6144, nodes_mb=(2048, 4096), distance=20),
    Machine("amd64-newest-unplugged", "amd64", "sid", CLOUD, 4096, more_steps=UNPLUG),
    Machine("amd64-newest-plugged", "amd64", "sid", CLOUD, 1024, plugged_mb=1024, more_steps=PLUG),
    Machine("i386-5.10-pae-4g", "i386", "bullseye", "686-pae", 4096),
    Machine("i386-5.10-pae-movablecore", "i386", "bullseye", "686-pae", 4096, cmdline="movablecore=2G"),
    Machine("i386-6.1-1g", "i386", "bookworm", "686", 1024),
    Machine("i386-6.1-pae-8g", "i386", "bookworm", "686-pae", 8192),
    Machine("arm64-6.1-1g", "arm64", "bookworm", "cloud-arm64", 1024),
    Machine("arm64-newest-16k-2g", "arm64", "sid", "arm64-16k", 2048, page_size=16384),
    Machine("arm64-newest-2g", "arm64", "sid", "cloud-arm64", 2048),
)
