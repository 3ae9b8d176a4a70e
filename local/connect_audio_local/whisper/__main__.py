"""`python -m connect_audio_local.whisper`: a speech server of spoken digits."""

from __future__ import annotations

import sys

if __name__ == "__main__":
    try:
        from connect_audio_local.whisper.server import main

        sys.exit(main())
    except ModuleNotFoundError as error:
        sys.exit(f"whisper: {error.name} is not installed: in the checkout, make setup")
