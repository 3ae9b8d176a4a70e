"""`connect-audio demo`: a whole two-party call through the real handlers, on this machine, with no AWS account.

Connect event -> trigger -> named asynchronous start -> consumer on the durable engine -> GetMedia over HTTP -> S3. Then
the WAV is compared with the sent audio: it must hold every sample, and none of the other callers.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from connect_audio_cli.demo.demo_run import (
    SETTINGS,
    STREAM,
    DemoOutcome,
    begin,
    demo_calls,
    fetch,
    first_of_ours,
    functions_log,
    report,
    result_of,
)
from connect_audio_cli.demo.screen import call_progress
from connect_audio_local.cloud import LocalCloud, local_cloud
from connect_audio_local.kvs.capture import StoredFragment, stored
from connect_audio_local.kvs.model import Delivery, EmulatedStream, Live
from connect_audio_local.synthesis.calls import synthesize_stream
from connect_audio_local.synthesis.speech import Conversation, two_party_conversation

_SPEED: Final = 12.0
"""Media seconds a second: a minute's call in five seconds, and still live: bytes come as they are spoken."""
_NEIGHBOUR_S: Final = 8
_PAUSE_MS: Final = 3000


def run_demo(*, output: Path, seconds: int, console: Console) -> DemoOutcome:
    """Run one call and show what came out.

    Args:
        output: folder for the WAV, the manifest and the functions' log; made if missing.
        seconds: length of the call.
        console: shows the progress.

    Raises:
        CommandError: the folder cannot be written to, or no recording came out.
    """
    # The folder is tried before anything is started or said.
    with functions_log(output) as log_file:
        conversation = two_party_conversation(seconds)
        started = time.monotonic()
        console.print("starting S3, Kinesis Video Streams, Lambda and the durable engine on this machine")
        # The handlers write logs and metrics to standard output, as Lambda wants it. Here that goes to a file.
        with redirect_stdout(log_file), local_cloud(SETTINGS) as cloud:
            console.print(f"[green]✓[/] they are up ({time.monotonic() - started:.1f} s)")
            result = _call(cloud, conversation, seconds, console)
            fetched = fetch(cloud, result, output)
    return report(conversation, fetched, output, console)


def _call(cloud: LocalCloud, conversation: Conversation, seconds: int, console: Console) -> dict[str, Any]:
    """Stream the call, with another caller's before and after it, and wait for the recording."""
    calls = demo_calls(conversation, neighbour_s=_NEIGHBOUR_S, pause_ms=_PAUSE_MS)
    first = first_of_ours(calls)
    with call_progress(console) as progress:
        task = progress.add_task("recording", total=seconds)

        def show(fragment: StoredFragment) -> None:
            progress.update(task, completed=max(0, min(seconds, (fragment.end_ms - first.producer_ms) / 1000)))

        stream = cloud.emulator.add_stream(
            EmulatedStream(
                STREAM,
                _shown(stored(synthesize_stream(calls)), show),
                pace=Live(_SPEED),
                delivery=Delivery.BLOCK,
            )
        )
        answer = begin(cloud, stream, first, progress.console)
        execution = cloud.wait(answer["executionName"], timeout_s=seconds + 120)
        progress.update(task, completed=seconds)
    return result_of(execution, console)


def _shown(fragments: Iterator[StoredFragment], show: Callable[[StoredFragment], None]) -> Iterator[StoredFragment]:
    """Pass fragments on, telling of each."""
    lock = threading.Lock()
    for fragment in fragments:
        with lock:
            show(fragment)
        yield fragment
