"""What a webhook's signature vouches for: every header that says what the body is, the body, and the time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connect_audio.adapters.sinks import webhook_signature
from connect_audio.adapters.sinks.webhook_signature import SIGNATURE_HEADER, SignatureError, sign, verify

SECRET: Final = b"0123456789abcdef0123456789abcdef"
OTHER: Final = b"fedcba9876543210fedcba9876543210"
BODY: Final = b"RIFF and so on"
NOW: Final = 1_700_000_000
HEADERS: Final = {
    "Content-Type": "audio/wav",
    "Idempotency-Key": "c_1_0_stereo",
    "Connect-Audio-Contact-Id": "c",
    "Connect-Audio-Segment": "0",
    "Connect-Audio-Timestamp": str(NOW),
}
UNKNOWN: Final = "the signature is none of this body and these headers under a secret known here"


def signed(headers: dict[str, str] | None = None, secret: bytes = SECRET) -> dict[str, str]:
    unsigned = headers or HEADERS
    return {**unsigned, SIGNATURE_HEADER: sign(unsigned, BODY, secret)}


def refusal(
    headers: dict[str, str], body: bytes = BODY, *, secrets: tuple[bytes, ...] = (SECRET,), now: float = NOW
) -> str:
    with pytest.raises(SignatureError) as caught:
        verify(headers, body, secrets, now)
    return str(caught.value)


def test_the_first_version_is_this_value_for_ever() -> None:
    # Made with: printf 'v1\nconnect-audio-contact-id:c\n…\n<sha256 of the body>' | openssl dgst -sha256 -hmac $SECRET
    assert sign(HEADERS, BODY, SECRET) == "v1=b1d52762d257366601fe00f076bf5c396efdfd34e17551c076580789868d8a98"


def test_what_was_signed_is_believed_whatever_the_case_and_order_of_its_headers() -> None:
    headers = signed()
    verify(headers, BODY, [SECRET], NOW)
    verify({name.upper(): f" {value} " for name, value in reversed(headers.items())}, BODY, [SECRET], NOW)


@pytest.mark.parametrize("name", [name for name in HEADERS if name != "Content-Type"])
def test_no_signed_header_can_be_changed_or_left_out(name: str) -> None:
    headers = signed()
    changed = str(NOW + 1) if name.endswith("Timestamp") else headers[name] + "1"
    assert refusal({**headers, name: changed}) == UNKNOWN
    left_out = {each: value for each, value in headers.items() if each != name}
    assert refusal(left_out) in {UNKNOWN, "Connect-Audio-Timestamp is missing or no number of seconds"}


def test_no_header_of_ours_can_be_added() -> None:
    assert refusal({**signed(), "Connect-Audio-Track": "agent"}) == UNKNOWN


def test_what_is_not_ours_may_be_added_and_changed_on_the_way() -> None:
    verify({**signed(), "Content-Type": "audio/wav; x", "Via": "a proxy"}, BODY, [SECRET], NOW)


def test_the_body_cannot_be_changed() -> None:
    assert refusal(signed(), BODY + b".") == UNKNOWN
    assert refusal(signed(), b"") == UNKNOWN


def test_during_a_rotation_either_secret_will_do() -> None:
    for secret in (SECRET, OTHER):
        verify(signed(secret=secret), BODY, [OTHER, SECRET], NOW)
    assert refusal(signed(secret=OTHER)) == UNKNOWN
    assert refusal(signed(), secrets=()) == UNKNOWN


@pytest.mark.parametrize("late", [-300, 0, 300])
def test_a_request_is_believed_for_five_minutes(late: int) -> None:
    verify(signed(), BODY, [SECRET], NOW + late)


@pytest.mark.parametrize("late", [-301, 301, 1e9])
def test_a_request_of_another_time_is_not_believed(late: float) -> None:
    assert refusal(signed(), now=NOW + late) == "the request was signed more than 300 s from now"


@pytest.mark.parametrize("signature", ["", "v1", "v1=", "v2=abc", "sha256=abc", "v1=é", "v1=\udcff", "=", ",,"])
def test_a_signature_of_another_form_is_none(signature: str) -> None:
    expected = {UNKNOWN, "Connect-Audio-Signature is missing or holds no v1"}
    assert refusal({**signed(), SIGNATURE_HEADER: signature}) in expected


def test_a_signature_beside_one_of_a_version_to_come_is_found() -> None:
    headers = signed()
    verify({**headers, SIGNATURE_HEADER: f"v2=abc, {headers[SIGNATURE_HEADER]}"}, BODY, [SECRET], NOW)


@pytest.mark.parametrize("timestamp", ["", "now", "-1", "1.5", "\u0661\u0667", "9" * 13, " "])
def test_a_time_that_is_no_number_of_seconds_is_refused(timestamp: str) -> None:
    headers = signed({**HEADERS, "Connect-Audio-Timestamp": timestamp})
    assert refusal(headers) == "Connect-Audio-Timestamp is missing or no number of seconds"


@given(
    headers=st.dictionaries(st.text(max_size=30), st.text(max_size=30), max_size=8),
    body=st.binary(max_size=50),
)
def test_any_request_is_refused_and_nothing_worse(headers: dict[str, str], body: bytes) -> None:
    with pytest.raises(SignatureError):
        verify(
            {**headers, "connect-audio-timestamp": str(NOW), "connect-audio-signature": "v1=00"}, body, [SECRET], NOW
        )


def test_the_file_can_be_copied_and_used_alone(tmp_path: Path) -> None:
    copy = tmp_path / "webhook_signature.py"
    copy.write_text(Path(webhook_signature.__file__).read_text())
    code = "import webhook_signature, sys; sys.exit(any(name.startswith('connect_audio') for name in sys.modules))"
    assert (
        subprocess.run(
            [sys.executable, "-P", "-S", "-c", code], env={"PYTHONPATH": str(tmp_path)}, check=False
        ).returncode
        == 0
    )
