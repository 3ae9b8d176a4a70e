"""`connect-audio synthesize`: a capture laid out as Connect lays it out, from two WAV files or generated speech."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from connect_audio_cli.output.arguments import STANDARD_OUTPUT, Parser, number
from connect_audio_cli.output.atomic_file import AtomicFile
from connect_audio_cli.output.command_error import CommandError, ExitCode, describe, printable
from connect_audio_cli.output.existing import add_force_option, refuse_existing
from connect_audio_cli.output.formatting import count, duration
from connect_audio_cli.output.inputs import refuse_inputs
from connect_audio_cli.output.progress import tracked
from connect_audio_cli.output.reporting import Report, add_report_options


def main(arguments: Sequence[str]) -> int:
    """Read the options and write a capture.

    Raises:
        CommandError: as `run`, or options that cannot be used.
    """
    given = parser().read(arguments)
    run(
        given.output,
        customer=given.customer,
        agent=given.agent,
        seconds=given.seconds,
        seed=given.seed,
        contact_id=given.contact_id,
        force=given.force,
        report=Report.of(given),
    )
    return ExitCode.WHOLE


def parser() -> Parser:
    """Return the options."""
    options = Parser(
        "synthesize",
        "OUTPUT.mkv",
        "Write a capture laid out as Connect's, from two WAV files or from generated speech.\n\n"
        "replay, inspect and emulate read the file.",
        examples=(
            ("connect-audio synthesize call.mkv --seconds 30", "Half a minute of generated speech."),
            ("connect-audio synthesize call.mkv --customer a.wav --agent b.wav", "Two recordings of your own."),
            ("connect-audio synthesize - | connect-audio inspect -", "Standard output, for another command."),
        ),
    )
    options.add_argument("output", metavar="OUTPUT.mkv", help="The capture to write, or - for standard output.")
    options.add_argument("--customer", metavar="WAV", type=Path, help="Mono WAV of the customer.")
    options.add_argument("--agent", metavar="WAV", type=Path, help="Mono WAV of the agent.")
    options.add_argument(
        "--seconds",
        metavar="N",
        type=number(float, 0.001, 604800),
        default=60.0,
        help="Length of generated speech. (default: 60)",
    )
    options.add_argument(
        "--seed",
        metavar="N",
        type=number(int),
        default=0,
        help="Another seed makes another conversation. (default: 0)",
    )
    options.add_argument("--contact-id", metavar="ID", help="The call's contact id.")
    add_force_option(options)
    add_report_options(options)
    return options


def run(
    output: str,
    *,
    customer: Path | None,
    agent: Path | None,
    seconds: float,
    seed: int,
    contact_id: str | None,
    force: bool,
    report: Report,
) -> None:
    """Write one call.

    Args:
        output: path of the capture, or `-` for standard output, which then gets no report.
        customer: mono WAV of the customer; None for generated speech.
        agent: mono WAV of the agent; both or none.
        seconds: length of generated speech.
        seed: seed of the generated speech.
        contact_id: the call's; None for a fixed one.
        force: True to replace a file.
        report: gets the capture's length.

    Raises:
        CommandError: a WAV or a contact id that cannot be used, or an output that cannot be written.
    """
    # Imported here, so that the help costs no more than it uses.
    from connect_audio.core.contact_id import is_contact_id  # noqa: PLC0415
    from connect_audio_local.synthesis.calls import (  # noqa: PLC0415
        DEFAULT_CONTACT_ID,
        AudioFileError,
        SyntheticCall,
        from_wav_files,
        synthesize_call,
    )
    from connect_audio_local.synthesis.speech import Party, endless_speech  # noqa: PLC0415

    contact_id = contact_id or DEFAULT_CONTACT_ID
    if not is_contact_id(contact_id):
        raise CommandError(
            f"--contact-id '{printable(contact_id, 60)}' is no contact id: 1 to 50 letters, digits and inner hyphens"
        )
    if (customer is None) != (agent is None):
        raise CommandError("--customer and --agent belong together: give both, or none for generated speech")
    refuse_inputs([Path(output)], [path for path in (customer, agent) if path is not None])
    is_replaced = output != STANDARD_OUTPUT and Path(output).exists()
    if output != STANDARD_OUTPUT:
        refuse_existing([Path(output)], force=force)
    elif sys.stdout.isatty():
        raise CommandError("standard output is a terminal: send the capture into a file or a command")
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
    made = tracked(synthesize_call(call), what="Synthesizing", total=expected, shown=report.shows_progress)
    if output == STANDARD_OUTPUT:
        for fragment in made:
            sys.stdout.buffer.write(fragment.data)
        return
    with AtomicFile(Path(output)) as file:
        for fragment in made:
            file.write(fragment.data)
            fragments += 1
            length_ms += fragment.duration_ms
        file.seal()
        file.publish()
    report.values(
        (
            ("Replaced" if is_replaced else "Capture", output),
            ("Contact", contact_id),
            ("Duration", f"{duration(length_ms / 1000)} in {count(fragments, 'fragment')}"),
            ("Next", f"connect-audio replay {shlex.quote(output)}"),
        )
    )
    report.document(
        {
            "capture": output,
            "replaced": [output] if is_replaced else [],
            "contactId": contact_id,
            "durationSeconds": length_ms / 1000,
            "fragments": fragments,
        }
    )
