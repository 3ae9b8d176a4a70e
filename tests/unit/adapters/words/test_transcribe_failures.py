from __future__ import annotations

import pytest

from connect_audio.adapters.words.transcribe_failures import translated
from connect_audio.core.errors import SinkError


class BadRequestException(Exception):  # noqa: N818 - the SDK's own name
    pass


def failure(error: BaseException, *, has_begun: bool = True) -> tuple[str, bool]:
    made = translated(error, "reading results", has_begun=has_begun)
    return made.code, made.retryable


def wrapped(cause: Exception) -> OSError:
    error = OSError("Failed to read from stream.")
    error.__cause__ = cause
    return error


def named(name: str) -> Exception:
    error = Exception("a text of awscrt")
    error.name = name  # type: ignore[attr-defined]
    return error


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (TimeoutError(), "TIMEOUT"),
        (KeyError("SurpriseException"), "SurpriseException"),
        (KeyError("two words"), "KeyError"),
        (named("AWS_IO_SOCKET_CLOSED"), "AWS_IO_SOCKET_CLOSED"),
        (wrapped(named("AWS_IO_SOCKET_CLOSED")), "AWS_IO_SOCKET_CLOSED"),
        (RuntimeError("Unknown error for operation a#B - status: 503"), "HTTP_503"),
        (
            RuntimeError("Unknown error for operation a#B - status: 403 - id: c#ExpiredTokenException"),
            "ExpiredTokenException",
        ),
        (ValueError("x"), "ValueError"),
    ],
)
def test_a_failure_keeps_its_name_and_may_be_tried_again(error: Exception, code: str) -> None:
    assert failure(error) == (code, True)


def test_a_bad_request_means_the_settings_at_the_start_and_the_audio_later() -> None:
    assert failure(BadRequestException(), has_begun=False) == ("BadRequestException", False)
    assert failure(BadRequestException(), has_begun=True) == ("BadRequestException", True)


def test_a_denied_request_is_not_tried_again() -> None:
    denied = RuntimeError("Unknown error for operation a#B - status: 403 - id: c#AccessDeniedException")
    assert failure(denied) == ("AccessDeniedException", False)


def test_no_text_of_the_service_is_in_the_message() -> None:
    made = translated(BadRequestException("the caller said four one two"), "reading results", has_begun=True)
    assert str(made) == "BadRequestException: Transcribe: reading results failed"


def test_a_failure_of_ours_stays_as_it_is() -> None:
    own = SinkError("ENDED", "…", retryable=True)
    assert translated(own, "reading results", has_begun=False) is own
