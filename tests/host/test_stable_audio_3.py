"""Stable Audio 3 in a host that knows it, at a narrow width: length, rate and channels are the MODEL's, and native sampling
goes on under Spatial Guider."""

import json

import pytest

from tests.demo_check import sound_of
from tests.host.conftest import failed, finished
from tests.host.test_native import difference, latents, scene
from tools.environment import ROOT
from tools.workflow import to_prompt


@pytest.fixture
def native(graph, object_info):
    """MODEL, VAE and a text of the host's own Stable Audio 3."""
    if "TestStableAudio3" not in object_info:
        pytest.skip("this host does not know Stable Audio 3")
    return graph.add("TestStableAudio3")


def applied(graph, native, given):
    texts = {"positive": native.CONDITIONING, "negative": native.CONDITIONING}
    return graph.add("StereoSyncApply", model=native.MODEL, **texts, space=given["space"], adapter="none")


def walked(graph, apply, model):
    options = {"steps": 2, "cfg": 1.0, "sampler_name": "euler", "scheduler": "simple", "seed": 1}
    inputs = {"positive": apply.positive, "negative": apply.negative, "latent_image": apply.latent}
    return graph.add("KSampler", model=model, **inputs, **options)


def test_the_clip_s_length_comes_in_the_model_s_own_latents_and_guidance_moves_them(host, graph, native):
    given = scene(graph)
    apply = applied(graph, native, given)
    guided = graph.add("StereoSyncSpatialGuider", model=apply.model, vae=native.VAE, space=given["space"], rounds=1, every=1)
    plain, moved = latents(host, graph, walked(graph, apply, apply.model), walked(graph, apply, guided.model))
    assert plain.shape == moved.shape == (1, 256, 11), "a second at 44100 / 4096 frames"
    assert difference(moved, plain) > 1e-4


def test_the_workflow_refines_a_placed_sound_on_narrow_weights(host, object_info, native):
    """With the tests' networks in the place of what its loaders would load."""
    path = ROOT / "workflows" / "Refine with Stable Audio 3.json"
    prompt = to_prompt(json.loads(path.read_text(encoding="utf-8")), object_info)
    texts = [number for number, node in prompt.items() if node["class_type"] == "CLIPTextEncode"]
    (loader,) = (number for number, node in prompt.items() if node["class_type"] == "CheckpointLoaderSimple")
    for node in prompt.values():
        for name, value in node["inputs"].items():
            if isinstance(value, list) and value[0] == loader:
                node["inputs"][name] = ["narrow", {0: 0, 2: 1}[value[1]]]
            elif isinstance(value, list) and value[0] in texts:
                node["inputs"][name] = ["narrow", 2]
        if node["class_type"] == "KSampler":
            node["inputs"]["steps"] = 2
    kept = {number: node for number, node in prompt.items() if node["class_type"] not in ("CLIPTextEncode", "CLIPLoader")}
    del kept[loader]
    kept["narrow"] = {"class_type": "TestStableAudio3", "inputs": {}}
    result = finished(host, kept)
    (saving,) = (number for number, node in kept.items() if node["class_type"] == "StereoSyncSoundOntoVideo")
    sound, _ = sound_of(host.path_of(result.outputs[saving]["images"][0]))
    assert abs(sound).max() > 1e-4


def test_an_adapter_and_a_vae_of_another_release_are_refused(host, graph, native):
    given = scene(graph)
    other = graph.add("CheckpointLoaderSimple", ckpt_name="stable-audio-open-1.0.safetensors")
    apply = applied(graph, native, given)
    guided = graph.add("StereoSyncSpatialGuider", model=apply.model, vae=other.VAE, space=given["space"])
    graph.add("SaveLatent", samples=walked(graph, apply, guided.model))
    assert "64 latent channels and the MODEL 256" in failed(host, graph)
