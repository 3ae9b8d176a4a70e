"""The bill of materials of what ships: `make sbom` writes `build/sbom-ARCHITECTURE.cdx.json`, in CycloneDX 1.6.

pip downloads the wheels of the layers' locks for one architecture, and refuses one whose hash the lock does not have.
Each component holds the wheel's own name, licence and SHA-256, so a deployed layer can be compared with it. The file
holds no time, and its serial number is a function of its content: the same locks give the same file.
"""

from __future__ import annotations

import argparse
import email.parser
import hashlib
import json
import subprocess
import sys
import uuid
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[1]
BUILD: Final = ROOT / "build"
MACHINES: Final = {"arm64": "aarch64", "x86_64": "x86_64"}
_GLIBC: Final = ("manylinux2014", "manylinux_2_17", "manylinux_2_28", "manylinux_2_34")
"""Wheels' names for the C library of Lambda's Amazon Linux 2023 (2.34) and for older ones."""

SPDX: Final[Mapping[str, str]] = {
    "Apache License 2.0": "Apache-2.0",
    "Apache-2.0 License": "Apache-2.0",
    "Apache 2.0": "Apache-2.0",
    "Dual License": "Apache-2.0 OR BSD-3-Clause",  # python-dateutil: both, says its LICENSE file
    "MIT License": "MIT",
}
"""SPDX expressions of the licences that packages give in words of their own."""


@dataclass(frozen=True, slots=True)
class Wheel:
    """A wheel of the layer.

    Args:
        file: its file name.
        name: the package's name.
        version: the package's version.
        licence: an SPDX expression, or the package's own words where no expression is known.
        sha256: hexadecimal.
    """

    file: str
    name: str
    version: str
    licence: str
    sha256: str


def licence_of(metadata: Mapping[str, str]) -> str:
    """Return a package's licence as an SPDX expression, or its own words where no expression is known.

    Args:
        metadata: the fields of its core metadata.
    """
    said = metadata.get("License-Expression") or metadata.get("License") or "NOASSERTION"
    return SPDX.get(said, said)


def read_wheel(path: Path) -> Wheel:
    """Read name, version, licence and hash of a wheel."""
    with zipfile.ZipFile(path) as wheel:
        (member,) = [name for name in wheel.namelist() if name.count("/") == 1 and name.endswith(".dist-info/METADATA")]
        metadata = email.parser.HeaderParser().parsestr(wheel.read(member).decode("utf-8"))
    fields = {key: str(value) for key, value in metadata.items()}
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return Wheel(path.name, fields["Name"], fields["Version"], licence_of(fields), digest)


def document(wheels: list[Wheel], version: str) -> dict[str, Any]:
    """Return the bill of materials.

    Args:
        wheels: all wheels that ship.
        version: the project's.
    """
    components = [_component(each) for each in sorted(wheels, key=lambda each: (each.name.lower(), each.file))]
    project = {
        "type": "application",
        "bom-ref": "connect-audio",
        "name": "connect-audio",
        "version": version,
        "licenses": [{"expression": "Apache-2.0"}],
    }
    content = json.dumps([project, components], sort_keys=True)
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, content)}",
        "version": 1,
        "metadata": {"component": project},
        "components": components,
        "dependencies": [
            {"ref": "connect-audio", "dependsOn": sorted({each["bom-ref"] for each in components})},
        ],
    }


def _component(wheel: Wheel) -> dict[str, Any]:
    purl = f"pkg:pypi/{wheel.name.lower().replace('_', '-')}@{wheel.version}"
    return {
        "type": "library",
        "bom-ref": f"{purl}?file_name={wheel.file}",
        "name": wheel.name,
        "version": wheel.version,
        "purl": f"{purl}?file_name={wheel.file}",
        "licenses": [{"expression": wheel.licence}],
        "hashes": [{"alg": "SHA-256", "content": wheel.sha256}],
    }


def main() -> None:
    """Download the wheels of one architecture and write its bill of materials."""
    parser = argparse.ArgumentParser(description="Write the bill of materials of the layers.")
    parser.add_argument(
        "--architecture", choices=sorted(MACHINES), default="arm64", help="the stack's (default: arm64)"
    )
    architecture = parser.parse_args().architecture
    wheels = list(downloaded(architecture))
    target = BUILD / f"sbom-{architecture}.cdx.json"
    target.write_text(json.dumps(document(wheels, _version()), indent=2) + "\n", "utf-8")
    sys.stderr.write(f"sbom: {len(wheels)} packages in {target.relative_to(ROOT)}\n")


def downloaded(architecture: str) -> Iterator[Wheel]:
    """Download the wheels of the layers' locks for one architecture; pip refuses one whose hash no lock has."""
    platforms = [f"--platform={glibc}_{MACHINES[architecture]}" for glibc in _GLIBC]
    fixed = ["--require-hashes", "--no-deps", "--only-binary=:all:", "--implementation=cp", "--python-version=3.13"]
    for lock in sorted(ROOT.glob("layers/*/requirements.txt")):
        folder = BUILD / "wheels" / architecture / lock.parent.name
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.iterdir():
            left.unlink()
        command = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--disable-pip-version-check",
            *fixed,
            *platforms,
        ]
        subprocess.run([*command, f"--dest={folder}", f"--requirement={lock}"], cwd=lock.parent, check=True)  # noqa: S603 - pip, with paths of this tree
        yield from map(read_wheel, sorted(folder.glob("*.whl")))


def _version() -> str:
    from importlib.metadata import version  # noqa: PLC0415 - the package need not be installed for the rest

    return version("connect-audio-consumer")


if __name__ == "__main__":
    main()
