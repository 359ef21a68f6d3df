"""Spatial guidance over Stable Audio Open, which was trained without places: narrow, with random weights."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from stereosync_core import SpatialConditioning, StereoSyncPipeline, Track, Tracks
from stereosync_core.model.conditioning.features import SUBFRAMES
from stereosync_core.model.conditioning.spatial_target import SpatialGuidanceTarget
from stereosync_core.model.generative_model import GenerativeModel
from stereosync_core.model.latent_levels import LatentLevels, decoded_levels, levels_of
from stereosync_core.model.loader import load_stable_audio
from stereosync_core.model.spatial_guidance import SpatialGuidance, correct_denoised
from tests.stable_audio_release import write_release

FRAMES = 40
DURATION = (FRAMES - 0.5) * 2048 / 44100


@pytest.fixture(scope="module", params=["open_1_0", "open_small"])
def model(request, tmp_path_factory) -> GenerativeModel:
    return load_stable_audio(write_release(tmp_path_factory.mktemp("release"), request.param))


@pytest.fixture
def given(model) -> torch.Tensor:
    return torch.randn((1, model.autoencoder.latent_channels, FRAMES), generator=torch.Generator().manual_seed(3))


@pytest.fixture
def head(model) -> Iterator[LatentLevels]:
    model.levels = LatentLevels(model.autoencoder.latent_channels, 16)
    yield model.levels
    model.levels = None


def target(difference: float) -> SpatialGuidanceTarget:
    return SpatialGuidanceTarget(torch.full((FRAMES * SUBFRAMES,), difference), torch.ones(FRAMES * SUBFRAMES))


def latents(model: GenerativeModel, tracks: int = 1, **options) -> torch.Tensor:
    """Of a thing that stays at the right."""
    assert model.conditioners is not None
    text = torch.randn((1, 8, model.conditioners.width), generator=torch.Generator().manual_seed(2))
    track = Track(1, "person", np.array([0.0, DURATION]), np.array([[0.7, 0.2, 0.8, 0.9]] * 2))
    scene = SpatialConditioning(Tracks((track,)[:tracks], DURATION), None)
    return StereoSyncPipeline(model)(scene, text, num_inference_steps=3, seed=1, **options).latents


def test_pieces_are_the_whole(model, given):
    with torch.no_grad():
        whole = levels_of(model.autoencoder.decode(given), 2048 // SUBFRAMES)
        pieces = decoded_levels(model.autoencoder)(given)
    assert pieces.shape == (1, 2, FRAMES * SUBFRAMES)
    assert (pieces - whole).abs().max() < 1e-3


def test_gradients_reach_every_latent_through_the_decoder(model, given):
    given.requires_grad_(True)
    decoded_levels(model.autoencoder)(given).sum().backward()
    assert given.grad is not None
    assert (given.grad.abs().amax(1) > 0).all()
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.slow
def test_a_sound_is_moved_towards_the_target(model, given):
    levels = decoded_levels(model.autoencoder)
    with torch.no_grad():
        left, right = levels(given)[0]
        wanted = target(float((right - left).mean()) + 1.0)
        # a decoder with random weights is rough: only short steps go down
        moved = correct_denoised(given, levels, wanted, SpatialGuidance(strength=0.03, rounds=20))
        errors = [(one[1] - one[0] - wanted.ild_db).square().mean() for one in (levels(given)[0], levels(moved)[0])]
    assert errors[1] < 0.97 * errors[0]


@pytest.mark.slow
def test_sampling_with_the_decoder_and_with_a_head(model, request):
    plain, guidance = latents(model), SpatialGuidance(0.3, rounds=1)
    guided = latents(model, spatial_guidance=guidance)
    assert torch.isfinite(guided).all()
    assert not torch.equal(guided, plain)
    assert torch.allclose(latents(model, tracks=0, spatial_guidance=guidance), plain, atol=1e-5), "without tracks, no target"
    assert not torch.equal(latents(model, spatial_guidance=guidance, panning_law="rooms"), guided)
    request.getfixturevalue("head")
    assert not torch.equal(latents(model, spatial_guidance=guidance), guided)


@pytest.mark.parametrize(("guidance", "calls"), [(SpatialGuidance(0.3, rounds=2, every=2), 4), (0.3, 12)])
def test_every_so_many_steps(model, head, guidance, calls):
    """The first and the third step, two rounds each; by a number alone and a head, four rounds in each of three steps."""
    seen = []
    head.register_forward_hook(lambda *_: seen.append(1))
    latents(model, spatial_guidance=guidance)
    assert len(seen) == calls
