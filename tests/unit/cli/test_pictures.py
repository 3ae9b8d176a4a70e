"""Waveforms and spectrograms: the samples are drawn where they are, and gaps are marked with their cause."""

from __future__ import annotations

import io
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from connect_audio_cli.pictures.drawing import draw
from connect_audio_cli.pictures.layout import (
    LANE_COLUMNS,
    LEFT,
    WIDTH,
    Box,
    PictureFormat,
    Subject,
    clock,
    lanes_of,
    lay_out,
)
from connect_audio_cli.pictures.waveform import Extremes, extremes
from connect_audio_cli.recordings.encoding import Channels
from support.tones import stereo, tone

RATE = 8000
SVG = "{http://www.w3.org/2000/svg}"
BOTH = (Channels.CUSTOMER, Channels.AGENT)


def gap(track: str, start: int, frames: int) -> dict[str, Any]:
    return {
        "track": track,
        "startFrame": start,
        "frames": frames,
        "afterFragment": "1",
        "beforeFragment": "4",
        "missingFragments": 2,
    }


def manifest(frames: int, *gaps: dict[str, Any], contact_id: str = "a-contact") -> dict[str, Any]:
    return {
        "contactId": contact_id,
        "status": "partial",
        "recording": {"sampleRate": RATE, "frames": frames, "startTime": "2026-07-01T13:30:54.536Z"},
        "gaps": {"count": len(gaps), "listed": list(gaps)},
    }


def subject(frames: int, document: dict[str, Any] | None = None, channels: Channels = Channels.BOTH) -> Subject:
    return Subject(name="call.wav", rate=RATE, frames=frames, manifest=document, lanes=lanes_of(channels))


def drawn(
    samples: NDArray[np.int16],
    picture_format: PictureFormat,
    document: dict[str, Any] | None = None,
    *,
    spectrogram: bool = False,
    channels: Channels = Channels.BOTH,
) -> bytes:
    target = io.BytesIO()
    draw(
        subject(len(samples), document, channels),
        [samples.astype("<i2").tobytes()],
        target,
        picture_format=picture_format,
        spectrogram=spectrogram,
    )
    return target.getvalue()


def parsed(svg: bytes) -> ET.Element:
    return ET.fromstring(svg)  # noqa: S314 - the test made it


def pixels(png: bytes) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


@given(
    frames=st.integers(1, 500),
    columns=st.integers(1, 60),
    cuts=st.lists(st.integers(1, 499), max_size=10),
    seed=st.integers(0, 99),
)
def test_the_extremes_of_each_column_are_its_samples_in_any_cut(
    frames: int, columns: int, cuts: list[int], seed: int
) -> None:
    call = np.random.default_rng(seed).integers(-32768, 32767, (frames, 2), np.int16)
    borders = sorted({0, frames, *(cut for cut in cuts if cut < frames)})
    chunks = [call[start:stop].astype("<i2").tobytes() for start, stop in pairwise(borders)]

    found = extremes(chunks, frames=frames, columns=columns, lanes=BOTH)

    wanted = min(columns, frames)
    edges = [column * frames // wanted for column in range(wanted + 1)]
    for party in (0, 1):
        assert found[party] == [
            Extremes(int(call[start:stop, party].min()), int(call[start:stop, party].max()))
            for start, stop in pairwise(edges)
        ]


def test_an_svg_has_a_lane_a_party_a_time_axis_and_the_gaps_with_their_cause() -> None:
    call = stereo(10)
    document = manifest(len(call), gap("customer", 2 * RATE, RATE), gap("agent", 2 * RATE, 2 * RATE))

    root = parsed(drawn(call, PictureFormat.SVG, document))

    texts = [each.text for each in root.iter(f"{SVG}text")]
    assert texts[0] == "a-contact, 2026-07-01T13:30:54.536Z, 10.000 s: partial"
    assert {"Customer", "Agent", "0:00", "0:05", "0:10"} <= set(texts)
    assert len(list(root.iter(f"{SVG}path"))) == 2
    marked = [
        (
            each.find(f"{SVG}title").text,  # type: ignore[union-attr]
            round(float(each.attrib["x"])),
            round(float(each.attrib["width"])),
        )
        for each in root.iter(f"{SVG}rect")
        if each.find(f"{SVG}title") is not None
    ]
    second = LANE_COLUMNS / 10
    shared = ("0:02, 1.000 s: 2 fragments missing", round(LEFT + 2 * second), round(second))
    assert marked == [
        shared,
        shared,
        ("0:03, 1.000 s: only the agent is silent", round(LEFT + 3 * second), round(second)),
    ]
    assert "0:02 1.000 s, 2 fragments missing" in root.findtext(f"{SVG}desc", "")


def test_a_hostile_contact_id_stays_text() -> None:
    call = stereo(1)
    evil = '</title><script>alert(1)</script>"&'
    root = parsed(drawn(call, PictureFormat.SVG, manifest(len(call), contact_id=evil)))
    assert not list(root.iter(f"{SVG}script"))
    assert evil in root.findtext(f"{SVG}title", "")


def test_without_a_manifest_the_name_is_the_title_and_no_gap_is_marked() -> None:
    root = parsed(drawn(stereo(1), PictureFormat.SVG))
    assert root.findtext(f"{SVG}title") == "call.wav: 1.000 s"
    assert "no manifest" in root.findtext(f"{SVG}desc", "")


def test_a_png_shows_sound_and_gap_where_they_are() -> None:
    call = np.zeros((10 * RATE, 2), np.int16)
    call[5 * RATE : 6 * RATE, 0] = tone(400, 1, RATE, peak=30000)
    document = manifest(len(call), gap("agent", 0, 2 * RATE), gap("customer", 0, 2 * RATE))

    image = pixels(drawn(call, PictureFormat.PNG, document))
    picture = lay_out(subject(len(call), document))

    assert image.shape == (picture.height, WIDTH, 3)
    top = picture.lane_tops[0]
    second = LANE_COLUMNS / 10
    row = image[top + 10]  # high up in the customer's lane, where only loud sound is
    blue = (row == (0x1F, 0x6F, 0xEB)).all(axis=1)
    assert blue[round(LEFT + 5.1 * second) : round(LEFT + 5.9 * second)].all()
    assert not blue[: round(LEFT + 4.9 * second)].any()
    assert not blue[round(LEFT + 6.1 * second) :].any()
    for lane in picture.lane_tops:
        reddish = image[lane + 50, :, 0].astype(int) - image[lane + 50, :, 2] > 15
        assert reddish[LEFT + 2 : round(LEFT + 1.9 * second)].all()
        assert not reddish[round(LEFT + 2.1 * second) :].any()


@pytest.mark.parametrize("frequency", [500, 1000, 3000])
def test_a_spectrogram_is_brightest_at_the_tones_frequency_and_time(frequency: int) -> None:
    call = np.zeros((4 * RATE, 2), np.int16)
    call[2 * RATE :, 1] = tone(frequency, 2, RATE)

    image = pixels(drawn(call, PictureFormat.PNG, spectrogram=True)).sum(axis=2, dtype=int)
    picture = lay_out(subject(len(call)), lane_height=256)

    customer, agent = (image[top : top + 256, LEFT : LEFT + LANE_COLUMNS] for top in picture.lane_tops)
    assert (customer == customer.min()).all()
    assert (agent[:, : LANE_COLUMNS // 2 - 20] == customer.min()).all()
    brightest = np.argmax(agent[:, LANE_COLUMNS * 3 // 4])
    assert (255 - brightest) / 256 * RATE / 2 == pytest.approx(frequency, abs=RATE / 256)


def test_the_mixed_lane_marks_only_what_both_lack() -> None:
    call = stereo(10)
    document = manifest(len(call), gap("customer", 2 * RATE, RATE), gap("agent", 4 * RATE, RATE))
    root = parsed(drawn(call, PictureFormat.SVG, document, channels=Channels.MIXED))
    assert [each.text for each in root.iter(f"{SVG}text")][1] == "Mixed"
    assert not [each for each in root.iter(f"{SVG}rect") if each.find(f"{SVG}title") is not None]


def test_a_short_gap_of_a_long_call_is_wide_enough_to_be_seen() -> None:
    frames = 4 * 3600 * RATE
    document = manifest(frames, gap("customer", RATE, 200), gap("agent", RATE, 200))
    shapes = lay_out(subject(frames, document)).shapes
    assert [shape.width for shape in shapes if isinstance(shape, Box) and shape.title] == [2.0, 2.0]


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0, "0:00"), (59.99, "0:59"), (65, "1:05"), (3600, "1:00:00"), (3725.5, "1:02:05")]
)
def test_a_clock_shows_hours_only_where_there_are_any(seconds: float, shown: str) -> None:
    assert clock(seconds) == shown
