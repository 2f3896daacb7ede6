"""packaging/build-rpm with an rpmbuild that notes what it is told, and what the spec has to know of the project."""

import hashlib
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[3]
SPEC = (PROJECT / "packaging/pagewarden.spec").read_text()
RPMBUILD = """\
#!/bin/bash
for word; do
    case $word in
        "_topdir "*) top=${word#* } ;;
        "dist "*) dist=${word#* } ;;
        "python_version "*) python=${word#* } ;;
    esac
done
mkdir -p "$top/RPMS/noarch"
echo "for $python" >"$top/RPMS/noarch/pagewarden-0.1.0-1$dist.noarch.rpm"
tail -n 2 "${!#}" | head -n 1 >>"$top/RPMS/noarch/pagewarden-0.1.0-1$dist.noarch.rpm"
"""
RPM = """\
#!/bin/sh
case $* in
    *--requires*)
        printf '%s\\n' /bin/sh 'config(pagewarden) = 0.1.0-1' 'rpmlib(X) <= 3'
        printf '%s\\n' 'python(abi) = 3.12' python3 'python3 >= 3.11' ;;
    *) echo "pagewarden 0.1.0-1.el10 noarch" ;;
esac
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Give a checkout of a few files, whose environment has the rpmbuild above, and no rpmlint."""
    if shutil.which("git") is None:
        pytest.skip("no git")
    folder = tmp_path / "checkout"
    for name, text in (
        ("src/pagewarden/__init__.py", '__version__ = "0.1.0"\n'),
        ("packaging/debian/control", "Maintainer: A Packager <packager@example.org>\n"),
        ("bin/setup", "#!/bin/sh\n"),
        ("programs/rpmbuild", RPMBUILD),
        ("programs/rpmlint", "#!/bin/sh\n"),
        ("programs/rpm", RPM),
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    for name in ("build-rpm", "pagewarden.spec", "rpmlint.toml", "sbom"):
        shutil.copy(PROJECT / "packaging" / name, folder / "packaging" / name)
    subprocess.run(["git", "init", "--quiet", folder], check=True)
    return folder


def build(checkout: Path, *words: str) -> tuple[int, str]:
    done = subprocess.run(
        [checkout / "packaging/build-rpm", "--output", checkout / "out", *words],
        env={**os.environ, "PATH": f"{checkout}/programs:{os.environ['PATH']}", "SOURCE_DATE_EPOCH": "1790000000"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], {"el10": "3.12", "fc42": "3.13", "fc43": "3.14"}),
        (["--python", "3.12"], {"el10": "3.12"}),
        (["--twice", "--python", "3.13", "--python", "3.15"], {"fc42": "3.13", "py315": "3.15"}),
    ],
)
def test_a_package_for_each_python(checkout: Path, words: list[str], expected: dict[str, str]) -> None:
    status, said = build(checkout, *words)
    assert status == 0, said
    assert {path.name: path.read_text() for path in (checkout / "out").glob("*.rpm")} == {
        f"pagewarden-0.1.0-1.{tag}.noarch.rpm": f"for {python}\n"
        f"* Mon Sep 21 2026 A Packager <packager@example.org> - 0.1.0-1.{tag}\n"
        for tag, python in expected.items()
    }
    lists = {path.name for path in (checkout / "out").iterdir() if path.suffix == ".json"}
    assert lists == {f"pagewarden-0.1.0-1.{tag}.noarch.cdx.json" for tag in expected}


def test_the_list_of_what_is_inside(checkout: Path) -> None:
    status, said = build(checkout, "--python", "3.12")
    assert status == 0, said
    package = checkout / "out/pagewarden-0.1.0-1.el10.noarch.rpm"
    document = json.loads(package.with_suffix(".cdx.json").read_text())
    about = document["metadata"]["component"]
    assert about["purl"] == "pkg:rpm/pagewarden@0.1.0-1.el10?arch=noarch"
    assert about["hashes"][0]["content"] == hashlib.sha256(package.read_bytes()).hexdigest()
    assert [(part["name"], part.get("purl"), part.get("description")) for part in document["components"]] == [
        ("/bin/sh", None, None),
        ("python(abi)", None, "needed: = 3.12"),
        ("python3", "pkg:rpm/python3", "needed: >= 3.11"),
    ]


@pytest.mark.parametrize(
    ("python", "message"),
    [
        ("3.9", "too old: 3.11 or later is needed (RHEL 9 has 3.9)"),
        ("3.10", "too old"),
        ("3.8", "too old"),
        ("3", "expected a version"),
        ("4.0", "expected a version"),
        ("3.13.1", "expected a version"),
        ("/usr/lib/python3.13", "expected a version"),
    ],
)
def test_a_python_that_cannot_be(checkout: Path, python: str, message: str) -> None:
    status, said = build(checkout, "--python", "3.13", "--python", python)
    assert status == 2
    assert message in said
    assert not (checkout / "out").exists()


def test_the_spec_stops_every_unit() -> None:
    found = re.search(r"^%global our_units (.*)$", SPEC, re.MULTILINE)
    assert found is not None
    units = {path.name for path in (PROJECT / "systemd").iterdir() if path.suffix in (".service", ".path", ".timer")}
    assert set(found[1].split()) == units


def test_the_pages_lie_where_the_program_looks() -> None:
    assert re.search(r"^%global _docdir_fmt %\{NAME\}$", SPEC, re.MULTILINE)
    assert re.search(r"^%doc .*\bdocs$", SPEC, re.MULTILINE)
