"""Signed requests about one call to the webhook, over one connection. For the sink `webhook`, and for live words.

docs/webhook.md describes requests, signature and answers for the receiver's author.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

from connect_audio.adapters.endpoint.address import Resolver, endpoint_of, resolve_by_system
from connect_audio.adapters.endpoint.connection import EndpointConnection, Limits
from connect_audio.adapters.endpoint.secret import SecretSource
from connect_audio.adapters.sinks.webhook_signature import (
    IDEMPOTENCY_HEADER,
    PREFIX,
    SIGNATURE_HEADER,
    TIMESTAMP_HEADER,
    sign,
)
from connect_audio.core.errors import SinkError
from connect_audio.core.manifest import rfc3339
from connect_audio.ports import Clock

USER_AGENT: Final = "connect-audio-consumer"

DELIVERY_S: Final = 9.0
"""Limit of a whole delivery, seconds; below the 10 s after which the driver would interrupt it. Beyond: `TIMEOUT`."""
ANSWER_S: Final = 5.0
"""Limit from the request's last byte to the end of the answer's head, seconds. Beyond: `TIMEOUT`."""
BODY_S: Final = 0.5
"""Limit of the answer's body, which is thrown away, seconds. Beyond: the connection is closed."""
ANSWER_BYTES: Final = 16_384
"""Limit of an answer, head and body together. A longer head fails with `NO_HTTP`; a longer body costs the
connection."""

# RFC 6585, 8470 and 9110: a later try may succeed. The same holds for every 5xx.
_PASSING: Final = frozenset({408, 425, 429})
# The receiver refused the signature, perhaps since the secret was rotated.
_UNSIGNED: Final = frozenset({401, 403})
# The receiver has the segment under the same Idempotency-Key, so the delivery has succeeded.
_THERE_ALREADY: Final = 409
_SECRET_PAUSE_S: Final = 60.0
"""Shortest time between two fetches of a refused secret. A receiver that refuses everything must not flood the store;
until then a refused request fails without a fetch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookCall:
    """The call that the requests are about.

    Args:
        contact_id: the call's contact.
        recording: name or URI of the recording.
        streaming_start_ms: start of the call's streaming, ms since the epoch; two streamings of one contact differ in
            it.
    """

    contact_id: str
    recording: str
    streaming_start_ms: int

    @property
    def streaming_start(self) -> str:
        """The start of the call's streaming, in RFC 3339."""
        return rfc3339(self.streaming_start_ms) or ""


class WebhookRequests:
    """The requests of one call; `interrupt` alone may come from another thread.

    Args:
        url: address to post to.
        secret: gives the signing secret; closed with this.
        call: the call.
        clock: for signatures and deadlines.
        allow_private: True if private, loopback and link-local addresses are allowed.
        ca_file: certificates to trust besides the system's.
        resolve: the resolver.

    Raises:
        SinkError: `URL_REFUSED`, not retryable: nothing can be posted to the URL.
    """

    def __init__(
        self,
        *,
        url: str,
        secret: SecretSource,
        call: WebhookCall,
        clock: Clock,
        allow_private: bool = False,
        ca_file: Path | None = None,
        resolve: Resolver = resolve_by_system,
    ) -> None:
        self._clock = clock
        self._endpoint = endpoint_of(url)
        self._connection = EndpointConnection(
            self._endpoint,
            limits=Limits(delivery_s=DELIVERY_S, answer_s=ANSWER_S, body_s=BODY_S, answer_bytes=ANSWER_BYTES),
            allow_private=allow_private,
            ca_file=ca_file,
            resolve=resolve,
            clock=clock,
        )
        self._secret = secret
        self._secret_refused_at: float | None = None
        self._call = call

    def begin(self) -> None:
        """Begin a delivery: its time counts from here."""
        self._connection.begin()

    def prepare(self) -> None:
        """Fetch the secret and load the certificates to trust, which the first request does otherwise.

        Raises:
            SinkError: as `post`.
        """
        self._connection.begin()
        self._connection.prepare()
        self._secret()

    def interrupt(self) -> None:
        """Make the request under way fail soon; called from another thread."""
        self._connection.interrupt()

    def close(self) -> None:
        """Close the connections."""
        self._connection.close()
        self._secret.close()

    def key(self, *parts: str) -> str:
        """The name of a request, under which a receiver keeps it once.

        Args:
            parts: its name within the call, in parts; empty ones are left out.
        """
        known = (quote(self._call.contact_id), str(self._call.streaming_start_ms), *parts)
        return "_".join(part for part in known if part)

    def headers(self, event: str, key: str) -> dict[str, str]:
        """The headers that every request has.

        Args:
            event: `segment`, `end` or `words`.
            key: the request's name.
        """
        return {
            "User-Agent": USER_AGENT,
            IDEMPOTENCY_HEADER: key,
            f"{PREFIX}Event": event,
            f"{PREFIX}Url": self._endpoint.url,
            f"{PREFIX}Contact-Id": quote(self._call.contact_id),
            f"{PREFIX}Recording": quote(self._call.recording, safe="/:"),
            f"{PREFIX}Streaming-Start": self._call.streaming_start,
        }

    def post(self, headers: Mapping[str, str], body: bytes, what: str) -> None:
        """Post a request; return after an answer of 2xx, or 409, which means that the receiver has it.

        Args:
            headers: its headers, without signature and timestamp.
            body: its body.
            what: the request, as the error's text names it; no personal data.

        Raises:
            SinkError: the receiver has not taken it. Retryable: `TIMEOUT`, `CONNECTION`, `TLS`, `DNS`, `NO_HTTP`,
                `INTERRUPTED`, and `HTTP_…` with a status of 5xx, 408, 425 or 429. Not retryable: every other `HTTP_…`,
                `TLS_CERTIFICATE`, `ADDRESS_REFUSED`, `CA_FILE` and `SECRET_UNUSABLE`. The secret's store gives AWS's
                own codes.
        """
        secret = self._secret()
        status = self._connection.post(self._signed(headers, body, secret), body).status
        if status in _UNSIGNED and self._may_ask_again():
            newest = self._secret(fresh=True)
            if newest != secret:
                status = self._connection.post(self._signed(headers, body, newest), body).status
        if 200 <= status < 300 or status == _THERE_ALREADY:
            return
        note = "; redirects are not followed" if 300 <= status < 400 else ""
        raise SinkError(
            f"HTTP_{status}",
            f"{what} was answered with {status} by {self._endpoint.authority}{note}",
            retryable=status >= 500 or status in _PASSING,
        )

    def _signed(self, headers: Mapping[str, str], body: bytes, secret: bytes) -> dict[str, str]:
        signed = {**headers, TIMESTAMP_HEADER: str(self._clock.now_ms() // 1000)}
        signed[SIGNATURE_HEADER] = sign(signed, body, secret)
        return signed

    def _may_ask_again(self) -> bool:
        now = self._clock.monotonic()
        if self._secret_refused_at is not None and now - self._secret_refused_at < _SECRET_PAUSE_S:
            return False
        self._secret_refused_at = now
        return True


def digest(body: bytes) -> str:
    """The part of a request's name that differs with its body."""
    return hashlib.sha256(body).hexdigest()[:16]
