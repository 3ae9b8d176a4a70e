"""The live audio of Amazon Connect calls, out of Kinesis Video Streams: for Python programs, and for S3.

    import connect_audio

    call = connect_audio.read("call.mkv")       # a GetMedia capture, or a recording of the stack
    call.customer, call.agent, call.rate        # numpy, one array a party
    connect_audio.contacts("call.mkv")          # the calls in it
    for block in connect_audio.stream(body): …  # while the call lasts

docs/analysing.md shows more. Sinks of live audio import `connect_audio.sinks` instead (docs/live.md). The Lambda
functions import this package, too, so each name is imported when it is used.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from connect_audio.core.errors import CaptureError, ConnectAudioError, MissingPackageError
    from connect_audio.core.manifest import Reason, Status
    from connect_audio.core.pcm import Party
    from connect_audio.library.call import Call, Gap, Track
    from connect_audio.library.reading import Contact, contacts, read
    from connect_audio.library.streaming import AudioBlock, stream

__all__ = [
    "AudioBlock",
    "Call",
    "CaptureError",
    "ConnectAudioError",
    "Contact",
    "Gap",
    "MissingPackageError",
    "Party",
    "Reason",
    "Status",
    "Track",
    "contacts",
    "read",
    "stream",
]

if not TYPE_CHECKING:
    # Hidden from type checkers, which would otherwise let every name pass.
    _HOMES = {
        "core.errors": ("CaptureError", "ConnectAudioError", "MissingPackageError"),
        "core.manifest": ("Reason", "Status"),
        "core.pcm": ("Party",),
        "library.call": ("Call", "Gap", "Track"),
        "library.reading": ("Contact", "contacts", "read"),
        "library.streaming": ("AudioBlock", "stream"),
    }

    def __getattr__(name):  # noqa: ANN001, ANN202 - types are above
        """Import a public name at its first use."""
        for home, names in _HOMES.items():
            if name in names:
                from importlib import import_module  # noqa: PLC0415 - the functions never come here

                value = globals()[name] = getattr(import_module(f"{__name__}.{home}"), name)
                return value
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__():  # noqa: ANN202 - types are above
        return [*globals(), *(name for name in __all__ if name not in globals())]
