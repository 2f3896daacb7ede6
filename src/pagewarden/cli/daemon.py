"""`pagewarden daemon`."""

import argparse
import os
from pathlib import Path

from pagewarden.errors import ExitStatus, ReadError

HELP = """\
Watch this machine: read it every few seconds to a minute (the nearer a zone is to its low mark, the more often), count
and decode what the kernel reports, and tell the journal once when a finding appears, changes or ends. Runs in the
foreground, as any user that may read the journal; pagewarden.service starts it so. Nothing is ever written to the
machine's settings.

Signals: SIGHUP reads the configuration again (a wrong one is refused and the old one stays), SIGTERM ends it."""

EPILOG = """\
examples:
  systemctl enable --now pagewarden            as it is meant to run
  pagewarden daemon                            in a terminal; entries go to standard error, nothing is kept
  pagewarden daemon --once                     one look, what is found, and end
  pagewarden daemon --state DIR --run DIR      keep the history and the state file there
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "--root",
        default="/",
        type=_named,
        metavar="DIR",
        help="a folder that mirrors / instead of this machine, for tests",
    )
    parser.add_argument("--once", action="store_true", help="read the machine once, tell what is found, and end")
    parser.add_argument(
        "--state",
        metavar="DIR",
        default=os.environ.get("STATE_DIRECTORY"),
        help="where the history is kept (default: what systemd says, else it is not kept)",
    )
    parser.add_argument(
        "--run",
        metavar="DIR",
        default=os.environ.get("RUNTIME_DIRECTORY"),
        help="where the state file for 'pagewarden status' is kept (default: what systemd says, else it is not kept)",
    )
    parser.add_argument(
        "--journal", metavar="DIR", help="read the kernel's log from the journal files of this folder instead"
    )
    parser.add_argument(
        "--fast",
        type=_seconds,
        metavar="SECONDS",
        help="let so much simulated time pass, as fast as the machine can, and end; for tests",
    )


def _named(folder: str) -> str:
    if not folder:
        raise argparse.ArgumentTypeError("expected a folder, not an empty name")
    return folder


def _seconds(text: str) -> int:
    if not text.isdigit() or not 0 < int(text) <= 10**9:
        raise argparse.ArgumentTypeError(f"expected seconds from 1 on, not {text!r}")
    return int(text)


def run(args: argparse.Namespace) -> ExitStatus:
    """Run the service until it is told to end."""
    root = Path(args.root)
    if not root.is_dir():
        raise ReadError(args.root, "expected a folder that mirrors /", missing=not root.exists())
    from pagewarden.daemon.clock import FastClock, MachineClock
    from pagewarden.daemon.loop import Options, Service
    from pagewarden.daemon.notify import Notifier
    from pagewarden.daemon.outlets import open_voice

    options = Options(
        root=args.root,
        journal=args.journal,
        once=args.once,
        state_folder=args.state,
        run_folder=args.run,
        fast_seconds=args.fast,
    )
    clock = MachineClock() if args.fast is None else FastClock()
    return Service(options, clock, open_voice(), Notifier()).run()
