"""The bounded run of `fuzz/`: the same inputs every time. The long one, guided by coverage, is `make fuzz`."""

from __future__ import annotations

from random import Random

import pytest
from fuzz.mutation import documents, mutate_event, mutate_keeping_labels, mutate_stream, places
from fuzz.seeds import event_seeds, stream_seeds
from fuzz.targets import check_cost, check_event, check_live, check_recording, check_replay, check_shapes

STREAMS = stream_seeds()
EVENTS = event_seeds()


@pytest.mark.parametrize("number", range(len(STREAMS)))
def test_an_unharmed_stream_of_every_layout_is_read_recorded_and_replayed(number: int) -> None:
    data = STREAMS[number]
    assert b"".join(documents(data)) == data
    assert len(places(data)) > 40
    check_recording(data, labels_kept=True)
    check_live(data, labels_kept=True)


@pytest.mark.parametrize("first", range(0, 180, 30))
def test_a_damaged_stream_is_read_recorded_and_replayed_or_refused_as_documented(first: int) -> None:
    for seed in range(first, first + 30):
        rng = Random(seed)
        data = mutate_stream(rng.choice(STREAMS), rng.choice(STREAMS), rng)
        try:
            check_recording(data)
            check_live(data)
            check_shapes(data)
            check_replay(data)
        except Exception as error:
            error.add_note(f"the stream of seed {seed}")
            raise


@pytest.mark.parametrize("first", range(0, 180, 30))
def test_another_contacts_audio_is_in_no_recording_while_labels_stand(first: int) -> None:
    for seed in range(first, first + 30):
        rng = Random(seed)
        data = mutate_keeping_labels(rng.choice(STREAMS), rng)
        try:
            check_recording(data, labels_kept=True)
            check_live(data, labels_kept=True)
            check_replay(data, labels_kept=True)
        except Exception as error:
            error.add_note(f"the stream of seed {seed}")
            raise


def test_a_size_that_reaches_into_another_contacts_document_is_told_to_no_sink() -> None:
    rng = Random(1049)  # before its end that block is of a fragment of ours, as far as anybody can tell
    check_live(mutate_keeping_labels(rng.choice(STREAMS), rng), labels_kept=True)


def test_time_and_memory_stay_within_bounds_of_what_comes_in_and_goes_out() -> None:
    for seed in range(40):
        rng = Random(seed)
        check_cost(mutate_stream(rng.choice(STREAMS), rng.choice(STREAMS), rng))


def test_any_json_makes_a_request_or_is_refused_with_a_reason() -> None:
    for seed in range(1500):
        rng = Random(seed)
        data = mutate_event(rng.choice(EVENTS), rng)
        try:
            check_event(data)
        except Exception as error:
            error.add_note(f"the event of seed {seed}")
            raise
