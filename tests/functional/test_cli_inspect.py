"""`connect-audio inspect` as a user runs it, and the command's own help."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from ebmlite import loadSchema

from connect_audio_local.synthesis.calls import DEFAULT_CONTACT_ID, SyntheticCall, synthesize_call
from connect_audio_local.synthesis.speech import two_party_conversation
from support.command import COMMAND, PATIENCE_S, run

SHARED = Path(__file__).parents[3] / "shared" / "captures"
needs_captures = pytest.mark.skipif(not SHARED.exists(), reason="the shared captures are not here")

SPEECH = two_party_conversation(5)
FRAGMENTS = [fragment.data for fragment in synthesize_call(SyntheticCall(customer=SPEECH.customer, agent=SPEECH.agent))]
CAPTURE = b"".join(FRAGMENTS)
HEADINGS = ("#", "fragment", "producer", "server", "contact", "blocks", "bytes", "end", "gap", "ms", "notes")


def test_the_tables_tell_fragments_contacts_and_tracks() -> None:
    finished = run("inspect", "-", stdin=CAPTURE)

    assert (finished.code, finished.err) == (0, "")
    lines = finished.out.splitlines()
    assert re.split(r" +", lines[0].strip()) == [*HEADINGS]
    assert re.match(rf"1 \d{{47}} 13:30:54\.536 13:30:54\.706 {DEFAULT_CONTACT_ID} 1:16 2:16 +\d+ token", lines[1])
    assert f"Contact  {DEFAULT_CONTACT_ID}: 5 fragments, 2026-07-01 13:30:54.536 to" in finished.out
    assert (
        "2 'AUDIO_FROM_CUSTOMER', declared as audio A_AAC, is 16-bit little-endian PCM, 8000 Hz, mono: the customer"
        in (finished.out)
    )
    assert re.search(r"the customer, speech -\d+\.\d dBFS, \d+ % of the time; \d+ blocks", finished.out)
    assert "Lost     nothing" in finished.out


def test_a_limit_shortens_the_table_and_not_the_summary() -> None:
    finished = run("inspect", "-", "--limit", "2", stdin=CAPTURE)

    assert "… and 3 further fragments (--limit 0 shows all)" in finished.out
    assert "5 fragments" in finished.out
    assert len(re.findall(r"^\d \d{47} ", finished.out, re.MULTILINE)) == 2


def test_the_tree_shows_every_element_of_one_fragment_and_of_all_when_asked() -> None:
    one, every = (
        run("inspect", "-", "--tree", stdin=CAPTURE),
        run("inspect", "-", "--tree", "--limit", "0", stdin=CAPTURE),
    )

    assert "         0        35  EBML (0x1A45DFA3): 7 elements\n" in one.out
    assert "       346        36          TagString (0x4487): '00000000-0000-4000-8000-000000000001'\n" in one.out
    assert "       984      1028      SimpleBlock (0xA3): track 1, +0 ticks, 1024 bytes\n" in one.out
    assert (one.out.count("EBML (0x1A45DFA3)"), every.out.count("EBML (0x1A45DFA3)")) == (1, 5)
    assert f"{len(FRAGMENTS[0]):>10}        35  EBML (0x1A45DFA3)" in every.out


@needs_captures
@pytest.mark.parametrize("path", sorted(SHARED.glob("*.mkv")), ids=lambda path: path.name)
def test_real_captures_are_read_as_ebmlite_reads_them(path: Path) -> None:
    """ebmlite's own walk over the file gives the fragments' numbers, times, tags, tracks and frame counts."""
    finished = run("inspect", path, "--json")
    assert (finished.code, finished.err) == (0, "")
    told = json.loads(finished.out)
    assert told["summary"]["whole"]

    assert [_facts(entry) for entry in told["fragments"]] == _ebmlite_facts(path.read_bytes())


def _facts(entry: dict[str, Any]) -> dict[str, Any]:
    contacts = {("ContactId", contact_id) for contact_id in entry["contactIds"]}
    return {
        "tags": sorted({*map(tuple, entry["tags"]), *contacts}),
        "number": entry["number"],
        "tracks": [(track["number"], track["type"], track["name"], track["codecId"]) for track in entry["tracks"]],
        "blocks": entry["blocks"],
        "mediaBytes": entry["mediaBytes"],
    }


def _ebmlite_facts(data: bytes) -> list[dict[str, Any]]:
    schema = loadSchema("matroska.xml")
    fragments: list[dict[str, Any]] = []
    for root in schema.load(BytesIO(data), headers=True):
        if root.name == "EBML":
            fragments.append({"tags": set(), "number": None, "tracks": [], "blocks": 0, "mediaBytes": 0})
        if root.name == "Segment":
            _gather(root, fragments[-1])
    for fragment in fragments:
        fragment["number"] = dict(fragment["tags"]).get("AWS_KINESISVIDEO_FRAGMENT_NUMBER")
        fragment["tags"] = sorted(fragment["tags"])
    return fragments


def _gather(segment: Any, fragment: dict[str, Any]) -> None:
    for element in segment:
        if element.name == "Tracks":
            for entry in (child for child in element if child.name == "TrackEntry"):
                values = {child.name: child.value for child in entry}
                fragment["tracks"].append(
                    (values["TrackNumber"], values["TrackType"], values.get("Name", ""), values.get("CodecID", ""))
                )
        elif element.name == "Tags":
            for tag in (child for child in element if child.name == "Tag"):
                for simple_tag in (child for child in tag if child.name == "SimpleTag"):
                    values = {child.name: child.value for child in simple_tag}
                    fragment["tags"].add((values["TagName"], values.get("TagString", "")))
        elif element.name == "Cluster":
            blocks = [child for child in element if child.name == "SimpleBlock"]
            fragment["blocks"] += len(blocks)
            fragment["mediaBytes"] += sum(len(block.value) - 4 for block in blocks)


def test_json_with_the_tree_holds_the_elements() -> None:
    told = json.loads(run("inspect", "-", "--json", "--tree", "--limit", "1", stdin=CAPTURE).out)

    assert len(told["fragments"]) == 1
    assert told["fragments"][0]["elements"][0] == {
        "depth": 0,
        "offset": 0,
        "size": 35,
        "id": "0x1A45DFA3",
        "name": "EBML",
        "type": "master",
        "value": None,
        "broken": None,
    }
    assert told["summary"]["fragments"] == 5


@pytest.mark.parametrize("form", [(), ("--tree",), ("--json",)], ids=["tables", "tree", "json"])
def test_a_broken_capture_is_shown_as_far_as_it_goes_and_exits_with_3(form: tuple[str, ...]) -> None:
    broken = FRAGMENTS[0] + b"\xffgarbage" + FRAGMENTS[1] + FRAGMENTS[2][:20_000]

    finished = run("inspect", "-", "--limit", "0", *form, stdin=broken)

    assert finished.code == 3
    assert finished.complaint.startswith("standard input is broken: fragment 3 cut off: stream ends after ")
    assert "bytes in no fragment, from byte" in finished.complaint
    if form == ("--json",):
        told = json.loads(finished.out)
        assert [entry["completion"] for entry in told["fragments"]] == ["TOKEN", "TOKEN", "TRUNCATED"]
        assert told["summary"]["lost"]["runs"] == 2
    elif form == ("--tree",):
        assert finished.out.count("EBML (0x1A45DFA3)") == 3
    else:
        assert "CUT OFF" in finished.out
        assert "LOST" in finished.out


@pytest.mark.parametrize("form", [(), ("--tree",), ("--json",)], ids=["tables", "tree", "json"])
@pytest.mark.parametrize(
    ("content", "complaint"), [(b"", "is empty"), (b"no capture", "is no GetMedia capture: ")], ids=["empty", "text"]
)
def test_what_is_no_capture_gives_one_line_and_nothing_else(
    form: tuple[str, ...], content: bytes, complaint: str
) -> None:
    finished = run("inspect", "-", *form, stdin=content)

    assert (finished.code, finished.out) == (2, "")
    assert finished.complaint.startswith(f"standard input: {complaint}")


@pytest.mark.parametrize(("path", "complaint"), [("nowhere.mkv", "No such file or directory"), (".", "Is a directory")])
def test_what_cannot_be_read_gives_one_line(tmp_path: Path, path: str, complaint: str) -> None:
    finished = run("inspect", path, cwd=tmp_path)

    assert (finished.code, finished.out) == (2, "")
    assert finished.complaint == f"{path}: cannot be read: {complaint}"


def test_a_reader_that_has_seen_enough_ends_it_quietly(tmp_path: Path) -> None:
    (tmp_path / "call.mkv").write_bytes(CAPTURE * 10)
    process = subprocess.run(
        ["bash", "-c", '"$0" inspect --tree --limit 0 call.mkv | head -1; exit ${PIPESTATUS[0]}', COMMAND],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )

    assert process.stderr == ""
    assert process.stdout.startswith("Fragment 1 (")
    assert process.returncode == 141


# --- the command itself ----------------------------------------------------------------------------------------------


def test_help_names_every_command_and_imports_none_of_the_work() -> None:
    program = (
        "import sys; from connect_audio_cli.main import main; code = main(['--help']);"
        "heavy = {'boto3', 'ebmlite', 'pydub', 'connect_audio.core.fragments', 'moto'} & set(sys.modules);"
        "sys.exit(f'help imported {heavy}' if heavy else code)"
    )
    process = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )

    assert (process.returncode, process.stderr) == (0, "")
    for command in ("demo", "replay", "inspect", "emulate", "synthesize", "redrive"):
        assert re.search(rf"^  {command} ", process.stdout, re.MULTILINE)


def test_a_file_may_begin_with_a_dash_behind_two_dashes() -> None:
    assert (
        run("inspect", "--", "--no-such.mkv").complaint == "./--no-such.mkv: cannot be read: No such file or directory"
    )


def test_the_help_fits_a_terminal_of_80_columns() -> None:
    assert max(map(len, run("--help").out.splitlines())) <= 80


def test_the_bare_command_shows_its_help() -> None:
    assert run() == run("--help")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("replay",), "Missing argument 'CAPTURE' (see connect-audio replay --help)"),
        (("nonsense",), "No such command 'nonsense' (see connect-audio --help)"),
        (("inspect", "x", "--nonsense"), "No such option: --nonsense (see connect-audio inspect --help)"),
        (("inspect", "--nonsense"), "No such option: --nonsense (see connect-audio inspect --help)"),
        (
            ("replay", "x", "--out=y"),
            "No such option: --out (did you mean --output?) (see connect-audio replay --help)",
        ),
        (("synthesise",), "No such command 'synthesise' (did you mean synthesize?) (see connect-audio --help)"),
        (("redrive",), "give --stack NAME, or --queue-url and --function (see connect-audio redrive --help)"),
        (("inspect", "x", "--limit", "-1"), "Invalid value for '--limit': -1 is not at least 0"),
        (("emulate", "x", "--port", "99999"), "Invalid value for '--port': "),
    ],
)
def test_a_slip_of_the_fingers_is_one_line_that_leads_to_help(arguments: tuple[str, ...], complaint: str) -> None:
    finished = run(*arguments)

    assert (finished.code, finished.out) == (2, "")
    assert finished.complaint.startswith(complaint)
