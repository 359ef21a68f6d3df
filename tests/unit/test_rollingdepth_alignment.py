"""Co-alignment of snippets, and the same for depth that flickers."""

import numpy as np
import pytest
import torch

from research.bench.depth_child import stated_objective
from stereosync_core.depth.maps import depth_from_images, stabilize_depth
from stereosync_core.depth.rollingdepth.alignment import (
    FAST_ALIGNMENT,
    RELEASED_ALIGNMENT,
    AlignmentOptions,
    Objective,
    co_align,
)
from stereosync_core.depth.rollingdepth.snippets import Snippets
from stereosync_core.scene import DEPTH_RANGE, DepthSequence
from tests.errors import refused, stopped

FRAMES, POINTS = 12, 30
PASSES = [Snippets(1, 3, FRAMES), Snippets(3, 3, FRAMES)]


def snippets_of(truth: torch.Tensor, passes=PASSES, seed: int = 0) -> list[torch.Tensor]:
    """Each snippet's cut of the truth ``[N, P]`` with a scale of its own, ``[K, L, P]``."""
    generator = torch.Generator().manual_seed(seed)
    scales = [torch.rand((group.count, 1, 1), generator=generator) * 0.5 + 0.8 for group in passes]
    return [truth[group.indices()] * scale for group, scale in zip(passes, scales, strict=True)]


@pytest.fixture
def truth() -> torch.Tensor:
    return torch.rand((FRAMES, POINTS), generator=torch.Generator().manual_seed(1)) + 0.5


def test_the_gradient_is_that_of_the_stated_loss(truth):
    values = snippets_of(truth)
    objective = Objective(values, PASSES, RELEASED_ALIGNMENT)
    parameters = objective.start + torch.randn(objective.start.shape, generator=torch.Generator().manual_seed(2)) * 0.1
    gradient, loss = objective.gradient(parameters, with_loss=True)
    constants = AlignmentOptions(scale_weight=0.1, shift_weight=10, floor=1e-3)
    variable = parameters.clone().requires_grad_()
    scales, shifts = (part.split([group.count for group in PASSES]) for part in variable)
    stated = stated_objective(values, PASSES, constants)(scales, shifts)
    assert loss == pytest.approx(stated.item(), abs=1e-6)
    stated.backward()
    assert variable.grad is not None
    assert torch.allclose(gradient.clone(), variable.grad, atol=1e-7)


def test_snippets_come_to_agree(truth):
    values = snippets_of(truth)
    result = co_align(values, PASSES)
    ratios = []
    for value, group, (scales, shifts) in zip(values, PASSES, result, strict=True):
        aligned = value * scales[:, None, None] + shifts[:, None, None]
        ratios.append((aligned / truth[group.indices()]).flatten())
    ratios = torch.cat(ratios)
    assert float(ratios.std() / ratios.mean()) < 0.01, "all are the same multiple of the truth"


def test_a_pass_that_counts_twice_is_as_if_it_came_twice(truth):
    options = AlignmentOptions(iterations=100)
    first, second = snippets_of(truth)
    once = co_align([first, second], [PASSES[0], Snippets(3, 3, FRAMES, repeats=2)], options)
    twice = co_align([first, second, second], [PASSES[0], PASSES[1], PASSES[1]], options)
    for ours, theirs in zip([*once, once[1]], twice, strict=True):
        assert torch.allclose(torch.stack(ours), torch.stack(theirs), atol=2e-3)


def test_it_works_in_and_out_of_inference_mode(truth):
    options = AlignmentOptions(iterations=20)
    outside = co_align(snippets_of(truth), PASSES, options)
    with torch.inference_mode():
        inside = co_align(snippets_of(truth.clone()), PASSES, options)
    assert torch.equal(outside[0][0], inside[0][0])


def test_fast_alignment_stops_early_and_close_by(truth):
    seen = []
    fast = co_align(snippets_of(truth), PASSES, FAST_ALIGNMENT, observe=lambda iteration, _, __: seen.append(iteration))
    exact = co_align(snippets_of(truth), PASSES)
    assert len(seen) < 1500
    ratios = torch.cat([ours[0] / theirs[0] for ours, theirs in zip(fast, exact, strict=True)])
    assert float(ratios.std()) < 0.005, "what all scales have in common goes when the clip is normalised"


def test_one_snippet_alone_stays_as_it_is(truth):
    alone = Snippets(1, 3, 3)
    scales, shifts = co_align([truth[None, :3]], [alone])[0]
    assert (float(scales), float(shifts)) == (1.0, 0.0)


def test_the_same_depth_everywhere_does_no_harm():
    flat = [torch.zeros(group.count, 3, 4) for group in PASSES]
    for scales, shifts in co_align(flat, PASSES, AlignmentOptions(iterations=5)):
        assert torch.isfinite(torch.stack([scales, shifts])).all()


def test_an_exception_in_progress_stops_it(truth):
    stopped(co_align, snippets_of(truth), PASSES, after=39)


def flicker(maps: np.ndarray, truth: np.ndarray) -> float:
    """Mean change of a frame's level that the truth does not have, after the best scale and shift for the whole clip."""
    columns = np.stack([maps.ravel(), np.ones(maps.size)], axis=1)
    scale, shift = np.linalg.lstsq(columns, truth.ravel(), rcond=None)[0]
    return float(np.abs(np.diff((maps * scale + shift - truth).mean(axis=(1, 2)))).mean())


def test_flicker_is_taken_out_and_detail_stays():
    """Of a slope with a disc that moves across it, with a scale and shift for each frame and some noise."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:90, :160]
    truth = np.stack([np.where((x - 20 - 3 * n) ** 2 + (y - 45) ** 2 < 400, 0.85, 0.15 + 0.6 * y / 90) for n in range(40)])
    scale, shift = rng.uniform(0.75, 1.3, (40, 1, 1)), rng.uniform(-0.08, 0.08, (40, 1, 1))
    seen = truth * scale + shift + rng.normal(0, 0.01, truth.shape)
    seen = (seen - seen.min()) / (seen.max() - seen.min())
    depth = DepthSequence(seen.astype(np.float32), np.arange(40) / 4)
    stable = stabilize_depth(depth)
    assert flicker(depth.maps, truth) > 0.05
    assert flicker(stable.maps, truth) < 0.003
    assert np.corrcoef(stable.maps.ravel(), truth.ravel())[0, 1] > 0.99
    assert np.array_equal(stable.times, depth.times)


def test_short_and_odd_clips_can_be_stable():
    one = DepthSequence(np.zeros((1, 20, 20)), np.zeros(1))
    assert stabilize_depth(one) is one
    two = DepthSequence(np.random.default_rng(0).random((2, 20, 33)), np.arange(2.0))
    assert stabilize_depth(two).maps.shape == (2, 20, 33)
    refused("window of 1", stabilize_depth, two, window=1)
    refused("too small", stabilize_depth, DepthSequence(np.zeros((2, 3, 3)), np.arange(2.0)))


def test_metres_without_flicker_keep_their_range():
    """A flicker of a tenth; the nearest stays 1 m away and the farthest 9."""
    rows = np.linspace(1.0, 9.0, 32)[:, None] * np.ones((1, 40))
    flicker = 1 + 0.1 * np.random.default_rng(0).standard_normal(12).clip(-1, 1)
    steady, noisy = (
        depth_from_images(np.stack([rows * factor for factor in factors]), np.arange(12.0), polarity="metres")
        for factors in (np.ones(12), flicker)
    )
    assert steady.range == pytest.approx(9, rel=0.02)
    assert noisy.range > 9.5
    stable = stabilize_depth(noisy)
    assert stable.range == pytest.approx(steady.range, rel=0.1)
    assert stabilize_depth(DepthSequence(noisy.maps, noisy.times)).range == DEPTH_RANGE
