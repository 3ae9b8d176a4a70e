"""The sinks of `replay`, made of its options under the rules of the stack's settings."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from connect_audio.adapters.endpoint.address import endpoint_of
from connect_audio.adapters.endpoint.secret import SHORTEST_SECRET
from connect_audio.core.errors import SettingsError, SinkError
from connect_audio.core.segment_wav import WavShape
from connect_audio.settings import Integer, LiveSettings, variables
from connect_audio_cli.output.certificates import check_certificates
from connect_audio_cli.output.command_error import CommandError, printable

if TYPE_CHECKING:
    from connect_audio_cli.replay.words_options import WordsOptions

SECRET_VARIABLE: Final = "WEBHOOK_SIGNING_SECRET"  # noqa: S105 - a name
_VARIABLES: Final = {variable.name: variable for variable in variables(LiveSettings)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Typed:
    """The options as typed; None for an absent one.

    Args:
        segments: folder for segments.
        webhook: address to post to.
        webhook_ca: certificates to trust.
        allow_private_addresses: True allows a webhook at a private address.
        segment_seconds: length of a segment.
        segment_rate: `source` or `16000`.
        segment_layout: `stereo` or `tracks`.
        speed: media seconds a second.
        sink: names of sinks that installed packages bring.
        sink_option: their options, each `KEY=VALUE`.
        words: the recognizer.
        words_webhook: `final` or `all`.
    """

    segments: Path | None = None
    webhook: str | None = None
    webhook_ca: Path | None = None
    allow_private_addresses: bool = False
    segment_seconds: str | None = None
    segment_rate: str | None = None
    segment_layout: str | None = None
    speed: float | None = None
    sink: Sequence[str] | None = None
    sink_option: Sequence[str] | None = None
    words: WordsOptions | None = None
    words_webhook: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookOptions:
    """A receiver.

    Args:
        url: address to post to.
        secret: text to sign with.
        ca_file: certificates to trust besides the system's.
        allow_private: True allows private, loopback and link-local addresses.
    """

    url: str = field(repr=False)
    secret: bytes = field(repr=False)
    ca_file: Path | None = None
    allow_private: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveOptions:
    """Live audio of a replay.

    Args:
        segments: folder for segments; None for none.
        webhook: the receiver; None for none.
        shape: form of the WAVs.
        segment_seconds: length of a segment.
        buffer_seconds: how far a sink may fall behind where there is a pace.
        speed: media seconds a second; None for as fast as can be.
        sinks: names of sinks that installed packages bring.
        sink_options: their options, the same for all of them, as LIVE_SINK_OPTIONS holds them.
        words: the recognizer; None for no words.
        words_webhook: words that are posted to the webhook: `final`, `all`, or none if empty.
    """

    segments: Path | None
    webhook: WebhookOptions | None
    shape: WavShape
    segment_seconds: int
    buffer_seconds: int
    speed: float | None
    sinks: Sequence[str] = ()
    sink_options: Mapping[str, str] = field(default_factory=dict)
    words: WordsOptions | None = None
    words_webhook: str = ""


def live_options(typed: Typed, environment: Mapping[str, str] | None = None) -> LiveOptions | None:
    """Check what was typed, before anything is read or written.

    Args:
        typed: the options.
        environment: holds the signing secret; the process's own by default.

    Returns:
        The live options; None without live audio and pace.

    Raises:
        CommandError: something is missing or not of its form.
    """
    _check_that_something_takes(typed)
    if typed.speed is not None and not math.isfinite(typed.speed):
        raise CommandError(f"--speed is {typed.speed}; it must be a number of at least 0.01")
    sinks = tuple(typed.sink or ())
    if typed.segments is None and typed.webhook is None and typed.speed is None and not sinks and typed.words is None:
        return None
    return LiveOptions(
        segments=typed.segments,
        webhook=None if typed.webhook is None else _webhook(typed.webhook, typed, environment),
        shape=WavShape(
            _read("LIVE_SEGMENT_LAYOUT", "--segment-layout", typed.segment_layout),
            _read("LIVE_SEGMENT_RATE", "--segment-rate", typed.segment_rate),
        ),
        segment_seconds=_read("LIVE_SEGMENT_SECONDS", "--segment-seconds", typed.segment_seconds),
        # The most that a stack may have: a pause that the pace leaps over is on the buffer in one go.
        buffer_seconds=cast("Integer", _VARIABLES["LIVE_BUFFER_SECONDS"].parser).high,
        speed=typed.words.usual_speed if typed.speed is None and typed.words is not None else typed.speed,
        sinks=sinks,
        sink_options=dict(_pair(text) for text in typed.sink_option or ()),
        words=typed.words,
        words_webhook=_read("WORDS_WEBHOOK", "--words-webhook", typed.words_webhook),
    )


def _check_that_something_takes(typed: Typed) -> None:
    """Refuse an option without the option that it serves: it would silently do nothing."""
    if typed.webhook is None:
        for flag, given in (
            ("--webhook-ca", typed.webhook_ca is not None),
            ("--allow-private-addresses", typed.allow_private_addresses),
            ("--words-webhook", typed.words_webhook is not None),
        ):
            if given:
                raise CommandError(f"{flag} is for a webhook; add --webhook URL")
        if typed.segments is None and not typed.sink:
            for flag, text in (
                ("--segment-seconds", typed.segment_seconds),
                ("--segment-rate", typed.segment_rate),
                ("--segment-layout", typed.segment_layout),
            ):
                if text is not None:
                    raise CommandError(f"{flag} is for segments; add --segments FOLDER or --webhook URL")
    if typed.words_webhook is not None and typed.words is None:
        raise CommandError("--words-webhook is for words; add --whisper URL or --transcribe")
    if typed.sink_option and not typed.sink:
        raise CommandError("--sink-option is for a sink of your own; add --sink NAME")
    for name in typed.sink or ():
        if name in {"segments", "webhook", "whisper", "transcribe"}:
            raise CommandError(f"--sink {name} has an option of its own: --{name}")
        if list(typed.sink or ()).count(name) > 1:
            raise CommandError(f"--sink {printable(name, 60)} is given twice")


def _pair(text: str) -> tuple[str, str]:
    """Split an option of a sink at its first equals sign."""
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise CommandError(f"--sink-option '{printable(text, 60)}' is not of the form KEY=VALUE")
    return key, value


def _webhook(url: str, typed: Typed, environment: Mapping[str, str] | None) -> WebhookOptions:
    url = _read("WEBHOOK_URL", "--webhook", url)
    try:
        endpoint_of(url)
    except SinkError as error:
        raise CommandError(_said(error).replace("WEBHOOK_URL", "--webhook")) from error
    secret = (os.environ if environment is None else environment).get(SECRET_VARIABLE, "")
    if not secret:
        raise CommandError(f"--webhook signs with the text in the variable {SECRET_VARIABLE}, which is not set")
    if len(secret) < SHORTEST_SECRET:
        raise CommandError(f"the secret in {SECRET_VARIABLE} is shorter than {SHORTEST_SECRET} characters")
    if typed.webhook_ca is not None:
        check_certificates(typed.webhook_ca)
    return WebhookOptions(
        url=url, secret=secret.encode(), ca_file=typed.webhook_ca, allow_private=typed.allow_private_addresses
    )


def _said(error: SinkError) -> str:
    """Its message without the code, which is for logs."""
    return str(error).removeprefix(f"{error.code}: ")


def _read(name: str, flag: str, text: str | None) -> Any:
    """Read an option as the variable of the stack's settings would be read."""
    variable = replace(_VARIABLES[name], name=flag)
    if text == "":
        # To a variable that would be as good as unset.
        raise CommandError(f"{flag} is empty; it must be {variable.parser.bounds}. {variable.advice}")
    try:
        return variable.read({flag: text or ""})
    except SettingsError as error:
        raise CommandError(str(error)) from error
