"""Spatial guidance: the target of a scene, and how a model that was trained without places is guided to it."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from stereosync_core import Envelope, SpatialConditioning, StereoSyncPipeline, Track, Tracks
from stereosync_core.model.conditioning.features import SUBFRAMES, subframe_times
from stereosync_core.model.conditioning.spatial_target import SpatialGuidanceTarget, spatial_guidance_target
from stereosync_core.model.latent_levels import LatentLevels, decoded_levels, differentiable, levels_of
from stereosync_core.model.loader import load_model
from stereosync_core.model.objectives import predict_x0
from stereosync_core.model.settings import settings_for
from stereosync_core.model.spatial_guidance import SpatialGuidance, correct_denoised, with_spatial_guidance
from stereosync_core.rendering.analysis import placement_correlation
from stereosync_core.rendering.panning_laws import panning_law
from tests.errors import refused

pytestmark = pytest.mark.slow

RATE = 44100 / 2048
FRAMES = 86


def walker(number: int, start: float, end: float, height: float = 0.5, last: float = 4.0) -> Track:
    """From azimuth ``start`` to ``end`` in ``last`` seconds."""
    times = np.arange(0, last, 0.05)
    middle = (np.interp(times, [0, last], [start, end]) + 1) / 2
    boxes = np.stack([middle - 0.05, np.full_like(middle, 0.9 - height), middle + 0.05, np.full_like(middle, 0.9)], 1)
    return Track(id=number, label="person", times=times, boxes=boxes, scores=np.ones(len(times)))


def target_of(*walkers: Track, **options) -> SpatialGuidanceTarget:
    return spatial_guidance_target(Tracks(walkers, 4.0), None, FRAMES, RATE, **options)


def test_the_target_of_one_walker_is_the_panning_law_s_while_seen():
    target = target_of(walker(1, -0.8, 0.8, last=2.0), panning_law="rooms")
    times = subframe_times(FRAMES, RATE)
    law = panning_law("rooms")
    early = times < 1.9
    wanted = np.interp(np.interp(times, [0, 2], [-0.8, 0.8]), law.azimuth, law.broadband())
    assert np.abs(target.ild_db.numpy() - wanted)[early].max() < 1.0
    assert (target.weight[early] == 1).all()
    assert (target.weight[times > 2.7] == 0).all()


def test_of_two_walkers_the_nearer_counts_for_more():
    between = [
        float(target_of(walker(1, -0.8, -0.8, near), walker(2, 0.8, 0.8, 0.4)).ild_db.mean()) for near in (0.2, 0.4, 0.8)
    ]
    assert between[0] > 2 > abs(between[1])
    assert between[2] < -2


def test_the_levels_course_follows_distance_or_the_envelope():
    assert target_of(walker(1, 0, 0)).level_db is None
    times = np.arange(0, 4, 0.05)
    boxes = np.stack([times * 0 + 0.4, 0.9 - np.interp(times, [0, 4], [0.2, 0.8]), times * 0 + 0.6, times * 0 + 0.9], 1)
    coming = Track(id=1, label="person", times=times, boxes=boxes, scores=np.ones(len(times)))
    course = target_of(coming, level=True).level_db
    assert course is not None
    assert float(course[-20] - course[0]) == pytest.approx(12, abs=1)  # four times as near
    hits = Envelope(np.array([0.0, 0.0, 1.0, 0.0, 0.0]), np.array([0.0, 1.9, 2.0, 2.1, 4.0]))
    hit = target_of(coming, level=True, envelope=hits).level_db
    assert hit is not None
    assert hit.argmax() == pytest.approx(2.0 * RATE * SUBFRAMES, abs=1)
    assert hit[0] == hit.min()


def test_levels_of_a_tone():
    time = torch.arange(2048 * 8) / 44100
    tone = torch.stack([0.5 * torch.sin(2 * torch.pi * 1000 * time), 0.05 * torch.sin(2 * torch.pi * 1000 * time)])[None]
    levels = levels_of(tone, 512)
    assert levels.shape == (1, 2, 32)
    assert levels[0, 0, 4:-4] == pytest.approx(10 * np.log10(0.125), abs=0.3)
    assert (levels[0, 0] - levels[0, 1])[4:-4] == pytest.approx(20, abs=0.3)


def target(difference: float, frames: int) -> SpatialGuidanceTarget:
    return SpatialGuidanceTarget(torch.full((frames * SUBFRAMES,), difference), torch.ones(frames * SUBFRAMES))


def error(levels, latents: torch.Tensor, wanted: float) -> float:
    found = levels(latents)
    return float((found[:, 1] - found[:, 0] - wanted)[..., 8:-8].abs().mean())


def plain_levels(latents: torch.Tensor) -> torch.Tensor:
    """10 dB for each unit of the mean over a channel's latents."""
    return 10 * latents.unflatten(1, (2, -1)).mean(2).repeat_interleave(SUBFRAMES, -1)


@pytest.fixture(scope="module")
def model():
    return load_model()


@pytest.mark.parametrize("kind", ["decoder", "latents", "plain"])
def test_corrected_latents_sound_where_the_target_is(model, kind):
    read = model.autoencoder.stereo_levels
    levels = {"decoder": decoded_levels(model.autoencoder), "latents": read, "plain": plain_levels}[kind]
    noise = torch.randn((1, model.autoencoder.latent_channels, 24), generator=torch.Generator().manual_seed(1))
    latents = model.denoiser.restored(0.3 * noise)  # no moment is so soft that it does not count
    with torch.no_grad():
        before = error(levels, latents, 12.0)
        moved = correct_denoised(latents, levels, target(12.0, 24), SpatialGuidance(rounds=4))
        assert error(levels, moved, 12.0) < 0.3 * before
        # and what has no weight stays
        nothing = replace(target(12.0, 24), weight=torch.zeros(24 * SUBFRAMES))
        assert torch.equal(correct_denoised(latents, levels, nothing, SpatialGuidance()), latents)


def test_whose_a_moment_is_comes_from_the_envelope_where_it_knows():
    tracks = Tracks((walker(1, -0.8, -0.8), walker(7, 0.8, 0.8)), 4.0)
    times = np.arange(0, 4, 0.01)
    first = (times < 2).astype(float)
    known = Envelope(np.ones(len(times)), times, {1: first, 7: 1 - first})
    found = spatial_guidance_target(tracks, None, FRAMES, RATE, envelope=known).ild_db
    assert found[: FRAMES * SUBFRAMES // 2 - 8].max() < -6
    assert found[FRAMES * SUBFRAMES // 2 + 8 : -8].min() > 6


def test_the_levels_course_is_followed_as_well():
    latents = torch.randn((1, 8, 12), generator=torch.Generator().manual_seed(1))
    course = torch.linspace(-20, 0, 12).repeat_interleave(SUBFRAMES)
    wanted = replace(target(0.0, 12), level_db=course)
    with torch.no_grad():
        moved = correct_denoised(latents, plain_levels, wanted, SpatialGuidance(loudness_weight=1.0, rounds=30))
        both = plain_levels(moved).mean(1)[0]
    assert torch.corrcoef(torch.stack([both, course]))[0, 1] > 0.95


def test_it_works_on_weights_that_were_made_in_inference_mode():
    with torch.inference_mode():
        torch.manual_seed(1)
        head = LatentLevels(8, 16)
        levels = differentiable(head)
        latents = torch.randn((1, 8, 12))
        moved = correct_denoised(latents, levels, target(3.0, 12), SpatialGuidance(strength=0.3))
        assert torch.isfinite(moved).all()
        assert not torch.equal(moved, latents)
        assert torch.equal(head(latents), levels(latents))


@pytest.mark.parametrize("objective", ["rectified_flow", "v"])
def test_the_guided_velocity_points_to_the_corrected_x0(objective):
    noise, t = torch.randn((1, 8, 12), generator=torch.Generator().manual_seed(1)), 0.5

    def velocity(x: torch.Tensor, _: float) -> torch.Tensor:
        return 0.3 * x

    with torch.no_grad():
        guided = with_spatial_guidance(velocity, plain_levels, target(6.0, 12), SpatialGuidance(rounds=8, every=2), objective)
        denoised = predict_x0(noise, guided(noise, t), torch.full((1,), t), objective)
        assert error(plain_levels, denoised, 6.0) < 0.1
        assert torch.equal(guided(noise, t), velocity(noise, t)), "the second step is left alone"


def test_the_bundled_model_without_its_conditions_is_guided_after_the_walker(model):
    tracks = Tracks((walker(1, -0.8, 0.8),), 4.0)
    times = np.arange(0, 4, 0.005)
    steps = Envelope(0.05 * np.exp(-((times % 0.5) / 0.08)), times)
    options = {"num_inference_steps": 8, "seed": 1, "spatial_scale": 0.0}
    pipeline, scene = StereoSyncPipeline(model), SpatialConditioning(tracks, None)
    made = (pipeline(scene, envelope=steps, spatial_guidance=strength, **options) for strength in (0.0, 1.0))
    plain, guided = (placement_correlation(one.samples, 44100, tracks.tracks[0]) for one in made)
    assert guided > 0.8
    assert guided > plain


def test_a_model_that_was_loaded_in_inference_mode_is_guided_as_well(model):
    """As ComfyUI runs its nodes."""
    tracks = Tracks((walker(1, -0.8, 0.8, last=1.0),), 1.0)

    def generate(given):
        options = {"num_inference_steps": 2, "seed": 1, "spatial_guidance": 1.0, "spatial_scale": 0.0}
        return StereoSyncPipeline(given)(SpatialConditioning(tracks, None), **options).samples

    with torch.inference_mode():
        made = generate(load_model())
    assert np.abs(made - generate(model)).max() < 1e-3 * np.abs(made).max()


@pytest.mark.parametrize(
    "options", [{"strength": -1}, {"strength": float("nan")}, {"panning_law": "ears"}, {"rounds": 0}, {"every": 0}]
)
def test_numbers_out_of_range(model, options):
    refused("Spatial guidance", SpatialGuidance, **options)
    if options.keys() <= {"strength", "panning_law"}:
        names = {"strength": "spatial_guidance", "panning_law": "panning_law"}
        refused("Spatial guidance", settings_for, model, **{names[key]: value for key, value in options.items()})
