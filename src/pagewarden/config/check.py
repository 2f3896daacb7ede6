"""One configuration file: checked against the declared settings, every complaint with its line."""

import re
import tomllib
from collections.abc import Iterator
from difflib import get_close_matches
from functools import cache
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from pagewarden.config.files import ConfigFile
from pagewarden.config.settings import ACTIONS, CAUSES, DECLINABLE, SECTIONS, ConfigError, Setting, all_settings
from pagewarden.config.statements import line_numbers


def check_file(file: ConfigFile) -> Iterator[tuple[str, str, Any, int]]:
    """Give section, name, value and line of everything the file sets.

    :raises ConfigError: not TOML, an unknown key, or a value that is not allowed.
    """
    try:
        values = tomllib.loads(file.text)
        lines = line_numbers(file.text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(_syntax(file, str(error))) from None
    except RecursionError:
        raise ConfigError(f"{file.path}: nested too deeply") from None
    try:
        checked = _model().model_validate(values)
    except ValidationError as error:
        raise ConfigError(_complaints(file, error, lines)) from None
    for section in checked.model_fields_set:
        part = getattr(checked, section)
        for name in part.model_fields_set:
            yield section, name, getattr(part, name), lines[section, name]


@cache
def _model() -> type[BaseModel]:
    strict = ConfigDict(extra="forbid", strict=True)
    parts: dict[str, Any] = {}
    for section in SECTIONS:
        entries: dict[str, Any] = {
            setting.name: (_annotation(setting), setting.default)
            for setting in all_settings()
            if setting.section == section
        }
        parts[section] = (create_model(section, __config__=strict, **entries), None)
    return create_model("File", __config__=strict, **parts)


def _annotation(setting: Setting) -> Any:
    rule = setting.rule
    plain: Any = setting.type if setting.type in (int, float, bool) else str
    if rule.choices:
        plain = Literal[rule.choices]
    elif rule.pattern:
        plain = Annotated[plain, Field(pattern=f"^(?:{rule.pattern})$")]
    elif rule.low is not None:
        plain = Annotated[plain, Field(ge=rule.low, le=rule.high)]
    return list.__class_getitem__(plain) if setting.is_list else plain


def _syntax(file: ConfigFile, message: str) -> str:
    """Put the parser's "(at line 3, column 5)" or "(at end of document)" where the other messages have the line."""
    reason, _, place = message.rpartition(" (at ")
    found = re.fullmatch(r"line (\d+), column \d+\)", place)
    line = int(found[1]) if found else file.text.rstrip("\n").count("\n") + 1
    return f"{file.path}:{line}: not TOML: {reason[:1].lower()}{reason[1:]}"


def _complaints(file: ConfigFile, error: ValidationError, lines: dict[tuple[str, ...], int]) -> str:
    found = []
    for entry in error.errors(include_url=False, include_context=False):
        path = tuple(str(part) for part in entry["loc"] if isinstance(part, str))[:2]
        found.append((lines.get(path, 0), _complaint(path, entry["type"], entry["input"])))
    found.sort()
    line, text = found[0]
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    return f"{file.path}:{line}: {text}{more}"


def _complaint(path: tuple[str, ...], kind: str, value: Any) -> str:
    shown = _shown(value)
    if kind == "extra_forbidden":
        return _unknown(path)
    if len(path) == 1:
        return f"{path[0]}: expected a table, [{path[0]}], found {shown}"
    setting = next(setting for setting in all_settings() if (setting.section, setting.name) == path)
    near = _declined_near(value) if setting.key == "advise.declined" else None
    meant = f"; did you mean {near}?" if near else ""
    return f"{setting.key}: expected {setting.expected}, found {shown}{meant}"


def _declined_near(value: Any) -> str | None:
    """What a name of a recommendation was meant to be: its setting or, where that is right, its setting and cause."""
    if not isinstance(value, str):
        return None
    key, _, rest = value.partition("/")
    names = (*DECLINABLE, *ACTIONS)
    if key not in names:
        by_end = {re.split("[.:]", name)[-1]: name for name in names}
        near = get_close_matches(key, [*names, *by_end], n=1, cutoff=0.75)
        return by_end.get(near[0], near[0]) if near else None
    near = get_close_matches(rest.partition("/")[0], CAUSES, n=1)
    return f"{key}/{near[0]}" if near else None


def _unknown(path: tuple[str, ...]) -> str:
    settings = all_settings()
    written = ".".join(path)
    if len(path) == 1 and (near := get_close_matches(path[0], SECTIONS, n=1)):
        return f"unknown section '{_printable(written)}'; the nearest is [{near[0]}]"
    by_name = {setting.name: setting.key for setting in settings}
    by_key = {setting.key: setting.key for setting in settings}
    near = get_close_matches(written, by_key, n=1, cutoff=0.75) or get_close_matches(path[-1], by_name, n=1)
    if near:
        section, _, name = (by_key | by_name)[near[0]].partition(".")
        return f"unknown key '{_printable(written)}'; the nearest is {name} in [{section}]"
    names = [setting.name for setting in settings if setting.section == path[0]]
    listed = f"[{path[0]}] has {', '.join(names)}" if names else f"there are [{'], ['.join(SECTIONS)}]"
    return f"unknown key '{_printable(written)}'; {listed}"


def _printable(text: str) -> str:
    return text[:60].encode("unicode_escape").decode("ascii") + ("..." if len(text) > 60 else "")


def _shown(value: Any) -> str:
    """Write a value as TOML would, shortened."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{_printable(value)}"'
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list):
        return "a list"
    return _printable(str(value))
