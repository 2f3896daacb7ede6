"""Progress of long reading, on standard error and only on a terminal."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from pagewarden.report.console import console


@contextmanager
def reading(name: str) -> Iterator[Callable[[int, int | None], None]]:
    """Show how much of a file has been read; gone when it is done.

    :return: a function to call with the bytes read so far and the size, None where it is not known.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=console(stderr=True), transient=True) as progress:
        task = progress.add_task(name, total=None)
        yield lambda done, size: progress.update(task, completed=done, total=size)


@contextmanager
def waiting(name: str, seconds: float) -> Iterator[Callable[[float], None]]:
    """Show how much of a span of time has passed; gone when it is over.

    :return: a function to call with the seconds that have passed.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console(stderr=True), transient=True) as progress:
        task = progress.add_task(name, total=seconds)
        yield lambda done: progress.update(task, completed=min(done, seconds))
