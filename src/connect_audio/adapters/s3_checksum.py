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


def crc32_checksum(body: ObjectBody) -> Checksum:
    """The parameters for a body: given rather than left to the SDK, which would send the body in chunks of its own."""
    crc32 = base64.b64encode(zlib.crc32(body).to_bytes(4, "big")).decode("ascii")
    return Checksum(ChecksumAlgorithm="CRC32", ChecksumCRC32=crc32)
