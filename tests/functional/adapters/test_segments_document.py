"""The code and the samples of `docs/live-segments.md` are what really happens."""

from __future__ import annotations

import re
import wave
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

import audioop
import boto3
import pytest

from connect_audio.adapters.sinks.segment_bucket import SEGMENT_S3_CONFIG, SegmentBucket, segments_prefix
from connect_audio.core.pcm import interleave
from connect_audio_local.synthesis.speech import two_party_conversation
from support.segment_calls import AGENT, CUSTOMER, RECORDING, Call, MemorySegmentStore, deliver_all, noisy_call, sink_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mypy_boto3_s3 import S3Client

DOCUMENT: Final = (Path(__file__).parents[3] / "docs" / "live-segments.md").read_text("utf-8")
PREFIX: Final = segments_prefix(RECORDING.removeprefix("s3://recordings/"))


def block(language: str, containing: str) -> str:
    (found,) = [
        text
        for text in re.findall(rf"^```{language}\n(.*?)^```$", DOCUMENT, re.MULTILINE | re.DOTALL)
        if containing in text
    ]
    return str(found)


def test_the_samples_of_head_and_page_are_real() -> None:
    speech = two_party_conversation(6)
    call, store = Call({CUSTOMER: speech.customer[:72_000], AGENT: speech.agent[:72_000]}), MemorySegmentStore()
    sink = sink_of(store)
    deliver_all(sink, [call.segment(number) for number in (0, 1, 3, 4)])
    sink.end(call.end)
    assert block("json", '"state"').encode() == store.files["index.json"]
    assert block("json", '"page"').encode() == store.files["index-00000.json"]


def test_the_folder_in_the_document_is_where_segments_lie() -> None:
    assert "calls/2026/01/02/<contact id>_20260102T030405.678Z.segments/index.json " in DOCUMENT
    assert re.fullmatch(r"calls/2026/01/02/[0-9a-f-]+_20260102T030405\.678Z\.segments/", PREFIX)


@dataclass
class Turns:
    """What happens while the reader sleeps: one turn each time."""

    turns: Iterator[Callable[[], None]]

    def sleep(self, seconds: float) -> None:
        assert seconds == 1
        next(self.turns)()


@pytest.mark.parametrize("rate", [None, 16_000])
def test_the_code_follows_a_live_call_and_joins_its_segments(
    moto_server: str, bucket: str, s3_client: S3Client, tmp_path: Path, rate: int | None
) -> None:
    call = noisy_call(5.5)
    client = boto3.client("s3", endpoint_url=moto_server, config=SEGMENT_S3_CONFIG)
    sink = sink_of(SegmentBucket(bucket, PREFIX, client=client), rate=rate)
    sink.deliver_segment(call.segment(0))
    turns: list[Callable[[], None]] = [
        lambda: sink.deliver_segment(call.segment(1)),
        lambda: None,
        lambda: deliver_all(sink, [call.segment(3), call.segment(4)]),
        lambda: sink.deliver_segment(call.segment(5)),
        lambda: sink.end(call.end),
    ]
    names: dict[str, Any] = {}
    exec(compile(block("python", "def follow"), "live-segments.md", "exec"), names)  # noqa: S102 - our own document's
    names["time"] = SimpleNamespace(sleep=Turns(iter(turns)).sleep)
    names["follow"](s3_client, bucket, PREFIX, str(tmp_path / "joined.wav"))
    sink.close()
    with wave.open(str(tmp_path / "joined.wav")) as joined:
        assert (joined.getnchannels(), joined.getframerate()) == (2, rate or 8_000)
        assert joined.getnframes() == call.frames * joined.getframerate() // 8_000
        heard = joined.readframes(joined.getnframes())
    expected = {
        party: samples if rate is None else audioop.ratecv(b"\0\0" + samples, 2, 1, 8_000, rate, None)[0][2:]
        for party, samples in call.samples.items()
    }
    second = 4 * (rate or 8_000)
    whole = interleave(expected[CUSTOMER], expected[AGENT])
    assert heard == whole[: 2 * second] + bytes(second) + whole[3 * second :]


def test_the_figures_of_what_a_page_weighs_are_right() -> None:
    # At one sample a second, so the entries lack the three zeros of `frames`.
    store, call = MemorySegmentStore(), noisy_call(600, rate=1)
    sizes = []
    sink = sink_of(store)
    for segment in call.segments():
        sink.deliver_segment(segment)
        sizes.append(len(store.files["index-00000.json"]))
    assert sizes[-1] + 3 * 600 == pytest.approx(106_000, rel=0.03)
    assert sum(sizes) / 600 == pytest.approx(53_000, rel=0.03)
    assert sum(sizes) == pytest.approx(32_000_000, rel=0.03)
    assert 6 * sum(sizes) == pytest.approx(190_000_000, rel=0.03)
    for figure in ("some 106 kB", "53 kB of index", "32 MB a page, 190 MB an hour"):
        assert figure in DOCUMENT
