"""The tree of foreseen failures, as its docstring draws it, and what each carries."""

from __future__ import annotations

import pytest

from connect_audio.core import errors


def test_the_tree_is_as_drawn() -> None:
    drawn = [line.strip("|`- ").split()[0] for line in (errors.__doc__ or "").splitlines() if "--" in line]
    defined = [name for name, value in vars(errors).items() if isinstance(value, type) and name != "ConnectAudioError"]

    assert sorted(drawn) == sorted(defined)
    assert all(issubclass(getattr(errors, name), errors.ConnectAudioError) for name in defined)
    assert {each.__name__ for each in errors.StreamError.__subclasses__()} == {
        "EbmlError",
        "MatroskaError",
        "FragmentError",
    }


@pytest.mark.parametrize("kind", [errors.EbmlError, errors.MatroskaError, errors.FragmentError])
def test_a_stream_error_tells_where_it_is(kind: type[errors.StreamError]) -> None:
    error = kind("what is wrong", offset=17)

    assert (str(error), error.offset) == ("what is wrong (at byte 17)", 17)


def test_failures_of_aws_tell_their_code_and_whether_to_try_again() -> None:
    for kind in (errors.MediaSourceError, errors.StorageError, errors.AnnouncementError, errors.SinkError):
        for retryable in (True, False):
            error = kind("SomeCode", "what happened", retryable=retryable)
            assert (str(error), error.code, error.retryable) == ("SomeCode: what happened", "SomeCode", retryable)


def test_a_refused_request_tells_its_reason() -> None:
    error = errors.RequestError("NOT_VOICE", "what is wrong")

    assert (str(error), error.reason) == ("what is wrong", "NOT_VOICE")
