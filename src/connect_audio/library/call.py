"""A call in memory: what `connect_audio.read` returns.

How it works: a `Call` holds the stereo samples once, as one `bytearray` of 4 bytes a frame: 115 MB an hour at 8 kHz.
Everything else is made of them on demand. `customer` and `agent` are kept after their first use, 115 MB an hour each.
`arrays.py` makes the numpy arrays, so numpy is imported only when an array is wanted.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, overload

from connect_audio.core.errors import CaptureError
from connect_audio.core.manifest import Reason, Status
from connect_audio.core.pcm import FRAME_BYTES, PARTIES, SAMPLE_BYTES, Party, channel
from connect_audio.core.wav import MAX_DATA_BYTES, wav_header

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from pydub import AudioSegment

_PIECE_BYTES: Final = FRAME_BYTES * 8192
"""Stereo samples that are split at a time: 32 KiB stay in the processor's cache, three times as fast as 1 MiB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """A time when one party has no audio; the samples are zeros there.

    Args:
        party: the party whose audio is missing.
        start_frame: the first frame, counted from the start of the call.
        frames: the length, frames.
        start_seconds: the start, seconds from the start of the call.
        seconds: the length, seconds.
        missing_fragments: fragments missing there by their numbers; None if the numbers do not show it.
    """

    party: Party
    start_frame: int
    frames: int
    start_seconds: float
    seconds: float
    missing_fragments: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """How much audio one party has.

    Args:
        audio_samples: samples that were received.
        silence_samples: samples that are zeros because nothing was received.
        gap_count: how many times nothing was received.
    """

    audio_samples: int
    silence_samples: int
    gap_count: int

    @property
    def empty(self) -> bool:
        """True if nothing at all was received of this party."""
        return self.audio_samples == 0


class Call:
    """One call: both parties' audio on one clock, and what is known about it.

    The customer is the left channel and row 0, the agent the right channel and row 1. Both are always there and equally
    long. Samples that were not received are zero; `mask` separates them from received silence.

    Example:
        >>> import connect_audio
        >>> call = connect_audio.read("call.mkv")
        >>> call
        <Call 00000000-0000-4000-8000-000000000001: 30.000 s at 8000 Hz, complete>
        >>> len(call.stereo), len(call.pcm("agent"))
        (960000, 480000)
        >>> call.to_numpy().shape, call.mask("agent").all()
        ((2, 240000), np.True_)

    Attributes:
        contact_id: the call's contact id.
        manifest: the manifest, equal to the JSON that `connect-audio replay` writes (docs/manifest.md).
        gaps: all gaps in order of time; for a WAV the gaps that its manifest lists.
        other_contacts: further contacts in the same capture, at most 100; read them with `contact_id=`.
    """

    def __init__(
        self,
        stereo: bytearray,
        manifest: dict[str, Any],
        *,
        gaps: tuple[Gap, ...],
        other_contacts: tuple[str, ...] = (),
    ) -> None:
        self._stereo = stereo
        self.contact_id: str = manifest["contactId"]
        self.manifest = manifest
        self.gaps = gaps
        self.other_contacts = other_contacts

    def __repr__(self) -> str:
        return f"<Call {self.contact_id}: {self.duration:.3f} s at {self.rate} Hz, {self.status}>"

    @property
    def rate(self) -> int:
        """Samples a second; 8000 for Amazon Connect."""
        return int(self.manifest["recording"]["sampleRate"])

    @property
    def frames(self) -> int:
        """Length in frames: samples of each party."""
        return len(self._stereo) // FRAME_BYTES

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return self.frames / self.rate

    @property
    def start(self) -> datetime | None:
        """Time of the first frame, UTC, to the millisecond; None if the capture's clock is beyond the calendar."""
        text = self.manifest["recording"]["startTime"]
        return None if text is None else datetime.fromisoformat(text)

    @property
    def status(self) -> Status:
        """`"complete"`, or `"partial"` where audio is missing; `reasons` says what."""
        return Status(self.manifest["status"])

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """Why the call is partial, each with `code` and `detail` (docs/manifest.md); empty for a complete one."""
        return tuple(Reason(reason["code"], reason["detail"]) for reason in self.manifest["reasons"])

    @property
    def tracks(self) -> Mapping[str, Track]:
        """How much audio each party has: `call.tracks["agent"].empty` separates a dead track from a quiet agent."""
        tracks = self.manifest["tracks"]
        return {
            party: Track(
                audio_samples=tracks[party]["audioSamples"],
                silence_samples=tracks[party]["silenceSamples"],
                gap_count=tracks[party]["gapCount"],
            )
            for party in PARTIES
        }

    @property
    def stereo(self) -> memoryview:
        """Both parties' samples: 16-bit little-endian, interleaved, customer first. Read-only and not copied."""
        return memoryview(self._stereo).toreadonly()

    def pcm(self, party: str) -> bytes:
        """Return one party's samples: 16-bit little-endian, as many as the call has frames.

        Args:
            party: `"customer"` or `"agent"`.

        Raises:
            ValueError: `party` is neither.
        """
        return b"".join(self._mono_pieces(as_party(party)))

    def write_wav(self, path: str | os.PathLike[str], party: str | None = None) -> None:
        """Write a 16-bit WAV; a file of that name is replaced.

        Args:
            path: the file's path.
            party: `"customer"` or `"agent"` for a mono file; None for stereo, the customer on the left.

        Raises:
            ValueError: `party` is neither, or the samples do not fit a WAV (4 GiB).
            OSError: the file cannot be written.
        """
        channels = 2 if party is None else 1
        pieces = iter([self.stereo]) if party is None else self._mono_pieces(as_party(party))
        data_bytes = self.frames * SAMPLE_BYTES * channels
        if data_bytes > MAX_DATA_BYTES:
            raise ValueError(f"{path}: {data_bytes} bytes of samples do not fit a WAV, which holds {MAX_DATA_BYTES}")
        with Path(path).open("wb") as file:
            file.write(wav_header(data_bytes=data_bytes, rate=self.rate, channels=channels))
            file.writelines(pieces)

    def to_pydub(self) -> AudioSegment:
        """Return a stereo `pydub.AudioSegment` with a copy of the samples; `split_to_mono()` gives customer, agent."""
        with warnings.catch_warnings():
            # pydub looks for ffmpeg, which only other formats than WAV need.
            warnings.simplefilter("ignore", RuntimeWarning)
            from pydub import AudioSegment  # noqa: PLC0415 - only who uses pydub pays for its import

        return AudioSegment(
            data=bytes(self._stereo), sample_width=SAMPLE_BYTES, frame_rate=self.rate, channels=len(PARTIES)
        )

    @cached_property
    def customer(self) -> NDArray[np.float32]:
        """The customer's voice: 1-D, contiguous, float32 in [-1, 1). Made at the first use and kept.

        Raises:
            MissingPackageError: numpy is not installed.
        """
        return self._floats(Party.CUSTOMER)

    @cached_property
    def agent(self) -> NDArray[np.float32]:
        """The agent's voice, with the prompts and music played to the customer. As `customer`."""
        return self._floats(Party.AGENT)

    def mask(self, party: str) -> NDArray[np.bool_]:
        """Separate received samples from filled ones.

        Args:
            party: `"customer"` or `"agent"`.

        Returns:
            One bool a frame: True where audio was received, False where the zeros stand for nothing. Exact.

        Raises:
            ValueError: `party` is neither.
            CaptureError: a recording was read whose manifest does not list all gaps, so the mask cannot be exact.
            MissingPackageError: numpy is not installed.
        """
        from connect_audio.library import arrays  # noqa: PLC0415 - see the module's docstring

        chosen = as_party(party)
        unlisted = self.manifest["gaps"]["count"] - len(self.gaps)
        if unlisted > 0:
            raise CaptureError(
                f"the manifest of {self.contact_id} does not list {unlisted} of its {self.manifest['gaps']['count']} "
                "gaps, so a mask would be wrong: read the capture itself"
            )
        return arrays.mask(self.frames, [(gap.start_frame, gap.frames) for gap in self.gaps if gap.party is chosen])

    @overload
    def to_numpy(
        self,
        *,
        dtype: Literal["float32"] = ...,
        layout: Literal["channels_first", "frames_first"] = ...,
        rate: int | None = ...,
    ) -> NDArray[np.float32]: ...

    @overload
    def to_numpy(
        self,
        *,
        dtype: Literal["float64"],
        layout: Literal["channels_first", "frames_first"] = ...,
        rate: int | None = ...,
    ) -> NDArray[np.float64]: ...

    @overload
    def to_numpy(
        self,
        *,
        dtype: Literal["int16"],
        layout: Literal["channels_first", "frames_first"] = ...,
        rate: int | None = ...,
    ) -> NDArray[np.int16]: ...

    def to_numpy(
        self,
        *,
        dtype: Literal["float32", "float64", "int16"] = "float32",
        layout: Literal["channels_first", "frames_first"] = "channels_first",
        rate: int | None = None,
    ) -> NDArray[Any]:
        """Return a fresh array of both parties, also where one of them is empty.

        Args:
            dtype: `"float32"` or `"float64"`, scaled by 1/32768 into [-1, 1). Or `"int16"`, the samples as they are,
                for storage only: arithmetic wraps, and several tools read it 90 dB too loud.
            layout: `"channels_first"` is (2, n), row 0 the customer, row 1 the agent; `"frames_first"` is (n, 2), as
                soundfile and pyloudnorm want it. Either is contiguous.
            rate: resample to this rate, by one polyphase filter over the whole call; None for `Call.rate`. The result
                has n * rate / `Call.rate` frames, rounded up. It holds nothing above half of `Call.rate`. Loudness and
                MFCC differ a little between rates: use one rate for a whole study. Resampled values may exceed 1.

        Raises:
            ValueError: another dtype, layout or rate; or resampled int16, which does not exist here.
            MissingPackageError: numpy is not installed; scipy is not, and `rate` is wanted.
        """
        from connect_audio.library import arrays  # noqa: PLC0415 - see the module's docstring

        return arrays.both(self._stereo, self.rate, dtype=dtype, layout=layout, new_rate=rate)

    def _floats(self, party: Party) -> NDArray[np.float32]:
        from connect_audio.library import arrays  # noqa: PLC0415 - see the module's docstring

        return arrays.one(self._stereo, PARTIES.index(party))

    def _mono_pieces(self, party: Party) -> Iterator[bytes]:
        index = PARTIES.index(party)
        with memoryview(self._stereo) as view:
            for at in range(0, len(view), _PIECE_BYTES):
                yield channel(bytes(view[at : at + _PIECE_BYTES]), index)


def as_party(party: str) -> Party:
    """Check a party's name.

    Raises:
        ValueError: the name is neither `"customer"` nor `"agent"`.
    """
    try:
        return Party(party)
    except ValueError:
        raise ValueError(f'party must be "customer" or "agent", not {party!r}') from None
