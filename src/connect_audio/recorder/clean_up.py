"""The clean-up behind a recording: open uploads, staged objects, and the claim last.

How it works. First everything is listed, then the claim is read. Nothing that was listed before that moment is of a
later holder. So an execution that holds the claim, or finds none, deletes nothing of another one, however late it is.
The claim is deleted only in the version that was read.
"""

from __future__ import annotations

from connect_audio.recorder.claim_object import read_claim
from connect_audio.recorder.recorder_ports import RecorderPorts


def clean_up(ports: RecorderPorts) -> int:
    """Delete all but WAV and manifest, the claim last. While another execution holds the claim, nothing is touched.

    Raises:
        StorageError: S3 failed; safe to try again.

    Returns:
        Remains that no undisturbed run leaves: open uploads, and objects of second attempts of one step.
    """
    store, names = ports.store, ports.names
    uploads, staged = store.find_uploads(names.key), store.list_keys(names.staging)
    claim = read_claim(store, names)
    if claim is not None and claim.holder != ports.execution:
        return 0
    for upload_id in uploads:
        store.abort_upload(names.key, upload_id)
    store.delete(staged)
    if claim is not None:
        store.delete_version(names.claim, claim.etag)
    return len(uploads) + len(staged) - len({key.rpartition("-")[0] for key in staged})
