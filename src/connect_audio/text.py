"""Texts for people: what comes out of captures, and numbers with their nouns."""

from __future__ import annotations


def printable(text: str, limit: int = 300) -> str:
    """Return one line that cannot steer a terminal.

    Args:
        text: any text, for example a tag of a capture.
        limit: characters that are kept; a longer text ends with an ellipsis.

    Returns:
        The text with its control characters spelt out.
    """
    shown = "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in text[: limit + 1]
    )
    return shown if len(text) <= limit else f"{shown[:limit]}…"


def counted(number: int, noun: str) -> str:
    """Return a number and its noun, in the plural where it must be: `1 fragment`, `2 fragments`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
