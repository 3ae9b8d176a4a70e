"""Questions to AWS: short time limits, each question asked once, clients made one at a time.

How it works: checks run in threads of their own and share answers, for example the instance's storage configuration.
The first thread that asks leaves a future; every later one waits for it and gets the same answer, or the same error.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any, Final

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

_CONFIG: Final = Config(connect_timeout=3, read_timeout=5, retries={"total_max_attempts": 2, "mode": "standard"})
"""A question takes some 17 s at most: two attempts, each 3 s to connect and 5 s for the answer."""
_DENIED: Final = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "AuthorizationError",
        "Forbidden",
        "403",
        "NotAuthorized",
        "NotAuthorizedException",
        "UnauthorizedOperation",
    }
)
_ABSENT: Final = frozenset({"404", "NoSuchBucket", "NoSuchEntity", "NotFoundException", "ResourceNotFoundException"})


class Aws:
    """The account, as the credentials see it.

    Args:
        session: credentials and region.
    """

    def __init__(self, session: boto3.Session) -> None:
        self.session: Final = session
        """Credentials and region. One thread at a time may make a client with it."""
        self._making = threading.Lock()
        self._clients: dict[str, Any] = {}
        self._answers: dict[str, Future[Any]] = {}

    @property
    def region(self) -> str:
        """The session's region; empty if none is set."""
        return self.session.region_name or ""

    @property
    def account(self) -> str:
        """The account's number that the credentials belong to. The question needs no right.

        Raises:
            ClientError: AWS refused, as for expired credentials.
            BotoCoreError: AWS did not answer.
        """
        return str(self.ask("sts", "get_caller_identity")["Account"])

    def ask(self, service: str, operation: str, **parameters: Any) -> Mapping[str, Any]:
        """Call an operation once and return its answer.

        Args:
            service: boto3's name of the service.
            operation: boto3's name of the operation.
            parameters: the operation's own.

        Raises:
            ClientError: AWS refused.
            BotoCoreError: AWS did not answer.
        """

        def call() -> Mapping[str, Any]:
            answer: Mapping[str, Any] = getattr(self._client(service), operation)(**parameters)
            return answer

        return self._once(f"{service} {operation} {sorted(parameters.items())}", call)  # type: ignore[no-any-return]

    def listed(self, service: str, operation: str, member: str, **parameters: Any) -> list[Any]:
        """Call a listing once, with all its pages, and return the entries of `member`.

        Raises:
            ClientError: AWS refused.
            BotoCoreError: AWS did not answer.
        """

        def call() -> list[Any]:
            pages = self._client(service).get_paginator(operation).paginate(**parameters)
            return [entry for page in pages for entry in page.get(member, ())]

        return self._once(f"{service} {operation} {sorted(parameters.items())}", call)  # type: ignore[no-any-return]

    def close(self) -> None:
        """Close the connections."""
        with self._making:
            for client in self._clients.values():
                client.close()

    def _client(self, service: str) -> Any:
        # boto3's sessions are not safe for threads; its clients are.
        with self._making:
            if service not in self._clients:
                make: Any = self.session.client
                self._clients[service] = make(service, config=_CONFIG)
            return self._clients[service]

    def _once(self, question: str, call: Callable[[], Any]) -> Any:
        mine: Future[Any] = Future()
        answer = self._answers.setdefault(question, mine)
        if answer is mine:
            try:
                mine.set_result(call())
            except BaseException as error:  # noqa: BLE001 - it is raised to everyone who asked
                mine.set_exception(error)
        return answer.result()


def code_of(error: ClientError) -> str:
    """Return AWS's code of an error."""
    return str(error.response.get("Error", {}).get("Code", "an error"))


def is_denied(error: ClientError) -> bool:
    """Return True if a right is missing."""
    return code_of(error) in _DENIED


def is_absent(error: ClientError) -> bool:
    """Return True if the thing that was asked for does not exist."""
    return code_of(error) in _ABSENT
