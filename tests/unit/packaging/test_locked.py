"""What bin/setup installs is pinned with hashes, complete, and of licences that we know."""

import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT = Path(__file__).parents[3]
LOCKED = PROJECT / "packaging/locked"
FILES = ("run", "dev", "systemd", "fast")
PINNED = re.compile(r"^([\w.-]+)==(\S+)(?: ; ([^\\\n]+?))?((?: \\\n +--hash=sha256:[0-9a-f]{64})+)$", re.MULTILINE)

LICENCES = {
    "MIT": "MIT License",
    "BSD-2-Clause": "",
    "BSD-3-Clause": "BSD License",
    "Apache-2.0": "Apache 2.0",
    "MPL-2.0": "Mozilla Public License 2.0 (MPL 2.0)",
    "PSF-2.0": "",
    "LGPL-2.1-or-later": "LGPLv2+",
}
"""All may be used by a program under GPL-2.0-or-later; beside each, how older metadata writes it."""
WITHOUT_METADATA_HERE = {"colorama"}
"""Pinned for other systems alone."""


def pinned(name: str) -> dict[str, str]:
    text = (LOCKED / f"{name}.txt").read_text()
    return {canonicalize_name(match[1]): match[2] for match in PINNED.finditer(text)}


@pytest.mark.parametrize("name", FILES)
def test_nothing_is_without_a_version_and_hashes(name: str) -> None:
    text = (LOCKED / f"{name}.txt").read_text()
    assert PINNED.sub("", text).strip() == ""
    assert pinned(name)


def test_what_the_project_asks_for_is_pinned_and_fits() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    for name, asked in (
        ("run", [*project["dependencies"], *extras["metrics"], *extras["html"]]),
        ("dev", [*project["dependencies"], *extras["dev"], *extras["metrics"], *extras["html"], *extras["zstd"]]),
        ("systemd", extras["systemd"]),
        ("fast", extras["fast"]),
    ):
        versions = pinned(name)
        for requirement in map(Requirement, asked):
            version = versions.get(canonicalize_name(requirement.name))
            assert version is not None, f"{requirement} is not pinned in {name}.txt: packaging/lock"
            assert requirement.specifier.contains(version), f"{name}.txt has {version}, not {requirement}"


def test_the_two_set_ups_agree() -> None:
    run, dev = pinned("run"), pinned("dev")
    assert run.items() <= dev.items()


def licences_of(name: str) -> set[str]:
    """Give the SPDX names in a package's metadata."""
    fields = metadata.metadata(name)
    words = re.split(r" (?:OR|AND) ", fields.get("License-Expression") or fields.get("License") or "")
    classified = [entry.rpartition(" :: ")[2] for entry in fields.get_all("Classifier") or [] if "License ::" in entry]
    old = {text: spdx for spdx, text in LICENCES.items() if text}
    return {old.get(word, word) for word in (words if words != [""] else classified)}


@pytest.mark.parametrize("name", sorted({name for file in FILES for name in pinned(file)} - WITHOUT_METADATA_HERE))
def test_licences_are_known(name: str) -> None:
    try:
        found = licences_of(name)
    except metadata.PackageNotFoundError:
        pytest.skip(f"not installed here: {name}")
    assert found, f"{name} does not say its licence"
    assert found <= LICENCES.keys()
