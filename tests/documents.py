"""What the commands print as JSON, held against the schema that is published for it."""

import functools
import json
from typing import Any

from pydantic import TypeAdapter

from pagewarden.report.document import Document, to_json


@functools.cache
def adapter(document: type[Document]) -> TypeAdapter[Document]:
    return TypeAdapter(document)


def validated(document: type[Document], text: str) -> dict[str, Any]:
    """The document, which its schema must allow as it is: nothing is converted, nothing is missing or unknown."""
    read = adapter(document).validate_json(text, strict=True)
    assert to_json(read) == text.rstrip("\n")
    found: dict[str, Any] = json.loads(text)
    return found
