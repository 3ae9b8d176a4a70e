"""A Kinesis Video Streams emulator: real HTTP for any AWS SDK, for the demo, the tests and `connect-audio emulate`.

with KvsEmulator() as emulator:
    emulator.add_stream(EmulatedStream("calls", stored(synthesize_call(call)), pace=Live(speed=60)))
    os.environ |= emulator.environment()
"""

from __future__ import annotations

from connect_audio_local.kvs.archive_behaviour import ArchiveBehaviour, ArchiveOrder, ArchiveSpelling
from connect_audio_local.kvs.capture import CaptureError, StoredFragment, read_capture, stored
from connect_audio_local.kvs.clock import Clock, ManualClock, SystemClock
from connect_audio_local.kvs.fault_run import FaultRun
from connect_audio_local.kvs.faults import NO_FAULTS, FaultPlan, random_faults
from connect_audio_local.kvs.model import (
    ALL_AT_ONCE,
    UNLIMITED,
    AllAtOnce,
    AsRead,
    Delivery,
    EmulatedStream,
    Limits,
    Live,
    Pace,
)
from connect_audio_local.kvs.server import KvsEmulator
from connect_audio_local.kvs.service_error import ServiceError

__all__ = [
    "ALL_AT_ONCE",
    "NO_FAULTS",
    "UNLIMITED",
    "AllAtOnce",
    "ArchiveBehaviour",
    "ArchiveOrder",
    "ArchiveSpelling",
    "AsRead",
    "CaptureError",
    "Clock",
    "Delivery",
    "EmulatedStream",
    "FaultPlan",
    "FaultRun",
    "KvsEmulator",
    "Limits",
    "Live",
    "ManualClock",
    "Pace",
    "ServiceError",
    "StoredFragment",
    "SystemClock",
    "random_faults",
    "read_capture",
    "stored",
]
