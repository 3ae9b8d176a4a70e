"""`connect-audio synthesize`: a capture laid out as Connect lays it out, from two WAV files or generated speech."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.progress import track

from connect_audio.core.contact_id import is_contact_id
from connect_audio_cli.output.atomic_file import AtomicFile
from connect_audio_cli.output.command_error import CommandError, describe, printable
from connect_audio_cli.output.formatting import count, duration
from connect_audio_local.synthesis.calls import (
    DEFAULT_CONTACT_ID,
    AudioFileError,
    SyntheticCall,
    SyntheticFragment,
    from_wav_files,
    synthesize_call,
)
from connect_audio_local.synthesis.speech import Party, endless_speech


def run(
    output: Path, *, customer: Path | None, agent: Path | None, seconds: float, seed: int, contact_id: str | None
) -> None:
    """Write one call.

    Args:
        output: the capture.
        customer: mono WAV of the customer; None for generated speech.
        agent: mono WAV of the agent; both or none.
        seconds: length of generated speech.
        seed: seed of the generated speech.
        contact_id: the call's; None for a fixed one.

    Raises:
        CommandError: a WAV or a contact id that cannot be used, or an output that cannot be written.
    """
    contact_id = contact_id or DEFAULT_CONTACT_ID
    if not is_contact_id(contact_id):
        raise CommandError(
            f"--contact-id '{printable(contact_id, 60)}' is no contact id: 1 to 50 letters, digits and inner hyphens"
        )
    if (customer is None) != (agent is None):
        raise CommandError("--customer and --agent belong together: give both, or none for generated speech")
    if customer is not None and agent is not None:
        try:
            call = replace(from_wav_files(customer, agent), contact_id=contact_id)
        except AudioFileError as error:
            raise CommandError(printable(str(error))) from error
        except OSError as error:
            raise CommandError(f"{printable(str(error.filename))}: cannot be read: {describe(error)}") from error
        expected = None
    else:
        call = SyntheticCall(
            customer=endless_speech(Party.CUSTOMER, seed=seed),
            agent=endless_speech(Party.AGENT, seed=seed),
            contact_id=contact_id,
            seconds=seconds,
        )
        expected = seconds / (call.blocks_per_fragment * call.block_ms / 1000)
    fragments = 0
    length_ms = 0
    with AtomicFile(output) as file:
        for fragment in _with_progress(synthesize_call(call), expected):
            file.write(fragment.data)
            fragments += 1
            length_ms += fragment.duration_ms
        file.seal()
        file.publish()
    line = f"{output}: contact {contact_id}, {duration(length_ms / 1000)} in {count(fragments, 'fragment')}"
    print(line)
    print(f"Next: connect-audio replay {output}")


def _with_progress(fragments: Iterator[SyntheticFragment], expected: float | None) -> Iterator[SyntheticFragment]:
    console = Console(stderr=True)
    yield from track(
        fragments, "Synthesising", total=expected, console=console, transient=True, disable=not console.is_terminal
    )
