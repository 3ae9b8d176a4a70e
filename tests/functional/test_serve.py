"""`connect-audio serve` over a real socket: who may ask, what can be had, and that nothing else can."""

from __future__ import annotations

import json
import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from connect_audio_cli.serving import catalogue, words
from connect_audio_cli.serving.stores import BucketStore, FolderStore, Item, Readable
from support.call_pages import WORDS, edited, recording_with_a_gap, write_transcript
from support.command import COMMAND, PATIENCE_S, run
from support.served import Answer, Served, serving

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

NEWER = "2026/07/01/00000000-0000-4000-8000-000000000001_20260701T133000.000Z"
OLDER = "2026/06/30/00000000-0000-4000-8000-000000000002_20260630T080000.000Z"


@pytest.fixture(scope="module")
def call(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording with its manifest and words beside it."""
    return recording_with_a_gap(tmp_path_factory.mktemp("call"))


@pytest.fixture
def place(tmp_path: Path, call: Path) -> Path:
    """A folder with two recordings, laid out as in a bucket, and a file outside of it."""
    root = tmp_path / "place"
    for path in (NEWER, OLDER):
        target = root / f"{path}.wav"
        target.parent.mkdir(parents=True)
        shutil.copy(call, target)
        shutil.copy(call.with_suffix(".json"), target.with_suffix(".json"))
    (tmp_path / "secret.wav").write_bytes(b"secret")
    return root


@pytest.fixture
def served(place: Path) -> Iterator[Served]:
    with serving(FolderStore(place)) as running:
        yield running


# --- who may ask ------------------------------------------------------------------------------------------------------


def test_the_printed_address_gives_the_key_to_the_browser_once_and_scripts_cannot_read_it(served: Served) -> None:
    answer = served.get(f"/?key={served.server.admission.key}", known=False)
    assert (answer.status, answer.headers["Location"]) == (303, "/")
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith(f"connect_audio_{served.port}={served.server.admission.key};")
    assert {"HttpOnly", "SameSite=Strict"} <= {part.strip() for part in cookie.split(";")}


@pytest.mark.parametrize(
    "path", ["/", "/api/recordings", "/api/words?text=a", f"/files/{NEWER}.wav", f"/call/{NEWER}", "/?key=wrong"]
)
def test_without_the_key_there_is_nothing(served: Served, path: str) -> None:
    assert served.get(path, known=False).status == 403


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "127.0.0.1:1", "evil.example:{port}", ""])
def test_another_host_is_refused_even_with_the_key(served: Served, host: str) -> None:
    assert served.get("/", Host=host.format(port=served.port)).status == 421


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_request_of_another_site_is_refused_even_with_the_key(served: Served, site: str) -> None:
    assert served.get("/api/recordings", Sec_Fetch_Site=site).status == 403
    assert served.get("/api/recordings", Sec_Fetch_Site="same-origin").status == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_nothing_can_be_written(served: Served, method: str) -> None:
    assert served.get(f"/files/{NEWER}.wav", method=method).status == 501


def test_every_answer_forbids_frames_guessing_of_types_and_keeping(served: Served) -> None:
    for path in ("/", f"/call/{NEWER}", f"/files/{NEWER}.wav", "/api/recordings", "/none"):
        headers = served.get(path).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cache-Control"] == "no-store"
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]


def test_it_listens_on_loopback_alone(served: Served) -> None:
    assert served.server.server_address[0] == "127.0.0.1"


# --- what can be had --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "/files/../secret.wav",
        "/files/%2e%2e/secret.wav",
        "/files/..%2fsecret.wav",
        "/files//etc/passwd.wav",
        "/files/link.wav",
        "/files/folder/secret.wav",
        "/files/.hidden.wav",
        "/files/notes.txt",
        "/files/2026",
        "/files/%00.wav",
        "/call/../secret",
        "/call/link",
        "/live/..",
        "/api/live/..",
    ],
)
def test_no_path_leads_out_of_the_place_or_to_another_kind_of_file(served: Served, place: Path, path: str) -> None:
    (place / "link.wav").symlink_to(place.parent / "secret.wav")
    (place / "folder").symlink_to(place.parent)
    (place / ".hidden.wav").write_bytes(b"hidden")
    (place / "notes.txt").write_bytes(b"notes")
    answer = served.get(path)
    assert (answer.status, b"secret" in answer.body) == (404, False)


@pytest.mark.parametrize(
    ("header", "start", "stop"),
    [("bytes=0-9", 0, 10), ("bytes=100-", 100, None), ("bytes=-5", -5, None), ("bytes=44-99999999999", 44, None)],
)
def test_a_range_is_answered_with_its_bytes(
    served: Served, call: Path, header: str, start: int, stop: int | None
) -> None:
    whole = call.read_bytes()
    answer = served.get(f"/files/{NEWER}.wav", Range=header)
    assert (answer.status, answer.body) == (206, whole[start:stop])
    first = start % len(whole)
    assert answer.headers["Content-Range"] == f"bytes {first}-{first + len(answer.body) - 1}/{len(whole)}"


@pytest.mark.parametrize("header", ["bytes=0-1,5-6", "lines=1-2", "bytes=9-3", "bytes=-"])
def test_another_kind_of_range_gets_the_whole_file(served: Served, call: Path, header: str) -> None:
    answer = served.get(f"/files/{NEWER}.wav", Range=header)
    assert (answer.status, answer.body) == (200, call.read_bytes())
    assert answer.headers["Accept-Ranges"] == "bytes"


@pytest.mark.parametrize("header", ["bytes=99999999-", "bytes=-0"])
def test_a_range_behind_the_end_is_refused_with_the_size(served: Served, call: Path, header: str) -> None:
    answer = served.get(f"/files/{NEWER}.wav", Range=header)
    assert (answer.status, answer.headers["Content-Range"]) == (416, f"bytes */{call.stat().st_size}")


def test_a_look_at_the_head_gets_no_body(served: Served, call: Path) -> None:
    answer = served.get(f"/files/{NEWER}.wav", method="HEAD")
    assert (answer.status, answer.headers["Content-Length"], answer.body) == (200, str(call.stat().st_size), b"")


def test_the_list_has_the_newest_first_and_the_facts_come_out_of_the_manifests(served: Served) -> None:
    listed = json.loads(served.get("/api/recordings").body)
    assert [each["path"] for each in listed["recordings"]] == [NEWER, OLDER]
    assert listed["recordings"][0]["startTime"] == "2026-07-01T13:30:00.000Z"
    facts = json.loads(served.get(f"/api/facts?path={NEWER}&path=none").body)
    assert facts["none"] is None
    assert facts[NEWER]["status"] == "partial"
    assert facts[NEWER]["reasons"] == ["STREAM_HOLES"]
    assert facts[NEWER]["durationSeconds"] == pytest.approx(30, abs=1)


def test_a_changed_manifest_is_read_again_and_a_broken_one_has_no_facts(served: Served, place: Path) -> None:
    wav = place / f"{NEWER}.wav"
    assert json.loads(served.get(f"/api/facts?path={NEWER}").body)[NEWER]["status"] == "partial"
    edited(wav, lambda manifest: manifest.update(status="complete", padding=" "))
    assert json.loads(served.get(f"/api/facts?path={NEWER}").body)[NEWER]["status"] == "complete"
    wav.with_suffix(".json").write_text("{", "utf-8")
    assert json.loads(served.get(f"/api/facts?path={NEWER}").body)[NEWER] is None


# --- the words --------------------------------------------------------------------------------------------------------


def _said(served: Served, text: str, *paths: str) -> dict[str, Any]:
    query = "&".join([f"text={quote(text)}", *(f"path={quote(path)}" for path in paths)])
    found: dict[str, Any] = json.loads(served.get(f"/api/words?{query}").body)
    return found


def test_words_of_one_party_are_found_in_the_calls_that_are_asked_for(served: Served, place: Path) -> None:
    write_transcript(place / f"{NEWER}.transcript.json", WORDS)
    (place / f"{OLDER}.vtt").write_text("WEBVTT\n\n00:03.000 --> 00:09.000\n<v Agent>Yes: ORDER, four?\n", "utf-8")
    found = _said(served, " Order  FOUR", NEWER, OLDER, "none")
    assert found["unreadable"] == []
    assert found["calls"] == {
        NEWER: {
            "count": 1,
            "hits": [
                {
                    "start": 3.0,
                    "participant": "customer",
                    "before": "good morning ",
                    "found": "order four",
                    "after": " two",
                }
            ],
        },
        OLDER: {
            "count": 1,
            "hits": [{"start": 3.0, "participant": "agent", "before": "Yes: ", "found": "ORDER, four", "after": "?"}],
        },
    }
    assert list(_said(served, "order", NEWER)["calls"]) == [NEWER]
    assert [hit["start"] for hit in _said(served, "order", NEWER)["calls"][NEWER]["hits"]] == [3.0, 9.0]


@pytest.mark.parametrize("text", ["two your", "four order", "", " ", "none"])
def test_words_that_no_party_says_in_a_row_are_not_found(served: Served, place: Path, text: str) -> None:
    write_transcript(place / f"{NEWER}.transcript.json", WORDS)
    assert _said(served, text, NEWER) == {"calls": {}, "unreadable": []}


def test_a_hit_has_the_words_around_it_alone_and_a_call_a_few_hits(served: Served, place: Path) -> None:
    said = [(float(at), "Straße," if at % 10 == 5 else f"wordnumber{at}") for at in range(70)]
    write_transcript(place / f"{NEWER}.transcript.json", [("agent", said[:60])])
    found = _said(served, "STRASSE", NEWER)["calls"][NEWER]
    assert (found["count"], [hit["start"] for hit in found["hits"]]) == (6, [5.0, 15.0, 25.0, 35.0, 45.0])
    assert found["hits"][1]["found"] == "Straße,"
    assert found["hits"][1]["before"] == "… wordnumber11 wordnumber12 wordnumber13 wordnumber14 "
    assert found["hits"][1]["after"] == " wordnumber16 wordnumber17 wordnumber18 wordnumber19 …"


def test_a_transcript_is_read_once_until_it_changes_and_a_broken_one_is_told(place: Path) -> None:
    opened = []

    class Noted(FolderStore):
        @contextmanager
        def open(self, item: Item, start: int, length: int) -> Iterator[Readable]:
            opened.append(item.path)
            with super().open(item, start, length) as file:
                yield file

    path = f"{NEWER}.transcript.json"
    write_transcript(place / path, WORDS)
    with serving(Noted(place)) as served:
        assert list(_said(served, "morning", NEWER)["calls"]) == [NEWER]
        assert list(_said(served, "thank", NEWER)["calls"]) == [NEWER]
        assert opened == [path]
        write_transcript(place / path, [("agent", ((2.0, "evening"),))])
        assert json.loads(served.get("/api/recordings").body)["recordings"][0]["hasWords"]
        assert list(_said(served, "evening", NEWER)["calls"]) == [NEWER]
        assert _said(served, "morning", NEWER)["calls"] == {}
        assert opened == [path, path]
        (place / path).write_text("{", "utf-8")
        served.get("/api/recordings")
        assert _said(served, "evening", NEWER, OLDER) == {"calls": {}, "unreadable": [NEWER]}


def test_kept_transcripts_make_room_for_new_ones(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words, "MOST_KEPT_CHARACTERS", 80)
    for path in (NEWER, OLDER):
        write_transcript(place / f"{path}.transcript.json", WORDS)
    with serving(FolderStore(place)) as served:
        for path in (NEWER, OLDER, NEWER):
            assert list(_said(served, "morning", path)["calls"]) == [path]
            assert [Path(kept).name for kept in served.server.words.kept] == [f"{Path(path).name}.transcript.json"]


def test_a_list_that_is_cut_says_so(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "MOST_RECORDINGS", 1)
    listed = json.loads(served.get("/api/recordings").body)
    assert ([each["path"] for each in listed["recordings"]], listed["more"]) == ([NEWER], True)


def test_the_page_of_a_call_plays_from_the_server_and_is_made_anew_once_its_words_come(
    served: Served, place: Path, call: Path
) -> None:
    first = served.get(f"/call/{NEWER}")
    facts = _facts_on(first)
    assert facts["audio"]["source"] == f"/files/{NEWER}.wav"
    assert facts["turns"] == []
    shutil.copy(call.with_suffix(".transcript.json"), place / f"{NEWER}.transcript.json")
    assert len(_facts_on(served.get(f"/call/{NEWER}"))["turns"]) == 3


def test_a_wav_that_cannot_be_shown_is_one_line(served: Served, place: Path) -> None:
    (place / "broken.wav").write_bytes(b"RIFF")
    answer = served.get("/call/broken")
    assert answer.status == 502
    assert b"broken.wav" in answer.body
    assert b"Traceback" not in answer.body


# --- out of S3 --------------------------------------------------------------------------------------------------------


@pytest.fixture
def calls(bucket: str, s3_client: S3Client, call: Path, moto_server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A prefix with the two recordings. The bucket has one more outside of it."""
    for path in (f"calls/{NEWER}", f"calls/{OLDER}", "elsewhere/secret"):
        s3_client.upload_file(str(call), bucket, f"{path}.wav")
        s3_client.upload_file(str(call.with_suffix(".json")), bucket, f"{path}.json")
    s3_client.upload_file(str(call.with_suffix(".transcript.json")), bucket, f"calls/{OLDER}.transcript.json")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", moto_server)
    return f"s3://{bucket}/calls"


def test_a_bucket_is_listed_and_its_audio_comes_through_in_ranges(calls: str, call: Path) -> None:
    with serving(BucketStore(calls)) as served:
        listed = json.loads(served.get("/api/recordings").body)
        assert [each["path"] for each in listed["recordings"]] == [NEWER, OLDER]
        assert json.loads(served.get(f"/api/facts?path={OLDER}").body)[OLDER]["status"] == "partial"
        assert _said(served, "morning", NEWER, OLDER)["calls"].keys() == {OLDER}
        part = served.get(f"/files/{NEWER}.wav", Range="bytes=1000-1999")
        assert (part.status, part.body) == (206, call.read_bytes()[1000:2000])
        assert served.get(f"/files/{NEWER}.wav").body == call.read_bytes()
        assert _facts_on(served.get(f"/call/{NEWER}"))["duration"] == pytest.approx(30, abs=1)


@pytest.mark.parametrize("path", ["/files/../elsewhere/secret.wav", "/files/elsewhere/secret.wav", "/files/none.wav"])
def test_a_bucket_s_other_objects_are_not_there(calls: str, path: str) -> None:
    with serving(BucketStore(calls)) as served:
        assert served.get(path).status == 404


def test_a_path_with_two_dots_is_no_object_whichever_key_it_would_name(
    calls: str, bucket: str, s3_client: S3Client
) -> None:
    """A server may resolve the dots of a key or take them as they are: an object lies at either place."""
    s3_client.put_object(Bucket=bucket, Key="calls/../elsewhere/secret.wav", Body=b"a key as it is")
    store = BucketStore(calls)

    assert store.item(f"{NEWER}.wav") is not None
    assert store.item("../elsewhere/secret.wav") is None


def test_a_bucket_that_may_not_be_read_is_one_line(calls: str) -> None:
    with serving(BucketStore(calls.replace("/calls", "-none/calls"))) as served:
        answer = served.get("/api/recordings")
    assert answer.status == 502
    assert answer.body.decode().endswith("S3 answers NoSuchBucket\n")


# --- the command ------------------------------------------------------------------------------------------------------


def test_the_command_prints_an_address_that_answers_and_ends_with_an_interrupt(place: Path) -> None:
    with subprocess.Popen(
        [COMMAND, "serve", place], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        first, address = process.stdout.readline(), process.stdout.readline()
        assert first == f"Serving {place} on this machine alone. Open:\n"
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/\?key=[\w-]{30,}\n", address)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, errors) == (130, "connect-audio: interrupted\n")


def test_a_taken_port_and_a_missing_folder_are_one_line(place: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        finished = run("serve", place, "--port", str(taken.getsockname()[1]))
    assert finished.code == 2
    assert "Address already in use (--port 0 takes a free one)" in finished.complaint
    finished = run("serve", place / "none")
    assert (finished.code, finished.complaint) == (2, f"{place / 'none'}: is no folder")


def _facts_on(page: Answer) -> dict[str, Any]:
    assert page.status == 200
    found = re.search(rb'<script type="application/json" id="call">(.*?)</script>', page.body, re.DOTALL)
    assert found is not None
    facts: dict[str, Any] = json.loads(found[1])
    return facts
