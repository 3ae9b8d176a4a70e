"""The state that pipeline, sinks' progress and drivers share, and the lock that guards it."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from connect_audio.core.live_buffer import LiveBuffer
from connect_audio.live.policy import LivePolicy
from connect_audio.ports import Clock, Log


@dataclass
class PipelineState:
    """The shared state of one pipeline.

    Args:
        policy: durations and limits.
        clock: measures and waits.
        logger: gets ids, codes and numbers, never texts of a sink.
        buffer: the newest audio; None before the first.
        lock: held during every use of the buffer and of a sink's progress.
    """

    policy: LivePolicy
    clock: Clock
    logger: Log
    buffer: LiveBuffer | None = None
    lock: threading.RLock = field(default_factory=threading.RLock)
