"""The `vm.*` sysctls that are modelled or shown, and their text in `/proc/sys/vm/`."""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from pagewarden.errors import ParseError

Shape = Literal["scalar", "vector", "word"]

_INTEGERS = re.compile(r"-?[0-9]{1,20}(?: -?[0-9]{1,20})*")
_INT_MAX = 2**31 - 1  # every one of them is a C int in the kernel (nr_hugepages is longer, but never that large)
_WORD = re.compile(r"[!-~]+(?: [!-~]+)*")
_DUMP_LINE = re.compile(r"([A-Za-z0-9_./-]+) ?= ?(.*)")

# In the order of reading. lowmem_reserve_ratio is the last: before 7.3 even reading it makes the kernel compute the
# protection of all zones anew, and min_unmapped_ratio and min_slab_ratio likewise recompute what they set.
SYSCTL_SHAPES: Mapping[str, Shape] = MappingProxyType(
    {
        "vm.min_free_kbytes": "scalar",
        "vm.watermark_scale_factor": "scalar",
        "vm.watermark_boost_factor": "scalar",
        "vm.extra_free_kbytes": "scalar",
        "vm.min_free_order_shift": "scalar",
        "vm.zone_reclaim_mode": "scalar",
        "vm.numa_zonelist_order": "word",
        "vm.percpu_pagelist_fraction": "scalar",
        "vm.percpu_pagelist_high_fraction": "scalar",
        "vm.compaction_proactiveness": "scalar",
        "vm.extfrag_threshold": "scalar",
        "vm.defrag_mode": "scalar",
        "vm.vfs_cache_pressure": "scalar",
        "vm.swappiness": "scalar",
        "vm.overcommit_memory": "scalar",
        "vm.overcommit_ratio": "scalar",
        "vm.nr_hugepages": "scalar",
        "vm.dirty_ratio": "scalar",
        "vm.dirty_background_ratio": "scalar",
        "vm.min_unmapped_ratio": "scalar",
        "vm.min_slab_ratio": "scalar",
        "vm.lowmem_reserve_ratio": "vector",
    }
)


def sysctl_path(key: str) -> str:
    """Give the file of a dotted key: "vm.min_free_kbytes" -> "proc/sys/vm/min_free_kbytes"."""
    return "proc/sys/" + key.replace(".", "/")


def parse_sysctl(key: str, text: str, path: str) -> str:
    """Check a sysctl's text against the key's shape and fold its white space to single blanks.

    :raises ParseError: not the number, numbers or words that the kernel prints there.
    """
    folded = " ".join(text.split())
    shape = SYSCTL_SHAPES.get(key, "word")
    pattern = _WORD if shape == "word" else _INTEGERS
    fits = shape == "word" or all(
        abs(int(number)) <= _INT_MAX for number in folded.split() if number.lstrip("-").isdigit()
    )
    if pattern.fullmatch(folded) is None or (shape == "scalar" and " " in folded) or not fits:
        raise ParseError(path, 1, text.strip("\n"), {"scalar": "one integer", "vector": "integers"}.get(shape, "words"))
    return folded


def parse_sysctl_dump(text: str, path: str) -> dict[str, str]:
    """Read the output of `sysctl -a` (`vm.min_free_kbytes = 67584`); the first of repeated keys counts.

    Complaints of the command about files it may not read, and continuation lines of other keys, are stepped over.

    :raises ParseError: not a single assignment in it.
    """
    values: dict[str, str] = {}
    for line in text.split("\n"):
        match = _DUMP_LINE.fullmatch(line.rstrip())
        if match is not None:
            values.setdefault(match[1], " ".join(match[2].split()))
    if not values:
        raise ParseError(path, 0, text[:80], "'key = value' lines of sysctl -a")
    return values
