"""`connect-audio demo --live`: a call at the pace of a call, and its segments as they appear in S3.

The consumer has the sink `segments`. The demo looks into the bucket as any reader would and shows each segment once
it is readable. It shows the level of either party, and the time since the segment's last sample was sent.
"""

from __future__ import annotations

import io
import json
import math
import statistics
import threading
import time
import wave
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from contextlib import closing, redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, override

from rich.console import Console
from rich.text import Text

from connect_audio.adapters.sinks.segment_bucket import segments_prefix
from connect_audio.core.pcm import FRAME_BYTES, channel, level_dbfs
from connect_audio_cli.demo.demo_run import (
    SETTINGS,
    STREAM,
    DemoOutcome,
    LiveFigures,
    begin,
    demo_calls,
    fetch,
    first_of_ours,
    functions_log,
    report,
    result_of,
)
from connect_audio_cli.demo.screen import call_progress
from connect_audio_cli.output.formatting import DIGITAL_SILENCE, count
from connect_audio_local.cloud import Execution, LocalCloud, local_cloud
from connect_audio_local.kvs.capture import StoredFragment, block_ends, stored
from connect_audio_local.kvs.model import ALL_AT_ONCE, Delivery, EmulatedStream, Live
from connect_audio_local.synthesis.calls import SyntheticFragment, synthesize_stream
from connect_audio_local.synthesis.speech import Conversation, two_party_conversation

if TYPE_CHECKING:
    from connect_audio_cli.demo.words import WordsInBucket

_NEIGHBOUR_S: Final = 3
_PAUSE_MS: Final = 1000
_LOOK_S: Final = 0.005
"""Seconds between two looks into the bucket for a segment that is due: the resolution of the shown lag."""
_METER_CELLS: Final = 12
_METER_COLUMNS: Final = 70
"""Columns of a line with bars."""
_METER_FLOOR_DBFS: Final = -60.0


def run_live_demo(
    *, output: Path, seconds: int, console: Console, speed: float = 1.0, has_words: bool = False
) -> DemoOutcome:
    """Run one call at its own pace, and show each segment as it appears in S3.

    Args:
        output: folder for the WAV, the manifest and the functions' log; made if missing.
        seconds: length of the call.
        console: shows the segments.
        speed: media seconds a second.
        has_words: True for a call of spoken digits, whose words are shown as they come.

    Raises:
        CommandError: the folder cannot be written to, no recording came out, or words need a package.
    """
    if not has_words:
        return _run(two_party_conversation(seconds), None, {"LIVE_SINKS": "segments"}, output, seconds, console, speed)
    # Imported here: no other demo has words.
    from connect_audio_cli.demo.words import WordsInBucket, recognizing, spoken_call  # noqa: PLC0415

    call = spoken_call(seconds)
    with recognizing() as server:
        words = WordsInBucket(call.phrases)
        settings = {"LIVE_SINKS": "segments,whisper", **server}
        outcome = _run(call.conversation, words, settings, output, seconds, console, speed)
    console.print(f"words     {words.verdict}")
    return outcome


def _run(
    conversation: Conversation,
    words: WordsInBucket | None,
    sinks: Mapping[str, str],
    output: Path,
    seconds: int,
    console: Console,
    speed: float,
) -> DemoOutcome:
    settings = {**SETTINGS, **sinks}
    # The folder is tried before anything is started or said.
    with functions_log(output) as log_file:
        console.print("starting S3, Kinesis Video Streams, Lambda and the durable engine on this machine")
        with redirect_stdout(log_file), local_cloud(settings) as cloud, closing(cloud.s3()) as s3:
            console.print(f"[green]✓[/] they are up; the call takes {seconds / speed:.0f} s")
            result, lags = _call(cloud, s3, conversation, words, seconds, speed, console)
            fetched = fetch(cloud, result, output)
            joined = _joined(s3, cloud.bucket, _prefix(cloud, result["recording"]))
    outcome = report(conversation, fetched, output, console)
    _, frames = fetched.frames()
    live = LiveFigures(
        are_equal=joined == frames,
        segments=len(lags),
        median_lag_s=statistics.median(lags) if lags else None,
        longest_lag_s=max(lags, default=None),
    )
    verdict = "[green]equal to the recording, every sample[/]" if live.are_equal else "[red]not the recording[/]"
    console.print(f"segments  joined: {verdict}")
    if live.median_lag_s is not None and live.longest_lag_s is not None:
        figures = f"median {live.median_lag_s * 1000:.0f} ms, worst {live.longest_lag_s * 1000:.0f} ms"
        console.print(
            f"lag       from the last sample sent to the segment read: {figures}, of {count(len(lags), 'segment')}"
        )
    return replace(outcome, live=live)


@dataclass(frozen=True, slots=True)
class _Segment:
    """A segment as it lies in the bucket.

    Args:
        number: which.
        rate: samples a second.
        frames: stereo frames.
    """

    number: int
    rate: int
    frames: bytes

    @property
    def seconds(self) -> float:
        """How long it is."""
        return len(self.frames) / FRAME_BYTES / self.rate


class _TimedStream(EmulatedStream):
    """A stream that remembers when it sends what."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._sent: list[tuple[int, float]] = []
        self._sent_lock = threading.Lock()

    @override
    def pieces(self, fragment: StoredFragment) -> list[tuple[bytes, float]]:
        """Cut a fragment, and note when its blocks are due."""
        pieces = super().pieces(fragment)
        due = [
            (fragment.producer_ms + end_ms, due_s)
            for (_, end_ms), (_, due_s) in zip(block_ends(fragment.load()), pieces, strict=False)
        ]
        with self._sent_lock:
            # A fragment that is read again goes out at once; what counts is when it was first to be had.
            newest_ms = self._sent[-1][0] if self._sent else -1
            self._sent += sorted(entry for entry in due if entry[0] > newest_ms)
        return pieces

    def hurry(self) -> None:
        """Send all that is left at once."""
        with self._lock:
            self._pace = ALL_AT_ONCE

    def sent_s(self, media_ms: float) -> float | None:
        """When the block that reaches up to a time is sent, or will be, monotonic seconds; None while unknown."""
        with self._sent_lock:
            at = bisect_left(self._sent, media_ms, key=lambda entry: entry[0])
            return self._sent[at][1] if at < len(self._sent) else None


def _call(
    cloud: LocalCloud,
    s3: Any,
    conversation: Conversation,
    words: WordsInBucket | None,
    seconds: int,
    speed: float,
    console: Console,
) -> tuple[dict[str, Any], list[float]]:
    """Stream the call and show its segments.

    Returns:
        The consumer's result, and the lag of each segment of full length, seconds.
    """
    calls = demo_calls(conversation, neighbour_s=_NEIGHBOUR_S, pause_ms=_PAUSE_MS)
    first = first_of_ours(calls)
    stream = _TimedStream(STREAM, stored(synthesize_stream(calls)), pace=Live(speed), delivery=Delivery.BLOCK)
    cloud.emulator.add_stream(stream)
    try:
        return _received(cloud, s3, stream, first, words, seconds, speed, console)
    finally:
        # After an interrupt the services end with the call, which need not keep its pace any more.
        stream.hurry()


def _received(
    cloud: LocalCloud,
    s3: Any,
    stream: _TimedStream,
    first: SyntheticFragment,
    words: WordsInBucket | None,
    seconds: int,
    speed: float,
    console: Console,
) -> tuple[dict[str, Any], list[float]]:
    answer = begin(cloud, stream, first, console)
    execution = cloud.executions[answer["executionName"]]
    prefix = _prefix(cloud, answer["recordingUri"])
    key = answer["recordingUri"].removeprefix(f"s3://{cloud.bucket}/")
    lags: list[float] = []
    meter = _MeterLine(console.width)
    console.print(f"\n[bold]{meter.headings}[/]")
    with call_progress(console) as progress:
        task = progress.add_task("heard", total=seconds)
        for segment, lag_s in _arriving(
            execution, stream, s3, cloud.bucket, prefix, first.producer_ms, seconds / speed
        ):
            if lag_s is not None:
                lags.append(lag_s)
            progress.console.print(meter.line(segment, lag_s))
            for line in () if words is None else words.new_lines(s3, cloud.bucket, key):
                progress.console.print(line, markup=False)
            progress.update(task, completed=min(seconds, segment.number + segment.seconds))
    for line in () if words is None else words.new_lines(s3, cloud.bucket, key):
        console.print(line, markup=False)
    console.print()
    return result_of(execution, console), lags


def _arriving(
    execution: Execution, stream: _TimedStream, s3: Any, bucket: str, prefix: str, start_ms: int, length_s: float
) -> Iterator[tuple[_Segment, float | None]]:
    """Give out the segments as they can be read, until the execution has ended and there are no more.

    Yields:
        A segment and its lag, seconds; None of one that is shorter, which comes only with the call's end.

    Raises:
        TimeoutError: the call does not end.
    """
    number = 0
    until = time.monotonic() + length_s + 120
    while True:
        is_over = execution.done.is_set()  # before the look, so that nothing comes between
        sent_s = stream.sent_s(start_ms + (number + 1) * 1000)
        is_due = sent_s is not None and time.monotonic() >= sent_s
        segment = _read(s3, bucket, prefix, number) if is_due or is_over else None
        if segment is not None:
            is_full = len(segment.frames) == FRAME_BYTES * segment.rate
            yield segment, time.monotonic() - sent_s if is_full and sent_s is not None else None
            number += 1
        elif is_over:
            return
        elif time.monotonic() > until:
            raise TimeoutError(f"execution {execution.name} does not end")
        else:
            execution.done.wait(_LOOK_S)


def _read(s3: Any, bucket: str, prefix: str, number: int) -> _Segment | None:
    try:
        body = s3.get_object(Bucket=bucket, Key=f"{prefix}{number:06d}.wav")["Body"].read()
    except s3.exceptions.NoSuchKey:
        return None
    with wave.open(io.BytesIO(body)) as wav:
        return _Segment(number, wav.getframerate(), wav.readframes(wav.getnframes()))


def _joined(s3: Any, bucket: str, prefix: str) -> bytes:
    """All segments that the index lists, in order."""

    def read(name: str) -> bytes:
        body: bytes = s3.get_object(Bucket=bucket, Key=prefix + name)["Body"].read()
        return body

    pieces = []
    for page in json.loads(read("index.json"))["pages"]:
        for segment in json.loads(read(page["name"]))["segments"]:
            with wave.open(io.BytesIO(read(segment["files"][0]))) as wav:
                pieces.append(wav.readframes(wav.getnframes()))
    return b"".join(pieces)


def _prefix(cloud: LocalCloud, recording: str) -> str:
    return segments_prefix(recording.removeprefix(f"s3://{cloud.bucket}/"))


class _MeterLine:
    """A line for each segment: number, time, the level of either party, lag. Without bars where there is no room.

    Args:
        columns: width of the screen.
    """

    def __init__(self, columns: int) -> None:
        self._bar_cells = _METER_CELLS if columns >= _METER_COLUMNS else 0
        self._level_cells = len(DIGITAL_SILENCE) if not self._bar_cells else self._bar_cells + 8

    @property
    def headings(self) -> str:
        """The line above the segments."""
        width = self._level_cells
        customer, agent = ("customer, dBFS", "agent, dBFS") if self._bar_cells else ("customer dBFS", "agent dBFS")
        return f"{'segment':>7} {'at':>6}  {customer:<{width}}  {agent:<{width}} {'lag':>7}"

    def line(self, segment: _Segment, lag_s: float | None) -> Text:
        """The line of a segment."""
        lag = "at end" if lag_s is None else f"{lag_s * 1000:.0f} ms"
        levels = [level_dbfs(channel(segment.frames, index)) for index in range(2)]
        return Text.assemble(
            f"{segment.number:>7} {segment.number:>4} s  ",
            *self._meter(levels[0]),
            "  ",
            *self._meter(levels[1]),
            f" {lag:>7}",
        )

    def _meter(self, dbfs: float) -> tuple[tuple[str, str], str]:
        """A bar and its number."""
        if not math.isfinite(dbfs):
            bar = "░" * (self._level_cells - len(DIGITAL_SILENCE) - 1)
            return (bar, "green"), f" {DIGITAL_SILENCE}" if bar else DIGITAL_SILENCE
        filled = round(self._bar_cells * max(0.0, 1 - dbfs / _METER_FLOOR_DBFS))
        bar = "█" * filled + "░" * (self._bar_cells - filled)
        return (bar, "green"), f"{dbfs:>{self._level_cells - len(bar)}.1f}"
