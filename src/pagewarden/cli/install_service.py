"""`pagewarden install-service`."""

import argparse
import os
import pwd
import sys
from collections.abc import Iterator
from pathlib import Path

from pagewarden import __version__
from pagewarden.apply.looking import record_below
from pagewarden.apply.paths import SNIPPET, Paths
from pagewarden.errors import ExitStatus, PagewardenError, PermissionDenied, UsageError
from pagewarden.service.environment import InstallError, code_folders, objections, program
from pagewarden.service.install import (
    Report,
    files_to_install,
    install,
    packaged_unit,
    run_commands,
    uninstall,
    unit_folder,
)

ROOT = Path("/")
ACCOUNT = "pagewarden"

HELP = """\
Write the units of the service for an installation by pip or pipx; packages of a distribution bring them along. Nothing
is started: 'systemctl enable --now pagewarden' does that. --uninstall stops the service and takes the files away again;
a unit that somebody edited is left alone, running or not. Settings that were changed stay in force: 'pagewarden revert'
takes them back while the program is there. The account and what the service saw (/var/lib/pagewarden) stay too."""

EPILOG = """\
examples:
  sudo /opt/pagewarden/bin/pagewarden install-service
  sudo systemctl enable --now pagewarden
  sudo /opt/pagewarden/bin/pagewarden install-service --uninstall
  pagewarden install-service --dry-run         what would be written, as anybody

environments that the service can use (of root, out of the homes; its path of letters, digits and . _ + @ - only):
  sudo python3 -m venv /opt/pagewarden && sudo /opt/pagewarden/bin/pip install 'pagewarden[systemd]'
  sudo pipx install --global 'pagewarden[systemd]'        pipx 1.5 and later; before, this one:
  sudo PIPX_HOME=/opt/pipx PIPX_BIN_DIR=/usr/local/bin pipx install 'pagewarden[systemd]'
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("--uninstall", action="store_true", help="stop the service and take the files away")
    parser.add_argument("--dry-run", action="store_true", help="only say what would be written or taken away")


def run(args: argparse.Namespace) -> ExitStatus:
    """Install or uninstall, and say what was done."""
    if os.geteuid() != 0 and not args.dry_run:
        raise PermissionDenied("/etc/systemd/system", "only root may write there (sudo)")
    report = _uninstall(args.dry_run) if args.uninstall else _install(args.dry_run)
    for line in report.left + report.failed:
        print(f"pagewarden install-service: {line}", file=sys.stderr)
    return ExitStatus.FAILED if report.failed or report.left else ExitStatus.DONE


def _install(dry_run: bool) -> Report:
    packaged = packaged_unit(ROOT)
    if packaged is not None:
        raise UsageError(f"{packaged}: a package has brought the service already; nothing was written")
    path = program()
    files = files_to_install(unit_folder(), path, __version__)
    found = list(objections(path, code_folders()))
    if found and not dry_run:
        more = f" ({len(found) - 1} more: --dry-run)" if len(found) > 1 else ""
        raise InstallError(f"{found[0]}{more}")
    if found:
        return Report(failed=[f"would refuse: {reason}" for reason in found])
    if dry_run:
        print("\n".join(f"would write {ROOT / file.target}" for file in files))
        return Report()
    report = install(ROOT, files)
    run_commands([["systemd-sysusers"], ["systemctl", "daemon-reload"], ["journalctl", "--update-catalog"]], report)
    print("\n".join(f"wrote {name}" for name in report.written))
    print("start it with: systemctl enable --now pagewarden")
    return report


def _uninstall(dry_run: bool) -> Report:
    report = uninstall(ROOT, dry_run=True)
    if not dry_run and report.removed:
        stopped = Report()
        # While their files are there, which say what enabling them made.
        if report.units:
            run_commands([["systemctl", "disable", "--now", *report.units]], stopped)
        report = uninstall(ROOT)
        report.failed += stopped.failed
        run_commands([["systemctl", "daemon-reload"], ["journalctl", "--update-catalog"]], report)
    word = "would take away" if dry_run else "took away"
    nothing = "nothing was taken away" if report.left else "nothing of ours was there"
    print("\n".join(f"{word} {name}" for name in report.removed) or nothing)
    if report.removed:
        for line in _stays():
            print(line)
    return report


def _stays() -> Iterator[str]:
    """What is not the service's files, and how it goes."""
    paths = Paths(ROOT)
    try:
        in_force = bool(record_below(str(ROOT)).owned) or paths.snippet.exists()
    except PagewardenError:
        in_force = True  # a record that cannot be read: it may be so, and the record must not go
    if in_force:
        yield f"settings that were changed stay in force ({SNIPPET}); 'pagewarden revert' takes them back"
    state = ROOT / "var/lib/pagewarden"
    if state.exists():
        # It holds the values that revert puts back.
        yield f"{state} stays{'' if in_force else f'; to take it away: rm -r {state}'}"
    try:
        pwd.getpwnam(ACCOUNT)
    except KeyError:
        return
    yield f"the account {ACCOUNT} stays; to take it away: userdel {ACCOUNT}"
