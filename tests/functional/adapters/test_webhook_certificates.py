"""The sink `webhook`: only the right certificate will do."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from connect_audio_local.webhook.server import webhook_receiver
from support.webhook_sink import (
    SECRET,
    at,
    failure,
    segment,
    sink_to,
)


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
