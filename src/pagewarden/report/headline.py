"""What an administrator wants to know of a report first: when it was."""

import re

from pagewarden.klog.types import ReportGroup
from pagewarden.report.words import duration_text, printable

_SINCE_BOOT = re.compile(r"\d{1,8}\.\d{1,9}", re.ASCII)


def when_text(group: ReportGroup) -> str:
    """When it was: stamps as the log has them, so that they can be searched for; seconds since boot also in words."""
    first, last = group.first_timestamp, group.last_timestamp
    if first is None:
        return "no time given"
    stamps = [first] if group.count == 1 or last is None or last == first else [first, last]
    since_boot = group.example.seconds is not None and all(_SINCE_BOOT.fullmatch(stamp) for stamp in stamps)
    if not since_boot:
        return " to ".join(map(printable, stamps))
    if all(float(stamp) < 60 for stamp in stamps):
        return f"{' to '.join(stamps)} s after boot"
    words = dict.fromkeys(duration_text(float(stamp)) for stamp in stamps)
    return f"{' to '.join(words)} after boot ({' to '.join(stamps)})"
