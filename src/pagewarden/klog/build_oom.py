"""What an OOM report says beside the memory dump, in the making."""

from dataclasses import dataclass, field, replace

from pagewarden.klog import decode_oom
from pagewarden.klog.types import Memcg, MemcgCounter, SlabFailure, Task, Victim

MAX_VICTIMS = 32
MAX_SLABS = 16
LARGEST_TASKS = 5
_MAX_COUNTERS = 8


@dataclass(slots=True)
class OomBuilder:
    """Takes the lines about kills, control groups and processes, whole (wrapped ones joined).

    :ivar memcg_kill: what the kill line says: for a control group's limit or not; None where none says.
    :ivar panicked: the kernel panicked instead of killing.
    :ivar unkillable: no process was there that may be killed.
    """

    victims: list[Victim] = field(default_factory=list)
    summary: decode_oom.KillSummary | None = None
    memcg_kill: bool | None = None
    panicked: bool = False
    unkillable: bool = False
    task_count: int = 0
    _chosen: int | None = None
    _limit: tuple[str | None, str | None] = (None, None)
    _counters: list[MemcgCounter] = field(default_factory=list)
    _tasks: list[Task] = field(default_factory=list)

    @property
    def largest_tasks(self) -> tuple[Task, ...]:
        """The few processes with the most memory, largest first."""
        return tuple(sorted(self._tasks, key=lambda task: -task.rss_pages)[:LARGEST_TASKS])

    def killed_pids(self) -> set[int]:
        """The processes named as killed so far."""
        pids = {victim.pid for victim in self.victims}
        return pids | {self.summary.pid} if self.summary is not None and self.summary.pid is not None else pids

    def continues(self, kill: decode_oom.Kill) -> bool:
        """Whether the line names who was killed in place of the process that the line before it chose."""
        if self._chosen is None or kill.victim is None or not kill.killed or kill.memcg is not None:
            return False
        return all(victim.pid != kill.victim.pid for victim in self.victims)

    def awaits(self, pid: int) -> bool:
        """Whether this process was chosen, and the line that says who was killed is still to come."""
        return self._chosen == pid

    def names_memcg(self) -> bool | None:
        """Whether it was a control group's limit, as far as the lines here say; None where they do not."""
        if self.summary is not None:
            return self.summary.constraint == "CONSTRAINT_MEMCG"
        if self.memcg_kill is not None:
            return self.memcg_kill
        return True if self._limit != (None, None) or self._counters else None

    def memcg(self) -> Memcg | None:
        """The control groups, where any is named."""
        task, limited = self._limit
        if self.summary is not None:
            task, limited = self.summary.task_memcg or task, self.summary.oom_memcg or limited
        if task is None and limited is None and not self._counters:
            return None
        return Memcg(limited, task, tuple(self._counters))

    def add_kill(self, text: str) -> None:
        """Take a line that names a process killed, or says why none was."""
        kill = decode_oom.parse_kill(text)
        if kill is None:
            return
        if kill.memcg is not None and self.memcg_kill is None:
            self.memcg_kill = kill.memcg
        self.panicked = self.panicked or kill.panicked
        if kill.victim is not None:
            if self.continues(kill):
                self._drop_chosen(kill.victim.pid)
            self._add_victim(kill.victim)
            if kill.chosen or kill.killed:
                self._chosen = kill.victim.pid if kill.chosen else None
        elif not kill.panicked:
            self.unkillable = True

    def _drop_chosen(self, killed: int) -> None:
        """A child was killed in place of the process that had been chosen.

        Kernel: mm/oom_kill.c: oom_kill_process(), until 4.20
        """
        self.victims = [victim for victim in self.victims if victim.pid == killed or victim.pid != self._chosen]

    def _add_victim(self, victim: Victim) -> None:
        """Two lines may tell of one kill (`Kill process`, then `Killed process`): join what each says."""
        for index, known in enumerate(self.victims):
            if known.pid == victim.pid:
                news = {name: getattr(victim, name) for name in Victim.__slots__ if getattr(known, name) is None}
                self.victims[index] = replace(known, **news)
                return
        if len(self.victims) < MAX_VICTIMS:
            self.victims.append(victim)

    def add_summary(self, text: str) -> None:
        """Take the `oom-kill:` line."""
        summary = decode_oom.parse_kill_summary(text)
        if summary is not None and self.summary is None:
            self.summary = summary

    def add_limit(self, text: str) -> None:
        """Take a line that names a control group."""
        parsed = decode_oom.parse_limit(text)
        if parsed is not None:
            self._limit = (self._limit[0] or parsed[0], self._limit[1] or parsed[1])

    def add_counter(self, text: str) -> None:
        """Take `memory: usage ...` or one of its kin."""
        counter = decode_oom.parse_memcg_counter(text)
        if counter is not None and len(self._counters) < _MAX_COUNTERS:
            self._counters.append(counter)

    def add_task(self, text: str) -> None:
        """Take a row of the process table."""
        task = decode_oom.parse_task(text)
        if task is None:
            return
        self.task_count += 1
        self._tasks.append(task)
        if len(self._tasks) > 4 * LARGEST_TASKS:
            self._tasks = list(self.largest_tasks)


@dataclass(slots=True)
class SlabBuilder:
    """Counts the SLUB blocks around a report; equal ones are kept once."""

    _counts: dict[SlabFailure, int] = field(default_factory=dict)
    _open: SlabFailure | None = None

    def add_failure(self, text: str) -> None:
        """Take the first line of a block."""
        self._store()
        self._open = decode_oom.parse_slab_failure(text)

    def add_cache(self, text: str) -> None:
        """Take the line of a block that names the cache."""
        cache = decode_oom.parse_slab_cache(text)
        if cache is None:
            return
        known = self._open or cache
        self._open = replace(cache, gfp_mask=known.gfp_mask, gfp_names=known.gfp_names, node=known.node)
        self._store()

    def failures(self) -> tuple[SlabFailure, ...]:
        """The blocks seen, each kind with its count."""
        self._store()
        return tuple(replace(failure, count=count) for failure, count in self._counts.items())

    def _store(self) -> None:
        failure, self._open = self._open, None
        if failure is not None and (failure in self._counts or len(self._counts) < MAX_SLABS):
            self._counts[failure] = self._counts.get(failure, 0) + 1
