"""What the library costs: no module for the functions, none that is not used for others, and a call's samples once."""

from __future__ import annotations

import ast
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest

import connect_audio
from connect_audio_local.synthesis.calls import SyntheticCall, synthesize_call
from connect_audio_local.synthesis.speech import two_party_conversation
from support.examples import few_of

PACKAGE = Path(connect_audio.__file__).parent


def modules_after(program: str) -> set[str]:
    """All modules that a fresh interpreter has after a program, without those that it begins with."""
    code = f"import sys; before = set(sys.modules); {program}; print(*(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_the_package_imports_nothing_else() -> None:
    assert modules_after("import connect_audio") == {"connect_audio"}


@pytest.mark.parametrize("name", few_of(["read", "stream", "contacts", "Call", "AudioBlock"]))
def test_a_name_of_the_library_imports_neither_numpy_nor_anything_of_aws(name: str) -> None:
    roots = {module.partition(".")[0] for module in modules_after(f"import connect_audio; connect_audio.{name}")}

    assert roots.isdisjoint({"numpy", "scipy", "boto3", "botocore", "aws_lambda_powertools", "asyncio", "http"})


def test_the_functions_import_nothing_of_the_library() -> None:
    modules = modules_after("import connect_audio.handlers.consumer, connect_audio.handlers.trigger")

    assert "connect_audio.core.recording" in modules
    assert not [module for module in modules if module.startswith("connect_audio.library")]


def test_every_public_name_is_there_and_documented() -> None:
    assert set(connect_audio.__all__) <= set(dir(connect_audio))
    for name in connect_audio.__all__:
        value = getattr(connect_audio, name)
        assert value.__name__ == name
        assert value.__doc__


def test_the_names_for_type_checkers_are_those_that_are_imported() -> None:
    tree = ast.parse((PACKAGE / "__init__.py").read_text("utf-8"))
    declared = {
        alias.name: node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("connect_audio.")
        for alias in node.names
    }
    homes = {name: f"connect_audio.{home}" for home, names in vars(connect_audio)["_HOMES"].items() for name in names}

    assert declared == homes
    assert set(homes) == set(connect_audio.__all__)


def test_a_name_that_does_not_exist_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'connect_audio' has no attribute 'raed'"):
        connect_audio.raed  # type: ignore[attr-defined] # noqa: B018 - the access is the test


def test_reading_a_call_holds_its_samples_once() -> None:
    speech = two_party_conversation(60)
    fragments = [each.data for each in synthesize_call(SyntheticCall(customer=speech.customer, agent=speech.agent))]
    stereo = 60 * 8000 * 4

    connect_audio.read(fragments)
    tracemalloc.start()
    try:
        call = connect_audio.read(fragments)
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert len(call.stereo) == stereo
    # A buffer that grows is an eighth larger than its contents; the core holds some fragments besides.
    assert held < 1.2 * stereo
    assert peak < 1.2 * stereo + 1_000_000


def test_a_party_s_bytes_and_wav_need_no_second_copy_of_the_call(tmp_path: Path) -> None:
    speech = two_party_conversation(60)
    fragments = [each.data for each in synthesize_call(SyntheticCall(customer=speech.customer, agent=speech.agent))]
    call = connect_audio.read(fragments)
    call.write_wav(tmp_path / "first.wav", "agent")
    tracemalloc.start()
    try:
        call.write_wav(tmp_path / "stereo.wav")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 200_000
