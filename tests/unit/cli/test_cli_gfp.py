import json
from pathlib import Path

import pytest

from pagewarden.cli.gfp import parse_mask
from pagewarden.cli.main import main
from pagewarden.errors import UsageError


def shown(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(["gfp", *words]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    return captured.out


def document(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, object]:
    found = json.loads(shown(capsys, *words, "--format", "json"))
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize(
    ("text", "mask", "names"),
    [
        ("0x4020", 0x4020, None),
        ("0XD0", 0xD0, None),
        ("32", 32, None),
        ("0", 0, None),
        ("GFP_ATOMIC", None, ("GFP_ATOMIC",)),
        ("GFP_ATOMIC|__GFP_COMP|0x800", None, ("GFP_ATOMIC", "__GFP_COMP", "0x800")),
        ("(GFP_KERNEL | __GFP_ZERO)", None, ("GFP_KERNEL", "__GFP_ZERO")),
        ("mode:0x40cc0(GFP_KERNEL|__GFP_COMP),", 0x40CC0, ("GFP_KERNEL", "__GFP_COMP")),
        ("gfp_mask=0x0()", 0, ()),
        ("gfp=0xa20(GFP_ATOMIC)", 0xA20, ("GFP_ATOMIC",)),
    ],
)
def test_what_can_be_copied_from_a_log(text: str, mask: int | None, names: tuple[str, ...] | None) -> None:
    assert parse_mask(text) == (mask, names)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("c0d0", r"did you mean 0xc0d0\?"),
        ("", "expected a mask"),
        ("0x", "expected a mask"),
        ("-1", "expected a mask"),
        ("KERNEL", "expected a mask"),
        ("0x20 0x30", "expected a mask"),
        ("GFP_ATOMIC|", "expected a mask"),
        ("GFP_\u00c4", "expected a mask"),
        ("\x1b[31m", r"\\x1b\[31m"),
        ("0x100000000", "32 bits"),
        ("4294967296", "32 bits"),
        ("9" * 5000, "expected a mask"),
    ],
)
def test_anything_else_is_refused(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as refused:
        parse_mask(text)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 200


@pytest.mark.parametrize("command", [["gfp", "0x20"], ["explain", "x.log"]], ids=lambda command: command[0])
@pytest.mark.parametrize(
    "release", ["", "latest", "99", "6", "6.", "v6.1", "2.4.20", "-1.2", "6,1", "\x1b[31m\n", "9" * 500]
)
def test_what_is_no_release_is_refused_alike(
    capsys: pytest.CaptureFixture[str], command: list[str], release: str
) -> None:
    assert main([*command, f"--kernel={release}"]) == 2
    captured = capsys.readouterr()
    said = f"--kernel {release[:40]!r}: expected a release from 2.6 on, such as 6.1 or 2.6.32-358.el6"
    assert (captured.out, captured.err) == ("", f"pagewarden {command[0]}: {said}\n")


@pytest.mark.parametrize("release", ["2.6", "2.6.32-358.el6", "6.1", "7.0.0-rc3+", "99.1"])
def test_every_release_is_taken_by_both(capsys: pytest.CaptureFixture[str], tmp_path: Path, release: str) -> None:
    (tmp_path / "log").touch()
    assert main(["gfp", "0x20", "--kernel", release]) == 0
    assert main(["explain", str(tmp_path / "log"), "--kernel", release]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("words", [["foo"], ["0x20", "--kernel", "x"], ["0x20", "--kernel", "2.4.20"]])
def test_wrong_usage_is_one_line(capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    assert main(["gfp", *words]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1


def test_a_mask_with_its_kernel(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, "0xc0d0", "--kernel", "2.6.32")
    assert text.startswith("0xc0d0 on 2.6.32: GFP_KERNEL|__GFP_COMP|__GFP_ZERO\n")
    for line in ("0x8000  __GFP_ZERO  filled with zeroes", "sleep        yes", "below min    no"):
        assert line in text
    assert "highatomic" not in text
    assert "down to 3/8 of the min mark" in shown(capsys, "0x4020", "--kernel", "3.4")
    assert "all of it: no watermark" in shown(capsys, "__GFP_MEMALLOC", "--kernel", "6.1")


def test_a_mask_without_a_kernel(capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(capsys, "0x20").splitlines()
    assert "*  2.6.0 to 4.3  GFP_ATOMIC" in [line[:27].rstrip() for line in lines]
    assert any("since 4.4" in line and "does not wake kswapd" in line and "*" not in line for line in lines)
    # Red Hat's kernels read it as others of their time do: not worth a line.
    assert not any("el6" in line for line in lines)
    assert any("el6" in line for line in shown(capsys, "0x400020").splitlines())
    # Only one meaning makes sense: it is explained.
    assert any("__GFP_HIGH" in line and "half of the min mark" in line for line in lines)


def test_a_mask_that_makes_no_sense(capsys: pytest.CaptureFixture[str]) -> None:
    assert "It makes no sense on any kernel." in shown(capsys, "0xffffffff")


def test_names_give_the_mask(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, "GFP_ATOMIC|__GFP_COMP")
    for mask in ("0x4020", "0x2084020", "0x1084020", "0x484020", "0x40a20", "0x40820"):
        assert mask in text
    assert "0x40a20 on 6.1: GFP_ATOMIC|__GFP_COMP" in shown(capsys, "GFP_ATOMIC|__GFP_COMP", "--kernel", "6.1")


def test_names_and_mask_that_disagree_are_said(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, "0xd0(GFP_KERNEL)", "--kernel", "6.1")
    assert "impossible: the names make up 0xcc0, the mask is 0xd0" in text
    assert "not known: GFP_SILLY" in shown(capsys, "0x10(GFP_SILLY)", "--kernel", "6.1")


@pytest.mark.parametrize("kernel", [(), ("--kernel", "6.1")])
def test_a_slip_is_an_error_with_the_nearest_name(capsys: pytest.CaptureFixture[str], kernel: tuple[str, ...]) -> None:
    assert main(["gfp", "GFP_KERNL", *kernel]) == 2
    assert capsys.readouterr().err.endswith("no kernel has a flag of this name; the nearest is GFP_KERNEL\n")
    assert main(["gfp", "GFP_ATOMIC|__GFP_WAIT", *kernel]) == 0, "a name of another kernel is none of those"


def test_decimal_numbers_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert shown(capsys, "20").startswith("20, which is 0x14:")


def test_json_with_a_kernel(capsys: pytest.CaptureFixture[str]) -> None:
    found = document(capsys, "0xa20", "--kernel", "6.1.0")
    assert (found["schema"], found["mask"], found["names"], found["kernel"]) == (
        "pagewarden.gfp/1",
        0xA20,
        None,
        "6.1.0",
    )
    (reading,) = found["readings"]  # type: ignore[misc]
    assert reading["name"] == "GFP_ATOMIC"
    assert [flag["name"] for flag in reading["flags"]] == ["__GFP_HIGH", "__GFP_ATOMIC", "__GFP_KSWAPD_RECLAIM"]
    assert [flag["bit"] for flag in reading["flags"]] == [0x20, 0x200, 0x800]
    assert (reading["zone"], reading["may_sleep"], reading["min_mark_share"]) == ("Normal", False, "3/8")
    assert (reading["highatomic"], reading["cma"]) == (True, False)


def test_json_without_a_kernel(capsys: pytest.CaptureFixture[str]) -> None:
    found = document(capsys, "0x20")
    readings = found["readings"]
    assert isinstance(readings, list)
    assert [(r["kernels"], r["sense"]) for r in readings] == [
        ("2.6.0 to 4.3", "sensible"),
        ("since 4.4", "odd"),
        ("el6", "sensible"),
        ("el7", "sensible"),
    ]
    assert all(r["min_mark_share"] is None for r in readings)


def test_the_bits_shown_are_the_newest_kernels(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gfp", "GFP_ATOMIC|__GFP_COMP"]) == 0
    text = capsys.readouterr().out
    assert "since 6.3     0x40820 " in text
    assert "\nThe bits on 6.3 and later\n" in text
    assert "\n0x800 " in text
