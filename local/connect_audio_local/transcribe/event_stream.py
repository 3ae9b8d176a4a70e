"""The messages of `application/vnd.amazon.eventstream`: headers and a payload between two checksums.

A message is a prelude (its length, the headers' length, CRC-32 of both), the headers, the payload, and the CRC-32 of
everything before. Both directions of a Transcribe stream carry such messages.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from zlib import crc32

LONGEST_MESSAGE = 24 * 1024 * 1024
"""Longest message, bytes, by the format's own text. A longer one is refused before anything is buffered."""

type HeaderValue = str | bytes | int | bool
"""A value of a header; a timestamp is an int, milliseconds since the epoch."""

_BOOLEANS = {0: True, 1: False}
_NUMBERS = {2: "!b", 3: "!h", 4: "!i", 5: "!q", 8: "!q"}
_BYTES, _TEXT, _TIMESTAMP, _UUID = 6, 7, 8, 9


class MalformedMessageError(Exception):
    """Bytes are no message."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message.

    Args:
        headers: value of each header by name.
        payload: the bytes behind the headers.
    """

    headers: Mapping[str, HeaderValue]
    payload: bytes


class MessageReader:
    """Cuts a stream of bytes into messages."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def receive(self, data: bytes) -> Iterator[Message]:
        """Take bytes and give each message that is complete by now.

        Raises:
            MalformedMessageError: a checksum or a length does not hold.
        """
        self._buffer += data
        while len(self._buffer) >= 12:
            length, _, checksum = struct.unpack_from("!III", self._buffer)
            if crc32(self._buffer[:8]) != checksum:
                raise MalformedMessageError("the prelude's checksum does not hold")
            if length > LONGEST_MESSAGE:
                raise MalformedMessageError(f"a message of {length} bytes is longer than {LONGEST_MESSAGE}")
            if len(self._buffer) < length:
                return
            message = bytes(self._buffer[:length])
            del self._buffer[:length]
            yield decode(message)


def encode(headers: Mapping[str, str], payload: bytes) -> bytes:
    """A message whose headers are texts, as bytes."""
    return _framed(b"".join(_header(name, _TEXT, _sized(value.encode())) for name, value in headers.items()), payload)


def encoded_timestamp(name: str, milliseconds: int) -> bytes:
    """One header with a timestamp, as bytes; a chunk's signature covers it."""
    return _header(name, _TIMESTAMP, struct.pack("!q", milliseconds))


def decode(data: bytes) -> Message:
    """One whole message.

    Raises:
        MalformedMessageError: a checksum or a length does not hold.
    """
    if len(data) < 16:
        raise MalformedMessageError(f"a message of {len(data)} bytes is shorter than 16")
    length, headers_length, prelude = struct.unpack_from("!III", data)
    if crc32(data[:8]) != prelude:
        raise MalformedMessageError("the prelude's checksum does not hold")
    if length != len(data) or headers_length > length - 16:
        raise MalformedMessageError("the lengths contradict each other")
    if crc32(data[:-4]) != struct.unpack_from("!I", data, length - 4)[0]:
        raise MalformedMessageError("the message's checksum does not hold")
    return Message(dict(_headers(data[12 : 12 + headers_length])), data[12 + headers_length : -4])


def _framed(headers: bytes, payload: bytes) -> bytes:
    prelude = struct.pack("!II", 16 + len(headers) + len(payload), len(headers))
    message = prelude + struct.pack("!I", crc32(prelude)) + headers + payload
    return message + struct.pack("!I", crc32(message))


def _header(name: str, kind: int, value: bytes) -> bytes:
    return bytes([len(name)]) + name.encode() + bytes([kind]) + value


def _sized(value: bytes) -> bytes:
    return struct.pack("!H", len(value)) + value


def _headers(data: bytes) -> Iterator[tuple[str, HeaderValue]]:
    at = 0
    try:
        while at < len(data):
            name_end = at + 1 + data[at]
            name, kind = data[at + 1 : name_end].decode(), data[name_end]
            value, at = _value(kind, data, name_end + 1)
            yield name, value
    except (IndexError, struct.error, UnicodeDecodeError) as error:
        raise MalformedMessageError("the headers are cut off or no UTF-8") from error


def _value(kind: int, data: bytes, at: int) -> tuple[HeaderValue, int]:
    if kind in _BOOLEANS:
        return _BOOLEANS[kind], at
    if form := _NUMBERS.get(kind):
        return struct.unpack_from(form, data, at)[0], at + struct.calcsize(form)
    if kind == _UUID:
        return data[at : at + 16], at + 16
    if kind not in {_BYTES, _TEXT}:
        raise MalformedMessageError(f"there is no header of type {kind}")
    begin = at + 2
    end = begin + struct.unpack_from("!H", data, at)[0]
    if end > len(data):
        raise MalformedMessageError("a header is longer than all headers")
    return (data[begin:end] if kind == _BYTES else data[begin:end].decode()), end
