"""The fragment under way: what has come of it so far, and what its tags make of it. `core/fragments.py` drives it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import field
from typing import Final, NamedTuple, Self

from connect_audio.core.document_search import without_swallowed
from connect_audio.core.fragment import Block, Completion, Fragment
from connect_audio.core.in_band import ERROR_TAGS, InBandError
from connect_audio.core.matroska import TagValue, TrackEntry
from connect_audio.values import dataclass

FRAGMENT_OVERHEAD_BYTES: Final = 1024
"""Memory of a fragment that holds nothing, and more."""
TAG_OVERHEAD_BYTES: Final = 256
"""Memory of a tag beside its two texts, and more."""
TRACK_OVERHEAD_BYTES: Final = 512
"""Memory of a track beside its two texts, and more."""
MAX_CONTACT_IDS: Final = 4
"""Most distinct contacts that a fragment is known to name. Two are a contradiction already; others are passed over."""
MAX_CONTACT_ID_CHARS: Final = 256
"""Longest ContactId that is kept as it is; Connect's have 36 characters. A hash stands for the rest of a longer one."""

MAX_ERRORS: Final = 100
"""Most in-band errors that a fragment keeps; KVS reports one. Further ones are passed over."""

_AUDIO_TRACK: Final = 2
_DAY_NS: Final = 86_400_000_000_000
_PREFIX: Final = "AWS_KINESISVIDEO_"
_NUMBER: Final = _PREFIX + "FRAGMENT_NUMBER"
_TOKEN: Final = _PREFIX + "CONTINUATION_TOKEN"
_SERVER_TAGS: Final = frozenset({_PREFIX + "SERVER_TIMESTAMP", _PREFIX + "SERVER_SIDE_TIMESTAMP"})
_PRODUCER_TAGS: Final = frozenset({_PREFIX + "PRODUCER_TIMESTAMP", _PREFIX + "PRODUCER_SIDE_TIMESTAMP"})
_SECONDS: Final = re.compile(r"(\d{1,12})(?:\.(\d{1,9}))?", re.ASCII)
_DECIMAL: Final = re.compile(r"\d{1,128}", re.ASCII)


class Part(NamedTuple):
    """The known values of a fragment in the midst of its document, before its first element is read.

    Args:
        begun: True if something of it has come already.
        contact_ids: ContactId values that hold for it.
        number_tag: its number, where it goes on with the fragment before it.
        zero_ns: zero of its Cluster timecodes, where it goes on with the fragment before it.
    """

    begun: bool
    contact_ids: tuple[str, ...] = ()
    number_tag: str | None = None
    zero_ns: int | None = None


@dataclass(slots=True, eq=False)
class OpenFragment:
    """The fragment under way: what has come of it so far. Its reader alone changes it.

    Each fragment has an object of its own: identity separates one fragment from the next.

    Args:
        offset: offset of its first byte in the stream, bytes.
        contact_ids: the distinct ContactId values so far, in order.
        tags: every other SimpleTag so far as (name, value), in order.
        document_tags: SimpleTags of its document that hold where it has none of that name.
        timecode_scale_ns: ns a timecode tick.
        tracks: the TrackEntries.
        blocks: the whole blocks so far, in stream order.
        begun: False behind a continuation token, until a number, a Cluster or an error follows in the same document.
    """

    offset: int
    number: str | None = None
    server_timestamp_ms: int | None = None
    producer_timestamp_ms: int | None = None
    millis_behind_now: int | None = None
    contact_ids: list[str] = field(default_factory=list)
    tags: list[tuple[str, str]] = field(default_factory=list)
    document_tags: Sequence[tuple[str, str]] = ()
    timecode_scale_ns: int = 1_000_000
    tracks: tuple[TrackEntry, ...] = ()
    not_audio: frozenset[int] = frozenset()
    blocks: list[Block] = field(default_factory=list)
    errors: list[InBandError] = field(default_factory=list)
    held_bytes: int = FRAGMENT_OVERHEAD_BYTES  # an estimate that errs on the high side
    clusters: int = 0
    is_plain: bool = True  # nothing came that could be another document's elements
    cluster_timecode: int | None = None
    zero_ns: int | None = None  # zero of the Cluster timecodes, since the epoch; None before the first one
    begun: bool = True
    number_tag: str | None = None  # as it stands before its blocks, decimal or not
    has_token: bool = False  # before its first Cluster
    last_labels: list[str] = field(default_factory=list)  # ContactId values since its last block
    before: tuple[str | None, tuple[str, ...]] | None = None  # number and contacts before it, until it has begun

    @classmethod
    def after(cls, fragment: Fragment, part: Part) -> Self:
        """Make the draft of the fragment that may follow in the same document.

        Args:
            fragment: the fragment before it.
            part: the known values of the new one.
        """
        return cls(
            fragment.offset + fragment.size,
            contact_ids=list(part.contact_ids),
            number_tag=part.number_tag,
            zero_ns=part.zero_ns,
            document_tags=[tag for tag in fragment.tags if not tag[0].startswith(_PREFIX)],
            timecode_scale_ns=fragment.timecode_scale_ns,
            tracks=fragment.tracks,
            not_audio=_not_audio(fragment.tracks),
            is_plain=False,
            begun=part.begun,
            before=None if part.begun else (fragment.number, fragment.contact_ids),
        )

    def tag(self, name: str) -> str | None:
        """The first value of a tag so far, or None."""
        return next((value for tag_name, value in self._all_tags() if tag_name == name), None)

    def _all_tags(self) -> Sequence[tuple[str, str]]:
        if not self.document_tags:
            return self.tags
        names = {name for name, _ in self.tags}
        return [*self.tags, *(tag for tag in self.document_tags if tag[0] not in names)]

    def finish(self, completion: Completion, truncation: str | None, end: int) -> Fragment:
        """Make the fragment of what has come; `end` is the offset after its last byte."""
        if self.has_token and not self.clusters and completion is not Completion.TRUNCATED:
            completion = Completion.TOKEN
        return Fragment(
            number=self.number,
            server_timestamp_ms=self.server_timestamp_ms,
            producer_timestamp_ms=self.producer_timestamp_ms,
            millis_behind_now=self.millis_behind_now,
            contact_ids=tuple(self.contact_ids),
            tags=tuple(self._all_tags()),
            timecode_scale_ns=self.timecode_scale_ns,
            tracks=self.tracks,
            blocks=tuple(without_swallowed(self.blocks) if completion is Completion.TRUNCATED else self.blocks),
            errors=tuple(self.errors),
            completion=completion,
            truncation=truncation,
            offset=self.offset,
            size=end - self.offset,
            held_bytes=self.held_bytes,
        )

    def take_tracks(self, tracks: tuple[TrackEntry, ...], size: int) -> None:
        """Set the TrackEntries, which an element of `size` bytes held."""
        self.is_plain &= not self.clusters
        self.held_bytes += TRACK_OVERHEAD_BYTES * len(tracks) + 2 * size
        self.tracks = tracks
        self.not_audio = _not_audio(tracks)

    def take_timecode_scale(self, scale_ns: int) -> None:
        """Set the ns a timecode tick."""
        self.is_plain &= not self.clusters
        self.timecode_scale_ns = scale_ns

    def begin_cluster(self) -> None:
        """A Cluster begins."""
        self.begun, self.before = True, None
        self.clusters += 1
        self.cluster_timecode = None

    def take_timecode(self, timecode: int) -> None:
        """Set a Cluster's Timecode, ticks."""
        self.is_plain &= self.cluster_timecode is None
        self.cluster_timecode = timecode
        if self.zero_ns is None:
            self.zero_ns = _zero_ns(self, timecode * self.timecode_scale_ns)

    def goes_on(self) -> Part:
        """The known values of the fragment that a new Cluster begins, where nothing else separates it from this one."""
        # The tags of a document without numbers belong to all its Clusters.
        has_labels = self.number_tag is not None or self.number is None
        return Part(
            begun=True,
            contact_ids=tuple(self.contact_ids) if has_labels else (),
            number_tag=self.number_tag,
            zero_ns=self.zero_ns,
        )

    def ends_before(self, tags: Sequence[TagValue]) -> bool:
        """Return True if tags behind its blocks can only be of the next fragment in its document."""
        for name, value in tags:
            if name == _NUMBER and self.number_tag is not None and value != self.number_tag:
                return True
            if name == _TOKEN and self.has_token:
                return True
        return False

    def take_tags(self, tags: Sequence[TagValue], size: int) -> str | None:
        """Add the tags of an element of `size` bytes; return the continuation token if it is among them."""
        self.held_bytes += TAG_OVERHEAD_BYTES * len(tags) + 2 * size
        token = None
        error_values: list[str] = []
        for tag in tags:
            name, value = tag
            if name == "ContactId":
                self._take_label(value)
                continue
            self.tags.append(tag)
            if not name.startswith(_PREFIX):
                continue
            if name == _NUMBER:
                self.begun = True
                self.is_plain &= self.number_tag is None and not self.clusters
                self.number_tag = self.number_tag if self.blocks else value
                self.number = value if _DECIMAL.fullmatch(value) else None
            elif name in _SERVER_TAGS:
                self.server_timestamp_ms = _milliseconds(value)
            elif name in _PRODUCER_TAGS:
                self.producer_timestamp_ms = _milliseconds(value)
            elif name == "AWS_KINESISVIDEO_MILLIS_BEHIND_NOW":
                self.millis_behind_now = int(value) if _DECIMAL.fullmatch(value) else None
            elif name == _TOKEN:
                token = value
            elif name in ERROR_TAGS:
                error_values.append(value)
        if error_values:
            if not self.begun and self.before is not None:
                # An error that KVS reports after the continuation token comes as a fragment of its own.
                self.number, labels = self.before
                self.contact_ids += [label for label in labels if label not in self.contact_ids]
            self.begun = True
            if len(self.errors) < MAX_ERRORS:
                self.errors.append(InBandError.from_tags(error_values))
        return token

    def _take_label(self, contact_id: str) -> None:
        """Add a ContactId; more than two say no more than two, which contradict each other."""
        if not contact_id:
            return
        if len(contact_id) > MAX_CONTACT_ID_CHARS:
            from hashlib import sha256  # noqa: PLC0415 - OpenSSL takes a fiftieth of a short replay to load

            # Its beginning alone could be another one's.
            contact_id = f"{contact_id[:MAX_CONTACT_ID_CHARS]} {sha256(contact_id.encode()).hexdigest()}"
        for labels in (self.contact_ids, self.last_labels):
            if contact_id not in labels and len(labels) < MAX_CONTACT_IDS:
                labels.append(contact_id)

    def hides_nothing(self, token: str | None) -> bool:
        """Return True if no element of it can hide another document, given its continuation token.

        A document that an element had swallowed would go on behind it with its Cluster, or with blocks whose times
        begin anew. Its token would have another number.
        """
        if not self.is_plain or self.clusters != 1 or token != self.number_tag:
            return False
        newest: dict[int, int] = {}
        for track_number, time_ns, *_ in self.blocks:
            if newest.get(track_number, time_ns - 1) >= time_ns:
                return False
            newest[track_number] = time_ns
        return True


def _not_audio(tracks: Sequence[TrackEntry]) -> frozenset[int]:
    """Numbers of the tracks that are declared as something else than audio."""
    return frozenset(track.number for track in tracks if track.track_type not in {_AUDIO_TRACK, 0})


def _zero_ns(draft: OpenFragment, first_cluster_ns: int) -> int:
    """Find the zero of a fragment's Cluster timecodes, ns since the epoch.

    Connect's timecodes count from the epoch. Another producer's may count from the fragment's beginning or from that of
    the producer session. In both forms the first Cluster begins at the producer timestamp.
    """
    zero_ns = (draft.producer_timestamp_ms or 0) * 1_000_000 - first_cluster_ns
    return zero_ns if zero_ns > _DAY_NS else 0


def _milliseconds(seconds: str) -> int | None:
    """Turn KVS's seconds with a fraction, a string, into whole milliseconds; None where it is no such number."""
    match = _SECONDS.fullmatch(seconds)
    if match is None:
        return None
    return int(match[1]) * 1000 + int(f"{match[2] or '':0<3}"[:3])
