"""Where a webhook may post to: which URLs are read how, and which addresses are refused."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connect_audio.adapters.endpoint.address import Endpoint, endpoint_of, objection, permitted_addresses
from connect_audio.core.errors import SinkError


@pytest.mark.parametrize(
    ("url", "host", "port", "target", "authority"),
    [
        ("https://hooks.example.com", "hooks.example.com", 443, "/", "hooks.example.com"),
        ("HTTPS://Hooks.Example.COM./a?b=c", "hooks.example.com", 443, "/a?b=c", "hooks.example.com"),
        ("https://hooks.example.com:8443?b=c/d", "hooks.example.com", 8443, "/?b=c/d", "hooks.example.com:8443"),
        ("https://h:443/", "h", 443, "/", "h"),
        ("https://h:65535/", "h", 65535, "/", "h:65535"),
        ("https://[2001:DB8::1]:1/%2e/../x", "2001:db8::1", 1, "/%2e/../x", "[2001:db8::1]:1"),
        ("https://xn--bcher-kva.example/@x:y@z", "xn--bcher-kva.example", 443, "/@x:y@z", "xn--bcher-kva.example"),
        ("https://2130706433/", "2130706433", 443, "/", "2130706433"),
    ],
)
def test_a_url_says_host_port_and_what_is_sent(url: str, host: str, port: int, target: str, authority: str) -> None:
    endpoint = endpoint_of(url)
    assert endpoint == Endpoint(url, host, port, target)
    assert endpoint.authority == authority


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://hooks.example.com/", "does not begin with https://"),
        ("//hooks.example.com/", "does not begin with https://"),
        ("https://good.example@evil.example/", "holds a user name; what stands before an @ is no host"),
        ("https://a:b@evil.example/", "holds a user name; what stands before an @ is no host"),
        ("https://good.example\\@evil.example/", "holds a user name; what stands before an @ is no host"),
        ("https://hooks.example.com/#part", "holds a #; what follows it would never be sent"),
        ("https://bücher.example/", "holds characters beyond ASCII; write the name in its ASCII form (xn--…)"),
        ("https://hooks。example/", "holds characters beyond ASCII; write the name in its ASCII form (xn--…)"),
        ("https://", "is no https://host[:port][/path][?query] without spaces"),
        ("https:///path", "is no https://host[:port][/path][?query] without spaces"),
        ("https://a b/", "is no https://host[:port][/path][?query] without spaces"),
        ("https://a/b c", "is no https://host[:port][/path][?query] without spaces"),
        ("https://a/b\r\nX: y", "is no https://host[:port][/path][?query] without spaces"),
        ("https://a\\b/", "is no https://host[:port][/path][?query] without spaces"),
        ("https://%31%32%37.0.0.1/", "is no https://host[:port][/path][?query] without spaces"),
        ("https://[fe80::1%25eth0]/", "is no https://host[:port][/path][?query] without spaces"),
        ("https://a:port/", "is no https://host[:port][/path][?query] without spaces"),
        ("https://a:/", "is no https://host[:port][/path][?query] without spaces"),
        ("https://a..b/", "names a host with an empty part or one of more than 63 characters"),
        ("https://./", "names a host with an empty part or one of more than 63 characters"),
        (f"https://{'a' * 64}.example/", "names a host with an empty part or one of more than 63 characters"),
        ("https://[127.0.0.1]/", "holds brackets around what is no IPv6 address"),
        ("https://[::1::]/", "holds brackets around what is no IPv6 address"),
        ("https://a:0/", "names port 0; ports are 1 to 65535"),
        ("https://a:65536/", "names port 65536; ports are 1 to 65535"),
        (f"https://a/{'b' * 2000}", "has 2010 characters; at most 2000 are supported"),
    ],
)
def test_a_url_that_cannot_be_posted_to_is_refused_with_the_reason(url: str, why: str) -> None:
    with pytest.raises(SinkError) as caught:
        endpoint_of(url)
    assert str(caught.value) == (
        f"URL_REFUSED: the webhook's URL {why}. Set WEBHOOK_URL to an address such as https://example.com/calls."
    )


PUBLIC = ["8.8.8.8", "1.1.1.1", "172.32.0.1", "100.128.0.1", "192.0.0.9", "2606:4700::1111", "2a00:1450::1",
          "64:ff9b::808:808", "::ffff:8.8.8.8", "2002:808:808::1"]  # fmt: skip

REFUSED_UNLESS_PRIVATE_IS_ALLOWED = {
    "10.0.0.1": "a private address",
    "172.16.0.1": "a private address",
    "172.31.255.255": "a private address",
    "192.168.1.1": "a private address",
    "127.0.0.1": "a loopback address",
    "127.255.255.254": "a loopback address",
    "169.254.169.254": "a link-local address",
    "169.254.79.129": "a link-local address",
    "100.64.0.1": "a shared or special address",
    "100.127.255.255": "a shared or special address",
    "192.0.2.1": "a private address",
    "198.18.0.1": "a private address",
    "198.51.100.1": "a private address",
    "203.0.113.1": "a private address",
    "192.0.0.8": "a private address",
    "192.88.99.1": "a shared or special address",
    "::1": "a loopback address",
    "fe80::1": "a link-local address",
    "febf::1": "a link-local address",
    "fc00::1": "a private address",
    "fd00:ec2::254": "a private address",
    "fec0::1": "a shared or special address",
    "2001:db8::1": "a private address",
    "3fff::1": "a shared or special address",
    "2001::1": "a private address",
    "::ffff:127.0.0.1": "which stands for 127.0.0.1, a loopback address",
    "::ffff:169.254.169.254": "which stands for 169.254.169.254, a link-local address",
    "64:ff9b::a9fe:a9fe": "which stands for 169.254.169.254, a link-local address",
    "64:ff9b::a00:1": "which stands for 10.0.0.1, a private address",
    "2002:7f00:1::1": "which stands for 127.0.0.1, a loopback address",
    "2002:a00:1::": "which stands for 10.0.0.1, a private address",
}

ALWAYS_REFUSED = {
    "224.0.0.1": "a multicast address",
    "239.255.255.255": "a multicast address",
    "ff02::1": "a multicast address",
    "ff0e::1": "a multicast address",
    "0.0.0.0": "an unspecified address",  # noqa: S104 - judged, not bound
    "0.1.2.3": "an unspecified address",
    "::": "an unspecified address",
    "240.0.0.1": "a reserved address",
    "255.255.255.255": "a reserved address",
    "::127.0.0.1": "a reserved address",
    "::a00:1": "a reserved address",
    "64:ff9b:1::a00:1": "a reserved address",
    "100::1": "a reserved address",
    "4000::1": "a reserved address",
    "::ffff:0.0.0.0": "which stands for 0.0.0.0, an unspecified address",
    "::ffff:224.0.0.1": "which stands for 224.0.0.1, a multicast address",
    "64:ff9b::": "which stands for 0.0.0.0, an unspecified address",
    "2002:e000:1::": "which stands for 224.0.0.1, a multicast address",
}


@pytest.mark.parametrize("text", PUBLIC)
def test_public_addresses_may_always_be_posted_to(text: str) -> None:
    address = ip_address(text)
    assert [objection(address, allow_private=allowed) for allowed in (False, True)] == [None, None]


@pytest.mark.parametrize(("text", "what"), REFUSED_UNLESS_PRIVATE_IS_ALLOWED.items())
def test_addresses_that_are_not_public_may_be_posted_to_only_where_that_is_allowed(text: str, what: str) -> None:
    address = ip_address(text)
    assert [objection(address, allow_private=allowed) for allowed in (False, True)] == [what, None]


@pytest.mark.parametrize(("text", "what"), ALWAYS_REFUSED.items())
def test_addresses_that_are_nobodys_may_never_be_posted_to(text: str, what: str) -> None:
    address = ip_address(text)
    assert [objection(address, allow_private=allowed) for allowed in (False, True)] == [what, what]


ENDPOINT = endpoint_of("https://hooks.example.com/")


def test_one_address_that_is_refused_refuses_all() -> None:
    with pytest.raises(SinkError) as caught:
        permitted_addresses(ENDPOINT, lambda _host, _port: ["8.8.8.8", "10.0.0.7", "1.1.1.1"], allow_private=False)
    assert (caught.value.code, caught.value.retryable) == ("ADDRESS_REFUSED", False)
    assert str(caught.value) == (
        "ADDRESS_REFUSED: hooks.example.com resolves to 10.0.0.7, a private address; "
        "WEBHOOK_PRIVATE_ADDRESSES=allowed permits private addresses"
    )


def test_where_private_addresses_are_allowed_no_advice_to_allow_them_is_given() -> None:
    with pytest.raises(SinkError) as caught:
        permitted_addresses(ENDPOINT, lambda _host, _port: ["224.0.0.1"], allow_private=True)
    assert str(caught.value) == "ADDRESS_REFUSED: hooks.example.com resolves to 224.0.0.1, a multicast address"


def test_the_addresses_keep_the_resolvers_order_each_once() -> None:
    answers = ["2606:4700::1111", "8.8.8.8", "2606:4700:0:0::1111", "8.8.8.8"]
    found = permitted_addresses(ENDPOINT, lambda _host, _port: answers, allow_private=False)
    assert [str(address) for address in found] == ["2606:4700::1111", "8.8.8.8"]


@pytest.mark.parametrize("answers", [[], ["no address"], ["1.2.3.4.5"]])
def test_an_answer_without_addresses_is_worth_another_try(answers: list[str]) -> None:
    with pytest.raises(SinkError) as caught:
        permitted_addresses(ENDPOINT, lambda _host, _port: answers, allow_private=False)
    assert (caught.value.code, caught.value.retryable) == ("DNS", True)


@given(st.ip_addresses())
def test_what_may_be_posted_to_without_leave_is_never_on_a_network_of_ones_own(address: object) -> None:
    judged = ip_address(str(address))
    if objection(judged, allow_private=False) is None:
        assert objection(judged, allow_private=True) is None
        embedded = judged.version == 6 and (
            str(judged).startswith("64:ff9b::") or judged.ipv4_mapped is not None or judged.sixtofour is not None
        )
        assert embedded or (judged.is_global and not judged.is_multicast and not judged.is_reserved)


@given(st.text(alphabet="hHtTpPsS:/@[]0123456789abcdef.?#%\\ \r\nxü", max_size=40).map(lambda text: f"https://{text}"))
def test_any_text_is_either_read_or_refused(url: str) -> None:
    try:
        endpoint = endpoint_of(url)
    except SinkError:
        return
    assert endpoint.target.startswith("/")
    assert not set(endpoint.host) & set("@/\\?#[]% \r\n")
