"""Every setting, declared once: type, default, unit, bounds and meaning.

From these dataclasses come the validation of the files, the commented file that is shipped, the documentation, what
`pagewarden config` prints, and the values the service holds. Standard library only: the service keeps this loaded.
"""

from dataclasses import dataclass, field, fields
from typing import Any

from pagewarden.errors import ExitStatus, PagewardenError

WINDOW = r"(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)(?:[,-](?:Mon|Tue|Wed|Thu|Fri|Sat|Sun))* )?" + (
    r"(?:[01]\d|2[0-3]):[0-5]\d-(?:(?:[01]\d|2[0-3]):[0-5]\d|24:00)"
)


DECLINABLE = (
    *("vm.min_free_kbytes", "vm.watermark_scale_factor", "vm.lowmem_reserve_ratio", "vm.zone_reclaim_mode"),
    *("vm.watermark_boost_factor", "vm.extra_free_kbytes", "vm.min_unmapped_ratio", "vm.vfs_cache_pressure"),
    *("vm.compaction_proactiveness", "transparent_hugepage"),
)
"""Settings that a recommendation may be about."""
ACTIONS = (
    *("action:rewrite", "action:driver-ring", "action:mtu", "action:kernel-upgrade", "action:compact-memory"),
    "action:reduce-load",
)
"""What is recommended beside settings."""
CAUSES = (
    *("below-kernel-default", "too-high", "stranded", "squeezed", "stale-watermarks", "boost-hidden"),
    *("direct-reclaim-stalls", "fragmentation-rising", "zone-reclaim-harm", "zone-reclaim-pointless"),
    *("reclaimable-slab-heavy", "huge-page-reserve-large", "log-mismatch", "evidence-outdated", "model-misfit"),
    *("foreign-setting", "low-mark-near", "remote-allocations", "atomic-reserve-exhausted", "fragmented"),
    *("lowmem-reserve", "zone-restricted", "node-restricted", "reserved-for-others", "memory-exhausted"),
    *("reclaim-too-slow", "request-too-large", "memcg-limit", "address-space", "recovered", "incomplete"),
)
"""Why something is recommended; the tests hold these beside what the adviser knows."""
_DECLINED = (
    f"(?:{'|'.join(DECLINABLE)})(?:/(?:{'|'.join(CAUSES)})(?:/[a-z0-9,]{{1,80}})?)?"
    f"|(?:{'|'.join(ACTIONS)})(?:/(?:{'|'.join(CAUSES)}))?"
).replace(".", r"\.")


class ConfigError(PagewardenError):
    """The configuration is wrong: what, in which file and line, what was expected."""

    exit_status = ExitStatus.BAD_CONFIG


@dataclass(frozen=True, slots=True)
class Rule:
    """What a setting may be.

    :ivar meaning: what it does, for people.
    :ivar unit: "seconds", "percent", ...; "" where it has none.
    :ivar low: smallest value allowed; `high` the largest.
    :ivar choices: the words allowed, of each entry where the setting is a list.
    :ivar pattern: what a text must match as a whole, of each entry where it is a list; `form` says it in words.
    """

    meaning: str
    unit: str = ""
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    pattern: str = ""
    form: str = ""


def _setting(default: Any, meaning: str, **rule: Any) -> Any:
    return field(default=default, metadata={"rule": Rule(meaning, **rule)})


@dataclass(frozen=True, slots=True)
class Service:
    """The service itself."""

    poll_min_seconds: int = _setting(
        2, "Shortest time between two readings: how often the machine is read while a zone is near its low mark.",
        unit="seconds", low=1, high=60,
    )  # fmt: skip
    poll_max_seconds: int = _setting(
        60, "Longest time between two readings: how often the machine is read while every zone is far from its marks.",
        unit="seconds", low=5, high=3600,
    )  # fmt: skip
    daily_summary: bool = _setting(
        True, "Write one line a day to the journal even when nothing has changed.",
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Advise:
    """What is recommended."""

    workload: str = _setting(
        "general", "What the machine is for, which it cannot know itself.",
        choices=("general", "database", "fileserver", "latency", "numa-partitioned"),
    )  # fmt: skip
    burst_margin: float = _setting(
        2.0, "How many times the largest burst seen the reserve for callers that cannot wait should hold.",
        low=1.5, high=4.0,
    )  # fmt: skip
    evidence_days: int = _setting(
        30, "How long a failure or a stall counts as evidence.", unit="days", low=1, high=365,
    )  # fmt: skip
    declined: tuple[str, ...] = _setting(
        (), "Recommendations that are not wanted: a setting, a setting and a cause, or one proposal with its value; "
        "'action:WORD' or 'action:WORD/CAUSE' for what is no setting. 'pagewarden advise' prints the names.",
        pattern=_DECLINED,
        form="names such as 'vm.zone_reclaim_mode' or 'vm.min_free_kbytes/too-high/131072'",
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Apply:
    """What may be changed without a person looking at it. Nothing is, until pagewarden-apply.path is enabled."""

    keys: tuple[str, ...] = _setting(
        ("vm.min_free_kbytes", "vm.watermark_scale_factor"), "The only settings that may be changed.",
        choices=("vm.min_free_kbytes", "vm.watermark_scale_factor", "vm.lowmem_reserve_ratio", "vm.zone_reclaim_mode"),
    )  # fmt: skip
    max_risk: str = _setting(
        "low", "The highest risk that a change may have.", choices=("low", "medium", "high"),
    )  # fmt: skip
    min_confidence: str = _setting(
        "high", "The lowest confidence that a change must have.", choices=("low", "medium", "high"),
    )  # fmt: skip
    evidence_age_hours: int = _setting(
        24, "How long the evidence must have stood.", unit="hours", low=1, high=720,
    )  # fmt: skip
    changes_per_day: int = _setting(
        1, "How many changes in 24 hours; 0 allows none.", low=0, high=10,
    )  # fmt: skip
    boot_grace_minutes: int = _setting(
        60, "No change so soon after boot.", unit="minutes", low=5, high=1440,
    )  # fmt: skip
    max_pressure_percent: float = _setting(
        1.0, "No change while more of the last minute than this was lost to memory pressure (PSI some).",
        unit="percent", low=0.0, high=20.0,
    )  # fmt: skip
    windows: tuple[str, ...] = _setting(
        (), "When changes may be made, by the machine's own clock; empty: at any time. The service looks once an hour, "
        "so that a shorter window may be missed.",
        pattern=WINDOW, form="times such as '02:00-05:00' or 'Sat-Sun 01:00-06:30'",
    )  # fmt: skip
    max_held_back_percent: float = _setting(
        5.0, "The share of memory that the kernel may withhold from ordinary use after a change.",
        unit="percent", low=0.1, high=20.0,
    )  # fmt: skip
    probation_minutes: int = _setting(
        15, "How long a change is watched, and undone where it hurts or does not help.",
        unit="minutes", low=5, high=1440,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class HistorySettings:
    """What is remembered, in /var/lib/pagewarden/history/history.db."""

    max_mb: int = _setting(
        32, "Largest size of the file; the oldest goes first.", unit="MiB", low=4, high=4096,
    )  # fmt: skip
    max_days: int = _setting(
        90, "How long anything is remembered. Readings are thinned after two hours, a day and a week.",
        unit="days", low=2, high=3650,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Metrics:
    """Numbers for monitoring; `pagewarden metrics` prints them without any setting."""

    textfile: str = _setting(
        "", "File for node_exporter's textfile collector, replaced at most once a minute; empty: none is written.",
        pattern=r"(?:/[^/\x00-\x1f\x7f]+)+\.prom|", form="an absolute path that ends in .prom, or ''",
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Config:
    """The whole configuration; as it stands here, the defaults."""

    service: Service = field(default_factory=Service)
    advise: Advise = field(default_factory=Advise)
    apply: Apply = field(default_factory=Apply)
    history: HistorySettings = field(default_factory=HistorySettings)
    metrics: Metrics = field(default_factory=Metrics)


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting as the tables and the documentation show it."""

    section: str
    name: str
    type: Any
    default: Any
    rule: Rule

    @property
    def key(self) -> str:
        """The name with its section: "service.poll_min_seconds"."""
        return f"{self.section}.{self.name}"

    @property
    def is_list(self) -> bool:
        """Whether it has any number of values."""
        return isinstance(self.default, tuple)

    @property
    def expected(self) -> str:
        """What it may be, in words: "a whole number from 1 to 60 (seconds)"."""
        rule = self.rule
        if rule.choices:
            words = ", ".join(f'"{choice}"' for choice in rule.choices)
            return f"a list of {words}" if self.is_list else f"one of {words}"
        if rule.form:
            return f"a list of {rule.form}" if self.is_list else rule.form
        if self.type is bool:
            return "true or false"
        unit = f" ({rule.unit})" if rule.unit else ""
        return f"a {'whole number' if self.type is int else 'number'} from {rule.low} to {rule.high}{unit}"


@dataclass(frozen=True, slots=True)
class Entry:
    """One setting with the value in force and where it came from.

    :ivar file: with line: None where it is the default.
    """

    setting: Setting
    value: Any
    file: str | None
    line: int | None

    @property
    def place(self) -> str:
        """Where it came from: "/etc/pagewarden/pagewarden.toml:12", or "default"."""
        return "default" if self.file is None else f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class Merged:
    """The whole configuration with its origins.

    :ivar files: those that were read, in the order in which they were applied.
    """

    entries: tuple[Entry, ...]
    files: tuple[str, ...]

    @property
    def config(self) -> Config:
        """The values alone."""
        return config_of({(entry.setting.section, entry.setting.name): entry.value for entry in self.entries})

    def entry(self, key: str) -> Entry:
        """Give one setting by its name with its section."""
        return next(entry for entry in self.entries if entry.setting.key == key)


SECTIONS: dict[str, Any] = {section.name: section.default_factory for section in fields(Config)}
"""Name of each section -> its dataclass."""


def all_settings() -> tuple[Setting, ...]:
    """Every setting, in the order in which it is declared."""
    return tuple(
        Setting(name, entry.name, entry.type, entry.default, entry.metadata["rule"])
        for name, section in SECTIONS.items()
        for entry in fields(section)
    )


def config_of(values: dict[tuple[str, str], Any]) -> Config:
    """Build the configuration from values by section and name; what is not given has its default."""
    parts: dict[str, dict[str, Any]] = {name: {} for name in SECTIONS}
    for (section, name), value in values.items():
        parts[section][name] = tuple(value) if isinstance(value, list) else value
    return Config(**{name: section(**parts[name]) for name, section in SECTIONS.items()})
