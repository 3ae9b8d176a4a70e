"""A recording after the call, as an export makes it of a world's stream."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from connect_audio.core.errors import MediaSourceError
from connect_audio.ports import FragmentIndex, ListedFragment, PartStore
from connect_audio.recorder.late_recording import LateCall, LateRecording, LateResult
from connect_audio.recorder.object_names import RecordingNames
from connect_audio.request import RecordingRequest
from support.world import NAMES, REQUEST, World

CALL: Final = LateCall(REQUEST.stream_arn, REQUEST.start_timestamp_ms, REQUEST.contact_id, REQUEST.instance_arn)


@dataclass
class Listing:
    """The listing of a world's stream; with `failure`, one that fails."""

    world: World
    failure: MediaSourceError | None = None

    def fragments(self, from_ms: int, to_ms: int) -> list[ListedFragment]:
        if self.failure is not None:
            raise self.failure
        return [
            ListedFragment(each.number, each.producer_ms, 0, each.at_ms - each.producer_ms, len(each.data))
            for each in self.world.source.fragments
            if from_ms <= each.producer_ms <= to_ms
        ]


@dataclass
class _Place:
    store: PartStore

    def names(self, request: RecordingRequest) -> RecordingNames:
        assert request == REQUEST
        return NAMES

    def claimant(self, request: RecordingRequest) -> str:
        return f"export:{request.execution_name}"


def record(at: World, index: FragmentIndex | None = None) -> LateResult:
    """Export the call of a world."""
    return LateRecording(
        call=CALL,
        place=_Place(at.store),
        source=at.source,
        index=index or Listing(at),
        clock=at.clock,
        logger=at.logger,
        policy=at.policy,
    ).run()
