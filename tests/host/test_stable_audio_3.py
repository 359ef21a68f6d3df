"""Stable Audio 3 in a host that knows it, at a narrow width: length, rate and channels are the MODEL's, native sampling goes on
under Spatial Guider and under adapters, and its numbers are those of the pack's own sampler over diffusers' networks."""

import json

import pytest
import torch
from safetensors.torch import save_file

from stereosync_core.model.samplers import SCHEDULES
from tests.demo_check import sound_of
from tests.host.conftest import failed, finished
from tests.host.test_native import difference, latents, scene
from tests.stable_audio_release import provide_stable_audio_3
from tools.environment import ROOT
from tools.workflow import to_prompt

STEPS = 4


@pytest.fixture(scope="module")
def narrow(host, object_info):
    """The nodes that the host has once there is a model to name."""
    if "TestStableAudio3" not in object_info:
        pytest.skip("this host does not know Stable Audio 3")
    provide_stable_audio_3(host.base / "models")
    return host.object_info()


@pytest.fixture
def native(graph, narrow):
    """MODEL, VAE and two texts of the host's own Stable Audio 3."""
    return graph.add("TestStableAudio3")


def applied(graph, native, given, adapter="none", model=None):
    texts = {"positive": native.positive, "negative": native.negative}
    return graph.add("StereoSyncApply", model=model or native.MODEL, **texts, **given, adapter=adapter)


def walked(graph, apply, **other):
    """The native sampler on the noise levels that our own sampler takes."""
    sigmas = ", ".join(f"{one:.17f}" for one in SCHEDULES["stable_audio_3"](STEPS))
    solver = {"sampler": graph.add("KSamplerSelect", sampler_name="euler"), "sigmas": graph.add("ManualSigmas", sigmas=sigmas)}
    wired = {"model": apply.model, "positive": apply.positive, "negative": apply.negative, "latent_image": apply.latent}
    return graph.add("SamplerCustom", **wired | other, noise_seed=5, cfg=3.0, **solver).output


@pytest.mark.parametrize("adapter", ["none", "3-aligned", "3-paper"])
def test_native_sampling_gives_what_our_own_sampler_gives(host, graph, native, adapter):
    given = scene(graph)
    if adapter == "none":
        given = {"space": given["space"]}
    model = graph.add("StereoSyncStableAudioLoader", model="stable-audio-3", adapter=adapter)
    options = {"positive": native.positive, "negative": native.negative, "seed": 5, "steps": STEPS, "cfg": 3.0}
    own = graph.add("StereoSyncStableAudioSampler", model=model, sampler="euler", **options, **given)
    made, wanted = latents(host, graph, walked(graph, applied(graph, native, given, adapter)), own.latent)
    assert made.shape == wanted.shape == (1, 256, 11)
    assert difference(made, wanted) < 1e-4


def test_each_condition_of_an_adapter_counts_and_the_host_s_own_local_one_stays(host, graph, native):
    given = scene(graph)
    apply = applied(graph, native, given, "3-aligned")
    fewer = [applied(graph, native, {name: given[name] for name in ("space", other)}, "3-aligned") for other in list(given)[1:]]
    whole, *others = latents(host, graph, walked(graph, apply), *(walked(graph, one) for one in fewer))
    assert min(difference(other, whole) for other in others) > 1e-3


def test_what_stays_of_a_sound_reaches_the_blocks_that_are_patched(host, graph, native):
    """By the mask of a native latent. Texts that Apply StereoSync did not mark leave the adapter out, and its patches in."""
    given = scene(graph)
    apply, plain = applied(graph, native, given, "3-aligned"), applied(graph, native, {"space": given["space"]})
    texts = {"positive": native.positive, "negative": native.negative}
    masked = texts | {"latent_image": graph.add("TestKeptHalf", latent=plain.latent)}
    ways = [walked(graph, plain, **masked), walked(graph, apply, **masked), walked(graph, plain, **texts)]
    alone, patched, free = latents(host, graph, *ways)
    assert difference(patched, alone) < 1e-6
    assert (free[..., 6:] - alone[..., 6:]).abs().max() > 1e-3, "what is made anew goes by what stays"


def test_a_lora_on_the_model_goes_on_working_and_the_adapter_with_it(host, graph, native):
    torch.manual_seed(0)
    folder = host.base / "models" / "loras"
    folder.mkdir(parents=True, exist_ok=True)
    name = "diffusion_model.transformer.layers.1.self_attn.to_out"
    weights = {f"{name}.lora_up.weight": torch.randn(128, 4), f"{name}.lora_down.weight": torch.randn(4, 128)}
    save_file(weights, folder / "third.safetensors")
    given = scene(graph)
    changed = graph.add("LoraLoaderModelOnly", model=native.MODEL, lora_name="third.safetensors", strength_model=1.0)
    ways = [applied(graph, native, given, "3-aligned", model) for model in (native.MODEL, changed, native.MODEL)]
    first, other, again = latents(host, graph, *(walked(graph, way) for way in ways))
    assert difference(other, first) > 1e-3
    assert difference(again, first) < 1e-6


def test_guidance_moves_the_latents_with_an_adapter_and_without_and_they_decode(host, graph, native):
    given = scene(graph)
    for apply in (applied(graph, native, {"space": given["space"]}), applied(graph, native, given, "3-aligned")):
        options = {"vae": native.VAE, "space": given["space"], "rounds": 1, "every": 1}
        guided = graph.add("StereoSyncSpatialGuider", model=apply.model, **options)
        plain, moved = latents(host, graph, walked(graph, apply), walked(graph, apply, model=guided.model))
        assert plain.shape == moved.shape == (1, 256, 11), "a second at 44100 / 4096 frames"
        assert difference(moved, plain) > 1e-4
    decoded = graph.add("VAEDecodeAudio", samples=walked(graph, apply), vae=native.VAE)
    saving = graph.add("StereoSyncSaveAudio", audio=decoded, format="wav float", filename_prefix="audio/third")
    sound, _ = sound_of(host.path_of(finished(host, graph).outputs[saving.number]["audio"][0]))
    assert sound.shape[0] == 2
    assert sound.shape[1] >= 11 * 4096, "this decoder takes whole chunks"
    assert abs(sound).max() > 1e-4


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
                node["inputs"][name] = ["narrow", 2 + (name == "negative")]
        if node["class_type"] == "KSampler":
            node["inputs"]["steps"] = 2
    kept = {number: node for number, node in prompt.items() if node["class_type"] not in ("CLIPTextEncode", "CLIPLoader")}
    del kept[loader]
    kept["narrow"] = {"class_type": "TestStableAudio3", "inputs": {}}
    result = finished(host, kept)
    (saving,) = (number for number, node in kept.items() if node["class_type"] == "StereoSyncSoundOntoVideo")
    sound, _ = sound_of(host.path_of(result.outputs[saving]["images"][0]))
    assert abs(sound).max() > 1e-4


def test_an_adapter_and_a_vae_of_another_release_are_refused(host, graph, native, object_info):
    given = scene(graph)
    other = graph.add("CheckpointLoaderSimple", ckpt_name="stable-audio-open-1.0.safetensors")
    apply = applied(graph, native, {"space": given["space"]})
    guided = graph.add("StereoSyncSpatialGuider", model=apply.model, vae=other.VAE, space=given["space"])
    saving = graph.add("SaveLatent", samples=walked(graph, apply, model=guided.model))
    assert "64 latent channels and the MODEL 256" in failed(host, graph)
    del graph.prompt[saving.number]
    graph.add("SaveLatent", samples=walked(graph, applied(graph, native, given, "aligned")))
    assert "was trained over another model" in failed(host, graph)
