"""`connect-audio demo`: a whole two-party call through the real handlers, on this machine, with no AWS account.

Connect event -> trigger -> named asynchronous start -> consumer on the durable engine -> GetMedia over HTTP -> S3, and
then a look at what came out: is every sample that was sent in the WAV, and nobody else's?
"""

from __future__ import annotations

import json
import threading
import time
import wave
from collections.abc import Callable, Iterator
from contextlib import closing, redirect_stdout
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from connect_audio.core.pcm import SAMPLE_BYTES, channel, level_dbfs
from connect_audio_local.emulator.capture import StoredFragment, stored
from connect_audio_local.emulator.model import Delivery, EmulatedStream, Live
from connect_audio_local.local_cloud import LocalCloud, connect_event, local_cloud
from connect_audio_local.speech import Conversation, two_party_conversation
from connect_audio_local.synthesis import SyntheticCall, synthesise_stream

CONTACT: Final = "7c9e6679-7425-40de-944b-e07fc1f90ae7"
INSTANCE: Final = "0f8fad5b-d9cb-469f-a165-70867728950e"
_BEFORE: Final = "3fa85f64-5717-4562-b3fc-2c963f66afa6"
_AFTER: Final = "9b2e7f54-1b7d-4c57-8f3a-0d7e1c2b3a4d"
_SPEED: Final = 12.0
"""Media seconds a second: a minute's call in five seconds, and still live: bytes come as they are spoken."""
_NEIGHBOUR_S: Final = 8
_PAUSE_MS: Final = 3000
_SETTINGS: Final = {"DRAIN_SECONDS": "2", "IDLE_LIMIT_SECONDS": "30", "POWERTOOLS_LOG_LEVEL": "INFO"}
"""Waits short enough to watch."""


def run_demo(*, output: Path, seconds: int, console: Console) -> int:
    """Run one call and show what came out.

    Args:
        output: folder for the WAV, the manifest and the functions' log; made if missing.
        seconds: length of the call.
        console: where to show it.

    Returns:
        0 where the recording is whole and equals what was sent, sample for sample; else 1.
    """
    output.mkdir(parents=True, exist_ok=True)
    # The handlers log to standard output, as Lambda wants it; here that goes to a file.
    console = Console(file=console.file, force_terminal=console.is_terminal, width=console.width)
    conversation = two_party_conversation(seconds)
    log = output / "functions.log"
    started = time.monotonic()
    console.print("starting S3, Kinesis Video Streams, Lambda and the durable engine on this machine")
    with log.open("w", encoding="utf-8") as log_file, redirect_stdout(log_file), local_cloud(_SETTINGS) as cloud:
        console.print(f"[green]✓[/] they are up ({time.monotonic() - started:.1f} s)")
        result = _call(cloud, conversation, seconds, console)
        wav, manifest_path = _fetch(cloud, result, output)
    return _report(conversation, wav, manifest_path, log, console)


def _call(cloud: LocalCloud, conversation: Conversation, seconds: int, console: Console) -> dict[str, Any]:
    """Stream the call, with somebody else's before and after it, and wait for the recording."""
    stranger = two_party_conversation(_NEIGHBOUR_S, seed=1)
    calls = [
        SyntheticCall(customer=stranger.customer, agent=stranger.agent, contact_id=_BEFORE, instance_id=INSTANCE),
        SyntheticCall(
            customer=conversation.customer,
            agent=conversation.agent,
            contact_id=CONTACT,
            instance_id=INSTANCE,
            pause_ms=_PAUSE_MS,
        ),
        SyntheticCall(
            customer=stranger.agent,
            agent=stranger.customer,
            contact_id=_AFTER,
            instance_id=INSTANCE,
            pause_ms=_PAUSE_MS,
        ),
    ]
    first = next(fragment for fragment in synthesise_stream(calls) if fragment.contact_id == CONTACT)
    columns = (TextColumn("  {task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=not console.is_terminal) as progress:
        task = progress.add_task("the call is streamed and recorded", total=seconds)

        def show(fragment: StoredFragment) -> None:
            progress.update(task, completed=max(0, min(seconds, (fragment.end_ms - first.producer_ms) / 1000)))

        stream = cloud.emulator.add_stream(
            EmulatedStream(
                "connect-demo-contact",
                _shown(stored(synthesise_stream(calls)), show),
                pace=Live(_SPEED),
                delivery=Delivery.BLOCK,
            )
        )
        answer = cloud.trigger(
            connect_event(
                contact_id=CONTACT,
                instance_id=INSTANCE,
                stream_arn=stream.arn,
                start_ms=first.producer_ms,
                start_fragment=first.number,
            )
        )
        progress.console.print(f"[green]✓[/] Connect event -> trigger: {answer['status']}")
        progress.console.print(f"  recording to {answer.get('recordingUri', answer)}")
        execution = cloud.wait(answer["executionName"], timeout_s=seconds + 120)
        progress.update(task, completed=seconds)
    console.print(f"[green]✓[/] durable execution {execution.status}: {' -> '.join(execution.steps)}")
    if execution.result is None:
        raise RuntimeError(f"the consumer failed: {execution.error}")
    result: dict[str, Any] = execution.result
    return result


def _shown(fragments: Iterator[StoredFragment], show: Callable[[StoredFragment], None]) -> Iterator[StoredFragment]:
    """Pass fragments on, telling of each."""
    lock = threading.Lock()
    for fragment in fragments:
        with lock:
            show(fragment)
        yield fragment


def _fetch(cloud: LocalCloud, result: dict[str, Any], output: Path) -> tuple[Path, Path]:
    """Copy WAV and manifest out of the local S3, which ends with the demo."""
    paths = []
    with closing(cloud.s3()) as s3:
        for uri in (result["recording"], result["manifest"]):
            key = uri.removeprefix(f"s3://{cloud.bucket}/")
            path = output / Path(key).name
            path.write_bytes(s3.get_object(Bucket=cloud.bucket, Key=key)["Body"].read())
            paths.append(path)
    return paths[0], paths[1]


def _report(conversation: Conversation, wav_path: Path, manifest_path: Path, log: Path, console: Console) -> int:
    """Show duration, levels and whether the audio is what was sent."""
    with wave.open(str(wav_path)) as wav:
        rate, frames = wav.getframerate(), wav.readframes(wav.getnframes())
        length = wav.getnframes()
    manifest = json.loads(manifest_path.read_text(encoding="utf-8"))
    table = Table(
        title=f"{length / rate:.1f} s of stereo at {rate} Hz, status {manifest['status']}", title_justify="left"
    )
    for heading in ("channel", "party", "level", "speaks", "equal to what was sent"):
        table.add_column(heading)
    whole = manifest["status"] == "complete"
    for index, (name, party, sent) in enumerate(
        (("left", "customer", conversation.customer), ("right", "agent", conversation.agent))
    ):
        heard = channel(frames, index)
        # The last fragment is padded with silence up to a whole block.
        same = heard[: len(sent)] == sent and not any(heard[len(sent) :])
        whole = whole and same
        verdict = "[green]yes, every sample[/]" if same else "[red]no[/]"
        table.add_row(name, party, f"{level_dbfs(heard):.1f} dBFS", f"{100 * _activity(heard, rate):.0f} %", verdict)
    console.print(table)
    others = manifest["fragments"]["otherContact"]
    console.print(f"{others} fragments of the callers before and after were in the same stream; none was recorded.")
    console.print(f"WAV       {wav_path}\nmanifest  {manifest_path}\nlogs      {log}", soft_wrap=True)
    return 0 if whole else 1


def _activity(samples: bytes, rate: int) -> float:
    """Share of 100 ms windows above -50 dBFS."""
    window = rate // 10 * SAMPLE_BYTES
    levels = [level_dbfs(samples[at : at + window]) for at in range(0, len(samples), window)]
    return sum(level > -50 for level in levels) / max(1, len(levels))
