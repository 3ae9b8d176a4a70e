"""A sink `webhook`, its segments and the receiver that it posts to."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from connect_audio.adapters.endpoint.secret import KnownSecret
from connect_audio.adapters.sinks.webhook import WebhookSink
from connect_audio.core.errors import SinkError
from connect_audio.core.live_audio import LiveSegment
from connect_audio.core.pcm import Party
from connect_audio.core.segment_wav import WavShape
from connect_audio_local.webhook.model import Behaviour, Delivery, WebhookReceiver
from connect_audio_local.webhook.server import webhook_receiver

SECRET: Final = b"a secret of both ends, long enough"
NEXT_SECRET: Final = b"the one that comes after it, longer"
CONTACT: Final = "9b4d5c9e-0000-4000-8000-00000000c0de"
RECORDING: Final = f"s3://calls/recordings/2026/01/02/{CONTACT}_20260102T030405.678Z.wav"
STREAMING_START_MS: Final = 1_767_323_045_678
RATE: Final = 8000
ORIGIN: Final = (STREAMING_START_MS + 322) * RATE // 1000


def segment(number: int, *, frames: int = RATE, last: bool = False, seed: int = 1) -> LiveSegment:
    customer = bytes((seed + number + at) % 251 for at in range(2 * frames))
    agent = bytes((seed + 3 * number + 5 * at) % 253 for at in range(2 * frames))
    position = number * RATE
    return LiveSegment(
        start=ORIGIN + position,
        rate=RATE,
        samples={Party.CUSTOMER: customer, Party.AGENT: agent},
        position=position,
        number=number,
        last=last,
        before={Party.CUSTOMER: b"\x01\x00", Party.AGENT: b"\x02\x00"},
    )


def sink_to(url: str, ca_file: Path | None, **changed: Any) -> WebhookSink:
    arguments: dict[str, Any] = {
        "secret": KnownSecret(SECRET),
        "shape": WavShape(),
        "segment_seconds": 1,
        "contact_id": CONTACT,
        "recording": RECORDING,
        "streaming_start_ms": STREAMING_START_MS,
        "allow_private": True,
        "ca_file": ca_file,
        **changed,
    }
    return WebhookSink(url=url, **arguments)


@contextmanager
def connected(
    behaviours: Sequence[Behaviour] = (), *, secrets: Sequence[bytes] = (SECRET,), **changed: Any
) -> Iterator[tuple[WebhookSink, WebhookReceiver]]:
    """A sink and the receiver that it posts to; neither leaves a thread behind."""
    before = set(threading.enumerate())
    with (
        webhook_receiver(secrets, behaviours) as receiver,
        closing(sink_to(receiver.url, receiver.ca_file, **changed)) as sink,
    ):
        yield sink, receiver
    assert set(threading.enumerate()) <= before


REFUSED: Final = (
    "hooks.example.test resolves to 127.0.0.2, a loopback address; "
    "WEBHOOK_PRIVATE_ADDRESSES=allowed permits private addresses"
)
# Nothing in a test takes this long; it turns a hang into a failure.
PATIENCE_S: Final = 10.0


class Secrets:
    """A secret that may have been rotated since it was fetched last."""

    def __init__(self, kept: bytes = SECRET, newest: bytes | None = None) -> None:
        self.kept = kept
        self.newest = newest or kept
        self.fetches = 0
        self.closed = False

    def __call__(self, *, fresh: bool = False) -> bytes:
        if fresh:
            self.fetches += 1
            self.kept = self.newest
        return self.kept

    def close(self) -> None:
        self.closed = True


def failure(deliver: Callable[[], None]) -> tuple[str, str, bool]:
    with pytest.raises(SinkError) as caught:
        deliver()
    return caught.value.code, str(caught.value).partition(": ")[2], caught.value.retryable


def at(receiver: WebhookReceiver) -> str:
    return receiver.url.removeprefix("https://").removesuffix("/calls")


def values(delivery: Delivery, *names: str) -> dict[str, str]:
    return {name: delivery.value(name) for name in names}
