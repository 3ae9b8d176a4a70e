"""The format of a track's samples, from the tag MimeType and from its TrackEntry.

Connect declares `A_AAC` and sends PCM; the truth is the tag `MimeType = audio/L16;rate=8000;channels=1;`
(docs/architecture.md). Other producers write no MimeType and declare the codec that they send. Audio that is neither
16-bit PCM nor G.711 is refused by its name and never read as PCM. `core/tracks.py` uses it.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from typing import Final

from connect_audio.core.errors import UnsupportedAudioError
from connect_audio.core.matroska import TrackEntry
from connect_audio.core.pcm import MAX_RATE, MIN_RATE, Encoding, PcmFormat
from connect_audio.text import printable
from connect_audio.values import dataclass

_CONNECT_RATE: Final = 8_000
_MAX_SHOWN: Final = 40
"""Characters of a CodecID or a MimeType in messages; RFC 6838 allows 127, and real ones have below 30."""

_MAX_DIGITS: Final = 20
"""Digits of a rate that are read: one more makes no rate that is supported, and messages stay short."""

_MIME: Final = re.compile(r"\s*audio/([^;\s]*)\s*((?:;[^;]*)*)", re.IGNORECASE)
_BY_SUBTYPE: Final[Mapping[str, Encoding]] = {
    "l16": Encoding.S16LE,
    # RFC 2046 and 4856. GStreamer and Android write the names behind them.
    "basic": Encoding.MULAW,
    "pcmu": Encoding.MULAW,
    "mulaw": Encoding.MULAW,
    "x-mulaw": Encoding.MULAW,
    "g711-mlaw": Encoding.MULAW,
    "pcma": Encoding.ALAW,
    "alaw": Encoding.ALAW,
    "x-alaw": Encoding.ALAW,
    "g711-alaw": Encoding.ALAW,
}
"""The MimeTypes of samples. Connect's `audio/L16` is little-endian, whatever RFC 2586 says."""
_BY_CODEC: Final[Mapping[str, Encoding]] = {
    "A_PCM/INT/LIT": Encoding.S16LE,
    "A_PCM/INT/BIG": Encoding.S16BE,
    "A_MULAW": Encoding.MULAW,
    "A_ULAW": Encoding.MULAW,
    "A_PCMU": Encoding.MULAW,
    "A_ALAW": Encoding.ALAW,
    "A_PCMA": Encoding.ALAW,
}
_ACM: Final = "A_MS/ACM"
_WAVEFORMATEX: Final = struct.Struct("<HHIIHH")
_BY_FORMAT_TAG: Final[Mapping[int, Encoding]] = {1: Encoding.S16LE, 6: Encoding.ALAW, 7: Encoding.MULAW}
_EXTENSIBLE: Final = 0xFFFE
_SUB_FORMAT: Final = slice(24, 26)
"""Place of the format tag in a WAVEFORMATEXTENSIBLE: the first bytes of its SubFormat."""


@dataclass(frozen=True, slots=True)
class _Claim:
    """A format as one place declares it, unchecked.

    Args:
        encoding: form of a sample.
        rate: samples a second, as text; None where the place names none.
        channels: channels, as text; None where the place names none.
        bits: bits of a sample; None where the place names none.
    """

    encoding: Encoding
    rate: str | None = None
    channels: str | None = None
    bits: int | None = None


def pcm_format(entry: TrackEntry, mime_type: str | None, *, connect_names_it: bool) -> PcmFormat:
    """Find the format of a track's samples.

    The MimeType decides, then the codec. A rate or a number of channels that the deciding place does not name comes
    from the Audio master.

    Args:
        entry: the track.
        mime_type: the fragment's MimeType tag, None where absent.
        connect_names_it: True if the track has one of Connect's names. Only such a track of codec `A_AAC` without a
            MimeType is PCM: Connect's one format.

    Raises:
        UnsupportedAudioError: the samples cannot be decoded. The message names the codec.
    """
    claim = _by_mime_type(entry, mime_type) or _by_codec(entry)
    if claim is None and entry.codec_id == "A_AAC" and mime_type is None and connect_names_it:
        claim = _connect_s_own(entry)
    if claim is None:
        raise UnsupportedAudioError(f"{_shown(entry, mime_type)}, neither 16-bit PCM nor G.711")
    if claim.bits not in {None, 8 * claim.encoding.sample_bytes}:
        raise UnsupportedAudioError(f"{_shown(entry, mime_type)}, samples of {claim.bits} bits")
    rate = _first(claim.rate, _rate_text(entry), str(_CONNECT_RATE))
    return _checked(rate, _first(claim.channels, str(entry.channels or 1)), claim.encoding)


def claims_disagree(entry: TrackEntry, mime_type: str | None) -> bool:
    """Return True if MimeType, codec and Audio master name different rates, channels or forms of a sample."""
    by_mime_type, by_codec = _by_mime_type(entry, mime_type), _by_codec(entry)
    claims = [claim for claim in (by_mime_type, by_codec) if claim is not None]
    if not claims:
        return False
    claims.append(_Claim(claims[0].encoding, _rate_text(entry), str(entry.channels) if entry.channels else None))
    encodings = {claim.encoding for claim in claims}
    rates = {claim.rate for claim in claims} - {None}
    channels = {claim.channels for claim in claims} - {None}
    bits = {claim.bits for claim in claims} - {None, 8 * claims[0].encoding.sample_bytes}
    return max(len(encodings), len(rates), len(channels)) > 1 or bool(bits)


def _by_mime_type(entry: TrackEntry, mime_type: str | None) -> _Claim | None:
    match = _MIME.fullmatch(mime_type) if mime_type else None
    encoding = _BY_SUBTYPE.get(match[1].lower()) if match else None
    if match is None or encoding is None:
        return None
    if encoding is Encoding.S16LE and entry.codec_id == "A_PCM/INT/BIG":
        # The MimeType names no order of the bytes, and this codec does.
        encoding = Encoding.S16BE
    parameters = dict(part.strip().lower().partition("=")[::2] for part in match[2].split(";") if part.strip())
    return _Claim(encoding, parameters.get("rate"), parameters.get("channels"))


def _by_codec(entry: TrackEntry) -> _Claim | None:
    if entry.codec_id == _ACM:
        return _by_wave_format(entry.codec_private)
    encoding = _BY_CODEC.get(entry.codec_id.upper())
    return None if encoding is None else _Claim(encoding, bits=entry.bit_depth if encoding.sample_bytes > 1 else None)


def _by_wave_format(codec_private: bytes) -> _Claim | None:
    """Read the WAVEFORMATEX of a track in Microsoft's Audio Compression Manager form."""
    if len(codec_private) < _WAVEFORMATEX.size:
        return None
    tag, channels, rate, _, _, bits = _WAVEFORMATEX.unpack_from(codec_private)
    if tag == _EXTENSIBLE:
        tag = int.from_bytes(codec_private[_SUB_FORMAT], "little")
    encoding = _BY_FORMAT_TAG.get(tag)
    return None if encoding is None else _Claim(encoding, str(rate), str(channels), bits or None)


def _connect_s_own(entry: TrackEntry) -> _Claim | None:
    """Connect's format, unless the Audio master shows that the track is what its codec says."""
    if _rate_text(entry) not in {None, str(_CONNECT_RATE)} or entry.channels not in {None, 1}:
        return None
    return _Claim(Encoding.S16LE)


def _first(*values: str | None) -> str:
    return next(value for value in values if value is not None)


def _rate_text(entry: TrackEntry) -> str | None:
    return None if entry.sampling_frequency is None else f"{entry.sampling_frequency:.0f}"


def _shown(entry: TrackEntry, mime_type: str | None) -> str:
    codec = f"codec {printable(entry.codec_id, _MAX_SHOWN)}" if entry.codec_id else "no codec"
    if entry.codec_id == _ACM and len(entry.codec_private) > 1:
        codec += f" with format tag {int.from_bytes(entry.codec_private[:2], 'little')}"
    if mime_type is None:
        return f"{codec} without a MimeType"
    return f"{codec} and MimeType {printable(mime_type.strip(), _MAX_SHOWN)}"


def _checked(rate: str, channels: str, encoding: Encoding) -> PcmFormat:
    try:
        pcm = PcmFormat(int(rate[:_MAX_DIGITS]), int(channels[:_MAX_DIGITS]), encoding)
    except ValueError as error:
        shown = f"rate '{printable(rate, _MAX_DIGITS)}' and channels '{printable(channels, _MAX_DIGITS)}'"
        raise UnsupportedAudioError(f"audio format with {shown}") from error
    if not MIN_RATE <= pcm.rate <= MAX_RATE:
        raise UnsupportedAudioError(f"audio at {pcm.rate} Hz; {MIN_RATE} to {MAX_RATE} Hz are supported")
    if pcm.channels not in {1, 2}:
        raise UnsupportedAudioError(f"audio of {pcm.channels} channels in one track; 1 and 2 are supported")
    return pcm
