"""Makes of a fragment as GetMedia serves it the document that GetMediaForFragmentList serves.

The document has no MILLIS_BEHIND_NOW and no continuation token. Its timestamp tags may have another spelling.
"""

from __future__ import annotations

from collections.abc import Iterator

from connect_audio_local.kvs.capture import element_header

_EBML, _SEGMENT, _CLUSTER, _CRC_32 = 0x1A45DFA3, 0x18538067, 0x1F43B675, 0xBF
_TAGS, _TAG, _SIMPLE_TAG, _TAG_NAME, _TAG_STRING = 0x1254C367, 0x7373, 0x67C8, 0x45A3, 0x4487
_UNKNOWN_SIZE = b"\x01\xff\xff\xff\xff\xff\xff\xff"
_PREFIX = "AWS_KINESISVIDEO_"
_OF_GET_MEDIA = frozenset({f"{_PREFIX}MILLIS_BEHIND_NOW", f"{_PREFIX}CONTINUATION_TOKEN"})
_SIDE_NAMES = {
    f"{_PREFIX}SERVER_TIMESTAMP": f"{_PREFIX}SERVER_SIDE_TIMESTAMP",
    f"{_PREFIX}PRODUCER_TIMESTAMP": f"{_PREFIX}PRODUCER_SIDE_TIMESTAMP",
}


def archive_document(data: bytes, *, is_side: bool) -> bytes:
    """Rewrite the tags of one fragment.

    A Segment of known size gets an unknown size, and a CRC-32 over rewritten bytes is left out.

    Args:
        data: the fragment as GetMedia serves it.
        is_side: True spells the timestamp tags as the service model does.

    Raises:
        CaptureError: not one fragment.
    """
    written = bytearray()
    at = 0
    while at < len(data):
        element_id, size, body = element_header(data, at, "fragment")
        end = body if size is None else body + size
        if element_id == _SEGMENT:
            written += _id(_SEGMENT) + _UNKNOWN_SIZE
            end = body
        elif element_id == _TAGS:
            tags = _tags(data[body:end], is_side=is_side)
            written += _element(_TAGS, tags) if tags else b""
        elif element_id != _CRC_32:
            written += data[at:end]
        at = end
    return bytes(written)


def not_found_document(number: str) -> bytes:
    """Write the document that stands in the place of a fragment that is not found: error 3000, no Cluster.

    Args:
        number: the fragment's number.
    """
    pairs = ((f"{_PREFIX}ERROR_CODE", "FRAGMENT_NOT_FOUND"), (f"{_PREFIX}ERROR_ID", "3000"))
    tags = b"".join(_simple_tag(*pair) for pair in (*pairs, (f"{_PREFIX}FRAGMENT_NUMBER", number)))
    return _ebml_header() + _id(_SEGMENT) + _UNKNOWN_SIZE + _element(_TAGS, _element(_TAG, tags))


def _tags(payload: bytes, *, is_side: bool) -> bytes:
    """Rewrite the content of a Tags element; empty where no tag is left."""
    kept = bytearray()
    for element_id, body, whole in _children(payload):
        if element_id == _TAG:
            tag = _tag(body, is_side=is_side)
            kept += _element(_TAG, tag) if tag else b""
        elif element_id != _CRC_32:
            kept += whole
    return bytes(kept) if any(element_id == _TAG for element_id, _, _ in _children(bytes(kept))) else b""


def _tag(payload: bytes, *, is_side: bool) -> bytes:
    kept, count = bytearray(), 0
    for element_id, body, whole in _children(payload):
        if element_id != _SIMPLE_TAG:
            kept += whole
            continue
        texts = {child: text.rstrip(b"\0").decode() for child, text, _ in _children(body)}
        name = texts.get(_TAG_NAME, "")
        if name in _OF_GET_MEDIA:
            continue
        count += 1
        renamed = _SIDE_NAMES.get(name) if is_side else None
        kept += whole if renamed is None else _simple_tag(renamed, texts.get(_TAG_STRING, ""))
    return bytes(kept) if count else b""


def _children(payload: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Yield the elements of a master: ID, content, whole element."""
    at = 0
    while at < len(payload):
        element_id, size, body = element_header(payload, at, "fragment")
        end = len(payload) if size is None else body + size
        yield element_id, payload[body:end], payload[at:end]
        at = end


def _simple_tag(name: str, value: str) -> bytes:
    return _element(_SIMPLE_TAG, _element(_TAG_NAME, name.encode()) + _element(_TAG_STRING, value.encode()))


def _ebml_header() -> bytes:
    doc_type, version, read_version = 0x4282, 0x4287, 0x4285
    content = _element(doc_type, b"matroska") + _element(version, b"\x02") + _element(read_version, b"\x02")
    return _element(_EBML, content)


def _element(element_id: int, payload: bytes) -> bytes:
    return _id(element_id) + (len(payload) | 1 << 28).to_bytes(4, "big") + payload


def _id(element_id: int) -> bytes:
    return element_id.to_bytes((element_id.bit_length() + 7) // 8, "big")
