"""`connect-audio capture` against the stand-in of Kinesis Video Streams: bytes as served, and how they were had."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pytest

from connect_audio.core.fragments import Fragment
from connect_audio.library.capture import capture_events
from connect_audio_cli.capturing import answer
from connect_audio_local.kvs import Delivery, EmulatedStream, FaultPlan, KvsEmulator, Live, stored
from connect_audio_local.kvs.archive_behaviour import ArchiveBehaviour, ArchiveOrder, ArchiveSpelling
from connect_audio_local.kvs.faults import Cut, OnCall
from connect_audio_local.synthesis.calls import (
    DEFAULT_CONTACT_ID,
    DEFAULT_INSTANCE_ID,
    DEFAULT_START_MS,
    SyntheticCall,
    SyntheticFragment,
)
from support.calls import call, fragments
from support.command import COMMAND, Finished, recording, run_here
from support.terminal import terminal
from support.wav import same_wav, wav_of_call

OTHER: Final = "7e57ca11-0000-4000-8000-00000000beef"
NAME: Final = "connect-demo-contact-7e57ca11-0000-4000-8000-000000000001"


class Streams:
    """Calls in the emulator, and the command on them."""

    def __init__(self, emulator: KvsEmulator, folder: Path) -> None:
        self._emulator = emulator
        self.path = folder / "call.mkv"

    def serve(self, *calls: SyntheticCall, **options: Any) -> list[SyntheticFragment]:
        made = fragments(*calls)
        self.stream = self._emulator.add_stream(EmulatedStream(NAME, stored(made), **options))
        return made

    def capture(self, *options: str) -> Finished:
        return run_here("capture", NAME, "-o", self.path, *options)

    @property
    def data(self) -> bytes:
        return self.path.read_bytes()

    @property
    def facts(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.path.with_name("call.mkv.json").read_text())
        return found


@pytest.fixture
def streams(tmp_path: Path, kvs_emulator: KvsEmulator) -> Streams:
    return Streams(kvs_emulator, tmp_path)


def fragments_in(data: bytes) -> list[Fragment]:
    return [each for each in capture_events([data], "capture") if isinstance(each, Fragment)]


def times_and_sizes(data: bytes) -> list[Any]:
    """What redaction must leave: all but samples and ids."""
    return [
        (
            (each.number, each.server_timestamp_ms, each.producer_timestamp_ms, each.millis_behind_now),
            (each.offset, each.size, each.timecode_scale_ns, each.tracks, each.errors, each.completion),
            [(block.track_number, block.time_ns, block.frame_count, block.size) for block in each.blocks],
            [(name, len(value)) for name, value in each.tags],
            [len(contact_id) for contact_id in each.contact_ids],
        )
        for each in fragments_in(data)
    ]


def test_a_capture_is_what_the_stream_serves_and_says_how_it_was_had(streams: Streams) -> None:
    made = streams.serve(call(5))

    finished = streams.capture("--from", "earliest")

    assert (finished.code, finished.err) == (0, "")
    assert [each.number for each in fragments_in(streams.data)] == [each.number for each in made]
    facts = streams.facts
    assert (facts["api"], facts["selector"]) == ("GetMedia", {"StartSelectorType": "EARLIEST"})
    assert (facts["streamArn"], facts["status"], facts["end"]) == (streams.stream.arn, 200, "BODY")
    assert facts["bytes"] == facts["bytesServed"] == len(streams.data)
    assert (facts["fragments"], facts["contacts"]) == (len(made), 1)
    assert (facts["firstFragment"], facts["lastFragment"]) == (made[0].number, made[-1].number)
    assert facts["requestId"]
    assert facts["answered"] <= facts["firstByte"] <= facts["ended"]


def test_the_facts_show_what_the_service_s_documentation_leaves_open(streams: Streams) -> None:
    made = streams.serve(call(4), call(3, contact_id=OTHER, pause_ms=5000))

    streams.capture("--from", "earliest", "--redact")

    evidence = streams.facts["evidence"]
    names = evidence["tagNames"]
    assert names["AWS_KINESISVIDEO_CONTINUATION_TOKEN"] == names["AWS_KINESISVIDEO_MILLIS_BEHIND_NOW"] == len(made)
    assert names["InstanceId"] == len(made)
    assert (evidence["fallingNumbers"], evidence["fragmentsWithoutBlocks"]) == (0, 0)
    assert evidence["longestPauseMs"] == pytest.approx(5000, abs=64 + 1)
    assert max(evidence["blockSizes"], key=evidence["blockSizes"].get) == "1024"


def test_the_facts_of_the_archive_show_order_spelling_and_tokens(streams: Streams, tmp_path: Path) -> None:
    made = streams.serve(
        call(8), archive=ArchiveBehaviour(spelling=ArchiveSpelling.SIDE, order=ArchiveOrder.SHUFFLED, seed=3)
    )
    numbers = tmp_path / "numbers.txt"
    numbers.write_text("\n".join(str(each.number) for each in made))

    streams.capture("--api", "archive", "--fragments", str(numbers))

    evidence = streams.facts["evidence"]
    assert evidence["fallingNumbers"] > 0
    assert evidence["tagNames"]["AWS_KINESISVIDEO_PRODUCER_SIDE_TIMESTAMP"] == len(made)
    assert "AWS_KINESISVIDEO_CONTINUATION_TOKEN" not in evidence["tagNames"]


def test_a_capture_is_replayed_to_the_samples_of_the_call(streams: Streams, tmp_path: Path) -> None:
    ours = call(5)
    streams.serve(ours)
    streams.capture("--from", str(DEFAULT_START_MS))

    assert run_here("replay", streams.path, "-o", tmp_path / "out").code == 0

    assert same_wav((tmp_path / "out" / f"{DEFAULT_CONTACT_ID}.wav").read_bytes(), wav_of_call(ours))


def test_seconds_end_the_capture_behind_the_fragment_that_reaches_them(streams: Streams) -> None:
    made = streams.serve(call(20))

    finished = streams.capture("--from", str(DEFAULT_START_MS + 2048), "--seconds", "3.05", "--json")

    assert finished.code == 0
    assert json.loads(finished.out)["end"] == "SECONDS"
    # The third fragment from there on reaches to 3.072 s.
    assert [each.number for each in fragments_in(streams.data)] == [each.number for each in made[2:5]]
    assert streams.facts["selector"]["StartTimestamp"].startswith("2026-07-01T13:30:56.584")


def test_single_fragments_come_from_the_archive(streams: Streams, tmp_path: Path) -> None:
    made = streams.serve(call(8))
    numbers = tmp_path / "numbers.txt"
    numbers.write_text(f"{made[2].number}\n{made[5].number}\n")

    assert streams.capture("--api", "archive", "--fragments", str(numbers)).code == 0

    assert {each.number for each in fragments_in(streams.data)} == {made[2].number, made[5].number}
    assert streams.facts["api"] == "GetMediaForFragmentList"
    assert streams.facts["selector"] == {"Fragments": [made[2].number, made[5].number]}


def test_a_span_of_time_comes_from_the_archive_by_its_listing(streams: Streams) -> None:
    made = streams.serve(call(8))

    streams.capture("--api", "archive", "--from", str(DEFAULT_START_MS + 1024), "--seconds", "2.048")

    assert {each.number for each in fragments_in(streams.data)} == {made[1].number, made[2].number}


def test_a_contact_alone_loses_no_part_of_a_fragment_and_gets_none_of_another(streams: Streams) -> None:
    ours = call(5, unlabelled=frozenset({2}), last_unlabelled=True)
    made = streams.serve(
        call(3, contact_id=OTHER, seed=5, last_unlabelled=True),
        SyntheticCall(**{**vars_of(ours), "pause_ms": 10_000}),
        call(3, contact_id=OTHER, seed=9, pause_ms=10_000, unlabelled=frozenset({0})),
    )

    finished = streams.capture("--from", "earliest", "--contact-id", DEFAULT_CONTACT_ID)

    assert finished.code == 0
    whole = run_here("capture", NAME, "-o", streams.path.with_name("all.mkv"), "--from", "earliest")
    assert whole.code == 0
    served = streams.path.with_name("all.mkv").read_bytes()
    of_ours = fragments_in(served)[3:8]
    begin, end = of_ours[0].offset, of_ours[-1].offset + of_ours[-1].size
    assert [each.number for each in of_ours] == [each.number for each in made[3:8]]
    assert streams.data == served[begin:end]
    assert OTHER.encode() not in streams.data
    assert (streams.facts["fragmentsServed"], streams.facts["fragments"]) == (len(made), 5)


def vars_of(made: SyntheticCall) -> dict[str, Any]:
    return {name: getattr(made, name) for name in made.__dataclass_fields__}


def test_redaction_takes_samples_and_ids_and_leaves_every_size_and_time(streams: Streams) -> None:
    streams.serve(call(4), call(3, contact_id=OTHER, pause_ms=5000))
    streams.capture("--from", "earliest")
    served, arn = streams.data, streams.facts["streamArn"]

    finished = streams.capture("--from", "earliest", "--redact", "--force")

    redacted = streams.data
    assert finished.code == 0
    assert len(redacted) == len(served)
    assert times_and_sizes(redacted) == times_and_sizes(served)
    blocks = [block for each in fragments_in(redacted) for block in each.blocks]
    assert not any(any(block.data) for block in blocks)
    text = redacted + json.dumps(streams.facts).encode() + finished.out.encode()
    for identity in (DEFAULT_CONTACT_ID, OTHER, DEFAULT_INSTANCE_ID, NAME, "123456789012"):
        assert identity.encode() not in text
    assert len(streams.facts["streamArn"]) == len(arn)
    # The border between the contacts stays.
    contacts = [each.contact_ids for each in fragments_in(redacted)]
    assert len(set(contacts)) == 2
    assert contacts == sorted(contacts, key=contacts.index)


def test_a_redacted_capture_is_replayed(streams: Streams, tmp_path: Path) -> None:
    streams.serve(call(4))
    streams.capture("--from", "earliest", "--redact")

    finished = run_here("replay", streams.path, "-o", tmp_path / "out", "--json")

    assert finished.code == 0
    replayed = recording(tmp_path / "out", json.loads(finished.out)["contactId"])
    assert len(replayed.left) == 4 * 16_000
    assert not any(replayed.left)


def test_nothing_personal_is_on_the_terminal(streams: Streams) -> None:
    streams.serve(call(3))

    shown = streams.capture("--from", "earliest").out

    assert DEFAULT_CONTACT_ID not in shown
    assert NAME not in shown
    assert "every caller" in shown


def test_a_broken_connection_leaves_what_came(streams: Streams) -> None:
    streams.serve(call(8), faults=FaultPlan((OnCall(1, Cut(60_000)),)))

    finished = streams.capture("--from", "earliest")

    assert finished.code == 3
    assert finished.complaint.startswith("the connection broke, the capture ends there: ")
    assert streams.facts["end"] == "FAILED"
    assert len(streams.data) == streams.facts["bytesServed"] == 60_000


def test_a_silent_stream_ends_the_capture(streams: Streams, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answer, "SILENCE_S", 2.0)
    made = streams.serve(call(3), hold_open_s=60)

    assert streams.capture("--from", "earliest").code == 0

    assert (streams.facts["end"], streams.facts["fragments"]) == ("SILENT", len(made))


def test_a_stream_that_serves_nothing_leaves_no_file(streams: Streams) -> None:
    streams.serve(call(3))

    finished = streams.capture("--from", "earliest", "--contact-id", OTHER)

    assert (finished.code, finished.complaint) == (2, "the stream served no fragment of that contact")
    assert list(streams.path.parent.iterdir()) == []


def test_a_file_that_is_there_stays_without_force(streams: Streams) -> None:
    streams.path.with_name("call.mkv.json").write_text("mine")

    finished = streams.capture("--from", "earliest")

    assert finished.code == 2
    assert "is there already" in finished.complaint


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("--fragments", "f"), "--fragments needs --api archive"),
        (("--api", "archive"), "--api archive needs --fragments, or --from MS and --seconds"),
        (("--api", "archive", "--fragments", "f", "--seconds", "1"), "give --fragments, or --from and --seconds"),
        (("-o", "-"), "a capture is two files, so -o needs a name"),
        (("--from", "soon"), "Invalid value for '--from': 'soon' is not a whole number, nor earliest, nor now"),
    ],
)
def test_options_that_contradict_each_other_are_told(
    streams: Streams, options: tuple[str, ...], complaint: str
) -> None:
    finished = streams.capture(*options)

    assert finished.code == 2
    assert finished.complaint.startswith(complaint)


def test_ctrl_c_ends_a_capture_with_a_whole_file(streams: Streams, tmp_path: Path) -> None:
    streams.serve(call(90), pace=Live(speed=20.0), delivery=Delivery.BLOCK)
    with terminal(COMMAND, "capture", NAME, "--from", "earliest", "-o", streams.path) as running:
        running.read_until("MB")

        running.press_ctrl_c()
        screen = running.end()

    assert screen.code == 130
    assert screen.shown.rstrip().endswith("connect-audio: interrupted")
    assert streams.facts["end"] == "INTERRUPTED"
    assert all(each.completion == "TOKEN" for each in fragments_in(streams.data))
    assert run_here("replay", streams.path, "-o", tmp_path / "out").code == 0
