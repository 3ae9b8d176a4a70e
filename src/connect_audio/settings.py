"""The functions' environment as frozen, typed, bounded values; the one place that reads `os.environ`.

How it works. A settings class is a frozen dataclass with one field for each variable. The field's metadata holds a
`Variable`: its name, meaning, parser, default and advice. `from_environment` reads each variable through its parser and
raises one `SettingsError` that names the variable, its bounds and the advice. Each handler reads its class once. The
template's tests and the table of `docs/settings.md` read the same declarations.

An empty variable counts as unset, as botocore treats an empty `AWS_ENDPOINT_URL_…`: SAM can set only declared ones.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import field, fields
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Protocol, Self, cast

from connect_audio.core.errors import SettingsError
from connect_audio.request import WORDS_SINKS, Location, RecordingMode, RecordingOptions
from connect_audio.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Mapping

    from connect_audio.words.transcribe_options import TranscribeOptions

# A dataclass cannot have `MISSING` itself for a default.
REQUIRED: Final[Any] = object()


def runs_in_lambda() -> bool:
    """Return True in a process that Lambda started (Developer Guide, "Defined runtime environment variables")."""
    return bool(os.environ.get("AWS_LAMBDA_FUNCTION_NAME"))


class Parser[T](Protocol):
    """Checks a variable's text and makes a value of it."""

    @property
    def bounds(self) -> str:
        """The texts that are allowed, in words, for messages and for `docs/settings.md`."""

    def read(self, text: str) -> T | None:
        """Return the value; None if the text is not allowed."""


@dataclass(frozen=True, slots=True)
class Integer:
    """A whole number within bounds.

    Args:
        low: smallest value allowed.
        high: largest value allowed.
        unit: the unit of the number, for example `seconds`.
    """

    low: int
    high: int
    unit: str

    @property
    def bounds(self) -> str:
        """The texts that are allowed, in words."""
        return f"a whole number of {self.unit}, {self.low} to {self.high}"

    def read(self, text: str) -> int | None:
        """Return the number; None if the text is no plain decimal number within the bounds."""
        if not re.fullmatch(r"\d{1,9}", text, re.ASCII):
            return None
        return int(text) if self.low <= int(text) <= self.high else None


@dataclass(frozen=True, slots=True)
class Text:
    """A text that matches a pattern.

    Args:
        pattern: matches the whole text.
        bounds: the same in words.
    """

    pattern: re.Pattern[str]
    bounds: str

    def read(self, text: str) -> str | None:
        """Return the text; None if the pattern does not match the whole of it."""
        return text if self.pattern.fullmatch(text) else None


@dataclass(frozen=True, slots=True)
class Choice:
    """One word out of some.

    Args:
        values: the words, each with its value.
    """

    values: Mapping[str, Any]

    @property
    def bounds(self) -> str:
        """The texts that are allowed, in words."""
        return " or ".join(self.values)

    def read(self, text: str) -> Present | None:
        """Return the word's value in a `Present`, because it may be None or false; None if the word is unknown."""
        return Present(self.values[text]) if text in self.values else None


@dataclass(frozen=True, slots=True)
class Present:
    """A value that is there, also if it is None or false."""

    value: Any


@dataclass(frozen=True, slots=True)
class SinkNames:
    """Names with commas between."""

    @property
    def bounds(self) -> str:
        """The texts that are allowed, in words."""
        return (
            "1 to 8 different names with commas between, each of a lower-case letter and up to 31 more, digits, _ and -"
        )

    def read(self, text: str) -> tuple[str, ...] | None:
        """Return the names; None if one is malformed or there twice."""
        names = tuple(name.strip() for name in text.split(","))
        sound = len(names) <= 8 and len(set(names)) == len(names)
        return (
            names if sound and all(re.fullmatch(r"[a-z][a-z0-9_-]{0,31}", each, re.ASCII) for each in names) else None
        )


@dataclass(frozen=True, slots=True)
class Options:
    """A JSON object of texts."""

    @property
    def bounds(self) -> str:
        """The texts that are allowed, in words."""
        return "a JSON object whose values are texts, 2000 characters at most"

    def read(self, text: str) -> Mapping[str, str] | None:
        """Return the object; None if the text is none."""
        if len(text) > 2000:
            return None
        try:
            found = json.loads(text)
        except ValueError:
            return None
        if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
            return None
        return MappingProxyType(found)


@dataclass(frozen=True, slots=True)
class Variable[T]:
    """One environment variable.

    Args:
        name: as in the environment.
        meaning: one sentence for the reader of `docs/settings.md`.
        parser: checks the text and makes the value.
        advice: one sentence on how to set it, for messages.
        default: the value of an unset variable; `REQUIRED` if it must be set.
        private: true if no message may show the text, because messages go to the log.
    """

    name: str
    meaning: str
    parser: Parser[Any]
    advice: str
    default: T | Any = REQUIRED
    private: bool = False

    def read(self, environment: Mapping[str, str]) -> T:
        """Read the variable.

        Raises:
            SettingsError: the variable is required and unset, or its text is not allowed.
        """
        text = environment.get(self.name, "")
        if not text:
            if self.default is REQUIRED:
                raise SettingsError(f"{self.name} is not set; it must be {self.parser.bounds}. {self.advice}")
            return cast("T", self.default)
        value = self.parser.read(text)
        if value is None:
            shown = repr(text if len(text) <= 60 else f"{text[:60]}… ({len(text)} characters)")
            if self.private:
                shown = f"a text of {len(text)} characters that is not shown here"
            raise SettingsError(f"{self.name} is {shown}; it must be {self.parser.bounds}. {self.advice}")
        return cast("T", value.value if isinstance(value, Present) else value)


def _field[T](variable: Variable[T]) -> T:
    """Make a dataclass field that knows its variable."""
    metadata = {"variable": variable}
    made: Any = (
        field(metadata=metadata) if variable.default is REQUIRED else field(default=variable.default, metadata=metadata)
    )
    return cast("T", made)


def variables_set(
    settings: type[TriggerSettings | ConsumerSettings | BackfillSettings | TranscribeJobSettings | LiveSettings],
    environment: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Return the variables of a settings class that are set, with their texts.

    Args:
        settings: the class.
        environment: the variables; by default the process's own.
    """
    source = os.environ if environment is None else environment
    return {each.name: source[each.name] for each in variables(settings) if source.get(each.name)}


def variables(
    settings: type[TriggerSettings | ConsumerSettings | BackfillSettings | TranscribeJobSettings | LiveSettings],
) -> tuple[Variable[Any], ...]:
    """Return the variables of a settings class, in order."""
    return tuple(each.metadata["variable"] for each in fields(settings))


def _read(settings: type[Any], environment: Mapping[str, str] | None) -> Any:
    source = os.environ if environment is None else environment
    return settings(**{each.name: each.metadata["variable"].read(source) for each in fields(settings)})


_TRACES_ENDPOINT: Final = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
"""OpenTelemetry's own name for it (specification, "OTLP exporter configuration"). The address is used as it is."""

_BUCKET = Variable[str](
    "RECORDINGS_BUCKET",
    "The S3 bucket that recordings go to.",
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
    Text(
        re.compile(r"(?!\d+\.\d+\.\d+\.\d+\Z)(?!.*\.\.)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", re.ASCII),
        "an S3 bucket name (3 to 63 lower-case letters, digits, dots and hyphens)",
    ),
    "Set it to the name of the bucket, without s3://.",
)
_STAGING_BUCKET = Variable[str | None](
    "STAGING_BUCKET",
    "The S3 bucket of staging and claims; unset keeps them beside the recordings.",
    Text(
        re.compile(r"(?!\d+\.\d+\.\d+\.\d+\Z)(?!.*\.\.)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", re.ASCII),
        "an S3 bucket name (3 to 63 lower-case letters, digits, dots and hyphens)",
    ),
    "Set it where the recordings' bucket is under Object Lock, or leave it empty.",
    default=None,
)
_KMS_KEY = Variable[str | None](
    "RECORDINGS_KMS_KEY_ARN",
    "KMS key that encrypts the recordings; unset leaves it to the bucket.",
    # An alias would pass S3 but not IAM, whose statements know key ARNs alone.
    Text(
        re.compile(r"arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:key/[0-9A-Za-z-]{1,64}", re.ASCII),
        "a KMS key ARN (arn:aws:kms:REGION:ACCOUNT:key/ID)",
    ),
    "Set it to the key's ARN, not to an alias, or leave it empty.",
    default=None,
)
_PREFIX = Variable[str](
    "RECORDINGS_PREFIX",
    "Beginning of the recordings' S3 keys.",
    # Letters, digits and S3's "safe characters" without the asterisk and quotes that IAM and shells read otherwise.
    Text(
        re.compile(r"(?!.*\.\.)(?!.*//)[0-9A-Za-z!_.-](?:[0-9A-Za-z!_./-]{0,198}[0-9A-Za-z!_.-])?", re.ASCII),
        "1 to 200 letters, digits, !, _, ., - and single inner slashes, with no '..'",
    ),
    "Set it to a key prefix such as recordings, with no slash at either end.",
    default="recordings",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TriggerSettings:
    """The trigger's settings.

    Args:
        recordings_bucket: S3 bucket, for the answer's `recordingUri`.
        recordings_prefix: key prefix, for the same.
        consumer_function: the consumer's qualified ARN, or `name:alias`.
        start_timeout_ms: milliseconds that Lambda may take to answer a start, which is tried twice.
        recording_mode: when calls are recorded, a `RecordingMode`.
        contact_events: true if Connect's contact events announce the end of contacts to this stack.
        repair_recordings: true if a recording that is not whole is repaired from what its stream still holds.
    """

    recordings_bucket: str = _field(_BUCKET)
    recordings_prefix: str = _field(_PREFIX)
    consumer_function: str = _field(
        Variable(
            "CONSUMER_FUNCTION",
            "The consumer: its qualified ARN, or name:alias.",
            # A durable execution stays on the version it began with, so $LATEST is refused: it has none.
            Text(
                re.compile(
                    r"(?:arn:aws[a-z-]*:lambda:[a-z0-9-]+:\d{12}:function:)?[0-9A-Za-z_-]{1,64}:[0-9A-Za-z_-]{1,128}",
                    re.ASCII,
                ),
                "a Lambda function with a version or alias "
                "(arn:aws:lambda:REGION:ACCOUNT:function:NAME:ALIAS or NAME:ALIAS)",
            ),
            "Set it to the consumer's alias; durable functions start only by a qualified name.",
        )
    )
    start_timeout_ms: int = _field(
        Variable(
            "START_TIMEOUT_MS",
            "How long Lambda may take to answer a start, which is tried twice.",
            # Two tries, 1 s each to connect and a pause of at most 1 s between them fit Connect's 8 s with the default.
            Integer(100, 60_000, "milliseconds"),
            "1500 suits Lambda; `sam local start-lambda`, which builds a container first, needs more.",
            default=1500,
        )
    )
    recording_mode: str = _field(
        Variable(
            "RECORDING_MODE",
            "When calls are recorded: live, while they last, or archive, after their end.",
            Choice({each.value: each.value for each in RecordingMode}),
            "archive costs a fraction and needs streams that keep their audio for two hours or more.",
            default=RecordingMode.LIVE.value,
        )
    )
    contact_events: bool = _field(
        Variable(
            "CONTACT_EVENTS",
            "Says if the rule for Connect's contact events announces the end of contacts: on or off.",
            Choice({"off": False, "on": True}),
            "Set it to on only where the rule and its function exist.",
            default=False,
        )
    )

    repair_recordings: bool = _field(
        Variable(
            "REPAIR_RECORDINGS",
            "Says if a recording that is not whole is repaired from what its stream still holds: on or off.",
            Choice({"off": False, "on": True}),
            "on records such a call once more, and needs streams that keep their audio.",
            default=False,
        )
    )

    @property
    def options(self) -> RecordingOptions:
        """The manner in which calls are recorded."""
        return RecordingOptions(
            mode=RecordingMode(self.recording_mode),
            contact_events=self.contact_events,
            repair=self.repair_recordings,
        )

    @property
    def location(self) -> Location | None:
        """The partition and region of the consumer; None where the setting gives no ARN."""
        return Location.of(self.consumer_function) if self.consumer_function.startswith("arn:") else None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Self:
        """Read the settings.

        Args:
            environment: the variables; by default the process's own.

        Raises:
            SettingsError: one is missing or not allowed; the message names it, its bounds and the advice.
        """
        return _read(cls, environment)  # type: ignore[no-any-return]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsumerSettings:
    """The consumer's settings.

    Args:
        recordings_bucket: S3 bucket.
        recordings_prefix: key prefix without a slash at either end.
        staging_bucket: S3 bucket of staging and claims, or None for the recordings' own.
        recordings_kms_key_arn: KMS key for SSE-KMS, or None for the bucket's own default encryption.
        drain_seconds: seconds without our fragments after which a call that looks over is finished.
        idle_limit_seconds: seconds without a fragment of our contact, after which the recording is finished.
        connected_limit_seconds: the same while Connect says that the contact is connected.
        read_timeout_seconds: seconds a socket may stay silent before GetMedia is asked again.
        deadline_margin_seconds: seconds before the invocation's end at which reading stops to hand over.
        recording_limit_hours: hours of recording after which it is finished as partial.
        status_interval_seconds: least seconds between two DescribeContact requests of one recording.
        event_bus_name: EventBridge bus for the completion events, or None for no events.
        archive_look_seconds: most seconds between two looks at a call that is recorded after its end.
        traces_endpoint: address that takes the traces of executions, or None for no traces by OpenTelemetry.

    Raises:
        SettingsError: the read timeout reaches the deadline margin: a silent socket would eat the hand-over.
    """

    recordings_bucket: str = _field(_BUCKET)
    recordings_prefix: str = _field(_PREFIX)
    staging_bucket: str | None = _field(_STAGING_BUCKET)
    recordings_kms_key_arn: str | None = _field(_KMS_KEY)
    drain_seconds: int = _field(
        Variable(
            "DRAIN_SECONDS",
            "How long to read on without audio of our contact once the call seems over.",
            # Without a drain, the first body that breaks after a hang-up would pass for the end of the audio.
            Integer(1, 300, "seconds"),
            "30 suits most.",
            default=30,
        )
    )
    idle_limit_seconds: int = _field(
        Variable(
            "IDLE_LIMIT_SECONDS",
            "How long nothing of our contact may come before the recording is finished as it is.",
            Integer(10, 86_400, "seconds"),
            "600 suits most.",
            default=600,
        )
    )
    connected_limit_seconds: int = _field(
        Variable(
            "CONNECTED_LIMIT_SECONDS",
            "The same while Connect says CONNECTED; the recording is then partial.",
            # Waited out suspended, five minutes at a time: a day takes 288 of the 300 suspensions of a recording.
            Integer(10, 86_400, "seconds"),
            "14400 suits most; a limit below IDLE_LIMIT_SECONDS counts as that one.",
            default=14_400,
        )
    )
    read_timeout_seconds: int = _field(
        Variable(
            "READ_TIMEOUT_SECONDS",
            "How long the GetMedia connection may stay silent before it is opened again.",
            Integer(1, 60, "seconds"),
            "10 suits most.",
            default=10,
        )
    )
    deadline_margin_seconds: int = _field(
        Variable(
            "DEADLINE_MARGIN_SECONDS",
            "How long before the invocation's end reading stops, to save and hand over.",
            Integer(5, 600, "seconds"),
            "60 suits most.",
            default=60,
        )
    )
    recording_limit_hours: int = _field(
        Variable(
            "RECORDING_LIMIT_HOURS",
            "After how long a recording is finished as partial.",
            # One hour below the durable execution's own timeout, at which nothing would publish the recording.
            Integer(1, 47, "hours"),
            "47 is the most that the execution's 48 hours allow.",
            default=47,
        )
    )
    status_interval_seconds: int = _field(
        Variable(
            "STATUS_INTERVAL_SECONDS",
            "Least time between two looks at the contact (DescribeContact) of one recording.",
            Integer(0, 3_600, "seconds"),
            "60 keeps clear of Connect's quota of about 2 requests a second and account.",
            default=60,
        )
    )
    event_bus_name: str | None = _field(
        Variable(
            "EVENT_BUS_NAME",
            "EventBridge bus that gets an event of each recording; unset: no event.",
            # EventBridge, API_PutEventsRequestEntry: EventBusName, name or ARN.
            Text(
                re.compile(
                    r"(?:arn:aws[a-z-]*:events:[a-z0-9-]+:\d{12}:event-bus/)?[/.\-_A-Za-z0-9]{1,256}",
                    re.ASCII,
                ),
                "an event bus's name or ARN",
            ),
            "default is the account's own bus.",
            default=None,
        )
    )
    archive_look_seconds: int = _field(
        Variable(
            "ARCHIVE_LOOK_SECONDS",
            "Longest time between two looks at a call that is recorded after its end.",
            Integer(1, 21_600, "seconds"),
            "3600 suits most; without contact events a recording is published so much after the call at most.",
            default=3600,
        )
    )
    traces_endpoint: str | None = _field(
        Variable(
            _TRACES_ENDPOINT,
            "Collector of OpenTelemetry that gets the traces of executions; unset: no such traces.",
            Text(
                re.compile(r"https?://[0-9A-Za-z.\[\]:_-]{1,100}(?:[/?][!\"$-~]{0,100})?", re.ASCII),
                "an address that begins with https:// or http://, without spaces and #",
            ),
            "http:// reaches private addresses alone, such as http://localhost:4318/v1/traces.",
            default=None,
            private=True,
        )
    )

    def __post_init__(self) -> None:
        if self.read_timeout_seconds >= self.deadline_margin_seconds:
            raise SettingsError(
                f"READ_TIMEOUT_SECONDS is {self.read_timeout_seconds}; it must be below DEADLINE_MARGIN_SECONDS "
                f"({self.deadline_margin_seconds}), or a silent connection outlasts the invocation. "
                "Lower the one or raise the other."
            )

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Self:
        """Read the settings.

        Args:
            environment: the variables; by default the process's own.

        Raises:
            SettingsError: one is missing or not allowed; the message names it, its bounds and the advice.
        """
        return _read(cls, environment)  # type: ignore[no-any-return]


@dataclass(frozen=True, slots=True, kw_only=True)
class BackfillSettings:
    """The settings of a backfill's two functions.

    Args:
        recordings_bucket: S3 bucket.
        recordings_prefix: key prefix without a slash at either end.
        staging_bucket: S3 bucket of staging and claims, or None for the recordings' own.
        recordings_kms_key_arn: KMS key for SSE-KMS, or None for the bucket's own default encryption.
    """

    recordings_bucket: str = _field(_BUCKET)
    recordings_prefix: str = _field(_PREFIX)
    staging_bucket: str | None = _field(_STAGING_BUCKET)
    recordings_kms_key_arn: str | None = _field(_KMS_KEY)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Self:
        """Read the settings.

        Args:
            environment: the variables; by default the process's own.

        Raises:
            SettingsError: one is missing or not allowed; the message names it, its bounds and the advice.
        """
        return _read(cls, environment)  # type: ignore[no-any-return]


_TRANSCRIBE_NAME: Final = Text(
    re.compile(r"[0-9A-Za-z._-]{1,200}", re.ASCII), "1 to 200 letters, digits, dots, _ and -, as Transcribe names them"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TranscribeJobSettings:
    """The settings of the function for words after the call.

    Args:
        recordings_bucket: S3 bucket.
        recordings_prefix: key prefix without a slash at either end.
        recordings_kms_key_arn: KMS key for SSE-KMS, or None for the bucket's own default encryption.
        jobs_prefix: key prefix of notes and results.
        language: language of the calls; None lets Transcribe find it.
        vocabulary: name of a custom vocabulary; None without.
        redaction: True to have personal data replaced.
        analytics_role_arn: role of Call Analytics jobs; None for transcription jobs.
    """

    recordings_bucket: str = _field(_BUCKET)
    recordings_prefix: str = _field(_PREFIX)
    recordings_kms_key_arn: str | None = _field(_KMS_KEY)
    jobs_prefix: str = _field(
        Variable(
            "JOBS_PREFIX",
            "Prefix of the jobs' notes and results in the recordings' bucket.",
            Text(
                re.compile(r"[0-9A-Za-z_-](?:[0-9A-Za-z_/-]{0,98}[0-9A-Za-z_-])?", re.ASCII), "letters, digits, /, _, -"
            ),
            "Transcribe allows no other signs, such as = or a blank.",
            default="transcribe-jobs",
        )
    )
    language: str | None = _field(
        Variable(
            "JOBS_LANGUAGE",
            "Language of the calls.",
            Text(re.compile(r"[a-z]{2,3}-[A-Z]{2}", re.ASCII), "a language code such as en-US"),
            "Leave it empty if Transcribe is to find the language.",
            default=None,
        )
    )
    vocabulary: str | None = _field(
        Variable(
            "JOBS_VOCABULARY",
            "Custom vocabulary of Transcribe.",
            _TRANSCRIBE_NAME,
            "Leave it empty for none.",
            default=None,
        )
    )
    redaction: bool = _field(
        Variable(
            "JOBS_REDACTION",
            "Personal data in the words replaced by [PII]: off or on. The audio keeps them.",
            Choice({"off": False, "on": True}),
            "It costs extra, and Transcribe may miss some.",
            default=False,
        )
    )
    analytics_role_arn: str | None = _field(
        Variable(
            "JOBS_ANALYTICS_ROLE_ARN",
            "Role with which Transcribe reads and writes for Call Analytics jobs; unset for transcription jobs.",
            # The service's model, DataAccessRoleArn.
            Text(
                re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/[0-9A-Za-z:_/+=,@.-]{1,1024}", re.ASCII),
                "the ARN of a role (arn:aws:iam::ACCOUNT:role/NAME)",
            ),
            "Leave it empty for transcription jobs, which cost less.",
            default=None,
        )
    )

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Self:
        """Read the settings.

        Args:
            environment: the variables; by default the process's own.

        Raises:
            SettingsError: one is missing or not allowed; the message names it, its bounds and the advice.
        """
        return _read(cls, environment)  # type: ignore[no-any-return]


_SECRET_ARN: Final = re.compile(
    r"arn:aws[a-z-]*:(?:secretsmanager:[a-z0-9-]+:\d{12}:secret:[0-9A-Za-z/_+=.@!-]{1,519}"
    r"|ssm:[a-z0-9-]+:\d{12}:parameter/[0-9A-Za-z/_.-]{1,1011})",
    re.ASCII,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveSettings:
    """The settings of live audio: the trigger reads them and hands them to the consumer in its input (ADR 10).

    Args:
        sinks: names of the sinks: `segments`, `webhook`, or an entry point of the group `connect_audio.sinks`; empty
            for no live audio.
        segment_seconds: seconds of a segment.
        segment_layout: `stereo` for one WAV a segment, `tracks` for one of each party.
        segment_rate: samples a second of a segment's WAV; None for the stream's own.
        buffer_seconds: how far a sink may fall behind, in seconds of audio, before the oldest is dropped.
        webhook_url: the address that `webhook` posts to; None without `webhook`.
        webhook_secret: ARN of the Secrets Manager secret or Parameter Store parameter that holds the signing secret;
            None without `webhook`.
        webhook_private_addresses: true if `webhook` may post to private, loopback, link-local and shared addresses.
        sink_options: options of a user's own sinks, by name.
        words_language: language that a sink of words asks for; None if the recognizer finds it.
        words_maximum_minutes: audio of a call that is recognized at most, minutes.
        words_events: true if each turn of a call's words is put on the event bus.
        words_webhook: turns that are posted to the webhook: `final`, `all` with the partial ones; empty for none.
        transcribe_languages: language codes with commas between, among which Transcribe finds the language; None if
            `words_language` names it.
        transcribe_vocabulary: name of Transcribe's custom vocabulary; None without.
        transcribe_vocabulary_filter: name of Transcribe's vocabulary filter; None without.
        transcribe_filter_method: handling of a filtered word: `mask`, `remove` or `tag`.
        transcribe_stability: stabilisation of partial results: `low`, `medium` or `high`; empty for none.
        transcribe_redaction: true if Transcribe replaces personal data by `[PII]`.
        whisper_url: the speech server of `whisper`; None without `whisper`.
        whisper_model: name of the server's model.
        whisper_secret: ARN of the secret that holds the server's API key; None for a server without one.
        whisper_private_addresses: true if the server may have a private, loopback, link-local or shared address.

    Raises:
        SettingsError: a webhook without address or secret, a buffer that holds no two segments, two sinks of words,
            or options of Transcribe that exclude each other.
    """

    sinks: tuple[str, ...] = _field(
        Variable(
            "LIVE_SINKS",
            "Sinks of live audio by name, with commas between: segments, webhook, transcribe or whisper, or a sink of "
            "your own.",
            SinkNames(),
            "Set it to segments, to webhook, to both, or leave it empty for no live audio.",
            default=(),
        )
    )
    segment_seconds: int = _field(
        Variable(
            "LIVE_SEGMENT_SECONDS",
            "Length of a segment of live audio.",
            Integer(1, 60, "seconds"),
            "1 suits most.",
            default=1,
        )
    )
    segment_layout: str = _field(
        Variable(
            "LIVE_SEGMENT_LAYOUT",
            "Form of a segment: one stereo WAV (customer left, agent right) or one WAV of each party.",
            Choice({"stereo": "stereo", "tracks": "tracks"}),
            "stereo suits most.",
            default="stereo",
        )
    )
    segment_rate: int | None = _field(
        Variable(
            "LIVE_SEGMENT_RATE",
            "Sample rate of the segments: the stream's own (Connect: 8000), or resampled to 16000.",
            Choice({"source": None, "16000": 16_000}),
            "Set it to 16000 for models that want it.",
            default=None,
        )
    )
    buffer_seconds: int = _field(
        Variable(
            "LIVE_BUFFER_SECONDS",
            "How far a sink may fall behind, in seconds of audio, before the oldest is dropped and counted.",
            Integer(15, 300, "seconds"),
            "60 suits most; only a sink that falls behind needs it, and then 40 kB of memory a second.",
            default=60,
        )
    )
    webhook_url: str | None = _field(
        Variable(
            "WEBHOOK_URL",
            "Address that the sink webhook posts each segment to.",
            Text(
                re.compile(r"https://[0-9A-Za-z.\[\]:_-]{1,253}(?:[/?][!\"$-~]{0,1700})?", re.ASCII),
                "an address that begins with https://, without spaces and #",
            ),
            "Only HTTPS is supported.",
            default=None,
            private=True,
        )
    )
    webhook_secret: str | None = _field(
        Variable(
            "WEBHOOK_SECRET",
            "Place of the webhook's signing secret.",
            Text(_SECRET_ARN, "the ARN of a Secrets Manager secret or of a Parameter Store parameter"),
            "Store a random text of 32 characters or more there, and give both ends the same.",
            default=None,
            private=True,
        )
    )
    webhook_private_addresses: bool = _field(
        Variable(
            "WEBHOOK_PRIVATE_ADDRESSES",
            "Posts to private, loopback and link-local addresses: refused or allowed.",
            Choice({"refused": False, "allowed": True}),
            "Set it to allowed only for a receiver inside your own network.",
            default=False,
        )
    )
    sink_options: Mapping[str, str] = _field(
        Variable(
            "LIVE_SINK_OPTIONS",
            "Options for sinks of your own, as a JSON object of texts.",
            Options(),
            'For example {"endpoint": "…"}.',
            default=MappingProxyType({}),
            private=True,
        )
    )
    words_language: str | None = _field(
        Variable(
            "WORDS_LANGUAGE",
            "Language that a sink of words asks for.",
            Text(
                re.compile(r"[a-z]{2,3}(?:-[A-Z]{2})?", re.ASCII),
                "a language code such as en or en-US",
            ),
            "Leave it empty if the recognizer is to find the language.",
            default=None,
        )
    )
    words_maximum_minutes: int = _field(
        Variable(
            "WORDS_MAXIMUM_MINUTES",
            "Audio of a call that is recognized at most; the rest has no words, and the transcript says so.",
            Integer(1, 2880, "minutes"),
            "It bounds the price of one call.",
            default=240,
        )
    )
    words_events: bool = _field(
        Variable(
            "WORDS_EVENTS",
            "Events with the words of each turn on the event bus: off or on. They hold what callers say.",
            Choice({"off": False, "on": True}),
            "Set it to on only if each rule on the bus may see what callers say.",
            default=False,
        )
    )
    words_webhook: str = _field(
        Variable(
            "WORDS_WEBHOOK",
            "Words posted to WEBHOOK_URL: off, final turns, or all, partial ones too. They hold what callers say.",
            Choice({"off": "", "final": "final", "all": "all"}),
            "Set it to final or all only if the receiver may see what callers say.",
            default="",
        )
    )
    transcribe_languages: str | None = _field(
        Variable(
            "TRANSCRIBE_LANGUAGES",
            "Languages among which Transcribe finds the one that is spoken.",
            Text(
                re.compile(r"[a-z]{2,3}-[A-Z]{2}(?:,[a-z]{2,3}-[A-Z]{2}){1,4}", re.ASCII),
                "two to five language codes such as en-US,es-US",
            ),
            "Leave it empty if WORDS_LANGUAGE names the language.",
            default=None,
        )
    )
    transcribe_vocabulary: str | None = _field(
        Variable(
            "TRANSCRIBE_VOCABULARY",
            "Custom vocabulary of Transcribe.",
            _TRANSCRIBE_NAME,
            "Make it in the same Region and language.",
            default=None,
        )
    )
    transcribe_vocabulary_filter: str | None = _field(
        Variable(
            "TRANSCRIBE_VOCABULARY_FILTER",
            "Vocabulary filter of Transcribe.",
            _TRANSCRIBE_NAME,
            "Make it in the same Region and language.",
            default=None,
        )
    )
    transcribe_filter_method: str = _field(
        Variable(
            "TRANSCRIBE_FILTER_METHOD",
            "Handling of a word that the vocabulary filter names: mask (***), remove or tag.",
            Choice({"mask": "mask", "remove": "remove", "tag": "tag"}),
            "mask suits most.",
            default="mask",
        )
    )
    transcribe_stability: str = _field(
        Variable(
            "TRANSCRIBE_STABILITY",
            "Stabilisation of partial results: off, or low, medium or high.",
            Choice({"off": "", "low": "low", "medium": "medium", "high": "high"}),
            "high gives partial results that change least, and a few more mistakes.",
            default="",
        )
    )
    transcribe_redaction: bool = _field(
        Variable(
            "TRANSCRIBE_REDACTION",
            "Personal data in the words replaced by [PII]: off or on. The audio keeps them.",
            Choice({"off": False, "on": True}),
            "It costs extra, and Transcribe may miss some.",
            default=False,
        )
    )

    whisper_url: str | None = _field(
        Variable(
            "WHISPER_URL",
            "Address of the speech server that the sink whisper sends a call's audio to.",
            Text(
                re.compile(r"https?://[0-9A-Za-z.\[\]:_-]{1,253}(?:[/?][!\"$-~]{0,200})?", re.ASCII),
                "an address that begins with https:// or http://, without spaces and #",
            ),
            "http:// needs WHISPER_PRIVATE_ADDRESSES=allowed and reaches private addresses alone.",
            default=None,
            private=True,
        )
    )
    whisper_model: str = _field(
        Variable(
            "WHISPER_MODEL",
            "Name of the model on that server.",
            Text(re.compile(r"[0-9A-Za-z][0-9A-Za-z/_.:@-]{0,127}", re.ASCII), "a name of 128 characters at most"),
            "Take the server's own name of it.",
            default="whisper-1",
        )
    )
    whisper_secret: str | None = _field(
        Variable(
            "WHISPER_SECRET",
            "Place of the speech server's API key.",
            Text(_SECRET_ARN, "the ARN of a Secrets Manager secret or of a Parameter Store parameter"),
            "Store the key alone there; leave it empty for a server without one.",
            default=None,
            private=True,
        )
    )
    whisper_private_addresses: bool = _field(
        Variable(
            "WHISPER_PRIVATE_ADDRESSES",
            "A speech server at private, loopback and link-local addresses: refused or allowed.",
            Choice({"refused": False, "allowed": True}),
            "Set it to allowed only for a server inside your own network.",
            default=False,
        )
    )

    def __post_init__(self) -> None:
        if "whisper" in self.sinks and self.whisper_url is None:
            raise SettingsError("WHISPER_URL is not set, and LIVE_SINKS names whisper, which needs it. Set it.")
        if set(WORDS_SINKS) <= set(self.sinks):
            raise SettingsError(
                f"LIVE_SINKS names {' and '.join(WORDS_SINKS)}, and a call has one transcript. Name one of them."
            )
        if "transcribe" in self.sinks:
            self._check_transcribe()
        needs_webhook = "LIVE_SINKS names webhook" if "webhook" in self.sinks else None
        if self.words_webhook and set(WORDS_SINKS) & set(self.sinks):
            needs_webhook = needs_webhook or f"WORDS_WEBHOOK is {self.words_webhook}"
        if needs_webhook is not None:
            for name, value in (("WEBHOOK_URL", self.webhook_url), ("WEBHOOK_SECRET", self.webhook_secret)):
                if value is None:
                    raise SettingsError(f"{name} is not set, and {needs_webhook}, which needs it. Set it.")
        if self.sinks and self.buffer_seconds < 2 * self.segment_seconds + _LIVE_LAG_SECONDS:
            raise SettingsError(
                f"LIVE_BUFFER_SECONDS is {self.buffer_seconds}; with segments of {self.segment_seconds} s "
                f"(LIVE_SEGMENT_SECONDS) it must be at least {2 * self.segment_seconds + _LIVE_LAG_SECONDS}: one track "
                "may lag the other by 5 s. Raise it, or shorten the segments."
            )

    def transcribe_options(self) -> TranscribeOptions:
        """The options of Transcribe.

        Raises:
            TranscribeOptionsError: they exclude each other.
        """
        from connect_audio.words.transcribe_options import TranscribeOptions  # noqa: PLC0415 - for this sink alone

        return TranscribeOptions(
            language=self.words_language or "",
            languages=tuple((self.transcribe_languages or "").split(",")) if self.transcribe_languages else (),
            vocabulary=self.transcribe_vocabulary or "",
            vocabulary_filter=self.transcribe_vocabulary_filter or "",
            vocabulary_filter_method=self.transcribe_filter_method,
            stability=self.transcribe_stability,
            redact=self.transcribe_redaction,
        )

    def _check_transcribe(self) -> None:
        try:
            self.transcribe_options()
        except ValueError as error:
            advice = "Change WORDS_LANGUAGE or the settings that begin with TRANSCRIBE_."
            raise SettingsError(f"LIVE_SINKS names transcribe. {error} {advice}") from error

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Self:
        """Read the settings.

        Args:
            environment: the variables; by default the process's own. The consumer reads them out of its input.

        Raises:
            SettingsError: one is not allowed; the message names it, its bounds and the advice.
        """
        return _read(cls, environment)  # type: ignore[no-any-return]


_LIVE_LAG_SECONDS: Final = 10
"""Seconds of live audio that may lie between the tracks: 5 s of lag, a fragment, and some room."""


def traces_endpoint() -> str | None:
    """The process's collector of OpenTelemetry; None without one. Its form is not checked here."""
    return os.environ.get(_TRACES_ENDPOINT) or None


def trace_resource() -> dict[str, str]:
    """The function in OpenTelemetry's words (semantic conventions, "FaaS" and "Cloud"), by attribute."""
    variables = {
        "service.name": "POWERTOOLS_SERVICE_NAME",
        "service.namespace": "POWERTOOLS_METRICS_NAMESPACE",
        "cloud.region": "AWS_REGION",
        "faas.name": "AWS_LAMBDA_FUNCTION_NAME",
        "faas.version": "AWS_LAMBDA_FUNCTION_VERSION",
    }
    known = {name: os.environ.get(variable, "") for name, variable in variables.items()}
    return {"cloud.provider": "aws"} | {name: value for name, value in known.items() if value}


def is_tracing_on(environment: Mapping[str, str] | None = None) -> bool:
    """Return true if X-Ray is wanted and there, by Powertools' own rule, without an import of the X-Ray SDK.

    Args:
        environment: the variables; by default the process's own.
    """
    source = os.environ if environment is None else environment
    off = source.get("POWERTOOLS_TRACE_DISABLED", "").lower() in {"1", "y", "yes", "t", "true", "on"}
    # Lambda alone sets the first, SAM CLI alone the second, for a container without X-Ray.
    return not off and "LAMBDA_TASK_ROOT" in source and "AWS_SAM_LOCAL" not in source
