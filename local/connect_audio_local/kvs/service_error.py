"""The errors of the emulated service. The emulator's server sends them as the real service would."""

from __future__ import annotations


class ServiceError(Exception):
    """An error of the service, as it goes over the wire.

    Attributes:
        code: the exception's name in the service model.
        status: HTTP status code, from the service model too.
        message: for people.
    """

    def __init__(self, code: str, status: int, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code, self.status, self.message = code, status, message


class FragmentNotFoundError(Exception):
    """A reader asks for what follows a fragment that never was. GetMedia says so inside a 200 body.

    Args:
        number: the fragment number of the request.
    """

    def __init__(self, number: str) -> None:
        super().__init__(f"the stream never had a fragment {number}")


def invalid_argument(message: str) -> ServiceError:
    """The request is wrong."""
    return ServiceError("InvalidArgumentException", 400, message)
