"""`connect-audio replay` as a user runs it: exit codes, the one line on stderr, and what lies in the directory."""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from connect_audio_local.synthesis.calls import (
    DEFAULT_CONTACT_ID,
    Gap,
    SyntheticCall,
    synthesize_call,
)
from connect_audio_local.synthesis.speech import two_party_conversation
from support.calls import capture_of
from support.command import COMMAND, PATIENCE_S, recording, run
from support.replayed_calls import (
    CALL,
    MORTAL,
    OTHER_CALL,
    OTHER_ID,
    OTHER_SPEECH,
    REAL_CALL,
    SHARED,
    SPEECH,
    names,
    needs_a_mortal,
    needs_captures,
)


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    path = tmp_path / "call.mkv"
    path.write_bytes(capture_of(CALL))
    return path


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "out"


# --- whole -----------------------------------------------------------------------------------------------------------


def test_a_whole_call_gives_exactly_what_was_said_and_exit_code_0(capture: Path, output: Path) -> None:
    finished = run("replay", capture, "--output", output)

    assert (finished.code, finished.err) == (0, "")
    assert names(output) == [f"{DEFAULT_CONTACT_ID}.json", f"{DEFAULT_CONTACT_ID}.wav"]
    replayed = recording(output, DEFAULT_CONTACT_ID)
    assert replayed.rate == 8000
    assert replayed.left == SPEECH.customer
    assert replayed.right == SPEECH.agent
    assert replayed.manifest["status"] == "complete"
    assert replayed.manifest["endReason"] == "END_OF_INPUT"
    assert replayed.manifest["recording"]["location"] == f"{DEFAULT_CONTACT_ID}.wav"
    assert replayed.manifest["instanceId"] == CALL.instance_id


def test_the_summary_tells_duration_levels_status_and_where_the_files_lie(capture: Path, output: Path) -> None:
    out = run("replay", capture, "--output", output).out

    assert "5.000 s" in out
    assert re.search(r"Left +customer: speech -\d+\.\d dBFS, \d+ % of the time; 5\.000 s of audio", out)
    assert re.search(r"Right +agent: speech -\d+\.\d dBFS, \d+ % of the time; ", out)
    assert re.search(r"Status +complete", out)
    assert str(output / f"{DEFAULT_CONTACT_ID}.wav") in out
    assert str(output / f"{DEFAULT_CONTACT_ID}.json") in out


@needs_captures
def test_a_real_conversation_equals_an_independent_decode(output: Path) -> None:
    """The published dump tells where every block lies, so no parser is needed to know what must come out."""
    layout = (SHARED / "connect-fragment-layout.txt").read_text()
    offsets = [int(line.split()[0]) for line in layout.splitlines() if "SimpleBlock" in line]
    size, header = 34768, 9
    data = REAL_CALL.read_bytes()
    said: dict[int, bytearray] = {1: bytearray(), 2: bytearray()}
    for start in range(0, len(data), size):
        for offset in offsets:
            payload = start + offset + header
            said[data[payload] & 0x7F] += data[payload + 4 : payload + 4 + 1024]

    finished = run("replay", REAL_CALL, "--output", output)

    assert (finished.code, finished.err) == (0, "")
    replayed = recording(output, "00000000-0000-4000-8000-000000000001")
    assert len(offsets) == 32
    assert replayed.left == said[2], "the customer, AUDIO_FROM_CUSTOMER, is track 2 of the dump"
    assert replayed.right == said[1], "the agent, AUDIO_TO_CUSTOMER, is track 1 of the dump"
    assert len(replayed.left) == 60 * 16 * 1024


def test_standard_input_gives_the_same_files_as_the_file(capture: Path, output: Path, tmp_path: Path) -> None:
    run("replay", capture, "--output", output)
    finished = run("replay", "-", "--output", tmp_path / "piped", stdin=capture.read_bytes())

    assert (finished.code, finished.err) == (0, "")
    for name in names(output):
        assert (tmp_path / "piped" / name).read_bytes() == (output / name).read_bytes()


def test_without_output_the_files_lie_where_the_user_stands(capture: Path, tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()

    assert run("replay", capture, cwd=tmp_path / "here").code == 0
    assert names(tmp_path / "here") == [f"{DEFAULT_CONTACT_ID}.json", f"{DEFAULT_CONTACT_ID}.wav"]


def test_the_first_contact_is_replayed_unless_another_is_named(output: Path) -> None:
    capture = capture_of(CALL, OTHER_CALL)

    first = run("replay", "-", "--output", output, stdin=capture)
    assert names(output) == [f"{DEFAULT_CONTACT_ID}.json", f"{DEFAULT_CONTACT_ID}.wav"]
    assert recording(output, DEFAULT_CONTACT_ID).left == SPEECH.customer
    assert OTHER_ID in first.out, "the user learns that somebody else is in the capture"

    assert run("replay", "-", "--output", output, "--contact-id", OTHER_ID, stdin=capture).code == 0
    assert recording(output, OTHER_ID).left == OTHER_SPEECH.customer


def test_a_call_that_names_its_contact_late_is_replayed_from_there_and_said_to_lack_its_opening(output: Path) -> None:
    call = replace(CALL, unlabelled=frozenset({0, 1}))

    finished = run("replay", "-", "--output", output, stdin=capture_of(call))

    assert finished.code == 3
    assert "UNDECIDABLE_FRAGMENTS" in finished.complaint
    assert recording(output, DEFAULT_CONTACT_ID).left == SPEECH.customer[2 * 16 * 1024 :]


def test_accept_unlabelled_gives_the_opening_to_the_first_contact(output: Path) -> None:
    call = replace(CALL, unlabelled=frozenset({0, 1}))

    finished = run("replay", "-", "--accept-unlabelled", "--output", output, stdin=capture_of(call))

    assert (finished.code, finished.err) == (0, "")
    assert recording(output, DEFAULT_CONTACT_ID).left == SPEECH.customer


def test_a_capture_without_any_label_needs_a_name_and_consent(output: Path) -> None:
    capture = capture_of(replace(CALL, unlabelled=frozenset(range(100))))

    bare = run("replay", "-", "--output", output, stdin=capture)
    nameless = run("replay", "-", "--accept-unlabelled", "--output", output, stdin=capture)
    unwilling = run("replay", "-", "--contact-id", "mine", "--output", output, stdin=capture)
    willing = run("replay", "-", "--accept-unlabelled", "--contact-id", "mine", "--output", output, stdin=capture)

    assert (bare.code, nameless.code, unwilling.code, willing.code) == (2, 2, 2, 0)
    assert "add --accept-unlabelled --contact-id ID" in bare.complaint
    assert "name the call with --contact-id ID" in nameless.complaint
    assert "add --accept-unlabelled" in unwilling.complaint
    assert names(output) == ["mine.json", "mine.wav"]
    assert recording(output, "mine").right == SPEECH.agent


def test_a_pause_of_the_producer_is_silence_and_no_loss(output: Path) -> None:
    call = replace(CALL, gaps=(Gap(at_ms=2048, length_ms=1500),))

    assert run("replay", "-", "--output", output, stdin=capture_of(call)).code == 0
    replayed = recording(output, DEFAULT_CONTACT_ID)
    cut = 2048 * 16
    assert replayed.left == SPEECH.customer[:cut] + bytes(24_000) + SPEECH.customer[cut:]
    assert replayed.manifest["gaps"]["producerPauses"] == 1


# --- not whole -------------------------------------------------------------------------------------------------------


def test_a_capture_that_is_cut_off_keeps_its_whole_blocks_and_exits_with_3(capture: Path, output: Path) -> None:
    capture.write_bytes(capture.read_bytes()[:50_000])

    finished = run("replay", capture, "--output", output)

    assert finished.code == 3
    assert "is written but not whole: TRUNCATED_FRAGMENTS" in finished.complaint
    replayed = recording(output, DEFAULT_CONTACT_ID)
    assert replayed.manifest["status"] == "partial"
    kept = replayed.manifest["tracks"]["customer"]["audioSamples"] * 2
    assert kept > 16 * 1024, "the first fragment and some blocks of the second"
    assert replayed.left[:kept] == SPEECH.customer[:kept]


@pytest.mark.parametrize("at", [0, 1, 2], ids=["before the first", "between", "before the last"])
def test_garbage_between_fragments_costs_no_audio_but_is_reported(output: Path, at: int) -> None:
    fragments = [fragment.data for fragment in synthesize_call(CALL)]
    garbage = b"\xff garbage \x1a\x45\xdf\xa3 that looks like a header"
    fragments.insert([0, 2, 4][at], garbage)

    finished = run("replay", "-", "--output", output, stdin=b"".join(fragments))

    assert finished.code == 3
    assert "LOST_BYTES" in finished.complaint
    replayed = recording(output, DEFAULT_CONTACT_ID)
    assert (replayed.left, replayed.right) == (SPEECH.customer, SPEECH.agent)
    assert replayed.manifest["lostBytes"] == len(garbage)


# --- nothing written -------------------------------------------------------------------------------------------------


def assert_refused(finished_code: int, output: Path) -> None:
    assert finished_code == 2
    assert names(output) == []


def test_a_missing_file_is_named(output: Path, tmp_path: Path) -> None:
    finished = run("replay", tmp_path / "nowhere.mkv", "--output", output)

    assert_refused(finished.code, output)
    assert finished.complaint == f"{tmp_path / 'nowhere.mkv'}: cannot be read: No such file or directory"


def test_a_directory_is_no_capture(output: Path, tmp_path: Path) -> None:
    finished = run("replay", tmp_path, "--output", output)

    assert_refused(finished.code, output)
    assert finished.complaint == f"{tmp_path}: cannot be read: Is a directory"


"""Makes root heed the permissions of files."""


@needs_a_mortal
def test_a_file_that_may_not_be_read_is_named(capture: Path, output: Path) -> None:
    capture.chmod(0)

    finished = run("replay", capture, "--output", output, under=MORTAL)

    assert_refused(finished.code, output)
    assert finished.complaint == f"{capture}: cannot be read: Permission denied"


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "standard input: is empty"),
        (b"not a capture", "standard input: is no GetMedia capture: "),
        (b"\x1a", "standard input: is no GetMedia capture: "),
        (b"\x1a\x45\xdf\xa3\x80", "standard input: is no GetMedia capture: "),
        (b"RIFF\x00\x00\x00\x00WAVEfmt ", "standard input: is a WAV, no GetMedia capture: "),
        (bytes(1000), "standard input: is no GetMedia capture: "),
    ],
    ids=["empty", "text", "one byte", "EBML header alone", "WAV", "zeros"],
)
def test_what_is_no_capture_is_refused(output: Path, content: bytes, complaint: str) -> None:
    finished = run("replay", "-", "--output", output, stdin=content)

    assert_refused(finished.code, output)
    assert finished.complaint.startswith(complaint)


def test_a_file_without_end_that_is_no_capture_is_given_up(output: Path) -> None:
    finished = run("replay", "/dev/zero", "--output", output)

    assert_refused(finished.code, output)
    assert finished.complaint.startswith("/dev/zero: is no GetMedia capture: ")


@needs_captures
@pytest.mark.parametrize(
    "name",
    [
        "empty-mkv-with-tags.mkv",
        "output_get_media_sparse_fragments.mkv",
        "test_mixed_tags.mkv",
        "test_tags_empty_cluster.mkv",
    ],
)
def test_a_video_capture_is_said_to_have_no_pcm_audio_track(output: Path, name: str) -> None:
    finished = run("replay", SHARED / name, "--output", output)

    assert_refused(finished.code, output)
    assert finished.complaint.startswith(f"{SHARED / name}: there is no PCM audio track in it")


def test_a_contact_that_is_not_in_the_capture_is_told_who_is(capture: Path, output: Path) -> None:
    finished = run("replay", capture, "--output", output, "--contact-id", OTHER_ID)

    assert_refused(finished.code, output)
    assert finished.complaint == (f"{capture}: no fragment names contact {OTHER_ID}; it holds {DEFAULT_CONTACT_ID}")


HOSTILE = ["../escape", "a\x1b[2Jb"]
"""What may not happen with any of them is tested in the unit tests of `replay`."""


@pytest.mark.parametrize("contact_id", HOSTILE)
def test_a_hostile_contact_id_in_a_capture_names_no_file(tmp_path: Path, contact_id: str) -> None:
    output = tmp_path / "deep" / "out"

    finished = run("replay", "-", "--output", output, stdin=capture_of(replace(CALL, contact_id=contact_id)))

    assert_refused(finished.code, output)
    assert names(tmp_path) == [], "nothing outside the directory either"
    assert "is no contact id" in finished.complaint
    assert "\x1b" not in finished.err


@pytest.mark.parametrize("contact_id", HOSTILE)
def test_a_hostile_contact_id_on_the_command_line_names_no_file(capture: Path, output: Path, contact_id: str) -> None:
    finished = run("replay", capture, "--output", output, f"--contact-id={contact_id}")

    assert_refused(finished.code, output)
    assert "is no contact id" in finished.complaint


def test_a_contact_behind_a_hostile_one_can_be_named(output: Path) -> None:
    capture = capture_of(replace(CALL, contact_id="../escape"), OTHER_CALL)

    assert run("replay", "-", "--output", output, "--contact-id", OTHER_ID, stdin=capture).code == 0
    assert recording(output, OTHER_ID).left == OTHER_SPEECH.customer


def test_an_output_that_is_a_file_is_refused(capture: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept")

    finished = run("replay", capture, "--output", tmp_path / "file")

    assert finished.code == 2
    assert finished.complaint == f"{tmp_path / 'file'} is a file, and a folder is needed there"
    assert (tmp_path / "file").read_text() == "kept"


@pytest.mark.parametrize("suffix", [".wav", ".json"])
def test_a_directory_in_the_place_of_a_result_leaves_nothing_behind(capture: Path, output: Path, suffix: str) -> None:
    (output / f"{DEFAULT_CONTACT_ID}{suffix}").mkdir(parents=True)

    finished = run("replay", capture, "--output", output)

    assert finished.code == 2
    assert finished.complaint.endswith(f"{DEFAULT_CONTACT_ID}{suffix}: cannot be written: is a directory")
    assert names(output) == [f"{DEFAULT_CONTACT_ID}{suffix}"]


@needs_a_mortal
def test_a_directory_that_may_not_be_written_to_is_named(capture: Path, output: Path) -> None:
    output.mkdir(mode=0o555)

    finished = run("replay", capture, "--output", output, under=MORTAL)

    assert_refused(finished.code, output)
    assert "cannot be written: Permission denied" in finished.complaint


@pytest.mark.parametrize("kilobytes", [0, 100], ids=["at once", "in the middle"])
def test_a_full_disk_leaves_an_earlier_recording_as_it_was(capture: Path, output: Path, kilobytes: int) -> None:
    """A limit on the size of files stands for the full disk: the same error from the same calls, without root."""
    output.mkdir()
    (output / f"{DEFAULT_CONTACT_ID}.wav").write_text("an earlier recording")
    process = subprocess.run(
        ["bash", "-c", f'ulimit -f {kilobytes}; exec "$@"', "bash", COMMAND, "replay", capture, "--output", output],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )

    assert process.returncode == 2
    assert process.stderr == (f"connect-audio: {output / DEFAULT_CONTACT_ID}.wav: cannot be written: File too large\n")
    assert names(output) == [f"{DEFAULT_CONTACT_ID}.wav"]
    assert (output / f"{DEFAULT_CONTACT_ID}.wav").read_text() == "an earlier recording"


def test_a_summary_that_cannot_be_printed_is_said_in_one_line(capture: Path, output: Path) -> None:
    with Path("/dev/full").open("w") as full:
        process = subprocess.run(
            [COMMAND, "replay", capture, "--output", output],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )

    assert process.returncode == 2
    assert process.stderr == "connect-audio: standard output: No space left on device\n"


# --- interrupted -----------------------------------------------------------------------------------------------------


@contextmanager
def replaying(output: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A replay in the middle of its work: more has been read than a pipe can hold, and the end has not come."""
    speech = two_party_conversation(30)
    capture = capture_of(SyntheticCall(customer=speech.customer, agent=speech.agent))
    with subprocess.Popen(
        [COMMAND, "replay", "-", "--output", output],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        try:
            process.stdin.write(capture)
            process.stdin.flush()
            yield process
        finally:
            process.kill()


def test_what_a_killed_replay_leaves_is_removed_by_the_next_one(output: Path) -> None:
    with replaying(output) as process:
        (left,) = names(output)
        process.kill()
        process.wait(PATIENCE_S)
    assert left.endswith(".partial")
    assert names(output) == [left]

    with replaying(output) as process:
        process.communicate(timeout=PATIENCE_S)

    assert [Path(name).suffix for name in names(output)] == [".json", ".wav"]


@pytest.mark.parametrize(
    ("number", "code", "word"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")]
)
def test_an_interrupted_replay_leaves_nothing(output: Path, number: signal.Signals, code: int, word: str) -> None:
    with replaying(output) as process:
        assert process.stderr is not None
        during = names(output)
        process.send_signal(number)
        # Not communicate: it would close the input, and the end of the capture could come before the signal.
        assert process.wait(PATIENCE_S) == code
        assert process.stderr.read().decode() == f"connect-audio: {word}\n"

    assert len(during) == 1, "the audio so far is on the disk"
    assert during[0].endswith(".partial"), "but not under its final name"
    assert names(output) == []
