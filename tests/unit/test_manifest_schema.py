"""`docs/manifest.md`, its schema and the manifests that the core really writes say the same."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
from jsonschema import Draft202012Validator

from connect_audio.core.admission import StreamEnd
from connect_audio.core.audit import Audit, AuditResult, Replaced
from connect_audio.core.evidence import CallPart, ProofState
from connect_audio.core.fragments import END, NEED_DATA, BytesLost, FragmentReader
from connect_audio.core.live_state import LiveState, SinkCounts, SinkState
from connect_audio.core.manifest import (
    SCHEMA_VERSION,
    EndReason,
    NoteLog,
    Reason,
    RecordingFacts,
    Status,
    build_manifest,
)
from connect_audio.core.pcm import Party
from connect_audio.core.recording import CallRecording
from connect_audio.core.recording_facts import WordsFacts
from connect_audio.core.status import RULES, WARNINGS
from connect_audio_local.synthesis.calls import DEFAULT_CONTACT_ID, SyntheticCall, SyntheticFragment, synthesize_call
from connect_audio_local.synthesis.fragment_writer import InBandError, Track, write_fragment
from connect_audio_local.synthesis.speech import two_party_conversation
from support.schema_paths import paths_of_schema, paths_of_value

ROOT: Final = Path(__file__).parents[2]
SCHEMA: Final[dict[str, Any]] = json.loads((ROOT / "docs" / "manifest.schema.json").read_text("utf-8"))
OPERATIONS: Final = (ROOT / "docs" / "operations.md").read_text("utf-8")
EVIDENCE: Final = (ROOT / "src" / "connect_audio" / "core" / "evidence.py").read_text("utf-8")
DOCUMENT: Final = (ROOT / "docs" / "manifest.md").read_text("utf-8")
# One row stands for both parties, for the first and the last fragment, and for each part of the call.
SHARED: Final = {
    "tracks.customer.": "tracks.*.",
    "tracks.agent.": "tracks.*.",
    "fragments.first.": "fragments.*.",
    "fragments.last.": "fragments.*.",
    "evidence.opening.": "evidence.*.",
    "evidence.middle.": "evidence.*.",
    "evidence.end.": "evidence.*.",
}


def call(seconds: int = 8) -> list[SyntheticFragment]:
    speech = two_party_conversation(seconds)
    return list(synthesize_call(SyntheticCall(customer=speech.customer, agent=speech.agent)))


def manifest_of(pieces: Iterable[bytes], facts: RecordingFacts) -> dict[str, Any]:
    """The manifest of the fragments that these bytes hold."""
    reader, recording = FragmentReader(), CallRecording(facts.contact_id)
    for piece in [*pieces, b""]:
        reader.receive_data(piece)
        while (event := reader.next_event()) not in {NEED_DATA, END}:
            if isinstance(event, BytesLost):
                recording.lose(event)
            else:
                recording.add(event)  # what is left is a Fragment
    recording.end(StreamEnd.END_OF_INPUT)
    assert all(recording.take())
    notes = NoteLog().extended(recording.take_notes(), recording.rate)
    return build_manifest(recording.cursor(), facts, notes)


SEGMENTS: Final = SinkState(
    failure="LEFT_BEHIND",
    counts=SinkCounts(delivered=3, delivered_frames=24_000, dropped_frames=8000, failures=7, circuit_opened=1),
)


WORDS: Final = WordsFacts(
    transcript="s3://recordings/call.transcript.json",
    captions="s3://recordings/call.vtt",
    engine="transcribe",
    language="en-US",
    turns=3,
    missing_seconds={Party.CUSTOMER: 0.0, Party.AGENT: 1.5},
)


AUDIT: Final = Audit(
    number=1,
    time="2026-07-01T14:00:00.000Z",
    listed=8,
    recoverable=1,
    result=AuditResult.REPAIRED,
    replaced=Replaced(status="partial", etag='"e"', crc32="00000000"),
)


def facts(**more: Any) -> RecordingFacts:
    return replace(
        RecordingFacts(contact_id=DEFAULT_CONTACT_ID, recording="call.wav", end_reason=EndReason.END_OF_INPUT), **more
    )


def complete() -> dict[str, Any]:
    return manifest_of([each.data for each in call()], facts())


def partial() -> dict[str, Any]:
    """A fragment is missing, one brings an in-band error, the last is cut off; everything else is known."""
    first, second, _, fourth, *rest = call()
    failed = replace(
        fourth.contents,
        error=InBandError(3002, "ERROR_WRITING"),
        tracks=[*fourth.contents.tracks, Track(3, "AUDIO_TO_AGENT")],
        blocks=[*fourth.contents.blocks, replace(fourth.contents.blocks[0], track_number=3)],
    )
    pieces = [
        first.data,
        second.data,
        write_fragment(failed),
        *(each.data for each in rest[:-1]),
        rest[-1].data[:-9000],
    ]
    return manifest_of(
        pieces,
        facts(
            recording="s3://recordings/call.wav",
            end_reason=EndReason.IDLE,
            instance_id="instance",
            stream_arn="arn:aws:kinesisvideo:eu-west-2:123456789012:stream/calls/1",
            retention_hours=0,
            start_timestamp_ms=first.contents.producer_ms - 60_000,
            reconnects=2,
            hand_overs=1,
            reasons=(Reason("SOURCE_FAILED", "the stream could not be read: ResourceNotFoundException"),),
            live=LiveState(sinks={"segments": SEGMENTS}),
            audit=AUDIT,
            words=WORDS,
        ),
    )


def empty() -> dict[str, Any]:
    return manifest_of([each.data for each in call(2)], facts(contact_id="somebody-else"))


MANIFESTS: Final = {"complete": complete, "partial": partial, "empty": empty}


@pytest.mark.parametrize("status", MANIFESTS)
def test_a_manifest_of_each_status_is_valid(status: str) -> None:
    manifest = json.loads(json.dumps(MANIFESTS[status]()))
    assert manifest["status"] == status
    assert [error.message for error in Draft202012Validator(SCHEMA).iter_errors(manifest)] == []


def test_the_schema_itself_is_valid_and_of_this_major_version() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert re.match(SCHEMA["properties"]["schemaVersion"]["pattern"], SCHEMA_VERSION)
    assert f"The present version is {SCHEMA_VERSION}." in DOCUMENT


def test_the_partial_sample_has_something_in_every_list_and_object() -> None:
    manifest = partial()
    expected = {"SOURCE_FAILED", "STREAM_HOLES", "TRUNCATED_FRAGMENTS", "OPENING_MISSING", "UNKNOWN_TRACK"}
    assert expected <= {reason["code"] for reason in manifest["reasons"]}
    assert manifest["warnings"]
    assert manifest["gaps"]["listed"]
    assert manifest["inBandErrors"]["listed"]
    assert manifest["unknownTracks"]
    assert manifest["fragments"]["last"]


def test_every_field_that_is_written_is_in_the_schema_and_the_other_way_round() -> None:
    assert set(paths_of_value(partial())) == set(paths_of_schema(SCHEMA, SCHEMA))


def test_every_field_of_the_schema_is_documented_and_the_other_way_round() -> None:
    in_schema = set()
    for path in paths_of_schema(SCHEMA, SCHEMA):
        shared = next(
            (path.replace(begin, stars, 1) for begin, stars in SHARED.items() if path.startswith(begin)), path
        )
        in_schema.add(shared)
    assert set(_documented("Fields")) == in_schema


def test_every_field_of_the_schema_is_required() -> None:
    for schema in _objects(SCHEMA):
        assert schema["required"] == list(schema["properties"])


def test_each_reason_and_warning_has_a_row_in_the_order_of_its_rank() -> None:
    assert _documented("Why it is not whole") == [rule.code for rule in RULES]
    assert _documented("Warnings") == [rule.code for rule in WARNINGS]


def test_the_row_of_a_reason_names_the_parts_that_it_refutes() -> None:
    section = _section("Why it is not whole")
    rows = dict(re.findall(r"^\| `([A-Z_]+)` \| ([a-z, ]+) \|", section, re.MULTILINE))
    assert rows == {rule.code: ", ".join(part for part in CallPart if part in rule.refutes) for rule in RULES}


def test_each_reason_has_a_cause_and_a_remedy_for_the_operator() -> None:
    section = OPERATIONS.split("\n## Recordings partial\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (`[^|]+) \|", section, re.MULTILINE)
    assert {code for row in rows for code in re.findall(r"`([A-Z_]+)`", row)} == {rule.code for rule in RULES}


def test_each_code_that_the_recorder_reports_is_ranked() -> None:
    package = ROOT / "src" / "connect_audio"
    sources = [path.read_text("utf-8") for path in package.rglob("*.py")]
    reported = {code for text in sources for code in re.findall(r'Reason\(\s*"([A-Z_]+)"', text)}
    assert len(reported) > 4
    assert reported <= {rule.code for rule in (*RULES, *WARNINGS)}


def test_each_proof_and_its_state_is_documented() -> None:
    written = set(re.findall(r'ProofState\.[A-Z_]+,\s*"([A-Z_]+)"', EVIDENCE))
    ranked = {rule.code for rule in RULES}
    states = [state.value for state in ProofState]
    assert len(written) > 8
    assert set(_documented("Evidence")) == (written - ranked) | set(states)
    assert SCHEMA["$defs"]["proof"]["properties"]["state"]["enum"] == states


def test_every_result_of_an_audit_is_documented() -> None:
    assert _documented("Results of an audit") == [result.value for result in AuditResult]


def test_every_end_reason_and_status_is_documented() -> None:
    assert _documented("Why it ended") == [reason.value for reason in EndReason]
    assert _documented("Status") == [status.value for status in Status] == SCHEMA["properties"]["status"]["enum"]


def _documented(heading: str) -> list[str]:
    """The first column of the tables below a heading."""
    return re.findall(r"^\| `([^`]+)` \|", _section(heading), re.MULTILINE)


def _section(heading: str) -> str:
    section = re.search(rf"^## {heading}[^\n]*\n(.*?)(?=^## |\Z)", DOCUMENT, re.MULTILINE | re.DOTALL)
    assert section, heading
    return section[1]


def _objects(schema: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(schema, Mapping):
        if isinstance(schema.get("properties"), Mapping) and "type" in schema:
            yield schema
        for child in schema.values():
            yield from _objects(child)
    elif isinstance(schema, list):
        for child in schema:
            yield from _objects(child)
