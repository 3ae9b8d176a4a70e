"""All that the calls of one run share: credentials, target, and the paces of the streams."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from connect_audio.core.errors import RequestError
from connect_audio.recorder.late_recording import CREDENTIALS_CODES, LateCall
from connect_audio_cli.export.call import CallExport
from connect_audio_cli.export.pace import CALLS_AT_ONCE, START_EVERY_S, StreamPaces
from connect_audio_cli.export.progress_file import Line
from connect_audio_cli.export.side_by_side import side_by_side
from connect_audio_cli.export.stream_name import stream_arn
from connect_audio_cli.export.stream_source import Api
from connect_audio_cli.output.command_error import CommandError, ExitCode, printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from boto3 import Session

    from connect_audio_cli.export.rows import Row
    from connect_audio_cli.export.target import Target

_BYTES_A_SECOND: Final = 25_000_000
"""Bytes that GetMedia gives in a second, for each stream; a quota of the service."""


@dataclass(frozen=True, slots=True)
class Size:
    """The size of a call, as the listing has it.

    Args:
        fragments: at most so many.
        size: at most so many bytes.
        lacking: why there is nothing to read; empty where there is.
    """

    fragments: int = 0
    size: int = 0
    lacking: str = ""


@dataclass(frozen=True, slots=True)
class Exporter:
    """Exports calls.

    Args:
        session: gives credentials; threads share it.
        target: gets the recordings.
        paces: the paces of the streams.
        instance_arn: the Connect instance of rows that name none; None for the streams' own.
        at_once: most calls at the same time.
        api: the operation by which the streams are read.
    """

    session: Session
    target: Target
    paces: StreamPaces
    instance_arn: str | None
    at_once: int
    api: Api = Api.AUTO
    _arns: dict[str, str] = field(default_factory=dict)
    _asking: threading.Lock = field(default_factory=threading.Lock)

    def line(self, row: Row) -> Line:
        """Export one call.

        Raises:
            CommandError: there is no recording of it.
            BotoCoreError: AWS cannot be asked.
        """
        try:
            exported = self._export(row).run()
        except RequestError as error:
            raise CommandError(printable(str(error))) from error
        return Line(row.stream, row.start_ms, exported.status, exported.key, exported.detail)

    def lines(self, rows: Iterable[Row]) -> Iterator[Line]:
        """Export many calls; the lines come as the calls end.

        Raises:
            CommandError: the credentials are no good, so that no further call can be recorded.
            BotoCoreError: AWS cannot be asked.
        """

        def line(row: Row) -> Line:
            try:
                return self.line(row)
            except CommandError as error:
                if _is_of_credentials(error):
                    message = f"{error}; the same command goes on with new credentials"
                    raise CommandError(message, ExitCode.NOT_WHOLE) from error
                return Line(row.stream, row.start_ms, "failed", detail=str(error))

        return (line for _, line in side_by_side(rows, line, at_once=self.at_once, of_a_stream=CALLS_AT_ONCE))

    def sizes(self, rows: Iterable[Row]) -> Iterator[tuple[Row, Size]]:
        """List many calls. Nothing is written, and no media is read.

        Raises:
            BotoCoreError: AWS cannot be asked.
        """

        def size(row: Row) -> Size:
            try:
                return Size(*self._export(row).size())
            except CommandError as error:
                return Size(lacking=str(error))

        return side_by_side(rows, size, at_once=self.at_once, of_a_stream=CALLS_AT_ONCE)

    def _export(self, row: Row) -> CallExport:
        pace = self.paces.of(row.stream_name)
        with pace.starts.turn():
            pass
        return CallExport(self.call(row), self.target, session=self.session, pace=pace, api=self.api)

    def call(self, row: Row) -> LateCall:
        """Return the call of a row, with its stream's ARN.

        Raises:
            CommandError: there is no such stream.
            BotoCoreError: AWS cannot be asked.
        """
        instance_arn = row.instance_arn or self.instance_arn
        return LateCall(self._arn(row.stream), row.start_ms, row.contact_id, instance_arn, row.slack_ms)

    def _arn(self, stream: str) -> str:
        """Return a stream's ARN; a name is asked for once."""
        with self._asking:
            if stream not in self._arns:
                self._arns[stream] = stream_arn(self.session, stream)
            return self._arns[stream]


def _is_of_credentials(error: BaseException | None) -> bool:
    """Return True if a failure comes of credentials that AWS does not take any more, or that are not there."""
    while error is not None:
        if getattr(error, "code", None) in CREDENTIALS_CODES:
            return True
        error = error.__cause__
    return False


def least_seconds(sizes: Sequence[tuple[Row, Size]], at_once: int) -> float:
    """Return the time that the streams' quotas allow at the least, s.

    Args:
        sizes: the calls and what there is to read.
        at_once: most calls at the same time.
    """
    each_s: dict[str, list[float]] = {}
    for row, size in sizes:
        each_s.setdefault(row.stream_name, []).append(max(size.size / _BYTES_A_SECOND, START_EVERY_S))
    # The quotas are each stream's own: the busiest stream may set the time.
    by_stream = max((sum(stream_s) for stream_s in each_s.values()), default=0.0)
    return max(by_stream, sum(map(sum, each_s.values())) / at_once)
