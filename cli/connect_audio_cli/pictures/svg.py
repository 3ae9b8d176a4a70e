"""A picture as SVG, without any package: sharp at every size, with the cause of a gap under the pointer."""

from __future__ import annotations

from typing import Final
from xml.sax.saxutils import escape

from connect_audio_cli.pictures.layout import Box, Picture, Shape, Wave, Words

_STYLE: Final = """\
svg{--background:#fff;--lane:#f3f5f8;--customer:#1f6feb;--agent:#1a7f37;--mixed:#57606a;--gap:#cf222e;--pause:#9a6700;\
--axis:#8c959f;--text:#1f2328;font-family:system-ui,sans-serif}
@media (prefers-color-scheme:dark){svg{--background:#0d1117;--lane:#161b22;--customer:#58a6ff;--agent:#3fb950;\
--mixed:#8b949e;--gap:#ff7b72;--pause:#d29922;--axis:#6e7681;--text:#e6edf3}}
"""
_HATCH: Final = """\
<pattern id="{role}" width="8" height="8" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">\
<rect width="8" height="8" fill="var(--{role})" fill-opacity=".15"/>\
<rect width="2" height="8" fill="var(--{role})" fill-opacity=".8"/></pattern>"""
_HATCHED: Final = ("gap", "pause")


def svg(picture: Picture) -> bytes:
    """Return the picture as an SVG document."""
    size = f'viewBox="0 0 {picture.width} {picture.height}" width="{picture.width}" height="{picture.height}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-labelledby="title description">',
        f'<title id="title">{escape(picture.title)}</title>',
        f'<desc id="description">{escape(picture.description)}</desc>',
        f"<style>{_STYLE}</style>",
        "<defs>" + "".join(_HATCH.format(role=role) for role in _HATCHED) + "</defs>",
        *map(_element, picture.shapes),
        "</svg>",
    ]
    return "\n".join(lines).encode() + b"\n"


def _element(shape: Shape) -> str:
    match shape:
        case Box():
            fill = f"url(#{shape.role})" if shape.role in _HATCHED else f"var(--{shape.role})"
            title = f"<title>{escape(shape.title)}</title>" if shape.title else ""
            return (
                f'<rect x="{shape.x:.2f}" y="{shape.y:.2f}" width="{shape.width:.2f}" height="{shape.height:.2f}" '
                f'fill="{fill}">{title}</rect>'
            )
        case Words():
            return (
                f'<text x="{shape.x:.2f}" y="{shape.y:.2f}" font-size="{shape.size}" text-anchor="{shape.anchor}" '
                f'fill="var(--{shape.role})">{escape(shape.text)}</text>'
            )
        case Wave():
            return f'<path d="{_outline(shape)}" fill="var(--{shape.role})"/>'


def _outline(wave: Wave) -> str:
    """The upper border from left to right, then the lower one back."""
    width = wave.width / len(wave.columns)
    upper, lower = [], []
    for index, (low, high) in enumerate(wave.columns):
        left, right = wave.x + index * width, wave.x + (index + 1) * width
        above = wave.middle - wave.half * max(high, 0) / 32768
        below = wave.middle - wave.half * min(low, 0) / 32768
        upper.append(f"{left:.1f},{above:.1f} {right:.1f},{above:.1f}")
        lower.append(f"{right:.1f},{below:.1f} {left:.1f},{below:.1f}")
    return f"M{' '.join(upper)} {' '.join(reversed(lower))}Z"
