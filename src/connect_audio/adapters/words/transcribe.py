"""The engine `transcribe`: Amazon Transcribe's streaming API behind the port of a recognizer.

The SDK comes with a layer of its own (layers/words), so it is imported only once a session is near.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from connect_audio.adapters.words.transcribe_failures import translated
from connect_audio.adapters.words.transcribe_session import QUIET_S, TranscribeSession
from connect_audio.core.errors import SinkError
from connect_audio.words.recognizer import SessionStart
from connect_audio.words.transcribe_options import TranscribeOptions

if TYPE_CHECKING:
    from botocore.session import Session

    from connect_audio.adapters.words.transcribe_connection import TranscribeConnection

RATES = range(8_000, 48_001)
"""Rates that Transcribe takes, samples a second. Beyond: `RATE`, and no session can begin."""


class TranscribeRecognizer:
    """Opens sessions.

    Args:
        options: the wishes for each session.
        session: makes botocore's session, which gives credentials, Region, AWS_CA_BUNDLE and the choice of FIPS.
        endpoint: address instead of AWS's own; None for that of AWS_ENDPOINT_URL_TRANSCRIBE_STREAMING or AWS's.
        ca_file: certificates to trust instead of the system's; None for the session's or the system's.
        quiet_s: time without audio after which a session sends silence, seconds.
    """

    engine = "transcribe"

    def __init__(
        self,
        options: TranscribeOptions,
        session: Callable[[], Session],
        *,
        endpoint: str | None = None,
        ca_file: Path | None = None,
        quiet_s: float = QUIET_S,
    ) -> None:
        self._options, self._session = options, session
        self._endpoint, self._ca_file, self._quiet_s = endpoint, ca_file, quiet_s

    def prepare(self) -> None:
        """Import the SDK and find credentials. See the port."""
        self._connection(8_000)

    def open(self, start: SessionStart) -> TranscribeSession:
        """Begin a session. See the port."""
        if start.rate not in RATES:
            raise SinkError(
                "RATE", f"Transcribe takes 8000 to 48000 samples a second, not {start.rate}", retryable=False
            )
        connection = self._connection(start.rate)
        return TranscribeSession(start, lambda: connection, quiet_s=self._quiet_s)

    def close(self) -> None:
        """Nothing is left: each session has a client of its own."""

    def _connection(self, rate: int) -> TranscribeConnection:
        try:
            # The SDK costs 0.3 s of processor time and 30 MiB, and is no part of the functions' first layer.
            from connect_audio.adapters.words.transcribe_connection import (  # noqa: PLC0415
                Credentials,
                TranscribeConnection,
            )
        except ImportError as error:
            raise SinkError(
                "NO_SDK", f"{error.name} is missing: install aws-sdk-transcribe-streaming[awscrt]", retryable=False
            ) from error
        try:
            session = self._session()
            found = session.get_credentials()
            frozen = None if found is None else found.get_frozen_credentials()
            region, ca_bundle, uses_fips = map(
                session.get_config_variable, ("region", "ca_bundle", "use_fips_endpoint")
            )
        except Exception as error:
            raise translated(error, "looking for credentials", has_begun=True) from error
        if frozen is None or not frozen.access_key or not frozen.secret_key:
            raise SinkError("NO_CREDENTIALS", "no credentials of AWS are configured", retryable=False)
        if not region and self._endpoint is None:
            raise SinkError("NO_REGION", "no Region of AWS is configured", retryable=False)
        return TranscribeConnection(
            self._options.parameters(),
            rate,
            region=region or "us-east-1",
            credentials=Credentials(access_key=frozen.access_key, secret=frozen.secret_key, token=frozen.token),
            # The SDK's own addresses know no FIPS.
            endpoint=self._endpoint
            or (f"https://transcribestreaming-fips.{region}.amazonaws.com" if uses_fips else None),
            ca_file=self._ca_file or (Path(ca_bundle) if ca_bundle else None),
        )
