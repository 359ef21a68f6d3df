"""install.py: what pip is called with, so that nothing moves that is there."""

import subprocess
import sys
from importlib.machinery import ModuleSpec

import pytest

import install

RELEASE = ["--no-deps", "stable-audio-tools==0.0.19"]


@pytest.fixture
def calls(monkeypatch):
    """Runs install.py where the given modules and versions are there; gives pip's arguments and the exit code."""

    def run(modules: dict[str, str | None], code: int = 0):
        monkeypatch.setattr(install, "find_spec", lambda name: ModuleSpec(name, None) if name in modules else None)
        monkeypatch.setattr(install, "installed", lambda name: modules.get(name.replace("-", "_")))
        made = []
        monkeypatch.setattr(subprocess, "call", lambda command: made.append(command) or code)
        result = install.main()
        assert all(command[:4] == [sys.executable, "-m", "pip", "install"] for command in made)
        return [command[4:] for command in made], result

    return run


def test_what_is_there_is_left_alone(calls):
    there = {"stable_audio_tools": "0.0.19", "diffusers": "0.42.1", "huggingface_hub": "2.4.0"}
    assert calls(there) == ([], 0)
    assert calls({**there, "stable_audio_tools": None, "alias_free_torch": "1.0"}) == ([], 0), "a clone that can be imported"
    assert calls({**there, "stable_audio_tools": "0.1.2"}) == ([RELEASE], 0), "one whose imports are not there"


def test_diffusers_comes_beside_the_huggingface_hub_that_is_there(calls):
    made, _ = calls({"stable_audio_tools": "0.0.19", "huggingface_hub": "2.4.0"})
    assert made == [["diffusers>=0.32", "huggingface_hub==2.4.0"]]
    assert calls({}) == ([RELEASE, ["diffusers>=0.32"]], 0)


def test_a_failure_of_pip_is_that_of_the_script(calls):
    assert calls({}, code=-9)[1] == 9
