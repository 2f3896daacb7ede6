"""Requests that can use only the low zones of a machine: what its reserves keep for them, and from whom."""

from dataclasses import dataclass

from pagewarden.diagnose.replay import Replay, ZoneReplay, is_empty, layouts_of
from pagewarden.kernel.rules import rules_for
from pagewarden.klog.types import Report, ZoneDump
from pagewarden.units import kb_to_pages

_ANON = ("active_anon", "inactive_anon")
_LISTS = (*_ANON, "active_file", "inactive_file", "unevictable", "active", "inactive")


@dataclass(frozen=True, slots=True)
class Reserve:
    """What the zone that decided keeps for requests that can use no higher one.

    :ivar kept_pages: the least that is kept from any request that can go higher.
    :ivar own_pages: at least what requests that cannot had taken themselves: all others are refused from the min mark
        and what is kept down. 0 where nothing tells.
    :ivar others_pages: pages of programs and page cache in the zone: they could lie higher. None where not printed.
    :ivar short_pages: what the request was short of.
    :ivar unheld: nothing is kept from movable requests (most of what programs use, and their page cache).
    :ivar alone: nothing is kept from anybody, and no higher zone of its node is known: no ratio changes that.
    :ivar mended: the releases that keep something from these again; empty where that is not known.
    """

    zone: ZoneReplay
    kept_pages: int
    own_pages: int
    others_pages: int | None
    short_pages: int
    unheld: bool
    alone: bool
    mended: str

    @property
    def nobody_else(self) -> str:
        """That none lie there who could lie higher, in words; empty where that is not known."""
        if self.others_pages is None:
            return ""
        cache = "" if self.zone.dump.zone == "Normal" else "page cache or "
        return f"next to no {cache}memory of programs"

    @property
    def larger_helps(self) -> bool:
        """A larger reserve would have kept pages for the request: somebody was there whom it keeps out."""
        if self.unheld or self.alone:
            return False
        # A reserve smaller than the shortage: others may have had the rest.
        return not self.own_pages or self.kept_pages <= self.short_pages or (self.others_pages or 0) > self.short_pages


def reserve_of(report: Report, replay: Replay) -> Reserve | None:
    """Look at the largest zone of those the request may use and was short in; None where none was checked."""
    short = [zone for zone in replay.zones if zone.usable and zone.check is not None and zone.check.short_pages]
    if not short:
        return None
    zone = max(short, key=lambda each: each.dump.managed_kb or each.dump.present_kb or 0)
    assert zone.check is not None
    kept = _kept_from_others(report, replay, zone.dump)
    least, page_size = min(kept, default=0), replay.page_size
    gone = least + kb_to_pages(zone.dump.min_kb or 0, page_size) - kb_to_pages(zone.dump.free_kb or 0, page_size)
    unheld = any(kept) and kept[-1] == 0
    above = [each for each in replay.zones if each.usable is False and not each.by_node and not is_empty(each.dump)]
    return Reserve(
        zone=zone,
        kept_pages=least,
        own_pages=max(0, gone) if least else 0,
        others_pages=_others_pages(zone.dump, replay),
        short_pages=zone.check.short_pages,
        unheld=unheld,
        alone=bool(kept) and not any(kept) and all(each.dump.node != zone.dump.node for each in above),
        mended=_mended_in(replay) if unheld else "",
    )


def _kept_from_others(report: Report, replay: Replay, dump: ZoneDump) -> tuple[int, ...]:
    """What is kept from requests that can go higher, the last of them movable ones; nobody asks for Device."""
    row = dump.lowmem_reserve_pages or ()
    layout = next((each for each in layouts_of(report, len(row)) if not any(row[: each.index(dump.zone) + 1])), ())
    highest = replay.flags.zone if replay.flags is not None else None
    named = [name for name in layout if name != "Device"]
    return row[named.index(highest if highest in named else "Normal") + 1 : len(named)] if named else ()


def _mended_in(replay: Replay) -> str:
    """Kernel: setup_per_zone_lowmem_reserve(), 96a5c186efff (6.10), reverted by eae116d1f044 (6.14)."""
    rules = rules_for(replay.version).reserve
    return "6.12.19, 6.13.7 or 6.14" if replay.version is not None and rules.empty_upper_zero else ""


def _others_pages(dump: ZoneDump, replay: Replay) -> int | None:
    names = _ANON if dump.zone == "Normal" else _LISTS  # blocks of disks are cached below HighMem only
    lists = [dump.values_kb[name] for name in names if name in dump.values_kb]
    return sum(kb_to_pages(size, replay.page_size) for size in lists) if lists else None
