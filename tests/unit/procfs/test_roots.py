import gzip
import io
import os
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from pagewarden.errors import ParseError, ReadError
from pagewarden.procfs import tar_root
from pagewarden.procfs.reader import decode_text, resolve_links
from pagewarden.procfs.roots import open_root

ZONEINFO = "Node 0, zone   Normal\n"

MakeRoot = Callable[[Mapping[str, str | bytes]], Path]


def tar_of(path: Path, members: list[tarfile.TarInfo | tuple[str, bytes]], mode: str = "w:gz") -> str:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                archive.addfile(member)
            else:
                info = tarfile.TarInfo(member[0])
                info.size = len(member[1])
                archive.addfile(info, io.BytesIO(member[1]))
    return str(path)


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = kind
    info.linkname = target
    return info


def test_folder_reads_and_lists(make_root: MakeRoot) -> None:
    folder = make_root({"proc/zoneinfo": ZONEINFO, "etc/sysctl.d/b.conf": "", "etc/sysctl.d/a.conf": ""})
    root = open_root(str(folder))
    assert not root.live
    assert root.read("proc/zoneinfo") == ZONEINFO.encode()
    assert root.names("etc/sysctl.d") == ("a.conf", "b.conf")
    assert root.names("no/such") == ()
    assert root.shown("proc/zoneinfo") == f"{folder}/proc/zoneinfo"


def test_live_root() -> None:
    for name in ("/", "//", "/proc/.."):
        assert open_root(name).live
    assert open_root("/").shown("proc/zoneinfo") == "/proc/zoneinfo"
    assert open_root("/").read("proc/version").startswith(b"Linux version ")


def test_missing_and_forbidden_are_told_apart(make_root: MakeRoot) -> None:
    folder = make_root({"proc/vmstat": "x 1\n", "proc/file/below": ""})
    root = open_root(str(folder))
    for path in ("proc/zoneinfo", "proc/vmstat/x"):
        with pytest.raises(ReadError) as caught:
            root.read(path)
        assert caught.value.missing
        assert str(caught.value) == f"{folder}/{path}: no such file"
    with pytest.raises(ReadError) as caught:
        root.read("proc/file")
    assert not caught.value.missing
    if os.geteuid() == 0:
        return  # root may read everything
    (folder / "proc/vmstat").chmod(0)
    with pytest.raises(ReadError) as caught:
        root.read("proc/vmstat")
    assert not caught.value.missing
    assert caught.value.reason == "permission denied"


def test_links_stay_in_the_folder(make_root: MakeRoot, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("outside")
    folder = make_root({"usr/lib/sysctl.d/a.conf": "a", "etc/sysctl.conf": "conf", "etc/sysctl.d/x": ""})
    links = {
        "lib": "usr/lib",
        "etc/sysctl.d/99-sysctl.conf": "../sysctl.conf",
        "etc/sysctl.d/absolute.conf": "/etc/sysctl.conf",
        "etc/sysctl.d/masked.conf": "/dev/null",
        "etc/sysctl.d/relative-mask.conf": "../../dev/null",
        "up": "../secret",
        "far": "/" + str(tmp_path / "secret"),
        "round": "about",
        "about": "round",
    }
    for name, target in links.items():
        (folder / name).symlink_to(target)
    root = open_root(str(folder))
    assert root.read("lib/sysctl.d/a.conf") == b"a"
    assert root.read("etc/sysctl.d/absolute.conf") == b"conf"
    assert root.link_target("etc/sysctl.d/99-sysctl.conf") == "/etc/sysctl.conf"
    assert root.link_target("etc/sysctl.d/masked.conf") == "/dev/null"
    assert root.link_target("etc/sysctl.d/relative-mask.conf") == "/dev/null"
    assert root.link_target("etc/sysctl.d/x") is None
    for outside in ("up", "far", "etc/../../secret"):
        with pytest.raises(ReadError) as caught:
            root.read(outside)
        assert caught.value.missing
    with pytest.raises(ReadError, match="links"):
        root.read("round")


def test_pipes_and_devices_do_not_hang(make_root: MakeRoot) -> None:
    folder = make_root({"proc/vmstat": ""})
    os.mkfifo(folder / "proc/zoneinfo")
    with pytest.raises(ReadError, match="not a regular file"):
        open_root(str(folder)).read("proc/zoneinfo")


def test_text_must_be_text() -> None:
    assert decode_text("quiet naïve\n".encode(), "f") == "quiet naïve\n"
    assert decode_text("quiet\n".encode("utf-8-sig"), "f") == "quiet\n"
    with pytest.raises(ParseError) as caught:
        decode_text(b"a 1\nb \xff2\n", "dir/vmstat")
    assert (caught.value.path, caught.value.line_number) == ("dir/vmstat", 2)


def test_resolve_links() -> None:
    links = {"lib": "usr/lib", "usr/lib/x": "/etc/y", "a": "b/../c"}
    assert resolve_links("lib/x", links.get) == "etc/y"
    assert resolve_links("a/./d", links.get) == "c/d"
    assert resolve_links("../../x", links.get) == "x"


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz", "w:bz2"])
@pytest.mark.parametrize("top", ["", "./", "capture/", "./sosreport-host-2024/"])
def test_archive_forms(tmp_path: Path, mode: str, top: str) -> None:
    path = tmp_path / "capture.tar"
    members: list[tarfile.TarInfo | tuple[str, bytes]] = [
        special(top or "proc", tarfile.DIRTYPE),
        (f"{top}proc/zoneinfo", ZONEINFO.encode()),
        (f"{top}proc/sys/vm/min_free_kbytes", b"67584\n"),
        (f"{top}var/log/messages", b"not wanted"),
        special(f"{top}lib", tarfile.SYMTYPE, "usr/lib"),
        (f"{top}usr/lib/sysctl.d/50.conf", b"vm.swappiness = 1\n"),
        special(f"{top}etc/sysctl.d/50.conf", tarfile.SYMTYPE, "/dev/null"),
        special(f"{top}etc/sysctl.d/60.conf", tarfile.LNKTYPE, f"{top}usr/lib/sysctl.d/50.conf"),
    ]
    root = open_root(tar_of(path, members, mode))
    assert not root.live
    assert root.read("proc/zoneinfo") == ZONEINFO.encode()
    assert root.names("proc/sys/vm") == ("min_free_kbytes",)
    assert root.names("etc/sysctl.d") == ("50.conf", "60.conf")
    assert root.names("lib/sysctl.d") == ("50.conf",)
    assert root.link_target("etc/sysctl.d/50.conf") == "/dev/null"
    assert root.read("etc/sysctl.d/60.conf") == b"vm.swappiness = 1\n"
    assert root.shown("proc/zoneinfo") == f"{path}:proc/zoneinfo"
    with pytest.raises(ReadError) as caught:
        root.read("var/log/messages")
    assert caught.value.missing
    assert root.passed_over == (f"{path}:var/log/messages",)


@pytest.mark.parametrize(
    ("member", "told"),
    [
        (("../proc/zoneinfo", b""), "leads out"),
        (("proc/../../zoneinfo", b""), "leads out"),
        (("/proc/zoneinfo", b""), "leads out"),
        (special("proc/zoneinfo", tarfile.SYMTYPE, "/etc/shadow"), "leads out"),
        (special("proc/zoneinfo", tarfile.SYMTYPE, "../../etc/shadow"), "leads out"),
        (special("proc/zoneinfo", tarfile.LNKTYPE, "/etc/shadow"), "leads out"),
        (special("proc/zoneinfo", tarfile.LNKTYPE, "../etc/shadow"), "leads out"),
        (special("proc/zoneinfo", tarfile.CHRTYPE), "device"),
        (special("dev/sda", tarfile.BLKTYPE), "device"),
        (special("proc/pipe", tarfile.FIFOTYPE), "device"),
    ],
)
def test_archive_that_leads_out_is_refused(
    tmp_path: Path, member: tarfile.TarInfo | tuple[str, bytes], told: str
) -> None:
    path = tar_of(tmp_path / "evil.tar.gz", [("proc/vmstat", b"x 1\n"), member])
    with pytest.raises(ReadError) as caught:
        open_root(path)
    assert str(caught.value).startswith(f"{path}: refused: ")
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_absurd_sizes_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tar_root, "MAX_FILE_BYTES", 1000)
    monkeypatch.setattr(tar_root, "_MAX_KEPT_BYTES", 1500)
    one = tar_of(tmp_path / "one.tar", [("proc/zoneinfo", b"x" * 1001)], "w")
    both = tar_of(tmp_path / "both.tar", [("proc/zoneinfo", b"x" * 900), ("proc/vmstat", b"x" * 900)], "w")
    other = tar_of(tmp_path / "other.tar", [("proc/zoneinfo", b"x"), ("var/log/messages", b"x" * 9000)], "w")
    for path in (one, both):
        with pytest.raises(ReadError, match="absurd size"):
            open_root(path)
    assert open_root(other).read("proc/zoneinfo") == b"x"
    monkeypatch.setattr(tar_root, "_MAX_STREAM_BYTES", 5000)
    with pytest.raises(ReadError, match="unpacked"):
        open_root(other)
    monkeypatch.undo()
    monkeypatch.setattr(tar_root, "_MAX_MEMBERS", 1)
    with pytest.raises(ReadError, match="members"):
        open_root(both)


def test_a_declared_size_is_not_believed(tmp_path: Path) -> None:
    huge = tarfile.TarInfo("proc/zoneinfo")
    huge.size = 1 << 40
    (tmp_path / "huge.tar").write_bytes(huge.tobuf(tarfile.GNU_FORMAT) + b"x" * 1024)
    with pytest.raises(ReadError, match="absurd size"):
        open_root(str(tmp_path / "huge.tar"))
    huge.type = tarfile.XHDTYPE
    (tmp_path / "header.tar").write_bytes(huge.tobuf(tarfile.GNU_FORMAT) + b"x" * 1024)
    with pytest.raises(ReadError, match=r"refused|expected a folder"):  # Python 3.13 takes it for no archive
        open_root(str(tmp_path / "header.tar"))


def cut_in_half(path: Path) -> bytes:
    whole = path.read_bytes()
    return whole[: len(whole) // 2]


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda _: b"", id="empty"),
        pytest.param(lambda _: b"just text\n" * 200, id="text"),
        pytest.param(lambda _: b"\x1f\x8b" + b"\0" * 300, id="gzip head only"),
        pytest.param(lambda _: gzip.compress(b"no archive" * 100), id="gzip of text"),
        pytest.param(lambda _: b"\xfd7zXZ\0" + b"\1" * 300, id="xz head only"),
        pytest.param(lambda _: b"(\xb5/\xfd" + b"\1" * 300, id="zstd"),
        pytest.param(cut_in_half, id="cut"),
    ],
)
def test_no_archive_or_a_damaged_one(tmp_path: Path, make: Callable[[Path], bytes]) -> None:
    good = tmp_path / "good.tar.gz"
    noise = b"".join(os.urandom(16) for _ in range(2000))
    tar_of(good, [("proc/vmstat", b"a 1\n"), ("proc/meminfo", noise), ("proc/zoneinfo", noise)])
    path = tmp_path / "bad"
    path.write_bytes(make(good))
    with pytest.raises(ReadError) as caught:
        open_root(str(path))
    assert str(caught.value).startswith(f"{path}: ")
    assert "archive" in caught.value.reason
    assert "\n" not in str(caught.value)


def test_root_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ReadError) as caught:
        open_root(str(tmp_path / "none"))
    assert caught.value.missing
    with pytest.raises(ReadError, match="capture archive"):
        open_root("/dev/null")
