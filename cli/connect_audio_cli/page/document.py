"""The HTML file: template, style and script are files of this package, joined without a build step.

A policy in the file (CSP) allows its own script and style by their hashes, and nothing else. Texts of a call stand in
JSON, which the script shows as text nodes. So no name, reason or word of a call is ever run or loaded.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from typing import IO, Any, Final

SCRIPTS: Final = ("time.js", "call.js", "sound.js", "waves.js", "transcript.js", "player.js")
"""In the order in which they stand on the page."""
_PIECE_BYTES: Final = 3 << 16
"""Bytes that become base64 at a time: a multiple of three, so that the pieces join without padding."""

type Write = Callable[[bytes], object]


@cache
def asset(name: str) -> str:
    """The text of a file of the package."""
    return files("connect_audio_cli.page").joinpath("assets", name).read_text("utf-8")


def script_of(names: tuple[str, ...]) -> str:
    """Scripts joined into one, whose names are its own."""
    return "(() => {\n" + "\n".join(asset(name) for name in names) + "\n})();"


def sha256_source(text: str) -> str:
    """Name of a script or a style in a policy."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def json_text(data: Mapping[str, Any]) -> str:
    """JSON that may stand in a script element: no text in it can end the element."""
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def write_page(write: Write, call: Mapping[str, Any], *, title: str, media: str, audio: IO[bytes] | None) -> None:
    """Write the page of a call.

    Args:
        write: takes the next bytes of the file.
        call: facts of the call, as `call_facts` gives them.
        title: title of the page.
        media: sources that the policy allows for audio.
        audio: audio to embed, read in pieces; None for none.
    """
    style, script = asset("page.css"), script_of(SCRIPTS)
    policy = (
        f"default-src 'none'; script-src {sha256_source(script)}; style-src {sha256_source(style)}; "
        f"media-src {media}; img-src data:; base-uri 'none'; form-action 'none'"
    )
    texts = {
        "policy": policy,
        "version": version("connect-audio-consumer"),
        "title": html.escape(title),
        "style": style,
        "script": script,
        "back": "",
    }
    for number, part in enumerate(re.split(r"\{\{(\w+)\}\}", asset("page.html"))):
        if number % 2 == 0:
            write(part.encode())
        elif part == "audio":
            for piece in _base64(audio):
                write(piece)
        elif part == "call":
            write(json_text(call).encode())
        else:
            write(texts[part].encode())


def _base64(file: IO[bytes] | None) -> Iterator[bytes]:
    while file is not None and (data := file.read(_PIECE_BYTES)):
        yield base64.b64encode(data)
