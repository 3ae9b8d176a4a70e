"""Boxes, arrows and labels as SVG, for the pictures of the documents (`pictures.py`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Final

_LINE_HEIGHT: Final = 17
_CHARACTER: Final = 6.9
"""Width of a character of the text, px: a little more than the mean of common fonts, so that no text leaves its box."""
_FILLS: Final = {
    "ours": ("#dbeafe", "#1f6feb"),
    "aws": ("#fff3d6", "#b7791f"),
    "result": ("#dcfce7", "#1a7f37"),
    "bad": ("#ffe2e0", "#cf222e"),
    "plain": ("#f6f8fa", "#8c959f"),
}
"""Fill and border of each kind of box."""


@dataclass(frozen=True, slots=True)
class Box:
    """A box with lines of text, the first of them bold.

    Args:
        x: left edge, px.
        y: top edge, px.
        width: px.
        lines: the text; an empty first line makes all lines plain.
        kind: a key of the colours.
    """

    x: int
    y: int
    width: int
    lines: tuple[str, ...]
    kind: str = "ours"

    @property
    def height(self) -> int:
        """Height, px: that of the lines and the margins."""
        return _LINE_HEIGHT * len([line for line in self.lines if line]) + 16

    @property
    def left(self) -> tuple[int, int]:
        """Middle of the left edge."""
        return self.x, self.y + self.height // 2

    @property
    def right(self) -> tuple[int, int]:
        """Middle of the right edge."""
        return self.x + self.width, self.y + self.height // 2

    @property
    def top(self) -> tuple[int, int]:
        """Middle of the upper edge."""
        return self.x + self.width // 2, self.y

    @property
    def bottom(self) -> tuple[int, int]:
        """Middle of the lower edge."""
        return self.x + self.width // 2, self.y + self.height


@dataclass(slots=True)
class Drawing:
    """A picture under way.

    Args:
        width: px.
        height: px.
        description: the picture in words, for those who do not see it.
    """

    width: int
    height: int
    description: str
    parts: list[str] = field(default_factory=list)

    def box(self, x: int, y: int, width: int, *lines: str, kind: str = "ours") -> Box:
        """Draw a box.

        Raises:
            ValueError: a line does not fit, or the box leaves the picture.
        """
        box = Box(x, y, width, lines, kind)
        for line in lines:
            if len(line) * _CHARACTER > width - 12:
                raise ValueError(f"{line!r} is wider than its box of {width} px")
        if x < 0 or y < 0 or x + width > self.width or y + box.height > self.height:
            raise ValueError(f"the box {lines[0]!r} leaves the picture")
        fill, stroke = _FILLS[kind]
        self.parts.append(
            f'<rect x="{x}" y="{y}" width="{width}" height="{box.height}" rx="6" fill="{fill}" stroke="{stroke}"/>'
        )
        middle = x + width / 2
        shown = [line for line in lines if line]
        for number, line in enumerate(shown):
            weight = ' font-weight="600"' if number == 0 and lines[0] else ""
            place = f'x="{middle:g}" y="{y + 21 + number * _LINE_HEIGHT}"'
            self.parts.append(f'<text {place} text-anchor="middle"{weight}>{escape(line)}</text>')
        return box

    def frame(self, x: int, y: int, width: int, height: int, title: str) -> None:
        """Draw a dashed frame around what belongs together."""
        self.parts.append(
            f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="8" fill="none" stroke="#8c959f" '
            'stroke-dasharray="5 4"/>'
        )
        self.text(x + 10, y + 18, title, weak=True)

    def arrow(
        self, *points: tuple[int, int], label: str = "", at: tuple[int, int] | None = None, dashed: bool = False
    ) -> None:
        """Draw an arrow through some points, with a label.

        Args:
            points: from the tail to the head.
            label: text beside it.
            at: where the label begins; by default above the middle of the first stretch.
            dashed: True for what happens only sometimes.
        """
        path = " L".join(f"{x} {y}" for x, y in points)
        dash = ' stroke-dasharray="5 4"' if dashed else ""
        self.parts.append(
            f'<path d="M{path}" fill="none" stroke="#57606a" stroke-width="1.5"{dash} marker-end="url(#head)"/>'
        )
        if label:
            (x1, y1), (x2, y2) = points[:2]
            if at is None:
                self.text((x1 + x2) // 2, (y1 + y2) // 2 - 6, label, weak=True, middle=True)
            else:
                self.text(*at, label, weak=True)

    def text(self, x: int, y: int, text: str, *, weak: bool = False, middle: bool = False) -> None:
        """Write a line of text; a weak one is grey."""
        anchor = ' text-anchor="middle"' if middle else ""
        colour = ' fill="#57606a"' if weak else ""
        self.parts.append(f'<text x="{x}" y="{y}"{anchor}{colour}>{escape(text)}</text>')

    def svg(self) -> str:
        """The picture as an SVG document."""
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}" '
            f'width="{self.width}" height="{self.height}" font-family="system-ui,sans-serif" font-size="13" '
            f'fill="#1f2328" role="img" aria-label="{escape(self.description)}">'
        )
        arrow_head = (
            '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" '
            'orient="auto"><path d="M0 0L8 4L0 8z" fill="#57606a"/></marker></defs>'
        )
        ground = f'<rect width="{self.width}" height="{self.height}" rx="8" fill="#fff"/>'
        return "\n".join([head, arrow_head, ground, *self.parts, "</svg>\n"])


def column(
    drawing: Drawing, x: int, y: int, width: int, texts: Sequence[tuple[str, ...]], *, kind: str, gap: int
) -> list[Box]:
    """Draw boxes below each other."""
    boxes: list[Box] = []
    for lines in texts:
        boxes.append(drawing.box(x, y, width, *lines, kind=kind))
        y += boxes[-1].height + gap
    return boxes
