"""Assembles all that records one call: the clients, the adapters over them, and the recorder. Used by the consumer."""

from __future__ import annotations

from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from connect_audio.adapters.aws_session import aws_session
from connect_audio.adapters.contact_ends import StoredContactEnds
from connect_audio.adapters.contact_status import CONNECT_CONFIG, ConnectContactStatus
from connect_audio.adapters.kvs_media import KvsMediaSource
from connect_audio.adapters.s3_recording import S3_CONFIG, S3PartStore
from connect_audio.adapters.system_clock import SystemClock
from connect_audio.handlers.announcement import Announcer
from connect_audio.handlers.reporting import ConsumerReports
from connect_audio.recorder import Checkpoint, Policy, Recorder, RecorderPorts
from connect_audio.recorder.object_names import RecordingNames
from connect_audio.request import LIVE, RecordingOptions, RecordingRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from aws_lambda_powertools import Logger

    from connect_audio.ports import FragmentIndex, ListedFragment, MediaSource, PartStore
    from connect_audio.settings import ConsumerSettings


_EXPIRES_MS: Final = 60_000
"""Age by which a listing begins later than the stream's retention, ms: an end outside of it is refused."""

type Listing = Callable[[FragmentIndex], Sequence[ListedFragment]]
"""Lists the fragments that the archive is asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallAssembly:
    """All that records one call, in one invocation.

    Args:
        ports: the recorder's dependencies.
        recorder: records parts.
        reports: metrics and log lines of each step.
        announcer: puts the event on the bus.
        margin_s: seconds before the invocation's end at which a step ends.
        options: the manner of the recording.
        index: opens the stream's listing.
        archive_first: opens the stream after the call, by the archive first. Its argument lists what that is asked for.
        late_recorder: returns the recorder of parts that the stream's listing named; the same one each time. Its
            argument is the checkpoint of the first such part.
    """

    ports: RecorderPorts
    recorder: Recorder
    reports: ConsumerReports
    announcer: Announcer
    margin_s: int
    options: RecordingOptions
    index: Callable[[], AbstractContextManager[FragmentIndex]]
    archive_first: Callable[[Listing], AbstractContextManager[MediaSource]]
    late_recorder: Callable[[Checkpoint], Recorder]


@contextmanager
def assembled(
    event: Mapping[str, Any], request: RecordingRequest, settings: ConsumerSettings, execution: str, logger: Logger
) -> Iterator[CallAssembly]:
    """Assemble a call; leaving the context closes each client and stops the sinks.

    Args:
        event: the consumer's input, for the settings of live audio.
        request: the streaming to record.
        settings: the consumer's.
        execution: the name under which the recording is claimed.
        logger: carries the execution's keys.
    """
    clock, session, bucket = SystemClock(), aws_session(), settings.recordings_bucket
    options = RecordingOptions.from_payload(event)
    names = RecordingNames(bucket, request.recording_key(settings.recordings_prefix))
    with ExitStack() as stack:
        s3 = stack.enter_context(closing(session.client("s3", config=S3_CONFIG)))
        connect = stack.enter_context(closing(session.client("connect", config=CONNECT_CONFIG)))
        read_timeout_s = settings.read_timeout_seconds
        source = KvsMediaSource(request.stream_arn, session=session, read_timeout_s=read_timeout_s, clock=clock)
        stack.enter_context(closing(source))
        live = None
        if LIVE in event:
            # A consumer without live audio does not pay for the sinks' modules at its cold start.
            from connect_audio.handlers.live_sinks import live_audio  # noqa: PLC0415

            live = stack.enter_context(
                live_audio(event, request, settings, session=session, clock=clock, logger=logger)
            )
        store: PartStore = S3PartStore(bucket, client=s3, kms_key_arn=settings.recordings_kms_key_arn)
        temporary = store
        if settings.staging_bucket is not None:
            from connect_audio.recorder.staging_store import StagingStore  # noqa: PLC0415 - few stacks have one

            key_arn = settings.recordings_kms_key_arn
            temporary = S3PartStore(settings.staging_bucket, client=s3, kms_key_arn=key_arn)
            store = StagingStore(store, temporary)

        @contextmanager
        def index() -> Iterator[FragmentIndex]:
            # Only a call that is recorded after its end pays for the listing's modules.
            from connect_audio.adapters.kvs_index import KvsFragmentIndex  # noqa: PLC0415

            with closing(KvsFragmentIndex(request.stream_arn, session=session, clock=clock)) as listing:
                yield listing

        def late(listing: Listing, *, archive_first: bool) -> AbstractContextManager[MediaSource]:
            from connect_audio.handlers.late_source import late_source  # noqa: PLC0415

            def listed() -> Sequence[ListedFragment]:
                with index() as opened:
                    return listing(opened)

            arn = request.stream_arn
            return late_source(
                source, arn, listed, session=session, clock=clock, logger=logger, archive_first=archive_first
            )

        ports = RecorderPorts(
            request=request,
            names=names,
            execution=execution,
            source=source,
            store=store,
            status=ConnectContactStatus(connect, logger),
            clock=clock,
            policy=_policy(settings),
            logger=logger,
            live=live,
            ends=StoredContactEnds(temporary, settings.recordings_prefix) if options.contact_events else None,
        )
        late_recorders: list[Recorder] = []

        def late_recorder(checkpoint: Checkpoint) -> Recorder:
            if not late_recorders:
                from connect_audio.recorder.late_recording import fragments_to_read  # noqa: PLC0415

                kept_ms = clock.now_ms() - (checkpoint.read.retention_hours or 0) * 3_600_000 + _EXPIRES_MS
                from_ms = max(request.start_timestamp_ms, kept_ms)
                late_media = late(lambda listing: fragments_to_read(from_ms, listing, clock), archive_first=False)
                late_ports = replace(ports, source=stack.enter_context(late_media))
                late_recorders.append(stack.enter_context(Recorder(late_ports)))
            return late_recorders[0]

        yield CallAssembly(
            ports=ports,
            recorder=stack.enter_context(Recorder(ports)),
            reports=ConsumerReports(request, logger),
            announcer=Announcer(
                request=request, names=names, bus=settings.event_bus_name, session=session, logger=logger
            ),
            margin_s=settings.deadline_margin_seconds,
            options=options,
            index=index,
            archive_first=partial(late, archive_first=True),
            late_recorder=late_recorder,
        )


def _policy(settings: ConsumerSettings) -> Policy:
    return Policy(
        drain=settings.drain_seconds,
        idle_limit=settings.idle_limit_seconds,
        connected_limit=settings.connected_limit_seconds,
        status_interval=settings.status_interval_seconds,
        limit_s=settings.recording_limit_hours * 3600,
        longest_look=settings.archive_look_seconds,
    )
