"""Every write to every booted kernel of the reference corpus: each number the model predicts, against the kernel's own.

The boots are read from disk once; the state before each step is laid over them in memory.
"""

from functools import lru_cache
from pathlib import Path

import pytest
from tests.boots import compared, steps_of
from tests.machines import CORPUS

from pagewarden.advise.advice import advise
from pagewarden.kernel.lowmem_reserve import mem_available_pages
from pagewarden.kernel.machine import MIN_FREE, machine_of
from pagewarden.kernel.simulate import simulate
from pagewarden.procfs.snapshot import read_snapshot
from pagewarden.procfs.types import Snapshot

BOOTS = sorted(path.parent for path in (CORPUS / "kernels").glob("*/steps.jsonl"))

pytestmark = pytest.mark.skipif(not BOOTS, reason="no reference corpus: ../shared/corpus is not here")
every_boot = pytest.mark.parametrize("boot", BOOTS, ids=lambda boot: boot.name)


@lru_cache(maxsize=len(BOOTS))
def baseline_of(boot: Path) -> Snapshot:
    return read_snapshot(str(boot))


@every_boot
def test_every_number_of_every_step(boot: Path) -> None:
    asked, wrong = compared(baseline_of(boot), steps_of(boot))
    assert wrong == []
    assert asked > 10


@every_boot
def test_the_boot_fits_and_nothing_is_wrong_with_it(boot: Path) -> None:
    """These machines are healthy: the kernels' own choices, but for one whose command line asks for too much."""
    baseline = baseline_of(boot)
    machine = machine_of(baseline)
    assert machine.fit.usable
    assert machine.fit.exact or machine.fit.reasons
    assert len({reason.split(":")[0] for reason in machine.fit.reasons}) >= len(
        {(difference.node, difference.zone) for difference in machine.fit.differences}
    )
    advice = advise(baseline, machine)
    if baseline.cmdline is not None and "sysctl.vm.min_free_kbytes=200000" in baseline.cmdline:
        assert [(r.key, r.current, r.cause) for r in advice.recommendations] == [(MIN_FREE, "200000", "too-high")]
    else:
        assert advice.recommendations == ()
        assert [finding for finding in advice.findings if finding.severity != "info"] == []


@every_boot
def test_mem_available_is_the_kernels(boot: Path) -> None:
    """An idle machine just booted: to the page, as far as kB tell pages."""
    baseline = baseline_of(boot)
    machine, meminfo = machine_of(baseline), baseline.meminfo_kb
    assert meminfo is not None
    now = simulate(machine, [])
    kb = baseline.page_size // 1024
    predicted = mem_available_pages(
        meminfo["MemFree"] // kb,
        (meminfo["Active(file)"] + meminfo["Inactive(file)"]) // kb,
        meminfo["KReclaimable"] // kb,
        now.totalreserve_pages[0],
        now.low_sum_pages[0],
    )
    assert predicted == meminfo["MemAvailable"] // kb
