"""A file that is read again and again, and the network interfaces."""

from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from tests.conftest import MakeRoot

from pagewarden.procfs import reader
from pagewarden.procfs.network import read_links
from pagewarden.procfs.reader import FolderRoot, HeldFile, ReadError
from pagewarden.procfs.types import Link


@pytest.fixture
def live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[HeldFile, Path]:
    """Give a held file of the running machine and where it really is."""
    root = FolderRoot("/")
    assert root.live
    path = tmp_path / "stat"
    path.write_text("one\n")
    return HeldFile(root, str(path).lstrip("/")), path


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_it_stays_open_and_gives_what_is_there_now(live: tuple[HeldFile, Path]) -> None:
    held, path = live
    before = descriptors()
    assert held.read() == b"one\n"
    assert descriptors() == before + 1
    for text in ("two, and longer\n", "3\n", "", "four" * 100_000):
        path.write_text(text)
        assert held.read() == text.encode()
    assert descriptors() == before + 1
    held.close()
    held.close()
    assert descriptors() == before


def test_proc_is_read_from_its_start_each_time() -> None:
    held = HeldFile(FolderRoot("/"), "proc/self/comm")
    assert held.read() == held.read() != b""
    held.close()


def test_a_failed_reading_gives_the_descriptor_back_and_the_next_opens_anew(live: tuple[HeldFile, Path]) -> None:
    held, path = live
    before = descriptors()
    path.unlink()
    with pytest.raises(ReadError, match="no such file"):
        held.read()
    path.write_text("again\n")
    assert held.read() == b"again\n"
    path.write_bytes(b"x" * (1 << 20))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reader, "MAX_FILE_BYTES", 1000)
        with pytest.raises(ReadError, match="larger than"):
            held.read()
    assert descriptors() == before
    path.write_text("and again\n")
    assert held.read() == b"and again\n"
    held.close()


def test_in_a_folder_each_reading_opens_anew(make_root: MakeRoot) -> None:
    root = FolderRoot(make_root({"proc/vmstat": "a 1\n"}))
    held = HeldFile(root, "proc/vmstat")
    before = descriptors()
    assert held.read() == b"a 1\n"
    replaced = make_root({"proc/new": "a 2\n"}) / "proc/new"
    replaced.rename(replaced.with_name("vmstat"))
    assert held.read() == b"a 2\n"
    assert descriptors() == before


def stats(*, isup: bool = True, speed: int = 0, mtu: int = 1500, flags: str = "up,broadcast") -> object:
    return SimpleNamespace(isup=isup, speed=speed, mtu=mtu, flags=flags)


def test_links_are_those_that_are_up(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {
        "lo": stats(mtu=65536, flags="up,loopback,running"),
        "eth1": stats(speed=10_000, mtu=9000),
        "eth0": stats(speed=0),
        "eth2": stats(isup=False, speed=1000),
    }
    monkeypatch.setattr(psutil, "net_if_stats", lambda: found)
    assert read_links() == (Link("eth0", None, 1500), Link("eth1", 10_000, 9000))


def test_links_that_cannot_be_asked_for_are_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> object:
        raise PermissionError(13, "no")

    monkeypatch.setattr(psutil, "net_if_stats", refuse)
    assert read_links() is None


def test_links_of_this_machine_hold_no_loopback() -> None:
    assert "lo" not in {link.name for link in read_links() or ()}
