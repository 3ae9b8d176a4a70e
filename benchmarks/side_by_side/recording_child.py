"""Records one call with the consumer of the tree that PYTHONPATH names: `recording_child.py ARN [FROM_S TO_S]`.

Runs under both trees, so it uses what both have: the handler, S3's configuration and the tree's own
`benchmarks.consumer_memory`. Prints one line of JSON: status, duration, peak memory, and with the two times the
CPU-seconds that passed between these seconds of the recording.
"""

import json
import sys
import threading
import time

sys.modules["awscrt"] = None  # type: ignore[assignment]  # as `hide_awscrt`, which older trees lack

from benchmarks.consumer_memory import directly, payload_for, peak_mib  # noqa: E402 - after awscrt is hidden
from connect_audio.adapters.s3_recording import S3_CONFIG  # noqa: E402
from connect_audio.handlers import consumer  # noqa: E402

# moto joins a recording's parts in one go; on a busy machine that takes longer than S3 ever may.
S3_CONFIG.read_timeout = 120  # type: ignore[attr-defined]

cpu_s: list[float] = []
for delay in sys.argv[2:]:
    timer = threading.Timer(float(delay), lambda: cpu_s.append(time.process_time()))
    timer.daemon = True
    timer.start()
outcome = directly(consumer.handler, payload_for(sys.argv[1]))
print(
    json.dumps(
        {
            "status": outcome["status"],
            "duration_s": outcome["duration_s"],
            "peak_mib": peak_mib(),
            "between_s": cpu_s[1] - cpu_s[0] if len(cpu_s) == 2 else None,
        }
    )
)
