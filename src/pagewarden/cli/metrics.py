"""`pagewarden metrics`."""

import argparse
import sys
from pathlib import Path

from pagewarden.advise.advice import advise
from pagewarden.cli.common import add_root, advice_policy, print_utf8, read_machine
from pagewarden.cli.status import service_state
from pagewarden.diagnose.settings import settings_of
from pagewarden.errors import ExitStatus, PagewardenError
from pagewarden.history.read import report_totals
from pagewarden.history.types import HISTORY_FILE
from pagewarden.report.output_file import write_output

HELP = """\
Print numbers for Prometheus in its text format: free memory, marks and reserves of every zone, settings beside the
kernel's own choice, findings and recommendations, the kernel's reports by cause, and how the service is. What is not
known is left out. docs/metrics.md names each, with alert rules."""

EPILOG = """\
examples:
  pagewarden metrics
  pagewarden metrics --output /var/lib/prometheus/node-exporter/pagewarden.prom     (from a timer, as root)
  pagewarden metrics --root db1.tar.gz | promtool check metrics
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_root(parser)
    parser.add_argument(
        "--output",
        metavar="FILE",
        help="replace FILE at once instead of printing, for node_exporter, which reads NAME.prom only; - for standard "
        "output",
    )


def run(args: argparse.Namespace) -> ExitStatus:
    """Read, count, print."""
    try:
        from pagewarden.report.metrics import Facts, metrics_text
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith("prometheus_client"):
            raise
        raise PagewardenError(
            "the Python package prometheus_client is missing (pip install 'pagewarden[metrics]')"
        ) from None
    snapshot, machine = read_machine(args.root)
    advice = advise(snapshot, machine, advice_policy(args.root))
    state = service_state(args.root)
    if isinstance(state, str):
        print(f"pagewarden metrics: without the service's state: {state}", file=sys.stderr)
        state = None
    findings = advice.findings if state is None else state.findings  # the service knows of reports and stalls
    text = metrics_text(
        Facts(
            snapshot=snapshot,
            machine=machine,
            settings=settings_of(snapshot, machine),
            recommendations=[
                (one.key, one.cause, one.risk.value, one.confidence.value) for one in advice.recommendations
            ],
            findings=[(finding.cause, str(finding.severity)) for finding in findings],
            state=state,
            report_totals=_report_totals(args.root),
        )
    )
    if args.output in (None, "-"):
        print_utf8(text.decode())
        return ExitStatus.DONE
    write_output(args.output, text, mode=0o644, suffix=".prom")  # node_exporter's user reads it
    return ExitStatus.DONE


def _report_totals(root: str) -> dict[str, int] | None:
    if root != "/" and not Path(root).is_dir():
        return None
    try:
        return report_totals(HISTORY_FILE if root == "/" else f"{root.rstrip('/')}{HISTORY_FILE}")
    except PagewardenError as error:
        print(f"pagewarden metrics: without the reports: {error}", file=sys.stderr)
        return None
