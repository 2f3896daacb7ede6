"""On which line of a TOML file each key stands; the standard library's parser does not tell."""

import tomllib
from typing import Any


def line_numbers(text: str) -> dict[tuple[str, ...], int]:
    """Give the line on which each table and key begins, by its path.

    :param text: a file that `tomllib` reads without an error.
    """
    found: dict[tuple[str, ...], int] = {}
    header = ""
    waiting: list[str] = []
    for number, line in enumerate(text.split("\n"), start=1):
        # The shortest run of lines that is valid by itself is one statement: none begins like another whole one.
        waiting.append(line)
        statement = "\n".join(waiting)
        values = _parsed(f"{header}\n{statement}" if not statement.lstrip().startswith("[") else statement)
        if values is None:
            continue
        for path in _paths(values):
            found.setdefault(path, number - len(waiting) + 1)
        if statement.lstrip().startswith("["):
            header = statement
        waiting = []
    return found


def _parsed(statement: str) -> dict[str, Any] | None:
    try:
        return tomllib.loads(statement)
    except tomllib.TOMLDecodeError:
        return None


def _paths(values: dict[str, Any], above: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    paths = []
    for name, value in values.items():
        paths.append((*above, name))
        if isinstance(value, dict):
            paths += _paths(value, (*above, name))
    return paths
