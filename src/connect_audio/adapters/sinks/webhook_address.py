"""The address of a webhook, and the addresses that it may reach: the guard against server-side request forgery.

The connection goes to the very address that was judged. The name is not resolved a second time, so a name server gains
nothing by another answer. Odd spellings of an address (`0x7f.1`, `2130706433`, `[::ffff:…]`) need no rule of their own:
the address that they resolve to is judged. Used by `webhook_connection.py`.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from connect_audio.core.errors import SinkError

type Address = IPv4Address | IPv6Address
type Resolver = Callable[[str, int], Sequence[str]]
"""Turns a host and a port into addresses in text; raises OSError where it cannot."""

_URL: Final = re.compile(
    r"https://(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<name>[0-9A-Za-z._-]+))(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<target>(?:[/?][!\"$-~]*)?)",
    re.ASCII | re.IGNORECASE,
)
_LONGEST_URL: Final = 2000

# Special-purpose addresses of IANA that `ipaddress` calls global, although no public service is there.
_NOT_PUBLIC: Final = (
    ip_network("192.88.99.0/24"),  # anycast relays of 6to4 (RFC 7526)
    ip_network("3fff::/20"),  # documentation (RFC 9637)
)
# All global unicast addresses (RFC 4291, section 2.4); no others have been assigned.
_GLOBAL_UNICAST_V6: Final = IPv6Network("2000::/3")
_NAT64: Final = IPv6Network("64:ff9b::/96")  # RFC 6052; what DNS64 answers in subnets with IPv6 alone


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The receiver's address.

    Args:
        url: the address as it was given.
        host: name or address that the certificate must be for, in lower case, without brackets and trailing dot.
        port: 1 to 65535.
        target: path and query.
    """

    url: str
    host: str
    port: int
    target: str

    @property
    def authority(self) -> str:
        """Host and port for the header `Host`, and for messages."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == 443 else f"{host}:{self.port}"


def endpoint_of(url: str) -> Endpoint:
    """Read the address of a webhook.

    Raises:
        SinkError: `URL_REFUSED`, not retryable: nothing can be posted to the URL. The message gives the reason and does
            not repeat the URL, which may hold a token.
    """
    if not url.isascii():
        raise _refused("holds characters beyond ASCII; write the name in its ASCII form (xn--…)")
    if len(url) > _LONGEST_URL:
        raise _refused(f"has {len(url)} characters; at most {_LONGEST_URL} are supported")
    if not url.lower().startswith("https://"):
        raise _refused("does not begin with https://")
    if "@" in re.split(r"[/?#]", url[len("https://") :], maxsplit=1)[0]:
        raise _refused("holds a user name; what stands before an @ is no host")
    if "#" in url:
        raise _refused("holds a #; what follows it would never be sent")
    found = _URL.fullmatch(url)
    if found is None:
        raise _refused("is no https://host[:port][/path][?query] without spaces")
    host = (found["v6"] or found["name"].removesuffix(".")).lower()
    if found["v6"] is None and not all(1 <= len(label) <= 63 for label in host.split(".")):
        raise _refused("names a host with an empty part or one of more than 63 characters")
    if found["v6"] is not None and not _is_address(host):
        raise _refused("holds brackets around what is no IPv6 address")
    port = int(found["port"] or 443)
    if not 1 <= port <= 65535:
        raise _refused(f"names port {port}; ports are 1 to 65535")
    target = found["target"]
    return Endpoint(url, host, port, target if target.startswith("/") else f"/{target}")


def _refused(why: str) -> SinkError:
    advice = "Set WEBHOOK_URL to an address such as https://example.com/calls."
    return SinkError("URL_REFUSED", f"the webhook's URL {why}. {advice}", retryable=False)


def resolve_by_system(host: str, port: int) -> Sequence[str]:
    """Ask the system (getaddrinfo), which may take long and cannot be interrupted.

    Raises:
        OSError: there is no answer.
    """
    answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(sockaddr[0]) for _, _, _, _, sockaddr in answers]


def permitted_addresses(endpoint: Endpoint, resolve: Resolver, *, allow_private: bool) -> tuple[Address, ...]:
    """Resolve the host and judge everything that it resolves to.

    Args:
        endpoint: the receiver.
        resolve: the resolver.
        allow_private: True if addresses that are not public are allowed.

    Returns:
        The addresses to connect to, in the resolver's order, each once.

    Raises:
        SinkError: `DNS`, retryable: there is no answer. `ADDRESS_REFUSED`, not retryable: one of the addresses may not
            be posted to, even if others may.
    """
    try:
        texts = resolve(endpoint.host, endpoint.port)
        addresses = tuple(dict.fromkeys(ip_address(text) for text in texts))
    except (OSError, ValueError) as exc:  # ValueError: a name that IDNA cannot encode, or an answer that is no address
        raise SinkError("DNS", f"{endpoint.host} could not be resolved ({type(exc).__name__})", retryable=True) from exc
    if not addresses:
        raise SinkError("DNS", f"{endpoint.host} resolves to nothing", retryable=True)
    for address in addresses:
        what = objection(address, allow_private=allow_private)
        if what is not None:
            advice = "" if allow_private else "; WEBHOOK_PRIVATE_ADDRESSES=allowed permits private addresses"
            raise SinkError(
                "ADDRESS_REFUSED", f"{endpoint.host} resolves to {address}, {what}{advice}", retryable=False
            )
    return addresses


def objection(address: Address, *, allow_private: bool) -> str | None:
    """Find the reason for which an address may not be posted to.

    Args:
        address: the address; an embedded IPv4 address is judged in its place.
        allow_private: True if private, loopback, link-local and shared addresses are allowed.

    Returns:
        The address's kind in words, or None if posting to it is allowed.
    """
    embedded = _embedded(address)
    if embedded is not None:
        inner = objection(embedded, allow_private=allow_private)
        return None if inner is None else f"which stands for {embedded}, {inner}"
    if address.is_multicast:
        return "a multicast address"
    if address.is_unspecified or (address.version == 4 and address in ip_network("0.0.0.0/8")):
        return "an unspecified address"
    if address.is_reserved and not address.is_loopback:  # ::1 is both
        return "a reserved address"
    if _is_public(address) or allow_private:
        return None
    return f"{_kind(address)} address"


def _is_public(address: Address) -> bool:
    if address.version == 6 and address not in _GLOBAL_UNICAST_V6:
        return False
    return address.is_global and not any(address in network for network in _NOT_PUBLIC)


def _kind(address: Address) -> str:
    if address.is_loopback:
        return "a loopback"
    if address.is_link_local:
        return "a link-local"
    return "a private" if address.is_private else "a shared or special"


def _embedded(address: Address) -> IPv4Address | None:
    """The IPv4 address that packets to this one end up at: mapped, 6to4 or NAT64."""
    if isinstance(address, IPv4Address):
        return None
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour


def _is_address(text: str) -> bool:
    try:
        return ip_address(text).version == 6
    except ValueError:
        return False
