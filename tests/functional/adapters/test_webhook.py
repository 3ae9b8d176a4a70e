"""The sink `webhook` against a real receiver over TLS, in good health and in every bad one."""

from __future__ import annotations

import hashlib
import hmac
import io
import json
import re
import socket
import threading
import time
import traceback
import wave
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from connect_audio.adapters.sinks import webhook_address, webhook_connection
from connect_audio.adapters.sinks.webhook import WebhookSink
from connect_audio.adapters.sinks.webhook_address import Resolver
from connect_audio.core.errors import SinkError
from connect_audio.core.pcm import Party
from connect_audio.core.segment_wav import WavShape, segment_wavs
from connect_audio.sinks import LiveEnd
from connect_audio_local.webhook import server as misbehaviour
from connect_audio_local.webhook.server import Behaviour, Delivery, WebhookReceiver, webhook_receiver
from support.webhook_sink import (
    CONTACT,
    NEXT_SECRET,
    ORIGIN,
    RATE,
    RECORDING,
    SECRET,
    STREAMING_START_MS,
    connected,
    segment,
    sink_to,
)

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


# ---- what arrives


def test_a_segment_arrives_as_a_wav_with_all_that_is_to_be_known_of_it() -> None:
    with connected() as (sink, receiver):
        sink.deliver_segment(segment(12, frames=4000, last=True))
    (delivery,) = receiver.received
    (expected,) = segment_wavs(segment(12, frames=4000, last=True), WavShape())
    assert delivery.body == expected.wav
    with wave.open(io.BytesIO(delivery.body)) as wav:
        assert (wav.getnchannels(), wav.getframerate(), wav.getnframes()) == (2, 8000, 4000)
    shown = {name: value for name, value in delivery.headers.items() if "signature" not in name and "stamp" not in name}
    digest = hashlib.sha256(delivery.body).hexdigest()[:16]
    assert shown == {
        "host": at(receiver),
        "user-agent": "connect-audio-consumer",
        "content-type": "audio/wav",
        "content-length": "16044",
        "idempotency-key": f"{CONTACT}_{STREAMING_START_MS}_12_stereo_{digest}",
        "connect-audio-event": "segment",
        "connect-audio-url": receiver.url,
        "connect-audio-contact-id": CONTACT,
        "connect-audio-recording": RECORDING,
        "connect-audio-streaming-start": "2026-01-02T03:04:05.678Z",
        "connect-audio-segment": "12",
        "connect-audio-track": "stereo",
        "connect-audio-position": "96000",
        "connect-audio-frames": "4000",
        "connect-audio-sample-rate": "8000",
        "connect-audio-start": "2026-01-02T03:04:18.000Z",
        "connect-audio-duration": "0.500",
        "connect-audio-last": "true",
    }


def test_with_a_track_of_its_own_each_party_is_a_request_and_a_position_counts_in_the_wavs_own_samples() -> None:
    with connected(shape=WavShape("tracks", 16_000)) as (sink, receiver):
        sink.deliver_segment(segment(3))
    names = ("Track", "Position", "Frames", "Sample-Rate", "Duration", "Last")
    expected = {"Position": "48000", "Frames": "16000", "Sample-Rate": "16000", "Duration": "1.000", "Last": "false"}
    assert [values(delivery, *names) for delivery in receiver.received] == [
        {"Track": "customer", **expected},
        {"Track": "agent", **expected},
    ]
    wavs = segment_wavs(segment(3), WavShape("tracks", 16_000))
    assert [delivery.body for delivery in receiver.received] == [wav.wav for wav in wavs]


def test_the_end_is_told_in_json() -> None:
    with connected() as (sink, receiver):
        sink.end(LiveEnd(frames=20_001, origin=ORIGIN, rate=RATE))
        sink.end(LiveEnd(frames=0, origin=None, rate=None))
    whole, empty = receiver.received
    assert (whole.headers["content-type"], whole.value("Event")) == ("application/json", "end")
    common = {
        "schemaVersion": "1.0",
        "event": "end",
        "contactId": CONTACT,
        "recording": RECORDING,
        "streamingStart": "2026-01-02T03:04:05.678Z",
    }
    assert json.loads(whole.body) == common | {
        "start": "2026-01-02T03:04:06.000Z",
        "durationSeconds": 2.500125,
        "frames": 20_001,
        "sampleRate": 8000,
        "segments": 3,
    }
    assert json.loads(empty.body) == common | {
        "start": None,
        "durationSeconds": 0.0,
        "frames": 0,
        "sampleRate": None,
        "segments": 0,
    }


def test_the_signature_is_what_the_documentation_says_calculated_by_hand() -> None:
    with connected() as (sink, receiver):
        sink.deliver_segment(segment(0))
    (delivery,) = receiver.received
    headers = delivery.headers
    canonical = "\n".join(
        [
            "v1",
            f"connect-audio-contact-id:{CONTACT}",
            "connect-audio-duration:1.000",
            "connect-audio-event:segment",
            "connect-audio-frames:8000",
            "connect-audio-last:false",
            "connect-audio-position:0",
            f"connect-audio-recording:{RECORDING}",
            "connect-audio-sample-rate:8000",
            "connect-audio-segment:0",
            "connect-audio-start:2026-01-02T03:04:06.000Z",
            "connect-audio-streaming-start:2026-01-02T03:04:05.678Z",
            f"connect-audio-timestamp:{headers['connect-audio-timestamp']}",
            "connect-audio-track:stereo",
            f"connect-audio-url:{receiver.url}",
            f"idempotency-key:{headers['idempotency-key']}",
            hashlib.sha256(delivery.body).hexdigest(),
        ]
    )
    assert headers["connect-audio-signature"] == "v1=" + hmac.new(SECRET, canonical.encode(), "sha256").hexdigest()
    assert abs(int(headers["connect-audio-timestamp"]) - time.time()) < 60


def test_a_recording_s_name_beyond_ascii_is_percent_encoded() -> None:
    with connected(recording="Gespräch 1.wav") as (sink, receiver):
        sink.deliver_segment(segment(0))
    assert receiver.received[0].value("Recording") == "Gespr%C3%A4ch%201.wav"


# ---- identity


def test_delivered_again_a_segment_has_the_same_key_and_a_corrected_one_another() -> None:
    with connected() as (sink, receiver):
        for audio in (segment(0), segment(0), segment(0, seed=2)):
            sink.deliver_segment(audio)
    first, corrected = receiver.received
    assert (first.arrivals, corrected.arrivals) == (2, 1)
    assert values(first, "Segment", "Track", "Position") == values(corrected, "Segment", "Track", "Position")


def test_of_two_tracks_the_one_that_was_taken_is_not_posted_again() -> None:
    behaviours = [misbehaviour.accept, misbehaviour.answer(503)]
    with connected(behaviours, shape=WavShape("tracks")) as (sink, receiver):
        assert failure(lambda: sink.deliver_segment(segment(0)))[0] == "HTTP_503"
        sink.deliver_segment(segment(0))
        assert receiver.requests == 3
        assert [(each.value("Track"), each.arrivals) for each in receiver.received] == [("customer", 1), ("agent", 1)]


# ---- connections


def test_one_connection_serves_all_segments_and_the_end() -> None:
    with connected() as (sink, receiver):
        for number in range(5):
            sink.deliver_segment(segment(number))
        sink.end(LiveEnd(frames=5 * RATE, origin=ORIGIN, rate=RATE))
        assert (receiver.requests, receiver.connections) == (6, 1)


@pytest.mark.parametrize("behaviour", [misbehaviour.hang_up_after_answering, misbehaviour.announce_close])
def test_a_connection_that_the_receiver_closes_between_segments_is_replaced(behaviour: Behaviour) -> None:
    with connected([behaviour, behaviour]) as (sink, receiver):
        for number in range(3):
            sink.deliver_segment(segment(number))
        assert [each.arrivals for each in receiver.received] == [1, 1, 1]
        assert receiver.connections == 3


def test_a_kept_connection_that_breaks_without_an_answer_is_replaced_at_once() -> None:
    with connected([misbehaviour.accept, misbehaviour.reset_instead_of_answering]) as (sink, receiver):
        sink.deliver_segment(segment(0))
        sink.deliver_segment(segment(1))
        assert [each.arrivals for each in receiver.received] == [1, 2]
        assert receiver.connections == 2


# ---- answers


@pytest.mark.parametrize(
    ("status", "retryable"),
    [
        (400, False),
        (404, False),
        (410, False),
        (413, False),
        (408, True),
        (425, True),
        (429, True),
        (500, True),
        (503, True),
    ],
)
def test_an_answer_says_whether_another_try_may_help(status: int, *, retryable: bool) -> None:
    with connected([misbehaviour.answer(status, {"Retry-After": "3600"})]) as (sink, receiver):
        assert failure(lambda: sink.deliver_segment(segment(7))) == (
            f"HTTP_{status}",
            f"segment 7 (stereo) was answered with {status} by {at(receiver)}",
            retryable,
        )
        sink.deliver_segment(segment(7))
        assert (receiver.requests, receiver.connections) == (2, 1)


@pytest.mark.parametrize("status", [200, 202, 204, 409])
def test_taken_is_every_2xx_and_409_which_says_that_it_is_there_already(status: int) -> None:
    with connected([misbehaviour.take_and_answer(status)]) as (sink, receiver):
        sink.deliver_segment(segment(0))
        assert receiver.requests == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed_and_its_target_hears_nothing(status: int) -> None:
    with webhook_receiver(SECRET) as target:
        elsewhere = misbehaviour.redirect(target.url, status)
        to_metadata = misbehaviour.redirect("http://169.254.169.254/latest/meta-data/", status)
        with connected([elsewhere, to_metadata]) as (sink, receiver):
            for _ in range(2):
                assert failure(lambda: sink.deliver_segment(segment(0))) == (
                    f"HTTP_{status}",
                    f"segment 0 (stereo) was answered with {status} by {at(receiver)}; redirects are not followed",
                    False,
                )
        assert (target.connections, target.requests) == (0, 0)


def test_where_the_secret_was_rotated_it_is_fetched_anew_and_the_segment_taken() -> None:
    source = Secrets(SECRET, NEXT_SECRET)
    with connected(secrets=[NEXT_SECRET], secret=source) as (sink, receiver):
        sink.deliver_segment(segment(0))
        assert (source.fetches, len(receiver.refused), len(receiver.received)) == (1, 1, 1)


def test_a_receiver_that_takes_either_secret_gets_every_segment_of_a_rotation() -> None:
    source = Secrets(SECRET, NEXT_SECRET)
    with connected(secrets=[SECRET, NEXT_SECRET], secret=source) as (sink, receiver):
        sink.deliver_segment(segment(0))
        source(fresh=True)
        sink.deliver_segment(segment(1))
        assert (len(receiver.received), receiver.refused) == (2, ())


@pytest.mark.parametrize("status", [401, 403])
def test_a_receiver_that_refuses_the_newest_secret_too_does_not_make_it_be_fetched_for_each_segment(
    status: int,
) -> None:
    source = Secrets()
    with connected([misbehaviour.answer(status)] * 3, secret=source) as (sink, receiver):
        for number in range(3):
            assert failure(lambda number=number: sink.deliver_segment(segment(number))) == (  # type: ignore[misc]
                f"HTTP_{status}",
                f"segment {number} (stereo) was answered with {status} by {at(receiver)}",
                False,
            )
        assert (source.fetches, receiver.requests) == (1, 3)


# ---- misbehaviour


@pytest.mark.parametrize(
    "behaviour",
    [
        misbehaviour.reset_before_reading,
        misbehaviour.reset_instead_of_answering,
        misbehaviour.reset_in_the_answer,
    ],
)
def test_a_connection_that_breaks_is_tried_again_later(behaviour: Behaviour) -> None:
    with connected([behaviour]) as (sink, receiver):
        code, message, retryable = failure(lambda: sink.deliver_segment(segment(0)))
        # When the system tells of it, and as which error, is a matter of moments.
        assert re.fullmatch(
            rf"(sending the request|waiting for the answer) \({at(receiver)}\) failed \([A-Za-z]+\)", message
        )
        assert (code, retryable) == ("CONNECTION", True)
        sink.deliver_segment(segment(0))
        assert receiver.connections == 2


@pytest.mark.parametrize(
    ("behaviour", "code", "what"),
    [
        (misbehaviour.hang_up_in_the_head, "CONNECTION", "failed (ConnectionAbortedError)"),
        (misbehaviour.answer_with_garbage, "NO_HTTP", "failed: what came is no answer (BadStatusLine)"),
        (misbehaviour.answer_with_a_huge_head, "NO_HTTP", "failed: the answer's head is longer than 16384 bytes"),
    ],
)
def test_what_is_no_whole_answer_is_none(behaviour: Behaviour, code: str, what: str) -> None:
    with connected([behaviour]) as (sink, receiver):
        assert failure(lambda: sink.deliver_segment(segment(0))) == (
            code,
            f"waiting for the answer ({at(receiver)}) {what}",
            True,
        )
        sink.deliver_segment(segment(0))
        assert receiver.connections == 2


@pytest.mark.parametrize(
    "behaviour",
    [misbehaviour.hang_before_reading, misbehaviour.hang_after_reading, misbehaviour.drip_head, misbehaviour.slow(60)],
)
def test_a_receiver_that_hangs_or_drips_is_given_up_in_time(
    behaviour: Behaviour, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook_connection, "ANSWER_S", 0.3)
    with connected([behaviour]) as (sink, receiver):
        began = time.monotonic()
        assert failure(lambda: sink.deliver_segment(segment(0))) == (
            "TIMEOUT",
            f"waiting for the answer ({at(receiver)}) took too long",
            True,
        )
        assert time.monotonic() - began < PATIENCE_S


@pytest.mark.parametrize("behaviour", [misbehaviour.hang_before_reading, misbehaviour.drip_head])
def test_a_delivery_that_is_interrupted_fails_soon_and_the_next_succeeds(
    behaviour: Behaviour, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook_connection, "ANSWER_S", 60.0)
    monkeypatch.setattr(webhook_connection, "DELIVERY_S", 60.0)
    with connected([behaviour]) as (sink, receiver):
        failures: list[tuple[str, str, bool]] = []
        thread = threading.Thread(target=lambda: failures.append(failure(lambda: sink.deliver_segment(segment(0)))))
        thread.start()
        assert receiver.wait_for_requests(1)
        sink.interrupt()
        thread.join(PATIENCE_S)
        # The request has arrived; whether the sender has noticed that yet is its own affair.
        doings = ("sending the request", "waiting for the answer")
        assert failures in [[("INTERRUPTED", f"{doing} ({at(receiver)}) was interrupted", True)] for doing in doings]
        sink.deliver_segment(segment(0))
        assert len(receiver.received) == 1


def test_an_interrupt_in_the_moment_before_a_delivery_is_not_forgotten_over_it() -> None:
    with connected() as (sink, receiver):
        sink.interrupt()
        assert failure(lambda: sink.deliver_segment(segment(0))) == (
            "INTERRUPTED",
            f"beginning ({at(receiver)}) was interrupted",
            True,
        )
        sink.deliver_segment(segment(0))
        assert receiver.requests == 1


def test_the_sink_closes_its_secret() -> None:
    source = Secrets()
    with connected(secret=source):
        assert not source.closed
    assert source.closed


@pytest.mark.parametrize("behaviour", [misbehaviour.drip_body, misbehaviour.answer_hugely])
def test_an_answer_s_body_that_does_not_end_costs_the_connection_and_nothing_else(
    behaviour: Behaviour, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook_connection, "_REST_S", 0.3)
    monkeypatch.setattr(webhook_connection, "ANSWER_S", 60.0)
    monkeypatch.setattr(webhook_connection, "DELIVERY_S", 60.0)
    with connected([behaviour]) as (sink, receiver):
        began = time.monotonic()
        sink.deliver_segment(segment(0))
        assert time.monotonic() - began < PATIENCE_S
        sink.deliver_segment(segment(1))
        assert [each.arrivals for each in receiver.received] == [1, 1]
        assert receiver.connections == 2


def test_where_nobody_listens_it_is_tried_again_later() -> None:
    with webhook_receiver(SECRET) as receiver:
        pass
    with closing(sink_to(receiver.url, None)) as sink:
        assert failure(lambda: sink.deliver_segment(segment(0))) == (
            "CONNECTION",
            f"connecting ({at(receiver)}) failed (ConnectionRefusedError)",
            True,
        )


# ---- certificates


def test_a_certificate_for_another_name_is_refused_for_good() -> None:
    with (
        webhook_receiver(SECRET, certificate_for=["other.example"]) as receiver,
        closing(sink_to(receiver.url, receiver.ca_file)) as sink,
    ):
        assert failure(lambda: sink.deliver_segment(segment(0))) == (
            "TLS_CERTIFICATE",
            f"agreeing on TLS ({at(receiver)}) failed: IP address mismatch, certificate is not valid for '127.0.0.1'",
            False,
        )
        assert receiver.requests == 0


def test_a_certificate_that_nobody_vouches_for_is_refused_for_good() -> None:
    with webhook_receiver(SECRET) as receiver, closing(sink_to(receiver.url, None)) as sink:
        code, message, retryable = failure(lambda: sink.deliver_segment(segment(0)))
        assert (code, retryable) == ("TLS_CERTIFICATE", False)
        assert message.startswith(f"agreeing on TLS ({at(receiver)}) failed: ")
        assert receiver.requests == 0


def test_a_file_without_certificates_is_named(tmp_path: Path) -> None:
    nothing = tmp_path / "ca.pem"
    with webhook_receiver(SECRET) as receiver:
        for _ in range(2):
            with closing(sink_to(receiver.url, nothing)) as sink:
                assert failure(lambda: sink.deliver_segment(segment(0))) == (
                    "CA_FILE",
                    f"{nothing} holds no certificates that can be read",
                    False,
                )
            nothing.write_text("no certificate")


# ---- names and addresses


@contextmanager
def named(name: str, *, resolve: Resolver, **changed: Any) -> Iterator[tuple[WebhookSink, WebhookReceiver]]:
    """A sink that posts to a name, and the receiver at 127.0.0.1 that has a certificate for it."""
    with webhook_receiver(SECRET, certificate_for=[name]) as receiver:
        url = receiver.url.replace("127.0.0.1", name)
        with closing(sink_to(url, receiver.ca_file, resolve=resolve, **changed)) as sink:
            yield sink, receiver


def test_the_certificate_and_the_header_host_are_the_names_whatever_address_it_resolves_to() -> None:
    with named("hooks.example.test", resolve=lambda _host, _port: ["127.0.0.1"]) as (sink, receiver):
        sink.deliver_segment(segment(0))
        (delivery,) = receiver.received
        assert delivery.headers["host"] == at(receiver).replace("127.0.0.1", "hooks.example.test")


def test_an_address_where_nobody_listens_gives_way_to_the_next() -> None:
    with named("hooks.example.test", resolve=lambda _host, _port: ["127.0.0.9", "127.0.0.1"]) as (sink, receiver):
        sink.deliver_segment(segment(0))
        assert len(receiver.received) == 1


def test_a_name_that_resolves_to_another_address_the_next_moment_gains_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # On a machine without a network, 127.0.0.1 stands for a public address and 127.0.0.2 for what must not be reached.
    monkeypatch.setattr(webhook_address, "_is_public", lambda address: str(address) == "127.0.0.1")
    answers = iter([["127.0.0.1"], ["127.0.0.2"], ["127.0.0.1", "127.0.0.2"], ["127.0.0.1"]])
    asked: list[tuple[str, int]] = []

    def rebinding(host: str, port: int) -> list[str]:
        asked.append((host, port))
        return next(answers)

    with named("hooks.example.test", resolve=rebinding, allow_private=False) as (sink, receiver):
        port = int(at(receiver).rpartition(":")[2])
        with socket.create_server(("127.0.0.2", port)) as inside:
            inside.settimeout(0)
            sink.deliver_segment(segment(0))
            sink.deliver_segment(segment(1))
            assert (len(receiver.received), asked) == (2, [("hooks.example.test", port)])
            sink.close()
            for _ in range(2):
                assert failure(lambda: sink.deliver_segment(segment(2))) == (
                    "ADDRESS_REFUSED",
                    REFUSED,
                    False,
                )
            sink.deliver_segment(segment(2))
            assert (len(receiver.received), len(asked)) == (3, 4)
            with pytest.raises(BlockingIOError):
                inside.accept()


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.1", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "localhost", "LocalHost", "127.0.0.1.",
     "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::]", "0.0.0.0", "0"],  # noqa: S104 - spelt, not bound
)  # fmt: skip
def test_no_spelling_of_this_machine_is_reached(host: str) -> None:
    with webhook_receiver(SECRET) as receiver:
        url = receiver.url.replace("127.0.0.1", host)
        with closing(sink_to(url, receiver.ca_file, allow_private=False)) as sink:
            code, _, retryable = failure(lambda: sink.deliver_segment(segment(0)))
        assert (code, retryable) == ("ADDRESS_REFUSED", False)
        assert (receiver.connections, receiver.requests) == (0, 0)


def test_proxies_of_the_environment_are_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        proxy.settimeout(0)
        for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.getsockname()[1]}")
        with connected() as (sink, receiver):
            sink.deliver_segment(segment(0))
            assert len(receiver.received) == 1
        with pytest.raises(BlockingIOError):
            proxy.accept()


def test_a_name_that_cannot_be_resolved_is_tried_again_later() -> None:
    def silent(_host: str, _port: int) -> list[str]:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    with closing(sink_to("https://hooks.example.test/", None, resolve=silent)) as sink:
        assert failure(lambda: sink.deliver_segment(segment(0))) == (
            "DNS",
            "hooks.example.test could not be resolved (gaierror)",
            True,
        )


def test_a_name_server_that_hangs_holds_nothing_up_and_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook_connection, "LOOKUP_S", 0.2)
    asked: list[str] = []
    released = threading.Event()

    def hanging(host: str, _port: int) -> list[str]:
        asked.append(host)
        released.wait(PATIENCE_S)
        return ["127.0.0.1"]

    with named("hooks.example.test", resolve=hanging) as (sink, receiver):
        for _ in range(2):
            assert failure(lambda: sink.deliver_segment(segment(0))) == (
                "TIMEOUT",
                f"resolving the name ({at(receiver).replace('127.0.0.1', 'hooks.example.test')}) took too long",
                True,
            )
        monkeypatch.setattr(webhook_connection, "LOOKUP_S", PATIENCE_S)
        released.set()
        sink.deliver_segment(segment(0))
        # The hanging lookup was waited for, or had ended and was followed by a second.
        assert len(asked) <= 2
        assert len(receiver.received) == 1


def test_a_look_up_that_hangs_can_be_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook_connection, "LOOKUP_S", 60.0)
    monkeypatch.setattr(webhook_connection, "DELIVERY_S", 60.0)
    asked, released = threading.Event(), threading.Event()

    def hanging(_host: str, _port: int) -> list[str]:
        asked.set()
        released.wait(PATIENCE_S)
        return []

    with closing(sink_to("https://hooks.example.test/", None, resolve=hanging)) as sink:
        failures: list[tuple[str, str, bool]] = []
        thread = threading.Thread(target=lambda: failures.append(failure(lambda: sink.deliver_segment(segment(0)))))
        thread.start()
        assert asked.wait(PATIENCE_S)
        sink.interrupt()
        thread.join(PATIENCE_S)
        assert failures == [("INTERRUPTED", "resolving the name (hooks.example.test) was interrupted", True)]
        released.set()


def test_a_receiver_that_never_agrees_on_tls_is_given_up_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook_connection, "CONNECT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        where = f"127.0.0.1:{mute.getsockname()[1]}"
        with closing(sink_to(f"https://{where}/", None)) as sink:
            assert failure(lambda: sink.deliver_segment(segment(0))) == (
                "TIMEOUT",
                f"agreeing on TLS ({where}) took too long",
                True,
            )


def test_a_receiver_that_drips_its_part_of_tls_is_given_up_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook_connection, "CONNECT_S", 0.5)
    given_up = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as dripping:
        where = f"127.0.0.1:{dripping.getsockname()[1]}"

        def serve() -> None:
            connection, _ = dripping.accept()
            with connection, suppress(OSError):
                # A handshake record of 16 kB, as its head says.
                connection.sendall(b"\x16\x03\x03\x40\x00\x02\x00\x3f\xfc")
                while not given_up.wait(0.02):
                    connection.sendall(b"\x03")

        thread = threading.Thread(target=serve)
        thread.start()
        with closing(sink_to(f"https://{where}/", None)) as sink:
            began = time.monotonic()
            assert failure(lambda: sink.deliver_segment(segment(0))) == (
                "TIMEOUT",
                f"agreeing on TLS ({where}) took too long",
                True,
            )
            assert time.monotonic() - began < PATIENCE_S
        given_up.set()
        thread.join(PATIENCE_S)


def test_a_receiver_that_does_not_read_is_given_up_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook_connection, "DELIVERY_S", 2.0)
    # More than the buffers of both ends hold.
    large = replace(segment(0), samples=dict.fromkeys(Party, bytes(16_000_000)))
    with connected([misbehaviour.hang_before_reading]) as (sink, receiver):
        assert failure(lambda: sink.deliver_segment(large)) == (
            "TIMEOUT",
            f"sending the request ({at(receiver)}) took too long",
            True,
        )


def test_a_receiver_without_tls_is_no_receiver() -> None:
    with socket.create_server(("127.0.0.1", 0)) as plain:
        where = f"127.0.0.1:{plain.getsockname()[1]}"

        def serve() -> None:
            connection, _ = plain.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=serve)
        thread.start()
        with closing(sink_to(f"https://{where}/", None)) as sink:
            assert failure(lambda: sink.deliver_segment(segment(0))) == (
                "TLS",
                f"agreeing on TLS ({where}) failed (WRONG_VERSION_NUMBER)",
                True,
            )
        thread.join(PATIENCE_S)


# ---- what is said about it


def test_no_message_tells_path_query_secret_or_what_the_receiver_said() -> None:
    with webhook_receiver(SECRET, [misbehaviour.answer(400), misbehaviour.answer_with_garbage]) as receiver:
        url = f"{receiver.url}/hidden-path?token=hidden-token"
        with closing(sink_to(url, receiver.ca_file)) as sink:
            for _ in range(2):
                with pytest.raises(SinkError) as caught:
                    sink.deliver_segment(segment(0))
                told = "".join(traceback.format_exception_only(caught.value))
                assert not [word for word in ("hidden", "a secret", "HTTP at all") if word in told]
            sink.deliver_segment(segment(0))
        assert receiver.received[0].value("Url") == url
