"""The rooms of docs/design/0002-rooms.md: who may import whom, and which rooms do no input or output."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src"

# A room -> what it may import of ours besides itself and SHARED. A name stands for the module and all below it.
SHARED = ("errors", "units")
ROOMS: dict[str, tuple[str, ...]] = {
    "errors": (),
    "units": (),
    "procfs": (),
    "kernel": ("procfs.types",),
    "klog": ("kernel", "procfs.types"),
    "diagnose": ("klog", "kernel", "procfs"),
    "advise": ("diagnose", "kernel", "procfs.types"),
    "apply": ("advise", "kernel", "procfs"),
    "history": ("procfs",),
    "report": (
        "procfs.types",
        "kernel",
        "klog.types",
        "diagnose",
        "advise",
        "apply.types",
        "apply.policy",
        "apply.probation",
        "history.types",
        "config.settings",
    ),
    "config": ("procfs.reader",),
    "service": (),
    "daemon": ("procfs", "kernel", "klog", "diagnose", "advise", "apply", "history", "report", "config"),
    "cli": (
        "procfs",
        "kernel",
        "klog",
        "diagnose",
        "advise",
        "apply",
        "history",
        "report",
        "config",
        "daemon",
        "service",
    ),
    "__main__": ("cli",),
}

# Rooms and modules that compute from values alone: what they may use of the standard library, what they may not call.
PURE = (
    "kernel",
    "diagnose",
    "advise",
    *(f"apply.{name}" for name in ("bounds", "plan", "policy", "precedence", "probation", "snippet", "standing")),
    *(f"apply.{name}" for name in ("steps", "types", "verify", "watch", "winners")),
)
PURE_LIBRARY = frozenset(
    {"__future__", "abc", "bisect", "collections", "contextlib", "dataclasses", "datetime", "decimal", "enum"}
    | {"fractions", "functools", "hashlib", "heapq", "itertools", "math", "operator", "re", "statistics", "string"}
    | {"textwrap", "types", "typing"}
)
IMPURE_BUILTINS = frozenset({"open", "print", "input", "exec", "eval", "__import__", "breakpoint"})
CLOCK_METHODS = frozenset({"now", "utcnow", "today"})

# Packages from elsewhere -> the modules that may import them.
THIRD_PARTY: dict[str, tuple[str, ...]] = {
    "pydantic": ("apply.plan_reader", "apply.probation_file", "cli.schema", "config.check"),
    "prometheus_client": ("report.metrics",),
    "jinja2": ("report.page",),
    "rich": ("report", "cli"),
    "psutil": ("procfs", "daemon"),
    "systemd": ("klog", "daemon"),
}


def is_within(module: str, names: tuple[str, ...]) -> bool:
    return any(module == name or module.startswith(f"{name}.") for name in names)


def imported_modules(tree: ast.Module, module: str, is_package: bool) -> Iterator[tuple[int, str]]:
    """Line and absolute name of every import, wherever it stands; `from a import b` counts as `a.b`."""
    package = module if is_package else module.rpartition(".")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.rsplit(".", node.level - 1)[0] if node.level else ""
            origin = ".".join(part for part in (above, node.module) if part)
            yield from ((node.lineno, f"{origin}.{alias.name}") for alias in node.names)


def impure_calls(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Name) and node.func.id in IMPURE_BUILTINS:
                yield node.lineno, f"{node.func.id}()"
            elif isinstance(node.func, ast.Attribute) and node.func.attr in CLOCK_METHODS:
                yield node.lineno, f"the clock ({node.func.attr})"


def objection(local: str, imported: str) -> str | None:
    """Why module `local` (without the leading "pagewarden.") may not import `imported`, or None where it may."""
    room = local.partition(".")[0]
    top = imported.partition(".")[0]
    if top == "pagewarden":
        ours = imported.removeprefix("pagewarden.")
        return (
            None if is_within(ours, (room, *SHARED, *ROOMS[room], "__version__")) else f"{room} may not import {ours}"
        )
    if top in sys.stdlib_module_names:
        return f"{room} is pure and imports {top}" if is_within(local, PURE) and top not in PURE_LIBRARY else None
    if top not in THIRD_PARTY:
        return f"{top} is not a dependency"
    return None if is_within(local, THIRD_PARTY[top]) else f"{top} is not for {local}"


def violations(source: str, module: str, is_package: bool = False) -> list[str]:
    """What module `module` ("pagewarden.kernel.fit") does that its room may not, one line each."""
    local = module.removeprefix("pagewarden").removeprefix(".")
    room = local.partition(".")[0]
    tree = ast.parse(source)
    if not local:
        return [
            f"{module}:{line}: the package itself imports nothing" for line, _ in imported_modules(tree, module, True)
        ]
    if room not in ROOMS:
        return [f"{module}: {room} is no room: add it to ROOMS and to docs/design/0002-rooms.md"]
    found = []
    for line, imported in imported_modules(tree, module, is_package):
        reason = objection(local, imported)
        if reason is not None:
            found.append(f"{module}:{line}: {reason}")
    if is_within(local, PURE):
        found += [f"{module}:{line}: {room} is pure and calls {what}" for line, what in impure_calls(tree)]
    return found


def our_modules() -> list[Path]:
    return sorted(SOURCE.glob("pagewarden/**/*.py"))


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")


def test_every_module_keeps_to_its_room() -> None:
    found = [line for path in our_modules() for line in check_file(path)]
    assert not found, "\n".join(found)


def check_file(path: Path) -> list[str]:
    return violations(path.read_text(encoding="utf-8"), name_of(path), path.name == "__init__.py")


def test_the_walk_sees_the_modules() -> None:
    names = {name_of(path) for path in our_modules()}
    assert {"pagewarden", "pagewarden.kernel", "pagewarden.kernel.version", "pagewarden.procfs.types"} <= names


@pytest.mark.parametrize(
    ("module", "source", "expected"),
    [
        ("pagewarden.procfs.zoneinfo", "import pagewarden.kernel.version", "procfs may not import kernel.version"),
        ("pagewarden.procfs.zoneinfo", "from pagewarden import kernel", "procfs may not import kernel"),
        ("pagewarden.procfs.zoneinfo", "from ..kernel import version", "procfs may not import kernel.version"),
        (
            "pagewarden.procfs.zoneinfo",
            "def f():\n    import pagewarden.cli.main",
            "procfs may not import cli.main",
        ),
        ("pagewarden.procfs.x", "if TYPE_CHECKING:\n    import pagewarden.advise", "procfs may not import advise"),
        ("pagewarden.kernel.fit", "from pagewarden.procfs import zoneinfo", "kernel may not import procfs.zoneinfo"),
        (
            "pagewarden.kernel.fit",
            "from pagewarden.procfs.typesetting import x",
            "kernel may not import procfs.typesetting.x",
        ),
        ("pagewarden.klog.parse", "import pagewarden.diagnose", "klog may not import diagnose"),
        ("pagewarden.advise.plan", "import pagewarden.klog", "advise may not import klog"),
        ("pagewarden.report.text", "from pagewarden.apply import write", "report may not import apply.write"),
        ("pagewarden.report.text", "import pagewarden.cli.main", "report may not import cli.main"),
        ("pagewarden.daemon.loop", "import pagewarden.cli", "daemon may not import cli"),
        ("pagewarden.errors", "import pagewarden.procfs", "errors may not import procfs"),
        ("pagewarden", "import pagewarden.errors", "the package itself imports nothing"),
        ("pagewarden.misc", "", "misc is no room"),
        ("pagewarden.kernel.fit", "import os.path", "kernel is pure and imports os"),
        ("pagewarden.advise.rates", "from time import monotonic", "advise is pure and imports time"),
        ("pagewarden.diagnose.x", "import logging, pathlib", "diagnose is pure and imports pathlib"),
        ("pagewarden.kernel.fit", "x = open('/proc/zoneinfo')", "kernel is pure and calls open()"),
        ("pagewarden.apply.plan", "import os", "apply is pure and imports os"),
        ("pagewarden.advise.age", "import datetime\nx = datetime.datetime.now()", "calls the clock (now)"),
        ("pagewarden.kernel.fit", "import pydantic", "pydantic is not for kernel.fit"),
        ("pagewarden.report.wire", "import pydantic", "pydantic is not for report.wire"),
        ("pagewarden.advise.rates", "import psutil", "psutil is not for advise.rates"),
        ("pagewarden.diagnose.x", "from rich.table import Table", "rich is not for diagnose.x"),
        ("pagewarden.apply.x", "from systemd import journal", "systemd is not for apply.x"),
        ("pagewarden.cli.x", "import click", "click is not a dependency"),
    ],
)
def test_a_trespass_is_named(module: str, source: str, expected: str) -> None:
    found = violations(source, module)
    assert any(expected in line for line in found), found


@pytest.mark.parametrize(
    ("module", "source"),
    [
        (
            "pagewarden.kernel.fit",
            "from collections.abc import Mapping\nfrom pagewarden.procfs.types import Zone",
        ),
        ("pagewarden.kernel.fit", "from pagewarden.errors import ModelError\nfrom pagewarden import units"),
        ("pagewarden.kernel.fit", "def f(zone): return zone.open()"),
        ("pagewarden.diagnose.cause", "from pagewarden.klog.types import Report"),
        ("pagewarden.cli.schema", "from pydantic import TypeAdapter\nfrom pagewarden.report.wire_status import Status"),
        ("pagewarden.klog.journal", "from systemd import journal"),
        ("pagewarden.apply.files", "import os"),
        ("pagewarden.cli.main", "from pagewarden import __version__\nfrom pagewarden.report import text"),
        ("pagewarden.__main__", "from pagewarden.cli.main import entry_point"),
    ],
)
def test_what_a_room_may_do_passes(module: str, source: str) -> None:
    assert violations(source, module) == []


def test_relative_imports_of_a_package_start_at_itself() -> None:
    assert violations("from . import version", "pagewarden.kernel", is_package=True) == []
    assert violations("from ..cli import main", "pagewarden.kernel", is_package=True) != []
