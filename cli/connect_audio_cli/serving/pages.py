"""The pages of `serve` beside a call's own: the list of recordings, and a call that is going on."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

from connect_audio_cli.page.document import write_view


def list_page(place: str) -> bytes:
    """Make the page with the list of recordings.

    Args:
        place: name of the folder or the bucket's prefix.
    """
    return _view(
        "serving/assets/list.html", ["page/assets/time.js", "serving/assets/list.js"], {"place": place}, "Recordings"
    )


def live_page(folder: str) -> bytes:
    """Make the page that follows a call.

    Args:
        folder: the folder of its segments.
    """
    scripts = ["page/assets/time.js", "serving/assets/live_sound.js", "serving/assets/live.js"]
    return _view("serving/assets/live.html", scripts, {"folder": folder}, "Live call")


def _view(template: str, scripts: Sequence[str], data: Mapping[str, Any], title: str) -> bytes:
    page = io.BytesIO()
    write_view(page.write, template, scripts, data, title)
    return page.getvalue()
