"""The remedy for each reason and warning of a manifest, in one sentence. docs/operations.md has more of each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

REMEDIES: Final[Mapping[str, str]] = {
    "ACCOUNTS_DISAGREE": "keep the recording and report its manifest: a fault of this project",
    "STEP_FAILED": "read the execution's history for the error; while the stream keeps the call: connect-audio repair",
    "INTERRUPTED": "while the stream keeps the call, record it whole: connect-audio export",
    "NO_PROGRESS": "raise the timeout of the consumer's function: it is too short for one fragment",
    "UPLOAD_LOST": "find the other writer, or the lifecycle rule, that aborts uploads in the bucket",
    "IN_BAND_ERROR": "remove the error that inBandErrors names; while the stream keeps the call: connect-audio repair",
    "SOURCE_FAILED": "remove the cause, such as a policy; while the stream keeps the call: connect-audio repair",
    "MEDIA_EXPIRED": "give the stream a retention of an hour or more, so that an interruption loses nothing",
    "UNSUPPORTED_AUDIO": "report it with a capture (connect-audio inspect); Connect sends 16-bit PCM",
    "UNKNOWN_TRACK": "say which track is whose: connect-audio replay --customer-track NAME --agent-track NAME",
    "NO_AUDIO": "see whether media streaming ran for this contact, and whether the contact id is the right one",
    "OPENING_MISSING": "start streaming and trigger earlier; while the stream keeps the call: connect-audio repair",
    "ENDING_MISSING": "while the stream keeps the call: connect-audio repair",
    "STILL_CONNECTED": "end the contact in Connect, or raise ConnectedLimitSeconds for calls held longer",
    "RECORDING_LIMIT": "stop and start streaming in calls this long",
    "TRUNCATED_FRAGMENTS": "keep the manifest; while the stream keeps the call: connect-audio repair",
    "LOST_BYTES": "keep the manifest; while the stream keeps the call: connect-audio repair",
    "UNDECIDABLE_FRAGMENTS": "nothing: the audio was left out to protect the other caller",
    "CONTRADICTORY_FRAGMENTS": "report it with a capture (connect-audio inspect)",
    "TIMES_DISAGREE": "listen at the gaps; report it if it repeats",
    "STREAM_HOLES": "give the stream a retention of an hour; while it keeps the call: connect-audio repair",
    "LATE_AUDIO": "report it with a capture (connect-audio inspect)",
    "OUT_OF_RANGE_AUDIO": "report it with a capture (connect-audio inspect)",
    "CONFLICTING_AUDIO": "find out why the producer's clock steps; the recording keeps the audio that came first",
    "DANGLING_BYTES": "nothing: half a sample is lost",
    # Warnings.
    "CHOPPY_AUDIO": "look at the network between the producer and Kinesis Video Streams",
    "NO_RETENTION": "give the stream a retention of an hour or more",
    "RETENTION_TOO_SHORT": "give the streams a retention of 24 hours, or set RecordingMode to live",
    "LIVE_SINK_FAILED": "read the sink's error in the log of the consumer; the recording has its audio",
    "LIVE_AUDIO_DROPPED": "make the sink faster or its segments longer; the recording has its audio",
    "LIVE_MESSAGES_DROPPED": "read the line `words not ...` in the log of the consumer; the transcript has the words",
    # Manifest 1.x.
    "STREAM_FORGOT": "give the stream a retention of an hour or more, so that an interruption loses nothing",
    "MISPLACED_AUDIO": "report it with a capture (connect-audio inspect)",
}
"""The remedy of each code."""


def remedy(code: str) -> str:
    """Return the remedy for a code; for an unknown one where to look."""
    return REMEDIES.get(code, "see docs/manifest.md of the version that wrote it")
