"""How an emulated stream's archive behaves, where the real one's behaviour is undocumented or changes.

AWS documents neither the order of GetMediaForFragmentList's answer nor, for certain, the spelling of its tags. It
reports a fragment that it does not find with a document inside a 200 answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum


class ArchiveOrder(Enum):
    """Order of the fragments in an answer of GetMediaForFragmentList."""

    REQUEST = "as they were asked for"
    SHUFFLED = "shuffled"


class ArchiveSpelling(Enum):
    """Spelling of the timestamp tags in an answer of GetMediaForFragmentList."""

    SAME = "as GetMedia spells them"
    SIDE = "SERVER_SIDE_TIMESTAMP, PRODUCER_SIDE_TIMESTAMP: as the service model names them"


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveBehaviour:
    """How the archive APIs answer.

    Args:
        seed: shuffles the listings, and shuffled answers.
        order: order of an answer's fragments.
        spelling: spelling of an answer's timestamp tags.
        late: for the number of a fragment, in how many listings it does not stand yet: the listing is eventually
            consistent.
        not_found: for the number of a fragment, in how many answers a document with error 3000 stands in its place;
            None for every answer.
        age_ms: time since the stream's newest fragment, ms; it counts for the retention of listings.
    """

    seed: int = 0
    order: ArchiveOrder = ArchiveOrder.REQUEST
    spelling: ArchiveSpelling = ArchiveSpelling.SAME
    late: Mapping[str, int] = field(default_factory=dict)
    not_found: Mapping[str, int | None] = field(default_factory=dict)
    age_ms: int = 0


USUAL_ARCHIVE = ArchiveBehaviour()
