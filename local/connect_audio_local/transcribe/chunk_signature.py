"""The signatures of a stream's chunks: each covers its own bytes and the signature before, back to the request's.

The request is signed by Signature Version 4, and its signature is the seed. Each message comes in an envelope with the
headers `:date` and `:chunk-signature`.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from collections.abc import Mapping

from connect_audio_local.transcribe.event_stream import Message, encoded_timestamp

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>[^/]+)/(?P<scope>\d{8}/[^/]+/[^/]+/aws4_request), *"
    r"SignedHeaders=(?P<headers>[^,]+), *Signature=(?P<signature>[0-9a-f]{64})"
)


class SignatureError(Exception):
    """A signature does not hold."""


class ChunkSignatures:
    """Verifies the chunks of one stream in their order.

    Args:
        headers: headers of the request.
        secrets: secret of each access key.

    Raises:
        SignatureError: the request carries no signature by a known key for Transcribe.
    """

    def __init__(self, headers: Mapping[str, str], secrets: Mapping[str, str]) -> None:
        found = _AUTHORIZATION.fullmatch(headers.get("authorization", ""))
        if found is None or found["key"] not in secrets:
            raise SignatureError("the request is not signed by a known key")
        self._scope, self._last = found["scope"], found["signature"]
        if self._scope.split("/")[2] != "transcribe":
            raise SignatureError("the request is signed for another service")
        key = f"AWS4{secrets[found['key']]}".encode()
        for part in self._scope.split("/"):
            key = _hmac(key, part)
        self._key = key
        self.verified = 0

    def verify(self, envelope: Message) -> None:
        """Verify the next chunk.

        Raises:
            SignatureError: the chunk is not the one that was signed next.
        """
        signature, date = envelope.headers.get(":chunk-signature"), envelope.headers.get(":date")
        if not isinstance(signature, bytes) or not isinstance(date, int):
            raise SignatureError("a chunk is not signed")
        to_sign = (
            "AWS4-HMAC-SHA256-PAYLOAD",
            time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(date / 1000)),
            self._scope,
            self._last,
            hashlib.sha256(encoded_timestamp(":date", date)).hexdigest(),
            hashlib.sha256(envelope.payload).hexdigest(),
        )
        if not hmac.compare_digest(_hmac(self._key, "\n".join(to_sign)), signature):
            raise SignatureError("a chunk's signature does not hold")
        self._last = signature.hex()
        self.verified += 1


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), "sha256").digest()
