"""The check of a file with certificates that a user names."""

from __future__ import annotations

from pathlib import Path

from connect_audio_cli.output.command_error import CommandError, describe, printable


def check_certificates(path: Path) -> None:
    """Refuse a file without certificates.

    Raises:
        CommandError: it holds none, or cannot be read.
    """
    import ssl  # noqa: PLC0415 - it takes as long as all of the help

    name = printable(str(path))
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except ssl.SSLError as error:
        raise CommandError(f"{name}: holds no certificates in PEM") from error
    except OSError as error:
        raise CommandError(f"{name}: cannot be read: {describe(error)}") from error
