"""Recording, segments and words together on Lambda's smallest share of a core: whether they keep pace, and their cost.

`python -m benchmarks.words_share`, some three minutes. As `live_share`, the consumer handler's own code records a call
of 50 s at the call's own pace in a fresh process. Control groups hold it to 14.4 % of a core and 256 MB. The parties
speak in turn, a word every 0.4 s. The emulator and the stand-ins of the speech services are a process of their own. So
the recognizer's work is none of the consumer's. The handler's import is before the call and the limits, as in a
function.
"""

from __future__ import annotations

import json
import sys
import time
from contextlib import closing
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from benchmarks.as_deployed import hide_words_layer
from benchmarks.bounds import Bound
from benchmarks.consumer_memory import directly, far_ends, far_process, payload_for, peak_mib
from benchmarks.live_share import MEMORY_MB, SHARE, LiveRun, recorded_by, share_of_a_core
from connect_audio_local.recognition.markers import MARKER_WORDS, MarkerRecognizer, marker_speech
from connect_audio_local.synthesis.calls import SyntheticCall, synthesize_call

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

SECONDS: Final = 50
RATE: Final = 8_000
_KEY: Final = "local"
_PHRASE_WORDS: Final = 4
_EACH_S: Final = 3.1
"""Time from a phrase's begin to the next one's: 1.6 s of words and a pause that ends the turn."""
RUNS: Final = {
    "segments": {"LIVE_SINKS": "segments"},
    "segments and transcribe": {"LIVE_SINKS": "segments,transcribe", "WORDS_LANGUAGE": "en-US"},
    "segments and whisper": {
        "LIVE_SINKS": "segments,whisper",
        "WHISPER_MODEL": "markers",
        "WHISPER_PRIVATE_ADDRESSES": "allowed",
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One call.

    Args:
        limited: True if control groups held the process.
        cpu_s: CPU-seconds from GetMedia's beginning to the end.
        peak_mib: the most memory that was resident.
        dropped_s: seconds of audio that a sink did not get.
        lag_s: longest time from a segment's last sample to its having been taken, seconds.
        status: the recording's.
        words: words in the transcript; None without one.
        missing: spans that the transcript lacks.
    """

    limited: bool
    cpu_s: float
    peak_mib: float
    dropped_s: float
    lag_s: float
    status: str
    words: int | None
    missing: int


def measure() -> dict[str, Row]:
    """Record the calls, one after the other."""
    with far_ends("http://unused.test") as variables:
        return {name: _in_fresh_process(name, number, variables) for number, name in enumerate(RUNS)}


def main() -> list[Bound]:
    """Print the table."""
    rows = measure()
    held = "held to" if all(row.limited for row in rows.values()) else "NOT held to"
    print(f"words, {held} {SHARE:.1%} of a core and {MEMORY_MB} MB")
    print(f"{'':28}{'CPU':>8}{'of the share':>14}{'peak':>12}{'longest lag':>14}{'dropped':>10}{'words':>8}")
    bounds = []
    for name, row in rows.items():
        used = row.cpu_s / SECONDS / SHARE
        print(
            f"{name:28}{row.cpu_s / SECONDS:>8.1%}{used:>14.0%}{row.peak_mib:>8.1f} MiB{row.lag_s:>12.2f} s"
            f"{row.dropped_s:>8.1f} s{'' if row.words is None else row.words:>8}"
        )
        bounds += [
            Bound(f"of the share of a core, {name}", used, at_most=1.0),
            Bound(f"MiB at the peak, {name}", row.peak_mib, at_most=MEMORY_MB / 2),
            Bound(f"s dropped, {name}", row.dropped_s, at_most=0.0),
        ]
        if row.status != "complete":
            raise RuntimeError(f"{name}: the recording is {row.status}")
        if row.words is not None:
            bounds += [
                Bound(f"words of {_words_said()}, {name}", row.words, at_least=_words_said(), at_most=_words_said()),
                Bound(f"spans without words, {name}", row.missing, at_most=0),
            ]
    return bounds


def _in_fresh_process(name: str, number: int, variables: dict[str, str]) -> Row:
    with far_process(_serve) as (emulator_url, arn, transcribe_url, ca_file, whisper_url):
        environment = {
            **variables,
            "AWS_ENDPOINT_URL_KINESIS_VIDEO": emulator_url,
            "AWS_ENDPOINT_URL_KINESIS_VIDEO_MEDIA": emulator_url,
            "AWS_ENDPOINT_URL_CONNECT": emulator_url,
            "AWS_ENDPOINT_URL_TRANSCRIBE_STREAMING": transcribe_url,
            "AWS_CA_BUNDLE": ca_file,
            "RECORDINGS_PREFIX": f"run-{number}",
            "POWERTOOLS_METRICS_DISABLED": "false",
            "AWS_LAMBDA_FUNCTION_NAME": "consumer",  # the initialization is Lambda's
        }
        live = RUNS[name] | ({"WHISPER_URL": whisper_url} if "WHISPER_MODEL" in RUNS[name] else {})
        return Row(**recorded_by("benchmarks.words_share", LiveRun(arn, json.dumps(live), environment)))


# The call.


def _phrases() -> int:
    return int((SECONDS - 2) / _EACH_S)


def _words_said() -> int:
    return _phrases() * _PHRASE_WORDS


def _spoken_call() -> SyntheticCall:
    sides = (bytearray(), bytearray())
    for number in range(_phrases()):
        side = sides[number % 2]
        words = [MARKER_WORDS[(number + each) % len(MARKER_WORDS)] for each in range(_PHRASE_WORDS)]
        side += bytes(2 * round((1 + number * _EACH_S) * RATE) - len(side)) + marker_speech(words, RATE)
    customer, agent = (bytes(side.ljust(2 * SECONDS * RATE, b"\0")) for side in sides)
    return SyntheticCall(customer=customer, agent=agent)


# In the recording process.


def _record(arn: str, live: str) -> Row:
    import boto3  # noqa: PLC0415 - the recording process alone

    from connect_audio.core import segment_wav  # noqa: F401, PLC0415 - as an extension's init would import it
    from connect_audio.handlers import consumer  # noqa: PLC0415 - measured here

    payload = {**payload_for(arn), "live": json.loads(live)}
    with share_of_a_core() as limited:
        began = time.process_time()
        outcome = directly(consumer.handler, payload)
        cpu_s = time.process_time() - began
    peak = peak_mib()
    stem = outcome["recording"].removeprefix("s3://recordings/").removesuffix(".wav")
    with closing(boto3.client("s3")) as s3:

        def read(ending: str) -> Any:
            return json.loads(s3.get_object(Bucket="recordings", Key=f"{stem}.{ending}")["Body"].read())

        manifest = read("json")
        transcript = read("transcript.json") if "," in json.loads(live)["LIVE_SINKS"] else None
    return Row(
        limited=limited,
        cpu_s=cpu_s,
        peak_mib=peak,
        dropped_s=sum(sink["droppedSeconds"] for sink in manifest["live"]["sinks"]),
        lag_s=0.0,
        status=outcome["status"],
        words=None if transcript is None else sum(len(turn["words"]) for turn in transcript["turns"]),
        missing=0 if transcript is None else len(transcript["missing"]),
    )


# Around it.


def _serve(control: Connection) -> None:
    from connect_audio_local.kvs import UNLIMITED, EmulatedStream, KvsEmulator, Live, stored  # noqa: PLC0415
    from connect_audio_local.kvs.model import Delivery  # noqa: PLC0415
    from connect_audio_local.transcribe.model import TranscribeModel  # noqa: PLC0415
    from connect_audio_local.transcribe.server import transcribe_endpoint  # noqa: PLC0415
    from connect_audio_local.whisper.server import speech_server  # noqa: PLC0415

    fragments = stored(synthesize_call(_spoken_call()))
    with (
        KvsEmulator(limits=UNLIMITED) as emulator,
        transcribe_endpoint(TranscribeModel(MarkerRecognizer(), secrets={_KEY: _KEY})) as service,
        speech_server(MarkerRecognizer()) as server,
    ):
        stream = EmulatedStream("call", fragments, pace=Live(1.0), delivery=Delivery.BLOCK, retention_hours=1)
        arn = emulator.add_stream(stream).arn
        control.send((emulator.url, arn, service.url, str(service.ca_file), server.url))
        control.recv()


if __name__ == "__main__":
    if sys.argv[1:2] == ["record"]:
        # A function without the sink has no layer of words, and so no awscrt.
        if "transcribe" not in sys.argv[3]:
            hide_words_layer()
        print(json.dumps(asdict(_record(*sys.argv[2:]))))
    else:
        from benchmarks.bounds import judge

        judge(main())
