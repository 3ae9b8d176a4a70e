"""The places of lanes, gaps, time axis and words in a picture, as plain shapes that SVG and PNG both draw.

A picture has a lane a party, both over one time axis. Gaps are hatched regions with their cause.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Literal

from connect_audio.core.pcm import Party
from connect_audio_cli.output.formatting import count, duration
from connect_audio_cli.pictures.waveform import Extremes
from connect_audio_cli.recordings.encoding import Channels
from connect_audio_cli.recordings.gaps import CallGap, GapCause, gaps_of


class PictureFormat(StrEnum):
    """A format of pictures; its value is the ending of its files."""

    SVG = "svg"
    PNG = "png"


WIDTH: Final = 1600
LEFT: Final = 80
RIGHT: Final = 24
LANE_COLUMNS: Final = WIDTH - LEFT - RIGHT
"""Columns of a lane: its width in pixels."""
LANE_HEIGHT: Final = 180
SPECTRUM_HEIGHT: Final = 256
_TOP: Final = 56
_SPACE: Final = 20
_AXIS: Final = 40
_LEAST_GAP_PIXELS: Final = 2.0
"""Width at which a gap is drawn even if its time is shorter, so that the eye finds it."""
_MOST_TICKS: Final = 12
_STEPS_S: Final = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800)

type Role = Literal["background", "lane", "customer", "agent", "mixed", "gap", "pause", "axis", "text"]
"""The meaning of a shape; the drawing gives it its color."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A filled rectangle, in pixels from the upper left corner.

    Args:
        x: the left side.
        y: the upper side.
        width: the width.
        height: the height.
        role: the meaning.
        title: words for a pointer and a screen reader; empty for none.
    """

    x: float
    y: float
    width: float
    height: float
    role: Role
    title: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wave:
    """A waveform, one column of a pixel after the other from `x` on.

    Args:
        x: the first column.
        width: the width, pixels; wider than its columns if the call has fewer samples.
        middle: height of the zero line.
        half: height of full scale above the zero line.
        columns: the extremes.
        role: the meaning.
    """

    x: float
    width: float
    middle: float
    half: float
    columns: Sequence[Extremes]
    role: Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """A line of text.

    Args:
        x: its anchor.
        y: the base line.
        text: the text.
        anchor: which part of the text is at `x`.
        size: height of the letters, pixels.
        role: the meaning.
    """

    x: float
    y: float
    text: str
    anchor: Literal["start", "middle", "end"] = "start"
    size: int = 15
    role: Role = "text"


type Shape = Box | Wave | Words


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A picture.

    Args:
        width: pixels.
        height: pixels.
        title: the call in one line.
        description: the picture in a sentence, for a reader who does not see it.
        shapes: the shapes, the lowest first.
        lane_tops: upper side of each lane, pixels.
        lane_height: height of a lane, pixels.
    """

    width: int
    height: int
    title: str
    description: str
    shapes: tuple[Shape, ...]
    lane_tops: tuple[int, ...]
    lane_height: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """The call that a picture shows.

    Args:
        name: name of the recording.
        rate: samples a second.
        frames: length of the call.
        manifest: the manifest; None where there is none.
        lanes: the lanes, each of one channel.
    """

    name: str
    rate: int
    frames: int
    manifest: Mapping[str, Any] | None
    lanes: tuple[Channels, ...]

    @property
    def seconds(self) -> float:
        """Length of the call, s."""
        return self.frames / self.rate


def lanes_of(channels: Channels) -> tuple[Channels, ...]:
    """Return the lanes of a picture: both parties apart, or the one channel."""
    return (Channels.CUSTOMER, Channels.AGENT) if channels is Channels.BOTH else (channels,)


def lay_out(subject: Subject, waves: Sequence[Sequence[Extremes]] = (), *, lane_height: int = LANE_HEIGHT) -> Picture:
    """Lay a picture out.

    Args:
        subject: the call.
        waves: the extremes of each lane; empty for lanes that something else fills.
        lane_height: height of a lane, pixels.
    """
    tops = tuple(_TOP + index * (lane_height + _SPACE) for index in range(len(subject.lanes)))
    bottom = tops[-1] + lane_height
    height = bottom + _AXIS
    gaps = [] if subject.manifest is None else gaps_of(subject.manifest)
    shapes: list[Shape] = [Box(x=0, y=0, width=WIDTH, height=height, role="background")]
    title = _title(subject)
    shapes.append(Words(x=LEFT, y=34, text=title, size=20))
    for index, (lane, top) in enumerate(zip(subject.lanes, tops, strict=True)):
        shapes.append(Box(x=LEFT, y=top, width=LANE_COLUMNS, height=lane_height, role="lane"))
        if waves:
            middle = top + lane_height / 2
            role = _lane_role(lane)
            shapes.append(Box(x=LEFT, y=middle - 0.5, width=LANE_COLUMNS, height=1, role=role))
            shapes.append(
                Wave(
                    x=LEFT,
                    width=LANE_COLUMNS,
                    middle=middle,
                    half=lane_height / 2,
                    columns=waves[index],
                    role=role,
                )
            )
        else:
            shapes += _frequencies(subject.rate, top, lane_height)
        shapes.append(Words(x=LEFT - 10, y=top + lane_height / 2 + 5, text=lane.value.capitalize(), anchor="end"))
        shapes += _gap_boxes(gaps, lane, top, lane_height, subject)
    shapes += _axis(subject, bottom)
    return Picture(
        width=WIDTH,
        height=height,
        title=title,
        description=_description(subject, gaps),
        shapes=tuple(shapes),
        lane_tops=tops,
        lane_height=lane_height,
    )


def _title(subject: Subject) -> str:
    manifest = subject.manifest
    if manifest is None:
        return f"{subject.name}: {duration(subject.seconds)}"
    start = manifest["recording"].get("startTime") or "at an unknown time"
    return f"{manifest['contactId']}, {start}, {duration(subject.seconds)}: {manifest['status']}"


def _description(subject: Subject, gaps: Sequence[CallGap]) -> str:
    shown = " and ".join(lane.value for lane in subject.lanes)
    if subject.manifest is None:
        return f"{shown} over time; no manifest lies beside the recording, so gaps are not marked"
    listed = "; ".join(f"{clock(gap.start_s)} {duration(gap.seconds)}, {gap.described}" for gap in gaps[:20])
    return f"{shown} over time, with {count(len(gaps), 'gap')}" + (f": {listed}" if listed else "")


def _gap_boxes(
    gaps: Sequence[CallGap], lane: Channels, top: int, lane_height: int, subject: Subject
) -> Iterator[Shape]:
    for gap in gaps:
        # In the mixed lane only a gap of both parties is silent.
        shown = len(gap.parties) == len(Party) if lane is Channels.MIXED else Party(lane.value) in gap.parties
        if not shown:
            continue
        width = max(gap.frames / subject.frames * LANE_COLUMNS, _LEAST_GAP_PIXELS)
        yield Box(
            x=LEFT + gap.start_frame / subject.frames * LANE_COLUMNS,
            y=top,
            width=width,
            height=lane_height,
            role="gap" if gap.cause in (GapCause.MISSING, GapCause.PERHAPS_MISSING) else "pause",
            title=f"{clock(gap.start_s)}, {duration(gap.seconds)}: {gap.described}",
        )


def _frequencies(rate: int, top: int, lane_height: int) -> Iterator[Shape]:
    """Name the frequencies at the upper and the lower side of a spectrogram."""
    yield Words(x=LEFT - 10, y=top + 12, text=f"{rate / 2000:g} kHz", anchor="end", size=13)
    yield Words(x=LEFT - 10, y=top + lane_height, text="0 Hz", anchor="end", size=13)


def _axis(subject: Subject, bottom: int) -> Iterator[Shape]:
    seconds = subject.seconds
    step = next((each for each in _STEPS_S if seconds / each <= _MOST_TICKS), _STEPS_S[-1])
    for tick in range(math.floor(seconds / step) + 1):
        x = LEFT + tick * step / seconds * LANE_COLUMNS
        yield Box(x=x - 0.5, y=bottom, width=1, height=6, role="axis")
        yield Words(x=x, y=bottom + 24, text=clock(tick * step, tenths=step < 1), anchor="middle", size=13)


def clock(seconds: float, *, tenths: bool = False) -> str:
    """A position in a call: `1:05`, `1:00:05`, with tenths of a second if wanted."""
    whole = math.floor(seconds)
    text = (
        f"{whole // 60}:{whole % 60:02}" if whole < 3600 else f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"
    )
    return f"{text}.{math.floor(seconds * 10 + 1e-6) % 10}" if tenths else text


def _lane_role(lane: Channels) -> Role:
    if lane is Channels.CUSTOMER:
        return "customer"
    return "agent" if lane is Channels.AGENT else "mixed"
