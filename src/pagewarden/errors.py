"""Everything pagewarden raises on purpose, and the exit status each ends the command with.

Messages are one line: what, where, what was expected. Only `cli` prints them.
"""

from enum import IntEnum


class ExitStatus(IntEnum):
    """Exit statuses of the command (a contract; see the manual)."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    FOUND = 3
    UNDONE = 4
    NOT_UNDONE = 5
    NO_PERMISSION = 77
    BAD_CONFIG = 78


class PagewardenError(Exception):
    """Base of all errors that end a command with one line on standard error."""

    exit_status = ExitStatus.FAILED


class UsageError(PagewardenError):
    """The command line asks for something that does not exist or contradicts itself."""

    exit_status = ExitStatus.USAGE


class ReadError(PagewardenError):
    """A file that is needed is missing or cannot be read.

    :ivar path: the file as the user would name it.
    :ivar reason: why, in words (`strerror` or what was expected instead).
    :ivar missing: True where the file does not exist, as opposed to being unreadable.
    """

    exit_status = ExitStatus.USAGE

    def __init__(self, path: str, reason: str, *, missing: bool = False) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason
        self.missing = missing


class PermissionDenied(ReadError):
    """A file, the kernel's log or the journal that only others may read."""

    exit_status = ExitStatus.NO_PERMISSION


class ParseError(PagewardenError):
    """A line of a kernel file is not what the kernel prints there.

    :ivar path: the file; parsers that do not know it are given a name by their caller.
    :ivar line_number: 1-based; 0 where the file as a whole is meant.
    :ivar line: the offending text (shortened, control characters escaped).
    :ivar expected: what should have stood there.
    """

    exit_status = ExitStatus.USAGE

    def __init__(self, path: str, line_number: int, line: str, expected: str) -> None:
        shown = line[:60].encode("unicode_escape").decode("ascii") + ("..." if len(line) > 60 else "")
        where = f"{path}:{line_number}" if line_number else path
        super().__init__(f"{where}: expected {expected}, found '{shown}'")
        self.path = path
        self.line_number = line_number
        self.line = line
        self.expected = expected


class ModelError(PagewardenError):
    """The kernel model cannot answer for these facts (inputs that contradict each other or are absent)."""


class NeedsRoot(PagewardenError):
    """Settings and their files belong to root."""

    exit_status = ExitStatus.NO_PERMISSION


class ApplyError(PagewardenError):
    """A change could not be begun, or was refused; nothing was changed."""


class ChangeUndone(ApplyError):
    """A change failed and everything is as it was before."""

    exit_status = ExitStatus.UNDONE


class ChangeNotUndone(ApplyError):
    """A change failed, and so did a part of its undoing; the record says what is left to do."""

    exit_status = ExitStatus.NOT_UNDONE
