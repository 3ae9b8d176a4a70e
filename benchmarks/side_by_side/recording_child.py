"""Records calls with the consumer of the tree that PYTHONPATH names: `recording_child.py ARN… [--between FROM_S TO_S]`.

Runs under both trees, so it uses what both have: the handler, S3's configuration and the tree's own
`benchmarks.consumer_memory`. Prints one line of JSON: each call's status, duration and CPU-seconds, and the process's
peak memory. With two times it also has the CPU-seconds that passed between these seconds of the process.
"""

import argparse
import json
import os
import sys
import threading
import time

sys.modules["awscrt"] = None  # type: ignore[assignment]  # as `hide_words_layer`, which older trees lack

from benchmarks.consumer_memory import directly, payload_for, peak_mib  # noqa: E402 - after awscrt is hidden
from connect_audio.adapters.s3_recording import S3_CONFIG  # noqa: E402
from connect_audio.handlers import consumer  # noqa: E402

# moto joins a recording's parts in one go; on a busy machine that takes longer than S3 ever may.
S3_CONFIG.read_timeout = 120  # type: ignore[attr-defined]

arguments = argparse.ArgumentParser()
arguments.add_argument("arns", nargs="+")
arguments.add_argument("--between", nargs=2, type=float, default=())
given = arguments.parse_args()

between: list[float] = []
for delay in given.between:
    timer = threading.Timer(delay, lambda: between.append(time.process_time()))
    timer.daemon = True
    timer.start()
calls = []
for index, arn in enumerate(given.arns):
    # The calls have one contact and start, so each is recorded below a prefix of its own.
    os.environ["RECORDINGS_PREFIX"] = f"call-{index}"
    began_s = time.process_time()
    outcome = directly(consumer.handler, payload_for(arn))
    cpu_s = time.process_time() - began_s
    calls.append({"status": outcome["status"], "duration_s": outcome["duration_s"], "cpu_s": cpu_s})
report = {
    "calls": calls,
    "peak_mib": peak_mib(),
    "between_s": between[1] - between[0] if len(between) == 2 else None,
}
print(json.dumps(report))
