"""What is free and could be freed: from vmstat, else from meminfo, but never another machine's."""

from dataclasses import replace

import pytest
from tests.machines import snapshot, zone

from pagewarden.kernel.machine import machine_of
from pagewarden.kernel.projection import Usage, usage_of

ZONES = [zone("DMA", 4000, free=1000), zone("Normal", 100000, free=9000)]
VMSTAT = {"nr_active_file": 10, "nr_inactive_file": 20, "nr_slab_reclaimable": 5, "nr_kernel_misc_reclaimable": 2}
MEMINFO = {"MemFree": 40000, "Active(file)": 400, "Inactive(file)": 800, "SReclaimable": 160, "KReclaimable": 200}


def usage(vmstat: dict[str, int] | None, meminfo: dict[str, int] | None) -> Usage | None:
    found = replace(snapshot(ZONES, meminfo_kb=meminfo), vmstat=vmstat)
    return usage_of(found, machine_of(found))


def without(facts: dict[str, int], *names: str) -> dict[str, int]:
    return {name: value for name, value in facts.items() if name not in names}


@pytest.mark.parametrize(
    ("vmstat", "meminfo", "expected"),
    [
        pytest.param(VMSTAT, MEMINFO, Usage(10000, 30, 7), id="vmstat first"),
        pytest.param(without(VMSTAT, "nr_kernel_misc_reclaimable"), None, Usage(10000, 30, 5), id="before 4.20"),
        pytest.param(None, MEMINFO, Usage(10000, 300, 50), id="meminfo"),
        pytest.param(None, without(MEMINFO, "KReclaimable"), Usage(10000, 300, 40), id="meminfo before 4.20"),
        pytest.param(without(VMSTAT, "nr_slab_reclaimable"), MEMINFO, Usage(10000, 300, 50), id="vmstat without slab"),
        pytest.param(None, {**MEMINFO, "MemFree": 41000}, Usage(10250, 300, 50), id="read a moment later"),
        pytest.param(None, {**MEMINFO, "MemFree": 4000}, None, id="a container's"),
        pytest.param(None, {**MEMINFO, "MemFree": 90000}, None, id="another machine's"),
        pytest.param(None, without(MEMINFO, "Active(file)"), None, id="without the cache"),
        pytest.param(None, without(MEMINFO, "MemFree"), None, id="without MemFree"),
        pytest.param(None, None, None, id="nothing"),
        pytest.param({}, {}, None, id="nothing in them"),
    ],
)
def test_usage(vmstat: dict[str, int] | None, meminfo: dict[str, int] | None, expected: Usage | None) -> None:
    assert usage(vmstat, meminfo) == expected
