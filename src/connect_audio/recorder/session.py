"""The objects that make one recording in one invocation.

A local of the handler, closed in its `finally`, never a module global. The next step uses it again only if it stands
exactly at that step's checkpoint. Otherwise a new one is made of the checkpoint and the stream.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from connect_audio.core.live_state import LiveState
from connect_audio.core.recording import CallRecording
from connect_audio.recorder.call_stream import CallStream
from connect_audio.recorder.checkpoint import Checkpoint, StepCounts
from connect_audio.recorder.end_of_call import EndOfCall, EndOfRecording
from connect_audio.recorder.live_guard import CallLiveAudio, GuardedLiveAudio, NoLiveAudio
from connect_audio.recorder.other_streamings import OtherStreamings
from connect_audio.recorder.parts import Parts
from connect_audio.recorder.recorder_ports import RecorderPorts
from connect_audio.recorder.streaming_border import StreamingBorder


class Session:
    """One recording, in one invocation.

    Args:
        ports: the recorder's dependencies.
        checkpoint: the last step's.
        failed_sinks: sinks that failed in this invocation in a step that could not note it: why, by name.

    Raises:
        StorageError: the staged beginning of the part cannot be read.
    """

    def __init__(self, ports: RecorderPorts, checkpoint: Checkpoint, failed_sinks: Mapping[str, str]) -> None:
        if checkpoint.end.listed is not None:
            ports = replace(ports, policy=ports.policy.for_archive())
        self.ports = ports
        self.stands_at: Checkpoint | None = checkpoint
        """Checkpoint of the last step; None while a step is under way."""
        self.parts = Parts(ports, checkpoint.parts)
        cursor, contact_id = checkpoint.cursor, ports.request.contact_id
        others = OtherStreamings(ports.request, ports.names, ports.store)
        self.border = StreamingBorder(checkpoint.border, contact_id, others, cursor.admission, cursor.fragment)
        self.recording = CallRecording(
            contact_id, cursor=cursor, bounds=self.border.bounds, limit_s=ports.policy.limit_s
        )
        self.stream = CallStream(ports, checkpoint.read, cursor)
        self.end = EndOfCall(checkpoint.end, ports.policy, ports.clock.now_ms())
        self.counts = checkpoint.counts
        self.live: CallLiveAudio = NoLiveAudio()
        if ports.live is not None:
            before = (checkpoint.live or LiveState()).with_failures(failed_sinks)
            self.live = GuardedLiveAudio(ports.live, self.recording, before, ports.logger)
        self.frames: Iterator[bytes] = iter(())
        """Settled frames that are being given out; a part may be cut in their midst."""
        self.ending: EndOfRecording | None = None
        """Set once the call is over, while the rest of its frames is given out."""
        self.least_observation_s: float | None = None
        """Time of observation after which silence means something, s; None before the first step."""

    def checkpoint(self, counts: StepCounts, live: LiveState | None) -> Checkpoint:
        """Return the sum of the objects' states.

        Args:
            counts: the counts after this step.
            live: progress of the sinks.
        """
        return Checkpoint(
            cursor=self.recording.cursor(),
            read=self.stream.state,
            end=self.end.state,
            border=self.border.state,
            parts=self.parts.state,
            counts=counts,
            live=live,
        )

    def close(self) -> None:
        """Close the connection and stop the sinks."""
        try:
            self.stream.close()
        finally:
            self.live.close()
