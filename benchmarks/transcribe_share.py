"""The cost of a session of Amazon Transcribe to the consumer: processor, memory and import, beside the same without.

`python -m benchmarks.transcribe_share`, some 20 s. A process of its own sends both parties' audio, a second at a time,
to the stand-in of Transcribe in this process, over TLS and with every signature. The control group makes the same audio
and sends nothing.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from benchmarks.bounds import Bound
from benchmarks.consumer_memory import peak_mib
from connect_audio.core.pcm import PARTIES, Party
from connect_audio_local.recognition.markers import MARKER_WORDS, MarkerRecognizer, marker_speech
from connect_audio_local.transcribe.model import TranscribeModel
from connect_audio_local.transcribe.server import transcribe_endpoint

RATE: Final = 8_000
SECONDS: Final = 300
MOST_CPU_S_AN_HOUR: Final = 40.0
"""Limits the processor that an hour of call takes, seconds: 0.144 of a core, which 256 MB have, are 518. The run fails
beyond the limit."""
MOST_MIB: Final = 45.0
"""Limits what SDK and session add to the process, MiB. The run fails beyond the limit."""
_KEY: Final = "AKIDEXAMPLE"


@dataclass(frozen=True, slots=True)
class Row:
    """One process.

    Args:
        import_s: processor until the engine is ready, seconds.
        cpu_s: processor of the call, seconds.
        mib: most memory, MiB.
        words: words that came back.
    """

    import_s: float
    cpu_s: float
    mib: float
    words: int


def main() -> list[Bound]:
    """Measure both and print them."""
    model = TranscribeModel(MarkerRecognizer(), secrets={_KEY: _KEY})
    with transcribe_endpoint(model) as endpoint:
        sent = _in_a_process("session", endpoint.url, str(endpoint.ca_file))
        control = _in_a_process("control", endpoint.url, str(endpoint.ca_file))
    cpu_s = (sent.cpu_s - control.cpu_s) * 3600 / SECONDS
    print(f"import and credentials: {sent.import_s:.2f} CPU-s, control {control.import_s:.2f}")
    print(f"an hour of call: {cpu_s:.1f} CPU-s beyond the control; {sent.words} words in {SECONDS} s")
    print(f"memory: {sent.mib:.0f} MiB, control {control.mib:.0f} MiB")
    return [
        Bound("processor of an hour of words, CPU-s", cpu_s, at_most=MOST_CPU_S_AN_HOUR),
        Bound("memory of the engine, MiB", sent.mib - control.mib, at_most=MOST_MIB),
        Bound("words that came back", sent.words, at_least=SECONDS / 4),
    ]


def _in_a_process(what: str, url: str, ca_file: str) -> Row:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "benchmarks.transcribe_share", what, url, ca_file],
        stdout=subprocess.PIPE,
        check=True,
    )
    return Row(**json.loads(done.stdout.splitlines()[-1]))


# In the measured process.


def _speak(at: int) -> Mapping[Party, bytes]:
    """A second of audio: the parties take turns of 2 s, with 2 s of silence behind each."""
    silence = bytes(2 * RATE)
    words = [MARKER_WORDS[(at + each) % len(MARKER_WORDS)] for each in range(2)]
    speech = marker_speech(words, RATE).ljust(2 * RATE, b"\0")
    turn = at // 2 % 4
    return {PARTIES[0]: speech if turn == 0 else silence, PARTIES[1]: speech if turn == 2 else silence}


def _control() -> Row:
    import botocore.session  # noqa: PLC0415 - the consumer has it in any case

    botocore.session.Session()
    import_s, begin = time.process_time(), time.process_time()
    for at in range(SECONDS):
        _speak(at)
    return Row(import_s, time.process_time() - begin, peak_mib(), 0)


def _session(url: str, ca_file: str) -> Row:
    import botocore.session  # noqa: PLC0415 - measured here

    from connect_audio.adapters.words.transcribe import TranscribeRecognizer  # noqa: PLC0415
    from connect_audio.words.recognizer import SessionStart  # noqa: PLC0415
    from connect_audio.words.transcribe_options import TranscribeOptions  # noqa: PLC0415

    credentials = botocore.session.Session()
    credentials.set_credentials(_KEY, _KEY)
    options = TranscribeOptions(language="en-US")
    recognizer = TranscribeRecognizer(options, lambda: credentials, endpoint=url, ca_file=Path(ca_file))
    recognizer.prepare()
    import_s, begin = time.process_time(), time.process_time()
    session = recognizer.open(SessionStart(rate=RATE, needed=dict.fromkeys(PARTIES, 0), notify=lambda: None))
    words = 0
    for at in range(SECONDS):
        session.receive(at * RATE, _speak(at))
        words += sum(len(turn.words) for turn in session.results().turns)
    words += sum(len(turn.words) for turn in session.finish(is_call_over=True, timeout_s=60).turns)
    session.close()
    return Row(import_s, time.process_time() - begin, peak_mib(), words)


if __name__ == "__main__":
    if sys.argv[1:2] == ["session"]:
        print(json.dumps(asdict(_session(*sys.argv[2:]))))
    elif sys.argv[1:2] == ["control"]:
        print(json.dumps(asdict(_control())))
    else:
        from benchmarks.bounds import judge

        judge(main())
