"""What the handlers make of a text: as observed on kernels 5.10 to 7.2, and the corners of proc_get_long()."""

import pytest

from pagewarden.kernel.sysctl_write import Taken, parse_integers, write_vector

INT_MAX = 2**31 - 1


@pytest.mark.parametrize(
    ("text", "values", "error"),
    [
        pytest.param("5000", (5000,), None, id="plain"),
        pytest.param("0", (0,), None, id="zero"),
        pytest.param("0x2000", (8192,), None, id="hexadecimal"),
        pytest.param("0X2000", (8192,), None, id="capital X"),
        pytest.param("0xaBc", (2748,), None, id="either case"),
        pytest.param("020000", (8192,), None, id="octal"),
        pytest.param(" 5000", (5000,), None, id="blank before"),
        pytest.param("\t\n\v\f\r5000", (5000,), None, id="all blanks before"),
        pytest.param("5000 6000", (5000,), None, id="what follows is not looked at"),
        pytest.param("5000 abc", (5000,), None, id="even if it is nothing"),
        pytest.param("5000\t", (5000,), None, id="tab after"),
        pytest.param("5000\nx", (5000,), None, id="line after"),
        pytest.param("2147483647", (INT_MAX,), None, id="the largest"),
        pytest.param("-2147483648", (-INT_MAX - 1,), None, id="the smallest"),
        pytest.param("-5", (-5,), None, id="two characters"),
        pytest.param("-0", (0,), None, id="minus nothing"),
        pytest.param("-0x10", (-16,), None, id="negative hexadecimal"),
        pytest.param("00000000000000000012", (10,), None, id="20 characters, octal"),
        pytest.param("+4096", (), "EINVAL", id="no plus"),
        pytest.param("", (), "EINVAL", id="empty"),
        pytest.param(" \t", (), "EINVAL", id="blank"),
        pytest.param("1e4", (), "EINVAL", id="no exponent"),
        pytest.param("5000abc", (), "EINVAL", id="letters after"),
        pytest.param("5000,", (), "EINVAL", id="comma"),
        pytest.param("5000\v", (), "EINVAL", id="a vertical tab does not end a number"),
        pytest.param("abc", (), "EINVAL", id="letters"),
        pytest.param("-", (), "EINVAL", id="minus alone"),
        pytest.param("--1", (), "EINVAL", id="two minus"),
        pytest.param("- 1", (), "EINVAL", id="minus apart"),
        pytest.param("08", (), "EINVAL", id="no octal digit"),
        pytest.param("0x", (), "EINVAL", id="no hexadecimal digit"),
        pytest.param("0xg", (), "EINVAL", id="wrong hexadecimal digit"),
        pytest.param("0b1", (), "EINVAL", id="no binary"),
        pytest.param("1_000", (), "EINVAL", id="no underscores"),
        pytest.param("2147483648", (), "EINVAL", id="2^31"),
        pytest.param("-2147483649", (), "EINVAL", id="below the smallest"),
        pytest.param("4294967296", (), "EINVAL", id="2^32: not cut to 0"),
        pytest.param("18446744073709551616", (), "EINVAL", id="2^64"),
        pytest.param("000000000000000000012", (), "EINVAL", id="21 characters cannot be told from two numbers"),
        pytest.param("9" * 5000, (), "EINVAL", id="absurd"),
        pytest.param("٤٢", (), "EINVAL", id="digits of another script"),
        pytest.param("\0", (), "EINVAL", id="NUL"),
    ],
)
def test_one_integer(text: str, values: tuple[int, ...], error: str | None) -> None:
    assert parse_integers(text, 1) == Taken(values, error)


@pytest.mark.parametrize(
    ("text", "accepted"),
    [("0", True), ("1", True), ("100", True), ("101", False), ("-1", False), ("0x64", True), ("0x65", False)],
)
def test_bounds(text: str, accepted: bool) -> None:
    taken = parse_integers(text, 1, 0, 100)
    assert (taken.error is None) is accepted
    assert bool(taken.values) is accepted


@pytest.mark.parametrize(
    ("text", "new"),
    [
        pytest.param("256 128 32 0 0", (256, 128, 32, 0, 0), id="all"),
        pytest.param("64", (64, 256, 32, 0, 0), id="the first alone"),
        pytest.param("1 1 1", (1, 1, 1, 0, 0), id="the first three"),
        pytest.param("256 256 32 0 0 7", (256, 256, 32, 0, 0), id="one too many is not looked at"),
        pytest.param("256\t256\n32", (256, 256, 32, 0, 0), id="tabs and lines separate"),
        pytest.param("abc", (256, 256, 32, 0, 0), id="nothing taken"),
        pytest.param("", (256, 256, 32, 0, 0), id="empty"),
        pytest.param("64 x 16", (64, 256, 32, 0, 0), id="taken up to the error"),
        pytest.param("1,2,3", (256, 256, 32, 0, 0), id="commas do not separate"),
        pytest.param("2147483648", (256, 256, 32, 0, 0), id="2^31"),
        pytest.param("-1 -1 -1", (-1, -1, -1, 0, 0), id="negative: rewritten only afterwards"),
        pytest.param("999999999", (999999999, 256, 32, 0, 0), id="no upper bound"),
    ],
)
def test_the_ratio_until_7_2_ignores_errors(text: str, new: tuple[int, ...]) -> None:
    assert write_vector((256, 256, 32, 0, 0), text, strict=False) == (new, None)


@pytest.mark.parametrize(
    ("text", "new", "error"),
    [
        ("64", (64, 256, 32), None),
        ("64 0 16 9", (64, 0, 16), None),
        ("64 x 16", (256, 256, 32), "EINVAL"),
        ("64 -1 16", (256, 256, 32), "EINVAL"),
        ("-1", (256, 256, 32), "EINVAL"),
        ("", (256, 256, 32), "EINVAL"),
    ],
)
def test_the_ratio_since_7_3_is_taken_as_a_whole(text: str, new: tuple[int, ...], error: str | None) -> None:
    assert write_vector((256, 256, 32), text, strict=True) == (new, error)
