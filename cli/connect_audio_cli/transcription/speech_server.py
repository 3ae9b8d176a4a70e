"""The options of a speech server, for every command that has words made: address, model, language, key."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from connect_audio_cli.output.arguments import Parser
from connect_audio_cli.output.certificates import check_certificates
from connect_audio_cli.output.command_error import CommandError, printable

if TYPE_CHECKING:
    from connect_audio.adapters.words.whisper import WhisperRecognizer
    from connect_audio.core.errors import SinkError

DEFAULT_MODEL: Final = "whisper-1"
_LANGUAGE: Final = re.compile(r"[a-z]{2,3}")
_KEY: Final = re.compile(r"[!-~]{1,4096}")
"""Characters that a header can carry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechServer:
    """A speech server as a command line names it.

    Args:
        url: its address.
        model: name of the model.
        language: ISO 639 code of the language; None to let the model find it out.
        key: the API key; None for none.
        ca_file: certificates to trust besides the system's.
    """

    url: str = field(repr=False)
    model: str
    language: str | None
    key: bytes | None = field(repr=False)
    ca_file: Path | None


def add_speech_options(parser: Parser | argparse._ArgumentGroup, *, required: bool) -> None:
    """Add the options to a command.

    Args:
        parser: the command's options, or a group of them.
        required: True if the command cannot do without a server.
    """
    parser.add_argument(
        "--whisper",
        metavar="URL",
        required=required,
        help="A server with OpenAI's /v1/audio/transcriptions: OpenAI, vLLM, speaches, whisper.cpp, LocalAI, Groq, "
        "OpenRouter. http:// is allowed inside your own network.",
    )
    parser.add_argument("--model", metavar="NAME", help=f"The server's model. (default: {DEFAULT_MODEL})")
    parser.add_argument(
        "--language", metavar="CODE", help="The spoken language, such as en. (default: the model's guess)"
    )
    parser.add_argument("--api-key-env", metavar="NAME", help="The variable that holds the server's API key.")
    parser.add_argument("--whisper-ca", metavar="FILE", type=Path, help="Trust these certificates, too, in PEM.")


def speech_server_of(given: argparse.Namespace, environment: Mapping[str, str] | None = None) -> SpeechServer | None:
    """Read the options.

    Args:
        given: the command line.
        environment: the variables; by default the process's own.

    Returns:
        The server; None without `--whisper`.

    Raises:
        CommandError: one cannot be used, or belongs to `--whisper`, which is missing.
    """
    if given.whisper is None:
        for name in ("model", "language", "api_key_env", "whisper_ca"):
            if getattr(given, name) is not None:
                raise CommandError(f"--{name.replace('_', '-')} is for a speech server; add --whisper URL")
        return None
    from connect_audio.adapters.words.whisper_server import speech_endpoint  # noqa: PLC0415 - help needs no server
    from connect_audio.core.errors import SinkError  # noqa: PLC0415

    try:
        speech_endpoint(given.whisper)
    except SinkError as error:
        raise CommandError(said(error)) from error
    if given.language is not None and not _LANGUAGE.fullmatch(given.language):
        raise CommandError(
            f"--language '{printable(given.language, 20)}' is no code of two or three letters, such as en"
        )
    if given.model == "":
        raise CommandError("--model is empty; drop it, or name a model of the server")
    if given.whisper_ca is not None:
        check_certificates(given.whisper_ca)
    return SpeechServer(
        url=given.whisper,
        model=given.model or DEFAULT_MODEL,
        language=given.language,
        key=_key(given.api_key_env, os.environ if environment is None else environment),
        ca_file=given.whisper_ca,
    )


def recognizer_of(
    server: SpeechServer, *, request_s: float, tries: int, backlog_s: float, patience_s: float | None
) -> WhisperRecognizer:
    """Make the recognizer; the rest of its options are `WhisperOptions`' own."""
    from connect_audio.adapters.endpoint.secret import KnownSecret  # noqa: PLC0415 - see above
    from connect_audio.adapters.words.whisper import WhisperRecognizer  # noqa: PLC0415
    from connect_audio.adapters.words.whisper_server import WhisperOptions  # noqa: PLC0415

    options = WhisperOptions(
        url=server.url,
        model=server.model,
        language=server.language,
        allow_private=True,  # the user's own machine and network
        ca_file=server.ca_file,
        request_s=request_s,
        tries=tries,
        backlog_s=backlog_s,
        patience_s=patience_s,
    )
    return WhisperRecognizer(options, None if server.key is None else KnownSecret(server.key))


def said(error: SinkError) -> str:
    """Return a failure's text for people: without the code, and with the option in place of the setting."""
    return str(error).removeprefix(f"{error.code}: ").replace("WHISPER_URL", "--whisper")


def _key(variable: str | None, environment: Mapping[str, str]) -> bytes | None:
    if variable is None:
        return None
    key = environment.get(variable, "").strip()
    if not key:
        raise CommandError(f"--api-key-env names the variable {printable(variable, 60)}, which is not set")
    if not _KEY.fullmatch(key):
        raise CommandError(f"the key in {printable(variable, 60)} holds what no header can carry")
    return key.encode()
