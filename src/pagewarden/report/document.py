"""What the JSON documents have in common: how they are declared and how they are written.

Contracts: fields are added within a schema number, never renamed or given another meaning. A value that is not known
is null, never 0.
"""

import json
from collections.abc import Iterable
from dataclasses import fields
from typing import Any, ClassVar


def said(text: str) -> dict[str, str]:
    """What the schema says of a field."""
    return {"description": text}


PAGES = said("pages")


class Document:
    """Base of all documents: dataclasses, as importing pydantic takes longer than most commands do.

    `pagewarden schema` and the tests have pydantic make the schema and a validator of them.
    """

    __slots__ = ()
    __pydantic_config__: ClassVar = {"extra": "forbid"}


def listed(values: Iterable[int] | None) -> list[int] | None:
    """A tuple as JSON has it; None stays."""
    return None if values is None else list(values)


def to_json(document: Document) -> str:
    """Render a document as one JSON text. What is no Unicode, in a file's name, becomes an escape like `\\udcff`."""
    text = json.dumps(document, default=_members, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode("utf-8", "backslashreplace").decode()


def _members(document: Any) -> dict[str, Any]:
    return {member.name: getattr(document, member.name) for member in fields(document)}
