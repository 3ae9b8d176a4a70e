"""The sink `webhook`: what a receiver's status means, redirects, and a secret that was rotated."""

from __future__ import annotations

import pytest

from connect_audio_local.webhook import faults as misbehaviour
from connect_audio_local.webhook.server import webhook_receiver
from support.webhook_sink import (
    NEXT_SECRET,
    SECRET,
    Secrets,
    at,
    connected,
    failure,
    segment,
)


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
