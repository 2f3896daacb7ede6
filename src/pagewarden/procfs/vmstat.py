"""`/proc/vmstat`: the kernel's event and page counters."""

from collections.abc import Mapping

from pagewarden.errors import ParseError
from pagewarden.procfs.fields import check_text, fast_pairs, numbered_lines, parse_unsigned


def parse_vmstat(text: str, path: str = "/proc/vmstat") -> Mapping[str, int]:
    """Read counter -> value (pages or events since boot). Counters that are not known are kept.

    :raises ParseError: a line that is not `name value`, or a counter printed twice.

    Kernel: mm/vmstat.c:vmstat_show(), all
    """
    text = check_text(text, path, "'name value' lines")
    pairs = fast_pairs(text)
    return dict(zip(*pairs, strict=True)) if pairs is not None else _read_lines(text, path)


def _read_lines(text: str, path: str) -> dict[str, int]:
    """Read line by line: the rare shapes, and the errors."""
    counters: dict[str, int] = {}
    for number, line in numbered_lines(text):
        name, *values = line.split(None, 1)
        if not name.isidentifier():
            raise ParseError(path, number, line, "'name value'")
        if name in counters:
            raise ParseError(path, number, line, f"'{name}' once")
        counters[name] = parse_unsigned("".join(values), path, number, line, f"a value of '{name}'")
    return counters
