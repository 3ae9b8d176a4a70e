"""Values as a checkpoint keeps them."""

from __future__ import annotations

import json
from typing import Any


def through_json(value: Any) -> Any:
    return json.loads(json.dumps(value))
