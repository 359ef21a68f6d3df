"""The generative model's parts: what they may depend on, and what not."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from research.small_model import FORMS, LATENTS, diffusion, diffusion_config
from stereosync_core.model.conditioning.clip import ClipConditions
from stereosync_core.model.conditioning.features import SceneFeatures
from stereosync_core.model.denoiser import StereoSync
from stereosync_core.model.guidance import guidance_branches, guided
from stereosync_core.model.windows import blend_windows, window_starts
from tests.errors import refused

FRAMES = 24


def conditions(tracks: int = 2, frames: int = FRAMES, batch: int = 1) -> ClipConditions:
    generator = torch.Generator().manual_seed(1)
    corners = torch.rand((batch, tracks, frames, 4, 2), generator=generator) * 0.5
    boxes = torch.cat([corners, corners + 0.2], dim=-1)
    scene = SceneFeatures(
        boxes,
        torch.ones((batch, tracks, frames, 4)),
        torch.rand((batch, frames, 12, 16), generator=generator),
        torch.ones((batch, 1)),
    )
    envelope = torch.rand((batch, 4, frames), generator=generator)
    return ClipConditions(scene, envelope, torch.ones((batch, 1)), torch.randn((batch, 16), generator=generator))


def without_envelope(conditions: ClipConditions) -> ClipConditions:
    nothing = torch.zeros_like(conditions.envelope), torch.zeros_like(conditions.has_envelope)
    return replace(conditions, envelope=nothing[0], has_envelope=nothing[1])


def composed(network: StereoSync, conditions: ClipConditions, guidance_scale: float = 1.0, spatial_scale: float = 1.0):
    return guided(network, guidance_branches(conditions, None, guidance_scale, spatial_scale))


def run(network: StereoSync, given: ClipConditions, **options) -> torch.Tensor:
    x = torch.randn((len(given.timbre), LATENTS, given.envelope.shape[-1]), generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        return network(x, torch.full((len(x),), 0.6), given, **options)


@pytest.fixture(scope="module", params=list(FORMS))
def network(request):
    return diffusion(request.param)


def test_every_condition_counts(network):
    given = conditions()
    whole = run(network, given)
    for other in (given.without_space(), given.without_timbre(), without_envelope(given)):
        assert (run(network, other) - whole).abs().max() > 1e-4


def test_boxes_alone_and_depth_alone_count(network):
    given = conditions()
    nothing = run(network, given.without_space())
    scene, empty = given.scene, given.scene.without_space()
    boxes = replace(scene, depth=empty.depth, has_depth=empty.has_depth)
    depth = replace(scene, boxes=empty.boxes, seen=empty.seen)
    for part in (boxes, depth):
        assert (run(network, replace(given, scene=part)) - nothing).abs().max() > 1e-5


def test_the_order_of_tracks_does_not_matter(network):
    given = conditions(3)  # attention over the paper's flat list knows no order either
    turned = replace(given.scene, boxes=given.scene.boxes.flip(1), seen=given.scene.seen.flip(1))
    torch.testing.assert_close(run(network, given), run(network, replace(given, scene=turned)), atol=1e-5, rtol=1e-4)


def test_no_track_and_a_track_that_is_never_seen_are_the_same():
    network = diffusion("aligned")
    given = conditions(1)
    unseen = replace(given.scene, seen=torch.zeros_like(given.scene.seen))
    none = replace(given.scene, boxes=given.scene.boxes[:, :0], seen=given.scene.seen[:, :0])
    torch.testing.assert_close(run(network, replace(given, scene=unseen)), run(network, replace(given, scene=none)))


def test_a_batch_is_its_clips_one_by_one(network):
    given = conditions(batch=2)
    both = run(network, given)
    x = torch.randn((2, LATENTS, FRAMES), generator=torch.Generator().manual_seed(2))
    scene = SceneFeatures(given.scene.boxes[1:], given.scene.seen[1:], given.scene.depth[1:], given.scene.has_depth[1:])
    second = ClipConditions(scene, given.envelope[1:], given.has_envelope[1:], given.timbre[1:])
    with torch.no_grad():
        torch.testing.assert_close(network(x[1:], torch.full((1,), 0.6), second), both[1:], atol=1e-5, rtol=1e-4)


def test_control_begins_at_zero_and_its_scale_counts():
    torch.manual_seed(0)
    fresh = StereoSync(diffusion_config())
    torch.nn.init.normal_(fresh.backbone.dit.transformer.project_out.weight)
    given = conditions()
    torch.testing.assert_close(run(fresh, given), run(fresh, given, control_scale=0.0))
    network = diffusion()
    full, half, off = (run(network, given, control_scale=scale) for scale in (1.0, 0.5, 0.0))
    assert (full - off).abs().max() > (half - off).abs().max() > 1e-5


def test_control_has_weights_of_its_own():
    network = diffusion()
    own = {id(parameter) for parameter in network.control.parameters()}
    assert not own & {id(parameter) for parameter in network.backbone.parameters()}
    assert len(network.control.dit.transformer.layers) == 1
    assert len(network.backbone.blocks) == 3


def test_guidance_composes_and_leaves_out_what_weighs_nothing():
    network, given = diffusion(), conditions()
    x = torch.randn((1, LATENTS, FRAMES), generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        bare = composed(network, given.without_space().without_timbre())(x, 0.4)
        timbre = composed(network, given.without_space())(x, 0.4)
        whole = composed(network, given)(x, 0.4)
        made = composed(network, given, 2.0, 3.0)(x, 0.4)
        without_space, without_any = composed(network, given, 2.0, 0.0)(x, 0.4), composed(network, given, 0.0, 0.0)(x, 0.4)
    torch.testing.assert_close(made, bare + 2 * (timbre - bare) + 3 * (whole - timbre), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(without_space, bare + 2 * (timbre - bare), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(without_any, bare, atol=1e-4, rtol=1e-4)


def test_windows_agree_with_one_run_where_there_is_one_and_differ_nowhere_abruptly():
    network, given = diffusion(), conditions(frames=60)
    x = torch.randn((1, LATENTS, 60), generator=torch.Generator().manual_seed(3))

    def in_windows(length, overlap):
        starts = window_starts(60, length, overlap)
        windows = ClipConditions.join([given.window(start, length) for start in starts])
        return blend_windows(composed(network, windows), starts, length, overlap)

    with torch.no_grad():
        one = in_windows(60, 10)(x, 0.4)
        torch.testing.assert_close(one, composed(network, given)(x, 0.4))
        several = in_windows(24, 8)(x, 0.4)
    assert several.shape == one.shape
    jumps = several.diff(dim=-1).abs().amax(1)[0].numpy()
    # no seam: the largest step from frame to frame is not at the windows' edges alone
    assert jumps.max() < 4 * np.median(jumps) + one.diff(dim=-1).abs().max().item()


def test_a_form_or_objective_that_is_not_known_is_named():
    refused("flat", StereoSync, {**diffusion_config(), "conditions": {"form": "flat"}})
    refused("copy 4 blocks of a backbone that has 3", StereoSync, {**diffusion_config(), "control": {"blocks": 4}})
    refused("epsilon", diffusion, diffusion_objective="epsilon")
    refused("not understood", diffusion, colour="red")


def test_every_moment_is_assigned_to_the_tracks_seen_and_none():
    network, given = diffusion("aligned"), conditions(3)
    scene = replace(given.scene, seen=given.scene.seen.clone())
    scene.seen[:, 1, :10] = 0
    with torch.no_grad():
        log_probs = network.encode(replace(given, scene=scene)).track_log_probs
    assert log_probs is not None
    shares = log_probs.exp()
    assert shares.shape == (1, 4, FRAMES * 4)
    torch.testing.assert_close(shares.sum(1), torch.ones(1, FRAMES * 4))
    assert shares[0, 2, :40].max() == 0, "a track that is not seen gets nothing"
    assert shares[0, 2, 40:].min() > 0
    assert shares.std(2).min() > 1e-4


def test_what_is_encoded_once_a_clip_serves_at_every_step(network):
    given = conditions()
    with torch.no_grad():
        output = network.encode(given)
    torch.testing.assert_close(run(network, given, control_output=output), run(network, given))
