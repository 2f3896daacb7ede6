"""Watching this machine."""

import time

import pytest

from pagewarden.cli import observe
from pagewarden.procfs.snapshot import read_snapshot


def test_watching_that_is_interrupted_tells_of_the_time_until_then(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Many seconds lie between two samples: the last one is of the moment of Ctrl-C, not of the sample before."""
    sleep = time.sleep

    def interrupted(seconds: float) -> None:
        assert seconds > 2
        sleep(2)
        raise KeyboardInterrupt

    first = read_snapshot("/", page_types=False)
    monkeypatch.setattr(time, "sleep", interrupted)
    last, observed = observe.watch("30m", first)
    assert "ended after 2 s of 1800; with what was seen" in capsys.readouterr().err
    assert last is not first
    assert observed.interval is not None
    assert observed.interval.unusable == ""
    assert not [note for note in observed.interval.notes if "stood still" in note]
    assert observed.interval.seconds == pytest.approx(2, abs=1)
