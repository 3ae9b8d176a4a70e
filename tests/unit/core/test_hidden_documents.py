"""What damaged bytes give does not depend on their cut, nor on what was read before: documents hidden in elements."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import pytest
from fuzz.two_ways import both_ways
from hypothesis import given, settings
from hypothesis import strategies as st

from connect_audio.core import document_search, ebml
from connect_audio.core.fragments import Completion, Fragment, FragmentReader
from connect_audio.core.matroska import is_matroska_document
from connect_audio.core.shapes import NoShapes
from connect_audio_local.synthesis.calls import SyntheticCall
from connect_audio_local.synthesis.fragment_writer import FragmentLayout, Placement
from core_support.elements import DOCUMENT, SIMPLE_BLOCK, TAGS, VOID, element
from core_support.many_in_one import merged
from core_support.reading import Event, byte_by_byte, byte_by_byte_at_heads, events_in_file_mode, fragments_of, record
from support.calls import fragments as written
from support.examples import examples, few_of

SHARED = Path(__file__).parents[4] / "shared"
OURS = "00000000-0000-4000-8000-000000000001"
OTHER = "00000000-0000-4000-8000-000000000009"
SPEECH = bytes(value * 7 % 251 for value in range(4 * 16_000))
CALL = SyntheticCall(customer=SPEECH, agent=SPEECH[::-1], contact_id=OURS, seconds=3.072)
BLOCK_HEAD = element(SIMPLE_BLOCK, declared=1028)
SIZES = (1, 7, 1024, 1448, 4096, 8192, 40_000, 65_536, 262_144)


def documents(call: SyntheticCall = CALL) -> list[bytes]:
    return [fragment.data for fragment in written(call)]


def tiny(contact_id: str = OTHER, *, pcm: bytes = b"\x5a\x5b" * 32) -> bytes:
    """A whole document that fits into a block of Connect's."""
    layout = FragmentLayout(contact_tags=Placement.BEFORE)
    call = SyntheticCall(
        customer=pcm, agent=None, contact_id=contact_id, block_ms=2, blocks_per_fragment=1, layout=layout
    )
    return documents(call)[0]


def content(fragment: Fragment) -> tuple[object, ...]:
    return fragment.number, fragment.contact_ids, fragment.completion, list(fragment.blocks)


def outcome(chunks: list[bytes]) -> tuple[list[Event], list[str]]:
    events, errors = events_in_file_mode(chunks)
    return events, [str(error) for error in errors]


def pieces(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


def put_into_blocks(data: bytes, what: bytes, chance: random.Random) -> bytes:
    """Write bytes over others at a few places, which mostly lie in payloads: no size changes."""
    changed = bytearray(data)
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(changed))
        changed[at : at + len(what)] = what[: len(changed) - at]
    return bytes(changed)


def damaged(data: bytes, chance: random.Random) -> bytes:
    """Bytes changed, cut out, doubled, joined to others, with documents and halves of them in payloads."""
    inner = tiny() if chance.random() < 0.5 else documents()[0][: chance.randrange(60, 1200)]
    if chance.random() < 0.7:
        data = put_into_blocks(data, inner, chance)
    changed = bytearray(data)
    for _ in range(chance.randint(0, 3)):
        at = chance.randrange(len(changed))
        match chance.randrange(5):
            case 0:
                changed[at] ^= 1 << chance.randrange(8)
            case 1:
                del changed[at + 1 : at + 1 + chance.choice((1, 4, 300, 5000))]
            case 2:
                changed[at:at] = changed[at : at + chance.choice((1, 9, 1037, 5000))]
            case 3:
                changed[at:at] = inner
            case _:
                del changed[at + 1 :]
                changed += data[: chance.choice((1500, len(data)))]
    return bytes(changed)


@cache
def sources() -> dict[str, bytes]:
    """Shared captures and cases where they are here, up to 200 kB of each, and streams of our own synthesis."""
    found = {
        path.stem: path.read_bytes()[:200_000]
        for folder in ("captures", "cases")
        for path in sorted((SHARED / folder).glob("*.mkv"))
    }
    apart = documents()
    padded = documents(replace(CALL, layout=FragmentLayout(void_bytes=4029, seek_head=True, crc_32=True)))
    known = documents(replace(CALL, layout=FragmentLayout(segment_size_known=True, cluster_size_known=True)))
    return found | {
        "our own": b"".join(apart),
        "our own, merged": merged(apart),
        "our own, padded": b"".join(padded),
        "our own, of known size": b"".join(known),
    }


@pytest.mark.parametrize("name", sorted(sources()))
@pytest.mark.parametrize("seed", few_of(range(6)))
def test_damaged_streams_give_the_same_events_in_any_cut(name: str, seed: int) -> None:
    chance = random.Random(f"{name} {seed}")
    data = damaged(sources()[name], chance)
    whole = outcome([data])

    for size in chance.sample(SIZES[1:], 3):
        assert outcome(pieces(data, size)) == whole, f"pieces of {size} bytes"
    short = data[:60_000]
    cut = byte_by_byte if seed == 0 else byte_by_byte_at_heads
    assert outcome(cut(short)) == outcome([short])
    assert both_ways(pieces(data, 8192), looks=bool(seed % 2)).events == both_ways([data], looks=False).events


@given(seed=st.integers(0, 1 << 32))
@settings(max_examples=examples(150))
def test_damage_anywhere_gives_the_same_events_in_any_cut(seed: int) -> None:
    chance = random.Random(seed)
    call = replace(CALL, seconds=2, layout=chance.choice((FragmentLayout(), FragmentLayout(void_bytes=200))))
    data = damaged(chance.choice((b"".join, merged))(documents(call)), chance)

    assert outcome(pieces(data, chance.choice(SIZES[1:]))) == outcome([data])
    both_ways(pieces(data, chance.choice(SIZES[1:])), looks=chance.random() < 0.5)


@pytest.mark.parametrize("shapes", [None, NoShapes()], ids=["by shape", "by elements"])
def test_a_document_in_a_payload_of_a_sound_fragment_is_audio(shapes: NoShapes | None) -> None:
    first, second, third = documents()
    at = second.index(BLOCK_HEAD, 20_000) + 40
    inner = tiny()[:900]
    second = second[:at] + inner + second[at + len(inner) :]
    reader = FragmentReader(shapes)
    reader.receive_data(first + second + third)

    events = [reader.next_event() for _ in range(3)]

    assert all(isinstance(event, Fragment) and event.completion is Completion.TOKEN for event in events)
    assert [len(event.blocks) for event in events if isinstance(event, Fragment)] == [32, 32, 32]


def test_a_fragment_reads_the_same_whatever_was_read_before_it() -> None:
    for seed in range(60):
        chance = random.Random(seed)
        before = documents(replace(CALL, start_ms=1_600_000_000_000))[: chance.randrange(3)]
        data = damaged(b"".join(documents()), chance)

        events, errors = events_in_file_mode([b"".join(before) + data])
        alone, alone_errors = events_in_file_mode([data])

        assert [content(fragment) for fragment in fragments_of(events)[len(before) :]] == [
            content(fragment) for fragment in fragments_of(alone)
        ]
        assert len(errors) == len(alone_errors)


@pytest.mark.parametrize("kind", ["SimpleBlock", "Tags", "Void", "header"])
@pytest.mark.parametrize("missing", [1, 2, 3, 5, 40, 600])
def test_only_what_was_cut_is_lost_where_captures_are_joined(kind: str, missing: int) -> None:
    """The first capture ends `missing` bytes before the end of an element, wherever that leads in the next one."""
    layout = FragmentLayout(void_bytes=700)
    first = documents(replace(CALL, layout=layout))[0]
    at = {
        "SimpleBlock": first.index(BLOCK_HEAD, 20_000),
        "Tags": first.rindex(element(TAGS)[:4]),
        "Void": first.index(b"\xec"),
        "header": len(first),
    }[kind]
    is_whole = kind == "header"
    end = first.index(b"\x1f\x43\xb6\x75") + 4 if is_whole else ebml.read_header(first, at, len(first))[2] - missing
    rest = documents(replace(CALL, start_ms=1_700_000_000_000))

    events, _ = events_in_file_mode([first[:end] + b"".join(rest)])

    alone = fragments_of(events_in_file_mode([b"".join(rest)])[0])
    assert [fragment.blocks for fragment in fragments_of(events)[-3:]] == [fragment.blocks for fragment in alone]
    assert [fragment.number for fragment in fragments_of(events)[-3:]] == [fragment.number for fragment in alone]


@pytest.mark.slow
def test_no_place_of_the_cut_costs_anything_of_the_fragment_behind_it() -> None:
    """Cuts all over a block, the tags and the head: it is chance where in the next document the element then ends."""
    first = documents(replace(CALL, seconds=1.024))[0]
    rest = documents(replace(CALL, start_ms=1_700_000_000_000, seconds=1.024))[0]
    expected = fragments_of(events_in_file_mode([rest])[0])[0].blocks
    block = first.index(BLOCK_HEAD, 20_000)
    for end in [*range(block, block + 1037, 3), *range(len(first) - 1500, len(first), 3), *range(20, 1100, 3)]:
        events, _ = events_in_file_mode([first[:end] + rest])

        whole = [fragment for fragment in fragments_of(events) if fragment.blocks == expected]
        assert len(whole) == 1, f"cut at {end}"
        kept = [block for fragment in fragments_of(events) if fragment is not whole[0] for block in fragment.blocks]
        alone = fragments_of(events_in_file_mode([first[:end]])[0])
        assert kept == [block for fragment in alone for block in fragment.blocks], f"cut at {end}"


def test_another_contacts_audio_behind_a_cut_block_stays_out_at_every_place_of_the_cut() -> None:
    first = documents(replace(CALL, seconds=1.024))[0]
    mark = b"\x5a\x5b"
    others = documents(
        SyntheticCall(customer=mark * 8192, agent=mark * 8192, contact_id=OTHER, start_ms=1_782_912_655_560)
    )[0]
    block = first.index(BLOCK_HEAD, 20_000)
    for end in range(block, block + 1037, 7):
        events, _ = events_in_file_mode([first[:end] + others])

        assert mark * 4 not in record(events, OURS).stereo[0::4] + record(events, OURS).stereo[1::4]


def test_the_shared_case_of_a_cut_capture_loses_nothing_but_the_cut_fragments_end() -> None:
    path = SHARED / "cases" / "cut_then_rest.mkv"
    if not path.exists():
        pytest.skip("the shared case cut_then_rest.mkv is not here")
    data = path.read_bytes()
    starts = [at for at in range(len(data)) if data.startswith(b"\x1a\x45\xdf\xa3", at)]

    fragments = fragments_of(events_in_file_mode([data])[0])

    assert [fragment.offset for fragment in fragments] == starts
    # Each but the cut one and the last has 16 blocks of both parties; of the cut one all is there that is whole.
    assert [len(fragment.blocks) for fragment in fragments] == [32, 32, 32, 32, 18, 32, 32, 32, 32, 32, 26]


@pytest.mark.parametrize("mebibytes", [3, 6])
def test_a_cut_block_far_behind_its_fragments_beginning_takes_no_audio_of_another_contact(mebibytes: int) -> None:
    """Beyond 4 MiB a fragment is not read again: what its blocks took is left out all the same."""
    mark = b"\x5a\x5b"
    count = mebibytes * 1024 * 1024 // 32_000
    first = documents(
        SyntheticCall(customer=bytes(32_000 * count), agent=None, block_ms=2000, blocks_per_fragment=count)
    )[0]
    other = SyntheticCall(customer=mark * 32_000, agent=None, contact_id=OTHER, block_ms=200, blocks_per_fragment=2)
    cut = first[: len(first) - 20_000]
    assert len(cut) > (mebibytes - 0.1) * 1024 * 1024

    events, errors = events_in_file_mode(pieces(cut + b"".join(documents(other)), 65_536))

    assert errors
    ours = [fragment for fragment in fragments_of(events) if fragment.contact_ids != (OTHER,)]
    assert ours
    assert not any(mark * 50 in block.data for fragment in ours for block in fragment.blocks)


# --- work: every byte is read a few times at most, whatever the bytes are -------------------------------------------

HOSTILE = {
    "magics": bytes.fromhex("1A45DFA3"),
    "heads": DOCUMENT,
    "half documents": DOCUMENT + bytes.fromhex("1549A966 01000000000000FF"),
    "documents in blocks": DOCUMENT + bytes.fromhex("1F43B675FF E78101") + element(SIMPLE_BLOCK, declared=60_000),
    "documents in padding": DOCUMENT + element(VOID, declared=60_000),
    "documents in large blocks": DOCUMENT + bytes.fromhex("1F43B675FF E78101") + element(SIMPLE_BLOCK, declared=90_000),
    "damaged fragments": documents()[0][:3000] + bytes(40),
}


@dataclass
class Work:
    """How often a place was judged to be a document, and how many elements were parsed."""

    judged: int = 0
    parsed: int = 0


def work_for(data: bytes, monkeypatch: pytest.MonkeyPatch) -> Work:
    count = Work()
    judge, parse = is_matroska_document, ebml.EbmlParser.next_token

    def judged(data: bytes, at: int = 0) -> bool | None:
        count.judged += 1
        return judge(data, at)

    def parsed(parser: ebml.EbmlParser) -> ebml.Token:
        count.parsed += 1
        return parse(parser)

    with monkeypatch.context() as patch:
        patch.setattr(document_search, "is_matroska_document", judged)
        patch.setattr("connect_audio.core.fragments.is_matroska_document", judged)
        patch.setattr(ebml.EbmlParser, "next_token", parsed)
        events_in_file_mode(pieces(data, 65_536))
    return count


@pytest.mark.parametrize("name", few_of(HOSTILE))
def test_the_work_grows_as_the_bytes_do(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    piece = HOSTILE[name]
    small, large = (piece * (size // len(piece)) for size in (50_000, 200_000))

    little, much = work_for(small, monkeypatch), work_for(large, monkeypatch)

    assert much.judged <= 4.6 * little.judged + 100
    assert much.parsed <= 4.6 * little.parsed + 100
    assert much.judged <= 12 * (len(large) // len(piece)) + 100
