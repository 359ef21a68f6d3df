"""What ComfyUI knows of the pack, and what its installation does to an environment."""

import json

import pytest

from tests import archive
from tests.host.conftest import run


@pytest.fixture(scope="module")
def ours(object_info):
    return {name: node for name, node in object_info.items() if name.startswith("StereoSync")}


def test_the_pack_loads_without_a_word_in_the_log(host, ours):
    assert len(ours) >= 12
    log = host.log.read_text(encoding="utf-8", errors="replace")
    assert "IMPORT FAILED" not in log
    assert "Error while calling comfy_entrypoint" not in log


def test_the_host_imports_no_research_module(host, graph):
    listing = graph.add("TestListModules")
    modules = [name.split(".") for name in run(host, graph).outputs[listing.number]["modules"]]
    assert any("stereosync_core" in parts for parts in modules)
    assert not [parts for parts in modules if "research" in parts]


def test_every_node_says_what_it_does(ours):
    assert not [name for name, node in ours.items() if not node["description"]]


def test_every_input_has_a_tooltip(ours):
    silent = [
        f"{name}.{key}"
        for name, node in ours.items()
        for group in ("required", "optional")
        for key, (_, *options) in node["input"].get(group, {}).items()
        if not (options and options[0].get("tooltip"))
    ]
    assert not silent


def test_every_node_has_a_place_in_the_menu(ours):
    assert {node["category"].split("/")[0] for node in ours.values()} == {"StereoSync"}


def test_the_sample_clip_is_offered(object_info):
    kind, *options = object_info["StereoSyncLoadVideo"]["input"]["required"]["file"]
    choices = kind if isinstance(kind, list) else options[0]["options"]
    assert "stereosync_walking.mp4" in choices


def test_installing_the_pack_changed_no_package_that_was_there(environment):
    packages = json.loads((environment.folder / "packages.json").read_text())
    before, after = packages["before"], packages["after"]
    assert len(before) > 20
    assert {name: after.get(name) for name in before} == before


@pytest.mark.slow
def test_the_demo_runs_out_of_the_archive_of_the_registry():
    assert archive.main() == 0
