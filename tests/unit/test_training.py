"""The training loop: exact after a kill, honest about what is wrong; and the degraded conditions."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from stereosync_core.conditioning.features import SceneFeatures
from stereosync_core.errors import StereoSyncError
from stereosync_core.training.degrade import degrade, mirror
from stereosync_core.training.loop import CHECKPOINT, LoopSettings, curves, train

pytest.importorskip("accelerate", reason="training needs accelerate (requirements-train.txt)")


class Line:
    """Fits a line; with dropout, so that the network draws numbers of its own."""

    name = "line"

    def build(self) -> nn.Module:
        return nn.Sequential(nn.Linear(3, 16), nn.Dropout(0.2), nn.GELU(), nn.Linear(16, 1))

    def loss(self, network, generator, device):
        x = torch.randn((8, 3), generator=generator)
        return {"square": (network(x.to(device))[:, 0] - x.sum(1)).square().mean()}

    def validate(self, network):
        x = torch.randn((64, 3), generator=torch.Generator().manual_seed(9))
        return {"square": float((network(x)[:, 0] - x.sum(1)).square().mean().detach())}


SETTINGS = LoopSettings(steps=60, rate=1e-2, warmup=5, validate_every=20, save_every=0.0)


def weights(network: nn.Module) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in network.parameters()])


class Killed(Exception):
    pass


def killed_at(step: int):
    def progress(done, total, losses):
        if done == step:
            raise Killed

    return progress


def test_training_learns_and_leaves_curves(tmp_path):
    train(Line(), SETTINGS, tmp_path)
    rows = curves(tmp_path)
    assert [row["step"] for row in rows] == ["20", "40", "60"]
    assert float(rows[-1]["valid square"]) < 0.5 * float(rows[0]["valid square"])
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("step", [1, 19, 20, 37])
def test_killed_at_any_moment_and_started_again_it_ends_in_the_same_place(tmp_path, step):
    whole = train(Line(), SETTINGS, tmp_path / "whole")
    with pytest.raises(Killed):
        train(Line(), SETTINGS, tmp_path / "killed", progress=killed_at(step))
    again = train(Line(), SETTINGS, tmp_path / "killed")
    assert torch.equal(weights(whole), weights(again))
    assert curves(tmp_path / "whole")[-1] == curves(tmp_path / "killed")[-1]
    assert [row["step"] for row in curves(tmp_path / "killed")] == ["20", "40", "60"]


def test_killed_between_checkpoints_it_repeats_the_lost_steps(tmp_path):
    seldom = replace(SETTINGS, save_every=1e9)
    whole = train(Line(), seldom, tmp_path / "whole")
    with pytest.raises(Killed):
        train(Line(), seldom, tmp_path / "killed", progress=killed_at(45))
    assert not (tmp_path / "killed" / CHECKPOINT).exists()
    assert torch.equal(weights(whole), weights(train(Line(), seldom, tmp_path / "killed")))
    assert [row["step"] for row in curves(tmp_path / "killed")] == ["20", "40", "60"]


def test_a_finished_training_is_not_done_again(tmp_path):
    first = train(Line(), SETTINGS, tmp_path)
    steps = []
    second = train(Line(), SETTINGS, tmp_path, progress=lambda *state: steps.append(state))
    assert not steps
    assert torch.equal(weights(first), weights(second))


def test_another_training_in_the_folder_is_refused(tmp_path):
    train(Line(), SETTINGS, tmp_path)
    with pytest.raises(StereoSyncError, match="seed"):
        train(Line(), replace(SETTINGS, seed=1), tmp_path)
    other = Line()
    other.name = "curve"
    with pytest.raises(StereoSyncError, match="task"):
        train(other, SETTINGS, tmp_path)


def test_a_damaged_checkpoint_is_named(tmp_path):
    train(Line(), SETTINGS, tmp_path)
    path = tmp_path / CHECKPOINT
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(StereoSyncError, match="delete it"):
        train(Line(), SETTINGS, tmp_path)


def test_a_loss_that_is_no_number_ends_it(tmp_path):
    class Bad(Line):
        def loss(self, network, generator, device):
            return {"square": network(torch.full((1, 3), float("nan"))).sum()}

    with pytest.raises(StereoSyncError, match="lower the rate"):
        train(Bad(), SETTINGS, tmp_path)


def scene(batch: int = 6, tracks: int = 2, frames: int = 40) -> SceneFeatures:
    time = torch.linspace(0, 0.5, frames * 4).view(1, 1, frames, 4)
    left = (0.1 + 0.3 * torch.arange(tracks).view(1, tracks, 1, 1) / tracks + time).expand(batch, tracks, frames, 4)
    boxes = torch.stack([left, torch.full_like(left, 0.3), left + 0.1, torch.full_like(left, 0.8)], dim=-1)
    depth = torch.linspace(0, 1, 12 * 16).view(1, 1, 12, 16).expand(batch, frames, 12, 16)
    return SceneFeatures(boxes, torch.ones((batch, tracks, frames, 4)), depth, torch.ones((batch, 1)))


def test_degraded_conditions_stay_near_the_truth_and_in_range():
    true = scene(64)
    spoiled = degrade(true, torch.Generator().manual_seed(0))
    kept = spoiled.seen > 0
    assert 0.7 < kept.float().mean() < 0.99, "some are missed"
    centres = [(part.boxes[..., 0] + part.boxes[..., 2]) / 2 for part in (true, spoiled)]
    errors = (centres[0] - centres[1])[kept].abs()
    assert 0 < errors.mean() < 0.02, "a part of a box's width of 0.1"
    assert spoiled.depth.min() >= 0
    assert spoiled.depth.max() <= 1
    assert 0.6 < spoiled.has_depth.mean() < 1
    assert torch.equal(spoiled.depth.amax((1, 2, 3)) > 0, spoiled.has_depth[:, 0] > 0)


def test_equal_seeds_degrade_equally():
    first, second = (degrade(scene(), torch.Generator().manual_seed(5)) for _ in range(2))
    assert torch.equal(first.boxes, second.boxes)
    assert torch.equal(first.depth, second.depth)


def test_mirroring_exchanges_the_channels_and_turns_the_picture():
    latents = torch.arange(2 * 4 * 3.0).view(2, 4, 3)
    true = scene(2)
    turned, mirrored = mirror(latents, true, torch.tensor([True, False]))
    assert torch.equal(turned[0], latents[0][[2, 3, 0, 1]])
    assert torch.equal(turned[1], latents[1])
    before, after = (part.boxes[0][..., 0] + part.boxes[0][..., 2] - 1 for part in (true, mirrored))
    np.testing.assert_allclose(after, -before, atol=1e-6)
    assert torch.equal(mirrored.depth[0], true.depth[0].flip(-1))
    assert torch.equal(mirrored.boxes[1], true.boxes[1])
