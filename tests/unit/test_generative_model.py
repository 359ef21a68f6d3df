"""The generative model's parts: what they may depend on, and what not."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from stereosync_core.errors import StereoSyncError
from stereosync_core.model.conditioning.features import SceneFeatures
from stereosync_core.model.guidance import guided, in_windows
from stereosync_core.model.model import Conditions, StereoSync
from tests.small_model import FORMS, diffusion, diffusion_config

FRAMES = 24


def conditions(tracks: int = 2, frames: int = FRAMES, batch: int = 1) -> Conditions:
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
    return Conditions(scene, envelope, torch.ones((batch, 1)), torch.randn((batch, 16), generator=generator))


def run(network: StereoSync, told: Conditions, **options) -> torch.Tensor:
    x = torch.randn((len(told.timbre), 8, told.envelope.shape[-1]), generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        return network(x, torch.full((len(x),), 0.6), told, **options)


@pytest.fixture(scope="module", params=list(FORMS))
def network(request):
    return diffusion(request.param)


def test_every_condition_is_heard(network):
    told = conditions()
    whole = run(network, told)
    for other in (told.without_space(), told.without_timbre(), told.without_envelope()):
        assert (run(network, other) - whole).abs().max() > 1e-4


def test_boxes_alone_and_depth_alone_are_heard(network):
    told = conditions()
    nothing = run(network, told.without_space())
    scene, empty = told.scene, told.scene.without_space()
    boxes = replace(scene, depth=empty.depth, has_depth=empty.has_depth)
    depth = replace(scene, boxes=empty.boxes, seen=empty.seen)
    for part in (boxes, depth):
        assert (run(network, replace(told, scene=part)) - nothing).abs().max() > 1e-5


def test_the_order_of_tracks_does_not_matter(network):
    if network.space.form == "paper":
        # attention over a flat list knows no order either
        assert FORMS["paper"]
    told = conditions(3)
    turned = replace(told.scene, boxes=told.scene.boxes.flip(1), seen=told.scene.seen.flip(1))
    torch.testing.assert_close(run(network, told), run(network, replace(told, scene=turned)), atol=1e-5, rtol=1e-4)


def test_no_track_and_a_track_that_is_never_seen_are_the_same():
    network = diffusion("aligned")
    told = conditions(1)
    unseen = replace(told.scene, seen=torch.zeros_like(told.scene.seen))
    none = replace(told.scene, boxes=told.scene.boxes[:, :0], seen=told.scene.seen[:, :0])
    torch.testing.assert_close(run(network, replace(told, scene=unseen)), run(network, replace(told, scene=none)))


def test_a_batch_is_its_clips_one_by_one(network):
    told = conditions(batch=2)
    both = run(network, told)
    x = torch.randn((2, 8, FRAMES), generator=torch.Generator().manual_seed(2))
    scene = SceneFeatures(told.scene.boxes[1:], told.scene.seen[1:], told.scene.depth[1:], told.scene.has_depth[1:])
    second = Conditions(scene, told.envelope[1:], told.has_envelope[1:], told.timbre[1:])
    with torch.no_grad():
        torch.testing.assert_close(network(x[1:], torch.full((1,), 0.6), second), both[1:], atol=1e-5, rtol=1e-4)


def test_control_begins_silent_and_its_scale_counts():
    torch.manual_seed(0)
    fresh = StereoSync(diffusion_config())
    torch.nn.init.normal_(fresh.backbone.dit.transformer.project_out.weight)
    told = conditions()
    torch.testing.assert_close(run(fresh, told), run(fresh, told, control_scale=0.0))
    network = diffusion()
    full, half, off = (run(network, told, control_scale=scale) for scale in (1.0, 0.5, 0.0))
    assert (full - off).abs().max() > (half - off).abs().max() > 1e-5


def test_control_has_weights_of_its_own():
    network = diffusion()
    own = {id(parameter) for parameter in network.control.parameters()}
    assert not own & {id(parameter) for parameter in network.backbone.parameters()}
    assert len(network.control.dit.transformer.layers) == 1
    assert len(network.backbone.blocks) == 3


def test_guidance_composes_and_leaves_out_what_weighs_nothing():
    network, told = diffusion(), conditions()
    x = torch.randn((1, 8, FRAMES), generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        bare = guided(network, told.without_space().without_timbre())(x, 0.4)
        timbre = guided(network, told.without_space())(x, 0.4)
        whole = guided(network, told)(x, 0.4)
        made = guided(network, told, cfg=2.0, space=3.0)(x, 0.4)
    torch.testing.assert_close(made, bare + 2 * (timbre - bare) + 3 * (whole - timbre), atol=1e-4, rtol=1e-4)


def test_windows_agree_with_one_run_where_there_is_one_and_differ_nowhere_abruptly():
    network, told = diffusion(), conditions(frames=60)
    x = torch.randn((1, 8, 60), generator=torch.Generator().manual_seed(3))

    def make(part):
        return guided(network, part)

    with torch.no_grad():
        one = in_windows(make, told, 60, 10)(x, 0.4)
        torch.testing.assert_close(one, make(told)(x, 0.4))
        several = in_windows(make, told, 24, 8)(x, 0.4)
    assert several.shape == one.shape
    jumps = several.diff(dim=-1).abs().amax(1)[0].numpy()
    # no seam: the largest step from frame to frame is not at the windows' edges alone
    assert jumps.max() < 4 * np.median(jumps) + one.diff(dim=-1).abs().max().item()


def test_a_form_or_objective_that_is_not_known_is_named():
    with pytest.raises(StereoSyncError, match="flat"):
        StereoSync({**diffusion_config(), "conditions": {"form": "flat"}})
    with pytest.raises(StereoSyncError, match="copy 4 blocks of a backbone that has 3"):
        StereoSync({**diffusion_config(), "control": {"blocks": 4}})
    with pytest.raises(StereoSyncError, match="epsilon"):
        diffusion(diffusion_objective="epsilon")
    with pytest.raises(StereoSyncError, match="not understood"):
        diffusion(colour="red")


def test_every_moment_is_shared_out_among_the_tracks_seen_and_nobody():
    network, told = diffusion("aligned"), conditions(3)
    scene = replace(told.scene, seen=told.scene.seen.clone())
    scene.seen[:, 1, :10] = 0
    with torch.no_grad():
        claims = network.spoken(replace(told, scene=scene)).claims
    assert claims is not None
    shares = claims.exp()
    assert shares.shape == (1, 4, FRAMES * 4)
    torch.testing.assert_close(shares.sum(1), torch.ones(1, FRAMES * 4))
    assert shares[0, 2, :40].max() == 0, "who is not seen owns nothing"
    assert shares[0, 2, 40:].min() > 0
    assert shares.std(2).min() > 1e-4


def test_what_is_said_once_a_clip_serves_at_every_step(network):
    told = conditions()
    with torch.no_grad():
        spoken = network.spoken(told)
    torch.testing.assert_close(run(network, told, spoken=spoken), run(network, told))
