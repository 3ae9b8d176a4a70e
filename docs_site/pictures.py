"""The pictures of the documents: `python docs_site/pictures.py` writes docs/pictures/*.svg anew.

They are committed, since GitHub and the site show them without a tool. A test holds the files to this program.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).parent))

from drawing import Drawing, column

FOLDER: Final = Path(__file__).resolve().parents[1] / "docs" / "pictures"


def flow() -> Drawing:
    """From the Connect flow to the recording."""
    picture = Drawing(
        960,
        400,
        "The Connect flow streams audio into a Kinesis Video stream and calls the trigger. The trigger starts the "
        "consumer, which reads the stream in steps and writes to S3, to sinks and to EventBridge.",
    )
    connect = picture.box(20, 40, 170, "Connect flow", "Start media streaming", "Invoke the trigger", kind="aws")
    stream = picture.box(20, 190, 170, "Kinesis Video", "stream", kind="aws")
    trigger = picture.box(310, 48, 170, "trigger", "checks the event", kind="ours")
    picture.frame(300, 140, 400, 250, "consumer, a durable function")
    claim = picture.box(560, 170, 125, "claim", kind="ours")
    record = picture.box(320, 238, 170, "record one part", "again and again", kind="ours")
    finish = picture.box(560, 247, 125, "finish", kind="ours")
    announce = picture.box(560, 320, 125, "announce", kind="ours")
    sinks = picture.box(320, 330, 170, "live sinks", "", kind="plain")
    picture.box(790, 180, 150, "S3", "parts, staging", "WAV, manifest", kind="result")
    bus = picture.box(790, 320, 150, "EventBridge", kind="aws")
    picture.arrow((190, 66), (310, 66), label="event")
    picture.arrow((310, 88), (190, 88), label="status, URI", at=(215, 104))
    picture.arrow(connect.bottom, stream.top, label="audio, both parties", at=(112, 145))
    picture.arrow(trigger.right, (622, trigger.right[1]), claim.top, label="one start a recording", at=(492, 64))
    picture.arrow(claim.left, (405, claim.left[1]), record.top)
    picture.arrow((190, 208), (250, 208), (250, record.left[1]), record.left, label="GetMedia", at=(196, 202))
    picture.arrow(record.right, finish.left, label="over")
    picture.arrow(finish.bottom, announce.top)
    picture.arrow(record.bottom, sinks.top, label="live audio", at=(412, 316), dashed=True)
    picture.arrow((460, 238), (460, 222), (790, 222), label="parts", at=(730, 216))
    picture.arrow(finish.right, (865, finish.right[1]), (865, 247), label="WAV, manifest", at=(700, 278))
    picture.arrow(announce.right, bus.left, label="event")
    return picture


def life() -> Drawing:
    """A call from its first to its last second."""
    picture = Drawing(
        960,
        320,
        "A call of forty minutes: the trigger starts the recording, record steps follow each other, invocations hand "
        "over before their 15 minutes end, a drain of 30 seconds follows the hang-up, then finish and announce.",
    )
    # First, so that the boxes stand before them.
    picture.arrow((359, 90), (359, 242), dashed=True)
    picture.arrow((664, 45), (664, 242), dashed=True)
    picture.text(20, 34, "the call", weak=True)
    picture.box(130, 12, 534, "40 minutes of audio in the stream", kind="aws")
    picture.text(20, 96, "invocations", weak=True)
    for x, width, text in ((140, 214, "first, 14 minutes"), (364, 158, "second, 14 minutes"), (532, 340, "third")):
        picture.box(x, 74, width, "", text, kind="plain")
    picture.text(20, 152, "steps", weak=True)
    picture.box(140, 130, 52, "claim")
    for number in range(1, 15):
        invocation = 0 if number <= 5 else 8 if number <= 10 else 16
        picture.box(196 + 32 * (number - 1) + invocation, 130, 30, "", str(number))
    picture.box(664, 130, 58, "drain")
    picture.box(726, 130, 58, "finish")
    picture.box(788, 130, 84, "announce")
    picture.text(20, 216, "in S3", weak=True)
    picture.box(196, 194, 526, "a part of 5 MiB after each step, the rest staged", kind="result")
    picture.box(726, 194, 146, "WAV, manifest", kind="result")
    picture.text(140, 260, "hand-over: the next invocation reads on after the checkpoint", weak=True)
    picture.text(580, 260, "hang-up: after 30 s without its audio the call is over", weak=True)
    picture.text(
        20,
        300,
        "A process may be killed anywhere: the step runs again from its checkpoint, and reads the stream again.",
        weak=True,
    )
    return picture


def complete() -> Drawing:
    """How `complete` is decided."""
    picture = Drawing(
        960,
        480,
        "Six questions, one after the other. A recording is complete if all are answered with yes. Otherwise it is "
        "partial and the reasons name what is not proven. Without any audio it is empty.",
    )
    questions = column(
        picture,
        30,
        20,
        560,
        (
            ("Is there audio of the contact?",),
            (
                "Opening: is the fragment there that Connect names as the first?",
                "else: audio within 5 s of StartTimestamp",
            ),
            ("Middle: do numbers and times show that no fragment is missing?",),
            ("Accounts: is each received byte in the WAV, or a copy of one?",),
            (
                "End: is the fragment there that Connect names as the last?",
                "else: DISCONNECTED, another contact or idle, and read to the head",
            ),
            ("One contact: is each fragment proven to be this contact's?",),
            ("Unaltered: is each sample within 10 ms of its time?",),
        ),
        kind="ours",
        gap=18,
    )
    empty = picture.box(760, questions[0].y, 170, "empty", kind="plain")
    partial = picture.box(760, questions[3].y - 17, 170, "partial", "reasons: what and why", kind="bad")
    done = picture.box(225, questions[-1].y + questions[-1].height + 22, 170, "complete", kind="result")
    picture.arrow(questions[0].right, empty.left, label="no")
    for question in questions[1:]:
        picture.arrow(question.right, (680, question.right[1]), (680, partial.left[1]), partial.left)
    picture.text(610, questions[1].right[1] - 6, "not proven", weak=True)
    for upper, lower in zip(questions, [*questions[1:], done], strict=True):
        picture.arrow(upper.bottom, lower.top, label="yes", at=(upper.bottom[0] + 8, upper.bottom[1] + 14))
    return picture


def live() -> Drawing:
    """The path of live audio."""
    picture = Drawing(
        960,
        300,
        "Blocks of the stream go to the recording and to one buffer. Each sink has its own thread and position. The "
        "recording waits for no sink.",
    )
    stream = picture.box(20, 100, 150, "Kinesis Video", "blocks of 64 ms", kind="aws")
    core = picture.box(240, 100, 150, "core", "whose audio, when")
    recording = picture.box(470, 20, 190, "recording", "parts in S3", kind="result")
    buffer = picture.box(470, 120, 190, "buffer of the newest", "60 s of both parties")
    threads = column(
        picture,
        740,
        20,
        200,
        (
            ("segments", "a WAV a second in S3"),
            ("webhook", "a signed post each"),
            ("a sink of your own", "blocks or segments"),
        ),
        kind="plain",
        gap=22,
    )
    picture.arrow(stream.right, core.left, label="GetMedia")
    picture.arrow(core.right, (430, core.right[1]), (430, recording.left[1]), recording.left)
    picture.arrow((390, 136), (470, 136), label="")
    for sink in threads:
        picture.arrow(buffer.right, (700, buffer.right[1]), (700, sink.left[1]), sink.left)
    picture.text(
        20,
        232,
        "Each sink has a thread and a position in the buffer. One that lags loses the oldest audio, which is counted.",
        weak=True,
    )
    picture.text(20, 254, "The recording reads on meanwhile. Its manifest says what a sink lacks.", weak=True)
    picture.text(20, 276, "Segments joined are the recording, sample for sample.", weak=True)
    return picture


def step_end() -> Drawing:
    """How a record step ends."""
    picture = Drawing(
        960,
        350,
        "A record step reads until a part is full, the deadline is near, the stream is quiet or the call is over. "
        "The handler begins the next step, waits, or finishes.",
    )
    picture.box(30, 150, 130, "reading")
    part = picture.box(420, 20, 200, "PartDone", "the next step follows", kind="result")
    hand_over = picture.box(420, 90, 200, "HandOver", "a fresh invocation", kind="result")
    quiet = picture.box(250, 210, 130, "quiet")
    draining = picture.box(250, 280, 130, "draining")
    wait = picture.box(700, 176, 230, "Wait", "suspended 10 s to 5 minutes", kind="result")
    picture.box(700, 264, 230, "Over", "finish", kind="result")
    picture.arrow((70, 150), (70, part.left[1]), part.left, label="part full at a fragment's end", at=(200, 39))
    picture.arrow((120, 150), (120, hand_over.left[1]), hand_over.left, label="deadline near", at=(200, 109))
    picture.arrow((130, 183), (130, quiet.left[1]), quiet.left, label="30 s", at=(165, 220))
    picture.arrow((60, 183), (60, draining.left[1]), draining.left, label="DISCONNECTED, or", at=(66, 262))
    picture.text(66, 278, "another contact's audio", weak=True)
    picture.arrow(
        (380, 218), (660, 218), (660, wait.left[1]), wait.left, label="nothing left to read again", at=(420, 212)
    )
    picture.arrow((380, 234), (640, 234), (640, 276), (700, 276), label="idle limit reached", at=(420, 250))
    picture.arrow((380, 300), (700, 300), label="30 s without the contact's audio", at=(420, 318))
    picture.arrow((330, 210), (330, 166), (160, 166), label="audio of the contact", at=(190, 160), dashed=True)
    picture.text(
        30,
        342,
        "Audio of the contact ends a drain, too. After PartDone, HandOver and Wait the next step reads on.",
        weak=True,
    )
    return picture


def data_flow() -> Drawing:
    """Which data goes where, by the numbers of the table in docs/security.md."""
    picture = Drawing(
        960,
        400,
        "Audio goes from Connect into Kinesis Video streams and to the consumer, and of this contact alone into "
        "the bucket and, if wanted, to a webhook. Everything else carries ids.",
    )
    picture.frame(120, 10, 690, 380, "your AWS account")
    caller = picture.box(10, 131, 80, "caller", kind="plain")
    connect = picture.box(140, 122, 150, "Connect instance", "and its flow", kind="aws")
    streams = picture.box(140, 300, 150, "Kinesis Video", "streams", kind="aws")
    trigger = picture.box(400, 50, 130, "trigger")
    consumer = picture.box(400, 200, 130, "consumer")
    logs = picture.box(640, 50, 150, "logs, metrics", kind="aws")
    bus = picture.box(640, 100, 150, "event bus", kind="aws")
    queue = picture.box(640, 150, 150, "dead letters", kind="aws")
    history = picture.box(640, 200, 150, "execution history", kind="aws")
    bucket = picture.box(640, 260, 150, "bucket", kind="result")
    people = picture.box(850, 260, 100, "your people", kind="plain")
    receiver = picture.box(840, 330, 110, "receiver of", "the webhook", kind="plain")
    picture.arrow(caller.right, connect.left)
    picture.arrow(connect.bottom, streams.top, label="1 audio", at=(222, 250))
    picture.arrow((215, 122), (215, trigger.left[1]), trigger.left, label="2 event: ids,", at=(222, 84))
    picture.text(222, 101, "numbers, attributes", weak=True)
    picture.arrow(trigger.bottom, consumer.top, label="3 ids", at=(472, 140))
    picture.arrow(streams.right, (440, streams.right[1]), (440, 233), label="4 audio of all", at=(300, 319))
    picture.text(300, 343, "who use the stream", weak=True)
    picture.arrow(
        (290, 152), (345, 152), (345, consumer.left[1]), consumer.left, label="5 state", at=(296, 194), dashed=True
    )
    picture.arrow(trigger.right, logs.left, label="8 ids")
    for box in (logs, bus, queue):
        picture.arrow((530, 208), (590, 208), (590, box.left[1] + 7), (640, box.left[1] + 7))
    picture.text(550, 150, "8 ids", weak=True)
    picture.arrow(consumer.right, history.left, label="7 ids, positions", at=(536, 234))
    picture.arrow((510, 233), (510, bucket.left[1]), bucket.left, label="6 its audio", at=(520, 271))
    picture.arrow(bucket.right, people.left)
    picture.arrow(
        (480, 233),
        (480, receiver.left[1]),
        receiver.left,
        label="9 its audio, if there is a webhook",
        at=(520, 349),
        dashed=True,
    )
    return picture


PICTURES: Final[dict[str, Callable[[], Drawing]]] = {
    "flow": flow,
    "life-of-a-call": life,
    "complete": complete,
    "live": live,
    "step-end": step_end,
    "data-flow": data_flow,
}


def main() -> None:
    """Write each picture."""
    FOLDER.mkdir(exist_ok=True)
    for name, draw in PICTURES.items():
        (FOLDER / f"{name}.svg").write_text(draw().svg(), "utf-8")


if __name__ == "__main__":
    main()
