"""Entries for the journal, and the catalog that explains them."""

import re
import shutil
import subprocess
import uuid
from pathlib import Path

import pytest
from tests.conftest import DATA, PROJECT

from pagewarden.advise.watermarks import renewing_write
from pagewarden.diagnose.types import Cause, FindingCause
from pagewarden.kernel.machine import machine_of
from pagewarden.procfs.snapshot import read_snapshot
from pagewarden.report.journal import finding_fields, plain_line, service_fields
from pagewarden.report.journal_kinds import BY_NAME, KINDS, catalog_text

CATALOG = PROJECT / "systemd" / "pagewarden.catalog"


def fields(**changes: object) -> dict[str, str]:
    given: dict[str, object] = {
        "phase": "appeared",
        "cause": "fragmented",
        "severity": "warning",
        "text": "no block of order 4",
        "identity": "page-allocation-failure/fragmented/f",
        "count": 1,
        "since": "2026-01-02 03:04:05Z",
        "key": "vm.min_free_kbytes",
    }
    return finding_fields(**{**given, **changes})  # type: ignore[arg-type]


def test_the_fields_of_a_finding() -> None:
    assert fields(details={"ADVICE": "wait", "ORDER": "4", "bad name": "x"}) == {
        "MESSAGE": "fragmented: no block of order 4 What to do: wait",
        "PRIORITY": "4",
        "MESSAGE_ID": BY_NAME["fragmented"].message_id,
        "PAGEWARDEN_CAUSE": "fragmented",
        "PAGEWARDEN_SEVERITY": "warning",
        "PAGEWARDEN_STATE": "appeared",
        "PAGEWARDEN_ID": "page-allocation-failure/fragmented/f",
        "PAGEWARDEN_COUNT": "1",
        "PAGEWARDEN_SINCE": "2026-01-02 03:04:05Z",
        "PAGEWARDEN_KEY": "vm.min_free_kbytes",
        "PAGEWARDEN_ADVICE": "wait",
        "PAGEWARDEN_ORDER": "4",
    }


@pytest.mark.parametrize(
    ("changes", "message", "priority"),
    [
        ({"phase": "changed", "count": 12}, "fragmented, now warning (12 times since 2026-01-02 03:04:05Z)", "4"),
        ({"phase": "ended", "count": 12}, "fragmented is over (since 2026-01-02 03:04:05Z, 12 times): no block", "6"),
        ({"phase": "ended"}, "fragmented is over (since 2026-01-02 03:04:05Z): no block", "6"),
        ({"severity": "critical"}, "fragmented: no block", "2"),
        ({"severity": "new word"}, "fragmented: no block", "4"),
        ({"text": "a\x1b[31mb\nPRIORITY=0"}, "fragmented: a [31mb PRIORITY=0", "4"),
    ],
)  # fmt: skip
def test_messages(changes: dict[str, object], message: str, priority: str) -> None:
    made = fields(**changes)
    assert made["MESSAGE"].startswith(message)
    assert made["PRIORITY"] == priority


def test_details_do_not_take_the_place_of_ours() -> None:
    assert fields(details={"CAUSE": "mine", "STATE": "x"})["PAGEWARDEN_CAUSE"] == "fragmented"


def test_no_field_is_long_or_has_a_second_line() -> None:
    made = fields(text="x\n" * 9000, details={"COMM": "a\0b"})
    assert all(len(value) <= 2000 and value.isprintable() for value in made.values())


def test_a_cause_that_is_not_known_still_has_an_id() -> None:
    assert fields(cause="something-new")["MESSAGE_ID"] == BY_NAME["incomplete"].message_id


def test_a_plain_line() -> None:
    made = service_fields("service-degraded", "history does not work", "warning", FUNCTION="history")
    assert made["PAGEWARDEN_FUNCTION"] == "history"
    assert plain_line(made) == "<4>history does not work"


def test_every_cause_has_its_kind() -> None:
    causes = {cause.value for cause in (*Cause, *FindingCause)}
    assert causes == {name for name in BY_NAME if not name.startswith("service-")}


def test_message_ids_are_random_and_different() -> None:
    ids = [kind.message_id for kind in KINDS]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch("[0-9a-f]{32}", one) and uuid.UUID(one).version == 4 for one in ids)


def test_the_catalog_is_made_of_the_table() -> None:
    assert CATALOG.read_text(encoding="utf-8") == catalog_text(), (
        "run python -m pagewarden.report.journal_kinds > systemd/pagewarden.catalog"
    )


def test_fields_in_the_catalog_exist() -> None:
    known = {f"PAGEWARDEN_{name}" for name in ("SINCE", "COUNT", "ID", "FUNCTION")}
    assert set(re.findall("@([A-Z_]+)@", catalog_text())) <= known


def test_systemd_takes_the_catalog(tmp_path: Path) -> None:
    if shutil.which("journalctl") is None:
        pytest.skip("no systemd here")
    folder = tmp_path / "usr" / "lib" / "systemd" / "catalog"
    folder.mkdir(parents=True)
    shutil.copy(CATALOG, folder)
    (tmp_path / "var" / "lib" / "systemd" / "catalog").mkdir(parents=True)
    command = ["journalctl", f"--root={tmp_path}"]
    subprocess.run([*command, "--update-catalog"], check=True, timeout=60)
    shown = subprocess.run([*command, "--list-catalog"], check=True, capture_output=True, text=True, timeout=60).stdout
    assert all(f"{kind.message_id} pagewarden: {kind.subject}" in shown for kind in KINDS)


def test_stale_marks_are_renewed_as_the_adviser_does() -> None:
    machine = machine_of(read_snapshot(str(DATA / "machines" / "guest-4g")))
    key = renewing_write(machine, 1).key
    assert f"sysctl -w {key}=$(sysctl -n {key})" in BY_NAME["stale-watermarks"].body
