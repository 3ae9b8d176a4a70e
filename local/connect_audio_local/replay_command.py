"""`connect-audio replay`: what a user reads before, during and after."""

from __future__ import annotations

import math
from pathlib import Path

from rich.table import Table

from connect_audio.core.manifest import Status
from connect_audio_local.capture_input import open_capture
from connect_audio_local.command_error import CommandError, ExitCode, printable
from connect_audio_local.console import progress_of, stdout_console
from connect_audio_local.replay import Replay, replay
from connect_audio_local.wording import count, duration


def run(capture: str, *, contact_id: str | None, output: Path, accept_unlabelled: bool) -> None:
    """Replay a capture and say what came of it.

    Raises:
        CommandError: nothing was written, or something that is not whole.
    """
    with (
        open_capture(capture) as opened,
        progress_of(opened.chunks, what="Replaying", total=opened.size) as chunks,
    ):
        done = replay(chunks, output, name=opened.name, contact_id=contact_id, accept_unlabelled=accept_unlabelled)
    stdout_console().print(_summary(done))
    if done.manifest["status"] != Status.COMPLETE:
        codes = ", ".join(reason["code"] for reason in done.manifest["reasons"])
        raise CommandError(
            f'{done.wav} is written but not whole: {codes} (see "reasons" in {done.manifest_path.name})',
            ExitCode.NOT_WHOLE,
        )


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
    table.add_row("Status", manifest["status"])
    for reason in manifest["reasons"]:
        table.add_row("", f"{reason['code']}: {reason['detail']}")
    if done.other_contacts:
        table.add_row("Also there", printable(", ".join(done.other_contacts)) + " (see --contact-id)")
    return table
