"""Writes Matroska fragments as GetMedia serves them, byte by byte and without any Matroska library.

The synthesizer and the tests use it. It shares no code with `connect_audio.core`: its description of a
fragment is an independent oracle for the parser. Without a layout a fragment equals a published dump of a real
Connect fragment, offset by offset. `FragmentLayout` switches to every other known form.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from functools import cache, lru_cache
from itertools import pairwise
from typing import NamedTuple

FROM_CUSTOMER = "AUDIO_FROM_CUSTOMER"
TO_CUSTOMER = "AUDIO_TO_CUSTOMER"
LEGACY_TRACK_NAME = "Track_audio/L16"

_NS_PER_MS = 1_000_000

# Element IDs, RFC 8794 and RFC 9559.
_EBML = 0x1A45DFA3
_EBML_VERSION, _EBML_READ_VERSION, _EBML_MAX_ID_LENGTH, _EBML_MAX_SIZE_LENGTH = 0x4286, 0x42F7, 0x42F2, 0x42F3
_DOC_TYPE, _DOC_TYPE_VERSION, _DOC_TYPE_READ_VERSION = 0x4282, 0x4287, 0x4285
_CRC_32, _VOID = 0xBF, 0xEC
_SEGMENT = 0x18538067
_SEEK_HEAD, _SEEK, _SEEK_ID, _SEEK_POSITION = 0x114D9B74, 0x4DBB, 0x53AB, 0x53AC
_INFO, _SEGMENT_UID, _TIMECODE_SCALE = 0x1549A966, 0x73A4, 0x2AD7B1
_TITLE, _MUXING_APP, _WRITING_APP = 0x7BA9, 0x4D80, 0x5741
_TRACKS, _TRACK_ENTRY, _TRACK_NUMBER, _TRACK_UID, _TRACK_TYPE = 0x1654AE6B, 0xAE, 0xD7, 0x73C5, 0x83
_NAME, _CODEC_ID, _CODEC_PRIVATE = 0x536E, 0x86, 0x63A2
_AUDIO, _SAMPLING_FREQUENCY, _CHANNELS, _BIT_DEPTH = 0xE1, 0xB5, 0x9F, 0x6264
_TAGS, _TAG, _SIMPLE_TAG, _TAG_NAME, _TAG_STRING = 0x1254C367, 0x7373, 0x67C8, 0x45A3, 0x4487
_CLUSTER, _TIMECODE, _POSITION = 0x1F43B675, 0xE7, 0xA7
_SIMPLE_BLOCK, _BLOCK_GROUP, _BLOCK, _BLOCK_DURATION = 0xA3, 0xA0, 0xA1, 0x9B

_AUDIO_TRACK_TYPE = 2
_SEGMENT_UID_VALUE = b"\x11" * 16
# The dump masks the two bytes; these are the ones of the AAC-LC streams that Connect claims to send.
_CODEC_PRIVATE_VALUE = b"\x11\x90"
_APP = b"Kinesis Video SDK 1.1.0 JNI 2.0"
_KEYFRAME = 0x80


# --- values ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TrackCodec:
    """The codec that one TrackEntry names in place of the layout's.

    Args:
        codec_id: the CodecID, for example `A_OPUS`; empty for none.
        codec_private: the CodecPrivate; empty for none.
        rate: SamplingFrequency of the Audio master, Hz; None for no Audio master.
    """

    codec_id: str
    codec_private: bytes = b""
    rate: int | None = None


@dataclass(frozen=True, slots=True)
class Track:
    """One TrackEntry.

    Args:
        number: track number, 1 to 2**56 - 2; above 126 it takes more than one byte in every block.
        name: `AUDIO_FROM_CUSTOMER`, `AUDIO_TO_CUSTOMER`, or `Track_audio/L16` as the legacy single track is named.
        uid: TrackUID; Connect's do not equal the track numbers.
        codec: its codec; None for the layout's.
    """

    number: int
    name: str
    uid: int = 1
    codec: TrackCodec | None = None


CONNECT_TRACKS = (Track(1, TO_CUSTOMER, uid=2), Track(2, FROM_CUSTOMER, uid=1))
"""The tracks of the dump, in its order."""


@dataclass(frozen=True, slots=True)
class Block:
    """One block of one track's audio.

    Args:
        track_number: the track it belongs to.
        time_ns: its start in nanoseconds since the epoch; written rounded down to a tick of the TimecodeScale.
        pcm: payload in s16le; any number of bytes.
    """

    track_number: int
    time_ns: int
    pcm: bytes

    @classmethod
    def at_ms(cls, track_number: int, time_ms: int, pcm: bytes) -> Block:
        """Make a block that starts at a time in milliseconds since the epoch."""
        return cls(track_number, time_ms * _NS_PER_MS, pcm)


@dataclass(frozen=True, slots=True)
class InBandError:
    """An error inside a 200 body.

    Args:
        error_id: AWS's number, 3002 to 5000 (`AWS_KINESISVIDEO_ERROR_ID`).
        error_code: the string beside it (`AWS_KINESISVIDEO_ERROR_CODE`).
    """

    error_id: int
    error_code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FragmentContents:
    """The content of a fragment, whatever its layout.

    Args:
        number: fragment number, a decimal number.
        producer_ms: producer timestamp, milliseconds since the epoch; also the first Cluster's timecode, unless
            `cluster_ms` gives another.
        server_ms: server timestamp, milliseconds since the epoch.
        contact_id: the `ContactId` tag, or None for a fragment that carries none.
        instance_id: the `InstanceId` tag, or None.
        tracks: the TrackEntries in their order.
        blocks: the blocks in their order. Without any, no Cluster is written (see `FragmentLayout.empty_cluster`).
        rate: samples a second, for MimeType and the Audio master.
        millis_behind_now: the `AWS_KINESISVIDEO_MILLIS_BEHIND_NOW` tag, or None for none.
        error: an in-band error, beside the continuation token.
        other_tags: further producer tags such as `Events`, as pairs of name and value.
        cluster_ms: the first Cluster's timecode, milliseconds since the epoch; None for the producer timestamp.
    """

    number: str
    producer_ms: int
    server_ms: int
    contact_id: str | None
    instance_id: str | None
    tracks: Sequence[Track] = CONNECT_TRACKS
    blocks: Sequence[Block] = ()
    rate: int = 8000
    millis_behind_now: int | None = 0
    error: InBandError | None = None
    other_tags: Sequence[tuple[str, str]] = ()
    cluster_ms: int | None = None


# --- layouts ---------------------------------------------------------------------------------------------------------


class Placement(Enum):
    """The place of a producer's tags."""

    BEFORE_AND_AFTER = "before and after the Clusters"
    BEFORE = "only before the Clusters"
    AFTER = "only after the Clusters"
    NOWHERE = "nowhere"


class Lacing(Enum):
    """How several frames share one block; the value is the block's flag bits (RFC 9559, section 10.3)."""

    NONE = 0x00
    XIPH = 0x02
    FIXED = 0x04
    EBML = 0x06


class Codec(Enum):
    """The codec that a TrackEntry names; the payload is s16le in any case."""

    AAC_LIE = "A_AAC with a CodecPrivate and no Audio master, as Connect does"
    PCM = "A_PCM/INT/LIT with an Audio master"


class MimeType(Enum):
    """The form of the MimeType tag; `{rate}` is the contents' rate."""

    CONNECT = "audio/L16;rate={rate};channels=1;"
    NO_TRAILING_SEMICOLON = "audio/L16;rate={rate};channels=1"
    SPACED = "audio/L16; rate={rate}; channels=1"
    UPPER_CASE = "AUDIO/L16;RATE={rate};CHANNELS=1;"
    MISSING = ""


class AudioTags(Enum):
    """The value of the `AUDIO_FROM_CUSTOMER` and `AUDIO_TO_CUSTOMER` tags."""

    TRACK_UID = "the track's UID, which contradicts its number, as in the dump"
    TRACK_NUMBER = "the track's number"
    MISSING = "no such tags"


class Spelling(Enum):
    """How the timestamp and error tags are spelt."""

    GET_MEDIA = "AWS_KINESISVIDEO_SERVER_TIMESTAMP, _ERROR_CODE, _ERROR_ID"
    FRAGMENT_LIST = "AWS_KINESISVIDEO_SERVER_SIDE_TIMESTAMP, _EXCEPTION_ERROR_CODE, _EXCEPTION_MESSAGE"


@dataclass(frozen=True, slots=True, kw_only=True)
class FragmentLayout:
    """How a fragment is written. The defaults are a real Connect fragment.

    Args:
        segment_size_known: declare the Segment's size rather than leave it unknown.
        cluster_size_known: declare each Cluster's size rather than leave it unknown.
        size_width: bytes of every size field, 1 to 8; a size that does not fit takes as many as it needs. None is
            Connect's mixture. It is the width of unknown sizes too.
        crc_32: a CRC-32 opens every level-1 master of known size.
        void_bytes: payload of a Void element at the head of the Segment and of every level-1 master but Tags; None for
            no such elements.
        seek_head: a SeekHead opens the Segment.
        tags_before_info: the producer's tags stand before Info and Tracks.
        contact_tags: place of ContactId.
        producer_tags: place of the other producer tags.
        blocks_per_cluster: open a new Cluster after so many blocks; None for one Cluster, unless a block lies too
            far from its Cluster for a 16-bit timecode.
        empty_cluster: write a Cluster even where there is no block.
        block_groups: BlockGroups with BlockDuration in place of SimpleBlocks.
        lacing: how blocks are laced.
        laced_frames: frames a block is split into where lacing is on; fewer where a block is too short or, for fixed
            lacing, does not divide. Samples are split only where a block has an odd size.
        track_number_width: least number of bytes of the track number in a block, 1 to 8.
        name_padding: NUL bytes behind each track's name.
        codec: codec of the TrackEntries.
        mime_type: the form of the MimeType tag.
        audio_tags: the AUDIO_* tags.
        spelling: how AWS's tags are spelt.
        timecode_scale: nanoseconds a tick.
        continuation_token: True ends the fragment with its token.
    """

    segment_size_known: bool = False
    cluster_size_known: bool = False
    size_width: int | None = None
    crc_32: bool = False
    void_bytes: int | None = None
    seek_head: bool = False
    tags_before_info: bool = False
    contact_tags: Placement = Placement.BEFORE_AND_AFTER
    producer_tags: Placement = Placement.BEFORE_AND_AFTER
    blocks_per_cluster: int | None = None
    empty_cluster: bool = False
    block_groups: bool = False
    lacing: Lacing = Lacing.NONE
    laced_frames: int = 4
    track_number_width: int = 1
    name_padding: int = 0
    codec: Codec = Codec.AAC_LIE
    mime_type: MimeType = MimeType.CONNECT
    audio_tags: AudioTags = AudioTags.TRACK_UID
    spelling: Spelling = Spelling.GET_MEDIA
    timecode_scale: int = _NS_PER_MS
    continuation_token: bool = True


CONNECT_LAYOUT = FragmentLayout()


def write_fragment(contents: FragmentContents, layout: FragmentLayout = CONNECT_LAYOUT) -> bytes:
    """Write one fragment: an EBML header and a Segment.

    Args:
        contents: the fragment's content.
        layout: how it is written.

    Returns:
        The bytes, as one part of a GetMedia body.
    """
    return _Writer(contents, layout).fragment()


# --- EBML ------------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=4096)
def _vint(value: int, width: int = 1) -> bytes:
    """A variable-size integer of at least `width` bytes; all ones is reserved for "unknown"."""
    while value >= (1 << 7 * width) - 1:
        width += 1
    return (value | 1 << 7 * width).to_bytes(width, "big")


def _unknown_size(width: int) -> bytes:
    return ((1 << 7 * width + 1) - 1).to_bytes(width, "big")


@cache
def _id(element_id: int) -> bytes:
    return element_id.to_bytes((element_id.bit_length() + 7) // 8, "big")


def _uint(value: int) -> bytes:
    return value.to_bytes(max(1, (value.bit_length() + 7) // 8), "big")


# --- one fragment ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Writer:
    contents: FragmentContents
    layout: FragmentLayout

    def element(self, element_id: int, payload: bytes, width: int = 1) -> bytes:
        """An element whose size field has Connect's width unless the layout sets another."""
        return _id(element_id) + _vint(len(payload), self.layout.size_width or width) + payload

    def master(self, element_id: int, payload: bytes, width: int, *, size_known: bool = True) -> bytes:
        """A level-1 master or the Segment: the elements that may have an unknown size, a Void or a CRC-32."""
        if self.layout.void_bytes is not None:
            payload = self.element(_VOID, bytes(self.layout.void_bytes)) + payload
        if not size_known:
            return _id(element_id) + _unknown_size(self.layout.size_width or width) + payload
        if self.layout.crc_32:
            payload = self.element(_CRC_32, zlib.crc32(payload).to_bytes(4, "little")) + payload
        return self.element(element_id, payload, width)

    def fragment(self) -> bytes:
        recurring = self.recurring()
        return recurring.ebml_header + self.segment(recurring)

    def recurring(self) -> _Recurring:
        """The parts that are the same in every fragment of a call."""
        contents = self.contents
        return _recurring(
            _Writer(
                replace(
                    contents,
                    number="",
                    producer_ms=0,
                    server_ms=0,
                    tracks=tuple(contents.tracks),
                    blocks=(),
                    millis_behind_now=None,
                    error=None,
                    other_tags=tuple(contents.other_tags),
                    cluster_ms=None,
                ),
                self.layout,
            )
        )

    def ebml_header(self) -> bytes:
        return self.element(
            _EBML,
            self.element(_EBML_VERSION, b"\x01")
            + self.element(_EBML_READ_VERSION, b"\x01")
            + self.element(_EBML_MAX_ID_LENGTH, b"\x04")
            + self.element(_EBML_MAX_SIZE_LENGTH, b"\x08")
            + self.element(_DOC_TYPE, b"matroska")
            + self.element(_DOC_TYPE_VERSION, b"\x02")
            + self.element(_DOC_TYPE_READ_VERSION, b"\x02"),
        )

    def segment(self, recurring: _Recurring) -> bytes:
        layout = self.layout
        _, structure, producer_tags, tags_after = recurring
        head = producer_tags + structure if layout.tags_before_info else structure + producer_tags
        tail = self.aws_tags_before() + self.clusters() + tags_after + self.aws_tags_after()
        seek_head = self.seek_head(producer_tags) if layout.seek_head else b""
        return self.master(_SEGMENT, seek_head + head + tail, 8, size_known=layout.segment_size_known)

    def seek_head(self, producer_tags: bytes) -> bytes:
        # As if nothing but the producer's tags stood before them. Readers of a stream cannot seek, so none may care.
        position = len(producer_tags) if self.layout.tags_before_info else 0
        entries = b""
        for element_id, at in ((_INFO, position), (_TRACKS, position + len(self.info()))):
            seek = self.element(_SEEK_ID, _id(element_id)) + self.element(_SEEK_POSITION, _uint(at))
            entries += self.element(_SEEK, seek)
        return self.master(_SEEK_HEAD, entries, 2)

    def info(self) -> bytes:
        return self.master(
            _INFO,
            self.element(_SEGMENT_UID, _SEGMENT_UID_VALUE)
            + self.element(_TIMECODE_SCALE, self.layout.timecode_scale.to_bytes(8, "big"))
            + self.element(_TITLE, b"Kinesis Video SDK")
            + self.element(_MUXING_APP, _APP)
            + self.element(_WRITING_APP, _APP),
            2,
        )

    def tracks(self) -> bytes:
        return self.master(_TRACKS, b"".join(self.track_entry(track) for track in self.contents.tracks), 4)

    def track_entry(self, track: Track) -> bytes:
        if track.codec is not None:
            codec = self.track_codec(track.codec)
        elif self.layout.codec is Codec.PCM:
            audio = (
                self.element(_SAMPLING_FREQUENCY, struct.pack(">d", self.contents.rate))
                + self.element(_CHANNELS, b"\x01")
                + self.element(_BIT_DEPTH, b"\x10")
            )
            codec = self.element(_CODEC_ID, b"A_PCM/INT/LIT") + self.element(_AUDIO, audio)
        else:
            codec = self.element(_CODEC_ID, b"A_AAC") + self.element(_CODEC_PRIVATE, _CODEC_PRIVATE_VALUE)
        return self.element(
            _TRACK_ENTRY,
            self.element(_TRACK_NUMBER, _uint(track.number))
            + self.element(_TRACK_UID, track.uid.to_bytes(8, "big"))
            + self.element(_TRACK_TYPE, bytes([_AUDIO_TRACK_TYPE]))
            + self.element(_NAME, track.name.encode() + bytes(self.layout.name_padding))
            + codec,
            4,
        )

    def track_codec(self, named: TrackCodec) -> bytes:
        codec = self.element(_CODEC_ID, named.codec_id.encode()) if named.codec_id else b""
        if named.codec_private:
            codec += self.element(_CODEC_PRIVATE, named.codec_private)
        if named.rate is not None:
            audio = self.element(_SAMPLING_FREQUENCY, struct.pack(">d", named.rate)) + self.element(_CHANNELS, b"\x01")
            codec += self.element(_AUDIO, audio)
        return codec

    # --- tags ---

    def producer_tags(self, side: Placement) -> bytes:
        """Each tag in a Tags element of its own, as Connect's producer writes them."""
        wanted = (side, Placement.BEFORE_AND_AFTER)
        pairs: list[tuple[str, str]] = []
        contents, layout = self.contents, self.layout
        if contents.contact_id is not None and layout.contact_tags in wanted:
            pairs.append(("ContactId", contents.contact_id))
        if layout.producer_tags in wanted:
            if contents.instance_id is not None:
                pairs.append(("InstanceId", contents.instance_id))
            if layout.mime_type is not MimeType.MISSING:
                pairs.append(("MimeType", layout.mime_type.value.format(rate=contents.rate)))
            if layout.audio_tags is not AudioTags.MISSING:
                by_uid = layout.audio_tags is AudioTags.TRACK_UID
                pairs += [(track.name, str(track.uid if by_uid else track.number)) for track in contents.tracks]
            pairs += contents.other_tags
        return b"".join(self.tags([pair], 8) for pair in pairs)

    def aws_tags_before(self) -> bytes:
        side = "_SIDE" if self.layout.spelling is Spelling.FRAGMENT_LIST else ""
        return self.tags(
            [
                ("AWS_KINESISVIDEO_FRAGMENT_NUMBER", self.contents.number),
                (f"AWS_KINESISVIDEO_SERVER{side}_TIMESTAMP", _seconds(self.contents.server_ms)),
                (f"AWS_KINESISVIDEO_PRODUCER{side}_TIMESTAMP", _seconds(self.contents.producer_ms)),
            ],
            4,
        )

    def aws_tags_after(self) -> bytes:
        contents, layout = self.contents, self.layout
        pairs: list[tuple[str, str]] = []
        if contents.millis_behind_now is not None:
            pairs.append(("AWS_KINESISVIDEO_MILLIS_BEHIND_NOW", str(contents.millis_behind_now)))
        if contents.error is not None:
            code, error_id = contents.error.error_code, str(contents.error.error_id)
            if layout.spelling is Spelling.FRAGMENT_LIST:
                pairs.append(("AWS_KINESISVIDEO_EXCEPTION_ERROR_CODE", error_id))
                pairs.append(("AWS_KINESISVIDEO_EXCEPTION_MESSAGE", code))
            else:
                pairs.append(("AWS_KINESISVIDEO_ERROR_CODE", code))
                pairs.append(("AWS_KINESISVIDEO_ERROR_ID", error_id))
        if layout.continuation_token:
            pairs.append(("AWS_KINESISVIDEO_CONTINUATION_TOKEN", contents.number))
        return self.tags(pairs, 4) if pairs else b""

    def tags(self, pairs: Sequence[tuple[str, str]], width: int) -> bytes:
        simple_tags = b"".join(
            self.element(
                _SIMPLE_TAG,
                self.element(_TAG_NAME, name.encode(), width) + self.element(_TAG_STRING, value.encode(), width),
                width,
            )
            for name, value in pairs
        )
        payload = self.element(_TAG, simple_tags, width)
        if self.layout.crc_32:
            payload = self.element(_CRC_32, zlib.crc32(payload).to_bytes(4, "little")) + payload
        return self.element(_TAGS, payload, width)

    # --- audio ---

    def clusters(self) -> bytes:
        contents = self.contents
        cluster_ms = contents.producer_ms if contents.cluster_ms is None else contents.cluster_ms
        base = self.ticks(cluster_ms * _NS_PER_MS)
        if not contents.blocks:
            return self.cluster(base, b"") if self.layout.empty_cluster else b""
        return b"".join(self.cluster(at, b"".join(blocks)) for at, blocks in self.blocks_by_cluster(base))

    def blocks_by_cluster(self, base: int) -> Iterator[tuple[int, list[bytes]]]:
        """Timecode and written blocks of each Cluster.

        The first Cluster starts at `base`, each further one at its first block.
        """
        limit = self.layout.blocks_per_cluster
        written: list[bytes] = []
        for block in self.contents.blocks:
            at = self.ticks(block.time_ns)
            full = limit is not None and len(written) >= limit
            if full or not -0x8000 <= at - base <= 0x7FFF:
                if written:
                    yield base, written
                base, written = at, []
            written.append(self.block(block, at - base))
        yield base, written

    def cluster(self, timecode: int, blocks: bytes) -> bytes:
        payload = self.element(_TIMECODE, timecode.to_bytes(8, "big")) + self.element(_POSITION, b"\x00") + blocks
        return self.master(_CLUSTER, payload, 1, size_known=self.layout.cluster_size_known)

    def block(self, block: Block, relative: int) -> bytes:
        flags = self.layout.lacing.value | (0 if self.layout.block_groups else _KEYFRAME)
        payload = (
            _vint(block.track_number, self.layout.track_number_width)
            + relative.to_bytes(2, "big", signed=True)
            + bytes([flags])
            + self.laced(block.pcm)
        )
        if not self.layout.block_groups:
            return self.element(_SIMPLE_BLOCK, payload, 8)
        duration = self.ticks(len(block.pcm) // 2 * 1_000_000_000 // self.contents.rate)
        return self.element(
            _BLOCK_GROUP, self.element(_BLOCK, payload, 8) + self.element(_BLOCK_DURATION, _uint(duration)), 8
        )

    def laced(self, pcm: bytes) -> bytes:
        """The frames of a block behind their lacing header."""
        lacing = self.layout.lacing
        if lacing is Lacing.NONE:
            return pcm
        sizes = _frame_sizes(len(pcm), self.layout.laced_frames, equal=lacing is Lacing.FIXED)
        head = bytes([len(sizes) - 1])
        if lacing is Lacing.XIPH:
            head += b"".join(b"\xff" * (size // 255) + bytes([size % 255]) for size in sizes[:-1])
        elif lacing is Lacing.EBML and len(sizes) > 1:
            head += _vint(sizes[0])
            head += b"".join(_signed_vint(size - before) for before, size in pairwise(sizes[:-1]))
        return head + pcm

    def ticks(self, time_ns: int) -> int:
        return time_ns // self.layout.timecode_scale


class _Recurring(NamedTuple):
    """Parts of a fragment, written.

    Args:
        ebml_header: the EBML header.
        structure: Info and Tracks.
        tags_before: the producer's tags before the Clusters.
        tags_after: the producer's tags behind the Clusters.
    """

    ebml_header: bytes
    structure: bytes
    tags_before: bytes
    tags_after: bytes


@lru_cache(maxsize=64)
def _recurring(writer: _Writer) -> _Recurring:
    return _Recurring(
        writer.ebml_header(),
        writer.info() + writer.tracks(),
        writer.producer_tags(Placement.BEFORE),
        writer.producer_tags(Placement.AFTER),
    )


def _signed_vint(value: int) -> bytes:
    """A size difference of EBML lacing: offset by half the range (RFC 9559, section 10.3.3)."""
    width = 1
    while not -((1 << 7 * width - 1) - 1) <= value <= (1 << 7 * width - 1) - 1:
        width += 1
    return (value + (1 << 7 * width - 1) - 1 | 1 << 7 * width).to_bytes(width, "big")


def _frame_sizes(total: int, frames: int, *, equal: bool) -> list[int]:
    """Sizes of the frames that a block is split into: unequal ones unless they must be equal."""
    if equal:
        count = next(n for n in range(max(1, frames), 0, -1) if total % (2 * n) == 0 or n == 1)
        return [total // count] * count
    count = max(1, min(frames, total // 2))
    # Alternately a long and a short frame, so that both signs of EBML lacing's differences occur.
    samples = total // 2
    weights = [3 if index % 2 == 0 else 1 for index in range(count)]
    sizes = [max(1, samples * weight // (2 * sum(weights))) * 2 for weight in weights]
    sizes[-1] = total - sum(sizes[:-1])
    return sizes


def _seconds(ms: int) -> str:
    return f"{ms // 1000}.{ms % 1000:03d}"
