"""A webhook's receiver in the foreground: the work behind `connect-audio receive`."""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path

from connect_audio_cli.output.reporting import Form, Report
from connect_audio_local.webhook.model import Delivery
from connect_audio_local.webhook.server import delivery_line, save_delivery, webhook_receiver


def receive(secret: bytes, port: int, output: Path | None, report: Report) -> None:
    """Receive until the process is interrupted.

    Args:
        secret: the text with which the sender signs.
        port: port on loopback, 0 for a free one.
        output: folder for the WAVs; None for none.
        report: gets the address, and a line for each delivery.

    Raises:
        OSError: the port cannot be bound.
    """

    def taken(delivery: Delivery) -> None:
        _say(
            report,
            delivery_line(delivery),
            {
                "event": delivery.value("Event"),
                "contactId": delivery.value("Contact-Id"),
                "segment": delivery.value("Segment"),
                "sizeBytes": len(delivery.body),
            },
        )
        if output is not None:
            save_delivery(delivery, output)

    with webhook_receiver(secret, port=port, taken=taken) as receiver:
        _say(
            report,
            f"listening at {receiver.url}; the sender must trust {receiver.ca_file}",
            {"url": receiver.url, "caFile": str(receiver.ca_file)},
        )
        threading.Event().wait()


def _say(report: Report, line: str, document: dict[str, str | int]) -> None:
    if report.form is Form.JSON:
        # A line each, since the deliveries have no end.
        sys.stdout.write(json.dumps(document) + "\n")
    report.line(line)
    sys.stdout.flush()
