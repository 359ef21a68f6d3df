"""Apply StereoSync on the host's own Stable Audio: the same numbers as our own sampler's, and everything native goes on."""

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.host.conftest import failed, finished
from tests.host.graph import Graph
from tests.host.test_stable_audio import saved, texts
from tests.stable_audio_release import CHECKPOINT, RELEASE
from tools.host import HostError


def clip_of(graph, seconds=1.0):
    return graph.add("StereoSyncLoadVideo", file="stereosync_walking.mp4", duration=seconds).video


def scene(graph, seconds=1.0):
    """Conditions of an adapter: a thing that crosses the picture, a beat, a surface."""
    boxes, frame = graph.add("TestMakeBoxes").BBOX, {"frame_width": 96, "frame_height": 64, "boxes_per_second": 30 / seconds}
    tracks = graph.add("StereoSyncTracksFromBoxes", video=clip_of(graph, seconds), boxes=boxes, **frame)
    space = graph.add("StereoSyncSpatialConditioning", tracks=tracks)
    envelope = graph.add("StereoSyncEnvelopeCurve", curve="0.2 hit, 0.6 hit 0.5", seconds=seconds)
    timbre = graph.add("StereoSyncTimbre", model=graph.add("StereoSyncModelLoader"), surface="wood")
    return {"space": space, "envelope": envelope, "timbre": timbre}


def checkpoint_of(graph):
    return graph.add("CheckpointLoaderSimple", ckpt_name=CHECKPOINT)


def applied(graph, model, given, **options):
    positive, negative = texts(graph)
    return graph.add("StereoSyncApply", model=model, positive=positive, negative=negative, **given, **options)


def wired(apply):
    """The inputs of a native sampler that Apply StereoSync gives."""
    return {"model": apply.model, "positive": apply.positive, "negative": apply.negative, "latent_image": apply.latent}


def walked(graph, apply, cfg=3.0, steps=4, seed=5, **other):
    """The native sampler on the noise levels that our own sampler takes."""
    return graph.add("SamplerCustom", **wired(apply) | other, noise_seed=seed, cfg=cfg, **solver(graph, steps))


def solver(graph, steps):
    sigmas = graph.add("ExponentialScheduler", steps=steps, sigma_max=500.0, sigma_min=0.3)
    return {"sampler": graph.add("KSamplerSelect", sampler_name="dpmpp_2m"), "sigmas": sigmas}


def latents(host, graph, *samples):
    """What samplers made, ``[B, 64, T]`` each."""
    savings = [graph.add("SaveLatent", samples=one, filename_prefix=f"native_{n}") for n, one in enumerate(samples)]
    result = finished(host, graph)
    paths = [host.path_of(result.outputs[saving.number]["latents"][0]) for saving in savings]
    return [load_file(path)["latent_tensor"] for path in paths]


def difference(made, wanted):
    return float((made - wanted).abs().max() / wanted.abs().max())


@pytest.mark.parametrize("adapter", ["none", "aligned", "paper"])
def test_native_sampling_gives_what_our_own_sampler_gives(host, graph, adapter):
    given = scene(graph)
    if adapter == "none":
        given = {"space": given["space"]}
    native = walked(graph, applied(graph, checkpoint_of(graph).MODEL, given, adapter=adapter))
    model = graph.add("StereoSyncStableAudioLoader", model=RELEASE, adapter=adapter)
    positive, negative = texts(graph)
    options = {"positive": positive, "negative": negative, "seed": 5, "steps": 4, "cfg": 3.0, "sampler": "dpmpp_2m"}
    own = graph.add("StereoSyncStableAudioSampler", model=model, **options, **given)
    made, wanted = latents(host, graph, native.output, own.latent)
    assert made.shape == wanted.shape == (1, 64, 22)
    assert difference(made, wanted) < 1e-4


def test_zero_is_the_model_s_default_in_saved_graphs_and_off_where_chosen(host, graph):
    """A graph that was saved before the choice has no such input."""
    given = scene(graph)
    model = graph.add("StereoSyncStableAudioLoader", model=RELEASE, adapter="aligned")
    positive, negative = texts(graph)
    options = {"positive": positive, "negative": negative, "steps": 2, "cfg": 3.0, "sampler": "dpmpp_2m", **given}

    def sampler(**more):
        return graph.add("StereoSyncStableAudioSampler", model=model, **options, **more)

    before, default, equal = sampler(), sampler(), sampler(space_scale=3.0, zero_means="off")
    for name in ("law", "zero_means"):
        del graph.prompt[before.number]["inputs"][name]
    off = sampler(zero_means="off")
    saved_before, by_default, as_cfg, without = latents(host, graph, *(one.latent for one in (before, default, equal, off)))
    assert difference(saved_before, by_default) == difference(saved_before, as_cfg) == 0
    assert difference(without, as_cfg) > 1e-3


def test_each_condition_counts(host, graph):
    given = scene(graph)
    model = checkpoint_of(graph).MODEL
    without = graph.add(
        "StereoSyncSpatialConditioning", tracks=graph.prompt[given["space"].number]["inputs"]["tracks"], use="nothing"
    )
    ways = [
        applied(graph, model, given, adapter="aligned"),
        applied(graph, model, given | {"space": without}, adapter="aligned"),
        applied(graph, model, given, adapter="aligned", envelope_scale=0.0),
        applied(graph, model, {name: given[name] for name in ("space", "envelope")}, adapter="aligned"),
        applied(graph, model, {"space": given["space"]}, adapter="none"),
    ]
    whole, *others = latents(host, graph, *(walked(graph, way).output for way in ways))
    for other in others:
        assert difference(other, whole) > 1e-3


def test_a_lora_on_the_model_goes_on_working_and_the_adapter_with_it(host, graph):
    torch.manual_seed(0)
    folder = host.base / "models" / "loras"
    folder.mkdir(parents=True, exist_ok=True)
    name = "diffusion_model.transformer.layers.1.self_attn.to_out"
    save_file(
        {f"{name}.lora_up.weight": torch.randn(128, 4), f"{name}.lora_down.weight": torch.randn(4, 128)},
        folder / "it.safetensors",
    )
    given, model = scene(graph), checkpoint_of(graph).MODEL
    changed = graph.add("LoraLoaderModelOnly", model=model, lora_name="it.safetensors", strength_model=1.0)
    ways = [applied(graph, one, given, adapter="aligned") for one in (model, changed, model)]
    first, other, again = latents(host, graph, *(walked(graph, way).output for way in ways))
    assert difference(other, first) > 1e-3
    assert difference(again, first) < 1e-6


def test_the_native_sampler_decodes_to_sound_and_takes_a_batch_of_another_length(host, graph):
    checkpoint = checkpoint_of(graph)
    apply = applied(graph, checkpoint.MODEL, scene(graph), adapter="aligned")
    latent = graph.add("EmptyLatentAudio", seconds=2.0, batch_size=2)
    options = {"steps": 3, "cfg": 4.0, "sampler_name": "dpmpp_3m_sde", "scheduler": "exponential"}
    sampled = graph.add("KSampler", **wired(apply) | {"latent_image": latent}, **options)
    sound = saved(host, graph, graph.add("VAEDecodeAudio", samples=sampled, vae=checkpoint.VAE))
    assert sound.shape == (2, 44 * 2048)
    assert abs(sound).max() > 1e-3


def test_a_clip_longer_than_the_adapters_window_is_noted(host, graph):
    apply = applied(graph, checkpoint_of(graph).MODEL, scene(graph, seconds=3.0), adapter="aligned")
    before = host.log.stat().st_size
    (made,) = latents(host, graph, walked(graph, apply, steps=1).output)
    assert made.shape[-1] == 65
    assert "trained on 2.0 s at a time" in host.log.read_bytes()[before:].decode("utf-8", "replace")


def test_guiders_of_the_host_take_the_model(host, graph):
    """The dual guider evaluates three texts at once, in an order of its own."""
    apply = applied(graph, checkpoint_of(graph).MODEL, scene(graph), adapter="aligned")
    texts_of = {"cond1": apply.positive, "cond2": apply.negative, "negative": apply.negative}
    guiders = [
        graph.add("CFGGuider", model=apply.model, positive=apply.positive, negative=apply.negative, cfg=3.0),
        graph.add("DualCFGGuider", model=apply.model, **texts_of, cfg_conds=3.0, cfg_cond2_negative=1.0),
    ]
    given = {"noise": graph.add("RandomNoise", noise_seed=5), "latent_image": apply.latent, **solver(graph, 3)}
    sampled = [graph.add("SamplerCustomAdvanced", guider=guider, **given) for guider in guiders]
    plain, dual = latents(host, graph, *(one.output for one in sampled))
    assert difference(dual, plain) < 1e-4, "with the second text the negative one, it is the plain guider"


def memory_after(host, object_info, seed, surface):
    graph = Graph(object_info)
    given = scene(graph)
    graph.prompt[given["timbre"].number]["inputs"]["surface"] = surface
    sampled = walked(graph, applied(graph, checkpoint_of(graph).MODEL, given, adapter="aligned"), seed=seed)
    looked = graph.add("TestMemory", after=sampled.output)
    return finished(host, graph).outputs[looked.number]


def memory_freed(host, object_info):
    """What the host holds once it was asked to let go."""
    host.request("/free", {"unload_models": True, "free_memory": True})
    for _ in range(2):  # a prompt that comes before the host has looked at the request runs before it is heeded
        graph = Graph(object_info)
        looked = graph.add("TestMemory")
        held = finished(host, graph).outputs[looked.number]
        if not held["loaded"]:
            break
    return held


def test_runs_in_a_row_hold_no_more_and_the_adapter_goes_when_the_host_asks(host, object_info):
    memory_after(host, object_info, 1, "wood")
    second, third = (memory_after(host, object_info, seed, kind) for seed, kind in ((2, "snow"), (3, "metal")))
    assert second == third
    assert second["adapters"] == [1]
    assert {"StableAudio1", "SpatialAdapter"} <= set(second["loaded"])
    assert memory_freed(host, object_info) == {"loaded": [], "adapters": [0]}


def test_errors_name_the_input_and_the_remedy(host, object_info):
    def error(model=lambda fresh, given: checkpoint_of(fresh).MODEL, **options):
        fresh = Graph(object_info)
        given = scene(fresh)
        fresh.add("SaveLatent", samples=applied(fresh, model(fresh, given), given, **options).latent)
        return failed(host, fresh)

    def twice(fresh, given):
        return applied(fresh, checkpoint_of(fresh).MODEL, given, adapter="aligned").model

    assert "The MODEL is not Stable Audio Open 1.0" in error(lambda fresh, _: fresh.add("TestOtherModel"))
    assert "'envelope' needs a StereoSync adapter" in error(adapter="none")
    assert "'model' has an adapter already" in error(twice, adapter="aligned")

    def spread(fresh, given):
        return fresh.add("TestSpread", model=checkpoint_of(fresh).MODEL)

    def spread_later(fresh, given):
        return fresh.add(
            "TestSpread", model=applied(fresh, checkpoint_of(fresh).MODEL, given, adapter="aligned").model, copied=True
        )

    for later in (spread, spread_later):
        assert "spread over several GPUs" in error(later, adapter="aligned")
    with pytest.raises(HostError, match=r"absent' has no config\.json"):
        error(adapter="absent")
    folder = host.base / "models" / "stereosync" / "foreign"
    shutil.copytree(folder.with_name("aligned"), folder)
    config = json.loads((folder / "config.json").read_text())
    config["adapter"]["base"]["fingerprint"] = "another"
    (folder / "config.json").write_text(json.dumps(config))
    assert "was trained over other weights than those of 'the MODEL'" in error(adapter="foreign")


def balance(sound, part):
    """Level of the right channel over the left, dB."""
    left, right = (float((channel[part] ** 2).mean()) for channel in sound)
    return 10 * np.log10(right / left)


@pytest.mark.parametrize("adapter", ["none", "aligned"])
def test_the_spatial_guider_moves_the_native_sampler_s_sound_to_where_the_thing_is(host, graph, adapter):
    checkpoint, given = checkpoint_of(graph), scene(graph)
    if adapter == "none":
        given = {"space": given["space"]}
    apply = applied(graph, checkpoint.MODEL, given, adapter=adapter)
    guider = graph.add("StereoSyncSpatialGuider", model=apply.model, vae=checkpoint.VAE, space=given["space"])
    sampled = walked(graph, apply, model=guider)
    sound = saved(host, graph, graph.add("VAEDecodeAudio", samples=sampled.output, vae=checkpoint.VAE))
    length = sound.shape[1] // 4
    begin, end = balance(sound, slice(0, length)), balance(sound, slice(-length, None))
    assert begin < -3
    assert end > 3


def test_the_spatial_guider_names_what_it_lacks(host, graph, object_info):
    def error(**change):
        fresh = Graph(object_info)
        checkpoint = checkpoint_of(fresh)
        given = {"model": checkpoint.MODEL, "vae": checkpoint.VAE, "space": scene(fresh)["space"]}
        given |= {name: make(fresh) for name, make in change.items()}
        guider = fresh.add("StereoSyncSpatialGuider", **given)
        given = {"space": given["space"]}
        fresh.add("SaveLatent", samples=walked(fresh, applied(fresh, checkpoint.MODEL, given), steps=1, model=guider).output)
        return failed(host, fresh)

    def without_boxes(fresh):
        tracks = fresh.add("StereoSyncTracksFromBoxes", video=clip_of(fresh), boxes=fresh.add("TestMakeBoxes").BBOX)
        return fresh.add("StereoSyncSpatialConditioning", tracks=tracks, use="nothing")

    assert "The MODEL is not Stable Audio Open 1.0" in error(model=lambda fresh: fresh.add("TestOtherModel"))
    assert "'vae' is not Stable Audio's" in error(vae=lambda fresh: fresh.add("TestOtherVae"))
    assert "'space' holds no tracks" in error(space=without_boxes)


def test_our_own_sampler_is_guided_to_the_boxes_without_an_adapter(host, graph):
    model = graph.add("StereoSyncStableAudioLoader", model=RELEASE)
    positive, _ = texts(graph)
    given = {"model": model, "positive": positive, "space": scene(graph)["space"], "steps": 2}
    plain, guided = (
        saved(host, graph, graph.add("StereoSyncStableAudioSampler", **given, spatial_guidance=strength).audio)
        for strength in (0.0, 0.5)
    )
    assert plain.shape == guided.shape
    assert np.abs(plain - guided).max() > 1e-3
