"""The lists of requirements name what is imported, and nothing else."""

import re
import sys

import pytest

from tests.unit.test_project import imported as imported_by
from tools.environment import ROOT

OWN = {"dev", "install", "nodes", "research", "stereosync_core", "tests", "tools"}
#: What ComfyUI brings and is itself.
HOST = {"comfy", "comfy_api", "comfy_execution", "folder_paths", "server", "PIL", "torch", "torchvision"}
#: Installed without its own requirements by install.py; its diffusion transformer imports the other two.
APART, ITS_IMPORTS = {"stable_audio_tools"}, {"einops", "packaging"}
#: Of the extras of pyproject.toml, without which one line tells what to install.
EXTRAS = {"fsspec", "opentimelineio", "pyarrow", "ray"}
#: Of tests that are left out where they are not there, by ``pytest.importorskip``.
READERS = {"rpp", "opentimelineio"}
#: As those, in an environment of its own, for it asks for an older NumPy.
APART_READERS = {"ear"}
#: Run as commands.
COMMANDS = {"mkdocs_material", "pyright", "pytest_xdist", "ruff"}
#: Needed by one script each, whose docstring has the words for it.
ONCE = {"ai_edge_litert", "h5py", "onnx", "tflite", "trackeval"}
#: Modules by other names than their packages.
MODULES = {"websocket-client": "websocket"}


#: Their import takes so long that it waits for the first use; starting ComfyUI stays quick.
SLOW = {"diffusers", "kornia", "transformers"}


def imported(*folders: str, at_once: bool = False) -> set[str]:
    """Packages that the modules in these folders import, the standard library's and the project's own left out.

    :param at_once: those alone that are imported with the module.
    """
    paths = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    return {name for path in paths for name in imported_by(path, at_once)} - set(sys.stdlib_module_names) - OWN


def listed(name: str) -> set[str]:
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    packages = [re.split(r"[<>=!~\[; ]", line)[0] for line in lines if line and not line.startswith("#")]
    return {MODULES.get(package, package.replace("-", "_")) for package in packages}


def test_a_users_list_names_what_nodes_and_library_import():
    needed = imported("nodes", "stereosync_core")
    assert needed - HOST - APART - EXTRAS == listed("requirements.txt") - ITS_IMPORTS
    assert (ROOT / "install.py").read_text(encoding="utf-8").count("stable-audio-tools") > 0


@pytest.mark.parametrize(("name", "folders"), [("dev", ["tests", "tools"]), ("train", ["research"])])
def test_the_other_lists_name_what_is_imported_beyond_it(name, folders):
    needed = imported(*folders)
    lists = ("requirements.txt", "requirements-dev.txt", "requirements-train.txt", "requirements-reference.txt")
    assert needed - HOST - APART - ONCE - APART_READERS - set().union(*map(listed, lists)) == set()
    assert listed(f"requirements-{name}.txt") - needed - COMMANDS - READERS == set()


def test_slow_packages_are_imported_where_they_are_used():
    assert imported("nodes", "stereosync_core") >= SLOW
    assert imported("nodes", "stereosync_core", at_once=True) & SLOW == set()
