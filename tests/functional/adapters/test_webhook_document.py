"""What docs/webhook.md tells the builder of a receiver is so: its example, its headers, its codes; and its command."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest

from connect_audio.core.segment_wav import WavShape
from connect_audio.sinks import LiveEnd
from connect_audio_local.webhook.server import main
from support.webhook_sink import CONTACT, NEXT_SECRET, ORIGIN, RATE, SECRET, connected, segment, sink_to

ROOT: Final = Path(__file__).parents[3]
DOCUMENT: Final = (ROOT / "docs" / "webhook.md").read_text("utf-8")
SINKS: Final = ROOT / "src" / "connect_audio" / "adapters" / "sinks"


def code(language: str) -> str:
    (found,) = re.findall(rf"```{language}\n(.*?)```", DOCUMENT, re.DOTALL)
    return str(found)


def test_the_example_of_a_verification_believes_what_the_sink_sends_and_nothing_else() -> None:
    example: dict[str, Any] = {}
    exec(code("python"), example)  # noqa: S102 - our own document
    is_genuine = example["is_genuine"]
    with connected(shape=WavShape("tracks")) as (sink, receiver):
        sink.deliver_segment(segment(0))
        sink.end(LiveEnd(frames=RATE, origin=ORIGIN, rate=RATE))
    customer, agent, end = receiver.received
    for each in (customer, agent, end):
        headers = dict(each.headers)
        assert is_genuine(headers, each.body, [NEXT_SECRET, SECRET])
        assert not is_genuine(headers, each.body, [NEXT_SECRET])
        assert not is_genuine(headers, each.body + b".", [SECRET])
        assert not is_genuine(headers | {"connect-audio-contact-id": "another"}, each.body, [SECRET])
        assert not is_genuine(headers | {"connect-audio-timestamp": "1700000000"}, each.body, [SECRET])
        assert not is_genuine({}, each.body, [SECRET])
    assert not is_genuine(dict(customer.headers), agent.body, [SECRET])


def test_the_table_of_headers_is_what_is_sent() -> None:
    named = set(re.findall(r"^\| `((?:Connect-Audio|Idempotency)-[A-Za-z-]+)` \|", DOCUMENT, re.MULTILINE))
    with connected() as (sink, receiver):
        sink.deliver_segment(segment(0))
        sink.end(LiveEnd(frames=20_001, origin=ORIGIN, rate=RATE))
    first, end = receiver.received
    ours = re.compile("connect-audio-|idempotency-key")
    assert {name for name in first.headers if ours.match(name)} == {name.lower() for name in named}
    shown = json.loads(code("json"))
    assert json.loads(end.body) == shown
    of_the_end = {"contact-id", "event", "recording", "signature", "streaming-start", "timestamp", "url"}
    assert {name for name in end.headers if ours.match(name)} == {
        "idempotency-key",
        *(f"connect-audio-{name}" for name in of_the_end),
    }


def test_the_table_of_codes_is_what_the_sources_raise() -> None:
    named = set(re.findall(r"^\| `([A-Z_]+)(?:<status>)?` \|", DOCUMENT.partition("## When it fails")[2], re.MULTILINE))
    sources = "".join(
        path.read_text("utf-8") for path in (*SINKS.glob("webhook*.py"), *SINKS.parent.glob("endpoint/*.py"))
    )
    raised = set(re.findall(r'(?:SinkError|_failure)\(\s*f?"([A-Z_]+)', sources))
    assert named == raised


def test_the_command_tells_of_each_delivery_and_keeps_the_wavs(tmp_path: Path) -> None:
    environment = {**os.environ, "WEBHOOK_SIGNING_SECRET": SECRET.decode()}
    command = ["-m", "connect_audio_local.webhook", "--port", "0", "--output", str(tmp_path / "wavs")]
    with subprocess.Popen(
        [sys.executable, *command], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        first = re.fullmatch(r"listening at (\S+); the sender must trust (\S+)\n", process.stdout.readline())
        assert first is not None
        with closing(sink_to(first[1], Path(first[2]))) as sink:
            sink.deliver_segment(segment(3))
            sink.end(LiveEnd(frames=4 * RATE, origin=ORIGIN, rate=RATE))
        lines = [process.stdout.readline() for _ in range(2)]
        process.send_signal(signal.SIGINT)
        assert (process.wait(10), process.stderr.read()) == (0, "")
    assert lines == [
        f"{CONTACT}: segment 3 (stereo), 1.000 s from 2026-01-02T03:04:09.000Z, 32044 bytes\n",
        f"{CONTACT}: the call's live audio has ended\n",
    ]
    (wav,) = (tmp_path / "wavs").iterdir()
    assert (wav.name, wav.stat().st_size) == ("000003_stereo.wav", 32_044)
    assert not Path(first[2]).exists()


def test_without_a_secret_the_command_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("WEBHOOK_SIGNING_SECRET", raising=False)
    assert main([]) == 2
    assert capsys.readouterr().err == (
        "WEBHOOK_SIGNING_SECRET is not set; set it to the text that the sender signs with\n"
    )
