"""`python -m connect_audio_local.webhook`: a receiver that prints each delivery in a line."""

from __future__ import annotations

import sys

if __name__ == "__main__":
    try:
        from connect_audio_local.webhook.server import main
    except ModuleNotFoundError as error:
        sys.exit(f"webhook: {error}")
    sys.exit(main())
