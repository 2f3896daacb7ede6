"""Masks against the values that the headers of the kernels define (read in their sources, not computed by us)."""

import pytest

from pagewarden.errors import ModelError
from pagewarden.kernel.gfp import (
    GfpFlags,
    decode_bits,
    encode_names,
    flags_from_mask,
    flags_from_names,
    format_mask,
    parse_names,
)
from pagewarden.kernel.gfp_tables import GENERATIONS, MEANINGS, PRINT_ORDER, Generation, generation_for, releases
from pagewarden.kernel.version import parse_version


def generation(release: str) -> Generation:
    version = parse_version(release)
    assert version is not None
    return generation_for(version)


def flags(mask: int, release: str) -> GfpFlags:
    return flags_from_mask(mask, generation(release))


COMPOSITES = [
    ("2.6.11", "GFP_ATOMIC", 0x20),
    ("2.6.11", "GFP_KERNEL", 0xD0),
    ("2.6.11", "GFP_HIGHUSER", 0xD2),
    ("2.6.14", "GFP_USER", 0x400D0),
    ("2.6.14", "GFP_HIGHUSER", 0x400D2),
    ("2.6.18", "GFP_NOIO", 0x10),
    ("2.6.18", "GFP_NOFS", 0x50),
    ("2.6.18", "GFP_KERNEL", 0xD0),
    ("2.6.18", "GFP_USER", 0x200D0),
    ("2.6.20", "GFP_HIGHUSER", 0x200D2),
    ("2.6.24", "GFP_HIGHUSER_MOVABLE", 0x1200D2),
    ("2.6.29", "GFP_TEMPORARY", 0x800D0),
    ("2.6.32", "GFP_HIGHUSER_MOVABLE", 0x200DA),
    ("2.6.32-431.el6.x86_64", "GFP_TRANSHUGE", 0x4352DA),
    ("2.6.38", "GFP_TRANSHUGE", 0x4352DA),
    ("3.10.0-1160.el7.x86_64", "GFP_KERNEL_ACCOUNT", 0x1000D0),
    ("4.4", "GFP_ATOMIC", 0x2080020),
    ("4.4", "GFP_NOWAIT", 0x2000000),
    ("4.4", "GFP_NOIO", 0x2400000),
    ("4.4", "GFP_NOFS", 0x2400040),
    ("4.4", "GFP_KERNEL", 0x24000C0),
    ("4.4", "GFP_TEMPORARY", 0x24000D0),
    ("4.4", "GFP_USER", 0x24200C0),
    ("4.4", "GFP_HIGHUSER", 0x24200C2),
    ("4.4", "GFP_HIGHUSER_MOVABLE", 0x24200CA),
    ("4.4", "GFP_TRANSHUGE", 0x4352CA),
    ("4.5", "GFP_KERNEL_ACCOUNT", 0x25000C0),
    ("4.6", "GFP_TRANSHUGE", 0x352CA),
    ("4.8", "GFP_TRANSHUGE", 0x4342CA),
    ("4.9", "GFP_TRANSHUGE_LIGHT", 0x342CA),
    ("4.10", "GFP_ATOMIC", 0x1080020),
    ("4.10", "GFP_KERNEL", 0x14000C0),
    ("4.14", "GFP_USER", 0x14200C0),
    ("4.15", "GFP_KERNEL_ACCOUNT", 0x15000C0),
    ("4.17", "GFP_HIGHUSER_MOVABLE", 0x14200CA),
    ("4.17", "GFP_TRANSHUGE", 0x4342CA),
    ("4.18.0-147.el8.x86_64", "GFP_KERNEL", 0x6000C0),
    ("4.19", "GFP_ATOMIC", 0x480020),
    ("5.0.10", "GFP_NOWAIT", 0x400000),
    ("5.0", "GFP_HIGHUSER_MOVABLE", 0x6200CA),
    ("5.0", "GFP_TRANSHUGE", 0x2342CA),
    ("5.2", "GFP_ATOMIC", 0xA20),
    ("5.2", "GFP_NOWAIT", 0x800),
    ("5.2", "GFP_NOIO", 0xC00),
    ("5.2", "GFP_NOFS", 0xC40),
    ("5.2", "GFP_KERNEL", 0xCC0),
    ("5.2", "GFP_KERNEL_ACCOUNT", 0x400CC0),
    ("5.2", "GFP_USER", 0x100CC0),
    ("5.2", "GFP_HIGHUSER", 0x100CC2),
    ("5.10", "GFP_HIGHUSER_MOVABLE", 0x100CCA),
    ("5.10", "GFP_TRANSHUGE_LIGHT", 0x1C20CA),
    ("5.10", "GFP_TRANSHUGE", 0x1C24CA),
    ("5.15", "GFP_HIGHUSER_MOVABLE", 0x1100CCA),
    ("6.1", "GFP_HIGHUSER_MOVABLE", 0x100CCA),
    ("6.2", "GFP_ATOMIC", 0xA20),
    ("6.3", "GFP_ATOMIC", 0x820),
    ("6.7", "GFP_NOWAIT", 0x800),
    ("6.8", "GFP_NOWAIT", 0x2800),
    ("6.18", "GFP_KERNEL", 0xCC0),
]


@pytest.mark.parametrize(("release", "name", "mask"), COMPOSITES)
def test_combinations_in_both_directions(release: str, name: str, mask: int) -> None:
    assert format_mask(mask, generation(release)) == name
    assert encode_names([name], generation(release)) == mask


@pytest.mark.parametrize(
    ("mask", "release", "name"),
    [
        (0x20, "2.6.32-5-686", "GFP_ATOMIC"),
        (0x4020, "3.4.24", "GFP_ATOMIC|__GFP_COMP"),
        (0xC0D0, "2.6.32-41-server", "GFP_KERNEL|__GFP_COMP|__GFP_ZERO"),
        (0x2D0, "2.6.15", "GFP_KERNEL|__GFP_NOWARN"),
        (0x250, "3.4", "GFP_NOFS|__GFP_NOWARN"),
        (0x201DA, "2.6.32", "GFP_HIGHUSER_MOVABLE|__GFP_COLD"),
        (0x201DA, "4.3", "GFP_HIGHUSER_MOVABLE|__GFP_COLD"),
        (0x1201D2, "2.6.24.2", "GFP_HIGHUSER_MOVABLE|__GFP_COLD"),
        (0x280D2, "2.6.18-rc7", "GFP_HIGHUSER|__GFP_ZERO"),
        (0x200020, "3.10.53", "GFP_ATOMIC|__GFP_NOTRACK"),
        (0x40DC0, "5.2.1", "GFP_KERNEL|__GFP_COMP|__GFP_ZERO"),
        (0x40DC0, "6.18.2", "GFP_KERNEL|__GFP_ZERO|__GFP_COMP"),
        (0x2080024, "4.4", "GFP_ATOMIC|GFP_DMA32"),
        (0x140CCA, "5.18.0-rc2", "GFP_HIGHUSER_MOVABLE|__GFP_COMP"),
        (0x2204000, "4.8.8", "GFP_NOWAIT|__GFP_COMP|__GFP_NOTRACK"),
        (0x404000, "5.0.4", "GFP_NOWAIT|__GFP_COMP"),
        (0x24201CA, "4.9.23", "GFP_HIGHUSER_MOVABLE|__GFP_COLD"),
        (0x104, "5.4.0", "GFP_DMA32|__GFP_ZERO"),
        (0x101C4A, "6.8.0", "GFP_NOFS|__GFP_HIGHMEM|__GFP_HARDWALL|__GFP_MOVABLE|__GFP_WRITE"),
        (0xC0C40, "6.19", "GFP_NOFS|__GFP_COMP|__GFP_NOMEMALLOC"),
        (0xC04, "6.16", "GFP_NOIO|GFP_DMA32"),
        (0x1, "5.7", "GFP_DMA"),
        (0x1, "2.6.32", "GFP_DMA"),
        (0x2, "2.6.32", "__GFP_HIGHMEM"),
        (0x8, "2.6.32", "__GFP_MOVABLE"),
        # 0x10 says "may sleep" until 4.3, "reclaimable" since 4.4; a sleeper with HIGH is not GFP_ATOMIC.
        (0x30, "2.6.32", "GFP_NOIO|__GFP_HIGH"),
        (0x30, "4.4", "__GFP_HIGH|__GFP_RECLAIMABLE"),
        (0xF0, "3.10", "GFP_KERNEL|__GFP_HIGH"),
        # The same number, read by neighbours.
        (0x820, "6.2", "GFP_NOWAIT|__GFP_HIGH"),
        (0xA20, "6.3", "GFP_ATOMIC|0x200"),
        (0x1000000, "4.9", "__GFP_WRITE"),
        (0x1000000, "4.10", "GFP_NOWAIT"),
        (0x200000, "4.14", "__GFP_NOTRACK"),
        (0x200000, "4.15", "0x200000"),
        (0x100000, "3.14", "__GFP_KMEMCG"),
        (0x100000, "3.15", "0x100000"),
        (0x100000, "4.4", "__GFP_NOACCOUNT"),
        (0x100000, "4.5", "__GFP_ACCOUNT"),
        (0x400000, "2.6.32", "0x400000"),
        (0x400000, "2.6.32-358.el6", "__GFP_NO_KSWAPD"),
        (0x2000, "2.6.22", "__GFP_NO_GROW"),
        (0x2000, "3.6", "__GFP_MEMALLOC"),
        (0x1000000, "6.9", "0x1000000"),
        # Nothing set: until 4.3 that is what GFP_NOWAIT stands for; since, the kernel prints nothing.
        (0, "2.6.32", "GFP_NOWAIT"),
        (0, "5.15", ""),
        (0xFFFFFFFF, "2.6.32", "GFP_HIGHUSER_MOVABLE|GFP_DMA|GFP_DMA32|__GFP_HIGH|__GFP_COLD|__GFP_NOWARN|__GFP_REPEAT|"
         "__GFP_NOFAIL|__GFP_NORETRY|__GFP_COMP|__GFP_ZERO|__GFP_NOMEMALLOC|__GFP_THISNODE|__GFP_RECLAIMABLE|"
         "__GFP_NOTRACK|0xffd02000"),
    ],
)  # fmt: skip
def test_masks_as_the_kernel_prints_them(mask: int, release: str, name: str) -> None:
    assert format_mask(mask, generation(release)) == name


@pytest.mark.parametrize("known", GENERATIONS, ids=lambda g: g.name)
def test_every_bit_survives_both_ways(known: Generation) -> None:
    for bit in (1 << shift for shift in range(32)):
        names, unknown = decode_bits(bit, known)
        assert (len(names), unknown) in ((1, 0), (0, bit))
        assert encode_names(parse_names(format_mask(bit, known)), known) == bit
    everything = sum(known.bits)
    assert decode_bits(everything, known)[1] == 0
    assert encode_names(decode_bits(everything, known)[0], known) == everything


@pytest.mark.parametrize("known", GENERATIONS, ids=lambda g: g.name)
def test_no_generation_names_a_flag_that_has_no_meaning_or_no_place(known: Generation) -> None:
    assert set(known.bits.values()) <= set(MEANINGS)
    assert {name.removeprefix("__GFP_") for name in known.bits.values()} <= set(PRINT_ORDER)
    assert len(set(known.bits.values())) == len(known.bits)
    assert all(bit.bit_count() == 1 for bit in known.bits)


def test_mainline_generations_follow_each_other() -> None:
    since = [known.since for known in GENERATIONS if known.vendor is None]
    assert since == sorted(set(since))


@pytest.mark.parametrize(
    ("release", "name"),
    [
        ("2.6.8.1", "2.6.0 to 2.6.10"),
        ("2.6.30", "2.6.24 to 2.6.30"),
        ("2.6.32-642.6.2.el6.x86_64", "el6"),
        ("3.10.0-693.21.1.el7.x86_64", "el7"),
        ("4.9.23-1.el7.twitter.x86_64", "4.8 to 4.9"),
        ("4.18.0-147.el8.x86_64", "4.18 to 5.0"),
        ("3.0", "2.6.38 to 3.2"),
        ("4.3.6", "4.1 to 4.3"),
        ("7.2", "since 6.14"),
    ],
)
def test_generations_by_release(release: str, name: str) -> None:
    assert releases(generation(release)) == name


def test_kernels_before_2_6_are_refused() -> None:
    with pytest.raises(ModelError, match=r"2\.4\.20.*from 2\.6 on"):
        generation("2.4.20")


@pytest.mark.parametrize(
    ("mask", "release", "zone"),
    [
        (0x20, "2.6.32", "Normal"),
        (0x8, "2.6.32", "Normal"),
        (0x1, "2.6.32", "DMA"),
        (0x9, "5.10", "DMA"),
        (0x4, "5.10", "DMA32"),
        (0xC, "5.10", "DMA32"),
        (0x2, "5.10", "HighMem"),
        (0xA, "5.10", "Movable"),
        (0x3, "5.10", None),
        (0x5, "5.10", None),
        (0x6, "5.10", None),
        (0xB, "5.10", None),
        (0x100002, "2.6.24", "Movable"),
        (0x100000, "2.6.24", "Normal"),
        (0x3, "2.6.24", "DMA"),
        (0x6, "2.6.18", "DMA32"),
    ],
)
def test_zone_asked_for(mask: int, release: str, zone: str | None) -> None:
    assert flags(mask, release).zone == zone


@pytest.mark.parametrize(
    ("mask", "release", "sleeps", "wakes"),
    [
        (0x20, "2.6.32", False, True),
        (0xD0, "2.6.32", True, True),
        (0x4352DA, "3.4", True, False),
        (0x10, "4.3", True, True),
        (0x10, "4.4", False, False),
        (0x2080020, "4.4", False, True),
        (0x400000, "4.4", True, False),
        (0x1000000, "4.10", False, True),
        (0x200000, "4.18", True, False),
        (0xCC0, "5.10", True, True),
        (0x8C0, "5.10", False, True),
        (0x1C20CA, "5.10", False, False),
    ],
)
def test_sleeping_and_kswapd(mask: int, release: str, sleeps: bool, wakes: bool) -> None:
    found = flags(mask, release)
    assert (found.can_direct_reclaim, found.wakes_kswapd) == (sleeps, wakes)


@pytest.mark.parametrize(
    ("mask", "release", "said"),
    [
        (0x8, "5.10", "movable"),
        (0x10, "5.10", "reclaimable"),
        (0x20, "5.10", "high"),
        (0x40, "5.10", "io"),
        (0x80, "5.10", "fs"),
        (0x100, "5.10", "zero"),
        (0x200, "5.10", "atomic"),
        (0x1000, "5.10", "write"),
        (0x2000, "5.10", "nowarn"),
        (0x4000, "5.10", "retry_mayfail"),
        (0x400, "2.6.32", "retry_mayfail"),
        (0x8000, "5.10", "nofail"),
        (0x10000, "5.10", "noretry"),
        (0x20000, "5.10", "memalloc"),
        (0x40000, "5.10", "comp"),
        (0x80000, "5.10", "nomemalloc"),
        (0x100000, "5.10", "hardwall"),
        (0x200000, "5.10", "thisnode"),
        (0x400000, "5.10", "account"),
        (0x100000, "3.10", "account"),
        (0x400000, "3.10", "no_kswapd"),
    ],
)
def test_each_flag_says_one_thing(mask: int, release: str, said: str) -> None:
    questions = {name for name, value in vars(GfpFlags).items() if isinstance(value, property)} - {"migrate_type"}
    assert [name for name in sorted(questions) if getattr(flags(mask, release), name)] == [said]
    assert not any(getattr(flags(0, release), name) for name in questions)


@pytest.mark.parametrize(("mask", "letter"), [(0x8, "M"), (0x10, "E"), (0x18, "E"), (0x100CCA, "M"), (0xCC0, "U")])
def test_migrate_type(mask: int, letter: str) -> None:
    assert flags(mask, "5.10").migrate_type == letter


@pytest.mark.parametrize("release", [r for r, _, _ in COMPOSITES])
def test_names_and_mask_give_the_same_flags(release: str) -> None:
    known = generation(release)
    for mask in (*known.composites.values(), sum(known.bits), 0x20 | next(iter(known.composites.values()))):
        names = parse_names(format_mask(mask, known))
        assert flags_from_names(names, mask, known) == flags_from_mask(mask, known)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("GFP_ATOMIC|__GFP_COMP|0x800", ("GFP_ATOMIC", "__GFP_COMP", "0x800")),
        ("(GFP_KERNEL)", ("GFP_KERNEL",)),
        (" GFP_KERNEL | __GFP_ZERO ", ("GFP_KERNEL", "__GFP_ZERO")),
        ("", ()),
        ("none", ()),
        ("|", ()),
        ("GFP_BLÖD|\x1b[31m", ("GFP_BLÖD", "\x1b[31m")),
    ],
)
def test_splitting_names(text: str, names: tuple[str, ...]) -> None:
    assert parse_names(text) == names


def test_names_without_a_kernel() -> None:
    found = flags_from_names(parse_names("GFP_ATOMIC|__GFP_COMP|0x800|GFP_SILLY"))
    assert found.high
    assert found.atomic
    assert found.comp
    assert found.wakes_kswapd
    assert not found.can_direct_reclaim
    assert found.unknown_names == ("GFP_SILLY",)
    assert found.unknown_bits == 0x800
    assert found.disagreement is None


@pytest.mark.parametrize(
    ("text", "zone", "sleeps", "wakes", "some"),
    [
        ("GFP_NOIO", "Normal", True, True, ()),
        ("GFP_NOWAIT", "Normal", False, True, ()),
        ("GFP_TEMPORARY", "Normal", True, True, ("__GFP_RECLAIMABLE", "__GFP_FS")),
        ("GFP_TRANSHUGE_LIGHT", "Movable", False, False, ("__GFP_COMP", "__GFP_NOMEMALLOC", "__GFP_NOWARN")),
        ("GFP_TRANSHUGE", "Movable", True, False, ()),
        ("GFP_HIGHUSER_MOVABLE|__GFP_COLD", "Movable", True, True, ("__GFP_COLD", "__GFP_HARDWALL")),
        ("GFP_KERNEL_ACCOUNT", "Normal", True, True, ("__GFP_ACCOUNT",)),
        ("GFP_KERNEL|GFP_DMA32", "DMA32", True, True, ("__GFP_DMA32",)),
        ("GFP_DMA", "DMA", False, False, ("__GFP_DMA",)),
        ("__GFP_RECLAIM", "Normal", True, True, ()),
        ("__GFP_DIRECT_RECLAIM", "Normal", True, False, ()),
        ("__GFP_WAIT|__GFP_IO", "Normal", True, True, ("__GFP_IO",)),
        ("GFP_WAIT|GFP_HIGH", "Normal", True, True, ("__GFP_HIGH",)),
        ("", "Normal", False, False, ()),
    ],
)
def test_what_printed_names_mean(text: str, zone: str, sleeps: bool, wakes: bool, some: tuple[str, ...]) -> None:
    found = flags_from_names(parse_names(text))
    assert (found.zone, found.can_direct_reclaim, found.wakes_kswapd) == (zone, sleeps, wakes)
    assert set(some) <= found.flags
    assert found.unknown_names == ()


@pytest.mark.parametrize(
    ("text", "mask", "release", "disagreement"),
    [
        ("GFP_ATOMIC", 0xA20, "6.1", None),
        ("GFP_ATOMIC", 0xA20, None, None),
        ("GFP_ATOMIC", 0x820, None, None),
        ("GFP_ATOMIC", 0x820, "6.1", "the names make up 0xa20, the mask is 0x820"),
        ("GFP_KERNEL", 0xD0, None, "no kernel numbers these names as 0xd0"),
        ("GFP_HIGHUSER_MOVABLE", 0x1100CCA, "6.6", None),
        ("GFP_HIGHUSER_MOVABLE|__GFP_COMP", 0x140CCA, "5.15", None),
        ("GFP_KERNEL|__GFP_NO_OBJ_EXT", 0x1000CC0, "6.12", None),
        ("GFP_SILLY", 0xD0, None, None),
        ("", 0, "5.15", None),
        ("", 0x20, "5.15", "the names make up 0x0, the mask is 0x20"),
    ],
)
def test_names_are_trusted_and_a_mask_that_disagrees_is_said(
    text: str, mask: int, release: str | None, disagreement: str | None
) -> None:
    known = generation(release) if release else None
    found = flags_from_names(parse_names(text), mask, known)
    assert found.disagreement == disagreement
    assert found.flags == flags_from_names(parse_names(text), None, known).flags


def test_a_name_has_no_number_where_the_generation_lacks_it() -> None:
    assert encode_names(["__GFP_WAIT"], generation("4.4")) is None
    assert encode_names(["GFP_KERNEL", "0x8000000"], generation("5.10")) == 0x8000CC0
