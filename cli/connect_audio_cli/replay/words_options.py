"""The options of `replay` that make words: which recognizer, and whether its turns are shown as they come."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from connect_audio_cli.output.arguments import STANDARD_OUTPUT, Parser, flag
from connect_audio_cli.output.command_error import CommandError, printable
from connect_audio_cli.transcription.speech_server import SpeechServer, add_speech_options, said, speech_server_of

if TYPE_CHECKING:
    from connect_audio.words.live_words import WordsPolicy
    from connect_audio.words.recognizer import Recognizer

_TRANSCRIBE_SPEED: Final = 1.0
"""Usual pace with Amazon Transcribe, media seconds a second: its streaming is made for audio as it is spoken."""
_ANSWER_S: Final = 3600.0
"""Longest wait for words where nothing is live, seconds. Each request has its own, shorter limit."""
_OF_THE_SERVER: Final = ("model", "api_key_env", "whisper_ca")


@dataclass(frozen=True, slots=True, kw_only=True)
class WordsOptions:
    """The words of a replay.

    Args:
        name: name of the sink: `whisper` or `transcribe`.
        make: makes the recognizer.
        language: the language that is asked for; None if the recognizer finds it.
        where: the service or the server's host, as reports name it.
        policy: durations and limits.
        is_followed: True to print the turns as they come.
        usual_speed: media seconds a second unless the user asks for another pace; None for as fast as can be.
    """

    name: str
    make: Callable[[], Recognizer] = field(repr=False)
    language: str | None
    where: str
    policy: WordsPolicy
    is_followed: bool
    usual_speed: float | None = None


def add_words_options(parser: Parser) -> None:
    """Add the options to the command."""
    words = parser.add_argument_group("Words, beside the WAV")
    add_speech_options(words, required=False)
    flag(
        words,
        "--transcribe",
        "Words by Amazon Transcribe, with your credentials and --language such as en-US. It costs money. Keeps the "
        "call's pace, unless --speed says otherwise. Needs the extra words.",
    )
    flag(words, "--follow", "Print each turn as soon as it is final: time, speaker, text.")


def words_options(given: argparse.Namespace) -> WordsOptions | None:
    """Check the options, before anything is read or written.

    Args:
        given: the command line.

    Returns:
        The words; None if none are wanted.

    Raises:
        CommandError: an option cannot be used, or a package or credentials are missing.
    """
    if given.transcribe and given.whisper is not None:
        raise CommandError("--whisper and --transcribe both make the words: drop one of them")
    server = None if given.transcribe else speech_server_of(given)
    if not given.transcribe and server is None:
        if given.follow:
            raise CommandError("--follow is for words; add --whisper URL or --transcribe")
        return None
    if str(given.output) == STANDARD_OUTPUT:
        raise CommandError("words are written beside the recording: --output takes a folder")
    if given.follow and (given.json or given.quiet):
        raise CommandError("--follow prints lines for people: drop --json and --quiet, or --follow")
    if server is None:
        return _transcribe(given)
    return _whisper(server, is_paced=given.speed is not None, is_followed=given.follow)


def _whisper(server: SpeechServer, *, is_paced: bool, is_followed: bool) -> WordsOptions:
    """Words by a speech server. Without a pace the replay waits for it; with one it must keep up, as in a call."""
    from connect_audio.adapters.words.whisper_server import speech_endpoint  # noqa: PLC0415 - help needs no server
    from connect_audio.words.live_words import WordsPolicy  # noqa: PLC0415
    from connect_audio_cli.transcription.speech_server import recognizer_of  # noqa: PLC0415

    def make() -> Recognizer:
        if is_paced:
            return recognizer_of(server, request_s=30, tries=2, backlog_s=60, patience_s=5)
        return recognizer_of(server, request_s=120, tries=4, backlog_s=30, patience_s=None)

    return WordsOptions(
        name="whisper",
        make=make,
        language=server.language,
        where=speech_endpoint(server.url).authority,  # the rest of a URL may hold a token
        policy=WordsPolicy() if is_paced else WordsPolicy(stall=math.inf, hand_over=_ANSWER_S, last_words=_ANSWER_S),
        is_followed=is_followed,
    )


def _transcribe(given: argparse.Namespace) -> WordsOptions:
    """Words by Amazon Transcribe.

    Raises:
        CommandError: an option is missing or no use, or the SDK or credentials are missing.
    """
    from connect_audio.core.errors import SinkError  # noqa: PLC0415 - help needs none of these
    from connect_audio.words.live_words import WordsPolicy  # noqa: PLC0415
    from connect_audio.words.transcribe_options import TranscribeOptions, TranscribeOptionsError  # noqa: PLC0415
    from connect_audio_cli.output.extras import needs  # noqa: PLC0415

    for name in _OF_THE_SERVER:
        if getattr(given, name) is not None:
            raise CommandError(f"--{name.replace('_', '-')} is for a speech server; --transcribe has none")
    if not given.language:
        raise CommandError("--transcribe needs the spoken language: add --language CODE, such as en-US")
    try:
        options = TranscribeOptions(language=given.language)
    except TranscribeOptionsError as error:
        raise CommandError(f"--language '{printable(given.language, 20)}': {error}") from error
    with needs("--transcribe", extra="words"):
        import aws_sdk_transcribe_streaming  # noqa: F401, PLC0415
        import awscrt  # noqa: F401, PLC0415 - the extra's two packages
    from connect_audio.adapters.aws_session import botocore_session  # noqa: PLC0415
    from connect_audio.adapters.words.transcribe import TranscribeRecognizer  # noqa: PLC0415

    recognizer = TranscribeRecognizer(options, botocore_session)
    try:
        recognizer.prepare()
    except SinkError as error:
        raise CommandError(f"--transcribe: {said(error)}") from error
    return WordsOptions(
        name="transcribe",
        make=lambda: recognizer,
        language=given.language,
        where="Amazon Transcribe",
        policy=WordsPolicy(),
        is_followed=given.follow,
        usual_speed=_TRANSCRIBE_SPEED,
    )
