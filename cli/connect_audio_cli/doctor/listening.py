"""The check that listens: a stream is read for some seconds, as the consumer reads it. It runs on request alone."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass
from typing import Final

from botocore.exceptions import BotoCoreError, ClientError

from connect_audio.adapters.kvs_index import KvsFragmentIndex
from connect_audio.core.errors import OUTSIDE_RETENTION, READ_TIMEOUT, MediaSourceError, StreamError
from connect_audio.core.fragments import Fragment, FragmentReader
from connect_audio.core.pcm import PARTIES
from connect_audio.core.tracks import choose_tracks
from connect_audio_cli.capturing.answer import StreamAsker
from connect_audio_cli.doctor.check import Check, Finding, fault, not_checked, note, well
from connect_audio_cli.output.command_error import printable
from connect_audio_cli.stacks.deployed import Deployed

LISTEN_S: Final = 5.0
"""Seconds of listening to one stream. A call's fragments come each second."""
_MOST_STREAMS: Final = 3
"""Newest streams that are listened to until one has audio."""
_LISTED_MS: Final = 60_000
"""The listing is asked for a minute on either side of the fragment."""


@dataclass(frozen=True, slots=True)
class _Sample:
    """A fragment of a stream."""

    stream_arn: str
    fragment: Fragment


def _listen(stack: Deployed) -> Finding:
    streams = sorted(stack.streams(), key=lambda each: each["CreationTime"], reverse=True)[:_MOST_STREAMS]
    if not streams:
        return note("there is no stream to listen to", "run the doctor again after a call")
    try:
        for each in streams:
            sample = _sample(stack, each["StreamARN"])
            if sample is not None:
                return _judged(stack, sample)
    except MediaSourceError as error:
        if isinstance(error.__cause__, ClientError | BotoCoreError):
            raise error.__cause__ from error
        return not_checked(f"the stream cannot be read: {printable(error.code)}")
    except StreamError as error:
        return fault(
            f"the stream holds no fragments of Connect: {printable(str(error))}",
            "see what writes into it: connect-audio capture STREAM --redact, then connect-audio inspect",
        )
    return note("the newest streams hold no fragment", "run the doctor again during a call")


def _sample(stack: Deployed, stream_arn: str) -> _Sample | None:
    """Return a fragment with audio and a contact, or else the last one that came; None if none came in time."""
    reader, newest = FragmentReader(), None
    ends = time.monotonic() + LISTEN_S
    with StreamAsker(stream_arn, stack.aws.session, silence_s=LISTEN_S) as asker:
        body = asker.media("NOW").body
        while time.monotonic() < ends:
            try:
                data = body.read()
            except MediaSourceError as error:
                if error.code != READ_TIMEOUT:
                    raise
                break
            reader.receive_data(data)
            while isinstance(event := reader.next_event(), Fragment):
                newest = _Sample(stream_arn, event)
                if event.contact_ids and event.blocks:
                    return newest
            if not data:
                break
    return newest


def _judged(stack: Deployed, sample: _Sample) -> Finding:
    fragment = sample.fragment
    choice = choose_tracks(fragment.tracks, fragment.tag("MimeType"))
    if choice.unsupported:
        return fault(f"the stream's audio is {choice.unsupported[0].refusal}", "report it with a redacted capture")
    missing = [party for party in PARTIES if party not in {track.party for track in choice.audio}]
    if missing:
        return fault(
            f"the stream has no track of the {' and of the '.join(missing)}",
            "Start media streaming must be set both ways: From the customer and To the customer",
        )
    if not fragment.contact_ids:
        return fault("the stream's fragments name no contact", "see what writes into it: connect-audio inspect")
    rate = choice.audio[0].pcm.rate
    return well(f"a stream was read: both parties at {rate} Hz, its contact named, {_in_archive(stack, sample)}")


def _in_archive(stack: Deployed, sample: _Sample) -> str:
    """Say whether the stream's listing has the fragment.

    Raises:
        MediaSourceError: ListFragments failed.
    """
    begin_ms = sample.fragment.producer_timestamp_ms
    if begin_ms is None:
        return "without a time"
    with closing(KvsFragmentIndex(sample.stream_arn, session=stack.aws.session)) as index:
        try:
            listed = index.fragments(begin_ms - _LISTED_MS, begin_ms + _LISTED_MS)
        except MediaSourceError as error:
            if error.code != OUTSIDE_RETENTION:
                raise
            return "and its archive keeps nothing"
    is_listed = any(each.number == sample.fragment.number for each in listed)
    return "and its archive lists it" if is_listed else "and its archive does not list it"


CHECKS: Final = (
    Check(
        "newest stream",
        (
            "kinesisvideo:ListStreams",
            "kinesisvideo:GetDataEndpoint",
            "kinesisvideo:GetMedia",
            "kinesisvideo:ListFragments",
        ),
        _listen,
    ),
)
"""Checks of `--listen`."""
