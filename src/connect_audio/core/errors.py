"""Every exception that this package raises on purpose; anything else that comes out of it is a bug.

ConnectAudioError
|-- StreamError            the bytes of a GetMedia body or of a capture
|   |-- EbmlError          not the EBML it claims to be: sizes, IDs, nesting, bounds
|   |-- MatroskaError      sound EBML, unsound Matroska: blocks, tags, tracks
|   `-- FragmentError      sound Matroska that no fragment may hold: more audio than the bound
|-- UnsupportedAudioError  a track whose samples we cannot turn into PCM
|-- CaptureError           a capture or a recording in which there is no call to read
|-- MissingPackageError    an optional package that is not installed
|-- RequestError           a Connect event or consumer payload that cannot be recorded
|-- SettingsError          the environment of a function, or an argument
|-- MediaSourceError       GetDataEndpoint, GetMedia and the archive APIs; knows whether another try may help
|-- StorageError           S3; knows whether another try may help
|-- LateRecordingError     a call that cannot be recorded after its end; carries the reason
|-- AnnouncementError      EventBridge; knows whether another try may help
`-- SinkError              a sink of live audio; knows whether another try may help
"""


class ConnectAudioError(Exception):
    """Base of all foreseen failures. Messages carry ids and numbers, never personal data."""


class StreamError(ConnectAudioError):
    """The bytes are not what GetMedia serves.

    Attributes:
        offset: position in the stream, in bytes since the first byte of the body, of the element at fault.
    """

    def __init__(self, message: str, *, offset: int) -> None:
        super().__init__(f"{message} (at byte {offset})")
        self.offset = offset


class EbmlError(StreamError):
    """An ID, a size or a nesting that RFC 8794 does not allow, or a declared size beyond our bound."""


class MatroskaError(StreamError):
    """Well-formed EBML that is no Matroska: a block, a tag or a track that does not hold together."""


class FragmentError(StreamError):
    """A fragment that exceeds what the assembly may buffer."""


class UnsupportedAudioError(ConnectAudioError):
    """A track whose samples cannot be turned into PCM."""


class CaptureError(ConnectAudioError):
    """A capture or a recording without a call to read. The message names the source, the fault and the fix."""


class MissingPackageError(ConnectAudioError, ImportError):
    """An optional package is not installed. The message names the package and how to install it."""


class RequestError(ConnectAudioError):
    """A Connect event or a consumer payload that cannot be recorded.

    Attributes:
        reason: one of the documented reason codes, for example `MALFORMED_EVENT`.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class SettingsError(ConnectAudioError):
    """A setting that is missing or out of bounds; the message names the variable, the value's bounds and the fix."""


READ_TIMEOUT = "ReadTimeoutError"
"""Code of a read that waited in vain: the connection is sound, and the stream may be silent."""


OUTSIDE_RETENTION = "OutsideRetention"
"""Code of a listing of a time that the stream no longer keeps, or never kept."""


class MediaSourceError(ConnectAudioError):
    """A Kinesis Video Streams call failed.

    Attributes:
        code: AWS's error code, for example `ResourceNotFoundException`, or `ConnectionError` for a failure below HTTP.
            A silent connection has `READ_TIMEOUT`. A listing of a time that is not kept has `OUTSIDE_RETENTION`.
        retryable: True if the same call may succeed later without a change by an operator.
    """

    def __init__(self, code: str, message: str, *, retryable: bool) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.retryable = retryable


class StorageError(ConnectAudioError):
    """An S3 call failed.

    Attributes:
        code: S3's error code, for example `NoSuchUpload`, or `ConnectionError` below HTTP.
        retryable: True if the same call may succeed later without a change by an operator.
    """

    def __init__(self, code: str, message: str, *, retryable: bool) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.retryable = retryable


class LateRecordingError(ConnectAudioError):
    """A call that has ended and cannot be recorded, or not now.

    Attributes:
        why: the reason, one of `recorder.late_recording.LateFailure`.
    """

    def __init__(self, why: str, message: str) -> None:
        super().__init__(message)
        self.why = why


class AnnouncementError(ConnectAudioError):
    """EventBridge did not take an event.

    Attributes:
        code: EventBridge's error code, or `ConnectionError` below HTTP.
        retryable: True if the same call may succeed later without a change by an operator.
    """

    def __init__(self, code: str, message: str, *, retryable: bool) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.retryable = retryable


class SinkError(ConnectAudioError):
    """A sink of live audio did not take what it was handed.

    Attributes:
        code: short and without spaces, for logs and counts: `HTTP_503`, `SlowDown`, `TIMEOUT`.
        retryable: True if the same audio may be taken later without a change by an operator.
        resend_from: position from which on the audio is to be delivered again, frames since the recording's first;
            None for the refused audio alone. Only a sink with `settled` may ask for more.
        is_fatal: True if the sink is of no more use. It is not used again in this call.
    """

    def __init__(
        self, code: str, message: str, *, retryable: bool, resend_from: int | None = None, is_fatal: bool = False
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.retryable = retryable
        self.resend_from = resend_from
        self.is_fatal = is_fatal
