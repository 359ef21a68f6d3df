"""The house rules that a machine can check."""

import ast
import json
import re
import subprocess
import sys

import pytest

from tools.environment import ROOT

SOURCES = [
    path
    for folder in ("nodes", "stereosync_core", "research", "tools", "tests")
    for path in sorted((ROOT / folder).rglob("*.py"))
]
HOST_MODULES = {"comfy", "folder_paths", "server", "execution"}
HOST_API = {"comfy_api"}


def imported(path, at_once=False):
    """Top-level names of everything a file imports absolutely; ``at_once``: with the module alone."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in tree.body if at_once else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module.split(".")[0]


def test_only_host_py_reaches_into_comfyui_and_the_core_knows_nothing_of_it():
    for path in (ROOT / "nodes").glob("*.py"):
        if path.name != "host.py":
            assert not HOST_MODULES & set(imported(path)), path
    for path in (ROOT / "stereosync_core").rglob("*.py"):
        assert not (HOST_MODULES | HOST_API) & set(imported(path)), path


def test_dev_py_and_its_tools_need_the_standard_library_alone():
    allowed = set(sys.stdlib_module_names) | {"tools", "research", "__future__"}
    for path in [ROOT / "dev.py", ROOT / "research" / "cache.py", *(ROOT / "tools").glob("*.py")]:
        assert set(imported(path)) <= allowed, path
        assert not re.search(r"(from|import) research(?!\.cache import)", path.read_text(encoding="utf-8")), path


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_stay_readable(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400


def test_the_requirements_leave_torch_alone_and_pin_nothing():
    lines = [line for line in (ROOT / "requirements.txt").read_text().splitlines() if line and not line.startswith("#")]
    for line in lines:
        assert not line.startswith("torch"), line
        assert not {"==", "<"} & set(re.findall(r"[=<>~!]+", line)), line


def test_every_node_has_a_help_page_and_every_workflow_a_thumbnail():
    ids = set(re.findall(r'node_id="(\w+)"', "".join(path.read_text() for path in (ROOT / "nodes").glob("*.py"))))
    assert ids
    assert all(number.startswith("StereoSync") for number in ids)
    assert {path.parent.name for path in (ROOT / "web" / "docs").glob("*/en.md")} == ids
    workflows = list((ROOT / "workflows").glob("*.json"))
    assert workflows
    for workflow in workflows:
        assert workflow.with_suffix(".jpg").is_file(), workflow
        saved = json.loads(workflow.read_text(encoding="utf-8"))
        for graph in [saved, *saved.get("definitions", {}).get("subgraphs", [])]:
            used = {node["type"] for node in graph["nodes"] if node["type"].startswith("StereoSync")}
            assert used <= ids


def test_one_folder_alone_has_a_name_that_comfyui_takes_for_workflows():
    """It serves the first of these, and would not find the workflows' files."""
    names = ("example_workflows", "example", "examples", "workflow", "workflows")
    assert [name for name in names if (ROOT / name).exists()] == ["workflows"]


def test_the_library_runs_without_comfyui_and_says_its_version():
    done = subprocess.run([sys.executable, "-m", "stereosync_core", "--version"], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == re.search(r'^version = "(.*)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)[1]  # type: ignore[index]
