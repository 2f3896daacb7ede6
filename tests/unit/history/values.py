"""Values for the tests of the history."""

from pagewarden.history.types import Event, EventKind, Sample, ZoneSample

NOW = 1_750_000_000.0


def zone(free: int = 5000, name: str = "Normal", node: int = 0) -> ZoneSample:
    return ZoneSample(node, name, free, free, 1000, 1250, 1500, 100_000)


def sample(at: float, free: int = 5000, boot: str = "b1", stalls: int = 0) -> Sample:
    return Sample(at, boot, 4096, (zone(free),), {"allocstall": stalls, "oom_kill": 0}, 1000, 500)


def report(at: float, cause: str = "fragmented", subject: str = "alloc_skb") -> Event:
    return Event(EventKind.REPORT, at, at, "a failure", cause=cause, subject=subject, severity="warning")
