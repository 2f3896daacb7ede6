"""Debian whole, with systemd and its own kernel: the package as it was just built, installed, used and removed; and
its units, which change settings without a person, watch, and take back.

PAGEWARDEN_DEB_FOLDER names a folder with packages that are already built; otherwise packaging/build-deb builds them.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.vm.archive import ArchiveError
from tests.vm.guest import BootError
from tests.vm.system import Outcome, image_of, missing_for_systems, run_in

PROJECT = Path(__file__).parents[2]
SCRIPTS = Path(__file__).parent / "guest-scripts"
SUFFIXES = {"bookworm": "+deb12", "trixie": "+deb13"}
BUILD_SECONDS = 1800
RUN_SECONDS = 2400
UNITS = ("units_common.sh", "units_refuse.sh", "units_apply.sh")
UNITS_CHECKS = 35
UNITS_SECONDS = 3600
"""Nothing may be changed in the first five minutes after boot."""

pytestmark = [pytest.mark.vm, pytest.mark.vm_full]


@pytest.fixture(scope="session", params=sorted(SUFFIXES))
def suite(request: pytest.FixtureRequest) -> str:
    """Give the name of a distribution, where its package can be built and its system booted."""
    reason = missing_for_systems()
    if reason is None and os.geteuid() != 0:
        reason = "no whole systems: needs root to build their disks"
    if reason is not None:
        pytest.skip(reason)
    name: str = request.param
    return name


@pytest.fixture(scope="session")
def deb(suite: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the package for the distribution."""
    folder = Path(os.environ.get("PAGEWARDEN_DEB_FOLDER") or tmp_path_factory.mktemp("debs"))
    if not list(folder.glob(f"pagewarden_*{SUFFIXES[suite]}_*.deb")):
        built = subprocess.run(
            [PROJECT / "packaging" / "build-deb", "--output", folder, suite],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=BUILD_SECONDS,
        )
        assert built.returncode == 0, built.stderr[-4000:]
    (package,) = folder.glob(f"pagewarden_*{SUFFIXES[suite]}_*.deb")
    return package


@pytest.fixture(scope="session")
def by_pip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give what pip installs of this checkout, below a prefix."""
    source, prefix = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("prefix")
    for name in ("src", "systemd"):
        shutil.copytree(PROJECT / name, source / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(PROJECT / name, source)
    command = (sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-compile", "--ignore-installed")
    done = subprocess.run(
        [*command, "--prefix", prefix, source],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=BUILD_SECONDS,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return prefix


WIRED = tuple(
    word
    for number in (1, 2)
    for word in (
        "-netdev",
        f"hubport,hubid=0,id=h{number}",
        "-device",
        f"virtio-net-pci,netdev=h{number},mac=52:54:00:00:00:0{number}",
    )
)
"""Two network cards, wired to each other and to nothing else."""


def ran(
    suite: str, script: str, files: dict[str, Path], cache: Path, folder: Path, *, ready: bool = False, **options: Any
) -> Outcome:
    """Boot the distribution and run one of the scripts; a boot without a result is tried once more."""
    beside = {"common.sh": SCRIPTS / "common.sh", **files}
    try:
        image = image_of(suite, cache, ready=ready)
        try:
            return run_in(image, SCRIPTS / script, beside, folder / "first", **{"seconds": RUN_SECONDS, **options})
        except BootError:
            return run_in(image, SCRIPTS / script, beside, folder / "second", **{"seconds": RUN_SECONDS, **options})
    except (ArchiveError, BootError) as error:
        pytest.fail(str(error), pytrace=False)


def judge(suite: str, outcome: Outcome, capsys: pytest.CaptureFixture[str]) -> None:
    """Print what was measured; every check of the script must have passed."""
    with capsys.disabled():
        print(f" {suite}: up after {outcome.boot_seconds:.0f} s of {outcome.seconds:.0f} s")
        print((outcome.files / "measured").read_text(), end="", flush=True)
    assert outcome.status == 0, outcome.output
    assert "\nfailures: 0\n" in outcome.output


def test_the_package_from_install_to_purge(
    suite: str, deb: Path, by_pip: Path, vm_cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {"pagewarden.deb": deb, "earlier.deb": earlier(deb, tmp_path), "by-pip": by_pip}
    files["log"] = PROJECT / "tests/data/explain/atomic-2.6.32.log"
    outcome = ran(suite, "packages.sh", files, vm_cache, tmp_path)
    with capsys.disabled():
        print(f"\npackage_bytes={deb.stat().st_size}", flush=True)
    judge(suite, outcome, capsys)


def test_the_units_refuse_apply_watch_and_take_back(suite: str, deb: Path, vm_cache: Path, tmp_path: Path) -> None:
    files = {"pagewarden.deb": deb, **{name: SCRIPTS / name for name in UNITS}}
    outcome = ran(suite, "units.sh", files, vm_cache, tmp_path, ready=True, seconds=UNITS_SECONDS)
    assert outcome.status == 0, outcome.output
    assert outcome.output.count("ok    ") == UNITS_CHECKS, outcome.output


def test_a_day_with_failures(
    suite: str, deb: Path, vm_cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {"pagewarden.deb": deb, "burst.py": SCRIPTS / "burst.py"}
    judge(suite, ran(suite, "day.sh", files, vm_cache, tmp_path, ready=True, memory_mb=256, more=WIRED), capsys)


def earlier(deb: Path, folder: Path) -> Path:
    """Give the same package under a lower version, with another configuration file than today's."""
    tree, target = folder / "earlier", folder / "earlier.deb"
    subprocess.run(["dpkg-deb", "-R", deb, tree], check=True)
    control = tree / "DEBIAN/control"
    control.write_text(re.sub(r"^Version: .*", "Version: 0.0.1", control.read_text(), flags=re.MULTILINE))
    with (tree / "etc/pagewarden/pagewarden.toml").open("a") as configuration:
        configuration.write("\n# as it was in the version before\n")
    subprocess.run(["dpkg-deb", "--root-owner-group", "-b", tree, target], check=True, stdout=subprocess.DEVNULL)
    return target
