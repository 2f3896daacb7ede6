"""Pages, kilobytes and bytes. "kB" is the kernel's: 1024 bytes. The only place that converts between them."""

import re

_SINCE_BOOT = re.compile(r"\d{1,8}\.\d{1,9}", re.ASCII)


def pages_to_kb(pages: int, page_size: int) -> int:
    """Convert pages to kB; exact, as every page size is a multiple of 1024 bytes."""
    return pages * (page_size // 1024)


def kb_to_pages(kb: int, page_size: int) -> int:
    """Convert kB to whole pages as the kernel does (`kbytes >> (PAGE_SHIFT - 10)`): rounds down."""
    return kb // (page_size // 1024)


def human_bytes(count: int) -> str:
    """Write a byte count for people: `0 B`, `512 KiB`, `1.4 MiB`; one decimal below 100."""
    sign, size = ("-" if count < 0 else ""), float(abs(count))
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        text = f"{size:.{0 if unit == 'B' or size >= 100 else 1}f}"
        if float(text) < 1024 or unit == "TiB":
            return f"{sign}{text.removesuffix('.0')} {unit}"
        size /= 1024
    raise AssertionError("unreachable")


def human_count(count: int) -> str:
    """Write a count in at most four characters: `9999`, `12k`, `3M`."""
    if count < 10_000:
        return str(count)
    return f"{count // 1000}k" if count < 1_000_000 else f"{count // 1_000_000}M"


def counts_from_boot(stamp: str) -> bool:
    """Whether a log's stamp, as printed, counts seconds from boot (`12345.678901`): it is no date and needs a unit."""
    return _SINCE_BOOT.fullmatch(stamp) is not None
