"""Thinning keeps the lowest free memory and what the counters gained; summing up sees the same before and after."""

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.history.values import NOW, sample

from pagewarden.history.read import open_reader
from pagewarden.history.store import History, Limits
from pagewarden.history.summary import overview
from pagewarden.history.thin import TIERS, thinned
from pagewarden.history.types import Batch, Sample

STEPS = st.lists(
    st.tuples(st.floats(0.0, 400.0), st.integers(0, 9000), st.integers(0, 5), st.sampled_from(["", "", "", "boot"])),
    min_size=1,
    max_size=60,
)


def samples_of(steps: list[tuple[float, int, int, str]]) -> list[Sample]:
    at, boot, stalls = NOW, 0, 0
    made = []
    for seconds, free, more, reboot in steps:
        at += seconds + (1.0 if reboot else 0.0)
        boot, stalls = (boot + 1, 0) if reboot else (boot, stalls)
        stalls += more
        made.append(sample(at, free, f"b{boot}", stalls))
    return made


def thin(samples: list[Sample], bucket_seconds: int) -> list[Sample]:
    rows = dict(enumerate(samples))
    result = dict(rows)
    for number, (removed, merged) in enumerate(thinned(rows.items(), bucket_seconds), start=len(rows)):
        for row in removed:
            del result[row]
        result[number] = merged
    return sorted(result.values(), key=lambda entry: entry.at_seconds)


def lowest(samples: list[Sample]) -> int:
    return min(zone.lowest_free_pages for entry in samples for zone in entry.zones)


def gained(samples: list[Sample]) -> int | None:
    return overview(samples, 0.0, NOW * 2, 1).total("allocstall")


@given(STEPS, st.sampled_from([bucket for _, bucket in TIERS]))
def test_what_matters_stays(steps: list[tuple[float, int, int, str]], bucket_seconds: int) -> None:
    samples = samples_of(steps)
    fewer = thin(samples, bucket_seconds)
    assert lowest(fewer) == lowest(samples)
    assert fewer[-1].at_seconds == samples[-1].at_seconds
    places = [(entry.at_seconds // bucket_seconds, entry.boot_id) for entry in fewer]
    assert len(places) == len(set(places)), "one a bucket and boot"
    assert set(places) == {(entry.at_seconds // bucket_seconds, entry.boot_id) for entry in samples}
    for entry in fewer:
        assert 0 <= entry.span_seconds <= bucket_seconds
    if fewer[0] == samples[0]:
        assert gained(fewer) == gained(samples)
    assert (gained(fewer) or 0) <= (gained(samples) or 0)


@given(STEPS)
def test_thinning_twice_is_thinning_once(steps: list[tuple[float, int, int, str]]) -> None:
    once = thin(samples_of(steps), 600)
    assert thin(once, 600) == once
    assert thin(thin(samples_of(steps), 60), 600) == once, "tier by tier is the same as at once"


def test_each_tier_divides_the_next() -> None:
    for (age, bucket), (next_age, next_bucket) in pairwise(TIERS):
        assert next_age > age
        assert next_bucket % bucket == 0


@pytest.mark.thorough
@pytest.mark.parametrize("days", [3])
def test_a_history_of_days_is_small_and_complete(days: int, tmp_path: Path) -> None:
    path = str(tmp_path / "history.db")
    history = History(path, Limits(), NOW)
    stalls, every, at = 0, [], NOW
    while at < NOW + days * 86_400:
        batch = []
        for _ in range(30):
            at += 20.0
            stalls += int(at) % 3 == 0
            batch.append(sample(at, 2000 + int(at) % 977, stalls=stalls))
        every += batch
        history.write(Batch(tuple(batch)), at)
    with open_reader(path) as reader:
        kept = list(reader.samples(0))
    history.close()
    # Two hours of every 20 s and at most one more until the hourly pruning; 22 h by the minute; the rest by 10 minutes.
    assert len(kept) <= 3 * 180 + 22 * 60 + 60 + (days - 1) * 144
    assert lowest(kept) == lowest(every)
    assert kept[-1].counters["allocstall"] == stalls
    assert [entry.at_seconds for entry in kept] == sorted(entry.at_seconds for entry in kept)
    gaps = [later.at_seconds - later.span_seconds - earlier.at_seconds for earlier, later in pairwise(kept)]
    assert max(gaps) <= 20.0, "no time is left out"


def test_slices_and_boots() -> None:
    samples = [
        sample(NOW + 10, 5000, "b1", 7),
        sample(NOW + 20, 900, "b1", 9),
        sample(NOW + 110, 1400, "b2", 4),
        sample(NOW + 120, 1450, "b2", 4),
    ]
    summed = overview(samples, NOW, NOW + 300, 3)
    assert [part.counts.get("allocstall") for part in summed.slices] == [2, 4, None]
    assert summed.total("allocstall") == 6
    assert summed.total("none") is None
    (zone,) = summed.zones
    assert [part and part.lowest_free_pages for part in zone.slices] == [900, 1400, None]
    assert (zone.lowest.free_pages, zone.lowest_seconds) == (900, NOW + 20)
    assert (summed.reading_count, summed.boot_count) == (4, 2)


def test_nothing_to_sum_up() -> None:
    summed = overview([], NOW, NOW + 1, 4)
    assert (summed.reading_count, summed.zones, summed.last_seconds) == (0, (), None)
    assert len(summed.slices) == 4


def test_a_clock_set_back_counts_nothing_twice() -> None:
    mixed = [sample(NOW + n, 5000, f"b{n % 2}", 1000 + n) for n in range(10)]
    summed = overview(mixed, NOW, NOW + 10, 1)
    assert summed.total("allocstall") == (1001 + 8) + 8
    assert len(thin(mixed, 600)) == 2
