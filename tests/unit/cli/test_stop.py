"""The user's wish to end a live recording: what a signal breaks off, and what it leaves alone."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from connect_audio.core.errors import MediaSourceError
from connect_audio.ports import ContactState, FromProducerTime
from connect_audio_cli.listening.stop import Stop, StoppableSource, StoppableStatus
from connect_audio_cli.output.interrupts import Interrupted
from support.calls import call, fragments
from support.clock import FakeClock
from support.stream import FakeSource
from support.world import REQUEST, FakeStatus

LONG_S = 20.0
"""No wait of these tests lasts so long, unless it is not broken off."""


@pytest.fixture(autouse=True)
def python_s_own_handlers() -> Iterator[None]:
    """Python's handlers, whatever another test has left."""
    own: dict[int, Any] = {signal.SIGINT: signal.default_int_handler}
    own |= dict.fromkeys((signal.SIGTERM, signal.SIGHUP, signal.SIGALRM), signal.SIG_DFL)
    before = {number: signal.signal(number, handler) for number, handler in own.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def stop() -> Iterator[Stop]:
    wish = Stop()
    with wish.taken():
        yield wish


def press(seconds: float = 0.0) -> None:
    """Send SIGINT to the main thread, now or later: another thread might take it later than the call returns."""
    main = threading.main_thread().ident
    assert main is not None
    if seconds:
        threading.Timer(seconds, signal.pthread_kill, (main, signal.SIGINT)).start()
    else:
        signal.pthread_kill(main, signal.SIGINT)


def test_a_signal_is_a_wish_and_ends_no_work(stop: Stop) -> None:
    assert not stop()
    press()

    assert stop()
    with pytest.raises(Interrupted) as ended:
        stop.raise_if_asked()
    assert ended.value.exit_code == 130


def test_what_waits_is_broken_off_half_a_second_after_the_signal(stop: Stop) -> None:
    began_s = time.monotonic()
    press(0.1)

    with pytest.raises(MediaSourceError) as broken:
        stop.breakable(lambda: time.sleep(LONG_S))

    assert (broken.value.code, broken.value.retryable) == ("INTERRUPTED", True)
    assert 0.5 < time.monotonic() - began_s < LONG_S / 4


def test_a_pause_ends_with_the_wish_and_none_begins_after_it(stop: Stop) -> None:
    began_s = time.monotonic()
    press(0.1)
    stop.sleep(LONG_S)
    stop.sleep(LONG_S)

    assert time.monotonic() - began_s < LONG_S / 4


def test_work_that_may_not_be_broken_off_goes_on(stop: Stop) -> None:
    press()
    time.sleep(1.2)

    assert stop()


def test_a_second_signal_is_the_command_s_own(stop: Stop) -> None:
    press()
    assert stop()

    with pytest.raises(KeyboardInterrupt):
        press()


def test_connect_is_not_asked_after_the_wish(stop: Stop) -> None:
    clock = FakeClock()
    status = FakeStatus(clock)
    asked = StoppableStatus(status, stop)

    def ask() -> ContactState:
        request = REQUEST
        answer = asked.describe(
            request.instance_id, request.contact_id, stream_arn=request.stream_arn, start_fragment=None
        )
        return answer.state

    assert ask() is ContactState.CONNECTED
    press()
    assert ask() is ContactState.UNKNOWN
    assert len(status.asked_at_ms) == 1


def test_the_bytes_of_a_body_are_passed_on_with_its_beginning(stop: Stop) -> None:
    taken: list[bytes] = []
    source = StoppableSource(FakeSource(fragments(call(2)), FakeClock()), stop, taken.append)

    stream = source.open(FromProducerTime(0))
    read = [stream.read(), stream.read(), stream.read()]

    # The end of the body is none of its bytes.
    assert [*taken, b""] == [b"", *read]
    stream.close()


def test_behind_a_second_signal_the_command_s_own_deadline_stays() -> None:
    def own(number: int, frame: object) -> None:
        del frame
        signal.signal(number, signal.SIG_IGN)
        signal.signal(signal.SIGALRM, own)
        signal.setitimer(signal.ITIMER_REAL, LONG_S)

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGALRM)}
    signal.signal(signal.SIGINT, own)
    try:
        with Stop().taken():
            press()
            press()

        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        assert signal.getitimer(signal.ITIMER_REAL)[0] > 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)


def test_without_a_second_signal_all_handlers_are_as_before() -> None:
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM)
    before = [signal.getsignal(number) for number in numbers]
    with Stop().taken():
        press()

    assert [signal.getsignal(number) for number in numbers] == before
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)
