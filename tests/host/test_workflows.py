"""Every shipped workflow does in a real ComfyUI what it promises, and so do the workflows that version 0.1.0 saved."""

import json
import shutil
from pathlib import Path
from urllib.parse import quote

import pytest

from stereosync_core.rendering.analysis import placement_correlation
from stereosync_core.tracking.registry import track_video
from tests.clips import make_clip
from tests.demo_check import same_video, sound_of, video_seconds
from tests.host.conftest import finished, produced, run
from tests.host.graph import Graph
from tests.hosts import QUICK
from tools.environment import ROOT
from tools.host import PACK
from tools.workflow import NOTES, to_prompt, widgets_of

WORKFLOWS = sorted((ROOT / "workflows").glob("*.json"))
BLUEPRINTS = sorted((ROOT / "subgraphs").glob("*.json"))
SAVED = sorted((Path(__file__).parent / "saved_workflows").glob("*.json"))
CLIP = ROOT / "stereosync_core" / "assets" / "stereosync_walking.mp4"
AAC_FRAME = 1024


#: Runs in tests/host/test_stable_audio_3.py, for not every host knows its model.
STABLE_AUDIO_3 = "Refine with Stable Audio 3"

#: In place of a node inside a subgraph: a widget that the subgraph's own input gives to several.
LINKED = "-1"


def read(path):
    return json.loads(path.read_text(encoding="utf-8"))


def graphs(workflow):
    """The graph on the canvas and those inside its subgraphs, ``(nodes by id, links as on the canvas, types of subgraphs)``."""
    inner = workflow.get("definitions", {}).get("subgraphs", [])
    kinds = {graph["id"] for graph in inner}
    yield {node["id"]: node for node in workflow["nodes"]}, workflow["links"], kinds
    for graph in inner:
        ends = ("id", "origin_id", "origin_slot", "target_id", "target_slot", "type")
        yield {node["id"]: node for node in graph["nodes"]}, [[link[end] for end in ends] for link in graph["links"]], kinds


def nodes_of(workflow):
    """Every node of a workflow but notes and what stands for a subgraph."""
    for nodes, _, kinds in graphs(workflow):
        yield from (node for node in nodes.values() if node["type"] not in NOTES and node["type"] not in kinds)


def computation(path):
    """What a workflow computes: its nodes with their settings and links, without places, titles and notes."""
    nodes = list(nodes_of(read(path)))
    return [(node["id"], node["type"], node["mode"], node["widgets_values"]) for node in nodes], read(path)["links"]


def name_of(path):
    return f"{path.parent.name}/{path.stem}"


#: A saved workflow that computes what the shipped one of its name does need not run a second time.
SHIPPED = {path.name: computation(path) for path in WORKFLOWS}
RUN = [
    *(path for path in WORKFLOWS if path.stem != STABLE_AUDIO_3),
    *(path for path in SAVED if computation(path) != SHIPPED.get(path.name)),
]


@pytest.fixture(params=RUN, ids=name_of, scope="module")
def shipped(request, host, object_info):
    prompt = to_prompt(read(request.param), object_info)
    for node in prompt.values():
        node["inputs"] |= QUICK.get(node["class_type"], {})
    return prompt, finished(host, prompt)


def saved(host, shipped, kind):
    """Path of the file that the workflow's node of that kind made."""
    prompt, result = shipped
    numbers = [key for key, node in prompt.items() if node["class_type"] == kind]
    if not numbers:
        pytest.skip(f"a workflow without {kind}")
    return host.path_of(result.outputs[numbers[0]]["images"][0])


def test_there_are_workflows_and_each_has_a_thumbnail():
    assert {path.stem for path in WORKFLOWS} >= {"Footsteps in two minutes", "StereoSync bundled model", "Place any audio"}
    for path in WORKFLOWS:
        assert path.with_suffix(".jpg").is_file(), path.name
        assert path.with_suffix(".jpg").stat().st_size < 120_000


def faults(workflow, object_info):
    """What is wrong with a workflow's nodes, links and widgets, in words; the host itself would name the first alone."""
    for nodes, links, kinds in graphs(workflow):
        for number, source, output, target, slot, kind in links:
            if source not in nodes or target not in nodes:  # the subgraph's own inputs and outputs
                continue
            start, end = nodes[source]["outputs"][output], nodes[target]["inputs"][slot]
            offered = object_info[nodes[source]["type"]]["output"][output] if nodes[source]["type"] not in kinds else kind
            if number not in start["links"] or end["link"] != number or offered != kind:
                yield f"link {number}: is not what its ends say"
            if kind != "*" and kind not in end["type"].split(","):
                yield f"link {number}: {kind} into {end['name']} ({end['type']})"
    for node in nodes_of(workflow):
        definition = object_info[node["type"]]
        known = {**definition["input"].get("required", {}), **definition["input"].get("optional", {})}
        widgets, values = list(widgets_of(definition)), node["widgets_values"]
        if len(values) > len(widgets):
            yield f"{node['type']}: {len(values)} values for {len(widgets)} widgets"
        for (name, _), value in zip(widgets, values, strict=False):
            if name is not None and node["mode"] == 0 and not fits(value, *known[name]):
                yield f"{node['type']}.{name}: {value!r}"
        linked = {socket["name"] for socket in node["inputs"] if socket["link"] is not None}
        yield from (f"{node['type']} has no input {name}" for name in linked - set(known))
        if node["mode"] != 0:  # one that waits to be turned on, whose input comes from a node of another pack
            continue
        needed = set(definition["input"].get("required", {})) - {name for name, _ in widgets}
        yield from (f"{node['type']}.{name} is not connected" for name in needed - linked)


def fits(value, kind, options=None):
    """Whether a widget of that kind takes the value."""
    options = options or {}
    if isinstance(kind, list) or kind == "COMBO":
        return value in (kind if isinstance(kind, list) else options["options"])
    if kind in ("INT", "FLOAT"):
        numbers = (int,) if kind == "INT" else (int, float)
        return type(value) in numbers and options.get("min", value) <= value <= options.get("max", value)
    return isinstance(value, {"STRING": str, "BOOLEAN": bool}[kind])


@pytest.mark.parametrize("path", WORKFLOWS, ids=name_of)
def test_the_host_offers_a_workflow_as_a_template_with_its_thumbnail(path, host):
    assert path.stem in json.loads(host.request("/workflow_templates"))[PACK]
    for file in (path, path.with_suffix(".jpg")):
        assert host.request(f"/api/workflow_templates/{PACK}/{quote(file.name)}") == file.read_bytes()


@pytest.mark.parametrize("path", [*WORKFLOWS, *SAVED], ids=name_of)
def test_every_link_and_widget_of_a_workflow_is_one_that_the_host_takes(path, object_info):
    assert not list(faults(read(path), object_info))
    assert to_prompt(read(path), object_info)


@pytest.mark.parametrize("path", WORKFLOWS, ids=name_of)
def test_a_shipped_workflow_has_a_value_for_every_widget(path, object_info):
    for node in nodes_of(read(path)):
        assert len(node["widgets_values"]) == len(list(widgets_of(object_info[node["type"]]))), node["type"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=name_of)
def test_a_shipped_workflow_begins_with_a_note(path):
    notes = [node for node in read(path)["nodes"] if node["type"] in NOTES]
    assert notes[0]["title"] == "Start here"
    assert "**Run**" in notes[0]["widgets_values"][0]
    assert not read(path)["groups"], "wires go through the titles of groups"


@pytest.mark.parametrize("path", BLUEPRINTS, ids=lambda path: path.stem)
def test_the_host_offers_a_blueprint_of_one_subgraph(path, host, object_info):
    entries = json.loads(host.request("/global_subgraphs"))
    number = next(key for key, entry in entries.items() if entry["name"] == path.stem)
    assert json.loads(json.loads(host.request(f"/global_subgraphs/{number}"))["data"]) == read(path)
    workflow = read(path)
    (node,), (definition,) = workflow["nodes"], workflow["definitions"]["subgraphs"]
    assert node["type"] == definition["id"]
    assert definition["name"] == path.stem
    inside = {str(inner["id"]) for inner in definition["nodes"]} | {LINKED}
    assert {number for number, _ in node["properties"]["proxyWidgets"]} <= inside
    assert not list(faults(workflow, object_info))


@pytest.mark.parametrize("path", [*WORKFLOWS, *BLUEPRINTS], ids=name_of)
def test_a_subgraph_shows_each_of_its_widgets_by_a_name_of_its_own(path):
    for nodes, _, kinds in graphs(read(path)):
        for node in (node for node in nodes.values() if node["type"] in kinds):
            shown = node["properties"]["proxyWidgets"]
            assert len({name for _, name in shown}) == len(shown), node["title"]
            sockets = {socket["name"] for socket in node["inputs"] if "widget" in socket}
            assert {name for number, name in shown if number == LINKED} == sockets


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_what_has_to_be_downloaded_is_named_for_the_dialog_about_missing_models(path):
    """Where a native node or the Stable Audio Loader asks for a file, with the name under which the link saves it."""
    for node in nodes_of(read(path)):
        if node["type"] in ("CheckpointLoaderSimple", "CLIPLoader", "StereoSyncStableAudioLoader"):
            (model,) = node["properties"]["models"]
            assert set(model) == {"name", "url", "directory"}
            assert model["name"] == node["widgets_values"][0] == model["url"].split("/")[-1]


def test_a_workflow_gives_the_clip_with_its_picture_untouched(host, shipped):
    assert same_video(CLIP, saved(host, shipped, "StereoSyncSoundOntoVideo"))


def test_the_sound_is_as_long_as_the_clip(host, shipped):
    sound, rate = sound_of(saved(host, shipped, "StereoSyncSoundOntoVideo"))
    assert 0 <= sound.shape[1] - round(video_seconds(CLIP) * rate) < AAC_FRAME
    assert sound.shape[0] == 2
    assert abs(sound).max() > 0.01


def test_the_plot_can_be_viewed(host, shipped):
    plot = saved(host, shipped, "StereoSyncScenePlot")
    assert host.view(plot.name, type="temp").startswith(b"\x89PNG")


def test_the_pictures_of_events_can_be_viewed(host, shipped):
    strip = saved(host, shipped, "StereoSyncPreviewEvents")
    assert host.view(strip.name, type="temp").startswith(b"\x89PNG")


def test_a_second_run_comes_from_the_cache(host, shipped):
    prompt, first = shipped
    second = run(host, prompt)
    assert second.cached == set(prompt)
    # a host that has a node's outputs already shows again only what nodes that end a graph show
    assert second.outputs
    assert second.outputs == {node: first.outputs[node] for node in second.outputs}


def test_a_changed_file_is_read_again(host, graph: Graph, tmp_path):
    target = host.base / "input" / "changing.mp4"
    shutil.copy(make_clip(tmp_path / "before.mp4", count=30), target)
    clip = graph.add("StereoSyncLoadVideo", file=target.name)
    sound = graph.add("TestMakeAudio", kind="tone")
    result = graph.add("StereoSyncSoundOntoVideo", video=clip.video, audio=sound, filename_prefix="changing")
    run(host, graph)
    shutil.copy(make_clip(tmp_path / "after.mp4", count=45), target)
    again = run(host, graph)
    assert again.cached == {sound.number}
    assert video_seconds(host.path_of(again.outputs[result.number]["images"][0])) == pytest.approx(1.5)


def test_five_nodes_with_their_defaults_place_footsteps(host, graph):
    clip = graph.add("StereoSyncLoadVideo", file=CLIP.name)
    tracks = graph.add("StereoSyncSmallTracker", video=clip.video)
    steps = graph.add("StereoSyncFootsteps", tracks=tracks)
    placed = graph.add("StereoSyncSpatializeAudio", audio=steps, tracks=tracks)
    saving = graph.add("StereoSyncSoundOntoVideo", video=clip.video, audio=placed, filename_prefix="five")
    followed = track_video(CLIP, max_tracks=1)
    sound, rate = sound_of(produced(host, graph, saving))
    assert placement_correlation(sound, rate, followed.tracks[0], max_gap=followed.max_gap) > 0.9
