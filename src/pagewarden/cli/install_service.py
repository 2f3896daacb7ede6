"""`pagewarden install-service`."""

import argparse
import os
import sys
from pathlib import Path

from pagewarden import __version__
from pagewarden.errors import ExitStatus, PermissionDenied, UsageError
from pagewarden.service.install import (
    InstallError,
    Report,
    files_to_install,
    install,
    objections,
    packaged_unit,
    program,
    run_commands,
    uninstall,
    unit_folder,
)

HELP = """\
Write the units of the service for an installation by pip or pipx; packages of a distribution bring them along. Nothing
is started: 'systemctl enable --now pagewarden' does that. --uninstall stops the service and takes the files away again,
but for those that somebody edited. Settings that were changed stay; 'pagewarden revert' takes them back."""

EPILOG = """\
examples:
  sudo /opt/pagewarden/bin/pagewarden install-service
  sudo systemctl enable --now pagewarden
  sudo /opt/pagewarden/bin/pagewarden install-service --uninstall
  pagewarden install-service --dry-run         what would be written, as anybody

An environment that the service can use, for root and out of the homes:
  sudo python3 -m venv /opt/pagewarden && sudo /opt/pagewarden/bin/pip install 'pagewarden[systemd]'
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
    packaged = packaged_unit(Path("/"))
    if packaged is not None:
        raise UsageError(f"{packaged}: a package has brought the service already; nothing was written")
    path = program()
    files = files_to_install(unit_folder(), path, __version__)
    found = list(objections(path))
    if found and not dry_run:
        raise InstallError(f"{found[0]}; see the last example of --help")
    if dry_run:
        for reason in found:
            print(f"pagewarden install-service: would refuse: {reason}", file=sys.stderr)
        print("\n".join(f"would write /{file.target}" for file in files))
        return Report()
    report = install(Path("/"), files)
    run_commands([["systemd-sysusers"], ["systemctl", "daemon-reload"], ["journalctl", "--update-catalog"]], report)
    print("\n".join(f"wrote {name}" for name in report.written))
    print("start it with: systemctl enable --now pagewarden")
    return report


def _uninstall(dry_run: bool) -> Report:
    units = Path("/etc/systemd/system")
    if dry_run:
        print("\n".join(f"would take away {path}" for path in sorted(units.glob("pagewarden*"))))
        return Report()
    ours = sorted(path.name for path in units.glob("pagewarden*") if path.suffix in (".service", ".path", ".timer"))
    stopped = Report()
    if ours:
        run_commands([["systemctl", "disable", "--now", *ours]], stopped)
    report = uninstall(Path("/"))
    report.failed += stopped.failed
    run_commands([["systemctl", "daemon-reload"], ["journalctl", "--update-catalog"]], report)
    print("\n".join(f"took away {name}" for name in report.removed) or "nothing of ours was there")
    return report
