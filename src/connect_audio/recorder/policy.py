"""The recorder's durations and limits, in one value that tests and settings can change."""

from __future__ import annotations

from dataclasses import replace
from typing import Final, Self

from connect_audio.core.pcm import FRAME_BYTES
from connect_audio.values import dataclass

MIN_PART_BYTES: Final = 5 * 1024 * 1024
"""Smallest part that S3 accepts, bytes; only the last part of an upload may be smaller."""
_PART_SECONDS: Final = 120
"""Least audio in a part, seconds. Shorter parts would cost a day-long call more operations than the engine allows."""
ARCHIVE_PART_BYTES: Final = 24 * 1024 * 1024
"""PCM of a full part of a call that is recorded after its end, bytes: 13 minutes at 8 kHz. Larger parts save
operations of the engine, and nothing is lost if such a step has to run again. One part is in memory at a time."""
EARLY_MS: Final = 5000
"""Reading begins so long before StartTimestamp, ms: the first fragment may be a little older than the event says."""
_MOST_EXCESS_BYTES: Final = 3 * 1024 * 1024
"""Most that a part may exceed its full size, bytes: a fragment may come after hours of silence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Durations and limits of one recording. Seconds, unless the name says otherwise.

    Args:
        drain: silence of our contact that ends the recording once there is a cause to think that the call is over.
        idle_limit: silence of our contact that ends the recording unless Connect says CONNECTED.
        connected_limit: silence of our contact that ends the recording though Connect says CONNECTED. It is waited out
            suspended, five minutes at a time, with two operations of the engine's quota each.
        refusal_limit: GetMedia failing with a non-retryable error for so long ends the recording.
        patience: silence after which the step ends, so that waiting for more costs nothing.
        status_interval: least time between two questions to Connect about the contact's state.
        first_backoff: pause before the second reconnect in a row without a new fragment; doubles each time.
        longest_backoff: longest such pause.
        nap: longest pause after a read at the stream's head, while bytes gather. No nap delays a sink:
            a call with a sink for blocks has none, and one with sinks for segments naps between the segments.
        longest_look: longest time between two looks at a call that is recorded after its end.
        limit_s: longest recording.
        max_stalls: hand-overs in a row without a new fragment after which the recording gives up.
        part_bytes: PCM of a full part, bytes; None for what S3 and the engine's quota demand. Tests set it, with a
            store that accepts smaller parts.
    """

    drain: float = 30
    idle_limit: float = 600
    connected_limit: float = 4 * 3600
    refusal_limit: float = 60
    patience: float = 30
    status_interval: float = 60
    first_backoff: float = 0.5
    longest_backoff: float = 8
    nap: float = 1.0
    longest_look: float = 3600
    limit_s: int = 47 * 3600
    max_stalls: int = 3
    part_bytes: int | None = None

    def for_archive(self) -> Self:
        """Return the policy for a call that is recorded after its end: its parts are larger."""
        return self if self.part_bytes is not None else replace(self, part_bytes=ARCHIVE_PART_BYTES)

    def full_part_bytes(self, rate: int) -> int:
        """Return the PCM that makes a part full, bytes.

        Args:
            rate: samples a second.
        """
        if self.part_bytes is not None:
            return self.part_bytes
        return max(MIN_PART_BYTES, _PART_SECONDS * rate * FRAME_BYTES)

    def most_part_bytes(self, rate: int) -> int:
        """Return the PCM at which a part is cut even inside a fragment, bytes.

        Args:
            rate: samples a second.
        """
        full = self.full_part_bytes(rate)
        return full + min(full, _MOST_EXCESS_BYTES)
