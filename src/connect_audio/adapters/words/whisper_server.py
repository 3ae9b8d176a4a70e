"""Requests to a server that speaks OpenAI's `/v1/audio/transcriptions`: one utterance as WAV, words back.

Known are OpenAI, vLLM, speaches, whisper.cpp's server, LocalAI, Groq and OpenRouter. They differ in what they can say
of times. So the first request asks for all, and a refusal that names the format makes every later one ask for less.
The last answer never goes into a `prompt`: a model would go on with its own inventions.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Final

from connect_audio.adapters.endpoint.address import WHISPER, Endpoint, Resolver, endpoint_of, resolve_by_system
from connect_audio.adapters.endpoint.connection import Answer, EndpointConnection, Limits
from connect_audio.adapters.endpoint.secret import SecretSource
from connect_audio.adapters.words.whisper_answer import Spoken, advice_of, read_answer
from connect_audio.core.errors import SinkError
from connect_audio.core.pcm import SAMPLE_BYTES
from connect_audio.core.wav import wav_header
from connect_audio.ports import Clock

USER_AGENT: Final = "connect-audio-consumer"
_PATH: Final = "/v1/audio/transcriptions"
_ANSWER_BYTES: Final = 4 * 1024 * 1024
"""Limit of an answer, bytes. 15 s of speech with word times are 20 kB; tokens and their times make it ten times as
much. Beyond: `ANSWER_CUT`."""
_PASSING: Final = frozenset({408, 425, 429})
"""A later try may succeed. The same holds for every 5xx."""
_UNKNOWN_KEY: Final = frozenset({401, 403})
_REFUSED_AUDIO: Final = frozenset({400, 413, 422})
"""Statuses that may be about one utterance, once the server has taken another."""
_PAUSES_S: Final = (0.5, 2.0, 5.0)
"""Pauses before the second try and the later ones, seconds, unless the server says how long to wait."""
_LONGEST_PAUSE_S: Final = 30.0
"""Longest `Retry-After` that is waited for, seconds. Beyond: the request fails now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WhisperOptions:
    """A server and the model on it.

    Args:
        url: its address: up to `/v1`, or of the very path that takes audio.
        model: name of the model.
        language: ISO 639-1 code of the spoken language; None to let the model find it out.
        allow_private: True if private, loopback and link-local addresses are allowed.
        ca_file: certificates to trust besides the system's.
        request_s: longest time for one request, seconds.
        tries: most tries of one request.
        backlog_s: most audio of one party that waits for the server, seconds.
        patience_s: longest wait of `receive` for a server that lags behind, seconds; None for no limit.
        resolve: the resolver of names.
    """

    url: str = field(repr=False)
    model: str
    language: str | None = None
    allow_private: bool = False
    ca_file: Path | None = None
    request_s: float = 30.0
    tries: int = 2
    backlog_s: float = 60.0
    patience_s: float | None = 5.0
    resolve: Resolver = field(default=resolve_by_system, repr=False)


class Detail(Enum):
    """The detail that a model can give of times: the fields of the request."""

    WORDS = (("response_format", "verbose_json"), ("timestamp_granularities[]", "word"))
    SEGMENTS = (("response_format", "verbose_json"),)
    TEXT = (("response_format", "json"),)


class Knowledge:
    """The facts that requests taught about a server; all connections to it share them.

    Attributes:
        detail: the detail to ask for. It only falls, since a model learns nothing.
        has_succeeded: True once the server has taken an utterance.
    """

    def __init__(self) -> None:
        self.detail = Detail.WORDS
        self.has_succeeded = False


def speech_endpoint(url: str) -> Endpoint:
    """Return the address that takes audio.

    Args:
        url: the address up to `/v1` or to the host, or of the very path.

    Raises:
        SinkError: `URL_REFUSED`, not retryable.
    """
    endpoint = endpoint_of(url, WHISPER)
    path, mark, query = endpoint.target.partition("?")
    short = path.rstrip("/")
    if not short:
        path = _PATH
    elif short.endswith("/v1"):
        path = short + _PATH.removeprefix("/v1")
    return Endpoint(endpoint.url, endpoint.host, endpoint.port, path + mark + query, endpoint.tls, endpoint.kind)


class WhisperServer:
    """One connection to the server; `interrupt` alone comes from another thread.

    Args:
        endpoint: from `speech_endpoint`.
        options: the server and the model.
        key: the API key; None if the server wants none.
        knowledge: shared by all connections.
        clock: for deadlines.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        options: WhisperOptions,
        key: SecretSource | None,
        knowledge: Knowledge,
        clock: Clock | None = None,
    ) -> None:
        self._endpoint = endpoint
        self._options = options
        self._key = key
        self._knowledge = knowledge
        whole = options.request_s
        self._connection = EndpointConnection(
            endpoint,
            limits=Limits(delivery_s=whole, answer_s=whole, body_s=whole, answer_bytes=_ANSWER_BYTES),
            allow_private=options.allow_private,
            ca_file=options.ca_file,
            resolve=options.resolve,
            clock=clock,
        )
        self._interrupted = threading.Event()

    def transcribe(self, samples: bytes, rate: int) -> Spoken | None:
        """Send an utterance and return its words.

        Args:
            samples: mono 16-bit little-endian samples.
            rate: samples a second.

        Returns:
            The words; None if there were none.

        Raises:
            SinkError: the words could not be had. Retryable as with the sink `webhook`, and `ANSWER_UNREADABLE` and
                `ANSWER_CUT`.
        """
        wav = wav_header(data_bytes=len(samples), rate=rate, channels=1) + samples
        pauses = _pauses(self._options.tries)
        while True:
            try:
                spoken = self._exchange(wav)
            except _PassingError as failure:
                pause = next(pauses, None)
                if pause is not None and failure.wait_s is not None:
                    pause = failure.wait_s
                if pause is None or pause > _LONGEST_PAUSE_S or self._interrupted.wait(pause):
                    raise failure.error from failure
            else:
                self._knowledge.has_succeeded = True
                return spoken

    def interrupt(self) -> None:
        """Make the request under way fail soon. The server is of no more use."""
        self._interrupted.set()
        self._connection.interrupt()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _exchange(self, wav: bytes) -> Spoken | None:
        try:
            detail = self._knowledge.detail
            answer = self._answer(wav, detail)
            while (less := _less(answer, detail)) is not None:
                detail = self._knowledge.detail = less
                answer = self._answer(wav, detail)
            return self._read(answer)
        except SinkError as error:
            if error.retryable and not self._interrupted.is_set():
                raise _PassingError(error) from error
            raise

    def _answer(self, wav: bytes, detail: Detail) -> Answer:
        key = self._key() if self._key is not None else None
        answer = self._post(wav, detail, key)
        if answer.status in _UNKNOWN_KEY and self._key is not None:
            newest = self._key(fresh=True)
            if newest != key:
                answer = self._post(wav, detail, newest)
        return answer

    def _post(self, wav: bytes, detail: Detail, key: bytes | None) -> Answer:
        body, content_type = _form(wav, self._options, detail)
        headers = {"User-Agent": USER_AGENT, "Content-Type": content_type, "Accept": "application/json"}
        if key is not None:
            headers["Authorization"] = f"Bearer {key.decode()}"
        self._connection.begin()
        return self._connection.post(headers, body)

    def _read(self, answer: Answer) -> Spoken | None:
        status = answer.status
        if 200 <= status < 300:
            if answer.body is None:
                raise SinkError("ANSWER_CUT", "the speech server's answer did not come whole", retryable=True)
            return read_answer(answer.body)
        about_one = status in _REFUSED_AUDIO and self._knowledge.has_succeeded
        error = SinkError(
            f"HTTP_{status}",
            "; ".join([f"{self._endpoint.authority} answered an utterance with {status}", *advice_of(status)]),
            retryable=status >= 500 or status in _PASSING or about_one,
        )
        if status in _PASSING or status >= 500:
            raise _PassingError(error, _wait(answer.headers)) from error
        raise error


class _PassingError(Exception):
    """A failure after which another try may succeed.

    Args:
        error: the failure.
        wait_s: the wait that the server asks for, seconds; None if it asks for none.
    """

    def __init__(self, error: SinkError, wait_s: float | None = None) -> None:
        super().__init__(str(error))
        self.error = error
        self.wait_s = wait_s


def _pauses(tries: int) -> Iterator[float]:
    for number in range(tries - 1):
        yield _PAUSES_S[min(number, len(_PAUSES_S) - 1)]


def _wait(headers: Mapping[str, str]) -> float | None:
    """The seconds of `Retry-After`; None without it, and for a date, which needs a clock that both sides share."""
    text = headers.get("retry-after", "").strip()
    return float(text) if text.isascii() and text.isdigit() else None


def _less(answer: Answer, detail: Detail) -> Detail | None:
    """The detail to ask for after a refusal; None if the answer is no refusal of the format."""
    if answer.status not in {400, 422} or detail is Detail.TEXT or not answer.body:
        return None
    named = _refusal(answer.body)
    if "timestamp_granularities" in named and "response_format" not in named and detail is Detail.WORDS:
        return Detail.SEGMENTS
    return Detail.TEXT if any(each in named for each in ("response_format", "verbose_json", "granularit")) else None


def _refusal(body: bytes) -> str:
    """The parameter that a refusal names, or all of its text if it names none."""
    try:
        param = json.loads(body)["error"]["param"]
    except (ValueError, KeyError, TypeError):
        param = None
    return param if isinstance(param, str) and param else body.decode("utf-8", "replace")


def _form(wav: bytes, options: WhisperOptions, detail: Detail) -> tuple[bytes, str]:
    # boto3 brings urllib3, so the functions have it imported already.
    from urllib3.filepost import encode_multipart_formdata  # noqa: PLC0415

    fields: list[tuple[str, str | tuple[str, bytes, str]]] = [
        ("file", ("utterance.wav", wav, "audio/wav")),
        ("model", options.model),
        ("temperature", "0"),
        *detail.value,
    ]
    if options.language is not None:
        fields.append(("language", options.language))
    return encode_multipart_formdata(fields)


def seconds_of(samples: bytes, rate: int) -> float:
    """Return the length of samples in seconds."""
    return len(samples) / SAMPLE_BYTES / rate
