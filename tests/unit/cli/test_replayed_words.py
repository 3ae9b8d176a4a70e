"""The lines that `replay --follow` prints."""

from __future__ import annotations

import io
import sys

import pytest

from connect_audio.core.pcm import Party
from connect_audio.core.transcript import Turn
from connect_audio.core.word_pages import NumberedTurn, WordsCall
from connect_audio_cli.replay.replayed_words import FollowedWords

CALL = WordsCall(contact_id="c", recording="c.wav", engine="scripted", language=None, rate=8000)


def turn(number: int, start_s: float, text: str, party: Party = Party.AGENT) -> NumberedTurn:
    start = round(start_s * CALL.rate)
    return NumberedTurn(number=number, turn=Turn(party=party, start=start, end=start + 800, text=text))


def test_a_line_has_time_speaker_and_text_and_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    followed = FollowedWords()

    followed.turns(CALL, [turn(0, 3.46, "hello"), turn(1, 83.0, "\x1b[2Jgone\n", Party.CUSTOMER)])
    followed.turns(CALL, [turn(2, 3599.99, "late"), turn(3, 3723.4, "later")])

    assert capsys.readouterr().out.splitlines() == [
        "0:03.4  agent     hello",
        "1:23.0  customer  \\x1b[2Jgone\\n",
        "59:59.9  agent     late",
        "1:02:03.4  agent     later",
    ]


def test_a_turn_that_is_taken_back_is_named_once(capsys: pytest.CaptureFixture[str]) -> None:
    followed = FollowedWords()
    followed.turns(CALL, [turn(0, 1.0, "mine"), turn(1, 2.0, "another's")])

    followed.taken_back(CALL, [1, 7])
    followed.taken_back(CALL, [1])

    assert capsys.readouterr().out.splitlines()[2:] == [
        "0:02.0  agent     (taken back: other audio has come in its place)"
    ]


class _Closed(io.StringIO):
    def write(self, _text: str) -> int:
        raise BrokenPipeError


def test_a_reader_that_has_gone_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = _Closed()
    monkeypatch.setattr(sys, "stdout", closed)

    FollowedWords().turns(CALL, [turn(0, 1.0, "unread")])

    assert closed.getvalue() == ""
