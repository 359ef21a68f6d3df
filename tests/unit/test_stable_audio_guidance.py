"""Spatial guidance over Stable Audio Open, which knows of no places: narrow, with random weights."""

from dataclasses import replace

import pytest
import torch

from stereosync_core.model.conditioning.features import SUBFRAMES
from stereosync_core.model.conditioning.target import StereoTarget
from stereosync_core.model.latent_levels import LatentLevels, decoded_levels, levels_of
from stereosync_core.model.spatial_guidance import Lead, SpatialGuidance, corrected
from stereosync_core.model.stable_audio.generate import StableAudioSampling, sample_latents
from stereosync_core.model.stable_audio.model import StableAudio, load_stable_audio
from tests.stable_audio_release import write_release

FRAMES = 40
DURATION = (FRAMES - 0.5) * 2048 / 44100


@pytest.fixture(scope="module", params=["open_1_0", "open_small"])
def model(request, tmp_path_factory) -> StableAudio:
    return load_stable_audio(write_release(tmp_path_factory.mktemp("release"), request.param))


def target(difference: float) -> StereoTarget:
    return StereoTarget(torch.full((FRAMES * SUBFRAMES,), difference), torch.ones(FRAMES * SUBFRAMES))


def latents(model: StableAudio, **options) -> torch.Tensor:
    text = torch.randn((1, 8, model.config.width), generator=torch.Generator().manual_seed(2))
    return sample_latents(
        model, text, DURATION, options=StableAudioSampling(steps=3, seed=1, **options.pop("sampling", {})), **options
    )


def test_pieces_are_the_whole(model):
    given = torch.randn((1, model.autoencoder.latent_channels, FRAMES), generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        whole = levels_of(model.autoencoder.decode(given), 2048 // SUBFRAMES)
        pieces = decoded_levels(model.autoencoder)(given)
    assert pieces.shape == (1, 2, FRAMES * SUBFRAMES)
    assert (pieces - whole).abs().max() < 1e-3


def test_gradients_reach_every_latent_through_the_decoder(model):
    given = torch.randn((1, model.autoencoder.latent_channels, FRAMES), generator=torch.Generator().manual_seed(3))
    given.requires_grad_(True)
    decoded_levels(model.autoencoder)(given).sum().backward()
    assert given.grad is not None
    assert (given.grad.abs().amax(1) > 0).all()
    assert all(parameter.grad is None for parameter in model.parameters())


def test_a_sound_is_led_towards_what_is_asked(model):
    given = torch.randn((1, model.autoencoder.latent_channels, FRAMES), generator=torch.Generator().manual_seed(3))
    levels = decoded_levels(model.autoencoder)
    with torch.no_grad():
        left, right = levels(given)[0]
        asked = target(float((right - left).mean()) + 1.0)
        # a decoder with random weights is rough: only short steps go down
        moved = corrected(given, levels, asked, SpatialGuidance(strength=0.03, rounds=20))
        errors = [(one[1] - one[0] - asked.difference).square().mean() for one in (levels(given)[0], levels(moved)[0])]
    assert errors[1] < 0.97 * errors[0]


def test_sampling_with_the_decoder_and_with_a_head(model):
    plain = latents(model)
    asked = Lead(target(6.0), SpatialGuidance(strength=0.3, rounds=1))
    led = latents(model, lead=asked)
    assert torch.isfinite(led).all()
    assert not torch.equal(led, plain)
    nothing = Lead(replace(asked.target, weight=torch.zeros(FRAMES * SUBFRAMES)), asked.how)
    assert torch.allclose(latents(model, lead=nothing), plain, atol=1e-5)
    model.levels = LatentLevels(model.autoencoder.latent_channels, 16)
    try:
        assert not torch.equal(latents(model, lead=asked), led)
    finally:
        model.levels = None


def test_every_so_many_steps(model):
    calls = []
    model.levels = LatentLevels(model.autoencoder.latent_channels, 16)
    handle = model.levels.register_forward_hook(lambda *_: calls.append(1))
    try:
        latents(model, lead=Lead(target(6.0), SpatialGuidance(strength=0.3, rounds=2, every=2)))
    finally:
        handle.remove()
        model.levels = None
    assert len(calls) == 4  # the first and the third step, two rounds each
