"""One stream of Amazon Transcribe through AWS's SDK: everything that knows the SDK is here.

Only a session imports this module, since the SDK takes 0.3 s of processor time and 30 MiB. Each stream gets a client of
its own: two streams of one client share an HTTP/2 connection, and Transcribe refuses the second.

The SDK's loggers write audio and words at DEBUG, so they stay at WARNING whatever the process's level.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self, override

from aws_sdk_transcribe_streaming import models
from aws_sdk_transcribe_streaming.client import AsyncTranscribeStreamingClient
from aws_sdk_transcribe_streaming.config import AsyncTranscribeStreamingConfig
from awscrt import io as crt_io
from smithy_http.aio.crt import AWSCRTHTTPClient, AWSCRTHTTPResponse

from connect_audio.adapters.words.transcribe_results import Item, Result
from connect_audio.core.pcm import PARTIES

for _name in ("aws_sdk_signers", "aws_sdk_transcribe_streaming", "smithy_aws_core", "smithy_aws_event_stream"):
    logging.getLogger(_name).setLevel(logging.WARNING)
for _name in ("smithy_core", "smithy_http", "smithy_json", "awscrt"):
    logging.getLogger(_name).setLevel(logging.WARNING)

_COMPLETION_S: Final = 1.0
"""Limit of waiting for the connection's own word on how a stream ended, seconds. Beyond: it counts as a proper end."""
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


class _Transport(AWSCRTHTTPClient):
    """The SDK's transport over awscrt, with a trust of one's own, and with failures that end a stream."""

    def __init__(self, ca_file: Path | None) -> None:
        super().__init__()
        if ca_file is not None:
            options = crt_io.TlsContextOptions()
            options.override_default_trust_store_from_path(None, str(ca_file))
            # The SDK has no public place for it.
            self._tls_ctx = crt_io.ClientTlsContext(options)

    @override
    async def _await_response(self, stream: Any) -> AWSCRTHTTPResponse:
        response = await super()._await_response(stream)
        return _Response(status=response.status, fields=response.fields, stream=stream)

    def __deepcopy__(self, memo: Any) -> Self:
        """One client has one transport."""
        return self


class _Response(AWSCRTHTTPResponse):
    @override
    async def chunks(self) -> AsyncGenerator[bytes]:
        """Give the body's chunks; the SDK's own method ends without an error if the connection breaks."""
        # A cancelled wait would cancel awscrt's future, which its own thread sets later on, and fails to.
        while chunk := await asyncio.shield(self._stream.get_next_response_chunk()):
            yield chunk
        try:
            await asyncio.wait_for(asyncio.shield(self._stream.wait_for_completion()), _COMPLETION_S)
        except TimeoutError:
            return  # The peer ended its side while this side is open.


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
