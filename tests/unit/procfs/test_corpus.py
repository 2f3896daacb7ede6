"""Real captures, where they are at hand."""

import json
from pathlib import Path

import pytest

from pagewarden.procfs.archive import write_capture
from pagewarden.procfs.snapshot import read_snapshot
from pagewarden.procfs.types import Zone

CORPUS = Path(__file__).parents[4] / "shared" / "corpus"
MACHINES = sorted(path.parent for path in CORPUS.glob("*/*/meta.json"))
KERNELS = [machine for machine in MACHINES if machine.parent.name == "kernels"]
NO_CORPUS = pytest.param(CORPUS, marks=pytest.mark.skip(reason="no reference corpus: ../shared/corpus is not here"))
# `meta.json` is the collector's, not the capture's: it is what the derivations are compared with.
ARCHES = {"amd64": "x86_64", "arm64": "aarch64", "i386": "i686", "ppc64el": "ppc64le"}


def test_corpus_is_here(corpus: Path) -> None:
    assert len(MACHINES) > 50
    assert corpus == CORPUS


@pytest.mark.parametrize("machine", MACHINES or [NO_CORPUS], ids=lambda machine: machine.name)
def test_capture_is_read_whole(machine: Path) -> None:
    snapshot = read_snapshot(str(machine))
    about = json.loads((machine / "meta.json").read_text())
    mixed = machine.name == "node-exporter-fixture"  # its meminfo is of a machine with a fraction of the memory
    reasons = {reason for path, reason in snapshot.absent.items() if not (mixed and path == "/proc/meminfo")}
    assert reasons <= {"no such file", "no such file, and no other list of CPUs"}
    assert snapshot.page_size == about["page_size"]
    assert bool(snapshot.nodes) == (machine / "proc/zoneinfo").exists()
    assert (snapshot.free_blocks is not None) == (machine / "proc/buddyinfo").exists()
    assert (snapshot.pagetypes is not None) == (machine / "proc/pagetypeinfo").exists()
    assert (snapshot.meminfo_kb is not None) == ((machine / "proc/meminfo").exists() and not mixed)
    assert snapshot.torn == ()


@pytest.mark.parametrize("machine", KERNELS or [NO_CORPUS], ids=lambda machine: machine.name)
def test_boots_of_real_kernels(machine: Path, tmp_path: Path) -> None:
    snapshot = read_snapshot(str(machine))
    about = json.loads((machine / "meta.json").read_text())
    assert not snapshot.page_size_assumed
    assert snapshot.kernel == about["kernel"]
    assert snapshot.arch == ARCHES.get(about["arch"], about["arch"])
    assert snapshot.cmdline == about["cmdline"]
    capture = write_capture(str(machine), tmp_path / "capture.tar.gz")
    assert read_snapshot(str(capture.path)).nodes == snapshot.nodes


@pytest.mark.parametrize("machine", KERNELS or [NO_CORPUS], ids=lambda machine: machine.name)
def test_zones_equal_those_noted_while_the_kernel_ran(machine: Path) -> None:
    """steps.jsonl was written by another reader of the same format, inside the guest."""
    with (machine / "steps.jsonl").open() as steps:
        noted = {(zone["node"], zone["zone"]): zone for zone in json.loads(steps.readline())["zones"]}
    zones: dict[tuple[int, str], Zone] = {(zone.node, zone.name): zone for zone in read_snapshot(str(machine)).zones}
    assert zones.keys() == noted.keys()
    for key, zone in zones.items():
        for field in ("spanned", "present", "managed", "cma"):
            assert getattr(zone, f"{field}_pages") == noted[key].get(field)
        assert len(zone.protection_pages or ()) == len(noted[key].get("protection") or ())
