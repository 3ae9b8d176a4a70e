"""One call, live: the functions' recorder over GetMedia, until the contact ends or the user does."""

from __future__ import annotations

import logging
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, override

from connect_audio.adapters.contact_status import CONNECT_CONFIG, ConnectContactStatus
from connect_audio.adapters.kvs_media import KvsMediaSource
from connect_audio.core.errors import MediaSourceError, StorageError
from connect_audio.recorder import (
    Budget,
    Checkpoint,
    Granted,
    Outcome,
    Over,
    Policy,
    Recorded,
    Recorder,
    RecorderPorts,
    Wait,
    claim_recording,
    publish_recording,
)
from connect_audio.recorder.continuation import Continuation
from connect_audio.request import Location, RecordingRequest
from connect_audio_cli.capturing.answer import StreamAsker
from connect_audio_cli.listening.first_contact import Speaking, first_contact
from connect_audio_cli.listening.stop import StoppableSource, StoppableStatus
from connect_audio_cli.output.command_error import CommandError, ExitCode, printable

if TYPE_CHECKING:
    from boto3 import Session

    from connect_audio_cli.export.target import Target
    from connect_audio_cli.listening.meter import Meter
    from connect_audio_cli.listening.stop import Stop

_NO_DEADLINE: Final = float("inf")
_LONGEST_WAIT_S: Final = 5
"""Longest pause of a silent call. Waiting costs nothing on the user's machine, and new audio is read this soon."""
BY_HAND: Final = "record"
"""The folder of a bucket's prefix for such recordings. Among the functions' own keys one would look like a later
streaming of its contact, and at a pause the functions' recording could end there."""


@dataclass(frozen=True, slots=True)
class RecordedCall:
    """The end of a live recording.

    Args:
        contact_id: the contact.
        key: the recording's key.
        outcome: the recorder's.
        refusals: codes of Connect's refusals to say whether the contact is connected.
    """

    contact_id: str
    key: str
    outcome: Outcome
    refusals: tuple[str, ...] = ()


class LiveCall:
    """One live call.

    Args:
        stream_arn: the stream's ARN.
        target: gets the recording.
        session: gives credentials.
        stop: the user's wish to end.
        meter: shows the call.
        silence_s: silence that ends the recording, s; None for the recorder's own.
        contact_id: the contact; None for the first one that speaks.
        instance_arn: the Connect instance's ARN; None for the one that the stream names.
    """

    def __init__(
        self,
        stream_arn: str,
        target: Target,
        *,
        session: Session,
        stop: Stop,
        meter: Meter,
        silence_s: float | None = None,
        contact_id: str | None = None,
        instance_arn: str | None = None,
    ) -> None:
        self._stream_arn, self._session = stream_arn, session
        self._target = target if not target.owner else replace(target, prefix=_below(target.prefix))
        self._stop, self._meter = stop, meter
        self._contact_id, self._instance_arn = contact_id, instance_arn
        self._policy = Policy()
        if silence_s is not None:
            patience = min(self._policy.patience, silence_s)
            self._policy = Policy(drain=patience, patience=patience, idle_limit=silence_s)

    def run(self) -> RecordedCall:
        """Wait for the contact and record it.

        Raises:
            CommandError: AWS or the target refused.
            Interrupted: the user asked for the end before a contact spoke.
        """
        try:
            with StreamAsker(self._stream_arn, self._session) as asker:
                speaking = first_contact(lambda: asker.media("NOW").body, self._stop, self._contact_id)
            return self._record(self._request(speaking))
        except MediaSourceError as error:
            if error.code == "ResourceNotFoundException":
                raise CommandError("there is no such stream in this account") from error
            raise CommandError(f"AWS refuses: {printable(str(error))}") from error
        except StorageError as error:
            raise CommandError(f"cannot be written: {printable(str(error))}") from error

    def shown(self, key: str) -> str:
        """Return the place of a recording, for people."""
        return self._target.shown(key)

    def _request(self, speaking: Speaking) -> RecordingRequest:
        instance_arn = self._instance_arn or speaking.labels.instance_arn(self._stream_arn)
        if instance_arn is None:
            raise CommandError("no fragment names the Connect instance: name it with --instance")
        return RecordingRequest(
            contact_id=speaking.labels.contact_id,
            instance_arn=instance_arn,
            stream_arn=self._stream_arn,
            start_timestamp_ms=speaking.start_ms,
            start_fragment_number=None,
        )

    def _record(self, request: RecordingRequest) -> RecordedCall:
        names = self._target.names(request)
        self._meter.follow(request.contact_id)
        with ExitStack() as stack:
            source = stack.enter_context(closing(KvsMediaSource(self._stream_arn, session=self._session)))
            region = Location.of(request.instance_arn).region
            connect = self._session.client("connect", region_name=region, config=CONNECT_CONFIG)
            stack.callback(connect.close)
            refusals = _Refusals()
            logger = _logger(refusals)
            ports = RecorderPorts(
                request=request,
                names=names,
                execution=f"connect-audio-record:{request.execution_name}{self._target.owner}",
                source=StoppableSource(source, self._stop, self._meter.take),
                store=self._target.store,
                status=StoppableStatus(ConnectContactStatus(connect, logger), self._stop),
                clock=self._stop,
                policy=self._policy,
                logger=logger,
                has_event=False,
            )
            claim = claim_recording(ports)
            if not isinstance(claim, Granted):
                raise CommandError(f"{names.key} is there already, or is being recorded", ExitCode.NOT_WHOLE)
            outcome = publish_recording(ports, self._recorded(ports, claim.checkpoint()))
        return RecordedCall(request.contact_id, names.key, outcome, tuple(sorted(refusals.codes)))

    def _recorded(self, ports: RecorderPorts, checkpoint: Checkpoint) -> Recorded:
        done = Continuation(execution=ports.execution)
        with Recorder(ports) as recorder:
            while True:
                result = recorder.record(checkpoint, Budget(_NO_DEADLINE, _NO_DEADLINE, self._stop))
                done, checkpoint = done.after(result), result.checkpoint
                if isinstance(result.next, Over):
                    return Recorded(
                        checkpoint=checkpoint,
                        parts=done.parts,
                        notes_keys=done.notes_keys,
                        end=result.next.end,
                        first=done.first,
                    )
                if isinstance(result.next, Wait):
                    self._stop.sleep(min(result.next.seconds, _LONGEST_WAIT_S))


def _below(prefix: str) -> str:
    return f"{prefix}/{BY_HAND}" if prefix else BY_HAND


class _Refusals(logging.Handler):
    """Takes the codes of failures out of log records."""

    def __init__(self) -> None:
        super().__init__()
        self.codes: set[str] = set()

    @override
    def emit(self, record: logging.LogRecord) -> None:
        """Take a record."""
        code = getattr(record, "error_code", None)
        if code is not None:
            self.codes.add(str(code))


def _logger(handler: logging.Handler) -> logging.Logger:
    """Return a logger that prints nothing: the summary and the manifest say what happened."""
    logger = logging.getLogger("connect_audio.record")
    logger.handlers = [handler]
    logger.propagate = False
    return logger
