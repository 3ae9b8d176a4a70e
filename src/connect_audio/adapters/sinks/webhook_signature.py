"""How a webhook's requests are signed, for both ends: `sign` is the sink's, `verify` the receiver's.

The signature covers the body and every header that describes it, so none can be swapped for another request's. This
file needs nothing but the standard library, so a receiver's author may copy it. docs/webhook.md describes the scheme.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from typing import Final

SIGNATURE_HEADER: Final = "Connect-Audio-Signature"
TIMESTAMP_HEADER: Final = "Connect-Audio-Timestamp"
PREFIX: Final = "Connect-Audio-"
IDEMPOTENCY_HEADER: Final = "Idempotency-Key"
TOLERANCE_S: Final = 300
"""How old a request may be, and how far the two clocks may differ, in seconds."""

_VERSION: Final = "v1"


class SignatureError(ValueError):
    """A request that is not to be believed. The message says why and quotes nothing of it."""


def sign(headers: Mapping[str, str], body: bytes, secret: bytes) -> str:
    """Make the value of `Connect-Audio-Signature`.

    Args:
        headers: all others of the request, among them `Connect-Audio-Timestamp`; ASCII, without line breaks.
        body: as it is sent.
        secret: the key that both ends have.
    """
    return f"{_VERSION}={_mac(headers, body, secret)}"


def verify(
    headers: Mapping[str, str], body: bytes, secrets: Iterable[bytes], now: float, tolerance_s: float = TOLERANCE_S
) -> None:
    """Return if the sender has one of the secrets and the request is recent; raise if not.

    Args:
        headers: the request's, in any case.
        body: as it came, before anything decodes it.
        secrets: the valid secrets: one, and during a rotation the next one too.
        now: the time, seconds since the epoch.
        tolerance_s: how far the request's own time may be from it.

    Raises:
        SignatureError: the request is not to be believed.
    """
    lower = {name.lower(): value.strip() for name, value in headers.items()}
    timestamp = lower.get(TIMESTAMP_HEADER.lower(), "")
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
        raise SignatureError(f"{TIMESTAMP_HEADER} is missing or no number of seconds")
    offered = dict(part.strip().partition("=")[::2] for part in lower.get(SIGNATURE_HEADER.lower(), "").split(","))
    if _VERSION not in offered:
        raise SignatureError(f"{SIGNATURE_HEADER} is missing or holds no {_VERSION}")
    # Every secret is tried in constant time, so that the duration reveals nothing.
    matches = [
        hmac.compare_digest(_mac(lower, body, secret).encode(), offered[_VERSION].encode("utf-8", "replace"))
        for secret in secrets
    ]
    if not any(matches):
        raise SignatureError("the signature is none of this body and these headers under a secret known here")
    if abs(now - int(timestamp)) > tolerance_s:
        raise SignatureError(f"the request was signed more than {tolerance_s:g} s from now")


def _mac(headers: Mapping[str, str], body: bytes, secret: bytes) -> str:
    signed = sorted(
        (name.lower(), value)
        for name, value in headers.items()
        if name.lower().startswith(PREFIX.lower()) or name.lower() == IDEMPOTENCY_HEADER.lower()
    )
    lines = [_VERSION]
    lines += [f"{name}:{value}" for name, value in signed if name != SIGNATURE_HEADER.lower()]
    lines.append(hashlib.sha256(body).hexdigest())
    return hmac.new(secret, "\n".join(lines).encode(), hashlib.sha256).hexdigest()
