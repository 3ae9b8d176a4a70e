"""The export of one call: a recording after the call's end, within the stream's pace."""

from __future__ import annotations

import logging
from contextlib import ExitStack, closing, contextmanager
from typing import TYPE_CHECKING, Final

from connect_audio.adapters.kvs_index import KvsFragmentIndex
from connect_audio.adapters.system_clock import SystemClock
from connect_audio.core.errors import LateRecordingError, StorageError
from connect_audio.recorder.late_recording import LateFailure, LateRecording, fragments_to_read
from connect_audio_cli.export.pace import PacedIndex
from connect_audio_cli.export.stream_source import stream_source
from connect_audio_cli.output.command_error import CommandError, ExitCode, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from boto3 import Session

    from connect_audio.recorder import Checkpoint
    from connect_audio.recorder.late_recording import LateCall, LateResult
    from connect_audio_cli.export.pace import StreamPace
    from connect_audio_cli.export.stream_source import Api
    from connect_audio_cli.export.target import Target

_HINTS: Final[dict[str, str]] = {
    LateFailure.NO_AUDIO: " (--start is in milliseconds since 1970)",
    LateFailure.NO_CONTACT: ": name it with --contact-id",
    LateFailure.NO_INSTANCE: ": name it with --instance",
}


class CallExport:
    """One call's export.

    Args:
        call: the call.
        target: gets the recording, under the key that the functions would use.
        session: gives credentials.
        pace: the stream's pace.
        api: the operation by which the stream is read.
    """

    def __init__(self, call: LateCall, target: Target, *, session: Session, pace: StreamPace, api: Api) -> None:
        self._call, self._target, self._session, self._pace, self._api = call, target, session, pace, api

    def size(self) -> tuple[int, int]:
        """Return how much the recorder would read, by the stream's listing: fragments and bytes, at most.

        Raises:
            CommandError: as `run`; nothing is written.
        """
        with _failures(), self._recording() as recording:
            listed = recording.listed()
        return len(listed), sum(each.size for each in listed)

    def run(self, on_audio: Callable[[Checkpoint], None] = lambda _: None) -> LateResult:
        """Record the call.

        Args:
            on_audio: is called after each part of the recording.

        Returns:
            The end of it. A recording that is there is left alone.

        Raises:
            CommandError: the stream does not keep that time, the call may go on, or AWS or the target refused.
        """
        with _failures(), self._recording() as recording:
            return recording.run(on_audio)

    @contextmanager
    def _recording(self) -> Iterator[LateRecording]:
        arn, clock = self._call.stream_arn, SystemClock()
        with ExitStack() as stack:
            index = PacedIndex(
                stack.enter_context(closing(KvsFragmentIndex(arn, session=self._session))), self._pace.listing
            )
            source = stack.enter_context(
                stream_source(
                    arn,
                    self._api,
                    lambda: fragments_to_read(self._call.start_ms - self._call.slack_ms, index, clock),
                    session=self._session,
                    pace=self._pace,
                )
            )
            yield LateRecording(
                call=self._call,
                place=self._target,
                source=source,
                index=index,
                clock=clock,
                logger=logging.getLogger("connect_audio.export"),
            )


@contextmanager
def _failures() -> Iterator[None]:
    try:
        yield
    except LateRecordingError as error:
        code = ExitCode.NOT_WHOLE if error.why == LateFailure.CLAIMED else ExitCode.UNUSABLE
        raise CommandError(f"{printable(str(error))}{_HINTS.get(error.why, '')}", code) from error
    except StorageError as error:
        raise CommandError(f"cannot be written: {printable(str(error))}") from error
