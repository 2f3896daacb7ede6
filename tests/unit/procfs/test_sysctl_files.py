import pytest

from pagewarden.procfs.sysctl_files import files_in_force, parse_command_line, resolve_assignments
from pagewarden.procfs.sysctl_lines import dotted_key, parse_sysctl_file
from pagewarden.procfs.types import SysctlAssignment, SysctlFile

KEYS = ("vm.min_free_kbytes", "vm.swappiness", "vm.watermark_scale_factor")


def summary(assignments: tuple[SysctlAssignment, ...]) -> list[tuple[str, str, str, bool]]:
    return [(each.key, each.value, each.source, each.overridden) for each in assignments]


@pytest.mark.parametrize(
    ("written", "key"),
    [
        ("vm.min_free_kbytes", "vm.min_free_kbytes"),
        ("vm/min_free_kbytes", "vm.min_free_kbytes"),
        ("net/ipv4/conf/eth0.1/forwarding", "net.ipv4.conf.eth0/1.forwarding"),
        ("net.ipv4.conf.eth0/1.forwarding", "net.ipv4.conf.eth0/1.forwarding"),
        ("vm.*", "vm.*"),
        ("single", "single"),
    ],
)
def test_dotted_key(written: str, key: str) -> None:
    assert dotted_key(written) == key


def test_parse_file() -> None:
    text = (
        "# comment\n; another = 1\n\n"
        "vm.min_free_kbytes = 65536\n"
        "  vm/swappiness=10  \n"
        "-vm.watermark_scale_factor = 50\r\n"
        "vm.lowmem_reserve_ratio = 256\t256  32\n"
        "-vm.overcommit_memory\n"
        "kernel.core_pattern = |/bin/x a=b\n"
        "vm.dirty_ratio =\n"
        "nonsense\n"
        "= 5\n"
    )
    lines = parse_sysctl_file(text, "/etc/sysctl.d/x.conf")
    assert [(each.key, each.value, each.line_number) for each in lines.assignments] == [
        ("vm.min_free_kbytes", "65536", 4),
        ("vm.swappiness", "10", 5),
        ("vm.watermark_scale_factor", "50", 6),
        ("vm.lowmem_reserve_ratio", "256 256 32", 7),
        ("kernel.core_pattern", "|/bin/x a=b", 9),
        ("vm.dirty_ratio", "", 10),
    ]
    assert lines.excluded == {"vm.overcommit_memory"}
    assert lines.invalid == ((11, "nonsense"), (12, "= 5"))


def test_parse_command_line() -> None:
    line = (
        'root=/dev/vda "sysctl.kernel.core_pattern=|/bin/x y" quiet sysctl.vm.min_free_kbytes=99999 '
        'sysctl/vm/swappiness=1 xsysctl.vm.swappiness=2 sysctl.vm.lowmem_reserve_ratio="256 32" sysctl. sysctl.vm.x '
        "-- sysctl.vm.swappiness=3"
    )
    assert [(each.key, each.value, each.line_number) for each in parse_command_line(line)] == [
        ("kernel.core_pattern", "|/bin/x y", 0),
        ("vm.min_free_kbytes", "99999", 0),
        ("vm.swappiness", "1", 0),
        ("vm.lowmem_reserve_ratio", "256 32", 0),
    ]


def test_names_hide_across_folders_and_sort_across_folders() -> None:
    files = [
        SysctlFile("/lib/sysctl.d/50-default.conf", "vm.swappiness=1"),
        SysctlFile("/usr/lib/sysctl.d/50-default.conf", "vm.swappiness=2"),
        SysctlFile("/usr/lib/sysctl.d/10-a.conf", "vm.swappiness=3"),
        SysctlFile("/etc/sysctl.d/20-b.conf", "vm.swappiness=4"),
        SysctlFile("/usr/lib/sysctl.d/99-masked.conf", "vm.swappiness=5"),
        SysctlFile("/etc/sysctl.d/99-masked.conf", None),
        SysctlFile("/run/sysctl.d/60-c.conf", "vm.swappiness=6"),
        SysctlFile("/usr/local/lib/sysctl.d/60-c.conf", "vm.swappiness=7"),
    ]
    assert [file.path for file in files_in_force(files)] == [
        "/usr/lib/sysctl.d/10-a.conf",
        "/etc/sysctl.d/20-b.conf",
        "/usr/lib/sysctl.d/50-default.conf",
        "/run/sysctl.d/60-c.conf",
    ]
    assert files_in_force(reversed(files)) == files_in_force(files)
    assert [each.overridden for each in resolve_assignments(files)] == [True, True, True, False]


def test_command_line_comes_first_and_only_vm_counts() -> None:
    file = SysctlFile("/etc/sysctl.d/a.conf", "kernel.sysrq = 1\nvm.swappiness = 5\nvm.swappiness = 6\n")
    found = resolve_assignments([file], command_line="sysctl.vm.swappiness=9 sysctl.kernel.sysrq=0")
    assert summary(found) == [
        ("vm.swappiness", "9", "kernel command line", True),
        ("vm.swappiness", "5", "/etc/sysctl.d/a.conf", True),
        ("vm.swappiness", "6", "/etc/sysctl.d/a.conf", False),
    ]


def test_globs_reach_known_keys_and_yield_to_explicit_assignments() -> None:
    files = [
        SysctlFile("/etc/sysctl.d/10.conf", "vm.swappiness = 5\n-vm.watermark_scale_factor\n"),
        SysctlFile("/etc/sysctl.d/20.conf", "vm.* = 7\n*.swappiness = 8\n* = 9\nkernel.* = 1\n"),
    ]
    assert summary(resolve_assignments(files, keys=KEYS)) == [
        ("vm.swappiness", "5", "/etc/sysctl.d/10.conf", False),
        ("vm.min_free_kbytes", "7", "/etc/sysctl.d/20.conf", False),
        ("vm.swappiness", "7", "/etc/sysctl.d/20.conf", True),
        ("vm.swappiness", "8", "/etc/sysctl.d/20.conf", True),
    ]


@pytest.mark.parametrize(
    ("systemd", "needs_procps", "winner"), [(True, True, "/etc/sysctl.d/a.conf"), (False, False, "/etc/sysctl.conf")]
)
def test_sysctl_conf_without_link(systemd: bool, needs_procps: bool, winner: str) -> None:
    files = [SysctlFile("/etc/sysctl.d/a.conf", "vm.swappiness = 5\n")]
    conf = SysctlFile("/etc/sysctl.conf", "vm.swappiness = 6\nvm.min_free_kbytes = 7\n")
    found = resolve_assignments([*files, conf], systemd=systemd)
    assert [each.needs_procps for each in found] == [False, needs_procps, needs_procps]
    assert [each.source for each in found if each.key == "vm.swappiness" and not each.overridden] == [winner]
    assert [each.value for each in found if each.key == "vm.min_free_kbytes" and not each.overridden] == ["7"]


def test_sysctl_conf_with_a_link_is_named_once_under_systemd_and_is_last_under_procps() -> None:
    text = "vm.swappiness = 6\n"
    files = [
        SysctlFile("/etc/sysctl.d/99-sysctl.conf", text, "/etc/sysctl.conf"),
        SysctlFile("/etc/sysctl.d/zz.conf", "vm.swappiness = 5\n"),
        SysctlFile("/etc/sysctl.conf", text),
    ]
    assert [(each.source, each.overridden) for each in resolve_assignments(files)] == [
        ("/etc/sysctl.d/99-sysctl.conf", True),
        ("/etc/sysctl.d/zz.conf", False),
    ]
    winner = [each.source for each in resolve_assignments(files, systemd=False) if not each.overridden]
    assert winner == ["/etc/sysctl.conf"]


def test_a_key_excluded_after_its_value_has_no_winner_under_systemd() -> None:
    files = [SysctlFile("/etc/sysctl.d/a.conf", "vm.swappiness = 5\n-vm.swappiness\n")]
    assert [each.overridden for each in resolve_assignments(files)] == [True]
    assert [each.overridden for each in resolve_assignments(files, systemd=False)] == [False]


def test_a_glob_beats_the_command_line() -> None:
    files = [SysctlFile("/etc/sysctl.d/a.conf", "vm.swap* = 5\n")]
    found = resolve_assignments(files, command_line="sysctl.vm.swappiness=9", keys=KEYS)
    assert summary(found) == [
        ("vm.swappiness", "9", "kernel command line", True),
        ("vm.swappiness", "5", "/etc/sysctl.d/a.conf", False),
    ]
