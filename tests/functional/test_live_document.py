"""docs/live.md: its sink of one's own, installed as a distribution, hears a call from the Connect event on."""

from __future__ import annotations

import json
import re
import sys
import tomllib
from pathlib import Path

import pytest

from connect_audio_local.kvs.model import Delivery, Live
from support.calls import capture_of
from support.command import run_here
from support.wav import same_wav, wav_of_call
from support.whole_path import a_call, cloud_of, event_for, record, serve

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "live.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    found = re.search(rf"^```{language}\n(.*?)^```$", DOCUMENT, re.MULTILINE | re.DOTALL)
    assert found, f"docs/live.md has no example in {language}"
    return found[1]


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the document's module and its entry points where a wheel's would be."""
    (tmp_path / "speech_meter.py").write_text(block("python"), encoding="utf-8")
    entry_points = tomllib.loads(block("toml"))["project"]["entry-points"]
    info = tmp_path / "speech_meter-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: speech-meter\nVersion: 1.0\n", encoding="utf-8")
    lines = [
        f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in entries.items())
        for group, entries in entry_points.items()
    ]
    (info / "entry_points.txt").write_text("\n".join(lines), encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "speech_meter", raising=False)


@pytest.mark.usefixtures("installed")
def test_the_documented_sink_is_found_by_its_entry_point_and_measures_the_call(
    moto_server: str, tmp_path: Path
) -> None:
    lines = tmp_path / "speech.jsonl"
    options = json.dumps({"speech_meter_file": str(lines)})
    call = a_call(20)
    with cloud_of(moto_server, LIVE_SINKS="speech-meter", LIVE_SINK_OPTIONS=options) as cloud:
        stream = serve(cloud, call, pace=Live(10.0), delivery=Delivery.BLOCK)
        found = record(cloud, event_for(stream.arn))
    assert found.wav is not None
    assert same_wav(found.wav, wav_of_call(call))
    (told,) = [json.loads(line) for line in lines.read_text(encoding="utf-8").splitlines()]
    assert told.pop("contact") == call.contact_id
    # The conversation's parties take turns, each for less than half of it.
    assert set(told) == {"customer", "agent"}
    assert all(5 < seconds < 12 for seconds in told.values()), told


@pytest.mark.usefixtures("installed")
def test_replay_feeds_the_documented_sink(tmp_path: Path) -> None:
    lines = tmp_path / "speech.jsonl"
    call = a_call(20)
    capture = tmp_path / "call.mkv"
    capture.write_bytes(capture_of(call))

    done = run_here(
        *("replay", capture, "--output", tmp_path / "out"),
        *("--sink", "speech-meter", "--sink-option", f"speech_meter_file={lines}"),
    )

    assert (done.code, done.err) == (0, "")
    (told,) = [json.loads(line) for line in lines.read_text(encoding="utf-8").splitlines()]
    assert told.pop("contact") == call.contact_id
    # As fast as possible, blocks come joined: a block with any speech counts in full.
    assert all(5 < seconds < 16 for seconds in told.values()), told
    assert re.search(r"^Speech-meter +speech_meter\.\w+: \d+ (block|segment)s, ", done.out, re.MULTILINE), done.out
