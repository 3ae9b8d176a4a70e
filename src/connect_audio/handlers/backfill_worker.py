"""The worker of a backfill: records the calls of one item, one after the other, from their stream's archive.

Handler string `connect_audio.handlers.backfill_worker.handler`. Step Functions calls it for each item of a manifest,
on a function of its own, so that it never takes concurrency from live calls. A call without a recording is an outcome.
Only a failure of S3 is raised: Step Functions tries such an item again.
"""

from __future__ import annotations

import json
import logging
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from connect_audio.adapters.aws_session import aws_session
from connect_audio.adapters.kvs_index import KvsFragmentIndex
from connect_audio.adapters.kvs_media import KvsMediaSource
from connect_audio.adapters.s3_recording import S3_CONFIG, S3PartStore
from connect_audio.adapters.system_clock import SystemClock
from connect_audio.core.errors import LateRecordingError, RequestError
from connect_audio.handlers.late_source import late_source
from connect_audio.handlers.logs import function_logger
from connect_audio.handlers.tracing import traced
from connect_audio.ports import ObjectKind
from connect_audio.recorder.backfill import AGAIN, NONE, UNFINISHED, BackfillItem, CallOutcome
from connect_audio.recorder.late_recording import MAY_BE_LATER, LateFailure, LateRecording, fragments_to_read
from connect_audio.recorder.object_names import RecordingNames
from connect_audio.recorder.staging_store import StagingStore
from connect_audio.settings import BackfillSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aws_lambda_powertools.utilities.typing import LambdaContext

    from connect_audio.ports import Clock, PartStore
    from connect_audio.recorder.late_recording import LateCall
    from connect_audio.request import RecordingRequest

logger = function_logger()

_JSON: Final = ObjectKind("application/json", {})
_MARGIN_S: Final = 30.0
"""Seconds before the invocation's end at which recording stops, for the outcomes to be written."""
_LEAST_S: Final = 60.0
"""Seconds that must be left for another call to begin. An hour of audio takes 14 s (docs/cost.md)."""


@dataclass(frozen=True, slots=True)
class _Place:
    """The stack's buckets, under the functions' keys."""

    bucket: str
    prefix: str
    store: PartStore

    def names(self, request: RecordingRequest) -> RecordingNames:
        """Return the keys of a recording."""
        return RecordingNames(self.bucket, request.recording_key(self.prefix))

    def claimant(self, request: RecordingRequest) -> str:
        """Return the owner of the claim: another try of the same item takes it over."""
        return f"connect-audio-backfill:{request.execution_name}"


@logger.inject_lambda_context(clear_state=True)
@traced
def handler(event: Any, context: LambdaContext) -> dict[str, Any]:
    """Record the calls of an item.

    Args:
        event: `item`, a line of the manifest; `run`, the prefix of the run's objects in the recordings' bucket.
        context: Lambda's context.

    Returns:
        `done`, the number of calls that need no further try; `left`, the number of calls that need one. `rejected`
        with the reason if the event is no item.

    Raises:
        SettingsError: the function's environment is wrong.
        StorageError: S3 failed. The item can be tried again.
    """
    settings, clock = BackfillSettings.from_environment(), SystemClock()
    deadline_s = clock.monotonic() + context.get_remaining_time_in_millis() / 1000 - _MARGIN_S
    try:
        item, run = BackfillItem.from_json(event["item"]), str(event["run"])
    except (KeyError, TypeError, RequestError) as error:
        logger.warning("item rejected", extra={"detail": str(error)})
        return {"done": 0, "left": 0, "rejected": str(error)}
    session = aws_session()
    with closing(session.client("s3", config=S3_CONFIG)) as s3:
        bucket = settings.recordings_bucket
        key_arn = settings.recordings_kms_key_arn
        store: PartStore = S3PartStore(bucket, client=s3, kms_key_arn=key_arn)
        if settings.staging_bucket is not None:
            store = StagingStore(store, S3PartStore(settings.staging_bucket, client=s3, kms_key_arn=key_arn))
        place = _Place(bucket, settings.recordings_prefix, store)
        outcomes = list(_outcomes(item, place, clock, deadline_s))
        written = {"stream": item.stream_arn, "outcomes": [each.to_json() for each in outcomes]}
        store.put(f"{run}outcomes/{item.name}.json", json.dumps(written).encode(), _JSON)
    left = sum(each.is_left for each in outcomes)
    logger.info("item ended", extra={"calls": len(outcomes), "left": left})
    return {"done": len(outcomes) - left, "left": left}


def _outcomes(item: BackfillItem, place: _Place, clock: Clock, deadline_s: float) -> Iterator[CallOutcome]:
    """Record one call after the other: a stream allows few requests a second and three connections."""
    session = aws_session()
    with ExitStack() as stack:
        source = stack.enter_context(closing(KvsMediaSource(item.stream_arn, session=session, clock=clock)))
        index = stack.enter_context(closing(KvsFragmentIndex(item.stream_arn, session=session, clock=clock)))
        for number, call in enumerate(item.calls):
            # The first call of an item begins whatever is left, so that each manifest gets further.
            if number and deadline_s - clock.monotonic() < _LEAST_S:
                yield CallOutcome(call.start_ms, UNFINISHED)
                continue
            listing = partial(fragments_to_read, call.start_ms - call.slack_ms, index, clock)
            with late_source(source, item.stream_arn, listing, session=session, clock=clock, logger=logger) as either:
                recording = LateRecording(
                    call=call,
                    place=place,
                    source=either,
                    index=index,
                    clock=clock,
                    logger=logging.getLogger(__name__),
                    deadline_s=deadline_s,
                )
                yield _outcome(call, recording)


def _outcome(call: LateCall, recording: LateRecording) -> CallOutcome:
    try:
        result = recording.run()
    except LateRecordingError as error:
        status = UNFINISHED if error.why == LateFailure.TIME_UP else AGAIN if error.why in MAY_BE_LATER else NONE
        return CallOutcome(call.start_ms, status, detail=f"{error.why}: {error}")
    except RequestError as error:
        return CallOutcome(call.start_ms, NONE, detail=str(error))
    return CallOutcome(call.start_ms, result.status, result.key, result.detail)
