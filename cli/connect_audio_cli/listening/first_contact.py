"""The contact that a stream carries now, by the labels of the fragments that arrive."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from connect_audio.core.errors import READ_TIMEOUT, MediaSourceError, StreamError
from connect_audio.core.fragments import Fragment, FragmentReader
from connect_audio.recorder.labels import Labels

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from connect_audio.ports import MediaStream
    from connect_audio_cli.listening.stop import Stop

_FIRST_PAUSE_S: Final = 0.5
_LONGEST_PAUSE_S: Final = 5.0
"""Longest pause before another GetMedia. The recorder reads back from the contact's first fragment, so none is lost."""


@dataclass(frozen=True, slots=True)
class Speaking:
    """A contact whose audio arrives.

    Args:
        labels: its ids.
        start_ms: begin of the first fragment of it that came, producer time in ms since the epoch.
    """

    labels: Labels
    start_ms: int


def first_contact(open_now: Callable[[], MediaStream], stop: Stop, contact_id: str | None) -> Speaking:
    """Wait for a contact that speaks.

    The newest fragment of a stream may be days old: GetMedia gives it at once. So a contact speaks once a second one of
    its fragments comes.

    Args:
        open_now: opens GetMedia at the newest fragment.
        stop: the user's wish to end.
        contact_id: the contact; None for the first one.

    Raises:
        MediaSourceError: the stream cannot be read for good.
        Interrupted: the user asked for the end.
    """
    seen: dict[str, Speaking] = {}
    pause_s = _FIRST_PAUSE_S
    while True:
        try:
            for fragment in _fragments(open_now, stop):
                pause_s = _FIRST_PAUSE_S
                begin_ms = fragment.producer_timestamp_ms
                if len(fragment.contact_ids) != 1 or begin_ms is None or fragment.number is None:
                    continue
                found = fragment.contact_ids[0]
                if contact_id not in {None, found}:
                    continue
                before = seen.setdefault(found, Speaking(Labels(found, fragment.tag("InstanceId")), begin_ms))
                if before.start_ms < begin_ms:
                    return before
        except MediaSourceError as error:
            stop.raise_if_asked()
            if not error.retryable:
                raise
            if error.code == READ_TIMEOUT:
                continue
        except StreamError:
            pass
        stop.sleep(pause_s)
        stop.raise_if_asked()
        pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)


def _fragments(open_now: Callable[[], MediaStream], stop: Stop) -> Iterator[Fragment]:
    """Yield the fragments of one body."""
    reader = FragmentReader()
    with closing(stop.breakable(open_now)) as stream:
        while True:
            data = stop.breakable(stream.read)
            stop.raise_if_asked()
            reader.receive_data(data)
            while isinstance(event := reader.next_event(), Fragment):
                yield event
            if not data:
                return
