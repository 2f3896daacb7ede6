"""Who set what, told from values, files and the kernel's own rules."""

import pytest
from tests.machines import GIB, snapshot, zone

from pagewarden.diagnose.settings import Setting, Writer, assigned, huge_page_arithmetic, settings_of
from pagewarden.kernel.defaults import default_min_free
from pagewarden.kernel.machine import machine_of
from pagewarden.procfs.types import Snapshot, SysctlAssignment, Zone

RATIO = "vm.lowmem_reserve_ratio"
MIN_FREE = "vm.min_free_kbytes"


def zones() -> list[Zone]:
    layout = (("DMA", 3840), ("DMA32", 3 * GIB - 3840), ("Normal", 13 * GIB), ("Movable", 0))
    return [zone(name, pages, protection=(0, 0, 0, 0)) for name, pages in layout]


def line(key: str, value: str, *, overridden: bool = False, number: int = 3) -> SysctlAssignment:
    source = "/etc/sysctl.d/90-db.conf" if number else "kernel command line"
    return SysctlAssignment(key, value, source, number, overridden)


def judged(
    key: str,
    value: str,
    *assignments: SysctlAssignment,
    huge: str | None = "always",
    kernel: str = "6.1.0",
    live: bool = False,
    cmdline: str | None = None,
    distances: dict[int, tuple[int, ...]] | None = None,
) -> Setting:
    """One setting of a machine with 16 GiB: 16384 by the root, 67584 by khugepaged."""
    sysctls = {"min_free_kbytes": "67584", "lowmem_reserve_ratio": "256 256 32 0", key.removeprefix("vm."): value}
    sysctls.pop("transparent_hugepage", None)
    found = snapshot(
        zones(),
        sysctls,
        kernel=kernel,
        huge=huge,
        assignments=assignments,
        live=live,
        cmdline=cmdline,
        distances=distances,
    )
    settings = {setting.key: setting for setting in settings_of(found, machine_of(found))}
    return settings[key]


@pytest.mark.parametrize(
    ("key", "value", "asked", "writer", "set_by"),
    [
        pytest.param("vm.swappiness", "10", "10", Writer.FILE, "/etc/sysctl.d/90-db.conf:3", id="file"),
        pytest.param("vm.swappiness", "60", "60", Writer.FILE, "/etc/sysctl.d/90-db.conf:3", id="even the default"),
        pytest.param("vm.swappiness", "16", "0x10", Writer.FILE, "/etc/sysctl.d/90-db.conf:3", id="hexadecimal"),
        pytest.param("vm.swappiness", "8", "010", Writer.FILE, "/etc/sysctl.d/90-db.conf:3", id="octal"),
        pytest.param(
            "vm.swappiness", "10", "1_0", Writer.RUN_TIME, "written at run time", id="no number to the kernel"
        ),
        pytest.param("vm.swappiness", "10", "20", Writer.RUN_TIME, "written at run time", id="another value"),
        pytest.param("vm.swappiness", "60", "20", Writer.KERNEL, "kernel default", id="not in force"),
        pytest.param("vm.dirty_ratio", "20", "30", Writer.UNKNOWN, None, id="nobody knows the default"),
        pytest.param(
            RATIO, "256 128 32 0", "256 128 32", Writer.FILE, "/etc/sysctl.d/90-db.conf:3", id="fewer entries"
        ),
        pytest.param(RATIO, "256 128 32 0", "256", Writer.FILE, "/etc/sysctl.d/90-db.conf:3", id="the first alone"),
        pytest.param(RATIO, "256 128 32 0", "256 64", Writer.RUN_TIME, "written at run time", id="other entries"),
        pytest.param(MIN_FREE, "8192", "8192", Writer.FILE, "/etc/sysctl.d/90-db.conf:3", id="min_free of a file"),
        pytest.param(
            MIN_FREE, "67584", "67584", Writer.FILE, "/etc/sysctl.d/90-db.conf:3", id="that equals the kernel's"
        ),
        pytest.param(MIN_FREE, "9999", "8192", Writer.RUN_TIME, "written at run time", id="min_free of nobody"),
    ],
)
def test_files(key: str, value: str, asked: str, writer: Writer, set_by: str | None) -> None:
    setting = judged(key, value, line(key, asked))
    assert (setting.value, setting.writer, setting.set_by) == (value, writer, set_by)
    in_force = writer is Writer.FILE
    assert ("asks for" in setting.note) is (not in_force and writer is not Writer.UNKNOWN)


def test_a_file_the_kernel_overruled() -> None:
    setting = judged(MIN_FREE, "67584", line(MIN_FREE, "8192"))
    assert (setting.writer, setting.set_by) == (Writer.HUGE_PAGES, "kernel: khugepaged, for transparent huge pages")
    assert "asks for 8192; the kernel raised it since" in setting.note


def test_command_line() -> None:
    setting = judged("vm.swappiness", "10", line("vm.swappiness", "10", number=0))
    assert (setting.writer, setting.set_by) == (Writer.COMMAND_LINE, "kernel command line")


def test_the_assignment_that_wins_counts() -> None:
    lines = (line("vm.swappiness", "1", overridden=True, number=1), line("vm.swappiness", "10", number=2))
    assert judged("vm.swappiness", "10", *lines).set_by == "/etc/sysctl.d/90-db.conf:2"
    assert judged("vm.swappiness", "1", *lines).writer is Writer.RUN_TIME


def test_none_wins_where_none_is_there() -> None:
    bare: Snapshot = snapshot(zones())
    assert assigned(bare, "vm.swappiness") is None


@pytest.mark.parametrize(
    ("live", "others", "writer"),
    [(True, False, Writer.RUN_TIME), (False, True, Writer.RUN_TIME), (False, False, Writer.UNKNOWN)],
)
def test_nobody_asks(live: bool, others: bool, writer: Writer) -> None:
    """Where files could have been read and none sets it, it was written; a capture without files says nothing."""
    lines = [line("vm.dirty_ratio", "5")] if others else []
    setting = judged("vm.swappiness", "10", *lines, live=live)
    assert setting.writer is writer
    assert setting.note


@pytest.mark.parametrize(
    ("value", "huge", "set_by", "note"),
    [
        (
            "67584",
            "always",
            "kernel: khugepaged, for transparent huge pages",
            "67584 = 3 zones (DMA, DMA32, Normal) x 22528 kB",
        ),
        ("67584", "never", "kernel: khugepaged, for transparent huge pages", "switched off since"),
        ("16384", "never", "kernel: square-root formula", ""),
        ("16000", "never", "kernel: square-root formula", "gives 16384 for the memory managed now"),
        ("4096", "always", None, "khugepaged would have set 67584"),
        ("1048576", "always", None, "nothing that says who set it"),
    ],
)
def test_min_free_is_no_mystery(value: str, huge: str, set_by: str | None, note: str) -> None:
    setting = judged(MIN_FREE, value, huge=huge)
    assert setting.set_by == set_by
    assert note in setting.note
    assert bool(setting.note) is bool(note)
    assert setting.kernel_default == ("67584" if huge == "always" else "16384")


def test_two_nodes_in_words() -> None:
    found = snapshot([*zones(), zone("Normal", 16 * GIB, node=1)], {"min_free_kbytes": "90112"}, huge="always")
    machine = machine_of(found)
    huge = default_min_free(machine).huge
    assert huge is not None
    assert huge_page_arithmetic(machine, huge) == (
        "90112 = 4 zones (node 0 DMA, node 0 DMA32, node 0 Normal, node 1 Normal) x 22528 kB (11 page blocks each)"
    )


def test_a_twentieth_in_words() -> None:
    found = snapshot([zone("DMA", 3840), zone("Normal", 200000)], {"min_free_kbytes": "0"}, huge="always")
    machine = machine_of(found)
    huge = default_min_free(machine).huge
    assert huge is not None
    text = huge_page_arithmetic(machine, huge)
    assert text.startswith("45056 = 2 zones (DMA, Normal) x 22528 kB")
    assert text.endswith(f"cut to a twentieth of low memory beyond the high marks: {huge.cap_kb} kB")


@pytest.mark.parametrize(
    ("kernel", "far", "default"),
    [("2.6.32", 40, "1"), ("2.6.32", 20, "0"), ("6.1.0", 40, "0"), ("3.10.0-1160.el7.x86_64", 40, "0")],
)
def test_zone_reclaim_mode_of_old_kernels(kernel: str, far: int, default: str) -> None:
    setting = judged("vm.zone_reclaim_mode", default, kernel=kernel, distances={0: (10, far), 1: (far, 10)})
    assert (setting.kernel_default, setting.writer) == (default, Writer.KERNEL)


@pytest.mark.parametrize(
    ("cmdline", "writer"),
    [
        ("ro transparent_hugepage=always quiet", Writer.COMMAND_LINE),
        ("ro transparent_hugepage=never", Writer.UNKNOWN),
        ("ro", Writer.UNKNOWN),
        (None, Writer.UNKNOWN),
    ],
)
def test_huge_page_switch(cmdline: str | None, writer: Writer) -> None:
    assert judged("transparent_hugepage", "always", cmdline=cmdline).writer is writer


def test_settings_are_in_order_the_switch_last() -> None:
    found = snapshot(zones(), {"swappiness": "60", "min_free_kbytes": "67584", "dirty_ratio": "20"}, huge="never")
    keys = [setting.key for setting in settings_of(found, machine_of(found))]
    assert keys == ["vm.dirty_ratio", "vm.min_free_kbytes", "vm.swappiness", "transparent_hugepage"]
