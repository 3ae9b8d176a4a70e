"""Live audio beside the recording: a buffer of the newest seconds, and sinks that read it at their own pace.

    pipeline = LivePipeline(sinks, policy, clock, logger, ...)  one for each invocation
    pipeline.resume(timeline, tail)                             where an earlier invocation stood
    pipeline.write(samples, rate)                               audio has arrived
    pipeline.confirm(timeline)                                  a fragment is decided
    pipeline.end(timeline)                                      the call is over
    pipeline.flush(); pipeline.close(); pipeline.state(frames)  before an invocation ends

No failure of a sink gets out of the pipeline, and nothing waits for a sink but `flush` and `close` (ADR 11).
"""

from connect_audio.core.live_state import LiveState, SinkCounts, SinkState
from connect_audio.live.drivers import Inline, Threads
from connect_audio.live.named_sink import NamedSink
from connect_audio.live.pipeline import LivePipeline
from connect_audio.live.policy import LivePolicy

__all__ = ["Inline", "LivePipeline", "LivePolicy", "LiveState", "NamedSink", "SinkCounts", "SinkState", "Threads"]
