from pathlib import Path
from shutil import copytree

import pytest
from tests.made_machine import MACHINES

from pagewarden.advise.advice import advise
from pagewarden.advise.policy import AdvicePolicy
from pagewarden.apply.looking import scene_of, stands_against
from pagewarden.kernel.machine import machine_of
from pagewarden.procfs.snapshot import read_snapshot


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Give a machine with a vm.min_free_kbytes that a file has set too low."""
    return Path(copytree(MACHINES / "db1-16g", tmp_path / "root"))


def against(root: Path) -> list[str]:
    """What stands against the one recommendation there, beside the policy."""
    snapshot = read_snapshot(str(root))
    machine = machine_of(snapshot)
    (entry,) = (one for one in advise(snapshot, machine, AdvicePolicy()).recommendations if "min_free" in one.key)
    return list(stands_against(scene_of(str(root), snapshot, machine), entry))


def test_somebody_elses_file_stands_against_a_recommendation(root: Path) -> None:
    (reason,) = against(root)
    assert reason.startswith("/etc/sysctl.d/90-db.conf:3 sets it to 8192 and is applied after")


def test_a_file_in_the_place_of_ours_stands_against_it(root: Path) -> None:
    (root / "etc/sysctl.d/90-db.conf").rename(root / "etc/sysctl.d/60-pagewarden.conf")
    (reason,) = against(root)
    assert "was not written by pagewarden" in reason


def test_nothing_stands_against_what_nobody_claims(root: Path) -> None:
    (root / "etc/sysctl.d/90-db.conf").unlink()
    assert against(root) == []
