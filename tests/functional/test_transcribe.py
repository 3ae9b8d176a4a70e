"""The engine `transcribe` against the stand-in of Transcribe, over TLS and HTTP/2 at the socket."""

from __future__ import annotations

from support.spoken_words import quiet, spoken
from support.transcribe_sessions import AGENT, CUSTOMER, RATE, heard_session, transcribe_recognizer, transcribe_service


def test_the_words_of_two_parties_come_with_the_right_speaker_and_times() -> None:
    with transcribe_service() as service, heard_session(transcribe_recognizer(service)) as heard:
        heard.feed(quiet(0.5) + spoken("seven three") + quiet(1.5), quiet(1.0) + spoken("one") + quiet(1.4))
        heard.wait_for(lambda it: len(it.turns) == 2)
        heard.finish()

        customer, agent = sorted(heard.turns, key=lambda turn: turn.start)
        assert (customer.party, customer.text, agent.party, agent.text) == (CUSTOMER, "seven three.", AGENT, "one.")
        assert [(word.text, word.start / RATE, word.end / RATE) for word in customer.words] == [
            ("seven", 0.5, 0.8),
            ("three.", 0.9, 1.2),
        ]
        assert (agent.start / RATE, agent.end / RATE) == (1.0, 1.3)
        assert heard.settled == {CUSTOMER: heard.position, AGENT: heard.position}
    [stream] = service.model.streams
    # Pieces of a second went as events of 200 ms, and each was signed, as was the empty one at the end.
    assert max(stream.events) == RATE // 5
    assert (stream.signatures, stream.outcome) == (len(stream.events) + 1, "whole")
