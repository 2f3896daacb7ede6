"""`pagewarden schema`."""

import argparse
import json
import sys
from importlib import import_module

from pagewarden.errors import ExitStatus

DOCUMENTS = {
    "advice": ("pagewarden.report.wire", "AdviceDocument"),
    "apply": ("pagewarden.report.wire_apply", "ApplyDocument"),
    "config": ("pagewarden.report.wire_config", "ConfigDocument"),
    "gfp": ("pagewarden.report.wire_gfp", "GfpDocument"),
    "history": ("pagewarden.report.wire_history", "HistoryDocument"),
    "probation": ("pagewarden.report.wire_probation", "ProbationDocument"),
    "report": ("pagewarden.report.wire_report", "ReportDocument"),
    "revert": ("pagewarden.report.wire_apply", "RevertDocument"),
    "rollback-status": ("pagewarden.report.wire_apply", "RollbackStatusDocument"),
    "simulation": ("pagewarden.report.wire", "SimulationDocument"),
    "status": ("pagewarden.report.wire_status", "Status"),
}
"""Name -> where the document is declared."""

HELP = "Print the JSON Schema of a document that the other commands print with --format json."

EPILOG = """\
examples:
  pagewarden schema status
  pagewarden schema advice > advice.schema.json
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "name", choices=sorted(DOCUMENTS), metavar="NAME", help=f"one of: {', '.join(sorted(DOCUMENTS))}"
    )


def run(args: argparse.Namespace) -> ExitStatus:
    """Print the schema."""
    # pydantic is slow to import, and only what is published as a schema needs it.
    from pydantic import TypeAdapter

    module, name = DOCUMENTS[args.name]
    adapter = TypeAdapter(getattr(import_module(module), name))
    json.dump(adapter.json_schema(mode="serialization"), sys.stdout, indent=2)
    sys.stdout.write("\n")
    return ExitStatus.DONE
