"""Every limit of the core and the recorder in one table, and what a fresh account says.

A limit is a decision, and its constant says why. Whoever changes one changes its row here, and the documents with it.
"""

from __future__ import annotations

import dataclasses
from enum import Enum
from importlib import import_module
from typing import Any, Final

import pytest

KIB: Final = 1024
MIB: Final = 1024 * KIB
HOUR_S: Final = 3600

LIMITS: Final = {
    # Privacy and the call's borders.
    "core.admission.RUN_ON_MS": 2_000,
    "core.admission.MAX_UNDECIDED_BYTES": 8 * MIB,
    "core.admission._OUT_OF_ORDER": 8,
    "core.admitted_numbers.MAX_RANGES": 16,
    "core.evidence.OPENING_TOLERANCE_MS": 5_000,
    "core.evidence.OTHER_CONTACT_MS": 30_000,
    "core.fragment._MOST_DIGITS": 48,
    # Claims of a stream, and their order.
    "core.claims.CLUSTER_SLACK_MS": 1_000,
    "core.claims.OVERLAP_SLACK_NS": 20_000_000,
    "core.claims.STRAY_NS": 500_000_000,
    "core.claims._PAIRS_FOR_A_RATE": 4,
    "core.claims._RATE_SLACK": 0.03,
    "core.claims._UNIFORM": 0.05,
    "core.claims._BLOCKS_BESIDE_A_STRAY": 3,
    "core.claims._LEAP_PART": 4,
    "core.moves.MAX_MOVES": 8,
    "core.order.MAX_HELD": 3,
    "core.order.MAX_HELD_BYTES": 8 * MIB,
    "core.order.RUN_ON_NS": 30_000_000,
    "core.order.MAX_BACK_NS": 1_600_000_000,
    "core.order.FAR_NS": 3_000_000_000,
    "core.order.SERVER_NOISE_NS": 1_000_000_000,
    "core.order.MAX_MISSING": 1_000,
    "core.order.MAX_MISSING_KEPT": 32,
    "core.short_leaps.DELAYS": 8,
    "core.short_leaps.LEAST_MS": 100,
    "core.short_leaps._NOISE_PART": 4,
    # Bytes of a stream.
    "core.byte_window.MAX_READ_AGAIN": 4 * MIB,
    "core.ebml.ANY_SIZE": 2**56 - 2,
    "core.ebml.MAX_BELIEVED_BYTES": 64 * KIB,
    "core.ebml._LOOK_EVERY_BYTES": 64 * KIB,
    "core.fragments.MAX_FRAGMENT_BYTES": 16 * MIB,
    "core.fragments.MAX_CLUSTERS_BYTES": 8 * MIB,
    "core.fragments.BLOCK_OVERHEAD_BYTES": 256,
    "core.fragments._MAX_EXPECTING_BYTES": MIB,
    "core.in_band.MAX_TEXT_CHARS": 1_000,
    "core.matroska.MAX_BLOCK_BYTES": 4 * MIB,
    "core.matroska.MAX_DOCUMENT_LOOK_BYTES": 8 * KIB,
    "core.matroska._MAX_DEPTH": 16,
    "core.matroska._MAX_STRUCTURE_BYTES": 256 * KIB,
    "core.matroska._MAX_CACHED_BYTES": 4 * KIB,
    "core.matroska._MAX_CODEC_PRIVATE_BYTES": 40,
    "core.matroska._MAX_HEADER_PAYLOAD_BYTES": 4 * KIB - 64,
    "core.matroska._MAX_FRAGMENT": 50 * MIB,
    "core.open_fragment.FRAGMENT_OVERHEAD_BYTES": 1_024,
    "core.open_fragment.TAG_OVERHEAD_BYTES": 256,
    "core.open_fragment.TRACK_OVERHEAD_BYTES": 512,
    "core.open_fragment.MAX_CONTACT_IDS": 4,
    "core.open_fragment.MAX_CONTACT_ID_CHARS": 256,
    "core.open_fragment.MAX_ERRORS": 100,
    "core.shapes.MAX_SHAPES": 8,
    "core.shapes.MAX_SHAPE_BYTES": MIB,
    "core.shapes._WAIT_FACTOR": 32,
    "core.shapes._MATCHES_FOR_A_SHAPE": 4,
    "core.shapes._ELEMENTWISE_FOR_A_SHAPE": 128,
    "core.shapes._MAX_CREDIT": 2.0,
    "core.shapes._MAX_MISSES": 8,
    "core.shapes._MAX_DIGITS": 128,
    # Tracks and their formats.
    "core.audio_format._CONNECT_RATE": 8_000,
    "core.audio_format._MAX_SHOWN": 40,
    "core.audio_format._MAX_DIGITS": 20,
    "core.audio_format._EXTENSIBLE": 0xFFFE,
    "core.other_tracks.MAX_LISTED": 16,
    "core.other_tracks._MAX_NAMED": 4,
    "core.pcm.MIN_RATE": 4_000,
    "core.pcm.MAX_RATE": 192_000,
    "core.pcm.CHUNK_FRAMES": 8_192,
    "core.tracks._MAX_NAME": 64,
    # The timeline and what it has written.
    "core.silence.BLOCK_HOLE_S": 1,
    "core.timeline.JITTER_MS": 10,
    "core.timeline.MAX_SKEW_S": 5,
    "core.timeline.MAX_HOLE_S": 4 * HOUR_S,
    "core.timeline.MAX_FRAMES": (2**32 - 1 - 44) // 4,
    "core.timeline.MAX_STRETCHES": 256,
    "core.timeline._MOST_TOLERANCES": 64,
    "core.wav.HEADER_BYTES": 44,
    "core.wav.MAX_DATA_BYTES": 2**32 - 1 - 44,
    "core.written.COMPARED_S": 5,
    "core.written._CELLS_A_SECOND": 250,
    "core.written._DIGEST_MASK": 0xFFFF,
    "core.written._KNOWN_S": 60,
    "core.written._MOST_KNOWN": 32,
    "core.written._SMALL": 512,
    "core.written._LEAST_RUNS": 16,
    # Levels, live audio, notes and the status.
    "core.levels.WINDOWS_A_SECOND": 5,
    "core.levels.ACTIVE_DBFS": -50.0,
    "core.levels.BATCH_S": 4,
    "core.levels.FULL_SCALE": 32_768,
    "core.levels.ACTIVE_RMS": 104,
    "core.levels._ACTIVE_POWER": 104 * 104,
    "core.levels._LOW_BYTES": 256,
    "core.live_preview._LONGEST_LEAP_S": 0.5,
    "core.live_preview.BEFORE_FIRST_S": 60,
    "core.note_log.MAX_GAPS": 1_000,
    "core.note_log.MAX_ERRORS": 100,
    "core.recording.MAX_ERROR_NOTES": 1_000,
    "core.resume_points.MAX_POINTS": 128,
    "core.status._CHOPPY_SHARE": 0.01,
    # The recorder.
    "recorder.audio_breaks.GAP_MS": 500,
    "recorder.call_stream._JUMP_PAUSE_S": 0.25,
    "recorder.call_stream._AT_HEAD_S": 0.5,
    "recorder.call_stream._NO_RETENTION_KEEPS_S": 270,
    "recorder.call_stream._NAP_AFTER_S": 0.005,
    "recorder.call_stream._NAP_WITHIN_MS": 2_000,
    "recorder.call_stream._NAP_SLACK_MS": 10_000,
    "recorder.call_stream._MOST_DOUBLINGS": 16,
    "recorder.call_stream._PAUSES_A_ROUND": 4,
    "recorder.call_stream._MOST_SKIPPED": 8,
    "recorder.end_of_call._LEAST_DENIALS": 6,
    "recorder.held_events.MAX_HELD_BYTES": 8 * MIB,
    "recorder.other_streamings._DAY_MS": 24 * HOUR_S * 1_000,
    "recorder.policy.MIN_PART_BYTES": 5 * MIB,
    "recorder.policy.EARLY_MS": 5_000,
    "recorder.policy._PART_SECONDS": 120,
    "recorder.policy._MOST_EXCESS_BYTES": 3 * MIB,
    "recorder.record_step._FIRST_WAIT_S": 10,
    "recorder.record_step._MOST_DOUBLINGS": 10,
    "recorder.record_step._LONGEST_WAIT_S": 300,
    "recorder.record_step._NO_RETENTION_WAIT_S": 60,
    # Looks at a call that is recorded after its end.
    "recorder.call_watch.LEAST_RETENTION_HOURS": 2,
    "recorder.call_watch._FIRST_LOOK_S": 300,
    "recorder.call_watch._GOES_ON_S": 60,
    "recorder.call_watch._BEHIND_END_MS": 2_000,
    "recorder.call_watch._LISTED_LATE_MS": 60_000,
    "recorder.call_watch._WINDOW_MS": HOUR_S * 1000,
    "recorder.call_watch._MOST_WINDOWS": 8,
    "recorder.call_watch._SILENCE_MS": 60_000,
    "recorder.call_watch._LONGEST_WATCH_MS": 46 * HOUR_S * 1000,
    "recorder.policy.ARCHIVE_PART_BYTES": 24 * MIB,
    "recorder.record_step._LONGEST_PAUSE_S": 1.0,
    "recorder.record_step._MOST_SUSPENSIONS": 300,
    "recorder.second_chance._LONGEST_STEP_NS": 250_000_000,
    "recorder.skip.TRIES": 3,
    "recorder.skip._MOST_ROUNDS": 2,
    "recorder.skip._FIRST_STEP_MS": 200,
    "recorder.skip._SHORT_STEPS": 25,
    "recorder.skip._MOST_DOUBLINGS": 16,
    "recorder.streaming_border._GRACE_MS": 15_000,
    "recorder.streaming_border._POLL_S": 3.0,
}

IDS: Final[dict[str, dict[str, int | bytes]]] = {
    # RFC 8794 and RFC 9559, by module.
    "ebml": {"EBML_HEADER": 0x1A45DFA3, "VOID": 0xEC, "CRC_32": 0xBF, "ROOT": 0},
    "matroska": {
        "SEGMENT": 0x18538067,
        "INFO": 0x1549A966,
        "TIMECODE_SCALE": 0x2AD7B1,
        "TRACKS": 0x1654AE6B,
        "TAGS": 0x1254C367,
        "CLUSTER": 0x1F43B675,
        "TIMECODE": 0xE7,
        "SIMPLE_BLOCK": 0xA3,
        "BLOCK_GROUP": 0xA0,
        "BLOCK": 0xA1,
        "_TAG": 0x7373,
        "_SIMPLE_TAG": 0x67C8,
        "_TAG_NAME": 0x45A3,
        "_TAG_STRING": 0x4487,
        "_DOC_TYPE": 0x4282,
        "_LACING": 0x06,
        "_BLOCK_HEAD_BYTES": 4,
    },
    "shapes": {
        "_TAG": 0x7373,
        "_SIMPLE_TAG": 0x67C8,
        "_TAG_NAME": 0x45A3,
        "_TAG_STRING": 0x4487,
        "_LACING": 0x06,
        "_BLOCK_HEAD_BYTES": 4,
    },
    "document_search": {"_MAGIC": b"\x1a\x45\xdf\xa3"},
    "fragments": {"_MAGIC": b"\x1a\x45\xdf\xa3"},
}

STORED: Final = {
    # Values that checkpoints, manifests and events hold: promises to executions in flight and to readers.
    "core.admission.StreamEnd": "SILENT UNREAD END_OF_INPUT",
    "core.admission.Label": "NONE OURS OTHER",
    "core.admission.Verdict": "OURS OURS_BY_NEIGHBOURS OTHER CONTRADICTORY UNDECIDABLE UNLABELLED_ELSEWHERE NO_AUDIO"
    " OTHER_STREAMING",
    "core.evidence.CallPart": "opening middle end",
    "core.evidence.ProofState": "proven not_proven not_asked",
    "core.fragment.Completion": "TOKEN SUCCESSOR END_OF_BODY TRUNCATED",
    "core.in_band.Remedy": "RECONNECT SKIP_FRAGMENT OPERATOR",
    "core.pcm.Encoding": "s16le s16be mulaw alaw",
    "core.pcm.Party": "customer agent",
    "core.recording_facts.Status": "complete partial empty",
    "core.recording_facts.EndReason": "DISCONNECTED OTHER_CONTACT OTHER_STREAMING STREAMING_STOPPED ARCHIVE_END IDLE"
    " RECORDING_LIMIT SOURCE_FAILED RECORDER_FAILED INTERRUPTED END_OF_INPUT",
    "recorder.claim.Refusal": "ALREADY_RECORDED CLAIMED",
    "recorder.outcome.OutcomeStatus": "complete partial empty refused key_taken failed",
}

CODES: Final = {
    "core.manifest.SCHEMA_VERSION": "2.4",
    "core.status.ACCOUNTS_DISAGREE": "ACCOUNTS_DISAGREE",
    "recorder.call_stream._CUT": "SOURCE_FAILED",
    "recorder.live_guard.LIVE_FAILED": "LIVE_FAILED",
}

FRESH: Final = (
    "core.accounts.Amount",
    "core.accounts.Dropped",
    "core.accounts.Silence",
    "core.accounts.TrackCounts",
    "core.accounts.PartyBytes",
    "core.admitted_numbers.NumberRange",
    "core.claims.TimesDisagree",
    "core.cursor.FragmentCounts",
    "core.cursor.StreamCounts",
    "core.cursor.NeighbourState",
    "core.cursor.Cursor",
    "core.fragment.Fragment",
    "core.levels.ChannelLevels",
    "core.live_audio.LiveSegment",
    "core.live_state.SinkCounts",
    "core.live_state.SinkState",
    "core.order.OrderState",
    "core.other_tracks.OtherTracks",
    "core.recording_facts.RecordingFacts",
    "core.silence.HoleCounts",
    "core.timeline.TimelineState",
    "core.tracks.TrackChoice",
    "core.written.WrittenState",
    "recorder.call_stream.ReadState",
    "recorder.checkpoint.StepCounts",
    "recorder.claim.Granted",
    "recorder.claim.AlreadyPublished",
    "recorder.end_of_call.EndState",
    "recorder.live_guard.LiveSaved",
    "recorder.outcome.Outcome",
    "recorder.step_result.StepResult",
)
"""Values that begin with nothing counted, nothing seen and nothing known."""


def named(path: str) -> Any:
    module, name = path.rsplit(".", 1)
    return getattr(import_module(f"connect_audio.{module}"), name)


@pytest.mark.parametrize("path", LIMITS)
def test_a_limit_is_as_its_table_says(path: str) -> None:
    assert named(path) == LIMITS[path]


@pytest.mark.parametrize(("module", "name"), [(module, name) for module, names in IDS.items() for name in names])
def test_an_element_has_the_id_of_its_rfc(module: str, name: str) -> None:
    assert named(f"core.{module}.{name}") == IDS[module][name]


@pytest.mark.parametrize("path", STORED)
def test_a_stored_value_keeps_its_name(path: str) -> None:
    kinds: type[Enum] = named(path)

    assert [each.value for each in kinds] == STORED[path].split()


@pytest.mark.parametrize("path", CODES)
def test_a_code_keeps_its_name(path: str) -> None:
    assert named(path) == CODES[path]


@pytest.mark.parametrize("path", FRESH)
def test_a_fresh_account_counts_from_zero(path: str) -> None:
    for each in dataclasses.fields(named(path)):
        if isinstance(each.default, int | float):
            assert not each.default, each.name
