"""Write the contact flow into template.yaml, whose `Content` must be a string: run after a change of the flow.

CloudFormation can take no string from another file. A test holds the two equal.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
INDENT: Final = " " * 10
BLOCK: Final = re.compile(r"(?<=\n      Content: !Sub\n        - \|-\n)(?: {10}.*\n)+")


def main() -> None:
    """Replace the block in the template."""
    flow = (ROOT / "connect" / "recording-flow.json").read_text("utf-8")
    template = ROOT / "template.yaml"
    indented = "".join(f"{INDENT}{line}\n" for line in flow.splitlines())
    text, replaced = BLOCK.subn(lambda _: indented, template.read_text("utf-8"))
    if replaced != 1:
        raise SystemExit(f"template.yaml has {replaced} blocks for the flow, not 1")
    template.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
