"""The provenance of what ships (`make provenance`), and the attestations of a package index that a test scripts."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
from scripts.attestations import Index, PackageIndexError
from scripts.provenance import ProvenanceError, Source, directory_hash, source_of, write
from scripts.sbom import Wheel

from support.wire_server import Exchange, Handler, WireServer

ROOT: Final = Path(__file__).parents[2]
WHEEL: Final = Wheel("a_package-1.0-py3-none-any.whl", "A_Package", "1.0", "MIT", "a" * 64)
OTHER: Final = Wheel("b-2.0-py3-none-any.whl", "b", "2.0", "MIT", "b" * 64)
SOURCE: Final = Source("c" * 40, is_changed=False)
PUBLISHER: Final = {"kind": "GitHub", "repository": "someone/a-package", "workflow": "release.yml", "claims": None}

type Servers = Callable[[Handler], WireServer]


def provenance(name: str = WHEEL.file, sha256: str = WHEEL.sha256) -> dict[str, Any]:
    said = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": name, "digest": {"sha256": sha256}}],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": None,
    }
    envelope = {"statement": base64.b64encode(json.dumps(said).encode()).decode(), "signature": "c2ln"}
    return {"version": 1, "attestation_bundles": [{"publisher": PUBLISHER, "attestations": [{"envelope": envelope}]}]}


class ScriptedIndex:
    """A package index with one file of a package; `pages` are its answers by path."""

    def __init__(self, **file: Any) -> None:
        listed = {"filename": WHEEL.file, "hashes": {"sha256": WHEEL.sha256}, **file}
        self.pages: dict[str, Any] = {"/simple/a-package/": {"files": [{"filename": "old", "hashes": {}}, listed]}}

    def __call__(self, exchange: Exchange) -> None:
        if exchange.request.path not in self.pages:
            exchange.respond(404)
        elif isinstance(answer := self.pages[exchange.request.path], bytes):
            exchange.respond(200, answer)
        else:
            exchange.respond_json(answer)


def asked(servers: Servers, index: ScriptedIndex, wheel: Wheel = WHEEL) -> dict[str, Any]:
    return Index(f"{servers(index).url}/simple").attestation(wheel)


def test_a_wheel_that_its_publisher_attests_is_named_with_the_publisher(wire_server: Servers) -> None:
    index = ScriptedIndex(provenance="/integrity/a-package")
    index.pages["/integrity/a-package"] = provenance()

    assert asked(wire_server, index) == {
        "state": "published",
        "publishers": [{"kind": "GitHub", "repository": "someone/a-package", "workflow": "release.yml"}],
        "predicateTypes": ["https://slsa.dev/provenance/v1"],
        "signature": "not verified",
    }


@pytest.mark.parametrize("file", [{}, {"provenance": None}])
def test_a_wheel_without_an_attestation_is_told_so(wire_server: Servers, file: dict[str, Any]) -> None:
    assert asked(wire_server, ScriptedIndex(**file)) == {"state": "none published"}


def test_a_wheel_of_another_hash_is_unknown_to_the_index(wire_server: Servers) -> None:
    index = ScriptedIndex(hashes={"sha256": "0" * 64}, provenance="/integrity/a-package")

    assert asked(wire_server, index) == {"state": "unknown to the index"}


@pytest.mark.parametrize("other", [provenance(name="b.whl"), provenance(sha256="0" * 64)])
def test_an_attestation_of_another_file_is_none_of_the_wheel(wire_server: Servers, other: dict[str, Any]) -> None:
    index = ScriptedIndex(provenance="/integrity/a-package")
    index.pages["/integrity/a-package"] = other

    assert asked(wire_server, index) == {"state": "of another file"}


@pytest.mark.parametrize(
    ("path", "answer", "cause"),
    [
        ("/simple/a-package/", b"<html>", "its answer is no JSON"),
        ("/simple/a-package/", {"files": [{}]}, "its listing is not one of PEP 691"),
        ("/integrity/a-package", {"version": 2}, "its provenance is not one of PEP 740"),
        ("/integrity/a-package", b"[]", "its provenance is not one of PEP 740"),
    ],
)
def test_an_answer_of_another_form_is_not_an_answer(wire_server: Servers, path: str, answer: Any, cause: str) -> None:
    index = ScriptedIndex(provenance="/integrity/a-package")
    index.pages[path] = answer

    assert asked(wire_server, index) == {"state": "not answered", "cause": f"PackageIndexError: {cause}"}


def test_an_index_without_the_package_or_without_tls_gives_no_answer(wire_server: Servers) -> None:
    without = asked(wire_server, ScriptedIndex(), OTHER)
    plain = asked(wire_server, ScriptedIndex(provenance="http://elsewhere.example/a"))

    assert without == {"state": "not answered", "cause": "PackageIndexError: status 404, 0 bytes"}
    assert plain == {"state": "not answered", "cause": "PackageIndexError: the index's address is not https"}
    with pytest.raises(PackageIndexError, match="not https"):
        Index("http://elsewhere.example/simple")


def test_the_statement_names_what_was_built_of_what_and_is_the_same_for_the_same_build(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    built = tmp_path / "built"
    (built / "ConsumerFunction").mkdir(parents=True)
    (built / "ConsumerFunction" / "a.py").write_text("1")

    def run(wheels: list[Wheel]) -> bytes:
        assert write("arm64", None, SOURCE, built=built, target=tmp_path, download=lambda _: wheels) == 0
        return (tmp_path / "provenance-arm64.intoto.json").read_bytes()

    first, again = run([OTHER, WHEEL]), run([WHEEL, OTHER])

    assert first == again
    assert "1 folders, 2 wheels (2 not asked)" in capsys.readouterr().err
    said = json.loads(first)
    assert (said["_type"], said["predicateType"]) == (
        "https://in-toto.io/Statement/v1",
        "https://slsa.dev/provenance/v1",
    )
    digest = directory_hash(built / "ConsumerFunction")
    assert said["subject"] == [{"name": "ConsumerFunction", "digest": {"dirHash": digest}}]
    assert said["predicate"]["runDetails"]["builder"]["id"].startswith("urn:")
    source, *dependencies = said["predicate"]["buildDefinition"]["resolvedDependencies"]
    assert source == {"name": "source", "digest": {"gitCommit": SOURCE.commit}}
    digests = {each["name"]: each["digest"]["sha256"] for each in dependencies}
    for lock in ROOT.glob("layers/*/requirements.txt"):
        name = lock.relative_to(ROOT).as_posix()
        assert digests[name] == hashlib.sha256(lock.read_bytes()).hexdigest()
    assert {"template.yaml", WHEEL.file, OTHER.file} <= set(digests)
    (wheel,) = [each for each in dependencies if each["name"] == WHEEL.file]
    assert wheel == {
        "uri": f"pkg:pypi/a-package@1.0?file_name={WHEEL.file}",
        "name": WHEEL.file,
        "digest": {"sha256": WHEEL.sha256},
        "annotations": {"attestation": {"state": "not asked"}},
    }


def test_a_tree_that_is_not_built_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ProvenanceError, match="run sam build first"):
        write("arm64", None, SOURCE, built=tmp_path, target=tmp_path, download=lambda _: [])


def test_the_hash_of_a_folder_is_that_of_sha256sum(tmp_path: Path) -> None:
    # As the specification of in-toto's dirHash computes it, byte order of the paths included.
    for name in ("b/a.txt", "b-a.txt", "B", "\u00e9.py", "b/c/d"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    command = "find . -type f | cut -c3- | LC_ALL=C sort | xargs -r sha256sum | sha256sum | cut -f1 -d' '"
    shell = shutil.which("sh")
    assert shell is not None
    done = subprocess.run([shell, "-c", command], cwd=tmp_path, capture_output=True, text=True, check=True)

    assert directory_hash(tmp_path) == done.stdout.strip()


def test_a_tree_that_differs_from_its_commit_says_so(tmp_path: Path) -> None:
    def git(*arguments: str) -> str:
        identity = ("-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
        command = ["git", "-C", str(tmp_path), *identity, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    git("init", "--quiet")
    with pytest.raises(ProvenanceError):
        source_of(tmp_path)
    (tmp_path / "a").write_text("1")
    git("add", "a")
    git("commit", "--quiet", "-m", "a")
    clean = source_of(tmp_path)
    (tmp_path / "a").write_text("2")

    assert clean == Source(git("rev-parse", "HEAD"), is_changed=False)
    assert source_of(tmp_path) == Source(clean.commit, is_changed=True)
