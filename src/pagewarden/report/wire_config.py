"""The JSON of `pagewarden config`."""

from dataclasses import dataclass, field
from typing import Literal

from pagewarden.config.settings import Merged
from pagewarden.report.document import Document, said

Value = bool | int | float | str | list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigSetting(Document):
    """One setting with the value in force."""

    section: str
    name: str
    value: Value
    default: Value
    unit: str | None
    file: str | None = field(metadata=said("where the value came from; null where it is the default"))
    line: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigDocument(Document):
    """`pagewarden config --format json`."""

    schema: Literal["pagewarden.config/1"] = "pagewarden.config/1"
    files: list[str] = field(metadata=said("read, in the order in which they were applied"))
    settings: list[ConfigSetting]


def config_document(merged: Merged) -> ConfigDocument:
    """Build the configuration document."""
    return ConfigDocument(
        files=list(merged.files),
        settings=[
            ConfigSetting(
                section=entry.setting.section,
                name=entry.setting.name,
                value=_listed(entry.value),
                default=_listed(entry.setting.default),
                unit=entry.setting.rule.unit or None,
                file=entry.file,
                line=entry.line,
            )
            for entry in merged.entries
        ],
    )


def _listed(value: Value | tuple[str, ...]) -> Value:
    return list(value) if isinstance(value, tuple) else value
