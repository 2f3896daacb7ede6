"""The JSON of `pagewarden gfp`."""

from dataclasses import dataclass, field
from typing import Literal

from pagewarden.kernel.gfp_readings import Reading
from pagewarden.kernel.gfp_rights import CallerRights
from pagewarden.kernel.gfp_tables import MEANINGS
from pagewarden.report.document import Document, said


@dataclass(frozen=True, slots=True, kw_only=True)
class GfpFlag(Document):
    """One flag that is set."""

    name: str
    bit: int | None = field(metadata=said("null where the numbering has no such flag"))
    meaning: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class GfpReading(Document):
    """The mask as some kernels read it."""

    kernels: str
    mask: int | None = field(metadata=said("null where these kernels lack one of the names given"))
    name: str = field(metadata=said("as a current kernel prints it"))
    sense: Literal["sensible", "odd", "impossible"]
    reasons: list[str] = field(metadata=said("why it is odd or impossible"))
    flags: list[GfpFlag]
    unknown_bits: int
    unknown_names: list[str]
    zone: str | None = field(metadata=said("the highest zone allowed; null where the zone bits exclude each other"))
    may_sleep: bool
    wakes_kswapd: bool
    migrate_type: str = field(metadata=said("U, M or E: the free lists it is served from first"))
    min_mark_share: str | None = field(
        metadata={
            "description": "the part of a zone's min mark that must stay free, for example 3/8; null without a kernel"
        }
    )
    highatomic: bool | None = field(metadata=said("pages of the highatomic reserve count; null where not known"))
    cma: bool | None = field(metadata=said("CMA pages count; null where not known"))


@dataclass(frozen=True, slots=True, kw_only=True)
class GfpDocument(Document):
    """`pagewarden gfp --format json`: one reading for the kernel given, or one for each numbering."""

    schema: Literal["pagewarden.gfp/1"] = "pagewarden.gfp/1"
    mask: int | None
    names: str | None
    kernel: str | None
    readings: list[GfpReading]


def gfp_document(
    mask: int | None,
    names: tuple[str, ...] | None,
    kernel: str | None,
    readings: tuple[Reading, ...],
    rights: CallerRights | None,
) -> GfpDocument:
    """Build the document; `rights` are those on the kernel given."""
    return GfpDocument(
        mask=mask,
        names=None if names is None else "|".join(names),
        kernel=kernel,
        readings=[_reading(reading, rights) for reading in readings],
    )


def _reading(reading: Reading, rights: CallerRights | None) -> GfpReading:
    flags, generation = reading.flags, reading.generations[-1]
    return GfpReading(
        kernels=reading.kernels,
        mask=reading.mask,
        name=reading.name,
        sense=reading.sense.value,
        reasons=list(reading.reasons),
        flags=[
            GfpFlag(name=name, bit=generation.bit(name) or None, meaning=MEANINGS.get(name))
            for name in sorted(flags.flags, key=generation.bit)
        ],
        unknown_bits=flags.unknown_bits,
        unknown_names=list(flags.unknown_names),
        zone=flags.zone,
        may_sleep=flags.can_direct_reclaim,
        wakes_kswapd=flags.wakes_kswapd,
        migrate_type=flags.migrate_type,
        min_mark_share=None if rights is None else str(rights.min_mark_share),
        highatomic=None if rights is None else rights.highatomic,
        cma=None if rights is None else rights.cma,
    )
