"""A picture as PNG, drawn by Pillow from the extra `formats`."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO, Final

from PIL import Image, ImageDraw, ImageFont

from connect_audio_cli.pictures.layout import LANE_COLUMNS, LEFT, Box, Picture, Role, Wave, Words

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

COLORS: Final[dict[Role, str]] = {
    "background": "#ffffff",
    "lane": "#f3f5f8",
    "customer": "#1f6feb",
    "agent": "#1a7f37",
    "mixed": "#57606a",
    "gap": "#cf222e",
    "pause": "#9a6700",
    "axis": "#8c959f",
    "text": "#1f2328",
}
_ANCHORS: Final = {"start": "ls", "middle": "ms", "end": "rs"}
_HATCH_PIXELS: Final = 12


def write_png(picture: Picture, target: BinaryIO, *, lanes: list[NDArray[np.uint8]] | None = None) -> None:
    """Draw the picture.

    Args:
        picture: the shapes.
        target: an open binary file.
        lanes: the content of each lane, an array of height, columns and red, green, blue; None for nothing.
    """
    image = Image.new("RGB", (picture.width, picture.height), COLORS["background"])
    draw = ImageDraw.Draw(image)
    # Gaps and words lie over what fills the lanes.
    for lower in picture.shapes:
        if isinstance(lower, Box) and not lower.title:
            draw.rectangle(_corners(lower), fill=COLORS[lower.role])
        elif isinstance(lower, Wave):
            _wave(draw, lower)
    for top, pixels in zip(picture.lane_tops, lanes or (), strict=False):
        image.paste(Image.fromarray(pixels).resize((LANE_COLUMNS, picture.lane_height)), (LEFT, top))
    for shape in picture.shapes:
        if isinstance(shape, Words):
            font = ImageFont.load_default(shape.size)
            draw.text((shape.x, shape.y), shape.text, fill=COLORS[shape.role], font=font, anchor=_ANCHORS[shape.anchor])
        elif isinstance(shape, Box) and shape.title:
            _hatched(image, shape)
    image.save(target, "PNG")


def _corners(box: Box) -> tuple[float, float, float, float]:
    return (box.x, box.y, box.x + max(box.width, 1) - 1, box.y + max(box.height, 1) - 1)


def _wave(draw: ImageDraw.ImageDraw, wave: Wave) -> None:
    width = wave.width / len(wave.columns)
    for index, (low, high) in enumerate(wave.columns):
        left = wave.x + index * width
        above = wave.middle - wave.half * max(high, 0) / 32768
        below = wave.middle - wave.half * min(low, 0) / 32768
        draw.rectangle((left, above, left + max(width, 1) - 1, below), fill=COLORS[wave.role])


def _hatched(image: Image.Image, box: Box) -> None:
    """Draw a gap: a pale ground, stripes and a border on either side."""
    left, top, right, bottom = (round(each) for each in _corners(box))
    size = (right - left + 1, bottom - top + 1)
    color = COLORS[box.role]
    shade = Image.new("L", size, 40)
    stripes = ImageDraw.Draw(shade)
    for offset in range(-size[1], size[0], _HATCH_PIXELS):
        stripes.line((offset, size[1], offset + size[1], 0), fill=200, width=2)
    stripes.line((0, 0, 0, size[1]), fill=255)
    stripes.line((size[0] - 1, 0, size[0] - 1, size[1]), fill=255)
    image.paste(Image.new("RGB", size, color), (left, top), shade)
