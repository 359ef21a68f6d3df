"""Stable Audio 3 through diffusers: the same numbers as its own pipeline, and all that the pipeline does with any base."""

import sys

import numpy as np
import pytest
import torch

from research.equality.stable_audio_3_equality import BOUNDS, compare, random_model
from stereosync_core import Sound, SpatialConditioning, StereoSyncPipeline
from stereosync_core.model.adapter import SpatialAdapter, save_adapter
from stereosync_core.model.folder import save_part
from stereosync_core.model.latent_levels import LatentLevels, decoded_levels
from stereosync_core.model.loader import is_release, load_model
from stereosync_core.model.stable_audio_3.release import is_stable_audio_3
from tests.errors import refused
from tests.stable_audio_release import write_stable_audio_3
from tests.unit.test_conditioning import crossing
from tests.unit.test_stable_audio_adapter import adapter_config

pytestmark = pytest.mark.slow

RATE, SECONDS = 44100, 2.0
TEXT = torch.randn((1, 5, 32), generator=torch.Generator().manual_seed(4))


@pytest.fixture(scope="module")
def model():
    return random_model()


def made(model, **options):
    scene = SpatialConditioning(crossing(SECONDS))
    return StereoSyncPipeline(model)(scene, TEXT, **{"num_inference_steps": 2, "spatial_guidance": 0.0, **options})


def noise() -> Sound:
    return Sound(0.05 * np.random.default_rng(2).standard_normal((2, round(SECONDS * RATE))).astype(np.float32), RATE)


def test_numbers_are_those_of_diffusers_own_pipeline():
    found = compare()
    assert {name: value for name, value in found.items() if not value <= BOUNDS[name]} == {}
    assert found.keys() == BOUNDS.keys()


def test_sound_is_as_long_as_the_clip_and_rate_and_channels_are_the_model_s(model):
    assert model.latent_rate == pytest.approx(RATE / 4096)
    sound = made(model)
    assert sound.samples.shape == (2, round(SECONDS * RATE))
    assert sound.latents.shape == (1, 16, 22)
    assert np.isfinite(sound.samples).all()


def test_a_sound_is_refined_kept_and_taken_several_times(model):
    whole = noise()
    edited = made(model, audio=whole, keep="0-0.9", takes=2)
    kept = round(0.9 * RATE)
    assert np.array_equal(edited.samples[:, :kept], whole.samples[:, :kept])
    assert [take.seed for take in edited.takes] == [0, 1]
    near, far = (made(model, audio=whole, strength=one).latents for one in (0.1, 0.9))
    own = made(model, audio=whole, strength=0.0).latents
    assert (near - own).square().mean() < (far - own).square().mean()


def test_a_stretch_is_kept_in_a_clip_of_several_windows():
    model = random_model()
    model.denoiser.adapter = SpatialAdapter(model, adapter_config() | {"window": 12}).eval()
    assert model.window == 12
    whole = noise()
    edited = made(model, audio=whole, keep="0-0.9", takes=2)
    kept = round(0.9 * RATE)
    assert np.array_equal(edited.samples[:, :kept], whole.samples[:, :kept])
    assert len(edited.takes) == 2


def test_gradients_of_levels_reach_every_latent_though_channels_share_them(model):
    latents = torch.randn((1, 16, 22), generator=torch.Generator().manual_seed(1)).requires_grad_()
    levels = decoded_levels(model.autoencoder)(latents)
    (gradient,) = torch.autograd.grad((levels[:, 1] - levels[:, 0]).square().sum(), latents)
    assert (gradient != 0).all()
    guided = made(model, spatial_guidance=1.0, num_inference_steps=2).latents
    assert (guided - made(model).latents).abs().max() > 1e-4


def test_a_folder_is_loaded_and_what_is_wrong_with_one_is_named(model, tmp_path, monkeypatch):
    folder = write_stable_audio_3(tmp_path / "sa3")
    assert is_stable_audio_3(folder)
    assert is_release(folder)
    loaded = load_model(folder)
    assert loaded.defaults.guidance_scale == 7.0, "a base variant, by its scheduler"
    options = {"sampler": "euler", "guidance_scale": 1.0}
    torch.testing.assert_close(made(loaded, **options).latents, made(model, **options).latents, atol=1e-4, rtol=1e-4)
    for latents in (16, 8):
        head = LatentLevels(latents, 16)
        save_part(tmp_path / str(latents), "levels", head.config, head.state_dict())
    assert load_model(folder, levels=tmp_path / "16").levels is not None
    refused("reads 8 latents and this model has 16", load_model, folder, levels=tmp_path / "8")
    refused("there is no text encoder", StereoSyncPipeline(loaded), SpatialConditioning(crossing(SECONDS)), "steps")
    other = random_model()
    other.backbone.entry.weight.data *= -1
    save_adapter(tmp_path / "adapter", SpatialAdapter(other, adapter_config()))
    refused("trained over other weights", load_model, folder, adapter=tmp_path / "adapter")
    save_adapter(tmp_path / "adapter", SpatialAdapter(loaded, adapter_config()))
    assert load_model(folder, adapter=tmp_path / "adapter").window == 40
    index = folder / "model_index.json"
    index.write_text('{"_class_name": "StableAudioPipeline"}')
    refused("is a StableAudioPipeline in diffusers' form", load_model, folder)
    index.write_text('{"_class_name": "StableAudio3Pipeline"}')
    (folder / "vae" / "config.json").unlink()
    refused("holds no vae", load_model, folder)
    monkeypatch.setitem(sys.modules, "diffusers.models.transformers.transformer_stable_audio3", None)
    refused("needs diffusers 0.42 or newer", load_model, folder)
