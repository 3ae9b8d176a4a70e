"""Calls out of the streams themselves: a listing is cut into runs, and a labelled fragment names the contact of a run.

It finds calls that the trigger never saw, and asks Connect nothing.
"""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Final

from botocore.exceptions import ClientError

from connect_audio.adapters.kvs_endpoint import name_of
from connect_audio.adapters.kvs_index import KvsFragmentIndex
from connect_audio.core.errors import OUTSIDE_RETENTION, MediaSourceError, StreamError
from connect_audio.recorder.archived_call import QUIET_MS, unbroken_runs
from connect_audio.recorder.labels import labels_at
from connect_audio_cli.export.pace import PacedIndex
from connect_audio_cli.export.rows import Row
from connect_audio_cli.export.side_by_side import side_by_side
from connect_audio_cli.export.stream_source import stream_source
from connect_audio_cli.output.command_error import CommandError, printable
from connect_audio_cli.output.progress import tracked

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from boto3 import Session
    from mypy_boto3_kinesisvideo.type_defs import StreamNameConditionTypeDef

    from connect_audio.ports import FragmentIndex, ListedFragment
    from connect_audio_cli.export.pace import StreamPaces
    from connect_audio_cli.export.stream_source import Api

_WINDOW_MS: Final = 3_600_000
_MARGIN_MS: Final = 3000
"""Listed before the range, ms: a run that began before it is another range's."""
_SLACK_MS: Final = 5000
"""The first fragment may begin so long before or after StartTimestamp, ms."""


def rows_of_streams(
    prefix: str,
    from_ms: int,
    to_ms: int,
    *,
    session: Session,
    paces: StreamPaces,
    api: Api,
    at_once: int,
    shows: bool = False,
) -> list[Row]:
    """Find the calls that began in a range of time, in all streams of a prefix.

    Args:
        prefix: begin of the streams' names.
        from_ms: least start, ms since the epoch.
        to_ms: greatest start, ms since the epoch.
        session: gives credentials; threads share it.
        paces: the paces of the streams.
        api: the operation by which the streams are read.
        at_once: most streams at the same time.
        shows: True to show on a terminal how many streams are done.

    Returns:
        The calls in the order of their starts.

    Raises:
        CommandError: AWS refuses to list the streams or one of them.
        BotoCoreError: AWS cannot be asked.
    """

    def calls(stream: Row) -> list[Row]:
        return _calls(stream.stream, from_ms, to_ms, session, paces, api)

    streams = [Row(arn, from_ms) for arn in _streams(prefix, session)]
    found = side_by_side(streams, calls, at_once=at_once, of_a_stream=1)
    shown = tracked(found, what="Listing", total=len(streams), shown=shows)
    return sorted((row for _, rows in shown for row in rows), key=lambda row: row.start_ms)


def _streams(prefix: str, session: Session) -> list[str]:
    condition: StreamNameConditionTypeDef = {"ComparisonOperator": "BEGINS_WITH", "ComparisonValue": prefix}
    with closing(session.client("kinesisvideo")) as client:
        try:
            pages = client.get_paginator("list_streams").paginate(StreamNameCondition=condition)
            found = [each["StreamARN"] for page in pages for each in page["StreamInfoList"]]
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "an error")
            raise CommandError(f"AWS refuses ListStreams: {printable(str(code))}") from error
    if not found:
        raise CommandError(f"no stream begins with {printable(prefix)}")
    return found


def _calls(arn: str, from_ms: int, to_ms: int, session: Session, paces: StreamPaces, api: Api) -> list[Row]:
    pace = paces.of(name_of(arn))
    rows: list[Row] = []
    last_ms = from_ms
    listed: list[ListedFragment] = []
    with (
        closing(KvsFragmentIndex(arn, session=session)) as index,
        stream_source(arn, api, lambda: listed, session=session, pace=pace) as source,
    ):
        try:
            listed += _listed(PacedIndex(index, pace.listing), from_ms - _MARGIN_MS, to_ms)
            for run in unbroken_runs(listed):
                labels = labels_at(source, run[0].producer_ms, len(run))
                is_same = rows and labels and rows[-1].contact_id == labels.contact_id
                if labels and not (is_same and run[0].producer_ms - last_ms < QUIET_MS):
                    instance = labels.instance_arn(arn)
                    rows.append(Row(arn, run[0].producer_ms, labels.contact_id, instance, _SLACK_MS))
                last_ms = run[-1].producer_ms
        except MediaSourceError as error:
            raise CommandError(f"AWS refuses: {printable(str(error))}") from error
        except StreamError as error:
            raise CommandError(f"stream {name_of(arn)} holds no fragments of Connect: {error}") from error
    return [row for row in rows if row.start_ms >= from_ms]


def _listed(index: FragmentIndex, from_ms: int, to_ms: int) -> Iterator[ListedFragment]:
    """List hour by hour; hours that the stream no longer keeps are empty."""
    begin_ms = from_ms
    while begin_ms <= to_ms:
        end_ms = min(begin_ms + _WINDOW_MS, to_ms)
        found: Sequence[ListedFragment] = ()
        try:
            found = index.fragments(begin_ms, end_ms)
        except MediaSourceError as error:
            if error.code != OUTSIDE_RETENTION:
                raise
        yield from found
        begin_ms = end_ms + 1
