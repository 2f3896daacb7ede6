import os
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pagewarden.errors import PagewardenError, ParseError, ReadError, UsageError
from pagewarden.procfs import layout
from pagewarden.procfs.archive import write_capture
from pagewarden.procfs.capture_notes import CaptureNotes, parse_notes, render_notes
from pagewarden.procfs.gather import gather
from pagewarden.procfs.reader import FolderRoot
from pagewarden.procfs.snapshot import assemble, read_snapshot
from pagewarden.procfs.types import HugePages, Snapshot, SysctlAssignment

MakeRoot = Callable[[Mapping[str, str | bytes]], Path]

DATA = Path(__file__).parents[2] / "data" / "proc"
ZONEINFO = (DATA / "zoneinfo-6.18").read_text()
THP = "sys/kernel/mm/transparent_hugepage"
NODE = "sys/devices/system/node"
WHEN = datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)
MACHINE = {
    "proc/zoneinfo": ZONEINFO,
    "proc/buddyinfo": (DATA / "buddyinfo-6.18").read_text(),
    "proc/pagetypeinfo": (DATA / "pagetypeinfo-6.18").read_text(),
    "proc/vmstat": "nr_free_pages 303860\npgscan_kswapd 12\n",
    "proc/meminfo": (DATA / "meminfo-6.18").read_text(),
    "proc/version": "Linux version 6.18.4-amd64 (someone@build) (gcc 14) #1 SMP Debian 6.18.4-1\n",
    "proc/cmdline": "root=/dev/vda quiet sysctl.vm.swappiness=33\n",
    "proc/uptime": "1234.56 2000.00\n",
    "proc/pressure/memory": "some avg10=0.00 avg60=0.00 avg300=0.00 total=7\n",
    "proc/sys/kernel/osrelease": "6.18.4-amd64\n",
    "proc/sys/kernel/hostname": "db7\n",
    "proc/sys/vm/min_free_kbytes": "24076\n",
    "proc/sys/vm/lowmem_reserve_ratio": "256\t256\t32\t0\n",
    "proc/sys/vm/swappiness": "60\n",
    f"{THP}/enabled": "always [madvise] never\n",
    f"{THP}/shmem_enabled": "always within_size advise [never] deny force\n",
    f"{THP}/khugepaged/defrag": "1\n",
    f"{THP}/hpage_pmd_size": "2097152\n",
    f"{THP}/hugepages-2048kB/enabled": "always [inherit] madvise never\n",
    f"{THP}/hugepages-64kB/enabled": "always inherit madvise [never]\n",
    f"{NODE}/online": "0-1\n",
    f"{NODE}/has_cpu": "0-1\n",
    f"{NODE}/node0/distance": "10 21\n",
    f"{NODE}/node1/distance": "21 10\n",
    f"{NODE}/node0/cpulist": "0\n",
    f"{NODE}/node1/cpulist": "1\n",
    "sys/devices/system/cpu/online": "0-1\n",
    "etc/sysctl.d/50-db.conf": "vm.swappiness = 60\nvm.min_free_kbytes = 1\nkernel.sysrq = 0\n",
    "usr/lib/sysctl.d/60-x.conf": "vm.swappiness = 10\n",
    "etc/sysctl.conf": "vm.min_free_kbytes = 24076\n",
}


@pytest.fixture
def machine(make_root: MakeRoot) -> Path:
    root = make_root(MACHINE)
    (root / "etc/sysctl.d/60-x.conf").symlink_to("/dev/null")
    (root / "etc/sysctl.d/99-sysctl.conf").symlink_to("../sysctl.conf")
    return root


@pytest.mark.parametrize(
    ("devices", "in_memory"),
    [
        (("/dev/zram0",), True),
        (("/dev/block/zram0", "/dev/zram12"), True),
        (("/dev/zram0", "/dev/sda2"), False),
        (("/zram.img",), False),
        ((), False),
        (None, False),
    ],
)
def test_swap_on_zram_is_memory(machine: Path, devices: tuple[str, ...] | None, in_memory: bool) -> None:
    heading = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"
    if devices is not None:
        rows = "".join(f"{name:<40}partition\t8388604\t\t0\t\t100\n" for name in devices)
        (machine / "proc/swaps").write_text(heading + rows)
    snapshot = read_snapshot(str(machine))
    assert snapshot.swaps_to_memory is in_memory
    assert "/proc/swaps" not in snapshot.absent


def test_meminfo_of_a_container_is_not_used(machine: Path) -> None:
    managed_kb = sum(zone.managed_pages or 0 for zone in read_snapshot(str(machine)).zones) * 4
    for total_kb, used in ((managed_kb, True), (managed_kb // 2, True), (managed_kb // 8, False)):
        (machine / "proc/meminfo").write_text(f"MemTotal: {total_kb} kB\nMemAvailable: 1 kB\n")
        snapshot = read_snapshot(str(machine))
        assert (snapshot.meminfo_kb is not None) is used
        assert ("of a container" in snapshot.absent.get("/proc/meminfo", "")) is not used


def test_meminfo_of_a_guest_that_is_ballooned_is_its_own(machine: Path) -> None:
    """3.9 and 3.10 take what a balloon holds from MemTotal, not from the zones' managed pages."""
    zones = read_snapshot(str(machine)).zones
    total_kb, free_kb = sum(zone.managed_pages or 0 for zone in zones), sum(zone.free_pages for zone in zones) * 4
    (machine / "proc/meminfo").write_text(f"MemTotal: {total_kb} kB\nMemFree: {free_kb} kB\n")
    assert read_snapshot(str(machine)).meminfo_kb is not None


def test_everything_of_a_folder(machine: Path) -> None:
    snapshot = read_snapshot(str(machine))
    assert (snapshot.source, snapshot.live) == (str(machine), False)
    assert (snapshot.kernel, snapshot.arch, snapshot.host) == ("6.18.4-amd64", "x86_64", "db7")
    assert snapshot.banner is not None
    assert snapshot.banner.endswith("Debian 6.18.4-1")
    assert (snapshot.page_size, snapshot.page_size_assumed) == (4096, False)
    assert [(zone.node, zone.name) for zone in snapshot.zones if zone.populated] == [
        (0, "DMA"),
        (0, "DMA32"),
        (1, "Normal"),
    ]
    assert snapshot.sysctls == {
        "vm.min_free_kbytes": "24076",
        "vm.swappiness": "60",
        "vm.lowmem_reserve_ratio": "256 256 32 0",
    }
    assert (snapshot.cpu_count, snapshot.cpu_nodes) == (2, {0, 1})
    assert snapshot.distances == {0: (10, 21), 1: (21, 10)}
    assert snapshot.huge_pages == HugePages("madvise", "never", True, 2097152, {64: "never", 2048: "inherit"})
    assert snapshot.vmstat is not None
    assert snapshot.vmstat["pgscan_kswapd"] == 12
    assert snapshot.meminfo_kb is not None
    assert snapshot.meminfo_kb["MemFree"] == 1215440
    assert snapshot.free_blocks is not None
    assert len(snapshot.free_blocks) == 3
    assert snapshot.pagetypes is not None
    assert snapshot.pagetypes.pageblock_order == 9
    assert snapshot.pressure is not None
    assert snapshot.pressure.some.total_us == 7
    assert snapshot.uptime_seconds == 1234.56
    assert snapshot.torn == ()
    assert all(reason == "no such file" for reason in snapshot.absent.values())
    assert "/proc/sys/vm/watermark_scale_factor" in snapshot.absent
    assert not any("sos_commands" in path or path.endswith(layout.META) for path in snapshot.absent)
    assert snapshot.assignments == (
        SysctlAssignment("vm.swappiness", "33", "kernel command line", 0, overridden=True),
        SysctlAssignment("vm.swappiness", "60", "/etc/sysctl.d/50-db.conf", 1),
        SysctlAssignment("vm.min_free_kbytes", "1", "/etc/sysctl.d/50-db.conf", 2, overridden=True),
        SysctlAssignment("vm.min_free_kbytes", "24076", "/etc/sysctl.d/99-sysctl.conf", 1),
    )


def test_without_page_types(machine: Path) -> None:
    snapshot = read_snapshot(str(machine), page_types=False)
    assert snapshot.pagetypes is None
    assert "/proc/pagetypeinfo" not in snapshot.absent  # nobody looked for it


def test_a_damaged_file_is_named_and_costs_only_itself(make_root: MakeRoot) -> None:
    damaged = {
        "proc/vmstat": "nr_free_pages 1\nnr_mapped -1\n",
        "proc/buddyinfo": b"Node 0, zone DMA \xff\xfe\n",
        "proc/meminfo": "",
        "proc/uptime": "soon\n",
        "proc/sys/vm/min_free_kbytes": "lots\n",
        f"{THP}/enabled": "always\n",
        f"{NODE}/node0/distance": "near\n",
        "etc/sysctl.d/50-db.conf": "vm.swappiness = 1\n<<<<<<< HEAD\n",
        layout.META: "{",
    }
    snapshot = read_snapshot(str(make_root({**MACHINE, **damaged})))
    assert len(snapshot.zones) == 5
    assert (snapshot.vmstat, snapshot.free_blocks, snapshot.meminfo_kb) == (None, None, None)
    assert (snapshot.uptime_seconds, snapshot.huge_pages) == (None, None)
    assert "vm.min_free_kbytes" not in snapshot.sysctls
    assert snapshot.distances == {1: (21, 10)}
    assert [each.key for each in snapshot.assignments][-1] == "vm.min_free_kbytes"
    told = {path: reason for path, reason in snapshot.absent.items() if reason != "no such file"}
    assert told.keys() == {"/" + path for path in damaged if path != "etc/sysctl.d/50-db.conf"} | {
        "/etc/sysctl.d/50-db.conf:2"
    }
    assert told["/proc/vmstat"] == "damaged at line 2: expected a value of 'nr_mapped' below 2^64"


@pytest.mark.parametrize("content", ["", "Permission denied\n", ZONEINFO[:700], b"\x00\x01\x02"])
def test_a_damaged_zoneinfo_is_refused(make_root: MakeRoot, content: str | bytes) -> None:
    root = make_root({**MACHINE, "proc/zoneinfo": content})
    with pytest.raises(ParseError) as caught:
        read_snapshot(str(root))
    assert caught.value.path == f"{root}/proc/zoneinfo"


def test_a_missing_zoneinfo(make_root: MakeRoot, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ReadError) as caught:
        read_snapshot(str(tmp_path / "empty"))
    assert caught.value.missing
    assert str(caught.value).startswith(f"{tmp_path}/empty: no proc/zoneinfo here: expected ")
    snapshot = read_snapshot(str(make_root({"proc/buddyinfo": MACHINE["proc/buddyinfo"]})))
    assert snapshot.nodes == ()
    assert snapshot.free_blocks is not None
    assert snapshot.absent["/proc/zoneinfo"] == "no such file"


def test_zones_of_two_machines_are_torn(make_root: MakeRoot) -> None:
    buddy = MACHINE["proc/buddyinfo"].replace("Node 1, zone   Normal", "Node 2, zone   Normal")
    assert read_snapshot(str(make_root({**MACHINE, "proc/buddyinfo": buddy}))).torn == (
        "buddyinfo has no node 1 zone Normal, zoneinfo has",
        "zoneinfo has no node 2 zone Normal, buddyinfo has",
    )


SOS = {
    "proc/zoneinfo": ZONEINFO,
    "sos_commands/kernel/sysctl_-a": "vm.min_free_kbytes = 24076\nvm.swappiness = 5 5\nnet.x = 1\n",
    "sos_commands/kernel/uname_-a": "Linux web1.example 4.18.0-80.el8.ppc64le #1 SMP Mon ppc64le ppc64le GNU/Linux\n",
    "sos_commands/host/hostname": "web1.example.org\n",
    "etc/sysctl.conf": "vm.swappiness = 5\n",
}


def test_a_sosreport(make_root: MakeRoot) -> None:
    snapshot = read_snapshot(str(make_root(SOS)))
    assert snapshot.sysctls == {"vm.min_free_kbytes": "24076"}
    assert snapshot.absent["/proc/sys/vm/swappiness"] == "damaged at line 1: expected one integer"
    assert "/proc/sys/vm/min_free_kbytes" not in snapshot.absent
    assert (snapshot.kernel, snapshot.arch, snapshot.host) == ("4.18.0-80.el8.ppc64le", "ppc64le", "web1.example")
    assert (snapshot.page_size, snapshot.page_size_assumed) == (4096, False)  # min_free_kbytes beside the marks says so
    assert snapshot.cpu_count == 2  # as many as zoneinfo lists
    assert [(each.source, each.overridden) for each in snapshot.assignments] == [("/etc/sysctl.conf", False)]


@pytest.mark.parametrize(
    ("files", "size", "assumed"),
    [
        ({}, 4096, True),
        ({"proc/version": "Linux version 6.1.0-powerpc64le (a@b)\n"}, 65536, True),
        ({"proc/meminfo": "MemTotal: 24349456 kB\n"}, 16384, False),
        ({"proc/meminfo": "MemTotal: 97397824 kB\n"}, 65536, False),
        ({"proc/meminfo": "MemTotal: 9999999 kB\n"}, 4096, True),  # of another machine
        ({"proc/sys/vm/min_free_kbytes": "96240\n"}, 16384, False),
        ({"proc/meminfo": "MemFree: 4861000 kB\n", "proc/vmstat": "nr_free_pages 303860\n"}, 16384, False),
        ({layout.META: '{"page_size": 65536}'}, 65536, False),
        ({layout.META: '{"page_size": 5000}'}, 4096, True),
        ({layout.META: '{"page_size": "x"}'}, 4096, True),
    ],
)
def test_page_size(make_root: MakeRoot, files: dict[str, str], size: int, assumed: bool) -> None:
    snapshot = read_snapshot(str(make_root({"proc/zoneinfo": ZONEINFO, **files})))
    assert (snapshot.page_size, snapshot.page_size_assumed) == (size, assumed)


def test_huge_pages_of_red_hat_6(make_root: MakeRoot) -> None:
    folder = "sys/kernel/mm/redhat_transparent_hugepage"
    files = {f"{folder}/enabled": "[always] madvise never\n", f"{folder}/khugepaged/defrag": "[yes] no\n"}
    snapshot = read_snapshot(str(make_root({"proc/zoneinfo": ZONEINFO, **files})))
    assert snapshot.huge_pages == HugePages("always", None, True, None, {})


class LiveRoot(FolderRoot):
    """A folder that says it is the running system, and whose files change while they are read."""

    def __init__(self, folder: Path, changes: Mapping[str, list[str]]) -> None:
        super().__init__(str(folder))
        self.changes = {path: list(contents) for path, contents in changes.items()}
        self.order: list[str] = []

    @property
    def live(self) -> bool:
        return True

    def read(self, path: str) -> bytes:
        self.order.append(path)
        content = super().read(path)
        waiting = self.changes.get(path)
        return waiting.pop(0).encode() if waiting else content


def raised(text: str) -> str:
    return text.replace("        min      4000", "        min      4001")


def test_live_reading_order(machine: Path) -> None:
    root = LiveRoot(machine, {})
    assemble(gather(root))
    order = root.order
    assert order[:4] == ["proc/zoneinfo", "proc/buddyinfo", "proc/vmstat", "proc/meminfo"]
    again = order.index("proc/zoneinfo", 1)
    assert order[again - 1] == "proc/sys/vm/lowmem_reserve_ratio"
    assert order[again + 1 : again + 3] == ["proc/sys/vm/min_free_kbytes", "proc/sys/vm/watermark_scale_factor"]
    assert order.count("proc/zoneinfo") == 2
    assert not any(path.endswith(("compact_memory", "drop_caches", "stat_refresh")) for path in order)


def test_live_takes_the_second_zoneinfo_with_its_protection(machine: Path) -> None:
    before = ZONEINFO.replace("(0, 1900, 1900, 1900)", "(0, 1, 1, 1)").replace("free     3840", "free     3000")
    before = before.replace("boost    512", "boost    12").replace("min      2512", "min      2012")
    before = before.replace("low      3012", "low      2512").replace("high     3512", "high     3012")
    before = before.replace("promo    4012", "promo    3512")
    snapshot = assemble(gather(LiveRoot(machine, {"proc/zoneinfo": [before]})))
    assert snapshot.torn == ()
    assert snapshot.zones[0].protection_pages == (0, 1900, 1900, 1900)
    assert snapshot.zones[0].free_pages == 3840


def test_live_tries_again_when_the_marks_change(machine: Path) -> None:
    root = LiveRoot(machine, {"proc/zoneinfo": [raised(ZONEINFO)]})
    snapshot = assemble(gather(root))
    assert snapshot.torn == ()
    assert root.order.count("proc/zoneinfo") == 4


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"proc/zoneinfo": [ZONEINFO, raised(ZONEINFO)] * 3}, "node 1 zone Normal changed"),
        ({"proc/zoneinfo": [ZONEINFO, ZONEINFO[: ZONEINFO.index("Node 1")]] * 3}, "zones came or went"),
        ({"proc/sys/vm/min_free_kbytes": [str(number) for number in range(6)]}, "min_free_kbytes or"),
    ],
)
def test_live_gives_up_after_three_times(machine: Path, changes: dict[str, list[str]], told: str) -> None:
    root = LiveRoot(machine, changes)
    snapshot = assemble(gather(root))
    assert root.order.count("proc/zoneinfo") == 6
    assert len([reason for reason in snapshot.torn if told in reason]) == 1


def test_live_damage_is_refused(machine: Path) -> None:
    with pytest.raises(ParseError):
        assemble(gather(LiveRoot(machine, {"proc/zoneinfo": [ZONEINFO, ZONEINFO[:500]]})))


def test_this_machine() -> None:
    snapshot = read_snapshot("/")
    assert snapshot.live
    assert snapshot.page_size == os.sysconf("SC_PAGE_SIZE")
    assert snapshot.arch == os.uname().machine
    assert snapshot.kernel == os.uname().release
    assert snapshot.cpu_count == os.cpu_count()
    assert sum(zone.managed_pages or 0 for zone in snapshot.zones) > 0
    assert "vm.min_free_kbytes" in snapshot.sysctls


def without_source(snapshot: Snapshot) -> Snapshot:
    return replace(snapshot, source="", live=False, taken_at=None)


@pytest.mark.parametrize("files", [MACHINE, SOS, {"proc/zoneinfo": ZONEINFO}])
def test_a_capture_tells_what_the_folder_tells(make_root: MakeRoot, tmp_path: Path, files: dict[str, str]) -> None:
    root = make_root({**files, "proc/vmstat": "a\n"})
    if "etc/sysctl.d/50-db.conf" in files:
        (root / "etc/sysctl.d/60-x.conf").symlink_to("/dev/null")
        (root / "etc/sysctl.d/99-sysctl.conf").symlink_to("../sysctl.conf")
        (root / "etc/sysctl.d/70-vendor.conf").symlink_to("/usr/lib/sysctl.d/60-x.conf")
    result = write_capture(str(root), tmp_path / "a.tar.gz", when=WHEN)
    again = write_capture(str(result.path), tmp_path / "b.tar.gz", when=WHEN)
    folder, captured, captured_again = (read_snapshot(str(path)) for path in (root, result.path, again.path))
    assert without_source(captured) == without_source(captured_again) == without_source(folder)
    assert (folder.taken_at, captured.taken_at, captured_again.taken_at) == (None, WHEN.isoformat(), WHEN.isoformat())
    assert again.path.read_bytes() == result.path.read_bytes()


def test_capture_holds_what_is_read_and_says_what_is_not(machine: Path, tmp_path: Path) -> None:
    result = write_capture(str(machine), tmp_path / "c.tar.gz", when=WHEN)
    with tarfile.open(result.path) as archive:
        members = {member.name: member for member in archive}
        about = archive.extractfile(layout.META)
        assert about is not None
        notes = parse_notes(about.read().decode(), layout.META)
    assert tuple(members) == result.captured == tuple(sorted(members))
    assert members["etc/sysctl.d/60-x.conf"].linkname == "/dev/null"
    assert members["etc/sysctl.d/99-sysctl.conf"].linkname == "../sysctl.conf"
    assert (notes.page_size, notes.arch, notes.host, notes.kernel) == (4096, "x86_64", "db7", "6.18.4-amd64")
    assert notes.when == "2024-05-06T07:08:09+00:00"
    assert notes.absent == result.absent
    assert result.absent["/proc/sys/vm/zone_reclaim_mode"] == "no such file"
    assert result.notes == ()
    assert {path.name for path in tmp_path.iterdir()} == {"root", "c.tar.gz"}
    assert result.path.stat().st_mode & 0o077 == 0


def test_capture_of_a_live_machine_keeps_its_facts(
    machine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = {"proc/zoneinfo": [ZONEINFO, raised(ZONEINFO)] * 3}
    monkeypatch.setattr("pagewarden.procfs.archive.open_root", lambda _: LiveRoot(machine, changes))
    result = write_capture("/", tmp_path / "live.tar.gz")
    snapshot = read_snapshot(str(result.path))
    assert not snapshot.live
    assert (snapshot.page_size, snapshot.arch) == (os.sysconf("SC_PAGE_SIZE"), os.uname().machine)
    assert len(snapshot.torn) == 1
    assert result.notes == snapshot.torn


def test_capture_of_what_cannot_be_parsed_is_made_and_says_so(make_root: MakeRoot, tmp_path: Path) -> None:
    root = make_root({**MACHINE, "proc/zoneinfo": "something new\n"})
    result = write_capture(str(root), tmp_path / "c.tar.gz")
    assert "proc/zoneinfo" in result.captured
    assert len(result.notes) == 1
    assert "Node N, zone NAME" in result.notes[0]
    with pytest.raises(ParseError):
        read_snapshot(str(result.path))


def test_capture_does_not_overwrite_unless_told(machine: Path, tmp_path: Path) -> None:
    target = tmp_path / "c.tar.gz"
    target.write_text("precious")
    with pytest.raises(UsageError, match="exists"):
        write_capture(str(machine), target)
    assert target.read_text() == "precious"
    write_capture(str(machine), target, overwrite=True)
    assert read_snapshot(str(target)).zones


def test_capture_that_cannot_be_written_leaves_nothing(machine: Path, tmp_path: Path) -> None:
    with pytest.raises(PagewardenError, match=r"(?i)no such file"):
        write_capture(str(machine), tmp_path / "none" / "c.tar.gz")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ReadError, match="no proc/zoneinfo"):
        write_capture(str(tmp_path / "empty"), tmp_path / "c.tar.gz")
    assert not (tmp_path / "c.tar.gz").exists()


def test_notes_round_trip() -> None:
    notes = CaptureNotes("1", "now", 4096, "x86_64", "h", "6.1", True, {"/a": "b"}, ("t",))
    assert parse_notes(render_notes(notes), "x") == notes
    assert parse_notes("{}", "x") == CaptureNotes()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        '{"absent": 5}',
        '{"torn": {}}',
        '{"page_size": 0}',
        '{"page_size": true}',
        '{"host": 5}',
        '{"systemd": 1}',
    ],
)
def test_notes_refuse(text: str) -> None:
    with pytest.raises(ParseError):
        parse_notes(text, "x")
