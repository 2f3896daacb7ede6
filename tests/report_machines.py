"""The machine a report speaks of, as its kernel would show it in /proc: made from the zones the report prints."""

from dataclasses import replace

from pagewarden.diagnose.diagnosis import Diagnosis
from pagewarden.diagnose.min_free import MinFreeAtReport, min_free_at_report
from pagewarden.procfs.types import Node, Snapshot


def machine_of_report(diagnosis: Diagnosis) -> Snapshot | None:
    """A snapshot with the zones, marks and reserves of a report; None where it does not print enough of them."""
    setting = min_free_at_report(diagnosis.report, diagnosis.replay)
    if setting is None or diagnosis.replay.version is None:
        return None
    reserves = {(dump.node or 0, dump.zone): dump.lowmem_reserve_pages for dump in diagnosis.report.zones}
    zones = tuple(
        replace(
            zone,
            min_pages=zone.min_pages - (zone.boost_pages or 0),
            low_pages=zone.low_pages - (zone.boost_pages or 0),
            high_pages=zone.high_pages - (zone.boost_pages or 0),
            boost_pages=None if zone.boost_pages is None else 0,
            free_pages=zone.high_pages * 2,
            protection_pages=reserves[zone.node, zone.name],
        )
        for zone in setting.zones
    )
    numbers = sorted({zone.node for zone in zones})
    return Snapshot(
        source="a report",
        live=False,
        kernel=diagnosis.report.release or f"{diagnosis.replay.version}",
        banner=None,
        arch=diagnosis.report.arch,
        page_size=setting.page_size,
        page_size_assumed=False,
        nodes=tuple(Node(number, tuple(z for z in zones if z.node == number)) for number in numbers),
        sysctls=_sysctls(setting),
        host=diagnosis.report.host,
    )


def _sysctls(setting: MinFreeAtReport) -> dict[str, str]:
    found = {"vm.min_free_kbytes": str(setting.value_kb)}
    if setting.rules.sysctl.scale_factor_max is not None:
        found["vm.watermark_scale_factor"] = "10"
    return found
