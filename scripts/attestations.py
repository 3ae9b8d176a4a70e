"""The attestations that a package index publishes for wheels (PEP 740), for `make provenance`.

The index's JSON (PEP 691) names for each file the address of its provenance, if there is one. An attestation is a
signed in-toto statement about a file. This module compares the statement's file name and SHA-256 with the wheel's. It
does not verify the signature.
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urljoin, urlsplit

import urllib3
from packaging.utils import canonicalize_name

if TYPE_CHECKING:
    from scripts.sbom import Wheel

_SIMPLE: Final = "application/vnd.pypi.simple.v1+json"
_PROVENANCE: Final = "application/vnd.pypi.integrity.v1+json, application/json"
_MOST_BYTES: Final = 64 << 20
"""Longest answer that is read, bytes: the listing of a package with thousands of files has a tenth of it."""
_TIMEOUT: Final = urllib3.Timeout(connect=10, read=30)

NOT_ASKED: Final = {"state": "not asked"}
NONE_PUBLISHED: Final = {"state": "none published"}


class PackageIndexError(Exception):
    """The index does not answer as PEP 691 and PEP 740 say."""


@dataclass(frozen=True, slots=True)
class Index:
    """A package index.

    Args:
        address: its simple API; https, or http on this machine.
    """

    address: str

    def __post_init__(self) -> None:
        _check(self.address)

    def attestation(self, wheel: Wheel) -> dict[str, Any]:
        """Return what the index publishes about a wheel.

        Returns:
            Its `state`. It is `published` with `publishers` and `predicateTypes`, or `none published`. It is
            `unknown to the index` for a SHA-256 that the index does not list. It is `of another file` if an
            attestation does not name the wheel. It is `not answered` with the `cause`.
        """
        try:
            return self._attestation(wheel)
        except (PackageIndexError, urllib3.exceptions.HTTPError) as error:
            return {"state": "not answered", "cause": f"{type(error).__name__}: {error}"[:200]}

    def _attestation(self, wheel: Wheel) -> dict[str, Any]:
        page = f"{self.address.rstrip('/')}/{canonicalize_name(wheel.name)}/"
        listed = _get(page, _SIMPLE)
        try:
            (file,) = [each for each in listed["files"] if each["hashes"].get("sha256") == wheel.sha256]
            found = file.get("provenance")
        except (KeyError, TypeError, AttributeError) as error:
            raise PackageIndexError("its listing is not one of PEP 691") from error
        except ValueError:
            return {"state": "unknown to the index"}
        if not found:
            return dict(NONE_PUBLISHED)
        address = urljoin(page, str(found))
        _check(address)
        return _read(_get(address, _PROVENANCE), wheel)


def _read(provenance: Any, wheel: Wheel) -> dict[str, Any]:
    try:
        bundles = provenance["attestation_bundles"]
        statements = [
            json.loads(base64.b64decode(each["envelope"]["statement"], validate=True))
            for bundle in bundles
            for each in bundle["attestations"]
        ]
        subjects = [(each["name"], each["digest"].get("sha256")) for one in statements for each in one["subject"]]
        publishers = [
            {key: value for key, value in bundle["publisher"].items() if isinstance(value, str)} for bundle in bundles
        ]
        kinds = sorted({str(one["predicateType"]) for one in statements})
    except (AttributeError, KeyError, TypeError, ValueError, binascii.Error) as error:
        raise PackageIndexError("its provenance is not one of PEP 740") from error
    if not subjects or set(subjects) != {(wheel.file, wheel.sha256)}:
        return {"state": "of another file"}
    return {
        "state": "published",
        "publishers": publishers,
        "predicateTypes": kinds,
        "signature": "not verified",
    }


def _check(address: str) -> None:
    parts = urlsplit(address)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in {"127.0.0.1", "localhost"}):
        raise PackageIndexError("the index's address is not https")


def _get(address: str, accept: str) -> Any:
    with urllib3.PoolManager() as pool:
        answer = pool.request(
            "GET", address, headers={"Accept": accept}, timeout=_TIMEOUT, preload_content=False, redirect=False
        )
        body = answer.read(_MOST_BYTES + 1)
        answer.release_conn()
    if answer.status != 200 or len(body) > _MOST_BYTES:
        raise PackageIndexError(f"status {answer.status}, {len(body)} bytes")
    try:
        return json.loads(body)
    except ValueError as error:
        raise PackageIndexError("its answer is no JSON") from error
