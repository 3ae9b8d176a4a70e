"""The provenance of what ships: `make provenance` writes `build/provenance-ARCHITECTURE.intoto.json`.

An in-toto statement with SLSA's provenance as its predicate. Its subjects are the folders that `sam build` made. Its
dependencies are the commit, the template and locks, and each wheel of the layers with what the package index attests
of it. It is not signed: it says what was built of what, for a pipeline that signs.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from scripts.attestations import NOT_ASKED, Index, PackageIndexError
from scripts.sbom import BUILD, MACHINES, ROOT, Wheel, downloaded

BUILT: Final = ROOT / ".aws-sam" / "build"
INPUTS: Final = ("template.yaml", "src/Makefile", "layers/dependencies/Makefile")
"""Files beside the locks that say what is built."""
BUILD_TYPE: Final = "urn:connect-audio-consumer:sam-build"
BUILDER: Final = "urn:connect-audio-consumer:make-provenance"
"""The builder is the machine that runs the target: no trusted service stands behind it."""

type Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Source:
    """The tree that was built.

    Args:
        commit: hexadecimal.
        is_changed: True if files differ from the commit.
    """

    commit: str
    is_changed: bool


def directory_hash(folder: Path) -> str:
    """Return in-toto's `dirHash` of a folder: SHA-256 of the sorted lines of `sha256sum`, by paths below the folder."""
    paths = sorted((each for each in folder.rglob("*") if each.is_file()), key=lambda each: _below(each, folder))
    lines = "".join(
        f"{hashlib.sha256(each.read_bytes()).hexdigest()}  {_below(each, folder).decode()}\n" for each in paths
    )
    return hashlib.sha256(lines.encode()).hexdigest()


def statement(
    subjects: Mapping[str, str],
    source: Source,
    inputs: Mapping[str, str],
    wheels: Iterable[tuple[Wheel, Json]],
    *,
    architecture: str,
    versions: Mapping[str, str],
) -> Json:
    """Return the statement. The same arguments give the same one: it holds no time.

    Args:
        subjects: `dirHash` of each built folder, by its name.
        source: the tree.
        inputs: SHA-256 of each file that says what is built, by its path.
        wheels: the wheels of the layers, each with what the index attests.
        architecture: the stack's.
        versions: versions of the programs that built it, by their names.
    """
    tree: Json = {"name": "source", "digest": {"gitCommit": source.commit}}
    if source.is_changed:
        tree["annotations"] = {"changed": True}
    files = [{"name": name, "digest": {"sha256": digest}} for name, digest in sorted(inputs.items())]
    packages = [
        {
            "uri": f"pkg:pypi/{wheel.name.lower().replace('_', '-')}@{wheel.version}?file_name={wheel.file}",
            "name": wheel.file,
            "digest": {"sha256": wheel.sha256},
            "annotations": {"attestation": attestation},
        }
        for wheel, attestation in sorted(wheels, key=lambda each: (each[0].name.lower(), each[0].file))
    ]
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": name, "digest": {"dirHash": digest}} for name, digest in sorted(subjects.items())],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {"template": "template.yaml", "architecture": architecture},
                "resolvedDependencies": [tree, *files, *packages],
            },
            "runDetails": {"builder": {"id": BUILDER, "version": dict(versions)}},
        },
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the options and write the statement."""
    parser = argparse.ArgumentParser(prog="provenance", description="Write the provenance of what sam build made.")
    parser.add_argument(
        "--architecture", choices=sorted(MACHINES), default="arm64", help="the stack's (default: arm64)"
    )
    parser.add_argument("--index", help="simple API of the package index that is asked (default: none is asked)")
    given = parser.parse_args(arguments)
    try:
        index = None if given.index is None else Index(given.index)
        source = source_of(ROOT)
        return write(given.architecture, index, source, built=BUILT, target=BUILD, download=downloaded)
    except (ProvenanceError, PackageIndexError) as error:
        sys.stderr.write(f"provenance: {error}\n")
        return 2


class ProvenanceError(Exception):
    """There is nothing to state the provenance of."""


def write(
    architecture: str,
    index: Index | None,
    source: Source,
    *,
    built: Path,
    target: Path,
    download: Callable[[str], Iterable[Wheel]],
) -> int:
    """Write the statement of a build, and say in one line what the index attests.

    Args:
        architecture: the stack's.
        index: the index that is asked; None asks none.
        source: the tree.
        built: the folder that `sam build` made.
        target: the folder of the statement.
        download: gives the wheels of the layers.

    Raises:
        ProvenanceError: nothing was built.
    """
    folders = [each for each in sorted(built.glob("*")) if each.is_dir()]
    if not folders:
        raise ProvenanceError("nothing is built: run sam build first")
    wheels = [(each, dict(NOT_ASKED) if index is None else index.attestation(each)) for each in download(architecture)]
    inputs = [ROOT / each for each in INPUTS] + sorted(ROOT.glob("layers/*/requirements.txt"))
    found = statement(
        {each.name: directory_hash(each) for each in folders},
        source,
        {each.relative_to(ROOT).as_posix(): hashlib.sha256(each.read_bytes()).hexdigest() for each in inputs},
        wheels,
        architecture=architecture,
        versions=_versions(),
    )
    target.mkdir(exist_ok=True)
    path = target / f"provenance-{architecture}.intoto.json"
    path.write_text(json.dumps(found, indent=2) + "\n", "utf-8")
    states = [attestation["state"] for _, attestation in wheels]
    counted = ", ".join(f"{states.count(each)} {each}" for each in sorted(set(states)))
    sys.stderr.write(f"provenance: {len(folders)} folders, {len(wheels)} wheels ({counted}) in {path.name}\n")
    return 0


def source_of(tree: Path) -> Source:
    """Return the commit of a tree.

    Raises:
        ProvenanceError: it is no tree of git.
    """
    commit = _said("git", "-C", str(tree), "rev-parse", "HEAD")
    if commit is None:
        raise ProvenanceError("git names no commit of this tree")
    return Source(commit, bool(_said("git", "-C", str(tree), "status", "--porcelain", "--untracked-files=no")))


def _versions() -> dict[str, str]:
    """Return the versions of SAM CLI and Python; a program that is not there is left out."""
    own = ROOT / ".venv-sam" / "bin" / "sam"
    said = {
        "aws-sam-cli": _said(str(own) if own.exists() else "sam", "--version"),
        "python": _said("python3.13", "--version"),
    }
    return {name: found[0] for name, text in said.items() if text and (found := re.search(r"\d+\.\d+\.\d+\S*", text))}


def _said(*command: str) -> str | None:
    program = shutil.which(command[0])
    if program is None:
        return None
    done = subprocess.run([program, *command[1:]], capture_output=True, text=True, check=False)  # noqa: S603 - programs of the build
    return done.stdout.strip() if done.returncode == 0 else None


def _below(path: Path, folder: Path) -> bytes:
    return path.relative_to(folder).as_posix().encode()


if __name__ == "__main__":
    sys.exit(main())
