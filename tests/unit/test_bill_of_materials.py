"""What ships: its licences, by the locks of the layers, and the form of the bill of materials (`make sbom`)."""

from __future__ import annotations

import hashlib
import re
import zipfile
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Final

import pytest
from scripts.sbom import Wheel, document, licence_of, read_wheel

ROOT: Final = Path(__file__).parents[2]
PINS: Final = sorted(
    {
        (pin[1], pin[2])
        for lock in ROOT.glob("layers/*/requirements.txt")
        for pin in re.finditer(r"^([A-Za-z0-9._-]+)(?:\[.*\])?==(\S+)", lock.read_text("utf-8"), re.MULTILINE)
    }
)
# SPDX names of licences under which a company may ship a package without showing its own code.
PERMISSIVE: Final = {"0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "MIT-0", "PSF-2.0"}
WHEEL: Final = Wheel("a_package-1.0-py3-none-any.whl", "A_Package", "1.0", "MIT", "0" * 64)


@pytest.mark.parametrize(("name", "version"), PINS)
def test_a_package_that_ships_has_a_permissive_licence(name: str, version: str) -> None:
    try:
        found = distribution(name)
    except PackageNotFoundError:
        pytest.skip(f"{name} is not installed here")
    assert found.version == version
    fields = {key: str(found.metadata[key]) for key in found.metadata}
    licence = licence_of(fields)
    assert set(re.split(r" AND | OR ", licence)) <= PERMISSIVE, f"{name} says {licence}"


def test_layers_that_share_a_package_have_the_same_version_of_it() -> None:
    # Lambda puts them into one folder, where the bytecode of one would be taken for the source of the other.
    assert len({name for name, _ in PINS}) == len(PINS)


def test_the_locks_name_what_ships() -> None:
    assert {"boto3", "ebmlite", "pydub"} <= {name for name, _ in PINS}


def test_a_wheel_is_known_by_its_own_metadata_and_bytes(tmp_path: Path) -> None:
    path = tmp_path / WHEEL.file
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("a_package/__init__.py", "")
        said = "Metadata-Version: 2.4\nName: A_Package\nVersion: 1.0\nLicense: MIT License\n\nA text.\n"
        wheel.writestr("a_package-1.0.dist-info/METADATA", said)
    found = read_wheel(path)
    assert (found.name, found.version, found.licence) == ("A_Package", "1.0", "MIT")
    assert (found.file, found.sha256) == (path.name, hashlib.sha256(path.read_bytes()).hexdigest())


def test_a_licence_that_is_not_known_is_told_in_the_package_s_own_words() -> None:
    assert licence_of({"License": "A licence of its own"}) == "A licence of its own"
    assert licence_of({}) == "NOASSERTION"


def test_the_bill_names_each_wheel_once_with_its_hash_and_is_the_same_for_the_same_wheels() -> None:
    other = Wheel("b-2.0-cp313-cp313-manylinux2014_aarch64.whl", "b", "2.0", "Apache-2.0", "1" * 64)
    bill = document([other, WHEEL], "0.2.0")
    assert bill == document([WHEEL, other], "0.2.0")
    assert bill["serialNumber"] != document([WHEEL], "0.2.0")["serialNumber"]
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    assert [each["purl"] for each in bill["components"]] == [
        "pkg:pypi/a-package@1.0?file_name=a_package-1.0-py3-none-any.whl",
        f"pkg:pypi/b@2.0?file_name={other.file}",
    ]
    assert [each["hashes"] for each in bill["components"]] == [
        [{"alg": "SHA-256", "content": each * 64}] for each in "01"
    ]
    (project,) = bill["dependencies"]
    assert project["dependsOn"] == [each["bom-ref"] for each in bill["components"]]
