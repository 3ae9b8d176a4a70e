"""Numbers of one fragment that contradict each other are counted by kind; the odd things of real streams are not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connect_audio.core.claims import TimesDisagree, straightened
from connect_audio.core.fragments import Fragment
from connect_audio_local.synthesis.calls import ShortBlock, SyntheticCall, synthesize_call
from connect_audio_local.synthesis.fragment_writer import (
    CONNECT_TRACKS,
    FROM_CUSTOMER,
    TO_CUSTOMER,
    Block,
    FragmentContents,
    FragmentLayout,
    write_fragment,
)
from core_support.generated_streams import GeneratedStream, generated_streams
from core_support.reading import Recorded, events_of, fragments_of, record
from support.calls import fragments as written
from support.examples import examples

CONTACT = "00000000-0000-4000-8000-000000000001"
CUSTOMER, AGENT = (
    track.number for name in (FROM_CUSTOMER, TO_CUSTOMER) for track in CONNECT_TRACKS if track.name == name
)
CALL = SyntheticCall(customer=Random(1).randbytes(65_536), agent=Random(2).randbytes(65_536))
"""Four fragments of 1.024 s."""


def contents() -> list[FragmentContents]:
    return [each.contents for each in written(CALL)]


def recorded(fragments: Sequence[FragmentContents], layout: FragmentLayout | None = None) -> Recorded:
    data = b"".join(write_fragment(each, layout or FragmentLayout()) for each in fragments)
    return record(events_of([data]), CONTACT)


def told(result: Recorded) -> dict[str, int]:
    """The contradictions in the manifest, which is partial for them alone."""
    kinds = {kind: count for kind, count in result.cursor.times.kinds().items() if count}
    reasons = {reason["code"] for reason in result.manifest(CONTACT)["reasons"]}
    assert ("TIMES_DISAGREE" in reasons) == bool(kinds)
    return kinds


def with_blocks(each: FragmentContents, blocks: Sequence[Block]) -> FragmentContents:
    return replace(each, blocks=tuple(blocks))


WHOLE = recorded(contents()).stereo


# --- blocks out of order, and blocks whose time leaps ----------------------------------------------------------------


@settings(max_examples=examples(40))
@given(st.data())
def test_blocks_of_a_fragment_are_placed_in_the_order_of_their_times(data: st.DataObject) -> None:
    shuffled = [with_blocks(each, data.draw(st.permutations(each.blocks))) for each in contents()]

    result = recorded(shuffled)

    assert result.stereo == WHOLE
    assert told(result) == {}
    assert result.manifest(CONTACT)["status"] == "complete"


def test_fragments_whose_blocks_are_out_of_order_in_one_way_are_read_by_their_shape_alike() -> None:
    turned = [with_blocks(each, each.blocks[::-1]) for each in contents()]

    assert recorded(turned).stereo == WHOLE
    assert recorded(turned, FragmentLayout(continuation_token=False)).stereo == WHOLE


def with_a_leap(fragment: int, track: int, index: int, by_ms: int) -> list[FragmentContents]:
    """The call with one block's time moved: the block of this index among the track's in the fragment."""
    fragments = contents()
    blocks = list(fragments[fragment].blocks)
    at = [place for place, block in enumerate(blocks) if block.track_number == track][index]
    blocks[at] = replace(blocks[at], time_ns=blocks[at].time_ns + by_ms * 1_000_000)
    fragments[fragment] = with_blocks(fragments[fragment], blocks)
    return fragments


@settings(max_examples=examples(40))
@given(
    fragment=st.integers(0, 3),
    track=st.sampled_from((CUSTOMER, AGENT)),
    index=st.integers(1, 14),
    by_ms=st.integers(100, 20_000) | st.integers(-20_000, -100),
)
def test_a_block_whose_time_leaps_is_placed_between_its_neighbours_and_told(
    fragment: int, track: int, index: int, by_ms: int
) -> None:
    result = recorded(with_a_leap(fragment, track, index, by_ms))

    assert result.stereo == WHOLE
    assert told(result) == {"blockLeap": 1}


@settings(max_examples=examples(40))
@given(
    fragment=st.integers(1, 2),
    track=st.sampled_from((CUSTOMER, AGENT)),
    index=st.sampled_from((0, 15)),
    by_ms=st.integers(3_500, 30_000) | st.integers(-30_000, -3_500),
)
def test_a_block_at_a_fragments_edge_that_leaps_is_placed_beside_the_others_and_told(
    fragment: int, track: int, index: int, by_ms: int
) -> None:
    result = recorded(with_a_leap(fragment, track, index, by_ms))

    assert result.stereo == WHOLE
    assert told(result) == {"blockLeap": 1}


@settings(max_examples=examples(60))
@given(
    fragment=st.integers(1, 2),
    index=st.integers(0, 15),
    by_ms=st.sampled_from((-60_000, -8_000, -2_500, 2_500, 8_000, 60_000)) | st.integers(2_100, 30_000),
)
def test_a_row_of_both_tracks_that_leaps_is_placed_beside_the_others_and_told(
    fragment: int, index: int, by_ms: int
) -> None:
    fragments = with_a_leap(fragment, CUSTOMER, index, by_ms)
    blocks = list(fragments[fragment].blocks)
    at = [place for place, block in enumerate(blocks) if block.track_number == AGENT][index]
    blocks[at] = replace(blocks[at], time_ns=blocks[at].time_ns + by_ms * 1_000_000)
    fragments[fragment] = with_blocks(fragments[fragment], blocks)

    result = recorded(fragments)

    assert result.stereo == WHOLE
    assert told(result) == {"blockLeap": 2}


@pytest.mark.parametrize("index", [0, 5, 15])
@pytest.mark.parametrize("by_ms", [-8_000, 8_000])
@pytest.mark.parametrize("log", [(0, 1, 2, 0, 1, 2, 3), (0, 1, 1, 2, 3), (0, 1, 0, 1, 2, 3), (0, 1, 2, 3, 1)])
def test_a_block_that_leaped_is_no_new_audio_when_the_stream_is_read_again(
    log: tuple[int, ...], index: int, by_ms: int
) -> None:
    fragments = with_a_leap(1, AGENT, index, by_ms)

    result = recorded([fragments[at] for at in log])

    assert result.stereo == WHOLE
    assert set(told(result)) == {"blockLeap"}
    assert index == 5 or told(result) == {"blockLeap": 1}


@pytest.mark.parametrize("pause_ms", [600, 1_000, 5_000])
def test_a_pause_in_a_fragment_before_its_last_blocks_is_a_pause(pause_ms: int) -> None:
    pause = pause_ms * 1_000_000
    for behind in (1, 2):
        fragments = contents()
        blocks = fragments[1].blocks
        late = [replace(block, time_ns=block.time_ns + pause) for block in blocks[-2 * behind :]]
        fragments[1] = with_blocks(fragments[1], [*blocks[: -2 * behind], *late])
        for index in (2, 3):
            moved = [replace(block, time_ns=block.time_ns + pause) for block in fragments[index].blocks]
            fragments[index] = replace(
                with_blocks(fragments[index], moved),
                producer_ms=fragments[index].producer_ms + pause_ms,
                server_ms=fragments[index].server_ms + pause_ms,
            )

        result = recorded(fragments)

        at = 4 * 8192 * 2 - 4 * 512 * behind
        assert result.stereo == WHOLE[:at] + bytes(32 * pause_ms) + WHOLE[at:]
        assert told(result) == {}


@given(generated_streams())
@settings(max_examples=examples(30))
def test_blocks_that_are_in_order_stay_the_same_object(stream: GeneratedStream) -> None:
    for fragment in fragments_of(events_of([stream.data])):
        in_order = sorted(fragment.blocks, key=lambda block: block.time_ns)
        blocks, leaps = straightened(in_order)
        assert blocks is in_order
        assert leaps == 0


# --- payload against distance, rate and channels against both --------------------------------------------------------


@pytest.mark.parametrize(("claimed", "true"), [(8000, 16_000), (16_000, 8000), (8000, 11_025), (44_100, 48_000)])
def test_a_rate_that_the_payload_contradicts_is_told(claimed: int, true: int) -> None:
    call = replace(CALL, rate=true, block_ms=80, seconds=3)
    fragments = [replace(each.contents, rate=claimed) for each in synthesize_call(call)]

    assert set(told(recorded(fragments))) == {"rate"}


def test_a_number_of_channels_that_the_payload_contradicts_is_told() -> None:
    mono = [each.replace(b"channels=1", b"channels=2") for each in (write_fragment(each) for each in contents())]

    result = record(events_of([b"".join(mono)]), CONTACT)

    assert set(told(result)) == {"rate"}


def test_a_block_that_lasts_into_the_next_one_is_told_though_both_are_silent() -> None:
    fragments = [with_blocks(each, [replace(block, pcm=bytes(1024)) for block in each.blocks]) for each in contents()]
    blocks = list(fragments[1].blocks)
    blocks[4] = replace(blocks[4], pcm=bytes(1600))
    fragments[1] = with_blocks(fragments[1], blocks)

    assert told(recorded(fragments)) == {"blockOverlap": 1}


# --- Cluster time against producer time ------------------------------------------------------------------------------


@pytest.mark.parametrize("by_ms", [-5_000, 5_000])
def test_producer_timestamps_that_contradict_the_cluster_times_are_told(by_ms: int) -> None:
    fragments = [replace(each, producer_ms=each.producer_ms + by_ms) for each in contents()]

    result = recorded(fragments)

    assert result.stereo == WHOLE
    assert told(result) == {"clusterTime": 4}


@pytest.mark.parametrize(
    ("kind", "odd"),
    [
        ("clusterTime", lambda each: replace(each, producer_ms=each.producer_ms + 5_000)),
        ("rate", lambda each: with_blocks(each, [replace(block, pcm=block.pcm[:512]) for block in each.blocks])),
        ("blockOverlap", lambda each: with_blocks(each, [replace(each.blocks[0], pcm=bytes(1600)), *each.blocks[1:]])),
    ],
)
def test_a_contradiction_counts_once_however_often_its_fragment_is_read(
    kind: str, odd: Callable[[FragmentContents], FragmentContents]
) -> None:
    fragments = contents()
    fragments[1] = odd(fragments[1])
    once = recorded(fragments)

    again = recorded([*fragments[:3], *fragments[1:]])

    assert kind in told(once)
    assert told(again) == told(once)


# --- no false alarm --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "call",
    [
        replace(CALL, short_blocks=(ShortBlock(FROM_CUSTOMER, 21, 192),)),
        replace(CALL, short_blocks=(ShortBlock(TO_CUSTOMER, 62, 701),)),
        replace(CALL, agent_joins_ms=1_500),
        replace(CALL, server_offset_ms=-1_000),
        replace(CALL, block_ms=20),
        replace(CALL, rate=48_000, block_ms=10, blocks_per_fragment=100),
        replace(CALL, customer=None),
    ],
    ids=["192 bytes", "odd size", "joins late", "server before producer", "20 ms", "10 ms", "one track"],
)
def test_odd_things_of_real_streams_are_not_told(call: SyntheticCall) -> None:
    assert told(recorded([each.contents for each in synthesize_call(call)])) == {}


@settings(max_examples=examples(40))
@given(seed=st.integers(0, 1 << 16), most_ms=st.sampled_from((1, 5, 10)), skew_ms=st.sampled_from((0, 64, 704, 4_000)))
def test_jitter_and_skew_are_not_told(seed: int, most_ms: int, skew_ms: int) -> None:
    noise = Random(seed)
    fragments = [
        with_blocks(
            each,
            [
                replace(
                    block,
                    time_ns=block.time_ns
                    + 1_000_000 * (noise.randint(-most_ms, most_ms) + (skew_ms if block.track_number == AGENT else 0)),
                )
                for block in each.blocks
            ],
        )
        for each in contents()
    ]

    assert told(recorded(fragments)) == {}


@settings(max_examples=examples(40))
@given(st.sets(st.integers(0, 127), min_size=1, max_size=40))
def test_lost_blocks_are_not_told(lost: set[int]) -> None:
    place = 0
    fragments = []
    for each in contents():
        kept = [block for index, block in enumerate(each.blocks, place) if index not in lost]
        place += len(each.blocks)
        fragments.append(with_blocks(each, kept))

    assert told(recorded(fragments)) == {}


@settings(max_examples=examples(60))
@given(generated_streams())
def test_streams_of_every_layout_are_not_told(stream: GeneratedStream) -> None:
    assert record(events_of([stream.data]), CONTACT).cursor.times == TimesDisagree()


def test_the_shape_of_a_fragment_gives_the_same_contradictions_as_its_elements() -> None:
    call = replace(CALL, rate=16_000, block_ms=80, seconds=3)
    data = [write_fragment(replace(each.contents, rate=8000)) for each in synthesize_call(call)]
    by_shape: list[Fragment] = fragments_of(events_of([b"".join(data)]))
    by_elements = [replace(each, blocks=tuple(each.blocks)) for each in by_shape]

    first, second = record(by_shape, CONTACT), record(by_elements, CONTACT)

    assert first.cursor == second.cursor
    assert first.cursor.times.rate == 2 * len(data)
