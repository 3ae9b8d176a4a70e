"""An hour's call that is recorded after its end, by GetMedia and by the archive: processor, wall time, memory.

`python -m benchmarks.archive_hour`, some 30 s. The far ends are processes of their own: a KVS emulator and moto's S3. A
fresh process records each call by `LateRecording`, as `connect-audio export` and the backfill's worker do.
"""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import time
from contextlib import ExitStack, closing
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Final

from benchmarks.as_deployed import hide_words_layer
from benchmarks.bounds import Bound
from benchmarks.consumer_memory import BUCKET, Row, far_ends, far_process, peak_mib

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from connect_audio.ports import MediaSource, PartStore
    from connect_audio.recorder.object_names import RecordingNames
    from connect_audio.request import RecordingRequest

CALL_S: Final = 3600
MOST_CPU_S: Final = 5
"""Most CPU-seconds of the recording: its wall time at a whole core."""
MOST_MIB: Final = 256
_SOURCES: Final = ("GetMedia", "GetMediaForFragmentList", "the archive first")


def measure() -> dict[str, Row]:
    """Record the call by each source.

    Raises:
        RuntimeError: a recording is not whole.
    """
    with ExitStack() as stack:
        variables, arn, start_ms = stack.enter_context(far_process(_serve))
        environment = {**stack.enter_context(far_ends("")), **variables}
        return {name: _in_fresh_process(name, arn, start_ms, environment) for name in _SOURCES}


def main() -> list[Bound]:
    """Print the table."""
    rows = measure()
    print(f"{'an hour after the call':28}{'CPU-s':>10}{'wall s':>10}{'imported':>14}{'peak':>14}")
    for name, row in rows.items():
        print(f"{name:28}{row.cpu_s:>10.2f}{row.wall_s:>10.2f}{row.imported_mib:>10.1f} MiB{row.peak_mib:>10.1f} MiB")
    return [
        *(Bound(f"CPU-s of an hour by {name}", row.cpu_s, at_most=MOST_CPU_S) for name, row in rows.items()),
        *(Bound(f"MiB at the peak by {name}", row.peak_mib, at_most=MOST_MIB) for name, row in rows.items()),
    ]


def _in_fresh_process(name: str, arn: str, start_ms: int, environment: dict[str, str]) -> Row:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "benchmarks.archive_hour", "record", name, arn, str(start_ms)],
        env=environment,
        stdout=subprocess.PIPE,
        check=True,
    )
    row = Row(**json.loads(done.stdout.splitlines()[-1]))
    if row.outcome["status"] != "complete":
        raise RuntimeError(f"the recording by {name} is {row.outcome}")
    return row


# In the recording process.


class _Place:
    """The bucket; each source records below a prefix of its own."""

    def __init__(self, store: PartStore, prefix: str) -> None:
        self.store, self._prefix = store, prefix

    def names(self, request: RecordingRequest) -> RecordingNames:
        """Return the keys of a recording."""
        from connect_audio.recorder.object_names import RecordingNames  # noqa: PLC0415

        return RecordingNames(BUCKET, request.recording_key(self._prefix))

    def claimant(self, request: RecordingRequest) -> str:
        """Return the name of the claim."""
        return f"benchmark:{request.execution_name}"


def _record(name: str, arn: str, start_ms: int) -> Row:
    import boto3  # noqa: PLC0415 - measured here

    from connect_audio.adapters.kvs_archive import KvsArchiveSource  # noqa: PLC0415
    from connect_audio.adapters.kvs_index import KvsFragmentIndex  # noqa: PLC0415
    from connect_audio.adapters.kvs_media import KvsMediaSource  # noqa: PLC0415
    from connect_audio.adapters.s3_recording import S3_CONFIG, S3PartStore  # noqa: PLC0415
    from connect_audio.adapters.system_clock import SystemClock  # noqa: PLC0415
    from connect_audio.recorder.either_source import EitherSource  # noqa: PLC0415
    from connect_audio.recorder.late_recording import LateCall, LateRecording, fragments_to_read  # noqa: PLC0415

    imported_mib = peak_mib()
    cpu_s, wall_s = time.process_time(), time.monotonic()
    clock, session = SystemClock(), boto3.Session()
    with ExitStack() as stack:
        s3 = stack.enter_context(closing(session.client("s3", config=S3_CONFIG)))
        index = stack.enter_context(closing(KvsFragmentIndex(arn, session=session, clock=clock)))
        media = stack.enter_context(closing(KvsMediaSource(arn, session=session, clock=clock)))

        def archive() -> MediaSource:
            listing = partial(fragments_to_read, start_ms, index, clock)
            return stack.enter_context(closing(KvsArchiveSource(arn, listing=listing, session=session, clock=clock)))

        source: MediaSource = media
        if name == "GetMediaForFragmentList":
            source = archive()
        elif name == "the archive first":
            source = EitherSource(media, archive, archive_first=True)
        recording = LateRecording(
            call=LateCall(stream_arn=arn, start_ms=start_ms),
            place=_Place(S3PartStore(BUCKET, client=s3), name.translate({ord(" "): "-"})),
            source=source,
            index=index,
            clock=clock,
            logger=logging.getLogger("benchmark"),
        )
        result = recording.run()
    return Row(
        imported_mib=imported_mib,
        peak_mib=peak_mib(),
        cpu_s=time.process_time() - cpu_s,
        wall_s=time.monotonic() - wall_s,
        outcome={"status": result.status, "detail": result.detail},
    )


# Around it.


def _serve(control: Connection) -> None:
    from connect_audio_local.kvs import UNLIMITED, EmulatedStream, KvsEmulator, stored  # noqa: PLC0415
    from connect_audio_local.long_call import noise  # noqa: PLC0415
    from connect_audio_local.synthesis.calls import SyntheticCall, synthesize_call  # noqa: PLC0415

    # The call ended a quarter of an hour ago, so it counts as over.
    start_ms = int(time.time() * 1000) - (CALL_S + 900) * 1000
    call = SyntheticCall(customer=lambda: noise(1), agent=lambda: noise(2), seconds=CALL_S, start_ms=start_ms)
    with KvsEmulator(limits=UNLIMITED) as emulator:
        stream = emulator.add_stream(EmulatedStream("an-hour", stored(synthesize_call(call))))
        control.send((emulator.environment(), stream.arn, start_ms))
        control.recv()


if __name__ == "__main__":
    if sys.argv[1:2] == ["record"]:
        hide_words_layer()
        print(json.dumps(asdict(_record(sys.argv[2], sys.argv[3], int(sys.argv[4])))))
    else:
        from benchmarks.bounds import judge

        judge(main())
