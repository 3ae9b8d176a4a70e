"""A folder keeps the promises that the recorder relies on in a bucket."""

from __future__ import annotations

import os
import subprocess
import sys
import tracemalloc
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest

from connect_audio.core.errors import StorageError
from connect_audio.ports import ObjectKind, WriteOutcome
from connect_audio_cli.export.folder_store import FolderStore
from connect_audio_cli.output.passing_file import create_passing

KIND = ObjectKind("audio/wav", {"execution": "mine"})


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "calls")


def head_of(store: FolderStore, key: str) -> tuple[int, Mapping[str, str]]:
    head = store.head(key)
    assert head is not None
    return head.size, head.metadata


def test_a_new_object_never_replaces_one_and_a_put_does(store: FolderStore) -> None:
    assert store.put_new("a/b.wav", b"first", KIND) is WriteOutcome.WRITTEN
    assert store.put_new("a/b.wav", b"second", ObjectKind("", {"execution": "other"})) is WriteOutcome.EXISTS
    assert store.get("a/b.wav") == b"first"
    assert head_of(store, "a/b.wav") == (5, {"execution": "mine"})

    store.put("a/b.wav", b"third one", ObjectKind(""))

    assert store.get("a/b.wav", headroom=2) == b"\0\0third one"


def test_what_is_not_there_has_s3_s_code(store: FolderStore) -> None:
    assert store.head("none") is None
    with pytest.raises(StorageError) as missing:
        store.get("none")
    assert (missing.value.code, missing.value.retryable) == ("NoSuchKey", False)
    store.delete(["none"])


def test_an_object_is_deleted_only_if_it_is_the_version_that_is_meant(store: FolderStore, tmp_path: Path) -> None:
    store.put("a/b.claim", b"old", KIND)
    old = store.head("a/b.claim")
    store.put("a/b.claim", b"new", KIND)
    new = store.head("a/b.claim")
    assert old is not None
    assert new is not None
    store.delete_version("a/b.claim", old.etag)
    assert store.get("a/b.claim") == b"new"
    store.delete_version("a/b.claim", new.etag)
    assert not list(tmp_path.rglob("*b.claim*"))
    store.delete_version("a/b.claim", new.etag)


def test_an_upload_is_joined_in_order_and_gone(store: FolderStore, tmp_path: Path) -> None:
    upload = store.create_upload("a/b.wav", KIND)
    another = store.create_upload("a/b.wav", KIND)
    assert store.find_uploads("a/b.wav") == sorted([upload, another])
    store.abort_upload("a/b.wav", another)
    assert store.find_uploads("a/c.wav") == []
    second = store.upload_part("a/b.wav", upload, 2, b"-two")
    store.upload_part("a/b.wav", upload, 1, b"wrong")
    first = store.upload_part("a/b.wav", upload, 1, b"one")
    assert store.head("a/b.wav") is None

    assert store.complete_upload("a/b.wav", upload, [first, second]) is WriteOutcome.WRITTEN

    assert store.get("a/b.wav") == b"one-two"
    assert head_of(store, "a/b.wav") == (7, {"execution": "mine"})
    assert store.find_uploads("a/b.wav") == []
    assert not list(tmp_path.rglob("*.partial"))
    with pytest.raises(StorageError) as gone:
        store.complete_upload("a/b.wav", upload, [first, second])
    assert gone.value.code == "NoSuchUpload"


def test_an_upload_to_a_taken_key_replaces_nothing(store: FolderStore, tmp_path: Path) -> None:
    upload = store.create_upload("b.wav", KIND)
    part = store.upload_part("b.wav", upload, 1, b"mine")
    store.put_new("b.wav", b"theirs", ObjectKind(""))

    assert store.complete_upload("b.wav", upload, [part]) is WriteOutcome.EXISTS
    store.abort_upload("b.wav", upload)
    store.abort_upload("b.wav", upload)

    assert store.get("b.wav") == b"theirs"
    assert store.find_uploads("b.wav") == []
    assert not list(tmp_path.rglob("*.partial"))


def test_a_part_that_is_not_what_was_to_be_written_is_refused(store: FolderStore) -> None:
    upload = store.create_upload("b.wav", KIND)
    with pytest.raises(StorageError) as spoilt:
        store.upload_part("b.wav", upload, 1, b"bytes", crc32=1)
    assert (spoilt.value.code, spoilt.value.retryable) == ("BadDigest", True)


def test_listings_show_keys_and_folders_but_not_the_store_s_own_files(store: FolderStore) -> None:
    for key in ("2026/a.wav", "2026/a.wav.staging/1.pcm", "2026/b.wav", "top.wav"):
        store.put(key, b"", KIND)

    assert store.list_keys("2026/a") == ["2026/a.wav", "2026/a.wav.staging/1.pcm"]
    assert store.list_level("2026/") == ["2026/a.wav", "2026/a.wav.staging/", "2026/b.wav"]
    assert store.list_level("") == ["2026/", "top.wav"]
    assert len(store.list_keys("")) == 4


def test_a_listing_costs_no_memory_for_the_files_of_other_calls(store: FolderStore, tmp_path: Path) -> None:
    store.put("2026/a.wav", b"", KIND)
    for number in range(2000):
        (tmp_path / "calls" / "2026" / f"b{number}_20260701T133054.536Z.wav").touch()

    tracemalloc.start()
    found = store.list_level("2026/a"), store.list_keys("2026/a"), store.list_keys("2026/a.wav/")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert found == (["2026/a.wav"], ["2026/a.wav"], [])
    assert peak < 100_000


def test_a_deleted_object_takes_its_empty_folder_with_it(store: FolderStore, tmp_path: Path) -> None:
    store.put("2026/a.wav.staging/1.pcm", b"", KIND)
    store.put("2026/a.wav", b"", KIND)

    store.delete(store.list_keys("2026/a.wav.staging/"))

    assert sorted(path.name for path in (tmp_path / "calls" / "2026").iterdir()) == ["a.wav"]


def test_a_key_that_leads_out_of_the_folder_is_refused(store: FolderStore, tmp_path: Path) -> None:
    with pytest.raises(StorageError) as refused:
        store.put_new("../out.wav", b"", KIND)
    assert refused.value.code == "InvalidKey"
    assert not (tmp_path / "out.wav").exists()


def test_a_file_in_the_place_of_a_folder_is_an_error_of_storage(tmp_path: Path) -> None:
    (tmp_path / "calls").write_text("a file")
    with pytest.raises(StorageError) as refused:
        FolderStore(tmp_path / "calls").put("a.wav", b"", KIND)
    assert refused.value.retryable is False


def test_an_object_is_replaced_only_if_it_is_the_version_that_is_meant(store: FolderStore, tmp_path: Path) -> None:
    store.put("b.wav", b"first", KIND)
    first = store.head("b.wav")
    assert first is not None
    assert store.replace("b.wav", b"other", ObjectKind("", {"execution": "new"}), first.etag) is WriteOutcome.WRITTEN
    assert head_of(store, "b.wav") == (5, {"execution": "new"})
    # The content may be the same again: the version is another one.
    assert store.replace("b.wav", b"third", KIND, first.etag) is WriteOutcome.CHANGED
    assert store.replace("none.wav", b"third", KIND, first.etag) is WriteOutcome.CHANGED
    assert store.get("b.wav") == b"other"
    assert not (tmp_path / "calls" / "none.wav").exists()
    assert not list(tmp_path.rglob("*.partial"))


def test_an_upload_replaces_only_the_version_that_is_meant(store: FolderStore, tmp_path: Path) -> None:
    store.put("b.wav", b"first", KIND)
    first = store.head("b.wav")
    assert first is not None
    upload = store.create_upload("b.wav", ObjectKind("", {"execution": "new"}))
    part = store.upload_part("b.wav", upload, 1, b"better")
    assert store.complete_upload("b.wav", upload, [part], replaces='"another"') is WriteOutcome.CHANGED
    assert store.get("b.wav") == b"first"
    assert store.complete_upload("b.wav", upload, [part], replaces=first.etag) is WriteOutcome.WRITTEN
    assert store.get("b.wav") == b"better"
    assert head_of(store, "b.wav") == (6, {"execution": "new"})
    assert store.find_uploads("b.wav") == []
    assert not list(tmp_path.rglob("*.partial"))


_ADDS: Final = """
import sys
from pathlib import Path
from connect_audio.ports import ObjectKind, WriteOutcome
from connect_audio_cli.export.folder_store import FolderStore

store, kind = FolderStore(Path(sys.argv[1])), ObjectKind("text/plain")
for _ in range(int(sys.argv[2])):
    while True:
        head = store.head("a/count")
        count = int(store.get("a/count"))
        if store.replace("a/count", str(count + 1).encode(), kind, head.etag) is WriteOutcome.WRITTEN:
            break
    while store.put_new("a/b/lock", b"mine", kind) is WriteOutcome.EXISTS:
        pass
    store.delete_version("a/b/lock", store.head("a/b/lock").etag)
"""


def test_processes_that_change_one_folder_lose_nothing_of_each_other(store: FolderStore, tmp_path: Path) -> None:
    """Each counts up by conditional writes, and makes and removes a folder all the time."""
    each, processes = 60, 3
    store.put("a/count", b"0", KIND)
    command = [sys.executable, "-c", _ADDS, str(tmp_path / "calls"), str(each)]
    running = [subprocess.Popen(command, stderr=subprocess.PIPE) for _ in range(processes)]
    complaints = [process.communicate()[1].decode() for process in running]
    assert ([process.returncode for process in running], complaints) == ([0] * processes, [""] * processes)
    assert int(store.get("a/count")) == each * processes
    assert store.list_keys("") == ["a/count"]
    assert not list(tmp_path.rglob("*.partial"))


def test_a_recording_has_its_metadata_before_its_name(
    store: FolderStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that is killed at its first sight still finds it its own."""

    link = os.link

    def killed(source: Path, target: Path) -> None:
        link(source, target)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(os, "link", killed)
        with pytest.raises(KeyboardInterrupt):
            store.put_new("a.wav", b"whole", KIND)
    assert head_of(FolderStore(tmp_path / "calls"), "a.wav") == (5, {"execution": "mine"})


def test_looking_into_a_folder_makes_nothing(store: FolderStore, tmp_path: Path) -> None:
    assert store.head("a.wav") is None
    assert store.list_keys("") == []
    assert store.find_uploads("a.wav") == []
    store.delete([])
    assert not (tmp_path / "calls").exists()


_DIES: Final = """
import os
import signal
import sys
from pathlib import Path
from connect_audio.ports import ObjectKind
from connect_audio_cli.export.folder_store import FolderStore

os.link = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
FolderStore(Path(sys.argv[1])).put_new("a.wav", b"of a call", ObjectKind("audio/wav"))
"""


def test_what_a_killed_write_left_is_removed_by_the_next_store_and_a_living_one_s_is_not(
    store: FolderStore, tmp_path: Path
) -> None:
    subprocess.run([sys.executable, "-c", _DIES, str(tmp_path / "calls")], check=False)
    (left,) = tmp_path.rglob("*.partial")
    assert left.read_bytes() == b"of a call"
    alive, descriptor = create_passing(left.parent)

    store.put("b.wav", b"", KIND)

    assert [*tmp_path.rglob("*.partial")] == [alive]
    os.close(descriptor)
