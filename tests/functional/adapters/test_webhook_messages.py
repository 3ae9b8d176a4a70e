"""The sink `webhook`: an error's message names the receiver's host and nothing that is secret."""

from __future__ import annotations

import traceback
from contextlib import closing

import pytest

from connect_audio.core.errors import SinkError
from connect_audio_local.webhook import faults as misbehaviour
from connect_audio_local.webhook.server import webhook_receiver
from support.webhook_sink import (
    SECRET,
    segment,
    sink_to,
)


def test_no_message_tells_path_query_secret_or_what_the_receiver_said() -> None:
    with webhook_receiver(SECRET, [misbehaviour.answer(400), misbehaviour.answer_with_garbage]) as receiver:
        url = f"{receiver.url}/hidden-path?token=hidden-token"
        with closing(sink_to(url, receiver.ca_file)) as sink:
            for _ in range(2):
                with pytest.raises(SinkError) as caught:
                    sink.deliver_segment(segment(0))
                told = "".join(traceback.format_exception_only(caught.value))
                assert not [word for word in ("hidden", "a secret", "HTTP at all") if word in told]
            sink.deliver_segment(segment(0))
        assert receiver.received[0].value("Url") == url
