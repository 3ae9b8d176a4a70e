"""`docs/live-segments.md`, its schema and the index that the sink really writes say the same."""

from __future__ import annotations

import contextlib
import json
import re
from pathlib import Path
from typing import Any, Final, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from connect_audio.adapters.sinks.segment_index import (
    MAX_RANGES,
    PAGE_SEGMENTS,
    SCHEMA_VERSION,
    DamagedIndexError,
    ForeignIndexError,
    IndexedCall,
    IndexHead,
    IndexPage,
    MissingSegments,
    State,
)
from connect_audio.sinks import LiveEnd
from support.schema_paths import paths_of_schema, paths_of_value
from support.segment_calls import MemorySegmentStore, deliver_all, noisy_call, short_segments, sink_of

ROOT: Final = Path(__file__).parents[3]
SCHEMA: Final[dict[str, Any]] = json.loads((ROOT / "docs" / "segments-index.schema.json").read_text("utf-8"))
DOCUMENT: Final = (ROOT / "docs" / "live-segments.md").read_text("utf-8")


def errors(document: Any, kind: Literal["head", "page"]) -> list[str]:
    """What the schema says against a document; it must be of this kind and no other."""
    whole = [error.message for error in Draft202012Validator(SCHEMA).iter_errors(document)]
    alone = Draft202012Validator({**SCHEMA["$defs"][kind], "$defs": SCHEMA["$defs"]})
    return whole + [error.message for error in alone.iter_errors(document)]


def check(store: MemorySegmentStore) -> None:
    for name in store.files:
        if name.endswith(".json"):
            assert errors(store.json(name), "head" if name == "index.json" else "page") == []


@pytest.mark.parametrize("layout", ["stereo", "tracks"])
def test_the_index_of_a_call_with_something_missing_is_valid_while_it_lasts_and_at_its_end(
    layout: Literal["stereo", "tracks"],
) -> None:
    store, call = MemorySegmentStore(), noisy_call(4.2)
    sink = sink_of(store, layout=layout)
    deliver_all(sink, [call.segment(number) for number in (0, 2, 4)])
    assert store.json("index.json")["missing"]
    check(store)
    sink.end(call.end)
    check(store)


def test_the_index_of_several_pages_is_valid() -> None:
    store, call = MemorySegmentStore(), short_segments(2 * PAGE_SEGMENTS)
    deliver_all(sink_of(store), call.segments())
    assert len(store.json("index-00000.json")["segments"]) == PAGE_SEGMENTS
    check(store)


def test_the_index_of_a_call_without_audio_is_valid() -> None:
    store = MemorySegmentStore()
    sink_of(store).end(LiveEnd(frames=0, origin=None, rate=None))
    check(store)


def test_the_schema_refuses_what_is_no_index() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert re.match(SCHEMA["$defs"]["head"]["properties"]["schemaVersion"]["pattern"], SCHEMA_VERSION)
    store = MemorySegmentStore()
    deliver_all(sink_of(store), short_segments(1).segments())
    for name, kind in (("index.json", "head"), ("index-00000.json", "page")):
        document = store.json(name)
        for field in document:
            without = {key: value for key, value in document.items() if key != field}
            assert f"'{field}' is a required property" in [
                error.message
                for error in Draft202012Validator({**SCHEMA["$defs"][kind], "$defs": SCHEMA["$defs"]}).iter_errors(
                    without
                )
            ]


def test_every_field_that_is_written_is_in_the_schema_and_the_other_way_round() -> None:
    store, call = MemorySegmentStore(), short_segments(3)
    deliver_all(sink_of(store), call.segments()[::2])
    assert set(paths_of_value(store.json("index.json"))) == set(paths_of_schema(SCHEMA["$defs"]["head"], SCHEMA))
    assert set(paths_of_value(store.json("index-00000.json"))) == set(paths_of_schema(SCHEMA["$defs"]["page"], SCHEMA))


@pytest.mark.parametrize(("heading", "kind"), [("The head", "head"), ("A page", "page")])
def test_every_field_of_the_schema_is_documented_and_the_other_way_round(heading: str, kind: str) -> None:
    section = re.search(rf"^### {heading}[^\n]*\n(.*?)(?=^##|\Z)", DOCUMENT, re.MULTILINE | re.DOTALL)
    assert section, heading
    documented = [
        name
        for row in re.findall(r"^\| ((?:`[^`]+`(?:, )?)+) \|", section[1], re.MULTILINE)
        for name in row.split(", ")
    ]
    assert [name.strip("`") for name in documented] == list(paths_of_schema(SCHEMA["$defs"][kind], SCHEMA))


def test_the_document_has_the_numbers_of_the_source() -> None:
    assert f"The present version is {SCHEMA_VERSION}." in DOCUMENT
    assert f"at most {PAGE_SEGMENTS} segments" in DOCUMENT
    assert f"the first {MAX_RANGES} ranges" in DOCUMENT
    assert SCHEMA["$defs"]["head"]["properties"]["segmentsPerPage"]["const"] == PAGE_SEGMENTS
    assert SCHEMA["$defs"]["head"]["properties"]["state"]["enum"] == [each.value for each in State]


ANY_JSON: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["first", "last", "number"]), inner),
    max_leaves=5,
)
CALL: Final = IndexedCall(contact_id="c", recording="r.wav", segment_seconds=1, layout="stereo", sample_rate=8_000)


@given(
    changes=st.dictionaries(
        st.sampled_from([*CALL.to_json(), "page", "segments", "pages", "missing"]), ANY_JSON, max_size=3
    ),
    text=st.none() | st.binary(max_size=20) | st.just(b"[" * 100_000),
)
def test_whatever_lies_there_is_an_index_or_damaged_or_anothers(changes: dict[str, Any], text: bytes | None) -> None:
    whole = {**CALL.to_json(), "page": 0, "segments": [], "pages": [], "missing": []}
    stored = json.dumps({**whole, **changes}).encode() if text is None else text
    with contextlib.suppress(DamagedIndexError, ForeignIndexError):
        head = IndexHead.decode(stored, CALL)
        assert IndexHead.decode(head.encode(CALL), CALL).encode(CALL) == head.encode(CALL)
    with contextlib.suppress(DamagedIndexError, ForeignIndexError):
        page = IndexPage.decode(0, stored, CALL)
        assert IndexPage.decode(0, page.encode(CALL), CALL).encode(CALL) == page.encode(CALL)


def test_missing_segments_join_and_tell_whether_they_changed() -> None:
    missing = MissingSegments([(5, 7)])
    assert [missing.add(*numbers) for numbers in ((3, 2), (1, 2), (6, 6), (3, 4))] == [False, True, False, True]
    assert [*missing.ranges] == [(1, 7)]


def test_missing_segments_that_come_split_their_range_and_tell_whether_they_were_missing() -> None:
    missing = MissingSegments([(1, 7)])
    assert [missing.discard(number) for number in (0, 8, 4, 1, 4, 7)] == [False, False, True, True, False, True]
    assert [*missing.ranges] == [(2, 3), (5, 6)]
    assert missing.discard(2)
    assert missing.discard(3)
    assert [*missing.ranges] == [(5, 6)]


def test_a_range_that_splits_pushes_the_last_one_out_of_the_list() -> None:
    ranges = [(10 * at, 10 * at + 5) for at in range(MAX_RANGES)]
    missing = MissingSegments(ranges)
    assert missing.discard(3)
    assert [*missing.ranges] == [(0, 2), (4, 5), *ranges[1:-1]]
