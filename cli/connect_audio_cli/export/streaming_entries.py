"""Calls out of `Recordings` of a contact, as Connect's contact records and DescribeContact have them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from connect_audio_cli.export.rows import Row

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND: Final = timedelta(seconds=1)
_SLACK_MS: Final = 1000
"""The entries have whole seconds, and the functions' keys the event's milliseconds."""


def rows_of_entries(recordings: Any, contact_id: str, instance_arn: str | None) -> Iterator[Row]:
    """Return the calls of a contact, one for each streaming of its audio.

    Args:
        recordings: `Recordings`, whatever it is. Times are texts in a record, and datetimes in an answer.
        contact_id: the contact.
        instance_arn: the Connect instance; None for the one that the stream names.
    """
    for each in recordings if isinstance(recordings, list) else ():
        if not isinstance(each, dict) or each.get("StorageType") != "KINESIS_VIDEO_STREAM":
            continue
        # In-app video has entries of its own; an entry that names no type is of live media streaming.
        if each.get("MediaStreamType", "AUDIO") != "AUDIO":
            continue
        stream, start_ms = each.get("Location"), _start_ms(each)
        if isinstance(stream, str) and stream and start_ms is not None:
            yield Row(stream, start_ms, contact_id, instance_arn, _SLACK_MS)


def _start_ms(recording: Mapping[str, Any]) -> int | None:
    """Return StartTimestamp, with the milliseconds of the first fragment's number if they agree with it."""
    try:
        number = int(recording.get("FragmentStartNumber") or 0)
    except (TypeError, ValueError):
        number = 0
    number_ms = number >> 28 & (1 << 64) - 1 if number >> 156 == 1 else None
    try:
        given = recording["StartTimestamp"]
        second_ms = (
            ((given if isinstance(given, datetime) else datetime.fromisoformat(given)) - _EPOCH) // _SECOND * 1000
        )
    except (KeyError, TypeError, ValueError):
        return number_ms
    return number_ms if number_ms is not None and number_ms // 1000 * 1000 == second_ms else second_ms
