"""HTML files: template, style and scripts are files of the package, joined without a build step.

A policy in each file (CSP) allows its own script and style by their hashes. Texts of a call stand in JSON, which the
script shows as text nodes. So no name, reason or word of a call is ever run or loaded.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from typing import IO, Any, Final

SCRIPTS: Final = tuple(f"page/assets/{name}.js" for name in ("time", "call", "sound", "waves", "transcript", "player"))
"""Scripts of a call's page, in the order in which they stand there."""
_STYLE: Final = "page/assets/page.css"
_PIECE_BYTES: Final = 3 << 16
"""Bytes that become base64 at a time: a multiple of three, so that the pieces join without padding."""
_BACK: Final = '<p><a href="/">← All recordings</a></p>'

type Write = Callable[[bytes], object]


def write_page(
    write: Write,
    call: Mapping[str, Any],
    *,
    title: str,
    media: str,
    audio: IO[bytes] | None,
    is_served: bool = False,
) -> None:
    """Write the page of a call.

    Args:
        write: takes the next bytes of the file.
        call: facts of the call, as `call_facts` gives them.
        title: title of the page.
        media: sources that the policy allows for audio.
        audio: audio to embed, read in pieces; None for none.
        is_served: True for a page of `serve`, which leads back to the list.
    """
    _write(
        write,
        asset("page/assets/page.html"),
        scripts=SCRIPTS,
        policy=f"media-src {media}",
        texts={"title": html.escape(title), "back": _BACK if is_served else ""},
        pieces={"audio": lambda: _base64(audio), "call": lambda: iter([json_text(call).encode()])},
    )


def write_view(write: Write, template: str, scripts: Sequence[str], data: Mapping[str, Any], title: str) -> None:
    """Write a page of `serve` that fetches its contents from there.

    Args:
        write: takes the next bytes.
        template: its template, a file of the package.
        scripts: its scripts, files of the package.
        data: facts for its script.
        title: its title.
    """
    _write(
        write,
        asset(template),
        scripts=scripts,
        policy="media-src 'self' blob:; connect-src 'self'",
        texts={"title": html.escape(title)},
        pieces={"data": lambda: iter([json_text(data).encode()])},
    )


@cache
def asset(path: str) -> str:
    """The text of a file of the package."""
    return files("connect_audio_cli").joinpath(path).read_text("utf-8")


def json_text(data: Mapping[str, Any]) -> str:
    """JSON that may stand in a script element: no text in it can end the element."""
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _write(
    write: Write,
    template: str,
    *,
    scripts: Sequence[str],
    policy: str,
    texts: Mapping[str, str],
    pieces: Mapping[str, Callable[[], Iterator[bytes]]],
) -> None:
    """Fill a template: `{{name}}` stands for a text, or for bytes that come in pieces."""
    style = asset(_STYLE)
    script = "(() => {\n" + "\n".join(asset(path) for path in scripts) + "\n})();"
    filled = {
        **texts,
        "policy": f"default-src 'none'; script-src {_source(script)}; style-src {_source(style)}; {policy}; "
        "img-src data:; base-uri 'none'; form-action 'none'",
        "style": style,
        "script": script,
        "version": version("connect-audio-consumer"),
    }
    for number, part in enumerate(re.split(r"\{\{(\w+)\}\}", template)):
        if number % 2 == 0:
            write(part.encode())
        elif part in pieces:
            for piece in pieces[part]():
                write(piece)
        else:
            write(filled[part].encode())


def _source(text: str) -> str:
    """Name of a script or a style in a policy."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _base64(file: IO[bytes] | None) -> Iterator[bytes]:
    while file is not None and (data := file.read(_PIECE_BYTES)):
        yield base64.b64encode(data)
