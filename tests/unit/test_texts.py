"""Texts for people."""

from __future__ import annotations

import pytest

from connect_audio.text import counted


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 fragments"), (1, "1 fragment"), (2, "2 fragments"), (11, "11 fragments")]
)
def test_a_noun_is_in_the_singular_behind_one_alone(number: int, text: str) -> None:
    assert counted(number, "fragment") == text
