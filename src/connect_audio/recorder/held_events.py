"""Events of the stream that wait until it is known to which streaming the audio behind a break belongs.

Reading goes on beside them. They lie beyond the cursor, so a later invocation reads them again (ADR 3).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Final

from connect_audio.core.fragments import BytesLost, Fragment
from connect_audio.recorder.audio_breaks import Break
from connect_audio.recorder.call_stream import InBandErrors
from connect_audio.values import dataclass

MAX_HELD_BYTES: Final = 8 * 1024 * 1024
"""Most bytes of fragments that are held: four minutes of both parties at 8 kHz. Reading pauses beyond it."""


@dataclass(frozen=True, slots=True)
class AcceptedFragment:
    """A fragment that was accepted from the stream.

    Args:
        fragment: the fragment.
        is_new: no step has read it before.
        at_ms: when it was accepted; wall clock, ms since the epoch.
        found: the break before it; None for none.
    """

    fragment: Fragment
    is_new: bool
    at_ms: int
    found: Break | None


type HeldEvent = AcceptedFragment | BytesLost | InBandErrors


@dataclass(frozen=True, slots=True)
class OpenBreak:
    """A break at which a later streaming may yet turn out to begin.

    Args:
        found: the break.
        came_ms: when the audio behind it arrived; wall clock, ms since the epoch.
        due_s: when to look for the later streaming's recording again, monotonic seconds.
    """

    found: Break
    came_ms: int
    due_s: float


class HeldEvents:
    """The events behind an open break, in stream order. The first one is the fragment behind the break.

    Memory: `MAX_HELD_BYTES` and one fragment.
    """

    def __init__(self) -> None:
        self.behind: OpenBreak | None = None
        """The open break; None where nothing is held."""
        self._events: deque[HeldEvent] = deque()
        self._bytes = 0

    @property
    def is_full(self) -> bool:
        """True if reading must wait until the break is settled."""
        return self._bytes >= MAX_HELD_BYTES

    def __bool__(self) -> bool:
        return bool(self._events)

    def __iter__(self) -> Iterator[HeldEvent]:
        return iter(self._events)

    def append(self, event: HeldEvent) -> None:
        """Add the next event."""
        self._events.append(event)
        self._bytes += _held_bytes(event)

    def first(self) -> HeldEvent:
        """Return the first event."""
        return self._events[0]

    def pop(self) -> HeldEvent:
        """Remove the first event and return it."""
        event = self._events.popleft()
        self._bytes -= _held_bytes(event)
        return event

    def clear(self) -> None:
        """Remove all events."""
        self.behind = None
        self._events.clear()
        self._bytes = 0


def _held_bytes(event: HeldEvent) -> int:
    return event.fragment.held_bytes if isinstance(event, AcceptedFragment) else 0
