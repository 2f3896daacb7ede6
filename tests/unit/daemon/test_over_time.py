"""Hours of the real service: evidence that grows, a plan that is left, renewed and withdrawn, clocks that jump."""

import contextlib
import json
import shutil
import subprocess
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import DATA
from tests.unit.daemon.over_time import START, SeenClock, cause_entries, run

from pagewarden.apply.paths import Paths
from pagewarden.apply.probation import Baseline, Counts, Probation, Reading, Watched
from pagewarden.apply.probation_file import store_probation
from pagewarden.daemon.notify import Notifier
from pagewarden.history.read import open_reader

HOUR = 3600
MACHINE = DATA / "machines" / "db1-16g"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Give a machine in a folder, which the test may change."""
    return Path(shutil.copytree(MACHINE, tmp_path / "root"))


@pytest.fixture
def unclaimed(root: Path) -> Path:
    """Give the same machine, where no file sets vm.min_free_kbytes."""
    (root / "etc/sysctl.d/90-db.conf").unlink()
    return root


@pytest.fixture
def router(tmp_path: Path) -> Path:
    """Give a small machine in a folder, where nothing else is to be advised."""
    root = Path(shutil.copytree(DATA / "machines" / "router-64m", tmp_path / "root"))
    write_config(root, "[service]\npoll_min_seconds = 30\n")  # it is near its marks: every 2 s would take long
    return root


@pytest.fixture
def work(tmp_path: Path) -> Path:
    folder = tmp_path / "w"
    folder.mkdir()
    return folder


def write_config(root: Path, text: str) -> None:
    path = root / "etc" / "pagewarden" / "pagewarden.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


class Stalls:
    """Raises the counters of a machine's vmstat as time passes: so many stalls a second, in runs of kswapd."""

    def __init__(self, root: Path, a_second: float, until: float = float("inf")) -> None:
        self._path = root / "proc" / "vmstat"
        self.a_second = a_second
        self._until = until
        self(0.0)

    def __call__(self, seconds: float) -> None:
        count = int(min(seconds, self._until) * self.a_second)
        values = {"allocstall_normal": 100 + count, "pgsteal_direct": 7 + 40 * count, "pageoutrun": 5 + count // 3}
        self._path.write_text("".join(f"{name} {value}\n" for name, value in values.items()))


def test_stalls_lead_to_a_recommendation(router: Path, work: Path) -> None:
    entries = cause_entries(run(router, work, 600, Stalls(router, 5.0)), "direct-reclaim-stalls")
    felt, advised = entries
    assert felt["PAGEWARDEN_ID"] == "direct-reclaim-stalls"
    assert advised["PAGEWARDEN_KEY"] == "vm.watermark_scale_factor"
    assert advised["PAGEWARDEN_CURRENT"] == "10"
    assert int(advised["PAGEWARDEN_RECOMMENDED"]) > 10
    assert "a second) a task had to reclaim memory by itself" in advised["MESSAGE"]


def test_no_stalls_and_no_recommendation(router: Path, work: Path) -> None:
    assert cause_entries(run(router, work, 600, Stalls(router, 0.01)), "direct-reclaim-stalls") == []


def test_stalls_that_are_over_end(router: Path, work: Path) -> None:
    entries = cause_entries(run(router, work, 2400, Stalls(router, 5.0, until=400)), "direct-reclaim-stalls")
    assert sorted(entry["PAGEWARDEN_STATE"] for entry in entries) == ["appeared", "appeared", "ended", "ended"]


def plan_at(work: Path) -> dict[str, Any] | None:
    try:
        return dict(json.loads((work / "plan.json").read_text()))
    except FileNotFoundError:
        return None


@pytest.mark.thorough
def test_a_plan_is_left_renewed_and_withdrawn(unclaimed: Path, work: Path) -> None:
    """vm.min_free_kbytes is below the kernel's own choice: after a day that is enough for the policy."""
    made: dict[str, float] = {}

    def each_turn(seconds: float) -> None:
        plan = plan_at(work)
        if plan is not None:
            made.setdefault(plan["created_at"], seconds)
            assert [(change["key"], change["current"], change["value"]) for change in plan["changes"]] == [
                ("vm.min_free_kbytes", "8192", "16208")
            ]

    entries = run(unclaimed, work, 27 * HOUR + 300, each_turn)
    times = sorted(made.values())
    assert len(cause_entries(entries, "below-kernel-default")) == 1
    assert 24 * HOUR <= times[0] < 25 * HOUR + 120, times
    assert len(times) == 4, "offered anew every hour, not more often: each time costs what the adviser costs"
    assert all(HOUR <= later - earlier < HOUR + 120 for earlier, later in pairwise(times)), times
    assert plan_at(work) is None, "a service that has ended stands for no plan"


def test_no_plan_for_what_apply_would_refuse(root: Path, work: Path) -> None:
    """Somebody's file sets the value: that is for them to change, and would be refused every hour."""
    write_config(root, "[apply]\nevidence_age_hours = 1\n")
    seen: list[float] = []

    def each_turn(seconds: float) -> None:
        if plan_at(work) is not None:
            seen.append(seconds)

    entries = run(root, work, 8 * HOUR, each_turn)
    assert seen == []
    assert len(cause_entries(entries, "below-kernel-default")) == 1


@pytest.mark.thorough
def test_no_plan_while_a_change_is_on_probation(unclaimed: Path, work: Path) -> None:
    root = unclaimed
    write_config(root, "[apply]\nevidence_age_hours = 1\n")
    begun_at, seen = 7 * HOUR, []

    def each_turn(seconds: float) -> None:
        state = json.loads((work / "state.json").read_text()) if (work / "state.json").exists() else {}
        seen.append((seconds, plan_at(work) is not None, state.get("plan"), state.get("probation")))
        paths = Paths(root)
        if seconds >= begun_at and not paths.probation.exists():
            paths.state.mkdir(parents=True)
            store_probation(paths, on_probation())

    run(root, work, begun_at + 900, each_turn)
    before = [plan for seconds, plan, _, _ in seen if 6 * HOUR + 60 < seconds < begun_at]
    assert before
    assert all(before)
    after = [entry for entry in seen if entry[0] > begun_at + 180]
    assert after
    assert not any(plan for _, plan, _, _ in after)
    assert after[-1][2] == []
    (watched,) = after[-1][3]
    assert {**watched, "until_seconds": 0} == {
        "key": "vm.watermark_scale_factor", "value": "20", "old_value": "10", "until_seconds": 0,
    }  # fmt: skip
    assert 0 < watched["until_seconds"] - START - after[-1][0] <= 900


def test_a_damaged_record_is_told_and_the_advice_goes_on(root: Path, work: Path) -> None:
    paths = Paths(root)
    paths.state.mkdir(parents=True)
    paths.trials.write_text("{")
    entries = run(root, work, 300, lambda _: None)
    assert [entry["MESSAGE"] for entry in entries if entry.get("PAGEWARDEN_FUNCTION") == "plan"]
    assert cause_entries(entries, "below-kernel-default")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a file system of one MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", folder]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("no small disk: needs root that may mount")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk_is_told_and_the_rest_goes_on(router: Path, small_disk: Path) -> None:
    filler = small_disk / "filler"
    stalls = Stalls(router, 0.0)

    def each_turn(seconds: float) -> None:
        if 300 <= seconds < 900 and not filler.exists():
            with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
                while file.write(bytes(4096)):
                    pass
            stalls.a_second = 5.0
        if seconds >= 900:
            filler.unlink(missing_ok=True)
        stalls(seconds)

    entries = run(router, small_disk, 1500, each_turn)
    told = [entry["MESSAGE"] for entry in entries if entry.get("PAGEWARDEN_FUNCTION") in ("history", "state file")]
    assert len([line for line in told if line.startswith("history does not work")]) == 1, told
    assert len([line for line in told if line.startswith("state file does not work")]) == 1, told
    assert {"history works again", "state file works again"} <= set(told)
    assert len(cause_entries(entries, "direct-reclaim-stalls")) == 2, "stalls while the disk was full"
    with open_reader(str(small_disk / "history.db")) as reader:
        kept = [sample.at_seconds - START for sample in reader.samples(0)]
        causes = {event.cause for event in reader.events(0)}
    assert max(kept) > 1400
    assert "direct-reclaim-stalls" in causes, "what waited for room is there"


def test_the_wall_clock_jumps(root: Path, work: Path) -> None:
    def each_turn(seconds: float) -> None:
        if seconds >= 600 and not jumped:
            jumped.append(seconds)
            clock.jump(90_000.0)

    jumped: list[float] = []
    clock = SeenClock(each_turn)
    entries = run(root, work, 1200, each_turn, clock)
    told = [entry["MESSAGE"] for entry in entries if "wall clock" in entry["MESSAGE"]]
    assert len(told) == 2, told
    assert "it jumped by +90000 s" in told[0]
    assert told[1] == "wall clock works again"
    polls = json.loads((work / "state.json").read_text())["poll_count"]
    assert polls >= 20, "time to the next reading is not the wall clock's"


def test_a_poll_interval_above_the_watchdog_is_kept_and_the_watchdog_fed(root: Path, work: Path) -> None:
    write_config(root, "[service]\npoll_max_seconds = 600\n")
    turns: list[float] = []
    run(root, work, 3600, turns.append, notifier=Notifier({"WATCHDOG_USEC": "180000000"}))
    assert max(later - earlier for earlier, later in pairwise(turns)) <= 90
    assert json.loads((work / "state.json").read_text())["poll_count"] < 12


def test_the_machine_sleeps(root: Path, work: Path) -> None:
    """Suspended for a night: no clock jumped, and nothing is told."""

    def each_turn(seconds: float) -> None:
        if seconds >= 600 and not slept:
            slept.append(seconds)
            clock.sleep(8 * 3600)

    slept: list[float] = []
    clock = SeenClock(each_turn)
    entries = run(root, work, 1200, each_turn, clock)
    assert slept
    assert not [entry["MESSAGE"] for entry in entries if "wall clock" in entry["MESSAGE"]]


def test_metrics_are_written_at_most_once_a_minute(root: Path, work: Path) -> None:
    target = work / "node" / "pagewarden.prom"
    target.parent.mkdir()
    write_config(root, f"[metrics]\ntextfile = '{target}'\n[service]\npoll_max_seconds = 15\n")
    written: dict[int, float] = {}

    def each_turn(seconds: float) -> None:
        if target.exists():
            written.setdefault(target.stat().st_mtime_ns, seconds)
            assert [path.name for path in target.parent.iterdir() if path.suffix == ".prom"] == ["pagewarden.prom"]

    run(root, work, 300, each_turn)
    assert 4 <= len(written) <= 6
    text = target.read_text()
    assert "pagewarden_service_running 1.0" in text
    assert 'pagewarden_recommendations{cause="below-kernel-default",confidence="high",key="vm.min_free_kbytes"' in text
    assert target.stat().st_mode & 0o777 == 0o644


def test_metrics_that_cannot_be_written_are_told_once(root: Path, work: Path) -> None:
    write_config(root, f"[metrics]\ntextfile = '{work / 'nosuch' / 'x.prom'}'\n")
    entries = run(root, work, 600, lambda _: None)
    told = [entry["MESSAGE"] for entry in entries if "metrics file" in entry["MESSAGE"]]
    assert len(told) == 1
    assert "x.prom: No such file or directory" in told[0]


def on_probation() -> Probation:
    reading = Reading("b", 100.0, Counts(stalls=1), {"vm.watermark_scale_factor": "20"})
    return Probation(
        changes=(Watched("vm.watermark_scale_factor", "10", "20"),),
        started_at="2023-11-14T22:13:20+00:00",
        boot_id="b",
        uptime_seconds=100.0,
        seconds=900.0,
        unattended=True,
        promised=None,
        baseline=Baseline(100.0, Counts(stalls=1), None, 100.0),
        last=reading,
        window=reading,
    )


def test_when_a_finding_appeared_stays_what_the_clock_said_then(root: Path, work: Path) -> None:
    """The kernel's log has that time as well: reports are looked for from there on."""
    stalls = Stalls(root, 0.0)

    def each_turn(seconds: float) -> None:
        if seconds >= 600 and not jumped:
            jumped.append(seconds)
            clock.jump(90_000.0)
        stalls.a_second = 5.0 if seconds >= 900 else 0.0  # another finding: all are written anew
        stalls(seconds)

    jumped: list[float] = []
    clock = SeenClock(each_turn)
    run(root, work, 1500, each_turn, clock)
    since = {
        finding["cause"]: finding["since_seconds"] - START
        for finding in json.loads((work / "state.json").read_text())["findings"]
    }
    assert 0 <= since["below-kernel-default"] < 120
    assert 90_900 <= since["direct-reclaim-stalls"] < 91_300
