"""`connect-audio replay`: what a user reads before, during and after."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from connect_audio.core.manifest import Status
from connect_audio_cli.captures import open_capture
from connect_audio_cli.output.command_error import CommandError, ExitCode, printable
from connect_audio_cli.output.console import progress_of, stdout_console
from connect_audio_cli.output.formatting import count, duration
from connect_audio_cli.replay.replay import Replay, replay

_ADVICE = {
    "ADDRESS_REFUSED": "--allow-private-addresses allows one in your own network",
    "TLS_CERTIFICATE": "--webhook-ca FILE trusts one of your own",
}

if TYPE_CHECKING:
    from connect_audio_cli.replay.live_options import LiveOptions
    from connect_audio_cli.replay.live_replay import LiveReplay, SinkOutcome


def run(
    capture: str, *, contact_id: str | None, output: Path, accept_unlabelled: bool, live: LiveOptions | None
) -> None:
    """Replay a capture and say what came of it.

    Raises:
        CommandError: nothing was written, or something that is not whole.
    """
    live_replay = None if live is None else _live_replay(live)
    with (
        open_capture(capture) as opened,
        progress_of(opened.chunks, what="Replaying", total=opened.size) as chunks,
    ):
        done = replay(
            chunks,
            output,
            name=opened.name,
            contact_id=contact_id,
            accept_unlabelled=accept_unlabelled,
            live=live_replay,
        )
    stdout_console().print(_summary(done))
    lacking = list(_lacking(done))
    if lacking:
        raise CommandError("; ".join(lacking), ExitCode.NOT_WHOLE)


def _live_replay(options: LiveOptions) -> LiveReplay:
    # Imported where it is wanted: it would take as long as a plain replay of a short capture.
    from connect_audio.adapters.system_clock import SystemClock  # noqa: PLC0415
    from connect_audio_cli.replay.live_replay import LiveReplay  # noqa: PLC0415

    return LiveReplay(options, SystemClock(), SystemClock())


def _lacking(done: Replay) -> Iterator[str]:
    """What is missing, of the recording and of what sinks got."""
    sinks = [_lacking_in_sink(sink, done) for sink in (done.live.sinks if done.live else ()) if sink.lacks]
    if done.manifest["status"] != Status.COMPLETE:
        codes = ", ".join(reason["code"] for reason in done.manifest["reasons"])
        yield f'{done.wav} is written but not whole: {codes} (see "reasons" in {done.manifest_path.name})'
    elif sinks:
        yield f"{done.wav} is whole, but not all of its live audio was taken"
    yield from sinks


def _lacking_in_sink(sink: SinkOutcome, done: Replay) -> str:
    recording, facts = done.manifest["recording"], sink.facts
    code = sink.code or "it could not keep up"
    if code in _ADVICE:
        code = f"{code} ({_ADVICE[code]})"
    if facts.dropped_frames:
        dropped = duration(facts.dropped_frames / recording["sampleRate"])
        return f"{facts.name} did not get {dropped} of {duration(recording['durationSeconds'])}: {code}"
    if facts.failed is not None:
        return f"{facts.name} did not finish: {facts.failed}"
    return f"{facts.name} was not told of the end: {code}"


def _summary(done: Replay) -> Table:
    manifest, recording, tracks = done.manifest, done.manifest["recording"], done.manifest["tracks"]
    table = Table.grid(padding=(0, 2))
    table.add_row("Contact", done.contact_id)
    table.add_row("Recording", str(done.wav))
    table.add_row("Manifest", str(done.manifest_path))
    table.add_row(
        "Duration",
        f"{duration(recording['durationSeconds'])}, from {recording['startTime'] or 'an unknown time'}, "
        f"{recording['sampleRate']} Hz",
    )
    for name, party, level in zip(("Left", "Right"), ("customer", "agent"), done.levels, strict=True):
        track = tracks[party]
        heard = "silence" if math.isinf(level) else f"{level:.1f} dBFS"
        audio = duration(track["audioSamples"] / recording["sampleRate"])
        table.add_row(name, f"{party}: {heard}, {audio} of audio, {count(track['gaps'], 'gap')}")
    if done.live is not None:
        for sink in done.live.sinks:
            table.add_row(sink.facts.name.capitalize(), _delivered(sink, recording["sampleRate"]))
        if done.live.longest_lag_s is not None and done.live.sinks:
            table.add_row("Lag", f"{done.live.longest_lag_s * 1000:.0f} ms at most, from a segment's last sample on")
    table.add_row("Status", manifest["status"])
    for reason in manifest["reasons"]:
        table.add_row("", f"{reason['code']}: {reason['detail']}")
    if done.other_contacts:
        table.add_row("Also there", printable(", ".join(done.other_contacts)) + " (see --contact-id)")
    return table


def _delivered(sink: SinkOutcome, rate: int) -> str:
    facts = sink.facts
    told = [
        f"{count(facts.delivered, 'segment')}, {duration(facts.delivered_frames / rate)}",
        f"dropped {duration(facts.dropped_frames / rate)}" if facts.dropped_frames else "nothing dropped",
    ]
    if facts.failures:
        told.append(f"{facts.failures} failed {'try' if facts.failures == 1 else 'tries'}")
    return f"{sink.where}: {', '.join(told)}"
