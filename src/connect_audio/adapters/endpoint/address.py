"""The address of an endpoint, and the addresses that it may reach: the guard against server-side request forgery.

The connection goes to the very address that was judged. The name is not resolved a second time, so a name server gains
nothing by another answer. Odd spellings of an address (`0x7f.1`, `2130706433`, `[::ffff:…]`) need no rule of their own:
the address that they resolve to is judged. Used by `connection.py`.
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
    r"(?P<scheme>https?)://(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<name>[0-9A-Za-z._-]+))(?::(?P<port>[0-9]{1,5}))?"
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
class EndpointKind:
    """The purpose of an endpoint: its name in messages, and the settings that a message advises to change.

    Args:
        name: name of the endpoint.
        url_setting: name of the setting with the URL.
        example: a URL as it may be.
        private_setting: name of the setting that allows private addresses.
        takes_clear_text: True if http:// is allowed. Even then it never reaches a public address.
    """

    name: str
    url_setting: str
    example: str
    private_setting: str
    takes_clear_text: bool = False


WEBHOOK: Final = EndpointKind("webhook", "WEBHOOK_URL", "https://example.com/calls", "WEBHOOK_PRIVATE_ADDRESSES")
WHISPER: Final = EndpointKind(
    "speech server", "WHISPER_URL", "https://api.openai.com/v1", "WHISPER_PRIVATE_ADDRESSES", takes_clear_text=True
)
TRACES: Final = EndpointKind(
    "collector",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "http://localhost:4318/v1/traces",
    "no setting",  # they always are allowed
    takes_clear_text=True,
)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The address of an endpoint.

    Args:
        url: the address as it was given.
        host: name or address that the certificate must be for, in lower case, without brackets and trailing dot.
        port: 1 to 65535.
        target: path and query.
        tls: True for https://.
        kind: its purpose.
    """

    url: str
    host: str
    port: int
    target: str
    tls: bool = True
    kind: EndpointKind = WEBHOOK

    @property
    def authority(self) -> str:
        """Host and port for the header `Host`, and for messages."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _default_port(tls=self.tls) else f"{host}:{self.port}"


def endpoint_of(url: str, kind: EndpointKind = WEBHOOK) -> Endpoint:
    """Read the address of an endpoint.

    Args:
        url: the address.
        kind: the endpoint's purpose.

    Raises:
        SinkError: `URL_REFUSED`, not retryable: nothing can be posted to the URL. The message gives the reason and does
            not repeat the URL, which may hold a token.
    """
    if not url.isascii():
        raise _refused(kind, "holds characters beyond ASCII; write the name in its ASCII form (xn--…)")
    if len(url) > _LONGEST_URL:
        raise _refused(kind, f"has {len(url)} characters; at most {_LONGEST_URL} are supported")
    schemes = ("https://", "http://") if kind.takes_clear_text else ("https://",)
    if not url.lower().startswith(schemes):
        raise _refused(kind, f"does not begin with {' or '.join(schemes)}")
    if "@" in re.split(r"[/?#]", url.partition("://")[2], maxsplit=1)[0]:
        raise _refused(kind, "holds a user name; what stands before an @ is no host")
    if "#" in url:
        raise _refused(kind, "holds a #; what follows it would never be sent")
    found = _URL.fullmatch(url)
    if found is None:
        raise _refused(kind, f"is no {schemes[0]}host[:port][/path][?query] without spaces")
    host = (found["v6"] or found["name"].removesuffix(".")).lower()
    if found["v6"] is None and not all(1 <= len(label) <= 63 for label in host.split(".")):
        raise _refused(kind, "names a host with an empty part or one of more than 63 characters")
    if found["v6"] is not None and not _is_address(host):
        raise _refused(kind, "holds brackets around what is no IPv6 address")
    tls = found["scheme"].lower() == "https"
    port = int(found["port"] or _default_port(tls=tls))
    if not 1 <= port <= 65535:
        raise _refused(kind, f"names port {port}; ports are 1 to 65535")
    target = found["target"]
    return Endpoint(url, host, port, target if target.startswith("/") else f"/{target}", tls, kind)


def _default_port(*, tls: bool) -> int:
    return 443 if tls else 80


def _refused(kind: EndpointKind, why: str) -> SinkError:
    advice = f"Set {kind.url_setting} to an address such as {kind.example}."
    return SinkError("URL_REFUSED", f"the {kind.name}'s URL {why}. {advice}", retryable=False)


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
        endpoint: the endpoint.
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
        advice = "" if allow_private else f"; {endpoint.kind.private_setting}=allowed permits private addresses"
        if what is None and not endpoint.tls and _is_public(address):
            what, advice = "a public address, which http:// would reach in clear text", "; use https://"
        if what is not None:
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
