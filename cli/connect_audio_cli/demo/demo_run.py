"""The call of the demos: how it is streamed to the local services, and what is said of its recording.

`demo` runs it as fast as can be watched, `demo --live` at the pace of a call.
"""

from __future__ import annotations

import json
import wave
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from connect_audio.core.pcm import FRAME_BYTES, channel
from connect_audio_cli.output.formatting import speech
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
    """
    answer = cloud.trigger(
        connect_event(
            contact_id=CONTACT,
            instance_id=INSTANCE,
            stream_arn=stream.arn,
            start_ms=first.producer_ms,
            start_fragment=first.number,
        )
    )
    console.print(f"[green]✓[/] Connect event -> trigger: {answer['status']}")
    console.print(f"  recording to {answer.get('recordingUri', answer)}")
    return answer


def result_of(execution: Execution, console: Console) -> dict[str, Any]:
    """The consumer's return value.

    Raises:
        RuntimeError: it failed.
    """
    console.print(f"[green]✓[/] durable execution {execution.status}: {' -> '.join(execution.steps)}")
    if execution.result is None:
        raise RuntimeError(f"the consumer failed: {execution.error}")
    result: dict[str, Any] = execution.result
    return result


@dataclass(frozen=True, slots=True)
class Fetched:
    """A recording out of the local S3, which ends with the demo.

    Args:
        wav: path of the WAV.
        manifest: path of the manifest.
    """

    wav: Path
    manifest: Path

    def frames(self) -> tuple[int, bytes]:
        """Sample rate, and the stereo frames."""
        with wave.open(str(self.wav)) as wav:
            return wav.getframerate(), wav.readframes(wav.getnframes())


def fetch(cloud: LocalCloud, result: dict[str, Any], output: Path) -> Fetched:
    """Copy WAV and manifest out of the local S3, which ends with the demo."""
    paths = []
    with closing(cloud.s3()) as s3:
        for uri in (result["recording"], result["manifest"]):
            key = uri.removeprefix(f"s3://{cloud.bucket}/")
            path = output / Path(key).name
            path.write_bytes(s3.get_object(Bucket=cloud.bucket, Key=key)["Body"].read())
            paths.append(path)
    return Fetched(*paths)


def report(conversation: Conversation, fetched: Fetched, log: Path, console: Console) -> bool:
    """Show duration, levels and whether the audio is what was sent.

    Returns:
        True if the recording is whole and equals the sent audio, sample for sample.
    """
    rate, frames = fetched.frames()
    manifest = json.loads(fetched.manifest.read_text(encoding="utf-8"))
    table = Table(
        title=f"{len(frames) // FRAME_BYTES / rate:.1f} s of stereo at {rate} Hz, status {manifest['status']}",
        title_justify="left",
    )
    for heading in ("channel", "party", "how loud", "equal to what was sent"):
        table.add_column(heading)
    whole: bool = manifest["status"] == "complete"
    for index, (name, party, sent) in enumerate(
        (("left", "customer", conversation.customer), ("right", "agent", conversation.agent))
    ):
        received = channel(frames, index)
        # The last fragment is padded with silence up to a whole block.
        same = received[: len(sent)] == sent and not any(received[len(sent) :])
        whole = whole and same
        verdict = "[green]yes, every sample[/]" if same else "[red]no[/]"
        track = manifest["tracks"][party]
        share = track["activeSeconds"] / manifest["recording"]["durationSeconds"]
        table.add_row(name, party, speech(track["activeRmsDbfs"], share, track["peakDbfs"]), verdict)
    console.print(table)
    others = manifest["fragments"]["otherContact"]
    console.print(f"{others} fragments of the callers before and after were in the same stream; none was recorded.")
    console.print(f"WAV       {fetched.wav}\nmanifest  {fetched.manifest}\nlogs      {log}", soft_wrap=True)
    return whole
