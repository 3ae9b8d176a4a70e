"""A sink of words as the tests make it."""

from __future__ import annotations

from typing import Any

from connect_audio.adapters.system_clock import SystemClock
from connect_audio.words.page_store import PageStore
from connect_audio.words.recognizer import Recognizer
from connect_audio.words.words_sink import WordsSink
from support.live_sinks import LOGGER


def words_sink(recognizer: Recognizer, store: PageStore, **options: Any) -> WordsSink:
    """Make a sink of one call's words, in a language that the recognizer does not know.

    Args:
        recognizer: opens the sessions.
        store: keeps the pages.
        options: the sink's policy or listener.
    """
    return WordsSink(
        recognizer,
        store,
        contact_id="contact",
        recording="call.wav",
        language=None,
        logger=LOGGER,
        clock=SystemClock(),
        **options,
    )
