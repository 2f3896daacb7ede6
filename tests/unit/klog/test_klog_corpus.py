"""The reference corpus: real logs that a person read, beside the project where it is worked on."""

import json
from pathlib import Path
from typing import Any

from pagewarden.klog.sources import read_reports
from pagewarden.klog.types import Report

KINDS = {
    "page-alloc-failure": "page-allocation-failure",
    "oom": "oom",
    "memcg-oom": "memcg-oom",
    "stall": "allocation-stall",
    "vmalloc-error": "vmalloc-failure",
    "xfs-deadlock": "deadlock-warning",
    "zone-dump": "memory-dump",
    "nommu-alloc-failure": "nommu-failure",
}
# Where the person was wrong: line 1 of 033 has a program's output before the task's name, line 4 the name alone;
# the last free list of 028 is cut, its total is missing.
CORRECTIONS: dict[tuple[str, int, str], object] = {
    ("033.log", 0, "comm"): "mkfs.ext4",
    ("028.log", 0, "complete"): False,
}


def rows(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "index.jsonl").read_text().splitlines() if line.strip()]


def wanted(file: str, number: int, entry: dict[str, Any]) -> dict[str, object]:
    kind = entry.get("subkind") if entry["kind"] == "other" else entry["kind"]
    fields: dict[str, object] = {
        "kind": KINDS.get(str(kind), kind),
        "order": entry["order"],
        "comm": entry["comm"],
        "mask": int(entry["mode"], 16) if entry["mode"] else None,
        "names": set(entry["gfp"] or ()),
        "free_kb": entry["free_kb"],
        "free_lists": entry.get("free_lists", 0),
        "complete": entry.get("complete", False),
    }
    return {name: CORRECTIONS.get((file, number, name), value) for name, value in fields.items()}


def answered(report: Report) -> dict[str, object]:
    free = {(f"Node {zone.node} " if zone.node is not None else "") + zone.zone: zone.free_kb for zone in report.zones}
    return {
        "kind": report.kind.value,
        "order": report.order,
        "comm": report.comm,
        "mask": report.gfp_mask,
        "names": set((report.gfp_names or "").split("|")) - {""},
        "free_kb": {name: value for name, value in free.items() if value is not None},
        "free_lists": sum(zone.free_blocks is not None for zone in report.zones),
        "complete": report.complete,
    }


def same(want: dict[str, object], got: dict[str, object]) -> bool:
    """Whether they agree; a kill without a whole report may be of either kind."""
    if want["kind"] in ("headless", "kill-line-only"):
        return got["kind"] in ("oom", "memcg-oom") and {**got, "kind": want["kind"]} == want
    return got == want


def test_every_report_of_every_log(corpus: Path) -> None:
    wrong: list[str] = []
    for row in rows(corpus / "logs"):
        reports = list(read_reports(str(corpus / "logs" / row["file"])))
        if len(reports) != len(row["reports"]):
            wrong.append(f"{row['file']}: {len(row['reports'])} reports, {len(reports)} found")
            continue
        for number, (entry, report) in enumerate(zip(row["reports"], reports, strict=True)):
            want, got = wanted(row["file"], number, entry), answered(report)
            if not same(want, got):
                wrong.append(f"{row['file']} report {number}: {want} in the index, {got} found")
    assert not wrong, "\n".join(wrong)


def test_logs_without_reports_yield_none(corpus: Path) -> None:
    logs = sorted((corpus / "negative").glob("*.log"))
    assert logs
    assert {log.name: list(read_reports(str(log))) for log in logs} == {log.name: [] for log in logs}


def test_each_guest_printed_one_whole_report(corpus: Path) -> None:
    logs = sorted((corpus / "logs-vm").glob("*.log"))
    assert logs
    for log in logs:
        (report,) = read_reports(str(log))
        assert (report.kind, report.order, report.complete, report.missing) == ("page-allocation-failure", 0, True, ())
        assert (report.arch, report.page_size) == ("x86_64", 4096)
        assert report.release is not None
        assert report.release.startswith("6.1.0-56-")
        assert report.trace
