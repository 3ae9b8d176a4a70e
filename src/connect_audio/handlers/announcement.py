"""Announces on EventBridge what became of a recording. Used by `call_execution`, inside a step of its own."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from connect_audio.adapters.recording_events import EVENTS_CONFIG, EventBridgeBus
from connect_audio.recorder.recording_event import SOURCE, recording_event

if TYPE_CHECKING:
    from typing import Any

    import boto3

    from connect_audio.ports import Log
    from connect_audio.recorder import Outcome
    from connect_audio.recorder.object_names import RecordingNames
    from connect_audio.recorder.recording_event import RecordingEvent
    from connect_audio.request import RecordingRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcer:
    """Puts one recording's event on the bus.

    Args:
        request: the recorded streaming.
        names: the recording's objects.
        bus: the bus's name or ARN; None for no events.
        session: makes the client, which lives for one event.
        logger: carries the execution's keys.
    """

    request: RecordingRequest
    names: RecordingNames
    bus: str | None
    session: boto3.Session
    logger: Log

    def announce(self, outcome: Outcome) -> dict[str, Any]:
        """Put the event of an outcome on the bus.

        Returns:
            The step's result: the event's id, or nothing where the outcome has no event or there is no bus.

        Raises:
            AnnouncementError: EventBridge did not take the event.
        """
        return self._put(recording_event(self.request, outcome, self.names))

    def announce_repair(self, outcome: Outcome) -> dict[str, Any]:
        """Put the event of a recording on the bus that has replaced an announced one.

        Returns:
            The step's result, as of `announce`.

        Raises:
            AnnouncementError: EventBridge did not take the event.
        """
        return self._put(recording_event(self.request, outcome, self.names, is_repaired=True))

    def _put(self, event: RecordingEvent | None) -> dict[str, Any]:
        if event is None or self.bus is None:
            return {}
        with closing(self.session.client("events", config=EVENTS_CONFIG)) as client:
            event_id = EventBridgeBus(self.bus, source=SOURCE, client=client).put(event.detail_type, event.detail)
        self.logger.info("recording announced", extra={"event_id": event_id})
        return {"event": event_id}
