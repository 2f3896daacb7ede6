"""The units with a real systemd as PID 1: in a container what needs no write, in a virtual machine the rest."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from tests.conftest import PROJECT

BOOT = PROJECT.parent / "shared" / "tools" / "boot-systemd-vm"
HERE = Path(__file__).parent
PACKAGES = ("pydantic", "pydantic_core", "annotated_types", "typing_extensions.py", "typing_inspection")
PACKAGES_FOR_TEXT = ("rich", "markdown_it", "mdurl", "pygments")
SECONDS = 3600

pytestmark = [
    pytest.mark.vm,
    pytest.mark.skipif(not BOOT.exists(), reason="no reference corpus (the tool that boots systemd)"),
    pytest.mark.skipif(os.geteuid() != 0, reason="writes settings: needs root to make the guest's image"),
    pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="no packages for the guest's Python 3.11 here"),
]


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Gather what the guest needs: the program with its packages, the units, the scripts."""
    folder = tmp_path_factory.mktemp("job")
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(PROJECT / "src" / "pagewarden", folder / "lib" / "pagewarden", ignore=ignored)
    for name in (*PACKAGES, *PACKAGES_FOR_TEXT):
        source = Path(sysconfig.get_path("purelib")) / name
        if source.is_dir():
            shutil.copytree(source, folder / "lib" / name, ignore=ignored)
        else:
            shutil.copy(source, folder / "lib" / name)
    (folder / "units").mkdir()
    for kind in ("apply", "probation"):
        for suffix in ("path", "service"):
            shutil.copy(PROJECT / "systemd" / f"pagewarden-{kind}.{suffix}", folder / "units")
    shutil.copy(HERE / "units_common.sh", folder)
    return folder


def run(job: Path, script: str, *options: str) -> str:
    command = [str(BOOT), *options, "-t", str(SECONDS), "-f", f"{job}:job", str(HERE / script)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=SECONDS + 60)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def test_the_units_refuse_bad_plans(job: Path) -> None:
    assert run(job, "units_refuse.sh", "-k", "none").count("ok  ") == 18


def test_a_plan_is_applied_watched_and_taken_back(job: Path) -> None:
    assert run(job, "units_apply.sh", "-m", "512", "-a", "no_timer_check").count("ok  ") == 15
