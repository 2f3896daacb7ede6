"""What the commands that look at a machine share: where it is read from, and how the answer is printed."""

import argparse
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from pagewarden.advise.policy import AdvicePolicy, Workload
from pagewarden.errors import ReadError, UsageError
from pagewarden.kernel.machine import Machine, machine_of
from pagewarden.kernel.version import KernelVersion, parse_version
from pagewarden.procfs.container import in_container
from pagewarden.procfs.roots import open_root
from pagewarden.procfs.snapshot import read_snapshot
from pagewarden.procfs.types import Snapshot

if TYPE_CHECKING:
    from rich.console import RenderableType

    from pagewarden.report.document import Document


def add_root(parser: argparse.ArgumentParser) -> None:
    """Add --root: the live machine, or a capture of one."""
    parser.add_argument(
        "--root",
        default="/",
        type=_named,
        metavar="DIR",
        help="a folder that mirrors /, an extracted sosreport, or an archive made by 'pagewarden capture' "
        "(default: this machine)",
    )


def _named(root: str) -> str:
    # An empty name, from a variable that is not set, would be the current folder.
    if not root:
        raise argparse.ArgumentTypeError("expected a folder or an archive, not an empty name")
    return root


def add_format(parser: argparse.ArgumentParser) -> None:
    """Add --format."""
    parser.add_argument(
        "--format", choices=("text", "json"), default="text", help="json is for programs (default: text)"
    )


def kernel_named(text: str | None) -> KernelVersion | None:
    """Read what --kernel names: two numbers or more, from 2.6 on; None where it is not given.

    Releases newer than all that are known here are taken too, and read as the newest.

    :raises UsageError: for anything else.
    """
    if text is None:
        return None
    version = parse_version(text)
    if version is None or not version.at_least(2, 6):
        raise UsageError(f"--kernel {text[:40]!r}: expected a release from 2.6 on, such as 6.1 or 2.6.32-358.el6")
    return version


def documentation_folder() -> str:
    """Where an installed pagewarden has its pages (docs/...); empty in a checkout, and where there are none."""
    if (Path(__file__).parents[3] / "docs").is_dir():
        return ""
    # Of a package; and where pip puts data, which Debian has in /usr/local.
    places = (Path(folder, "share/doc/pagewarden") for folder in (sys.prefix, sysconfig.get_path("data")))
    return next((str(place) for place in places if (place / "docs").is_dir()), "")


def how_to_start(root: str) -> str:
    """What to do so that the service runs on this machine; empty where another one is looked at."""
    if root != "/":
        return ""
    from pagewarden.service import install

    return install.how_to_start(Path(root))


def read_machine(root: str) -> tuple[Snapshot, Machine]:
    """Read a machine and fit the model to it.

    :raises ReadError: where there is no zoneinfo: an answer is never made from half a machine.
    """
    snapshot = read_snapshot(root)
    if not snapshot.nodes:
        path = "proc/zoneinfo" if root == "/" else f"{root.rstrip('/')}/proc/zoneinfo"
        raise ReadError(path, "not there; without it nothing can be said about the zones", missing=True)
    return snapshot, machine_of(snapshot)


def tell_container(root: str) -> None:
    """Say on standard error where a container is looked at from within: the rest of the answer holds all the same."""
    if root == "/" and in_container():
        print(
            "pagewarden: this is a container, or WSL: zones and vm.* settings are those of the machine it runs on; "
            "what sets them there is not seen here, and to write them is to change them for all",
            file=sys.stderr,
        )


def advice_policy(root: str, workload: str | None = None) -> AdvicePolicy:
    """Take what the administrator decided about advice from the configuration below the root.

    :param workload: what the command line says, which counts more.
    :raises ConfigError: a file is wrong.
    """
    from pagewarden.config.load import read_config

    chosen = read_config(open_root(root)).config.advise
    return AdvicePolicy(
        workload=Workload(workload or chosen.workload),
        burst_margin=chosen.burst_margin,
        evidence_days=chosen.evidence_days,
        declined=chosen.declined,
    )


def print_text(parts: Iterable["RenderableType"]) -> None:
    """Print a report for people, without the blanks that fill up a table's last column."""
    from pagewarden.report.console import console

    output = console()
    with output.capture() as captured:
        for part in parts:
            output.print(part, crop=False)
    sys.stdout.write("".join(f"{line.rstrip(' ')}\n" for line in captured.get().split("\n")[:-1]))


def print_json(document: "Document") -> None:
    """Print a document on one line."""
    from pagewarden.report.document import to_json

    print_utf8(to_json(document) + "\n")


def print_utf8(text: str) -> None:
    """Print what is UTF-8 by its own rules, whatever the terminal shows: JSON, a page, numbers for Prometheus."""
    sys.stdout.flush()
    sys.stdout.buffer.write(text.encode())
