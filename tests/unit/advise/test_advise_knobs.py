"""Each knob's advice on machines of plain numbers: what is found, what is proposed, and when nothing is said."""

from dataclasses import replace

import pytest
from tests import oracle
from tests.machines import GIB, snapshot, zone

from pagewarden.advise.advice import advise
from pagewarden.advise.policy import AdvicePolicy, Workload
from pagewarden.advise.types import Advice, Recommendation
from pagewarden.diagnose.types import Finding, Severity
from pagewarden.kernel.machine import machine_of
from pagewarden.procfs.types import Snapshot, SysctlAssignment, Zone

LAYOUT = ("DMA", "DMA32", "Normal", "Movable", "Device")
QUIET: list[str] = []


def box(
    min_free: int = 67584,
    *,
    sizes: tuple[int, ...] = (3840, 3 * GIB, 13 * GIB - 3840, 0, 0),
    ratio: tuple[int, ...] = (256, 256, 32, 0, 0),
    earlier: tuple[int, ...] | None = None,
    free_percent: int = 50,
    kernel: str = "6.12.0",
    huge: str | None = "always",
    nodes: int = 1,
    meminfo_kb: dict[str, int] | None = None,
    assignments: tuple[SysctlAssignment, ...] = (),
    distances: dict[int, tuple[int, ...]] | None = None,
    torn: tuple[str, ...] = (),
    **sysctls: str,
) -> Snapshot:
    """A machine whose marks and reserves were computed from `earlier` sizes (its own, unless given)."""
    release = tuple(map(int, kernel.split("-")[0].split(".")))
    assert len(release) == 3
    counted = [
        {"node": node, "name": name, "managed": size, "present": size}
        for node in range(nodes)
        for name, size in zip(LAYOUT, earlier or sizes, strict=True)
    ]
    marks = oracle.marks(counted, min_free, 10, release)
    rows = oracle.protection(earlier or sizes, ratio, release) * nodes
    zones: list[Zone] = [
        zone(
            name,
            size,
            node=node,
            spanned=size + 3000,
            free=size * free_percent // 100,
            marks=mark if release >= (6, 12, 0) else mark[:3],
            protection=row,
        )
        for (node, name, size), mark, row in zip(
            [(node, name, size) for node in range(nodes) for name, size in zip(LAYOUT, sizes, strict=True)],
            marks,
            rows,
            strict=True,
        )
    ]
    settings = {
        "min_free_kbytes": str(min_free),
        **({"watermark_scale_factor": "10"} if release >= (4, 6, 0) else {}),
        "lowmem_reserve_ratio": " ".join(map(str, ratio)),
        **sysctls,
    }
    return snapshot(
        zones,
        settings,
        kernel=kernel,
        huge=huge,
        meminfo_kb=meminfo_kb,
        assignments=assignments,
        distances=distances,
        torn=torn,
    )


def advice_on(found: Snapshot, workload: Workload = Workload.GENERAL) -> Advice:
    return advise(found, machine_of(found), AdvicePolicy(workload))


def causes(advice: Advice) -> list[str]:
    """Findings above info."""
    return [finding.cause for finding in advice.findings if finding.severity != "info"]


def only(advice: Advice) -> Recommendation:
    (recommendation,) = advice.recommendations
    return recommendation


def found_as(advice: Advice, cause: str) -> Finding:
    (finding,) = [finding for finding in advice.findings if finding.cause == cause]
    return finding


def test_a_healthy_machine() -> None:
    advice = advice_on(box())
    assert advice.quiet
    assert (advice.recommendations, advice.findings, advice.withheld) == ((), (), ())
    assert advice.defaults["vm.min_free_kbytes"].effective == "67584"


class TestMinFree:
    """The root of 16 GiB is 16384 kB, the floor of advice 80 % of it; a twentieth is 838860 kB."""

    @pytest.mark.parametrize(
        ("value", "cause"),
        [
            (0, "below-kernel-default"),
            (8192, "below-kernel-default"),
            (13107, "below-kernel-default"),
            (13108, None),
            (16384, None),
            (67584, None),
            (200000, None),
            (838860, None),
            (839600, "too-high"),
            (4_000_000, "too-high"),
        ],
    )
    def test_value(self, value: int, cause: str | None) -> None:
        advice = advice_on(box(value))
        assert causes(advice) == ([cause] if cause else QUIET)
        assert [r.cause for r in advice.recommendations] == ([cause] if cause else [])

    def test_too_low_asks_for_the_root_not_for_khugepageds(self) -> None:
        recommendation = only(advice_on(box(8192)))
        assert (recommendation.current, recommendation.recommended) == ("8192", "16384")
        assert "khugepaged would have asked for 67584 = 3 zones" in recommendation.reason
        assert recommendation.cost_bytes > 0
        assert "khugepaged" not in only(advice_on(box(8192, huge="never"))).reason

    def test_too_high_asks_for_the_kernels_own(self) -> None:
        assert only(advice_on(box(4_000_000))).recommended == "67584"
        assert only(advice_on(box(4_000_000, huge="never"))).recommended == "16384"

    @pytest.mark.parametrize(
        ("free_percent", "available", "severity"),
        [(50, 0, Severity.WARNING), (5, 1000, Severity.WARNING), (5, 0, Severity.CRITICAL)],
    )
    def test_out_of_memory_makes_it_critical(self, free_percent: int, available: int, severity: Severity) -> None:
        advice = advice_on(box(4_000_000, free_percent=free_percent, meminfo_kb={"MemAvailable": available}))
        assert found_as(advice, "too-high").severity is severity

    def test_tiny_machines_may_have_more_than_a_twentieth(self) -> None:
        # 16 MiB: the root is 512 kB, a twentieth of it 819; 1 MiB: the clamp at 128 kB is an eighth
        assert advice_on(box(128, sizes=(0, 256, 0, 0, 0), huge=None)).quiet

    def test_a_value_that_was_inferred_is_judged_with_less_confidence(self) -> None:
        found = box(8192)
        without = {key: value for key, value in found.sysctls.items() if key != "vm.min_free_kbytes"}
        recommendation = only(advice_on(replace(found, sysctls=without)))
        assert recommendation.confidence == "medium"
        assert "inferred" in recommendation.evidence[0].source

    def test_what_nothing_tells_is_said_not_to_be_judged(self) -> None:
        found = box()
        nodes = tuple(replace(n, zones=tuple(replace(z, protection_pages=None) for z in n.zones)) for n in found.nodes)
        advice = advice_on(replace(found, sysctls={}, nodes=nodes, absent={"/proc/sys/vm/min_free_kbytes": "damaged"}))
        assert dict(advice.not_judged)["vm.min_free_kbytes"] == "damaged"
        assert advice.recommendations == ()

    def test_the_price_of_huge_pages_is_information(self) -> None:
        # 1.2 GiB: three zones want 67584 kB, a twentieth is less
        sizes = (3840, 150000, 150000, 0, 0)
        cap = (303840 - 3 * 100) // 20 * 4 - 800
        advice = advice_on(box(cap, sizes=sizes))
        assert advice.quiet
        assert found_as(advice, "huge-page-reserve-large").severity is Severity.INFO


class TestRatio:
    """DMA32's default keeps 1/256 of what lies above: 52 MiB of 13 GiB."""

    def test_stranding_what_matters(self) -> None:
        recommendation = only(advice_on(box(ratio=(256, 16, 32, 0, 0))))
        assert (recommendation.key, recommendation.cause) == ("vm.lowmem_reserve_ratio", "stranded")
        assert (recommendation.current, recommendation.recommended) == ("256 16 32 0 0", "256 256 32 0 0")
        assert "larger ratio makes the reserve smaller" in recommendation.reason
        assert recommendation.cost_bytes < 0

    def test_stranding_little_is_left_alone(self) -> None:
        assert advice_on(box(ratio=(256, 128, 32, 0, 0))).quiet

    def test_a_ratio_of_0_strands_nothing(self) -> None:
        assert advice_on(box(ratio=(0, 0, 0, 0, 0))).quiet

    def test_normal_keeps_for_the_kernel_and_strands_nothing(self) -> None:
        assert advice_on(box(ratio=(256, 256, 1, 0, 0), sizes=(3840, 3 * GIB, 6 * GIB, 7 * GIB, 0))).quiet

    def test_a_zone_kept_whole_is_information(self) -> None:
        advice = advice_on(box(sizes=(3840, 100000, 40_000_000, 0, 0)))
        assert advice.quiet
        assert found_as(advice, "stranded").severity is Severity.INFO

    def squeezed(self, *, ratio: tuple[int, ...] = (256, 0, 32, 0, 0), dma32_free: int = 3900) -> Advice:
        found = box(ratio=ratio)
        nodes = tuple(
            replace(n, zones=tuple(replace(z, free_pages=dma32_free) if z.name == "DMA32" else z for z in n.zones))
            for n in found.nodes
        )
        return advice_on(replace(found, nodes=nodes))

    def test_squeezed(self) -> None:
        advice = self.squeezed()
        recommendation = only(advice)
        assert (recommendation.cause, recommendation.recommended) == ("squeezed", "256 256 32 0 0")
        assert found_as(advice, "squeezed").severity is Severity.WARNING
        assert "a smaller ratio makes it larger" in recommendation.reason

    def test_room_in_the_zone_is_no_squeeze(self) -> None:
        assert self.squeezed(dma32_free=50000).quiet

    def test_half_of_the_default_is_protection_enough(self) -> None:
        assert self.squeezed(ratio=(256, 510, 32, 0, 0)).quiet
        assert not self.squeezed(ratio=(256, 520, 32, 0, 0)).quiet

    def test_a_zone_that_does_not_matter_is_not_squeezed(self) -> None:
        found = box(ratio=(0, 256, 32, 0, 0))
        nodes = tuple(
            replace(n, zones=tuple(replace(z, free_pages=1) if z.name == "DMA" else z for z in n.zones))
            for n in found.nodes
        )
        assert advice_on(replace(found, nodes=nodes)).quiet


class TestZoneReclaim:
    """Right only where the workload is partitioned by node."""

    @pytest.mark.parametrize("mode", ["1", "3", "7", "255"])
    def test_one_node(self, mode: str) -> None:
        advice = advice_on(box(zone_reclaim_mode=mode))
        recommendation = only(advice)
        assert (recommendation.key, recommendation.recommended) == ("vm.zone_reclaim_mode", "0")
        assert recommendation.cause == "zone-reclaim-pointless"
        assert recommendation.cost_bytes == 0

    @pytest.mark.parametrize(("kernel", "loud"), [("6.12.0", False), ("5.10.0", True)])
    def test_a_value_without_meaning(self, kernel: str, loud: bool) -> None:
        advice = advice_on(box(zone_reclaim_mode="8", kernel=kernel))
        assert bool(advice.recommendations) is loud
        assert any("no meaning" in f.text or "without meaning" in f.text for f in advice.findings)

    def test_two_nodes_without_harm(self) -> None:
        advice = advice_on(box(90112, nodes=2, zone_reclaim_mode="1"))
        assert advice.quiet
        assert found_as(advice, "zone-reclaim-harm").severity is Severity.INFO

    def test_switched_on_by_an_old_kernel(self) -> None:
        found = box(
            90112,
            nodes=2,
            zone_reclaim_mode="1",
            kernel="3.14.0",
            ratio=(256, 256, 32, 1),
            distances={0: (10, 40), 1: (40, 10)},
        )
        assert "by itself at boot" in only(advice_on(found)).reason
        assert advice_on(found, Workload.NUMA_PARTITIONED).quiet

    def test_shifted_bits_are_said(self) -> None:
        advice = advice_on(box(90112, nodes=2, zone_reclaim_mode="1", kernel="5.8.1"))
        assert any("shifted" in finding.text and finding.severity == "notice" for finding in advice.findings)


class TestStaleMarks:
    """A rewrite is proposed from a fifth on, weighed by what the zones hold."""

    @pytest.mark.parametrize(
        ("normal_then", "loud"),
        [(13 * GIB - 3840, False), (12 * GIB, False), (8 * GIB, True), (GIB, True)],
    )
    def test_by_how_much(self, normal_then: int, loud: bool) -> None:
        advice = advice_on(box(earlier=(3840, 3 * GIB, normal_then, 0, 0)))
        assert [r.key for r in advice.recommendations] == (["action:rewrite"] if loud else [])
        if loud:
            assert found_as(advice, "stale-watermarks").severity is Severity.NOTICE
        else:
            assert "stale-watermarks" not in causes(advice), "status shows what every boot leaves"

    def test_a_page_in_a_tiny_zone_is_nothing(self) -> None:
        advice = advice_on(box(earlier=(2900, 3 * GIB, 13 * GIB, 0, 0)))
        assert advice.quiet

    def test_without_the_setting_nothing_is_proposed(self) -> None:
        found = box(earlier=(3840, 3 * GIB, GIB, 0, 0))
        without = {key: value for key, value in found.sysctls.items() if key != "vm.min_free_kbytes"}
        assert advice_on(replace(found, sysctls=without)).recommendations == ()


def test_torn_files_withhold_everything() -> None:
    advice = advice_on(box(8192, torn=("zones came or went",)))
    assert advice.recommendations == ()
    assert "zones came or went" in advice.withheld[0]
    assert "below-kernel-default" in causes(advice), "what was seen is still said"
    assert "model-misfit" in causes(advice)


def test_a_misfit_withholds_everything() -> None:
    found = box(8192)
    nodes = tuple(
        replace(n, zones=tuple(replace(z, low_pages=z.low_pages + 7) if z.name == "Normal" else z for z in n.zones))
        for n in found.nodes
    )
    advice = advice_on(replace(found, nodes=nodes))
    assert advice.recommendations == ()
    finding = found_as(advice, "model-misfit")
    assert finding.severity is Severity.NOTICE
    assert [evidence.value for evidence in finding.evidence]
    assert not advice.quiet


def test_a_capture_of_some_zones_withholds_everything() -> None:
    found = box(8192)
    cut = replace(found, nodes=tuple(replace(node, zones=node.zones[:1]) for node in found.nodes))
    advice = advice_on(cut)
    assert advice.recommendations == ()
    assert advice.withheld[0].startswith("Zones are missing: protection speaks of more than this capture holds.")


def test_files_that_are_not_in_force() -> None:
    lines = (SysctlAssignment("vm.min_free_kbytes", "99999", "/etc/sysctl.d/1.conf", 1),)
    finding = found_as(advice_on(box(assignments=lines)), "foreign-setting")
    assert finding.severity is Severity.INFO
    assert "/etc/sysctl.d/1.conf:1 asks for 99999" in finding.text


def test_the_worst_comes_first() -> None:
    advice = advice_on(box(4_000_000, free_percent=1, meminfo_kb={"MemAvailable": 0}, zone_reclaim_mode="1"))
    severities = [finding.severity for finding in advice.findings]
    assert severities[0] is Severity.CRITICAL
    order = list(Severity)
    assert [order.index(s) for s in severities] == sorted((order.index(s) for s in severities), reverse=True)


def test_no_sentence_is_torn_by_the_source() -> None:
    """Long strings are written in pieces: none may have lost or doubled a blank."""
    snapshots = (
        box(8192),
        box(4_000_000),
        box(ratio=(256, 16, 32, 0, 0)),
        box(zone_reclaim_mode="1"),
        box(90112, nodes=2, zone_reclaim_mode="1"),
        box(earlier=(3840, 3 * GIB, GIB, 0, 0)),
        box(torn=("x",)),
    )
    for found in snapshots:
        advice = advice_on(found)
        texts = [f.text for f in advice.findings] + [r.reason for r in advice.recommendations]
        assert all("  " not in text and text.endswith((".", ")")) for text in texts), texts


@pytest.mark.parametrize(
    ("cache_kb", "cause", "severity"),
    [
        (8_000_000, "reclaim-too-slow", Severity.WARNING),
        (100_000, "memory-exhausted", Severity.CRITICAL),
        (None, "reclaim-too-slow", Severity.WARNING),
    ],
)
def test_a_full_machine_is_said(cache_kb: int | None, cause: str, severity: Severity) -> None:
    full = {"MemFree": 0, "Active(file)": cache_kb, "Inactive(file)": 0} if cache_kb is not None else None
    advice = advice_on(box(free_percent=0, meminfo_kb=full))
    assert found_as(advice, cause).severity is severity
    assert advice.recommendations == ()


def test_tiny_zones_do_not_make_a_machine_full() -> None:
    found = box()
    nodes = tuple(
        replace(n, zones=tuple(replace(z, free_pages=0) if z.name == "DMA" else z for z in n.zones))
        for n in found.nodes
    )
    assert advice_on(replace(found, nodes=nodes)).quiet


@pytest.mark.parametrize(
    ("asked", "line_number", "keep"),
    [
        (None, 0, 'put "vm.min_free_kbytes = 16384" into a file in /etc/sysctl.d'),
        ("8192", 7, "change it in /etc/sysctl.d/1.conf:7"),
        ("8192", 0, "change it in the kernel command line"),
        ("9000", 7, "change it in /etc/sysctl.d/1.conf:7"),
    ],
)
def test_how_to_keep_a_change(asked: str | None, line_number: int, keep: str) -> None:
    source = "/etc/sysctl.d/1.conf" if line_number else "kernel command line"
    lines = () if asked is None else (SysctlAssignment("vm.min_free_kbytes", asked, source, line_number),)
    assert only(advice_on(box(8192, assignments=lines))).keep == keep


def test_what_the_kernel_chooses_by_itself_needs_no_file() -> None:
    assert only(advice_on(box(8192, huge="never"))).keep.startswith("nothing: the kernel chooses this value by itself")
    lines = (SysctlAssignment("vm.min_free_kbytes", "8192", "/etc/sysctl.d/1.conf", 7),)
    assert only(advice_on(box(8192, huge="never", assignments=lines))).keep.startswith(
        "take it out of /etc/sysctl.d/1.conf:7"
    )
