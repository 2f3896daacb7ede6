"""/dev/kmsg: what the kernel's ring buffer holds now."""

import errno
import os
from collections.abc import Generator, Iterator

from pagewarden.errors import PermissionDenied, ReadError
from pagewarden.klog.group import Grouper
from pagewarden.klog.prefix import PrefixReader
from pagewarden.klog.trouble import TroubleLines
from pagewarden.klog.types import LogLine, Report

PATH = "/dev/kmsg"
# The kernel gives one record a read and refuses a buffer it does not fit into; this is past the longest (8 KiB).
_RECORD_BYTES = 16 * 1024


def read_kmsg(path: str = PATH, *, trouble: TroubleLines | None = None) -> Generator[Report, None, int]:
    """Give the reports in the ring buffer; return how many records were read.

    Line numbers count records, from the oldest that is still there.

    :param trouble: looks at all that is read.
    :raises PermissionDenied: if the kernel's log is only for the privileged (kernel.dmesg_restrict).
    :raises ReadError: if it cannot be read.
    """
    grouper = Grouper()
    records = 0
    lines = kmsg_lines(path)
    for line in lines if trouble is None else trouble.watched_lines(lines):
        records = line.number
        yield from grouper.feed(line)
    yield from grouper.finish()
    return records


def kmsg_lines(path: str = PATH) -> Iterator[LogLine]:
    """Give the lines in the ring buffer, without waiting for more.

    :raises ReadError: as `read_kmsg` does.
    """
    reader = PrefixReader()
    try:
        device = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise _failure(path, error) from error
    try:
        number = 0
        while (record := _next_record(device, path)) is not None:
            number += 1
            # Properties of the device follow on lines of their own, each after a blank.
            yield from reader.read(number, record.partition(b"\n")[0])
    finally:
        os.close(device)


def _next_record(device: int, path: str) -> bytes | None:
    """One record; None at the end. A record overwritten before it was read is passed over."""
    while True:
        try:
            return os.read(device, _RECORD_BYTES) or None
        except BlockingIOError:
            return None
        except BrokenPipeError:
            continue
        except OSError as error:
            raise _failure(path, error) from error


def _failure(path: str, error: OSError) -> ReadError:
    reason = os.strerror(error.errno or errno.EIO)
    if error.errno in (errno.EACCES, errno.EPERM):
        return PermissionDenied(path, f"{reason} (reading the kernel's log needs root or CAP_SYSLOG)")
    return ReadError(path, reason, missing=error.errno == errno.ENOENT)
