"""Segments in a folder of this machine: whole files, the folder made where needed, refusals in the system's words."""

from __future__ import annotations

import errno
import os
import re
import threading
from pathlib import Path

import pytest

from connect_audio.adapters.sinks.segment_folder import SegmentFolder
from connect_audio.adapters.sinks.segment_store import SegmentStore
from connect_audio.core.errors import SinkError
from support.segment_calls import MemorySegmentStore, deliver_all, noisy_call, sink_of


def test_a_call_lies_in_a_folder_as_it_would_in_a_bucket(tmp_path: Path) -> None:
    call, expected = noisy_call(3.5), MemorySegmentStore()
    folder: SegmentStore = SegmentFolder(tmp_path / "calls" / "one")
    for store in (expected, folder):
        sink = sink_of(store, layout="tracks")
        deliver_all(sink, call.segments()[:2])
        later = sink_of(store, layout="tracks")
        deliver_all(later, call.segments()[1:])
        later.end(call.end)
        later.close()
    assert {path.name: path.read_bytes() for path in (tmp_path / "calls" / "one").iterdir()} == expected.files


def test_a_file_that_is_not_there_is_none(tmp_path: Path) -> None:
    assert SegmentFolder(tmp_path / "nowhere").get("index.json") is None


def test_a_reader_sees_a_file_whole_or_not_at_all(tmp_path: Path) -> None:
    store, bodies = SegmentFolder(tmp_path), [letter * 2_000_000 for letter in (b"a", b"b")]
    store.put("index.json", bodies[0], "application/json")
    done = threading.Event()
    seen: set[bytes] = set()

    def read() -> None:
        while not done.is_set():
            seen.add(store.get("index.json") or b"")

    reader = threading.Thread(target=read)
    reader.start()
    for at in range(50):
        store.put("index.json", bodies[at % 2], "application/json")
    done.set()
    reader.join()
    assert seen <= set(bodies)
    assert [path.name for path in tmp_path.iterdir()] == ["index.json"]


def test_what_the_system_refuses_names_the_file_and_is_for_a_human_to_mend(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    store = SegmentFolder(blocked)
    with pytest.raises(SinkError, match=f"^EEXIST: {re.escape(str(blocked / '000000.wav'))}: File exists$") as put:
        store.put("000000.wav", b"", "audio/wav")
    with pytest.raises(SinkError, match=f"^ENOTDIR: {re.escape(str(blocked / 'index.json'))}: Not a directory$") as got:
        store.get("index.json")
    assert (put.value.code, put.value.retryable) == ("EEXIST", False)
    assert (got.value.code, got.value.retryable) == ("ENOTDIR", False)


@pytest.mark.parametrize(("number", "retryable"), [(errno.ENOSPC, False), (errno.ETIMEDOUT, True)])
def test_a_file_that_could_not_be_put_in_place_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, *, retryable: bool
) -> None:
    def refuse(self: Path, target: Path) -> None:
        raise OSError(number, os.strerror(number), str(self), None, str(target))

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(SinkError) as caught:
        SegmentFolder(tmp_path).put("000000.wav", b"RIFF", "audio/wav")
    assert (caught.value.code, caught.value.retryable) == (errno.errorcode[number], retryable)
    assert str(caught.value) == f"{errno.errorcode[number]}: {tmp_path / '000000.wav'}: {os.strerror(number)}"
    assert list(tmp_path.iterdir()) == []
