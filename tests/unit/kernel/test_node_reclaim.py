import pytest

from pagewarden.kernel.node_reclaim import decode_mode, mode_in_words, mode_on, reclaim_distance, switched_on_at_boot
from pagewarden.kernel.rules import rules_for
from pagewarden.kernel.version import parse_version

ON = "reclaim from the local node before using another"
WRITE = "write out dirty pages"
UNMAP = "unmap and swap pages"
SLAB = "shrink slabs everywhere"


@pytest.mark.parametrize(
    ("value", "any_bit", "on", "meanings", "ignored"),
    [
        (0, False, False, (), 0),
        (0, True, False, (), 0),
        (1, False, True, (ON,), 0),
        (3, False, True, (ON, WRITE), 0),
        (4, False, True, (UNMAP,), 0),
        (7, False, True, (ON, WRITE, UNMAP), 0),
        (8, False, False, (), 8),
        (8, True, True, (), 8),
        (255, False, True, (ON, WRITE, UNMAP), 248),
        (-8, False, False, (), -8),
    ],
)
def test_bits(value: int, any_bit: bool, on: bool, meanings: tuple[str, ...], ignored: int) -> None:
    mode = decode_mode(value, bits_shifted=False, any_bit_enables=any_bit)
    assert (mode.value, mode.on, mode.meanings, mode.ignored_bits) == (value, on, meanings, ignored)


@pytest.mark.parametrize(
    ("value", "meanings", "ignored"),
    [(1, (WRITE,), 0), (2, (UNMAP,), 0), (4, (), 0), (3, (WRITE, UNMAP), 0), (7, (WRITE, UNMAP), 0), (8, (), 8)],
)
def test_bits_of_5_7_to_5_9_are_shifted(value: int, meanings: tuple[str, ...], ignored: int) -> None:
    mode = decode_mode(value, bits_shifted=True, any_bit_enables=True)
    assert (mode.on, mode.meanings, mode.ignored_bits) == (True, meanings, ignored)


@pytest.mark.parametrize(
    ("release", "value", "on", "meanings", "ignored"),
    [
        ("2.6.19", 9, True, (ON, SLAB), 0),  # the last with a bit for slabs
        ("2.6.19", 8, True, (SLAB,), 0),
        ("2.6.20", 9, True, (ON,), 8),
        ("3.10.0", 9, True, (ON,), 8),
        ("5.12.0", 8, True, (), 8),  # the last that any bit switches on
        ("5.13.0", 8, False, (), 8),
        ("5.8.0", 13, True, (WRITE,), 8),  # bit 4 is what is read first there, and no more than that
        ("6.1.0", 13, True, (ON, UNMAP), 8),
        (None, 8, False, (), 8),
    ],
)
def test_bits_by_release(release: str | None, value: int, on: bool, meanings: tuple[str, ...], ignored: int) -> None:
    version = parse_version(release or "")
    mode = mode_on(value, version, version is not None and rules_for(version).sysctl.reclaim_bits_shifted)
    assert (mode.on, mode.meanings, mode.ignored_bits) == (on, meanings, ignored)


@pytest.mark.parametrize(
    ("release", "arch", "distance"),
    [
        ("2.6.18", "x86_64", 20),
        ("2.6.39", "x86_64", 20),
        ("2.6.39", None, 20),
        ("3.0.1", "x86_64", 30),
        ("2.6.32-642.el6.x86_64", "x86_64", 30),
        ("6.1.0", "aarch64", 30),
        ("2.6.18", "ia64", 15),
        ("2.6.18", "ppc64", 20),
        ("2.6.32-642.el6.ppc64", "ppc64", 10),
        ("3.0.1", "ppc64", 30),
        ("3.4.39", "ppc64", 10),
        (None, "ppc64le", 10),
        (None, None, 30),
    ],
)
def test_reclaim_distance(release: str | None, arch: str | None, distance: int) -> None:
    assert reclaim_distance(parse_version(release or ""), arch) == distance


@pytest.mark.parametrize(
    ("release", "farthest", "switched_on"),
    [
        ("2.6.32", 20, False),
        ("2.6.32", 21, True),
        ("3.14.0", 30, False),
        ("3.14.0", 31, True),
        ("3.15.0", 40, True),
        ("3.16.0", 40, False),
        ("3.10.0-1160.el7.x86_64", 40, False),
        ("2.6.32-642.el6.x86_64", 21, False),
        ("6.1.0", 255, False),
        (None, 255, False),
    ],
)
def test_switched_on_at_boot(release: str | None, farthest: int, switched_on: bool) -> None:
    table = {0: (10, farthest), 1: (farthest, 10)}
    assert switched_on_at_boot(parse_version(release or ""), table, "x86_64") is switched_on


def test_the_distance_that_switches_it_on_is_that_of_the_architecture() -> None:
    table = {0: (10, 16), 1: (16, 10)}
    found = [switched_on_at_boot(parse_version("3.10.0"), table, arch) for arch in ("ppc64le", "ia64", "x86_64", None)]
    assert found == [True, True, False, False]


def test_one_node_never_switches_it_on() -> None:
    assert not switched_on_at_boot(parse_version("2.6.32"), {}, "x86_64")
    assert not switched_on_at_boot(parse_version("2.6.32"), {0: (10,)}, "x86_64")


@pytest.mark.parametrize(
    ("value", "kernel", "nodes", "expected"),
    [
        (0, "6.1.0", 2, "off: a full node's requests are served from other nodes before anything is reclaimed"),
        (1, "6.1.0", 2, "on: a full node reclaims its own page cache before another node is used, but writes and"),
        (3, "6.1.0", 2, "before another node is used, and may write out dirty pages for it"),
        (7, "6.1.0", 2, "and may write out dirty pages and unmap and swap pages for it"),
        (1, "5.8.0", 2, "and may write out dirty pages for it"),
        (1, "6.1.0", 1, "; this machine has one node with memory, so that it does nothing here"),
        (
            8,
            "6.1.0",
            2,
            "off: a full node's requests are served from other nodes before anything is reclaimed; the other",
        ),
        (8, "4.19.0", 2, "on: a full node reclaims its own page cache before another node is used, but writes and"),
        (17, "6.1.0", 2, "; the other bits (16) mean nothing on this kernel"),
    ],
)
def test_a_mode_in_words(value: int, kernel: str, nodes: int, expected: str) -> None:
    version = parse_version(kernel)
    shifted = rules_for(version).sysctl.reclaim_bits_shifted
    found = mode_in_words(mode_on(value, version, shifted), nodes)
    assert expected in found
    assert found.startswith(("on: ", "off: "))
    assert ("one node with memory" in found) is (nodes == 1)


def test_off_on_one_node_is_just_off() -> None:
    assert "one node" not in mode_in_words(mode_on(0, None, False), 1)
