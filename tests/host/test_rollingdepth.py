"""Downloaded depth models in a real ComfyUI, with tiny ones of random weights."""

import json

import numpy as np
import pytest

from research.bench.rollingdepth_folder import TINY, write_folder
from tests.clips import grain, make_clip
from tests.depth_anything import write_depth_anything
from tests.host.conftest import finished, one_error
from tests.host.events import queue_and_stop_in
from tools.environment import ROOT
from tools.workflow import to_prompt

SIZES = {"plain": (96, 64), "odd": (90, 70)}


@pytest.fixture(scope="module", autouse=True)
def models(host):
    write_folder(host.base / "models" / "rollingdepth" / "tiny", TINY)
    write_depth_anything(host.base / "models" / "depthanything" / "tiny")


def clip_of(host, graph, tmp_path, count, size=(96, 64)):
    name = f"depth_{count}_{size[0]}.mp4"
    return graph.add("StereoSyncLoadVideo", file=host.upload(make_clip(tmp_path / name, count=count, size=size, paint=grain)))


def rolling(graph, clip, **options):
    model = graph.add("StereoSyncRollingDepthLoader", model="tiny")
    options = {"resolution": 64, "rate": 0.0, "alignment": "fast"} | options
    return graph.add("StereoSyncRollingDepth", video=clip.video, model=model, **options)


def shown(host, graph, preview):
    """Pictures of a native IMAGE, as the host shows them: ``[T, H, W, C]``."""
    from PIL import Image

    saving = graph.add("SaveImage", images=preview, filename_prefix="depth")
    result = finished(host, graph)
    paths = [host.path_of(image) for image in result.outputs[saving.number]["images"]]
    return np.stack([np.asarray(Image.open(path)) for path in paths])


@pytest.mark.parametrize("preset", ["fast", "full"])
@pytest.mark.parametrize(("count", "size"), [(1, "plain"), (2, "plain"), (5, "plain"), (12, "odd")])
def test_clips_of_every_length_and_size(host, graph, tmp_path, preset, count, size):
    clip = clip_of(host, graph, tmp_path, count, SIZES[size])
    depth = rolling(graph, clip, preset=preset)
    pictures = shown(host, graph, depth.preview)
    assert pictures.shape == (count, 42 if size == "plain" else 49, 64, 3)
    assert (pictures.min(), pictures.max()) == (0, 255)


def test_its_depth_drops_in_where_fastdepth_was(host, graph, clip):
    depth = rolling(graph, clip, rate=4.0, alignment="exact", dilations="1, 10", refine_steps=1)
    tracks = graph.add("StereoSyncTracksFromMasks", masks=graph.add("TestMakeBoxes").MASK, video=clip.video)
    graph.placed_tone(clip.video, tracks, "rolling", depth=depth.depth)
    graph.add("StereoSyncPreviewScene", video=clip.video, depth=depth.depth)
    finished(host, graph)


def test_a_run_can_be_stopped_and_the_next_one_works(host, graph, tmp_path):
    clip = clip_of(host, graph, tmp_path, 60)
    depth = rolling(graph, clip, preset="full", resolution=256, batch=1)
    graph.add("PreviewImage", images=depth.preview)
    queue_and_stop_in(host, graph.prompt, depth.number)
    graph.prompt[depth.number]["inputs"] |= {"preset": "fast", "resolution": 64, "rate": 4.0}
    finished(host, graph)


def test_an_absent_model_is_named_with_its_link_and_its_place(host, graph, clip):
    model = graph.add("StereoSyncRollingDepthLoader", model="rollingdepth-v1-0")
    depth = graph.add("StereoSyncRollingDepth", video=clip.video, model=model)
    graph.add("PreviewImage", images=depth.preview)
    place = host.base / "models" / "rollingdepth" / "rollingdepth-v1-0"
    one_error(host, graph, "huggingface.co/prs-eth/rollingdepth-v1-0", str(place))


@pytest.mark.parametrize(("options", "word"), [({"resolution": 32}, "64 or more"), ({"dilations": "one"}, "whole numbers")])
def test_settings_that_make_no_sense_are_named(host, graph, clip, options, word):
    graph.add("PreviewImage", images=rolling(graph, clip, **options).preview)
    one_error(host, graph, word)


def test_the_models_that_are_there_can_be_chosen(host):
    for node in ("StereoSyncRollingDepthLoader", "StereoSyncDepthAnythingLoader"):
        kind, *options = host.object_info()[node]["input"]["required"]["model"]
        assert "tiny" in (kind if isinstance(kind, list) else options[0]["options"])


def test_depth_anything_and_its_flicker_taken_out(host, graph, clip):
    model = graph.add("StereoSyncDepthAnythingLoader", model="tiny")
    depth = graph.add("StereoSyncDepthAnything", video=clip.video, model=model, map_size=64)
    stable = graph.add("StereoSyncSteadyDepth", depth=depth.depth)
    assert shown(host, graph, stable.preview).shape == (4, 43, 64, 3)


def test_an_absent_depth_anything_is_named_with_its_place(host, graph, clip):
    model = graph.add("StereoSyncDepthAnythingLoader", model="Depth-Anything-V2-Small-hf")
    graph.add("PreviewImage", images=graph.add("StereoSyncDepthAnything", video=clip.video, model=model).preview)
    one_error(host, graph, "huggingface.co", str(host.base / "models" / "depthanything"))


def test_the_workflow_with_three_estimators(host, object_info):
    """As it is opened, and with all its nodes switched on."""
    saved = json.loads((ROOT / "workflows" / "Compare depth.json").read_text(encoding="utf-8"))
    finished(host, to_prompt(saved, object_info))
    for node in saved["nodes"]:
        node["mode"] = 0
    prompt = to_prompt(saved, object_info)
    for node in prompt.values():
        if "model" in node["inputs"] and node["class_type"].endswith("Loader"):
            node["inputs"]["model"] = "tiny"
        if node["class_type"] == "StereoSyncRollingDepth":
            node["inputs"] |= {"resolution": 64, "rate": 1.0, "alignment": "fast"}
    result = finished(host, prompt)
    views = [number for number, node in prompt.items() if node["class_type"] == "StereoSyncPreviewScene"]
    assert len(views) == 3
    assert set(views) <= set(result.outputs)
