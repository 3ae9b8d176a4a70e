"""Both laws of the accounts over bytes: through parser, admission and timeline, in every layout, order, cut and damage.

    received = written + repeated + late + out of range + conflicting + beyond the limit + unsupported + dangling
    frames = audio + silence by cause

The sums come from elsewhere: of whole streams from the generator's own blocks (`core_support.expectation`), of streams
out of order from ebmlite's reading of the same bytes (`core_support.second_opinion`). Of damaged bytes nobody else can
say what they hold; there the laws hold by the manifest's own numbers and the length of the audio.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connect_audio_local.synthesis.fragment_writer import FROM_CUSTOMER, LEGACY_TRACK_NAME, TO_CUSTOMER
from core_support.elements import mutated
from core_support.expectation import expected_recording
from core_support.generated_streams import (
    AGENT,
    CUSTOMER,
    OURS,
    GeneratedStream,
    chunkings,
    generated_streams,
    out_of_order,
)
from core_support.reading import Recorded, events_in_file_mode, record
from core_support.second_opinion import structures
from support.examples import examples

_ACCOUNTS: Final = (
    "written",
    "repeated",
    "late",
    "outOfRange",
    "conflicting",
    "beyondLimit",
    "unsupported",
    "dangling",
)
_PARTIES: Final = {FROM_CUSTOMER: CUSTOMER, LEGACY_TRACK_NAME: CUSTOMER, TO_CUSTOMER: AGENT}
_patiently: Final = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]


def recorded_in_any_cut(data: bytes, draw: st.DataObject) -> Recorded:
    """Record bytes twice, at once and in pieces: nothing depends on the cut."""
    whole = record(events_in_file_mode([data])[0], OURS)
    again = record(events_in_file_mode(draw.draw(chunkings(data)))[0], OURS)
    assert again == whole
    return whole


def tracks_in_law(recorded: Recorded) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each party's numbers in the manifest, once both laws hold for them."""
    manifest = recorded.manifest(OURS)
    assert "ACCOUNTS_DISAGREE" not in [reason["code"] for reason in manifest["reasons"]]
    for party, track in manifest["tracks"].items():
        assert track["receivedBytes"] + track["carriedBytes"] == sum(track[f"{account}Bytes"] for account in _ACCOUNTS)
        assert track["writtenBytes"] == 2 * track["audioSamples"]
        silence = sum(track["silence"].values())
        assert (track["audioSamples"] + silence, silence) == (len(recorded.stereo) // 4, track["silenceSamples"])
        yield party, track


@settings(max_examples=examples(60), suppress_health_check=_patiently, deadline=None)
@given(generated_streams() | generated_streams(cut=True), st.data())
def test_of_any_stream_each_account_is_the_generators_sum_in_any_cut(
    stream: GeneratedStream, data: st.DataObject
) -> None:
    expected = expected_recording(stream)
    for party, track in tracks_in_law(recorded_in_any_cut(stream.data, data)):
        sums = expected.sums[party]
        assert track["receivedBytes"] == sums.received
        assert track["repeatedBytes"] == sums.repeated
        assert track["audioSamples"] == sums.heard
        assert track["silence"]["oneSidedSamples"] == sums.alone_silent


@settings(max_examples=examples(60), suppress_health_check=_patiently, deadline=None)
@given(generated_streams(), st.data())
def test_of_fragments_in_any_order_each_byte_that_a_second_reader_finds_is_in_one_account(
    stream: GeneratedStream, data: st.DataObject
) -> None:
    body = data.draw(out_of_order(stream))
    labelled, nameless = _payload_by_party(body)
    for party, track in tracks_in_law(recorded_in_any_cut(body, data)):
        # Which of the unlabelled fragments are the contact's is for admission's own tests.
        assert labelled[party] <= track["receivedBytes"] <= labelled[party] + nameless[party]


def _payload_by_party(body: bytes) -> tuple[Counter[str], Counter[str]]:
    """Bytes of each party in fragments that name our contact alone, and in those that name nobody; by ebmlite."""
    labelled, nameless = Counter[str](), Counter[str]()
    for structure in structures(body):
        contacts = {value for name, value in structure.tags if name == "ContactId"}
        party_of = {number: _PARTIES[name] for number, _, name in structure.tracks}
        counted = nameless if not contacts else labelled if contacts == {OURS} else Counter[str]()
        for number, _, _, payload in structure.blocks:
            counted[party_of[number]] += len(payload)
    return labelled, nameless


@settings(max_examples=examples(100), suppress_health_check=_patiently, deadline=None)
@given(generated_streams(), st.data())
def test_of_damaged_bytes_in_any_order_both_laws_hold_in_any_cut(stream: GeneratedStream, data: st.DataObject) -> None:
    body = data.draw(mutated(data.draw(out_of_order(stream))))
    received = sum(track["receivedBytes"] for _, track in tracks_in_law(recorded_in_any_cut(body, data)))
    assert received <= len(body)
