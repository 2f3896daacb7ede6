"""What a write to a vm setting, or to the huge-page switch, would do to every zone.

The pure twin of the kernel's handlers: which values they take, which of them compute the marks or the reserves anew,
and from what. Nothing is written.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from pagewarden.errors import ModelError
from pagewarden.kernel.defaults import kernel_made
from pagewarden.kernel.fit import predict_protection
from pagewarden.kernel.lowmem_reserve import default_ratio, effective_ratio, totalreserve_pages
from pagewarden.kernel.machine import (
    EXTRA_FREE,
    HUGE_SWITCH,
    MIN_FREE,
    RATIO,
    RECLAIM_MODE,
    SCALE_FACTOR,
    Machine,
    inferred_settings,
)
from pagewarden.kernel.min_free import (
    calculate_min_free_kbytes,
    nr_free_buffer_pages,
    set_recommended_min_free_kbytes,
    square_root_kb,
)
from pagewarden.kernel.sysctl_write import INT_MAX, parse_integers, write_vector
from pagewarden.kernel.watermarks import Marks, setup_per_zone_wmarks

HUGE_WORDS = ("always", "madvise", "never")

NEVER_WRITTEN = -1
"""Kernel: user_min_free_kbytes before anybody writes the setting."""


@dataclass(frozen=True, slots=True)
class Write:
    """One write: a key ("vm.min_free_kbytes" or "transparent_hugepage") and the text written to it."""

    key: str
    text: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """A write the kernel refuses.

    :ivar error: name of the errno, "ENOENT" where the kernel has no such setting.
    :ivar accepted: what it would have taken ("a whole number from 1 to 3000"), None where there is no such setting.
    """

    key: str
    text: str
    error: str
    accepted: str | None


@dataclass(frozen=True, slots=True)
class ZoneState:
    """One zone's marks (as printed) and reserves at one moment, in pages."""

    node: int
    zone: str
    marks: Marks
    protection_pages: tuple[int, ...] | None


@dataclass(frozen=True, slots=True)
class Simulation:
    """The machine before and after the writes.

    :ivar sysctls: every vm setting of the snapshot with its value afterwards, and transparent_hugepage where known.
    :ivar totalreserve_pages: before and after; the difference is what the change costs.
    :ivar assumptions: what had to be taken for granted.
    """

    machine: Machine
    before: tuple[ZoneState, ...]
    after: tuple[ZoneState, ...]
    sysctls: Mapping[str, str]
    refusals: tuple[Refusal, ...]
    totalreserve_pages: tuple[int, int]
    low_sum_pages: tuple[int, int]
    assumptions: tuple[str, ...]

    @property
    def cost_bytes(self) -> int:
        """Memory withdrawn from ordinary use (growth of totalreserve_pages); negative where memory is given back."""
        before, after = self.totalreserve_pages
        return (after - before) * self.machine.page_size


@dataclass(slots=True)
class _State:
    # The kernel variables a write can change. Private to this module: everything handed out is frozen.
    machine: Machine
    marks: list[Marks]
    boosts: list[int]
    protection: list[tuple[int, ...] | None]
    sysctls: dict[str, str]
    user_min_free_kbytes: int
    huge_word: str | None
    assumptions: list[str] = field(default_factory=list)

    def integer(self, key: str) -> int | None:
        text = self.sysctls.get(key)
        return None if text is None else int(text)

    def min_free(self) -> int:
        value = self.integer(MIN_FREE)
        value = self.machine.fit.min_free_kbytes if value is None else value
        if value is None:
            raise ModelError(f"{MIN_FREE} is not in this capture and the marks do not tell it")
        return value


def simulate(machine: Machine, writes: Sequence[Write], assigned_min_free: int | None = None) -> Simulation:
    """Perform the writes in order on a copy of the machine's state.

    :param assigned_min_free: what sysctl.d or the kernel command line assigned to vm.min_free_kbytes at boot, if
        anything did. It matters where the kernel computes its own value again.
    :raises ModelError: where a setting that is needed is not in the capture.
    """
    state = _start(machine, assigned_min_free)
    before = _zone_states(state)
    refusals = []
    for write in writes:
        error = _write(state, write)
        if error is not None:
            accepted = None if error == "ENOENT" else accepted_text(machine, write.key)
            refusals.append(Refusal(write.key, write.text, error, accepted))
    after = _zone_states(state)
    sysctls = dict(state.sysctls)
    if state.huge_word is not None:
        sysctls[HUGE_SWITCH] = state.huge_word
    return Simulation(
        machine=machine,
        before=before,
        after=after,
        sysctls=sysctls,
        refusals=tuple(refusals),
        totalreserve_pages=(_totalreserve(machine, before), _totalreserve(machine, after)),
        low_sum_pages=(sum(s.marks.low_pages for s in before), sum(s.marks.low_pages for s in after)),
        assumptions=tuple(dict.fromkeys(state.assumptions)),
    )


def _start(machine: Machine, assigned_min_free: int | None) -> _State:
    state = _State(
        machine=machine,
        marks=list(machine.marks),
        boosts=[machine.fit.boosted_now(zone) for zone in machine.zones],
        protection=[zone.protection_pages for zone in machine.zones],
        sysctls=dict(machine.sysctls),
        user_min_free_kbytes=NEVER_WRITTEN,
        huge_word=machine.huge_pages.enabled if machine.huge_pages else None,
    )
    state.assumptions += [
        f"{key} is not in this capture; {value} was inferred from the "
        + ("min marks" if key == MIN_FREE else "gaps between the marks")
        for key, value in inferred_settings(machine).items()
    ]
    if machine.fit.zones_left_out:
        state.assumptions.append("zones are missing in this capture: those that are there share the whole setting")
    state.user_min_free_kbytes = _user_value(state, assigned_min_free)
    return state


def _user_value(state: _State, assigned: int | None) -> int:
    # user_min_free_kbytes cannot be read. A value the kernel would not have chosen must have been written; one that it
    # would have chosen may have replaced an assigned one.
    value = state.integer(MIN_FREE)
    if value is None or kernel_made(state.machine, value) is not None:
        return NEVER_WRITTEN if assigned is None else assigned
    return value


def _write(state: _State, write: Write) -> str | None:
    if write.key == HUGE_SWITCH:
        return _write_huge_switch(state, write.text)
    if not _exists(state, write.key):
        return "ENOENT"
    handler = _HANDLERS.get(write.key, _write_scalar)
    return handler(state, write.key, write.text)


def _exists(state: _State, key: str) -> bool:
    # A capture may hold few settings or none; then the release tells which exist.
    if key in state.sysctls:
        return True
    rules = state.machine.rules.sysctl
    return key in (MIN_FREE, RATIO) or (key == SCALE_FACTOR and rules.scale_factor_max is not None)


def accepted_range(machine: Machine, key: str) -> tuple[int | None, int]:
    """The smallest and the largest whole number that the handler of a setting takes; None: any number of 32 bits."""
    rules = machine.rules.sysctl
    if key in _PERCENTAGES:
        return 0, 100
    if key == SCALE_FACTOR:
        return 1, INT_MAX if rules.scale_factor_max is None else rules.scale_factor_max
    if key == "vm.extfrag_threshold":
        return 0, 1000
    if key == "vm.defrag_mode":
        return 0, 1
    if key == "vm.swappiness":
        return 0, 200 if machine.version_numbers >= (5, 8, 0) else 100
    unchecked = (key == MIN_FREE and not rules.min_free_checked) or (key == RECLAIM_MODE and rules.reclaim_mode_signed)
    return None if unchecked else 0, INT_MAX


def accepted_text(machine: Machine, key: str) -> str:
    """What the kernel takes for a setting, in words ("a whole number from 1 to 3000")."""
    if key == HUGE_SWITCH:
        return f"{', '.join(HUGE_WORDS[:-1])} or {HUGE_WORDS[-1]}"
    if key == RATIO:
        return f"whole numbers from 0 to {INT_MAX}, a space between them"
    low, high = accepted_range(machine, key)
    if key in _PAGELIST_FRACTIONS:
        return f"0, or a whole number from {SMALLEST_FRACTION} to {high}"
    return f"a whole number from {-INT_MAX - 1 if low is None else low} to {high}"


def _write_scalar(state: _State, key: str, text: str) -> str | None:
    taken = parse_integers(text, 1, *accepted_range(state.machine, key))
    if taken.values:
        state.sysctls[key] = str(taken.values[0])
    return taken.error


def _write_min_free(state: _State, key: str, text: str) -> str | None:
    error = _write_scalar(state, key, text)
    if state.machine.rules.sysctl.min_free_checked and error is not None:
        return error
    state.user_min_free_kbytes = state.min_free()
    _set_marks(state)
    return None


def _write_marks_setting(state: _State, key: str, text: str) -> str | None:
    error = _write_scalar(state, key, text)
    if error is None:
        _set_marks(state)
    return error


def _write_ratio(state: _State, key: str, text: str) -> str | None:
    rules = state.machine.rules
    old = _ratio_in_force(state)
    new, error = write_vector(old, text, strict=rules.sysctl.ratio_strict)
    if error is not None:
        return error
    ratio = effective_ratio(new, rules.reserve)
    state.sysctls[key] = " ".join(map(str, ratio))
    if state.machine.fit.layout is None:
        raise ModelError("the zones of this machine cannot be placed, so its reserves cannot be predicted")
    predicted = predict_protection(state.machine.nodes, state.machine.fit.layout, ratio, rules.reserve)
    state.protection = [
        None if zone.protection_pages is None else predicted[zone.node, zone.name] for zone in state.machine.zones
    ]
    return None


def _ratio_in_force(state: _State) -> tuple[int, ...]:
    text, layout = state.sysctls.get(RATIO), state.machine.fit.layout
    if text is not None:
        return tuple(int(word) for word in text.split())
    if layout is None:
        raise ModelError(f"{RATIO} is not in this capture and its zones cannot be placed")
    state.assumptions.append(f"{RATIO} is not in this capture; the kernel's own values were taken")
    return default_ratio(layout, state.machine.rules.reserve)


def _write_pagelist_fraction(state: _State, key: str, text: str) -> str | None:
    # Kernel: percpu_pagelist_high_fraction_sysctl_handler(): 0 switches it off, else at most an eighth of a zone.
    old = state.sysctls[key]
    error = _write_scalar(state, key, text)
    if error is None and 0 < int(state.sysctls[key]) < SMALLEST_FRACTION:
        state.sysctls[key], error = old, "EINVAL"
    return error


_PERCENTAGES = frozenset(
    {
        *("vm.min_unmapped_ratio", "vm.min_slab_ratio", "vm.compaction_proactiveness"),
        *("vm.dirty_background_ratio", "vm.dirty_ratio"),
    }
)
_PAGELIST_FRACTIONS = ("vm.percpu_pagelist_fraction", "vm.percpu_pagelist_high_fraction")
SMALLEST_FRACTION = 8
"""Kernel: MIN_PERCPU_PAGELIST_FRACTION and MIN_PERCPU_PAGELIST_HIGH_FRACTION."""
_PLAIN = frozenset(
    {
        *(RECLAIM_MODE, "vm.extfrag_threshold", "vm.defrag_mode", "vm.swappiness"),
        *("vm.vfs_cache_pressure", "vm.watermark_boost_factor"),
    }
)

_HANDLERS: Mapping[str, Callable[[_State, str, str], str | None]] = {
    **dict.fromkeys(_PERCENTAGES | _PLAIN, _write_scalar),
    **dict.fromkeys(_PAGELIST_FRACTIONS, _write_pagelist_fraction),
    MIN_FREE: _write_min_free,
    SCALE_FACTOR: _write_marks_setting,
    EXTRA_FREE: _write_marks_setting,
    RATIO: _write_ratio,
}

KEYS = frozenset(_HANDLERS)
"""The settings that can be simulated."""


def _write_huge_switch(state: _State, text: str) -> str | None:
    machine = state.machine
    if machine.huge_pages is None:
        return "ENOENT"
    if text not in HUGE_WORDS:
        return "EINVAL"
    state.huge_word = text
    state.machine = machine = replace(machine, huge_pages=replace(machine.huge_pages, enabled=text))
    rules = machine.rules.min_free
    if machine.huge_pages_on:
        lowmem = nr_free_buffer_pages(machine.zones, [m.high_pages for m in state.marks], rules)
        huge = set_recommended_min_free_kbytes(machine.zones, lowmem, machine.pageblock_pages, machine.page_size, rules)
        if not machine.pageblock_read:
            state.assumptions.append(f"a page block is {machine.pageblock_pages} pages (not in this capture)")
        if huge.recommended_kb > state.min_free():
            state.sysctls[MIN_FREE] = str(huge.recommended_kb)
        _set_marks(state)
    elif rules.huge_restores:
        _recalculate_min_free(state)
        _set_marks(state)
    return None


def _recalculate_min_free(state: _State) -> None:
    # Kernel: calculate_min_free_kbytes(). The comparison with the user's value takes the number before its clamps.
    machine = state.machine
    lowmem = nr_free_buffer_pages(machine.zones, [m.high_pages for m in state.marks], machine.rules.min_free)
    if square_root_kb(lowmem, machine.page_size) > state.user_min_free_kbytes:
        state.sysctls[MIN_FREE] = str(calculate_min_free_kbytes(lowmem, machine.page_size, machine.rules.min_free))
    if state.user_min_free_kbytes == NEVER_WRITTEN:
        state.assumptions.append(f"{MIN_FREE} was never written by hand since boot")


def _set_marks(state: _State) -> None:
    # A recomputation clears every boost, so these are the marks as printed afterwards.
    machine = state.machine
    extra, scale = state.integer(EXTRA_FREE), state.integer(SCALE_FACTOR)
    computed = setup_per_zone_wmarks(
        machine.zones,
        state.min_free(),
        machine.fit.watermark_scale_factor if scale is None else scale,
        machine.rules.watermarks,
        machine.page_size,
        machine.fit.extra_free_kbytes if extra is None else extra,
    )
    # Where the release is not known, the rules are those of the oldest that it may be.
    keeps = machine.rules.watermarks.keeps_boost and machine.version is not None
    kept = state.boosts if keeps else [0] * len(state.boosts)
    state.marks = [marks.with_boost_left(boost) for marks, boost in zip(computed, kept, strict=True)]
    state.boosts = [0] * len(state.boosts)
    for zone, boost in zip(machine.zones, kept, strict=True):
        if boost:
            state.assumptions.append(
                f"node {zone.node} {zone.name} is boosted by {boost} pages, and a write during a boost leaves it in "
                "low and high on this kernel (5.0 to 5.7); another write takes it out"
            )


def _zone_states(state: _State) -> tuple[ZoneState, ...]:
    return tuple(
        ZoneState(zone.node, zone.name, _as_printed(marks, zone.promo_pages), protection)
        for zone, marks, protection in zip(state.machine.zones, state.marks, state.protection, strict=True)
    )


def _as_printed(marks: Marks, printed_promo: int | None) -> Marks:
    return marks if printed_promo is not None else replace(marks, promo_pages=None)


def _totalreserve(machine: Machine, states: Sequence[ZoneState]) -> int:
    return totalreserve_pages(
        machine.zones,
        [state.marks.high_pages for state in states],
        [state.protection_pages for state in states],
        machine.rules.watermarks.size,
    )
