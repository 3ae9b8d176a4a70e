"""Recordings in one bucket, staging and claims in another."""

from __future__ import annotations

import pytest

from connect_audio.ports import ObjectKind
from connect_audio.recorder.object_names import RecordingNames
from connect_audio.recorder.staging_store import StagingStore
from support.store import MemoryStore

KIND = ObjectKind("application/octet-stream")
NAMES = RecordingNames("calls", "r/2026/07/01/c_20260701T120000.000Z.wav")
TEMPORARY = (NAMES.claim, NAMES.staged_part(1, 1, "a"), NAMES.notes(1, "a"), NAMES.live_tail(1, "a"))
LASTING = (NAMES.key, NAMES.manifest)


@pytest.fixture
def buckets() -> tuple[MemoryStore, MemoryStore, StagingStore]:
    recordings, staging = MemoryStore(), MemoryStore()
    return recordings, staging, StagingStore(recordings, staging)


def test_every_object_lies_in_the_bucket_of_its_kind(buckets: tuple[MemoryStore, MemoryStore, StagingStore]) -> None:
    recordings, staging, both = buckets
    for key in (*TEMPORARY, *LASTING):
        both.put_new(key, key.encode(), KIND)
        assert both.get(key) == key.encode()
        assert both.head(key) is not None
    assert (set(recordings.objects), set(staging.objects)) == (set(LASTING), set(TEMPORARY))


def test_a_listing_shows_both_buckets_as_one(buckets: tuple[MemoryStore, MemoryStore, StagingStore]) -> None:
    _, _, both = buckets
    for key in (*TEMPORARY, *LASTING):
        both.put(key, b"x", KIND)
    assert list(both.list_keys("r/")) == sorted((*TEMPORARY, *LASTING))
    assert list(both.list_keys(NAMES.staging)) == sorted(TEMPORARY[1:])
    level = "r/2026/07/01/"
    assert list(both.list_level(level)) == sorted((*LASTING, NAMES.claim, NAMES.staging))


def test_an_upload_of_a_recording_goes_to_the_recordings(
    buckets: tuple[MemoryStore, MemoryStore, StagingStore],
) -> None:
    recordings, staging, both = buckets
    upload = both.create_upload(NAMES.key, KIND)
    part = both.upload_part(NAMES.key, upload, 1, b"x")
    assert list(both.find_uploads(NAMES.key)) == [upload]
    both.complete_upload(NAMES.key, upload, [part])
    both.abort_upload(NAMES.key, both.create_upload(NAMES.key, KIND))
    assert (set(recordings.objects), staging.objects, recordings.uploads) == ({NAMES.key}, {}, {})


def test_nothing_of_the_recordings_is_ever_deleted(buckets: tuple[MemoryStore, MemoryStore, StagingStore]) -> None:
    recordings, staging, both = buckets
    for key in (NAMES.claim, *LASTING):
        both.put(key, b"x", KIND)
    for key in LASTING:
        with pytest.raises(ValueError, match="where nothing is deleted"):
            both.delete([NAMES.claim, key])
        with pytest.raises(ValueError, match="where nothing is deleted"):
            both.delete_version(key, '"etag"')
    assert set(staging.objects) == {NAMES.claim}
    both.delete_version(NAMES.claim, '"another"')
    assert set(staging.objects) == {NAMES.claim}
    both.delete([NAMES.claim])
    assert (staging.objects, set(recordings.objects)) == ({}, set(LASTING))
