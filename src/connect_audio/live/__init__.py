"""Live audio beside the recording: a buffer of the newest seconds, and sinks that read it at their own pace.

    pipeline = LivePipeline(sinks, policy, clock, logger, ...)  one for each invocation
    pipeline.resume(timeline, tail)                             where an earlier invocation stood
    pipeline.write(placements, rate)                            a block, the moment it is in
    pipeline.confirm(timeline)                                  a fragment is decided
    pipeline.end(timeline)                                      the call is over
    pipeline.flush(); pipeline.close(); pipeline.state()  before an invocation ends

Whatever sinks do, nothing here waits for them but `rest` and `close`, and nothing raises because of them (ADR 11).
"""

from connect_audio.live.drivers import Inline, Threads
from connect_audio.live.feed import Feed, LivePolicy
from connect_audio.live.pipeline import LivePipeline, NamedSink
from connect_audio.live.state import LiveState, SinkState

__all__ = ["Feed", "Inline", "LivePipeline", "LivePolicy", "LiveState", "NamedSink", "SinkState", "Threads"]
