"""Debian whole, with systemd and its own kernel: the package as it was just built, installed, used and removed; and
its units, which change settings without a person, watch, and take back.

PAGEWARDEN_DEB_FOLDER names a folder with packages that are already built; otherwise packaging/build-deb builds them.
"""

import os
import subprocess
from pathlib import Path

import pytest
from tests.vm.archive import ArchiveError
from tests.vm.guest import BootError
from tests.vm.system import Outcome, image_of, missing_for_systems, run_in

PROJECT = Path(__file__).parents[2]
SCRIPTS = Path(__file__).parent / "guest-scripts"
SUFFIXES = {"bookworm": "+deb12", "trixie": "+deb13"}
BUILD_SECONDS = 1800
RUN_SECONDS = 1200
UNITS = ("units_common.sh", "units_refuse.sh", "units_apply.sh")
UNITS_CHECKS = 35
UNITS_SECONDS = 3600
"""Nothing may be changed in the first five minutes after boot."""

pytestmark = pytest.mark.vm


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


def ran(
    suite: str, script: str, files: dict[str, Path], cache: Path, folder: Path, *, seconds: float = RUN_SECONDS
) -> Outcome:
    """Boot the distribution and run one of the scripts; a boot without a result is tried once more."""
    try:
        image = image_of(suite, cache)
        try:
            return run_in(image, SCRIPTS / script, files, folder / "first", seconds=seconds)
        except BootError:
            return run_in(image, SCRIPTS / script, files, folder / "second", seconds=seconds)
    except (ArchiveError, BootError) as error:
        pytest.fail(str(error), pytrace=False)


def test_the_package_from_install_to_purge(
    suite: str, deb: Path, vm_cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {
        "pagewarden.deb": deb,
        "log": PROJECT / "tests/data/explain/atomic-2.6.32.log",
        "record.json": SCRIPTS / "record.json",
    }
    outcome = ran(suite, "packages.sh", files, vm_cache, tmp_path)
    with capsys.disabled():
        print(f" {suite}: up after {outcome.boot_seconds:.0f} s of {outcome.seconds:.0f} s; {deb.stat().st_size} bytes")
        print((outcome.files / "measured").read_text(), end="", flush=True)
    assert outcome.status == 0, outcome.output
    assert "\nfailures: 0\n" in outcome.output
    assert outcome.output.count("\nok: ") >= 30


def test_the_units_refuse_apply_watch_and_take_back(suite: str, deb: Path, vm_cache: Path, tmp_path: Path) -> None:
    files = {"pagewarden.deb": deb, **{name: SCRIPTS / name for name in UNITS}}
    outcome = ran(suite, "units.sh", files, vm_cache, tmp_path, seconds=UNITS_SECONDS)
    assert outcome.status == 0, outcome.output
    assert outcome.output.count("ok    ") == UNITS_CHECKS, outcome.output
