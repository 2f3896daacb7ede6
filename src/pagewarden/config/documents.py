"""What people read about the settings, made from their declaration: the file that is shipped, and the page of them.

Tests keep `etc/pagewarden.toml` and `docs/configuration.md` equal to this; `bin/test tests/unit/config --update-golden`
writes them anew.
"""

import json
import textwrap
from typing import Any

from pagewarden.config.settings import SECTIONS, Setting, all_settings

_WIDTH = 100


def toml_value(value: Any) -> str:
    """Write a value as TOML."""
    if isinstance(value, tuple | list):
        return f"[{', '.join(toml_value(entry) for entry in value)}]"
    return json.dumps(value, ensure_ascii=False)


def shipped_file() -> str:
    """The text of `/etc/pagewarden/pagewarden.toml` as it is installed: every setting, commented out."""
    lines = [
        "# pagewarden: what the service reads when it starts and when it is reloaded.",
        "#",
        "# Every setting stands here with its default, commented out. Settings of your own may stand here or,",
        "# better, in a file of their own: /etc/pagewarden/pagewarden.toml.d/NAME.toml. Those are read later, by",
        "# their names, and win. 'pagewarden config' prints the result, where each value came from, and any mistake.",
    ]
    for section in SECTIONS:
        lines += ["", f"# {SECTIONS[section].__doc__}", f"[{section}]"]
        for setting in all_settings():
            if setting.section == section:
                lines.append("")
                lines += textwrap.wrap(
                    f"{setting.rule.meaning} {_allowed(setting)}",
                    _WIDTH,
                    initial_indent="# ",
                    subsequent_indent="# ",
                    break_on_hyphens=False,
                )
                lines.append(f"#{setting.name} = {toml_value(setting.default)}")
    return "\n".join(lines) + "\n"


def _allowed(setting: Setting) -> str:
    return f"{setting.expected[:1].upper()}{setting.expected[1:]}."


def reference_page() -> str:
    """The text of `docs/configuration.md`."""
    parts = [_HEAD]
    for section in SECTIONS:
        parts.append(f"## [{section}]\n\n{SECTIONS[section].__doc__}\n")
        rows = [setting for setting in all_settings() if setting.section == section]
        table = ["| setting | default | may be | |", "|---|---|---|---|"]
        table += [
            f"| `{row.name}` | `{toml_value(row.default)}` | {_cell(row.expected)} | {_cell(row.rule.meaning)} |"
            for row in rows
        ]
        parts.append("\n".join(table) + "\n")
    return "\n".join(parts)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


_HEAD = """\
# Configuration

The service and the part that applies changes read, at start and at `systemctl reload pagewarden`:

1. `pagewarden.toml`, the first that is there of `/etc/pagewarden/`, `/usr/local/lib/pagewarden/` and
   `/usr/lib/pagewarden/`;
2. then every `pagewarden.toml.d/*.toml` of these folders, by name; a file hides those of the same name in the later
   folders, and a link to `/dev/null` only hides. A later file wins, setting by setting; a list is replaced as a whole.

All settings have defaults and all files may be missing. `pagewarden config` prints the merged result and where each
value came from; an unknown key, a value out of bounds or a file that cannot be read is one line with file and line,
and exit status 78. The service refuses to start with such a configuration, and keeps the old one when it is reloaded.

`/run/pagewarden` is not read: it belongs to the service, which runs without rights, and what the part with rights may
change must not be decided there.

This page and `etc/pagewarden.toml` are made from the program's own table of settings.
"""
