"""This machine: what the kernel prints is what the model predicts; with permission, before and after real writes.

The writing test runs as root and with PAGEWARDEN_LIVE_WRITE=1 alone. It changes three settings by little, compares
every zone with the prediction, and puts everything back.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pagewarden.advise.effect import assigned_min_free
from pagewarden.cli.main import main
from pagewarden.kernel.machine import MIN_FREE, RATIO, RECLAIM_MODE, SCALE_FACTOR, Machine, machine_of
from pagewarden.kernel.simulate import Simulation, Write, simulate
from pagewarden.procfs.snapshot import read_snapshot
from pagewarden.procfs.types import Snapshot

PERMISSION = "PAGEWARDEN_LIVE_WRITE"
TOUCHED = (MIN_FREE, SCALE_FACTOR, RATIO)
RECORDED = (*TOUCHED, RECLAIM_MODE)

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(not os.access("/proc/zoneinfo", os.R_OK), reason="no /proc/zoneinfo to read here"),
]
writes_allowed = pytest.mark.skipif(
    os.geteuid() != 0 or os.environ.get(PERMISSION) != "1",
    reason=f"writes settings: needs root and {PERMISSION}=1",
)


def test_every_zone_is_predicted_or_stale_with_its_reason() -> None:
    snapshot = read_snapshot("/")
    fit = machine_of(snapshot).fit
    assert snapshot.torn == ()
    assert fit.usable, fit.differences
    named = {reason.split(":")[0] for reason in fit.reasons}
    assert named == {f"node {difference.node} {difference.zone}" for difference in fit.differences}


def test_reading_twice_gives_the_same_settings() -> None:
    first, second = read_snapshot("/"), read_snapshot("/")
    assert first.sysctls == second.sysctls
    assert {(zone.node, zone.name) for zone in first.zones} == {(zone.node, zone.name) for zone in second.zones}


@pytest.mark.parametrize("argv", [["status"], ["advise"], ["simulate", "vm.min_free_kbytes=131072"]])
def test_the_commands_answer(capsys: pytest.CaptureFixture[str], argv: list[str]) -> None:
    assert main(argv) == 0
    captured = capsys.readouterr()
    assert captured.out
    assert captured.err == "" or "this is a container" in captured.err


def path_of(key: str) -> Path:
    return Path("/proc/sys") / key.replace(".", "/")


def read(key: str) -> str | None:
    path = path_of(key)
    return " ".join(path.read_text().split()) if path.exists() else None


@contextmanager
def restored() -> Iterator[dict[str, str]]:
    """Give the settings as they are, and put them back whatever happens. The order of the writes is the kernel's own
    concern: marks follow from the first two together."""
    before = {key: value for key in RECORDED if (value := read(key)) is not None}
    try:
        yield before
    finally:
        for key in TOUCHED:
            if key in before:
                path_of(key).write_text(before[key] + "\n")
        assert {key: read(key) for key in before} == before, "NOT RESTORED"


def state_of(snapshot: Snapshot) -> Machine:
    machine = machine_of(snapshot)
    if machine.fit.inferred or machine.fit.layout is None:
        pytest.skip("the settings of this machine cannot be read (a container?)")
    return machine


def written(write: Write) -> tuple[Simulation, Machine]:
    """Predict a write, make it, and read what came of it."""
    before = read_snapshot("/")
    predicted = simulate(state_of(before), [write], assigned_min_free(before))
    path_of(write.key).write_text(write.text + "\n")
    return predicted, state_of(read_snapshot("/"))


def sizes(machine: Machine) -> list[int | None]:
    return [zone.managed_pages for zone in machine.zones]


def compared(write: Write) -> None:
    """The kernel's numbers after a write equal the prediction, for every zone."""
    for _ in range(5):  # memory may be plugged or freed between the two readings: then they do not compare
        predicted, after = written(write)
        if sizes(predicted.machine) == sizes(after):
            break
    else:
        pytest.skip("the managed pages of this machine change all the time")
    assert predicted.refusals == ()
    for state, zone in zip(predicted.after, after.zones, strict=True):
        boost = zone.boost_pages or 0
        printed = (zone.min_pages - boost, zone.low_pages - boost, zone.high_pages - boost)
        assert (zone.node, zone.name) == (state.node, state.zone)
        assert printed == (state.marks.min_pages, state.marks.low_pages, state.marks.high_pages), zone.name
        if state.marks.promo_pages is not None and zone.promo_pages is not None:
            assert zone.promo_pages - boost == state.marks.promo_pages
        assert zone.protection_pages == state.protection_pages
    for key in RECORDED:
        assert after.sysctls.get(key) == predicted.sysctls.get(key)


@pytest.mark.alone
@writes_allowed
def test_the_kernel_does_what_was_predicted() -> None:
    with restored() as before:
        value = int(before[MIN_FREE])
        writes = [Write(MIN_FREE, str(value + value // 50 + 4)), Write(MIN_FREE, str(max(128, value - value // 50)))]
        if SCALE_FACTOR in before:
            writes += [Write(SCALE_FACTOR, "20"), Write(SCALE_FACTOR, "10")]
        first, *rest = before[RATIO].split()
        writes.append(Write(RATIO, " ".join([str(2 * int(first) + 1), *rest])))
        writes.append(Write(RATIO, before[RATIO]))
        for write in writes:
            compared(write)
    again = state_of(read_snapshot("/"))
    assert {key: again.sysctls.get(key) for key in before} == before


@pytest.mark.alone
@writes_allowed
def test_a_refused_write_changes_nothing() -> None:
    before = state_of(read_snapshot("/"))
    with restored(), pytest.raises(OSError, match="Invalid argument"):
        path_of(SCALE_FACTOR).write_text("0\n")
    after = state_of(read_snapshot("/"))
    assert simulate(before, [Write(SCALE_FACTOR, "0")]).refusals[0].error == "EINVAL"
    assert {key: after.sysctls.get(key) for key in RECORDED} == {key: before.sysctls.get(key) for key in RECORDED}


APART = """
set -e
mount --make-rprivate /
mount -t tmpfs none /etc/sysctl.d
mount -t tmpfs none /var/lib
echo "vm.swappiness = $(cat /proc/sys/vm/swappiness)" >/etc/sysctl.d/90-own.conf
before=$(ls -l --time-style=+ /etc/sysctl.d)
"$python" -m pagewarden apply --no-watch --format json "$@"
cat /proc/zoneinfo >"$printed"
"$python" -m pagewarden revert >/dev/null
[ "$before" = "$(ls -l --time-style=+ /etc/sysctl.d)" ]
"""
"""The commands with an /etc/sysctl.d and a /var/lib of their own, which are gone with the namespace."""


def all_settings() -> dict[str, bytes]:
    found = {}
    for path in sorted(Path("/proc/sys/vm").iterdir()):
        if path.stat().st_mode & 0o400 and path.name not in ("drop_caches", "compact_memory", "stat_refresh"):
            found[path.name] = path.read_bytes()
    return found


@writes_allowed
def test_apply_and_revert_on_this_kernel(tmp_path: Path) -> None:
    """Every zone prints what the command said it would; after the revert every setting is as before."""
    with restored() as before:
        settings = all_settings()
        first, *rest = before[RATIO].split()
        wanted = [f"{MIN_FREE}={int(before[MIN_FREE]) - 64}", f"{RATIO}={int(first) + 1} {' '.join(rest)}"]
        (tmp_path / "proc").mkdir()
        done = subprocess.run(
            ["unshare", "--mount", "sh", "-c", APART, "sh", *wanted],
            env={**os.environ, "python": sys.executable, "printed": str(tmp_path / "proc/zoneinfo")},
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode()
        answer = json.loads(done.stdout)
        assert answer["outcome"] == "applied"
        printed = read_snapshot(str(tmp_path)).zones
        for said, zone in zip(answer["steps"][-1]["zones"], printed, strict=True):
            boost = zone.boost_pages or 0
            assert (said["node"], said["zone"]) == (zone.node, zone.name)
            assert said["min_pages"] == zone.min_pages - boost
            assert said["low_pages"] == zone.low_pages - boost
            assert said["high_pages"] == zone.high_pages - boost
            assert tuple(said["protection_pages"]) == zone.protection_pages
        assert all_settings() == settings
