"""Stereo frames become parts of an upload and staged objects, and nothing else."""

from __future__ import annotations

import zlib

import pytest

from connect_audio.core.errors import StorageError
from connect_audio.recorder import Policy
from connect_audio.recorder.parts import Parts, PartState, Staged, create_upload
from support.calls import call
from support.world import EXECUTION, NAMES, World, world

RATE = 8000
FULL = 1000
A, B, C = (letter * FULL for letter in (b"a", b"b", b"c"))
MOST = 2 * FULL


def small() -> World:
    """A world whose parts are full at 1000 bytes."""
    at = world(call(1), policy=Policy(part_bytes=FULL))
    at.store.least_part_bytes = FULL
    return at


def parts_of(at: World, state: PartState | None = None) -> Parts:
    return Parts(at.ports(), state or PartState())


def test_a_part_takes_whole_fragments_and_is_full_at_its_size() -> None:
    parts = parts_of(small())
    assert not parts.fill(iter([b"a" * 600]), RATE)
    assert parts.fill(iter([b"b" * 600]), RATE)
    assert parts.size == 1200


def test_a_part_is_cut_inside_a_fragment_only_at_twice_its_size() -> None:
    parts = parts_of(small())
    frames = iter([b"a" * 500] * 6)
    assert parts.fill(frames, RATE)
    assert parts.size == MOST
    assert [len(chunk) for chunk in frames] == [500, 500]


def test_part_1_is_staged_since_its_header_is_not_known_yet() -> None:
    at = small()
    parts = parts_of(at)
    assert parts.fill(iter([A]), RATE)
    assert parts.upload(1, zlib.crc32(A)) is None
    assert parts.size == 0
    key = NAMES.staged_part(1, 1, "attempt1")
    assert parts.state == PartState(number=2, first=Staged(key=key, size=FULL), crc32_before=zlib.crc32(A))
    assert at.store.objects[key][0] == A
    assert at.store.uploads == {}


def test_the_next_part_opens_the_upload_of_this_execution() -> None:
    at = small()
    parts = parts_of(at, PartState(number=2, crc32_before=zlib.crc32(A)))
    parts.fill(iter([B]), RATE)
    part = parts.upload(7, zlib.crc32(A + B))
    assert part is not None
    assert (part.number, part.size) == (2, FULL)
    ((upload_id, (key, metadata, stored)),) = at.store.uploads.items()
    assert (key, metadata["execution"], dict(stored)) == (NAMES.key, EXECUTION, {2: B})
    assert parts.state == PartState(number=3, upload_id=upload_id, crc32_before=zlib.crc32(A + B))
    parts.fill(iter([C]), RATE)
    called: list[str] = []
    at.store.before_call = called.append
    parts.upload(8, zlib.crc32(A + B + C))
    assert called == ["upload_part"]
    assert parts.state == PartState(number=4, upload_id=upload_id, crc32_before=zlib.crc32(A + B + C))


def test_an_upload_that_is_found_is_not_used() -> None:
    # It may be of an export that comes late, and both would write its parts.
    at = small()
    left = create_upload(at.ports())
    parts = parts_of(at, PartState(number=2))
    parts.fill(iter([B]), RATE)
    parts.upload(7, zlib.crc32(B))
    assert parts.state.upload_id not in {None, left}


def test_what_is_no_whole_part_is_staged_and_read_back_by_the_next_invocation() -> None:
    at = small()
    parts = parts_of(at)
    parts.fill(iter([b"a" * 600]), RATE)
    parts.stage(1)
    staged = parts.state.staged
    assert staged is not None
    again = parts_of(at, parts.state)
    assert again.size == 600
    assert again.fill(iter([b"b" * 600]), RATE)
    again.upload(2, zlib.crc32(b"a" * 600 + b"b" * 600))
    first = again.state.first
    assert first is not None
    assert at.store.objects[first.key][0] == b"a" * 600 + b"b" * 600
    assert again.state.staged is None


def test_a_later_part_that_was_staged_goes_up_whole() -> None:
    at = small()
    parts = parts_of(at, PartState(number=2))
    parts.fill(iter([b"a" * 600]), RATE)
    parts.stage(1)
    again = parts_of(at, parts.state)
    again.fill(iter([b"b" * 600]), RATE)
    crc32 = zlib.crc32(b"a" * 600 + b"b" * 600)
    part = again.upload(2, crc32)
    assert part is not None
    assert part.size == 1200
    assert again.state == PartState(number=3, upload_id=again.state.upload_id, crc32_before=crc32)


def test_a_step_without_new_frames_writes_no_object() -> None:
    at = small()
    parts = parts_of(at)
    parts.stage(1)
    assert parts.state == PartState()
    parts.fill(iter([b"a" * 600]), RATE)
    parts.stage(2)
    staged = parts.state.staged
    parts.stage(3)
    assert parts.state.staged == staged
    assert len(at.store.written) == 1


def test_a_part_that_s3_refuses_stays_in_the_making() -> None:
    at = small()
    parts = parts_of(at, PartState(number=2))
    parts.fill(iter([B]), RATE)
    at.store.failures.extend([None, StorageError("SlowDown", "busy", retryable=True)])
    with pytest.raises(StorageError):
        parts.upload(7, zlib.crc32(B))
    assert (parts.size, parts.state) == (FULL, PartState(number=2))
