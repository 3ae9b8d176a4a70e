"""The CRC-32 that goes with every body put into S3, which checks it on arrival and keeps it. Used by the S3 stores."""

from __future__ import annotations

import base64
import zlib
from typing import TYPE_CHECKING, Literal, TypedDict

if TYPE_CHECKING:
    from connect_audio.ports import ObjectBody


class Checksum(TypedDict):
    """Parameters of PutObject and UploadPart."""

    ChecksumAlgorithm: Literal["CRC32"]
    ChecksumCRC32: str


def crc32_checksum(body: ObjectBody, crc32: int | None = None) -> Checksum:
    """Return the parameters for a body. Without them the SDK would send the body in chunks of its own.

    Args:
        body: the bytes.
        crc32: their CRC-32 where the caller knows it.
    """
    number = zlib.crc32(body) if crc32 is None else crc32
    return Checksum(
        ChecksumAlgorithm="CRC32", ChecksumCRC32=base64.b64encode(number.to_bytes(4, "big")).decode("ascii")
    )
