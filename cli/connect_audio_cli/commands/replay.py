"""`connect-audio replay`: its options, one call, and what a user reads after it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

from connect_audio_cli.output.arguments import CAPTURE_HELP, STANDARD_OUTPUT, Parser, add_form_options, flag, number
from connect_audio_cli.output.command_error import CommandError, ExitCode, printable
from connect_audio_cli.output.existing import add_force_option
from connect_audio_cli.output.formatting import count, duration, speech
from connect_audio_cli.output.reporting import Form, Report, add_report_options
from connect_audio_cli.replay.words_options import add_words_options, words_options

_MOST_GAPS: Final = 10
"""Gaps of the summary: a screen's half. The manifest lists them all."""
_MOST_SPANS: Final = _MOST_GAPS
"""Spans without words of the summary. The transcript lists them all."""
_ADVICE: Final = {
    ("webhook", "ADDRESS_REFUSED"): "--allow-private-addresses allows one in your own network",
    ("webhook", "TLS_CERTIFICATE"): "--webhook-ca FILE trusts one of your own",
    ("whisper", "ADDRESS_REFUSED"): "http:// reaches your own network alone; name an https:// address",
    ("whisper", "HTTP_401"): "--api-key-env NAME gives the server's key",
    ("whisper", "TLS_CERTIFICATE"): "--whisper-ca FILE trusts one of your own",
}

if TYPE_CHECKING:
    from connect_audio_cli.recordings.conversion import Conversion
    from connect_audio_cli.replay.live_options import LiveOptions
    from connect_audio_cli.replay.live_replay import LiveReplay, SinkOutcome
    from connect_audio_cli.replay.replay import Replay


def main(arguments: Sequence[str]) -> int:
    """Read the options and run.

    Raises:
        CommandError: as `run`, or options that cannot be used.
    """
    given = parser().read(arguments)
    typed = {
        name: getattr(given, name)
        for name in (
            "segments",
            "webhook",
            "webhook_ca",
            "allow_private_addresses",
            "segment_seconds",
            "segment_rate",
            "segment_layout",
            "speed",
            "sink",
            "sink_option",
            "words_webhook",
        )
    }
    words = words_options(given)
    live = None
    if words is not None or any(value not in (None, False) for value in typed.values()):
        # Imported where it is wanted: it would take as long as a plain replay of a short capture.
        from connect_audio_cli.replay.live_options import Typed, live_options  # noqa: PLC0415

        live = live_options(Typed(**typed, words=words))
    to_standard_output = str(given.output) == STANDARD_OUTPUT
    forms: tuple[Conversion, ...] = ()
    if to_standard_output or given.format or given.spectrogram or given.channels != "both":
        from connect_audio_cli.replay.forms import forms_of  # noqa: PLC0415 - as above

        forms = forms_of(
            given.format, given.channels, spectrogram=given.spectrogram, to_standard_output=to_standard_output
        )
    run(
        given.capture,
        contact_id=given.contact_id,
        output=given.output,
        accept_unlabelled=given.accept_unlabelled,
        tracks=(given.customer_track, given.agent_track),
        live=live,
        forms=forms,
        force=given.force,
        report=Report(Form.QUIET) if to_standard_output else Report.of(given),
    )
    return ExitCode.WHOLE


def parser() -> Parser:
    """Return the options."""
    options = Parser(
        "replay",
        "CAPTURE",
        "Turn a GetMedia capture into a stereo WAV and a manifest, and if wanted into live segments.\n\n"
        "Writes FOLDER/<contact id>.wav (customer left, agent right) and FOLDER/<contact id>.json. The "
        "JSON says what the recording holds, what it lacks and why. With --whisper or --transcribe the words are "
        "beside it, in <contact id>.transcript.json and .vtt.",
        examples=(
            ("connect-audio replay call.mkv", "The first contact's WAV and manifest, here."),
            ("connect-audio replay call.mkv --format flac", "The same, and a FLAC beside the WAV."),
            ("connect-audio replay call.mkv -o out --segments out/live", "The same in out, with segments of a second."),
            (
                "connect-audio replay call.mkv --whisper http://127.0.0.1:8000/v1 --speed 1 --follow",
                "At the call's pace, with its words as they come.",
            ),
        ),
        exit_codes={
            ExitCode.WHOLE: "the recording is whole",
            ExitCode.NOT_WHOLE: "written, but something is missing, from the recording, from the words, or from what "
            "--segments and --webhook got",
        },
    )
    options.add_argument("capture", metavar="CAPTURE", help=CAPTURE_HELP)
    options.add_argument(
        "--contact-id", metavar="ID", help="Contact to write. By default the first one in the capture."
    )
    options.add_argument(
        "-o",
        "--output",
        metavar="FOLDER",
        type=Path,
        default=Path(),
        help="Folder of the output, made if missing; - writes the recording alone to standard output. (default: here)",
    )
    flag(
        options,
        "--accept-unlabelled",
        "Take audio that names no contact for this contact's. Only for captures that hold one call alone.",
    )
    for party in ("customer", "agent"):
        options.add_argument(
            f"--{party}-track",
            metavar="NAME|NUMBER",
            help=f"The {party}'s track, where no name in the capture is Connect's. inspect lists the tracks.",
        )
    add_force_option(options)
    add_report_options(options)
    forms = options.add_argument_group("Other forms, beside the WAV")
    forms.add_argument(
        "--format",
        metavar="FORMAT",
        action="append",
        default=[],
        help="Also write flac, opus, mp3, wav, svg or png; once for each. All but wav and svg need the extra formats.",
    )
    add_form_options(forms)
    live = options.add_argument_group("Live audio")
    live.add_argument(
        "--segments",
        metavar="FOLDER",
        type=Path,
        help="Also write the call in segments, 000000.wav and so on, and their index.json.",
    )
    live.add_argument(
        "--webhook",
        metavar="URL",
        help="Also post the segments to this https:// address, signed with the text in the variable "
        "WEBHOOK_SIGNING_SECRET.",
    )
    live.add_argument(
        "--words-webhook",
        metavar="WHICH",
        help="Also post the words of --whisper or --transcribe there: final turns, or all, partial ones too. "
        "(default: off)",
    )
    live.add_argument(
        "--webhook-ca", metavar="FILE", type=Path, help="Certificates (PEM) to trust besides the system's."
    )
    flag(live, "--allow-private-addresses", "Let the webhook be on this machine or in this network.")
    live.add_argument("--segment-seconds", metavar="N", help="Length of a segment, in seconds. (default: 1)")
    live.add_argument("--segment-rate", metavar="HZ", help="16000, or source for the call's own. (default: source)")
    live.add_argument(
        "--segment-layout", metavar="LAYOUT", help="stereo, or tracks for a file of each party. (default: stereo)"
    )
    live.add_argument(
        "--sink",
        metavar="NAME",
        action="append",
        help="Also feed a sink that an installed package brings, by its entry point (docs/live.md); once for each.",
    )
    live.add_argument(
        "--sink-option",
        metavar="KEY=VALUE",
        action="append",
        help="An option of such sinks, as in the parameter LiveSinkOptions; once for each.",
    )
    live.add_argument(
        "--speed",
        metavar="X",
        type=number(float, 0.01),
        help="X times as fast as the call, as if it were live. (default: at once)",
    )
    add_words_options(options)
    return options


def run(
    capture: str,
    *,
    contact_id: str | None,
    output: Path,
    accept_unlabelled: bool,
    tracks: tuple[str | None, str | None],
    live: LiveOptions | None,
    forms: Sequence[Conversion],
    force: bool,
    report: Report,
) -> None:
    """Replay a capture and say what came of it.

    Raises:
        CommandError: nothing was written, or something that is not whole.
    """
    # Imported here, so that help and slips of the fingers cost no more than they use.
    from connect_audio.core.tracks import TrackNames  # noqa: PLC0415
    from connect_audio_cli.captures import STANDARD_INPUT, open_capture  # noqa: PLC0415
    from connect_audio_cli.output.progress import progress_of  # noqa: PLC0415
    from connect_audio_cli.replay.replay import replay  # noqa: PLC0415

    source = None if capture == STANDARD_INPUT else Path(capture)
    live_replay = None if live is None else _live_replay(live, output, source, force=force)
    to_standard_output = str(output) == STANDARD_OUTPUT
    is_followed = live is not None and live.words is not None and live.words.is_followed
    with ExitStack() as cleanup:
        folder = Path(cleanup.enter_context(TemporaryDirectory())) if to_standard_output else output
        with (
            open_capture(capture) as opened,
            progress_of(
                opened.chunks,
                what="Replaying",
                total=opened.size,
                shown=report.shows_progress and not is_followed,
            ) as chunks,
        ):
            done = replay(
                chunks,
                folder,
                name=opened.name,
                contact_id=contact_id,
                accept_unlabelled=accept_unlabelled,
                track_names=TrackNames(*tracks),
                live=live_replay,
                source=source,
                force=force,
            )
        written = _write_forms(done.wav, forms, to_standard_output=to_standard_output, force=force)
    report.values(_summary(done, written))
    report.document(_document(done, written))
    lacking = list(_lacking(done, "standard output" if to_standard_output else str(done.wav)))
    if lacking:
        raise CommandError("; ".join(lacking), ExitCode.NOT_WHOLE)


def _write_forms(wav: Path, forms: Sequence[Conversion], *, to_standard_output: bool, force: bool) -> list[Path]:
    """Write the further forms; returns the files."""
    if not forms:
        return []
    # Imported where it is wanted: a plain replay needs none of it.
    from connect_audio_cli.replay.forms import write_forms, write_to_standard_output  # noqa: PLC0415

    if to_standard_output:
        write_to_standard_output(wav, forms[0])
        return []
    return list(write_forms(wav, forms, force=force))


def _document(done: Replay, written: Sequence[Path]) -> dict[str, Any]:
    """The outcome for scripts; all else stands in the manifest."""
    return {
        "contactId": done.contact_id,
        "recording": str(done.wav),
        "manifest": str(done.manifest_path),
        "otherForms": [str(path) for path in written],
        "replaced": list(done.replaced),
        "status": done.manifest["status"],
        "reasons": done.manifest["reasons"],
        "durationSeconds": done.manifest["recording"]["durationSeconds"],
        "otherContacts": list(done.other_contacts),
        "sinks": [
            {
                "name": sink.name,
                "where": sink.where,
                "isWhole": not sink.lacks,
                "deliveredSegments": sink.state.counts.delivered,
            }
            for sink in (done.live.sinks if done.live else ())
        ],
        "words": _words_document(done),
    }


def _words_document(done: Replay) -> dict[str, Any] | None:
    """The manifest's facts about the words, with the files' paths in place of their names."""
    facts: dict[str, Any] | None = done.manifest["words"]
    if facts is None:
        return None
    return facts | {name: str(done.wav.with_name(facts[name])) for name in ("transcript", "captions")}


def _live_replay(options: LiveOptions, output: Path, source: Path | None, *, force: bool) -> LiveReplay:
    # Imported where it is wanted: it would take as long as a plain replay of a short capture.
    from connect_audio.adapters.system_clock import SystemClock  # noqa: PLC0415
    from connect_audio_cli.replay.live_replay import LiveReplay  # noqa: PLC0415

    words = None
    if options.words is not None:
        from connect_audio_cli.replay.replayed_words import ReplayedWords  # noqa: PLC0415

        words = ReplayedWords(options.words, output, source=source, force=force)
    return LiveReplay(options, SystemClock(), SystemClock(), force=force, words=words)


def _lacking(done: Replay, name: str) -> Iterator[str]:
    """Yield a line for each lack of the recording and of its sinks."""
    from connect_audio.core.recording_facts import Reason, Status  # noqa: PLC0415 - see `run`
    from connect_audio.core.status import one_line  # noqa: PLC0415 - see `run`

    sinks = [_lacking_in_sink(sink, done) for sink in (done.live.sinks if done.live else ()) if sink.lacks]
    if done.manifest["status"] != Status.COMPLETE:
        causes = one_line([Reason(reason["code"], reason["detail"]) for reason in done.manifest["reasons"]])
        where = "" if name != str(done.wav) else f' (see "reasons" in {done.manifest_path.name})'
        yield f"{name} is written but not whole: {causes}{where}"
    elif sinks:
        yield f"{name} is whole, but not all of its live audio was taken"
    elif done.words is not None and done.words.content.missing:
        yield f"{name} is whole, but words of it are missing"
    yield from sinks
    if done.words is not None and done.words.content.missing:
        missing = ", ".join(
            f"{duration(seconds)} of the {party}"
            for party, seconds in done.words.facts.missing_seconds.items()
            if seconds
        )
        yield f'there are no words for {missing} (see "missing" in {done.words.facts.transcript})'


def _lacking_in_sink(sink: SinkOutcome, done: Replay) -> str:
    recording, counts = done.manifest["recording"], sink.state.counts
    code = sink.code or "it could not keep up"
    if (sink.name, code) in _ADVICE:
        code = f"{code} ({_ADVICE[sink.name, code]})"
    if counts.dropped_messages and not counts.dropped_frames:
        code = sink.message_code or "it could not keep up"
        if ("webhook", code) in _ADVICE:
            code = f"{code} ({_ADVICE['webhook', code]})"
        return f"webhook did not get {count(counts.dropped_messages, 'message')} of {sink.name}: {code}"
    if counts.dropped_frames:
        dropped = duration(counts.dropped_frames / recording["sampleRate"])
        return f"{sink.name} did not get {dropped} of {duration(recording['durationSeconds'])}: {code}"
    if sink.state.failure is not None:
        return f"{sink.name} did not finish: {sink.state.failure}"
    return f"{sink.name} did not take the end: {code}"


def _summary(done: Replay, written: Sequence[Path]) -> Iterator[tuple[str, str]]:
    manifest, recording, tracks = done.manifest, done.manifest["recording"], done.manifest["tracks"]
    yield "Contact", done.contact_id
    yield "Recording", str(done.wav)
    yield "Manifest", str(done.manifest_path)
    for path in written:
        yield path.suffix.removeprefix(".").upper(), str(path)
    for path_or_count in done.replaced:
        yield "Replaced", path_or_count
    start = recording["startTime"] or "an unknown time"
    yield "Duration", f"{duration(recording['durationSeconds'])}, from {start}, {recording['sampleRate']} Hz"
    for name, party in (("Left", "customer"), ("Right", "agent")):
        track = tracks[party]
        share = track["activeSeconds"] / recording["durationSeconds"]
        shown_level = speech(track["activeRmsDbfs"], share, track["peakDbfs"])
        audio = duration(track["audioSamples"] / recording["sampleRate"])
        yield name, f"{party}: {shown_level}; {audio} of audio, {count(track['gapCount'], 'gap')}"
    yield from _gaps(done)
    yield from _words(done)
    if done.live is not None:
        for sink in done.live.sinks:
            yield sink.name.capitalize(), _delivered(sink, recording["sampleRate"])
        if done.live.longest_lag_s is not None and done.live.sinks:
            yield "Lag", f"{done.live.longest_lag_s * 1000:.0f} ms at most, from a segment's last sample on"
    yield "Status", manifest["status"]
    for reason in manifest["reasons"]:
        yield "", f"{reason['code']}: {reason['detail']}"
    for place, warning in enumerate(manifest["warnings"]):
        yield "" if place else "Warning", f"{warning['code']}: {warning['detail']}"
    if done.other_contacts:
        yield "Also there", printable(", ".join(done.other_contacts)) + " (see --contact-id)"


def _words(done: Replay) -> Iterator[tuple[str, str]]:
    """Yield the files of the words, who said how much, and the first spans without words."""
    if done.words is None:
        return
    facts, content = done.words.facts, done.words.content
    yield "Transcript", str(done.wav.with_name(facts.transcript))
    yield "Captions", str(done.wav.with_name(facts.captions))
    for place, party in enumerate(facts.missing_seconds):
        turns = [turn for turn in content.turns if turn.party is party]
        words = count(sum(len(turn.text.split()) for turn in turns), "word")
        yield "" if place else "Words", f"{party}: {words} in {count(len(turns), 'turn')}"
    for place, span in enumerate(content.missing[:_MOST_SPANS]):
        yield (
            "" if place else "No words",
            f"{span.party}: {span.start / content.rate:.1f} to {span.end / content.rate:.1f} s, {span.reason}",
        )
    if len(content.missing) > _MOST_SPANS:
        yield "", f'and {len(content.missing) - _MOST_SPANS} more (see "missing" in {facts.transcript})'


def _gaps(done: Replay) -> Iterator[tuple[str, str]]:
    """Yield the first gaps: when, how long, whose and why."""
    if not done.manifest["gaps"]["count"]:
        return
    from connect_audio_cli.recordings.gaps import gaps_of  # noqa: PLC0415 - whole calls need none of it

    gaps = gaps_of(done.manifest)
    for place, gap in enumerate(gaps[:_MOST_GAPS]):
        parties = "both parties" if len(gap.parties) > 1 else gap.parties[0]
        yield (
            "" if place else "Gaps",
            f"at {duration(gap.start_s)}: {duration(gap.seconds)} of {parties}, {gap.described}",
        )
    if len(gaps) > _MOST_GAPS:
        yield "", f'and {len(gaps) - _MOST_GAPS} more (see "gaps" in {done.manifest_path.name})'


def _delivered(sink: SinkOutcome, rate: int) -> str:
    counts = sink.state.counts
    parts = [
        f"{count(counts.delivered, sink.unit)}, {duration(counts.delivered_frames / rate)}",
        f"dropped {duration(counts.dropped_frames / rate)}" if counts.dropped_frames else "nothing dropped",
    ]
    if counts.dropped_messages:
        parts.append(f"{count(counts.dropped_messages, 'message')} not posted")
    if counts.failures:
        parts.append(f"{counts.failures} failed {'try' if counts.failures == 1 else 'tries'}")
    return f"{sink.where}: {', '.join(parts)}"
