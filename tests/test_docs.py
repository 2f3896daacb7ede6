"""The documents: links lead somewhere, commands exist, and output shown is what the program prints.

A fenced `console` block after a line `<!-- checked ... -->` is run from the project's folder. A line `...` in it stands
for any number of lines left out.
"""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest
from tests.documents import adapter

from pagewarden.cli.main import COMMANDS, main
from pagewarden.cli.schema import DOCUMENTS
from pagewarden.daemon.state import LOOK_AGAIN_NS
from pagewarden.daemon.types import HOUR_NS
from pagewarden.errors import ExitStatus
from pagewarden.kernel.machine import MIN_FREE, RATIO, RECLAIM_MODE

PROJECT = Path(__file__).parents[1]
PAGES = sorted([*PROJECT.glob("*.md"), *PROJECT.glob("docs/**/*.md")])
SETTINGS = PROJECT / "docs" / "settings"

LINK = re.compile(r"\[[^\]\n]*(?:\n[^\]\n]*)?\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
REFERENCE = re.compile(r"docs/[\w/.-]+\.md")
COMMAND = re.compile(r"(?:^\$|\|) pagewarden ([\w-]+)", re.MULTILINE)
BLOCK = re.compile(r"(?P<checked><!-- checked[^\n]*-->\n)?```console\n(?P<body>.*?)^```", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Shown:
    """A command and the output a page shows for it."""

    command: str
    output: str


def name(page: Path) -> str:
    return str(page.relative_to(PROJECT))


def without_code(text: str) -> str:
    return re.sub(r"^```.*?^```|`[^`\n]*`", "", text, flags=re.DOTALL | re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """Names of a page's headings as forges make them."""
    headings = HEADING.findall(re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def shown_outputs(page: Path) -> Iterator[Shown]:
    for block in BLOCK.finditer(page.read_text()):
        if block["checked"]:
            for part in re.split(r"^\$ ", block["body"], flags=re.MULTILINE)[1:]:
                command, _, output = part.partition("\n")
                yield Shown(command, output)


def stripped(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.strip().split("\n"))


def pattern_of(output: str) -> str:
    """The output as a regular expression, in which `...` takes whole lines."""
    lines = stripped(output).split("\n")
    return "".join(r"(?:[^\n]*\n)*" if line == "..." else re.escape(line) + r"\n" for line in lines)


CHECKED = [(name(page), shown) for page in PAGES for shown in shown_outputs(page)]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_relative_links_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(without_code(page.read_text())):
        path, _, anchor = target.partition("#")
        if "://" in path:
            continue
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), f"{name(page)}: {target}"
        assert not anchor or anchor in anchors(there), f"{name(page)}: {target}: no such heading"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_commands_exist(page: Path) -> None:
    for block in BLOCK.finditer(page.read_text()):
        commands = COMMAND.findall(block["body"])
        assert set(commands) <= COMMANDS.keys(), name(page)


def test_pages_named_by_the_program_exist() -> None:
    named = {
        reference
        for source in sorted((PROJECT / "src").glob("**/*.py"))
        for reference in REFERENCE.findall(source.read_text())
    }
    named |= {f"docs/settings/{key.partition('.')[2]}.md" for key in (MIN_FREE, RATIO, RECLAIM_MODE)}  # advise/build.py
    assert [reference for reference in sorted(named) if not (PROJECT / reference).is_file()] == []


def test_the_overview_links_every_page_of_a_setting() -> None:
    linked = set(LINK.findall((SETTINGS / "README.md").read_text()))
    assert {page.name for page in SETTINGS.glob("*.md")} - {"README.md"} <= linked


@pytest.mark.parametrize(("page", "shown"), CHECKED, ids=[f"{page}-{shown.command}" for page, shown in CHECKED])
def test_output_shown_is_what_the_program_prints(
    page: str, shown: Shown, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(PROJECT)
    monkeypatch.delenv("COLUMNS", raising=False)
    program, *arguments = shlex.split(shown.command)
    assert program == "pagewarden"
    main(arguments)
    printed = stripped(capsys.readouterr().out)
    assert re.fullmatch(pattern_of(shown.output), printed + "\n"), f"{page} shows something else than:\n{printed}"


def test_some_output_is_checked() -> None:
    assert len(CHECKED) >= 10


def schema_of(document: str) -> dict[str, Any]:
    module, model = DOCUMENTS[document]
    return adapter(getattr(import_module(module), model)).json_schema(mode="serialization")


def fields_of(document: str) -> set[str]:
    """Names of all fields of a document and of what is nested in it, but for other documents that it carries whole."""
    schema = schema_of(document)
    parts = schema.get("$defs", {})
    carried = {model: name for name, (_, model) in DOCUMENTS.items() if name != document and model in parts}
    foreign = set(carried)
    for name in carried.values():
        foreign |= schema_of(name).get("$defs", {}).keys()
    own = [schema, *(part for name, part in parts.items() if name not in foreign)]
    return {field for part in own for field in part.get("properties", {})}


@pytest.mark.parametrize("document", sorted(DOCUMENTS))
def test_json_page_names_every_field(document: str) -> None:
    identifier = schema_of(document)["properties"]["schema"]["const"]
    text = (PROJECT / "docs" / "json.md").read_text()
    section = re.search(rf"^## [^\n]*`{re.escape(identifier)}`\n(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE)
    assert section is not None, f"no section for {identifier}"
    assert set(re.findall(r"^\| `(\w+)`", section[1], re.MULTILINE)) == fields_of(document)


def test_the_page_names_the_commands_that_read_the_configuration(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All that take --root; `daemon` reads it as well, which its own tests show, and `capture` only copies it."""
    copytree(PROJECT / "tests" / "data" / "machines" / "guest-4g", tmp_path, dirs_exist_ok=True)
    (tmp_path / "etc/pagewarden").mkdir(parents=True)
    (tmp_path / "etc/pagewarden/pagewarden.toml").write_text("nonsense = 1\n")
    more = {"simulate": [f"{MIN_FREE}=70000"], "apply": ["--dry-run"], "report": ["--html", "-"]}
    commands = ("advise", "config", "history", "metrics", "rollback-status", "status", *more)
    found = {
        name for name in commands if main([name, "--root", str(tmp_path), *more.get(name, [])]) == ExitStatus.BAD_CONFIG
    }
    capsys.readouterr()
    page = (PROJECT / "docs" / "exit-status.md").read_text()
    named = re.search(r"78 is\s+given by every command that reads the configuration \((.*?)\)", page, re.DOTALL)
    assert named is not None
    assert set(re.findall(r"`([\w-]+)`", named[1])) == {*found, "daemon"}


def test_the_page_says_how_often_the_plan_is_made() -> None:
    assert LOOK_AGAIN_NS == HOUR_NS
    assert "every hour while something is recommended" in (PROJECT / "docs" / "service.md").read_text()
