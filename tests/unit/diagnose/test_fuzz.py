"""A little of bench/fuzz_explain.py, and the smallest inputs that it found something with."""

import pytest
from bench.fuzz_explain import examine, own_seeds, run

from pagewarden.diagnose.explain import diagnose
from pagewarden.diagnose.types import Cause
from pagewarden.kernel.allocation import Verdict
from pagewarden.klog.sources import reports_in

HEADER = "java: page allocation failure: order:0, mode:0xa20(GFP_ATOMIC), nodemask=(null),cpuset=/,mems_allowed=0\n"


def test_a_few_mutated_logs() -> None:
    reports = 0
    for data, error, found in run(own_seeds(), 300, seed=2026):
        assert error is None, data
        reports += found
    assert reports > 200


def only(log: str) -> tuple[Cause, list[Verdict]]:
    examine(log.encode(), text=True)
    (report,) = reports_in(log.encode())
    found = diagnose(report)
    return found.judgement.cause, [zone.verdict for zone in found.replay.zones]


@pytest.mark.parametrize("release", ["2.4.18", "0.10.0-1160.el7.x86_64", "1.0"])
def test_a_release_whose_masks_are_not_known(release: str) -> None:
    # A garbled release ended the command, and with it all other reports of the log.
    cause, _ = only(f"CPU: 1 PID: 7 Comm: java Not tainted {release} #1\n{HEADER}")
    assert cause is Cause.INCOMPLETE


def test_a_zone_of_less_than_a_page() -> None:
    zone = (
        "Node 0 {name} free:{free}kB min:400kB low:500kB high:600kB present:8000kB managed:{managed}kB free_cma:0kB\n"
    )
    log = HEADER + "CPU: 1 PID: 7 Comm: java Not tainted 5.10.0-8-amd64 #1\nMem-Info:\n"
    log += zone.format(name="DMA", free=12, managed=1) + "lowmem_reserve[]: 0 9 9 9 9\n"
    log += zone.format(name="DMA32", free=12, managed=7000) + "lowmem_reserve[]: 0 0 0 0 0\n"
    _, verdicts = only(log)
    assert verdicts[1] is Verdict.BELOW_MARK


def test_kernels_that_do_not_agree_on_who_may_use_a_zone() -> None:
    # 0x100000 is MOVABLE until 2.6.29 only, so that the mask names another zone there.
    log = "java: page allocation failure. order:0, mode:0x500cc2\nMem-Info:\n"
    log += "Node 0 Movable free:12kB min:400kB low:500kB high:600kB present:8000kB pages_scanned:0\n"
    cause, verdicts = only(log)
    assert (cause, verdicts) == (Cause.INCOMPLETE, [Verdict.UNKNOWN])


def test_a_tiny_zone_that_would_pass() -> None:
    # 5.9 to 5.18: what is free less what the caller may not use wraps round, and passes.
    zone = "Node 0 {name} free:{free}kB min:{least}kB low:99999kB high:99999kB reserved_highatomic:{high}KB"
    zone += " present:{size}kB managed:{size}kB free_cma:0kB\n"
    log = HEADER.replace("0xa20(GFP_ATOMIC)", "0xcc0(GFP_KERNEL)")
    log += "CPU: 1 PID: 7 Comm: java Not tainted 5.15.0-1-amd64 #1\nMem-Info:\n"
    log += (
        zone.format(name="DMA", free=116, least=60, high=2048, size=15360) + "lowmem_reserve[]: 0 0 15906 15906 15906\n"
    )
    log += zone.format(name="Normal", free=400, least=54824, high=0, size=16000000) + "lowmem_reserve[]: 0 0 0 0 0\n"
    log += "Node 0 DMA: 29*4kB (U) 0*8kB = 116kB\nNode 0 Normal: 100*4kB (U) 0*8kB = 400kB\n"
    cause, verdicts = only(log)
    assert verdicts == [Verdict.WOULD_PASS, Verdict.BELOW_MARK]
    assert cause is Cause.RECOVERED


@pytest.mark.parametrize(
    "before", ["", HEADER.replace("page allocation failure:", "invoked oom-killer: gfp_mask=0xcc0,")]
)
def test_a_kill_line_that_is_cut_behind_its_constraint(before: str) -> None:
    examine(f"{before}oom-kill:constraint=CONSTRAINT_NONE\n".encode(), text=True)
