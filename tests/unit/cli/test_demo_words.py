"""The spoken call of `demo --live --words`, and how its turns are compared."""

from __future__ import annotations

import sys
from io import BytesIO
from typing import Any

import pytest

from connect_audio.core.pcm import Party
from connect_audio.core.transcript import Turn
from connect_audio.core.word_pages import PAGE_TURNS, NumberedTurn, WordPage, WordsCall, WordState, encode_page
from connect_audio_cli.demo.words import WordsInBucket, recognizing, spoken_call
from connect_audio_cli.output.command_error import CommandError

CALL = WordsCall(contact_id="c", recording="s3://b/k.wav", engine="whisper", language=None, rate=8000)


class _Bucket:
    """The part of a client of S3 that reads pages."""

    class exceptions:  # noqa: N801 - boto3's name
        """Its errors."""

        class NoSuchKey(Exception):  # noqa: N818 - boto3's name
            """There is no such object."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    def get_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:  # noqa: N803 - boto3's names
        if (Bucket, Key) not in {("b", key) for key in self.objects}:
            raise self.exceptions.NoSuchKey
        return {"Body": BytesIO(self.objects[Key])}

    def write(self, number: int, *texts: str) -> None:
        """Write a page of turns, a second each."""
        turns = tuple(
            NumberedTurn(
                number=number * PAGE_TURNS + at,
                turn=Turn(party=Party.AGENT, start=at * CALL.rate, end=at * CALL.rate + 100, text=text),
            )
            for at, text in enumerate(texts)
        )
        page = WordPage(number=number, call=CALL, state=WordState(), turns=turns)
        self.objects[f"k.words/{number:05d}.json"] = encode_page(page)


def test_the_call_is_as_long_as_asked_for_and_cuts_no_phrase() -> None:
    for seconds in (1, 9, 30):
        call = spoken_call(seconds)
        assert len(call.conversation.customer) == len(call.conversation.agent) == seconds * 16_000
        assert len(call.phrases) == {1: 0, 9: 3, 30: 9}[seconds]
    assert [party for party, _ in call.phrases[:3]] == [Party.AGENT, Party.CUSTOMER, Party.AGENT]


def test_each_turn_is_shown_once_over_all_pages() -> None:
    bucket, words = _Bucket(), WordsInBucket([(Party.AGENT, "one"), (Party.AGENT, "two")])

    def lines() -> list[str]:
        return list(words.new_lines(bucket, "b", "k.wav"))

    assert lines() == []
    bucket.write(0, "one")
    assert lines() == ["         0.0 s  agent: one"]
    bucket.write(0, "one", "two")
    assert lines() == ["         1.0 s  agent: two"]
    assert words.verdict == "2 turns, each word as it was spoken"
    bucket.write(0, *["one"] * PAGE_TURNS)
    bucket.write(1, "late")
    assert len(lines()) == PAGE_TURNS - 2 + 1
    assert lines() == []
    assert words.verdict == "2 of 2 turns as spoken"


def test_without_pocketsphinx_the_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pocketsphinx", None)

    with pytest.raises(CommandError) as refused, recognizing():
        pass

    assert str(refused.value) == "--words needs pocketsphinx, which is not installed: pip install pocketsphinx"
