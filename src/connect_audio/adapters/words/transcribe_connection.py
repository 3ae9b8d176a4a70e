"""One stream of Amazon Transcribe through AWS's SDK: everything that knows the SDK is here.

A session imports this module, and so does the consumer's initialization if the function has the SDK's layer. The SDK
takes 0.6 s of processor time and 30 MiB. Each stream gets a client of its own: two streams of one client share an
HTTP/2 connection, and Transcribe refuses the second.

The SDK's loggers write audio and words at DEBUG, so they stay at WARNING whatever the process's level.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final, Self, override

from aws_sdk_transcribe_streaming import models
from aws_sdk_transcribe_streaming.client import AsyncTranscribeStreamingClient
from aws_sdk_transcribe_streaming.config import AsyncTranscribeStreamingConfig
from awscrt import io as crt_io
from smithy_http.aio.crt import AWSCRTHTTPClient, AWSCRTHTTPResponse, _AWSCRTEventLoop

from connect_audio.adapters.words.transcribe_results import Item, Result
from connect_audio.adapters.words.transcribe_session import WAIT_FOR_AWSCRT
from connect_audio.core.pcm import PARTIES

for _name in ("aws_sdk_signers", "aws_sdk_transcribe_streaming", "smithy_aws_core", "smithy_aws_event_stream"):
    logging.getLogger(_name).setLevel(logging.WARNING)
for _name in ("smithy_core", "smithy_http", "smithy_json", "awscrt"):
    logging.getLogger(_name).setLevel(logging.WARNING)

_COMPLETION_S: Final = 0.2
"""Limit of waiting for the connection's own word on how a stream ended, seconds. A break is known at once. Beyond: the
peer ended its side in good order, while this side is still open."""
_SETTLE_S: Final = 1.0
"""Limit of waiting at `close` for what awscrt's thread has yet to say, seconds. Beyond: it is cancelled."""
_CHANNELS: Final = {f"ch_{number}": party for number, party in enumerate(PARTIES)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """Credentials of AWS.

    Args:
        access_key: the key's id.
        secret: its secret.
        token: session token; None for a key that lasts.
    """

    access_key: str
    secret: str = field(repr=False)
    token: str | None = field(default=None, repr=False)


class TranscribeConnection:
    """One stream, to be used by one asyncio loop.

    Args:
        parameters: parameters of the stream, in the SDK's names.
        rate: samples a second.
        region: the Region; None if an endpoint is given.
        credentials: to sign with.
        endpoint: address instead of AWS's own; None for the environment's or AWS's.
        ca_file: certificates to trust instead of the system's; None for the system's.
    """

    def __init__(
        self,
        parameters: Mapping[str, str | bool],
        rate: int,
        *,
        region: str | None,
        credentials: Credentials,
        endpoint: str | None = None,
        ca_file: Path | None = None,
    ) -> None:
        self._parameters, self._rate = parameters, rate
        self._region, self._credentials, self._endpoint, self._ca_file = region, credentials, endpoint, ca_file
        self._client: AsyncTranscribeStreamingClient | None = None

    async def open(self) -> None:
        """Connect and wait until Transcribe accepts the stream. To be limited by the caller."""
        wanted: dict[str, Any] = {} if self._endpoint is None else {"endpoint_uri": self._endpoint}
        config = await AsyncTranscribeStreamingConfig.resolve(
            region=self._region,
            transport=_Transport(self._ca_file),
            aws_access_key_id=self._credentials.access_key,
            aws_secret_access_key=self._credentials.secret,
            aws_session_token=self._credentials.token,
            **wanted,
        )
        self._client = AsyncTranscribeStreamingClient(config)
        request: dict[str, Any] = dict(self._parameters)
        self._stream = await self._client.start_stream_transcription(
            models.StartStreamTranscriptionInput(
                media_sample_rate_hertz=self._rate,
                media_encoding="pcm",
                enable_channel_identification=True,
                number_of_channels=len(PARTIES),
                **request,
            )
        )
        # Every failure of connecting, of credentials and of parameters comes out here.
        _, self._events = await self._stream.await_output()

    async def send(self, stereo: bytes) -> None:
        """Send one audio event. It never returns if the peer takes nothing: to be limited by the caller."""
        await self._stream.input_stream.send(models.AudioStreamAudioEvent(models.AudioEvent(audio_chunk=stereo)))

    async def end_input(self) -> None:
        """Say that no audio follows."""
        await self._stream.input_stream.close()

    async def results(self) -> AsyncIterator[tuple[Result, ...]]:
        """Give the results as they come, to the end of the answer."""
        async for event in self._events:
            if isinstance(event, models.TranscriptResultStreamTranscriptEvent) and event.value.transcript is not None:
                yield tuple(_result(each) for each in event.value.transcript.results or () if each.alternatives)

    async def close(self) -> None:
        """Close the connection."""
        if self._client is not None:
            await self._client.close()


@cache
def _event_loop() -> _AWSCRTEventLoop:
    """The two threads of awscrt, for all streams of the process.

    A transport of its own each would start two more, and awscrt keeps them and their descriptors if a peer resets the
    connection.
    """
    return _AWSCRTEventLoop()


class _Transport(AWSCRTHTTPClient):
    """The SDK's transport over awscrt, with a trust of one's own, and with failures that end a stream.

    A cancelled wait would cancel a future that awscrt's thread sets later on. So each wait is a task of its own, which
    `close` lets come to its end once the connection is closed.
    """

    def __init__(self, ca_file: Path | None) -> None:
        super().__init__(_event_loop())
        self._waits: set[asyncio.Task[Any]] = set()
        if ca_file is not None:
            options = crt_io.TlsContextOptions()
            options.override_default_trust_store_from_path(None, str(ca_file))
            # The SDK has no public place for it.
            self._tls_ctx = crt_io.ClientTlsContext(options)

    @override
    async def _build_new_connection(self, url: Any) -> Any:
        return await asyncio.shield(_kept(super()._build_new_connection(url), self._waits))

    @override
    async def _await_response(self, stream: Any) -> AWSCRTHTTPResponse:
        response = await super()._await_response(stream)
        return _Response(response, stream, self._waits)

    @override
    async def close(self) -> None:
        await super().close()
        if self._waits:
            await asyncio.wait(self._waits, timeout=_SETTLE_S)

    def __deepcopy__(self, memo: Any) -> Self:
        """One client has one transport."""
        return self


class _Response(AWSCRTHTTPResponse):
    """An answer whose body ends with the failure of its connection; the SDK's own just ends."""

    def __init__(self, response: AWSCRTHTTPResponse, stream: Any, waits: set[asyncio.Task[Any]]) -> None:
        super().__init__(status=response.status, fields=response.fields, stream=stream)
        self._waits = waits

    @override
    async def chunks(self) -> AsyncGenerator[bytes]:
        while chunk := await asyncio.shield(_kept(self._stream.get_next_response_chunk(), self._waits)):
            yield chunk
        ended = _kept(self._stream.wait_for_completion(), self._waits)
        await asyncio.wait({ended}, timeout=_COMPLETION_S)
        if ended.done():
            ended.result()


def _kept(coroutine: Coroutine[Any, Any, Any], waits: set[asyncio.Task[Any]]) -> asyncio.Task[Any]:
    """A task that is among the waits until it is done."""
    task = asyncio.create_task(coroutine, name=WAIT_FOR_AWSCRT)
    waits.add(task)
    task.add_done_callback(waits.discard)
    return task


def _result(given: models.Result) -> Result:
    alternative = (given.alternatives or [models.Alternative()])[0]
    return Result(
        result_id=given.result_id or "",
        party=_CHANNELS.get(given.channel_id or "", PARTIES[0]),
        start_s=given.start_time,
        end_s=given.end_time,
        is_partial=given.is_partial,
        text=alternative.transcript or "",
        items=[_item(each) for each in alternative.items or ()],
    )


def _item(given: models.Item) -> Item:
    return Item(
        text=(given.content or "").strip(),
        start_s=given.start_time,
        end_s=given.end_time,
        is_word=given.type != "punctuation",
        confidence=given.confidence,
    )
