"""Reports whose explanation has been worked out by hand: the numbers must come out exactly so."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.conftest import CORPUS

from pagewarden.diagnose.diagnosis import Diagnosis, Harm
from pagewarden.diagnose.explain import diagnose
from pagewarden.diagnose.replay import ZoneReplay
from pagewarden.diagnose.types import Cause
from pagewarden.kernel.allocation import Verdict
from pagewarden.klog.sources import reports_in

OWN = Path(__file__).parents[2] / "data" / "explain"


def diagnosed(path: Path, *more: Path) -> list[Diagnosis]:
    return [diagnose(report) for report in reports_in(b"\n".join(each.read_bytes() for each in (path, *more)))]


def either(own: str, *numbers: str) -> list[object]:
    """Our own report with the numbers of the case, and the real one where the reference corpus is."""
    logs = [CORPUS / "logs" / f"{number}.log" for number in numbers]
    missing = [] if CORPUS.is_dir() else [pytest.mark.skip(reason="no reference corpus: ../shared/corpus is not here")]
    return [
        pytest.param(OWN / f"{own}.log", (), id="own"),
        pytest.param(logs[0], tuple(logs[1:]), id="corpus", marks=missing),
    ]


def zone(diagnosis: Diagnosis, name: str) -> ZoneReplay:
    (found,) = (zone for zone in diagnosis.replay.zones if zone.name == name)
    return found


def numbers(found: ZoneReplay) -> tuple[int, int, int, int, int]:
    """Mark after its discounts, reserve, needed, counted, short by."""
    assert found.check is not None
    check = found.check
    return check.mark_pages, check.reserve_pages, check.required_pages, check.available_pages, check.short_pages


def says(diagnosis: Diagnosis, words: Sequence[str]) -> None:
    missing = [word for word in words if word not in diagnosis.explanation]
    assert not missing, diagnosis.explanation


@pytest.mark.parametrize(("log", "more"), either("atomic-2.6.32", "012"))
def test_atomic_reserve_exhausted_on_receive(log: Path, more: tuple[Path, ...]) -> None:
    (found,) = diagnosed(log, *more)
    assert found.replay.gfp_name == "GFP_ATOMIC"
    normal, dma = zone(found, "Normal"), zone(found, "DMA")
    assert (normal.verdict, numbers(normal)) == (Verdict.BELOW_MARK, (180, 0, 181, 179, 2))
    assert normal.check is not None
    assert normal.check.base_mark_pages == 477
    assert (dma.verdict, numbers(dma)) == (Verdict.LOWMEM_RESERVE, (12, 238, 251, 248, 3))
    assert (found.judgement.cause, found.judgement.inferred) == (Cause.ATOMIC_RESERVE_EXHAUSTED, False)
    assert found.harm is Harm.DEGRADED
    says(found, ["e100_rx_alloc_skb [e100]", "receiving from the network", "vm.min_free_kbytes=2038", "own formula"])
    # 2044 kB are 511 pages, of which Normal has 479: low is 598, 2 more than 596, so that 181 would have been free, and
    # the mark is 479 - 239 = 240, - 60 = 180. With 2043 the mark is the same and 180 would have been free.
    (raise_it,) = (remedy for remedy in found.remedies if remedy.key == "vm.min_free_kbytes")
    assert raise_it.value == "2044"


@pytest.mark.parametrize(("log", "more"), either("order-4-2.6.32", "009"))
def test_fragmented_order_4(log: Path, more: tuple[Path, ...]) -> None:
    (found,) = diagnosed(log, *more)
    assert found.replay.gfp_name == "GFP_KERNEL|__GFP_COMP|__GFP_ZERO"
    assert (zone(found, "node 0 DMA").verdict, numbers(zone(found, "node 0 DMA"))[1]) == (Verdict.LOWMEM_RESERVE, 4016)
    dma32, normal = zone(found, "node 0 DMA32"), zone(found, "node 0 Normal")
    assert dma32.check is not None
    assert normal.check is not None
    assert (dma32.verdict, dma32.check.failed_order, dma32.check.loop_pages) == (Verdict.NO_BLOCK, 0, (765, 884))
    assert (numbers(dma32)[3], numbers(dma32)[4]) == (3140, 0)
    assert (normal.verdict, normal.check.failed_order) == (Verdict.NO_BLOCK, 3)
    assert (found.judgement.cause, found.judgement.inferred) == (Cause.FRAGMENTED, False)
    assert found.caller.frame is not None
    assert (found.caller.frame.function, found.caller.frame.module) == ("xs_setup_xprt", "sunrpc")
    says(found, ["16 contiguous pages (order 4, 64 KiB)", "Nobody was killed", "order 4 is above the limit (3)"])
    assert not any(remedy.key == "vm.min_free_kbytes" and remedy.value for remedy in found.remedies)


@pytest.mark.parametrize(("log", "more"), either("no-free-lists-3.4", "014"))
def test_fragmented_is_inferred_without_free_lists(log: Path, more: tuple[Path, ...]) -> None:
    (found,) = diagnosed(log, *more)
    assert found.replay.gfp_name == "GFP_ATOMIC|__GFP_COMP"
    dma = zone(found, "node 0 DMA")
    assert (dma.verdict, numbers(dma)[1]) == (Verdict.LOWMEM_RESERVE, 32183)
    for name in ("node 0 DMA32", "node 0 Normal", "node 1 Normal"):
        assert (zone(found, name).verdict, numbers(zone(found, name))[4]) == (Verdict.UNKNOWN, 0)
    assert (found.judgement.cause, found.judgement.inferred) == (Cause.FRAGMENTED, True)
    says(found, ["tg3_start_xmit", "sending to the network", "32 contiguous pages", "inferred"])
    says(found, ["vm.min_free_kbytes=32496", "90112", "2 nodes"])


@pytest.mark.parametrize(("log", "more"), either("socket-clone-el6", "011"))
def test_trace_without_memory_dump(log: Path, more: tuple[Path, ...]) -> None:
    (found,) = diagnosed(log, *more)
    assert (found.replay.gfp_name, found.report.order) == ("GFP_ATOMIC", 1)
    assert found.judgement.cause is Cause.INCOMPLETE
    assert found.caller.driver == "vmxnet3"
    says(found, ["TCP", "network", "vmxnet3", "zones"])
    (upgrade,) = (remedy for remedy in found.remedies if remedy.key == "action:kernel-upgrade")
    for word in ("2.6.32-358.el6", "kswapd", "compact", "vm.min_free_kbytes", "vm.zone_reclaim_mode=1"):
        assert word in upgrade.why


def test_lines_without_a_trace_name_the_fix_with_a_condition(corpus: Path) -> None:
    found = diagnosed(corpus / "logs" / "010.log")
    assert [each.judgement.cause for each in found] == [Cause.INCOMPLETE] * 5
    assert "If this is Red Hat 6" in found[0].remedies[0].why


@pytest.mark.parametrize(("log", "more"), either("oom-dma-only-2.6", "003", "004"))
def test_oom_without_an_order_and_the_xfs_line_with_the_same_mask(log: Path, more: tuple[Path, ...]) -> None:
    oom, warning = diagnosed(log, *more)
    dma = zone(oom, "DMA")
    assert dma.check is not None
    assert dma.check.usable_order == 5
    assert numbers(dma)[3] == 1631
    assert (oom.judgement.cause, oom.judgement.inferred, oom.harm) == (Cause.FRAGMENTED, True, Harm.KILLED)
    says(oom, ["above 5", "order, which this kernel does not print", "bystander"])
    says(warning, [f"line {oom.report.line_number}", "same mask"])
