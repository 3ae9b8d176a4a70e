"""Who may ask: this machine's own browser, with the key of this start, and no page of another site.

- The Host header must be a name of this machine: a foreign name that leads to this machine (DNS rebinding) is refused.
- The key stands in the printed address once. The answer puts it into a cookie that no script can read and that no
  other site's request carries. Another user of the machine does not know it.
- A request that a browser marks as cross-site is refused.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from email.message import Message
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie


@dataclass(frozen=True, slots=True)
class Admission:
    """The rules of one running server.

    Args:
        port: its port.
        key: its key.
    """

    port: int
    key: str

    @property
    def cookie_name(self) -> str:
        """Name of the cookie: cookies of 127.0.0.1 are shared by all its ports."""
        return f"connect_audio_{self.port}"

    def refusal(self, headers: Message) -> HTTPStatus | None:
        """Return why a request is refused before its key is looked at; None if it is not."""
        if headers.get("Host", "") not in {f"{name}:{self.port}" for name in ("127.0.0.1", "localhost")}:
            return HTTPStatus.MISDIRECTED_REQUEST
        if headers.get("Sec-Fetch-Site", "none") not in {"none", "same-origin"}:
            return HTTPStatus.FORBIDDEN
        return None

    def fits(self, key: str) -> bool:
        """Return True if this is the key."""
        return hmac.compare_digest(key.encode(), self.key.encode())

    def knows(self, headers: Message) -> bool:
        """Return True if a request carries the cookie."""
        try:
            morsel = SimpleCookie(headers.get("Cookie", "")).get(self.cookie_name)
        except CookieError:
            return False
        return morsel is not None and self.fits(morsel.value)

    @property
    def set_cookie(self) -> str:
        """The header that gives a browser the key."""
        return f"{self.cookie_name}={self.key}; HttpOnly; SameSite=Strict; Path=/"
