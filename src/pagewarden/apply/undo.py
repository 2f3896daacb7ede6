"""Back to what was before a run, or on to what a revert wanted; only where nobody else wrote meanwhile."""

from collections.abc import Iterable
from dataclasses import replace

from pagewarden.apply.files import read_snippet, remove_durably, temporary_of, write_atomically
from pagewarden.apply.paths import SNIPPET, Paths
from pagewarden.apply.runtime import Kernel, in_words
from pagewarden.apply.signals import undisturbed
from pagewarden.apply.snippet import digest
from pagewarden.apply.state import load_record, store_record
from pagewarden.apply.types import Intent, Pending, Record
from pagewarden.errors import ApplyError, ChangeNotUndone, PagewardenError
from pagewarden.kernel.simulate import Write


class Restoring:
    """One pass of putting things where they belong.

    :ivar problems: what could not be put there, and why.
    :ivar notes: what was left alone because somebody else wrote it meanwhile.
    """

    def __init__(self, paths: Paths, kernel: Kernel) -> None:
        self._paths = paths
        self._kernel = kernel
        self.problems: list[str] = []
        self.notes: list[str] = []

    def undo(self, pending: Pending) -> None:
        """Put back what was there before the run, the last setting written first."""
        keys = dict.fromkeys(write.key for write in pending.writes)
        for key in reversed(keys):
            self._put_value(key, pending.before[key], {w.text for w in pending.writes if w.key == key})
        self._put_file(pending.snippet_before, pending.snippet_after)

    def finish(self, pending: Pending) -> None:
        """Put there what the run wanted, in its order."""
        for key, wanted in {write.key: write.text for write in pending.writes}.items():
            steps = {w.text for w in pending.writes if w.key == key}
            self._put_value(key, wanted, {pending.before[key], *steps})
        self._put_file(pending.snippet_after, pending.snippet_before)

    def _put_value(self, key: str, wanted: str, ours: Iterable[str]) -> None:
        try:
            current = self._kernel.read(key)
            if current == wanted:
                return
            if current not in ours:
                self.notes.append(f"{key} is {current}, which pagewarden did not write: left alone")
                return
            self._kernel.write(Write(key, wanted))
            current = self._kernel.read(key)
        except FileNotFoundError:
            self.notes.append(f"{key} is gone: this kernel has no such setting any more")
            return
        except (OSError, PagewardenError) as error:
            self.problems.append(f"{key}: {in_words(error)}")
            return
        if current != wanted:
            self.problems.append(f"{key}: the kernel made {current} of {wanted}")

    def _put_file(self, wanted: str | None, ours: str | None) -> None:
        try:
            temporary_of(self._paths.snippet).unlink(missing_ok=True)
            found = read_snippet(self._paths.snippet)
            if found.oddity or found.text not in (wanted, ours):
                self.notes.append(f"{SNIPPET} was changed by somebody else meanwhile: left alone")
            else:
                put_snippet(self._paths, wanted, found.text)
        except OSError as error:
            self.problems.append(f"{SNIPPET}: {in_words(error)}")


def put_snippet(paths: Paths, wanted: str | None, found: str | None) -> None:
    """Give our file this content; None removes it.

    :raises OSError: what the kernel said.
    """
    if wanted is None and found is not None:
        remove_durably(paths.snippet)
    elif wanted is not None and wanted != found:
        write_atomically(paths.snippet, wanted)


def committed(record: Record, pending: Pending) -> Record:
    """Give the record as it is once a run is done."""
    text = pending.snippet_after
    sha256 = None if text is None else digest(text)
    if text == pending.snippet_before:
        sha256 = record.snippet_sha256  # not touched: an edit by somebody else stays one
    return Record(pending.owned_after, pending.retired_after, sha256 if pending.owned_after else None)


def recover_unfinished(paths: Paths, kernel: Kernel) -> tuple[Record, tuple[str, ...]]:
    """Undo an unfinished apply, finish an unfinished revert: the record afterwards, and what was done in words.

    The lock must be held.

    :raises ApplyError: the record cannot be read or written.
    :raises ChangeNotUndone: something could not be put back; the record stays as it is, so that the next run tries.
    """
    record = load_record(paths)
    pending = record.pending
    if pending is None:
        return record, ()
    restoring = Restoring(paths, kernel)
    applying = pending.intent is Intent.APPLY
    what = f"{'an apply' if applying else 'a revert'} begun {pending.started_at}, which did not come to its end"
    with undisturbed():
        if applying:
            restoring.undo(pending)
        else:
            restoring.finish(pending)
        if restoring.problems:
            verb = "undone" if applying else "finished"
            raise ChangeNotUndone(f"{what}, could not be {verb}: {'; '.join(restoring.problems)}")
        after = replace(record, pending=None) if applying else committed(record, pending)
        try:
            store_record(paths, after)
        except OSError as error:
            raise ApplyError(f"{paths.record}: {in_words(error)}") from None
    verb = "was undone" if applying else "was finished"
    return after, (f"{what}, {verb}", *restoring.notes)
