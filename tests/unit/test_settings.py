from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest

from connect_audio.core.errors import SettingsError
from connect_audio.settings import (
    ConsumerSettings,
    LiveSettings,
    TriggerSettings,
    is_tracing_on,
    variables,
    variables_set,
)
from connect_audio.words.transcribe_options import TranscribeOptions

TRIGGER = {"RECORDINGS_BUCKET": "calls.example", "CONSUMER_FUNCTION": "consumer:live"}
CONSUMER = {"RECORDINGS_BUCKET": "calls.example"}
ALIAS_ARN = "arn:aws:lambda:eu-west-2:111122223333:function:audio-Consumer_1:live"
KEY_ARN = "arn:aws:kms:eu-west-2:111122223333:key/0f5c7a3e-1b2d-4c6f-9a8e-3d4b5c6a7f80"


def test_the_trigger_needs_a_bucket_and_the_consumer_alone() -> None:
    assert TriggerSettings.from_environment(TRIGGER) == TriggerSettings(
        recordings_bucket="calls.example", recordings_prefix="recordings", consumer_function="consumer:live"
    )


def test_the_consumer_needs_a_bucket_alone() -> None:
    assert ConsumerSettings.from_environment(CONSUMER) == ConsumerSettings(
        recordings_bucket="calls.example",
        recordings_prefix="recordings",
        recordings_kms_key_arn=None,
        drain_seconds=30,
        idle_limit_seconds=600,
        connected_limit_seconds=14_400,
        read_timeout_seconds=10,
        deadline_margin_seconds=60,
        recording_limit_hours=47,
        status_interval_seconds=60,
        event_bus_name=None,
    )


def test_without_a_mapping_the_environment_of_the_process_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in {each.name for each in variables(TriggerSettings)}:
        monkeypatch.delenv(name, raising=False)
    for name, value in TRIGGER.items():
        monkeypatch.setenv(name, value)
    assert TriggerSettings.from_environment().consumer_function == "consumer:live"


@pytest.mark.parametrize("settings", [TriggerSettings, ConsumerSettings])
def test_a_missing_bucket_is_named_with_its_form_and_the_fix(settings: type[Any]) -> None:
    with pytest.raises(SettingsError) as caught:
        settings.from_environment({})
    assert str(caught.value) == (
        "RECORDINGS_BUCKET is not set; it must be an S3 bucket name (3 to 63 lower-case letters, digits, dots and "
        "hyphens). Set it to the name of the bucket, without s3://."
    )


def test_an_empty_variable_counts_as_unset() -> None:
    settings = ConsumerSettings.from_environment({**CONSUMER, "RECORDINGS_KMS_KEY_ARN": "", "DRAIN_SECONDS": ""})
    assert (settings.recordings_kms_key_arn, settings.drain_seconds) == (None, 30)
    with pytest.raises(SettingsError, match="CONSUMER_FUNCTION is not set"):
        TriggerSettings.from_environment({**TRIGGER, "CONSUMER_FUNCTION": ""})


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("DRAIN_SECONDS", 1, 300),
        ("IDLE_LIMIT_SECONDS", 10, 86_400),
        ("CONNECTED_LIMIT_SECONDS", 10, 86_400),
        ("READ_TIMEOUT_SECONDS", 1, 60),
        ("DEADLINE_MARGIN_SECONDS", 5, 600),
        ("RECORDING_LIMIT_HOURS", 1, 47),
        ("STATUS_INTERVAL_SECONDS", 0, 3_600),
    ],
)
def test_a_number_is_taken_up_to_its_bounds_and_no_further(name: str, low: int, high: int) -> None:
    # Each bound of the socket timeout must stay below the margin, whichever is under test.
    around = {**CONSUMER, "READ_TIMEOUT_SECONDS": "1", "DEADLINE_MARGIN_SECONDS": "600"}
    for value in (low, high):
        assert getattr(ConsumerSettings.from_environment({**around, name: str(value)}), name.lower()) == value
    for value in (low - 1, high + 1):
        with pytest.raises(SettingsError, match=rf"^{name} is '{value}'; it must be a whole number of \w+, {low} to"):
            ConsumerSettings.from_environment({**around, name: str(value)})


@pytest.mark.parametrize("text", ["soon", "1e1", "30.0", " 30", "+30", "\u0663\u0660", "0x1e", "9" * 5000])
def test_what_is_no_plain_decimal_number_is_refused_with_the_setting_s_name(text: str) -> None:
    with pytest.raises(SettingsError, match=r"^DRAIN_SECONDS is "):
        ConsumerSettings.from_environment({**CONSUMER, "DRAIN_SECONDS": text})


def test_a_long_value_is_shortened_in_the_message() -> None:
    with pytest.raises(SettingsError) as caught:
        ConsumerSettings.from_environment({"RECORDINGS_BUCKET": "x" * 5000})
    assert "(5000 characters)" in str(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    "bucket", ["ab", "Upper", "-calls", "calls-", "a..b", "192.168.0.1", "s3://calls", "calls/x", "a" * 64, "calls\n"]
)
def test_what_is_no_bucket_name_is_refused(bucket: str) -> None:
    with pytest.raises(SettingsError, match=r"^RECORDINGS_BUCKET is "):
        ConsumerSettings.from_environment({"RECORDINGS_BUCKET": bucket})


@pytest.mark.parametrize("prefix", ["recordings", "a", "audio/calls/2026", "a.b_c-d!"])
def test_a_prefix_may_have_inner_slashes(prefix: str) -> None:
    assert ConsumerSettings.from_environment({**CONSUMER, "RECORDINGS_PREFIX": prefix}).recordings_prefix == prefix


@pytest.mark.parametrize("prefix", ["/a", "a/", "/", "..", "a/../b", "a//b", "a b", "a*", "a\n", "ä", "x" * 201])
def test_a_prefix_that_would_leave_its_place_is_refused(prefix: str) -> None:
    with pytest.raises(SettingsError, match=r"^RECORDINGS_PREFIX is "):
        ConsumerSettings.from_environment({**CONSUMER, "RECORDINGS_PREFIX": prefix})


@pytest.mark.parametrize("function", [ALIAS_ARN, "consumer:live", "consumer:7"])
def test_the_consumer_is_named_with_a_version_or_alias(function: str) -> None:
    assert TriggerSettings.from_environment({**TRIGGER, "CONSUMER_FUNCTION": function}).consumer_function == function


@pytest.mark.parametrize(
    "function", ["consumer", ALIAS_ARN.removesuffix(":live"), "consumer:$LATEST", "consumer:", ":live", "a:b:c"]
)
def test_an_unqualified_consumer_is_refused(function: str) -> None:
    with pytest.raises(SettingsError, match=r"^CONSUMER_FUNCTION is .* with a version or alias"):
        TriggerSettings.from_environment({**TRIGGER, "CONSUMER_FUNCTION": function})


@pytest.mark.parametrize("key", ["alias/calls", KEY_ARN.replace("key/", "alias/"), KEY_ARN.split("/")[1]])
def test_a_kms_key_is_named_by_its_arn(key: str) -> None:
    settings = ConsumerSettings.from_environment({**CONSUMER, "RECORDINGS_KMS_KEY_ARN": KEY_ARN})
    assert settings.recordings_kms_key_arn == KEY_ARN
    with pytest.raises(SettingsError, match=r"^RECORDINGS_KMS_KEY_ARN is "):
        ConsumerSettings.from_environment({**CONSUMER, "RECORDINGS_KMS_KEY_ARN": key})


def test_a_read_timeout_that_reaches_the_deadline_margin_is_refused() -> None:
    with pytest.raises(SettingsError) as caught:
        ConsumerSettings.from_environment({**CONSUMER, "READ_TIMEOUT_SECONDS": "20", "DEADLINE_MARGIN_SECONDS": "20"})
    assert str(caught.value) == (
        "READ_TIMEOUT_SECONDS is 20; it must be below DEADLINE_MARGIN_SECONDS (20), or a silent connection outlasts "
        "the invocation. Lower the one or raise the other."
    )


def test_no_other_module_reads_the_environment() -> None:
    package = Path(__file__).parents[2] / "src" / "connect_audio"
    readers = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if (isinstance(node, ast.Attribute) and node.attr in {"environ", "getenv", "environb"})
        or (isinstance(node, ast.ImportFrom) and node.module == "os")
    }
    assert readers == {"settings.py"}


@pytest.mark.parametrize(
    "bus", ["default", "calls/of.the-day_1", "arn:aws:events:eu-west-2:111122223333:event-bus/calls"]
)
def test_an_event_bus_may_be_a_name_or_an_arn(bus: str) -> None:
    assert ConsumerSettings.from_environment({**CONSUMER, "EVENT_BUS_NAME": bus}).event_bus_name == bus


@pytest.mark.parametrize("bus", ["a bus", "ä", "x" * 257, "https://events"])
def test_what_is_no_event_bus_is_refused_before_the_first_call_is_recorded(bus: str) -> None:
    with pytest.raises(SettingsError, match=r"EVENT_BUS_NAME is .* an event bus's name or ARN"):
        ConsumerSettings.from_environment({**CONSUMER, "EVENT_BUS_NAME": bus})


# Live audio


SECRET_ARN = "arn:aws:secretsmanager:eu-west-2:111122223333:secret:calls/webhook-a1B2c3"
WEBHOOK = {"LIVE_SINKS": "webhook", "WEBHOOK_URL": "https://a.example/calls", "WEBHOOK_SECRET": SECRET_ARN}


def test_live_audio_needs_nothing_and_then_goes_nowhere() -> None:
    assert LiveSettings.from_environment({}) == LiveSettings(
        sinks=(),
        segment_seconds=1,
        segment_layout="stereo",
        segment_rate=None,
        buffer_seconds=60,
        webhook_url=None,
        webhook_secret=None,
        webhook_private_addresses=False,
        sink_options={},
        words_language=None,
        words_maximum_minutes=240,
        words_events=False,
        words_webhook="",
        transcribe_languages=None,
        transcribe_vocabulary=None,
        transcribe_vocabulary_filter=None,
        transcribe_filter_method="mask",
        transcribe_stability="",
        transcribe_redaction=False,
        whisper_url=None,
        whisper_model="whisper-1",
        whisper_secret=None,
        whisper_private_addresses=False,
    )


def test_each_variable_of_live_audio_is_read() -> None:
    environment = {
        **WEBHOOK,
        "LIVE_SINKS": "segments, webhook,my-sink_2",
        "LIVE_SEGMENT_SECONDS": "10",
        "LIVE_SEGMENT_LAYOUT": "tracks",
        "LIVE_SEGMENT_RATE": "16000",
        "LIVE_BUFFER_SECONDS": "30",
        "WEBHOOK_PRIVATE_ADDRESSES": "allowed",
        "LIVE_SINK_OPTIONS": '{"endpoint": "b.example"}',
        "WORDS_LANGUAGE": "en-US",
        "WORDS_MAXIMUM_MINUTES": "60",
        "WORDS_EVENTS": "on",
        "WORDS_WEBHOOK": "all",
        "TRANSCRIBE_LANGUAGES": "en-US,es-US",
        "TRANSCRIBE_VOCABULARY": "products",
        "TRANSCRIBE_VOCABULARY_FILTER": "insults",
        "TRANSCRIBE_FILTER_METHOD": "tag",
        "TRANSCRIBE_STABILITY": "high",
        "TRANSCRIBE_REDACTION": "on",
        "WHISPER_URL": "http://10.0.0.7:8000/v1",
        "WHISPER_MODEL": "Systran/faster-whisper-small",
        "WHISPER_SECRET": SECRET_ARN,
        "WHISPER_PRIVATE_ADDRESSES": "allowed",
    }
    assert {each.name for each in variables(LiveSettings)} == set(environment)
    assert LiveSettings.from_environment(environment) == LiveSettings(
        sinks=("segments", "webhook", "my-sink_2"),
        segment_seconds=10,
        segment_layout="tracks",
        segment_rate=16_000,
        buffer_seconds=30,
        webhook_url="https://a.example/calls",
        webhook_secret=SECRET_ARN,
        webhook_private_addresses=True,
        sink_options={"endpoint": "b.example"},
        words_language="en-US",
        words_maximum_minutes=60,
        words_events=True,
        words_webhook="all",
        transcribe_languages="en-US,es-US",
        transcribe_vocabulary="products",
        transcribe_vocabulary_filter="insults",
        transcribe_filter_method="tag",
        transcribe_stability="high",
        transcribe_redaction=True,
        whisper_url="http://10.0.0.7:8000/v1",
        whisper_model="Systran/faster-whisper-small",
        whisper_secret=SECRET_ARN,
        whisper_private_addresses=True,
    )


def test_the_settings_of_transcribe_become_its_options() -> None:
    settings = LiveSettings.from_environment(
        {
            "LIVE_SINKS": "transcribe",
            "WORDS_LANGUAGE": "en-GB",
            "TRANSCRIBE_VOCABULARY": "products",
            "TRANSCRIBE_VOCABULARY_FILTER": "insults",
            "TRANSCRIBE_FILTER_METHOD": "tag",
            "TRANSCRIBE_STABILITY": "low",
            "TRANSCRIBE_REDACTION": "on",
        }
    )
    assert settings.transcribe_options() == TranscribeOptions(
        language="en-GB",
        vocabulary="products",
        vocabulary_filter="insults",
        vocabulary_filter_method="tag",
        stability="low",
        redact=True,
    )
    among = LiveSettings.from_environment({"LIVE_SINKS": "transcribe", "TRANSCRIBE_LANGUAGES": "en-GB,de-DE"})
    assert among.transcribe_options() == TranscribeOptions(languages=("en-GB", "de-DE"))


def test_settings_that_transcribe_excludes_are_refused_in_one_sentence_and_an_advice() -> None:
    with pytest.raises(SettingsError) as caught:
        LiveSettings.from_environment(
            {"LIVE_SINKS": "transcribe", "TRANSCRIBE_LANGUAGES": "en-GB,de-DE", "TRANSCRIBE_REDACTION": "on"}
        )
    assert str(caught.value) == (
        "LIVE_SINKS names transcribe. Transcribe redacts only if the language is given. "
        "Change WORDS_LANGUAGE or the settings that begin with TRANSCRIBE_."
    )
    # Without the sink they mean nothing.
    LiveSettings.from_environment({"LIVE_SINKS": "segments", "TRANSCRIBE_LANGUAGES": "en-GB,de-DE"})


def test_the_sink_whisper_needs_its_address_and_no_secret() -> None:
    with pytest.raises(SettingsError) as caught:
        LiveSettings.from_environment({"LIVE_SINKS": "whisper"})
    assert str(caught.value) == "WHISPER_URL is not set, and LIVE_SINKS names whisper, which needs it. Set it."
    settings = LiveSettings.from_environment({"LIVE_SINKS": "whisper", "WHISPER_URL": "https://api.example/v1"})
    assert (settings.whisper_url, settings.whisper_secret) == ("https://api.example/v1", None)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("WHISPER_URL", "ftp://a.example"),
        ("WHISPER_URL", "https://a.example/#x"),
        ("WHISPER_URL", f"https://a.example/{'a' * 201}"),
        ("WHISPER_MODEL", "a model"),
        ("WHISPER_MODEL", "m" * 129),
        ("WHISPER_SECRET", "sk-the-key-in-place-of-its-arn"),
        ("WHISPER_PRIVATE_ADDRESSES", "yes"),
    ],
)
def test_a_setting_of_whisper_out_of_bounds_is_refused_and_a_private_one_not_repeated(name: str, value: str) -> None:
    with pytest.raises(SettingsError) as caught:
        LiveSettings.from_environment({name: value})
    assert str(caught.value).startswith(f"{name} is ")
    assert "sk-the-key" not in str(caught.value)


@pytest.mark.parametrize(("missing", "others"), [("WEBHOOK_URL", "WEBHOOK_SECRET"), ("WEBHOOK_SECRET", "WEBHOOK_URL")])
def test_words_to_a_webhook_need_its_address_and_secret_and_not_its_sink(missing: str, others: str) -> None:
    words = {"LIVE_SINKS": "whisper", "WHISPER_URL": "https://a.example", "WORDS_WEBHOOK": "final"}
    with pytest.raises(SettingsError) as caught:
        LiveSettings.from_environment({**words, others: WEBHOOK[others]})
    assert str(caught.value) == f"{missing} is not set, and WORDS_WEBHOOK is final, which needs it. Set it."
    assert LiveSettings.from_environment({**WEBHOOK, **words}).words_webhook == "final"
    # Calls without words need none of it.
    assert LiveSettings.from_environment({"LIVE_SINKS": "segments", "WORDS_WEBHOOK": "all"}).sinks == ("segments",)


def test_two_sinks_of_words_are_refused_since_a_call_has_one_transcript() -> None:
    with pytest.raises(SettingsError) as caught:
        LiveSettings.from_environment({"LIVE_SINKS": "transcribe,segments,whisper", "WHISPER_URL": "https://a.example"})
    assert str(caught.value) == (
        "LIVE_SINKS names transcribe and whisper, and a call has one transcript. Name one of them."
    )


def test_words_that_stand_for_none_and_no_are_taken_like_any_other() -> None:
    settings = LiveSettings.from_environment({"LIVE_SEGMENT_RATE": "source", "WEBHOOK_PRIVATE_ADDRESSES": "refused"})
    assert (settings.segment_rate, settings.webhook_private_addresses) == (None, False)


@pytest.mark.parametrize(
    "sinks", ["Segments", "segments,", "segments,segments", "a b", "1a", "ä", "x" * 33, ",".join("abcdefghi")]
)
def test_what_are_no_names_of_sinks_is_refused(sinks: str) -> None:
    with pytest.raises(SettingsError, match=r"^LIVE_SINKS is .*; it must be 1 to 8 different names with commas"):
        LiveSettings.from_environment({"LIVE_SINKS": sinks})


@pytest.mark.parametrize(("name", "low", "high"), [("LIVE_SEGMENT_SECONDS", 1, 60), ("LIVE_BUFFER_SECONDS", 15, 300)])
def test_a_number_of_live_audio_is_taken_up_to_its_bounds_and_no_further(name: str, low: int, high: int) -> None:
    for value in (low, high):
        LiveSettings.from_environment({name: str(value)})
    for value in (low - 1, high + 1):
        with pytest.raises(SettingsError, match=rf"^{name} is '{value}'; it must be a whole number of seconds, {low}"):
            LiveSettings.from_environment({name: str(value)})


@pytest.mark.parametrize(("missing", "others"), [("WEBHOOK_URL", "WEBHOOK_SECRET"), ("WEBHOOK_SECRET", "WEBHOOK_URL")])
def test_a_webhook_without_address_or_secret_is_refused(missing: str, others: str) -> None:
    with pytest.raises(SettingsError) as caught:
        LiveSettings.from_environment({each: WEBHOOK[each] for each in ("LIVE_SINKS", others)})
    assert str(caught.value) == f"{missing} is not set, and LIVE_SINKS names webhook, which needs it. Set it."


def test_a_buffer_that_holds_no_two_segments_is_refused_where_there_is_a_sink() -> None:
    sizes = {"LIVE_SEGMENT_SECONDS": "26", "LIVE_BUFFER_SECONDS": "61"}
    assert LiveSettings.from_environment(sizes).sinks == ()
    assert LiveSettings.from_environment({**sizes, "LIVE_SINKS": "segments", "LIVE_BUFFER_SECONDS": "62"})
    with pytest.raises(SettingsError) as caught:
        LiveSettings.from_environment({**sizes, "LIVE_SINKS": "segments"})
    assert str(caught.value) == (
        "LIVE_BUFFER_SECONDS is 61; with segments of 26 s (LIVE_SEGMENT_SECONDS) it must be at least 62: one track may "
        "lag the other by 5 s. Raise it, or shorten the segments."
    )


@pytest.mark.parametrize(
    "url",
    [
        "http://a.example",
        "https://",
        "https://me:word@a.example",
        "https://a.example/a b",
        "https://a.example/ä",
        "https://a.example#x",
        "https://a.example/#x",
        f"https://{'a' * 254}",
        f"https://a.example/{'a' * 1701}",
    ],
)
def test_what_is_no_https_address_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(SettingsError) as caught:
        LiveSettings.from_environment({**WEBHOOK, "WEBHOOK_URL": url})
    assert str(caught.value) == (
        f"WEBHOOK_URL is a text of {len(url)} characters that is not shown here; it must be an address that begins "
        "with https://, without spaces and #. Only HTTPS is supported."
    )


@pytest.mark.parametrize(
    "secret", [SECRET_ARN, "arn:aws-us-gov:ssm:us-gov-west-1:111122223333:parameter/calls/webhook"]
)
def test_a_secret_may_lie_in_either_store(secret: str) -> None:
    assert LiveSettings.from_environment({**WEBHOOK, "WEBHOOK_SECRET": secret}).webhook_secret == secret


@pytest.mark.parametrize(
    "secret", ["5e3dfa1001d2a3b8", "calls/webhook", SECRET_ARN.replace("secretsmanager", "kms"), f"{SECRET_ARN}*"]
)
def test_a_secret_in_place_of_its_arn_is_refused_and_not_repeated(secret: str) -> None:
    with pytest.raises(SettingsError) as caught:
        LiveSettings.from_environment({**WEBHOOK, "WEBHOOK_SECRET": secret})
    assert str(caught.value) == (
        f"WEBHOOK_SECRET is a text of {len(secret)} characters that is not shown here; it must be the ARN of a Secrets "
        "Manager secret or of a Parameter Store parameter. Store a random text of 32 characters or more there, and "
        "give both ends the same."
    )


@pytest.mark.parametrize("options", ["{", "[]", '"a"', '{"a": 1}', '{"a": null}', '{"a": "' + "b" * 2000 + '"}'])
def test_options_that_are_no_object_of_texts_are_refused_and_not_repeated(options: str) -> None:
    with pytest.raises(SettingsError) as caught:
        LiveSettings.from_environment({"LIVE_SINK_OPTIONS": options})
    assert str(caught.value) == (
        f"LIVE_SINK_OPTIONS is a text of {len(options)} characters that is not shown here; it must be a JSON object "
        'whose values are texts, 2000 characters at most. For example {"endpoint": "…"}.'
    )


def test_the_variables_that_are_set_are_given_as_they_are() -> None:
    environment = {**WEBHOOK, "LIVE_SEGMENT_RATE": "", "LIVE_SEGMENT_SECONDS": "one", "RECORDINGS_BUCKET": "calls"}
    assert variables_set(LiveSettings, environment) == {**WEBHOOK, "LIVE_SEGMENT_SECONDS": "one"}


@pytest.mark.parametrize(
    ("environment", "on"),
    [
        ({"LAMBDA_TASK_ROOT": "/var/task"}, True),
        ({"LAMBDA_TASK_ROOT": "/var/task", "POWERTOOLS_TRACE_DISABLED": ""}, True),
        ({"LAMBDA_TASK_ROOT": "/var/task", "POWERTOOLS_TRACE_DISABLED": "false"}, True),
        ({"LAMBDA_TASK_ROOT": "/var/task", "POWERTOOLS_TRACE_DISABLED": "true"}, False),
        ({"LAMBDA_TASK_ROOT": "/var/task", "POWERTOOLS_TRACE_DISABLED": "1"}, False),
        ({"LAMBDA_TASK_ROOT": "/var/task", "AWS_SAM_LOCAL": "true"}, False),
        ({}, False),
    ],
)
def test_tracing_is_on_in_lambda_unless_it_is_switched_off(environment: dict[str, str], on: bool) -> None:  # noqa: FBT001 - parametrised
    assert is_tracing_on(environment) is on
