"""The JSON of `pagewarden config`."""

from typing import Literal

from pydantic import Field

from pagewarden.config.settings import Merged
from pagewarden.report.wire import Document

Value = bool | int | float | str | list[str]


class ConfigSetting(Document):
    """One setting with the value in force."""

    section: str
    name: str
    value: Value
    default: Value
    unit: str | None
    file: str | None = Field(description="where the value came from; null where it is the default")
    line: int | None


class ConfigDocument(Document):
    """`pagewarden config --format json`."""

    schema_name: Literal["pagewarden.config/1"] = Field("pagewarden.config/1", alias="schema")
    files: list[str] = Field(description="read, in the order in which they were applied")
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
