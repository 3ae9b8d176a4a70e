"""The session of an export: each client once, for all threads, and not closed under any."""

from __future__ import annotations

import pytest
from botocore.config import Config

from connect_audio_cli.export import shared_session
from connect_audio_cli.export.shared_session import SharedSession


@pytest.fixture
def session() -> SharedSession:
    return SharedSession(aws_access_key_id="testing", aws_secret_access_key="testing", region_name="eu-west-2")


def control(session: SharedSession, timeout_s: int = 5, **options: str) -> object:
    return session.client("kinesisvideo", config=Config(read_timeout=timeout_s), **options)


def test_the_same_options_give_the_same_client(session: SharedSession) -> None:
    first = control(session)

    assert control(session) is first
    assert control(session, timeout_s=6) is not first
    assert control(session, region_name="us-east-1") is not first
    assert control(session, endpoint_url="http://127.0.0.1:1") is not first


def test_a_client_outlives_a_user_that_closes_it_and_has_a_connection_for_each_call(session: SharedSession) -> None:
    client = session.client("s3")

    client.close()

    assert client.meta.config.max_pool_connections == 64
    assert client.generate_presigned_url("get_object", Params={"Bucket": "calls", "Key": "a"})


def test_the_client_that_is_longest_unused_goes(session: SharedSession, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_session, "_MOST", 2)
    first, second = control(session, 1), control(session, 2)
    assert control(session, 1) is first

    control(session, 3)

    assert control(session, 1) is first
    assert control(session, 2) is not second
