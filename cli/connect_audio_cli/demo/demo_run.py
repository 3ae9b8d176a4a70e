"""The call of the demos: how it is streamed to the local services, and what is said of its recording.

`demo` runs it as fast as can be watched, `demo --live` at the pace of a call.
"""

from __future__ import annotations

import json
import wave
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TextIO

from rich.console import Console
from rich.table import Table

from connect_audio.core.errors import SettingsError
from connect_audio.core.pcm import FRAME_BYTES, channel
from connect_audio_cli.demo.screen import print_place
from connect_audio_cli.output.atomic_file import AtomicFile
from connect_audio_cli.output.command_error import CommandError, ExitCode, describe, printable
from connect_audio_cli.output.folders import make_folder
from connect_audio_cli.output.formatting import speech
from connect_audio_cli.page.page import make_page
from connect_audio_cli.recordings.location import Location
from connect_audio_cli.recordings.words_files import words_beside
from connect_audio_local.cloud import Execution, LocalCloud, connect_event
from connect_audio_local.kvs.model import EmulatedStream
from connect_audio_local.synthesis.calls import SyntheticCall, SyntheticFragment, synthesize_stream
from connect_audio_local.synthesis.speech import Conversation, two_party_conversation

CONTACT: Final = "7c9e6679-7425-40de-944b-e07fc1f90ae7"
INSTANCE: Final = "0f8fad5b-d9cb-469f-a165-70867728950e"
_BEFORE: Final = "3fa85f64-5717-4562-b3fc-2c963f66afa6"
_AFTER: Final = "9b2e7f54-1b7d-4c57-8f3a-0d7e1c2b3a4d"
SETTINGS: Final = {"DRAIN_SECONDS": "2", "IDLE_LIMIT_SECONDS": "30", "POWERTOOLS_LOG_LEVEL": "INFO"}
"""Waits short enough to watch."""
STREAM: Final = "connect-demo-contact"
LOG_NAME: Final = "functions.log"
"""Endings of transcript and captions."""


def demo_calls(conversation: Conversation, *, neighbour_s: int, pause_ms: int) -> Sequence[SyntheticCall]:
    """The call, with another caller's before and after it in the same stream.

    Args:
        conversation: audio of both parties.
        neighbour_s: length of the other calls, seconds.
        pause_ms: between two calls, ms.
    """
    neighbour = two_party_conversation(neighbour_s, seed=1)
    return [
        SyntheticCall(customer=neighbour.customer, agent=neighbour.agent, contact_id=_BEFORE, instance_id=INSTANCE),
        SyntheticCall(
            customer=conversation.customer,
            agent=conversation.agent,
            contact_id=CONTACT,
            instance_id=INSTANCE,
            pause_ms=pause_ms,
        ),
        SyntheticCall(
            customer=neighbour.agent,
            agent=neighbour.customer,
            contact_id=_AFTER,
            instance_id=INSTANCE,
            pause_ms=pause_ms,
        ),
    ]


def first_of_ours(calls: Sequence[SyntheticCall]) -> SyntheticFragment:
    """The fragment with which the call begins."""
    return next(fragment for fragment in synthesize_stream(calls) if fragment.contact_id == CONTACT)


def begin(cloud: LocalCloud, stream: EmulatedStream, first: SyntheticFragment, console: Console) -> dict[str, str]:
    """Have the Connect event of the call come in.

    Args:
        cloud: the services.
        stream: the call's stream; serves it already.
        first: its first fragment.
        console: shows the answer.

    Returns:
        The trigger's answer.

    Raises:
        CommandError: the trigger refused the call.
    """
    event = connect_event(
        contact_id=CONTACT,
        instance_id=INSTANCE,
        stream_arn=stream.arn,
        start_ms=first.producer_ms,
        start_fragment=first.number,
    )
    try:
        answer = cloud.trigger(event)
    except SettingsError as error:
        # A variable of this shell that the functions read.
        raise CommandError(printable(str(error), 500)) from error
    if answer.get("status") != "STARTED":
        raise CommandError(f"the trigger refused the call: {printable(answer.get('reason', 'no reason is given'))}")
    console.print(f"[green]✓[/] Connect event -> trigger: {answer['status']}")
    print_place(console, "  recording to", answer["recordingUri"])
    return answer


def result_of(execution: Execution, console: Console) -> dict[str, Any]:
    """The consumer's return value.

    Raises:
        CommandError: it failed.
    """
    if execution.result is None:
        raise CommandError(f"the consumer failed: {printable(str(execution.error))}", ExitCode.DIFFERENT)
    console.print(f"[green]✓[/] durable execution {execution.status}: {' -> '.join(execution.steps)}")
    result: dict[str, Any] = execution.result
    return result


@dataclass(frozen=True, slots=True)
class Fetched:
    """A recording out of the local S3, which ends with the demo.

    Args:
        wav: path of the WAV.
        manifest: path of the manifest.
        replaced: files of an earlier demo, whose call is the same but for its length.
        transcript: path of the transcript; None without words.
    """

    wav: Path
    manifest: Path
    replaced: tuple[Path, ...] = ()
    transcript: Path | None = None

    def frames(self) -> tuple[int, bytes]:
        """Sample rate, and the stereo frames."""
        with wave.open(str(self.wav)) as wav:
            return wav.getframerate(), wav.readframes(wav.getnframes())


def _manifest(s3: Any, bucket: str, uri: str) -> dict[str, Any]:
    body = s3.get_object(Bucket=bucket, Key=uri.removeprefix(f"s3://{bucket}/"))["Body"].read()
    manifest: dict[str, Any] = json.loads(body)
    return manifest


def fetch(cloud: LocalCloud, result: dict[str, Any], output: Path) -> Fetched:
    """Copy WAV, manifest, and transcript and captions if there are any, out of the local S3, which ends with the demo.

    An earlier demo's transcript is of another call, so it is removed: the call's page would show it.
    """
    paths = []
    replaced = []
    with closing(cloud.s3()) as s3:
        words = _manifest(s3, cloud.bucket, result["manifest"])["words"]
        uris = () if words is None else (words["transcript"], words["captions"])
        for uri in (result["recording"], result["manifest"], *uris):
            key = uri.removeprefix(f"s3://{cloud.bucket}/")
            path = output / Path(key).name
            with AtomicFile(path) as file:
                file.write(s3.get_object(Bucket=cloud.bucket, Key=key)["Body"].read())
                file.seal()
                if file.replaces():
                    replaced.append(path)
                file.publish()
            paths.append(path)
    wav, manifest = paths[:2]
    for earlier in words_beside(wav) if words is None else ():
        earlier.unlink()
    return Fetched(wav, manifest, tuple(replaced), paths[2] if words is not None else None)


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveFigures:
    """The segments of a live demo.

    Args:
        are_equal: True if they are the recording, joined.
        segments: number of segments of full length.
        median_lag_s: from the last sample sent to the segment read, seconds; None without a segment.
        longest_lag_s: the longest of these times, seconds.
    """

    are_equal: bool
    segments: int
    median_lag_s: float | None
    longest_lag_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoOutcome:
    """The result of a demo.

    Args:
        fetched: the recording.
        page: path of the call's page.
        log: path of the functions' output.
        status: the manifest's.
        seconds: length of the recording.
        is_equal: True if the recording is the sent audio, sample for sample.
        live: the segments; None without live audio.
    """

    fetched: Fetched
    page: Path
    log: Path
    status: str
    seconds: float
    is_equal: bool
    live: LiveFigures | None = None

    @property
    def is_whole(self) -> bool:
        """True if all is as it must be."""
        return self.status == "complete" and self.is_equal and (self.live is None or self.live.are_equal)

    @property
    def fault(self) -> str:
        """The first thing that is not as it must be, in a line."""
        if not self.is_equal:
            return "the recording is not what was sent"
        if self.status != "complete":
            return f"the recording is {self.status}"
        return "the segments are not the recording"

    def as_json(self) -> dict[str, Any]:
        """The demo's document."""
        live = self.live
        return {
            "recording": str(self.fetched.wav),
            "manifest": str(self.fetched.manifest),
            "transcript": None if self.fetched.transcript is None else str(self.fetched.transcript),
            "page": str(self.page),
            "log": str(self.log),
            "replaced": [str(path) for path in self.fetched.replaced],
            "status": self.status,
            "durationSeconds": self.seconds,
            "isEqualToWhatWasSent": self.is_equal,
            "live": None
            if live is None
            else {
                "areSegmentsEqualToRecording": live.are_equal,
                "fullSegments": live.segments,
                "medianLagSeconds": live.median_lag_s,
                "longestLagSeconds": live.longest_lag_s,
            },
        }


@contextmanager
def functions_log(output: Path) -> Iterator[TextIO]:
    """Open the file of the functions' output in a folder, which is made if missing.

    Raises:
        CommandError: it cannot be written, or a file of that name is no log of a demo.
    """
    path = output / LOG_NAME
    make_folder(output)
    try:
        if path.is_file() and path.read_bytes()[:1] not in (b"", b"{"):
            raise CommandError(f"{printable(str(path))} is no log of a demo: choose another --output")
        file = path.open("w", encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{printable(str(path))}: cannot be written: {describe(error)}") from error
    with file:
        yield file


def report(conversation: Conversation, fetched: Fetched, output: Path, console: Console) -> DemoOutcome:
    """Show duration, levels and whether the audio is what was sent, and make the call's page."""
    rate, frames = fetched.frames()
    manifest = json.loads(fetched.manifest.read_text(encoding="utf-8"))
    table = Table(
        title=f"{len(frames) // FRAME_BYTES / rate:.1f} s of stereo at {rate} Hz, status {manifest['status']}",
        title_justify="left",
    )
    for heading in ("channel", "party", "how loud", "equal to what was sent"):
        table.add_column(heading)
    is_equal = True
    for index, (name, party, sent) in enumerate(
        (("left", "customer", conversation.customer), ("right", "agent", conversation.agent))
    ):
        received = channel(frames, index)
        # The last fragment is padded with silence up to a whole block.
        same = received[: len(sent)] == sent and not any(received[len(sent) :])
        is_equal = is_equal and same
        verdict = "[green]yes, every sample[/]" if same else "[red]no[/]"
        track = manifest["tracks"][party]
        share = track["activeSeconds"] / manifest["recording"]["durationSeconds"]
        table.add_row(name, party, speech(track["activeRmsDbfs"], share, track["peakDbfs"]), verdict)
    console.print(table)
    others = manifest["fragments"]["otherContact"]
    console.print(f"{others} fragments of the callers before and after were in the same stream; none was recorded.")
    log = output / LOG_NAME
    page = make_page(Location(str(fetched.wav)), fetched.wav.with_suffix(".html"), force=True).path
    places = [("WAV", fetched.wav), ("manifest", fetched.manifest), ("page", page), ("logs and metrics", log)]
    if fetched.transcript is not None:
        places.insert(2, ("transcript", fetched.transcript))
    for name, path in places:
        note = ", replaced an earlier demo's" if path in fetched.replaced else ""
        print_place(console, name + note, path)
    return DemoOutcome(
        fetched=fetched,
        page=page,
        log=log,
        status=manifest["status"],
        seconds=len(frames) / FRAME_BYTES / rate,
        is_equal=is_equal,
    )
