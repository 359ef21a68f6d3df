"""The training loop: exact after a kill, honest about what is wrong; and augmentation."""

import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from research.cli.train import CONFIGS
from research.training.augment import augment, mirror
from research.training.diffusion import DiffusionTask, assignment_loss
from research.training.loop import CHECKPOINT, curves, train
from research.training.scenes import owners
from stereosync_core.files import read_object
from stereosync_core.model.conditioning.clip import ClipConditions
from stereosync_core.model.conditioning.features import SceneFeatures
from stereosync_core.model.denoiser import StereoSync
from stereosync_core.model.folder import read_weights, save_part
from stereosync_core.model.loader import bundled_folder, load_autoencoder
from stereosync_core.rendering.gait import Steps
from stereosync_core.scene import Track, Tracks
from tests.errors import refused, stopped
from tests.line import SETTINGS, Line
from tools.environment import ROOT

pytestmark = pytest.mark.slow

pytest.importorskip("accelerate", reason="training needs accelerate (requirements-train.txt)")
#: The paper's form, on latents without detail.
PAPER = ROOT / "research" / "weights" / "walking-rooms-paper"


def weights(network: nn.Module) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in network.parameters()])


def test_training_learns_and_leaves_curves(tmp_path):
    train(Line(), SETTINGS, tmp_path)
    rows = curves(tmp_path)
    assert [row["step"] for row in rows] == ["20", "40", "60"]
    assert float(rows[-1]["valid square"]) < 0.5 * float(rows[0]["valid square"])
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("step", [1, 19, 20, 37])
def test_killed_at_any_moment_and_started_again_it_ends_in_the_same_place(tmp_path, step):
    whole = train(Line(), SETTINGS, tmp_path / "whole")
    stopped(train, Line(), SETTINGS, tmp_path / "killed", after=step - 1)
    again = train(Line(), SETTINGS, tmp_path / "killed")
    assert torch.equal(weights(whole), weights(again))
    assert curves(tmp_path / "whole")[-1] == curves(tmp_path / "killed")[-1]
    assert [row["step"] for row in curves(tmp_path / "killed")] == ["20", "40", "60"]


def test_killed_between_checkpoints_it_repeats_the_lost_steps(tmp_path):
    seldom = replace(SETTINGS, save_every=1e9)
    whole = train(Line(), seldom, tmp_path / "whole")
    stopped(train, Line(), seldom, tmp_path / "killed", after=44)
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
    refused("seed", train, Line(), replace(SETTINGS, seed=1), tmp_path)
    other = Line()
    other.name = "curve"
    refused("task", train, other, SETTINGS, tmp_path)


def test_a_damaged_checkpoint_is_named(tmp_path):
    train(Line(), SETTINGS, tmp_path)
    path = tmp_path / CHECKPOINT
    path.write_bytes(path.read_bytes()[:500])
    refused("delete it", train, Line(), SETTINGS, tmp_path)


def test_two_processes_come_to_the_losses_and_weights_of_one(tmp_path):
    one = train(Line(), replace(SETTINGS, parts=2), tmp_path / "one")
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--cpu", "--num_processes", "2", "--num_machines", "1"]
    launch += ["--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"]
    done = subprocess.run([*launch, "-m", "tests.line", str(tmp_path / "two")], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    two = train(Line(), replace(SETTINGS, parts=2), tmp_path / "two")  # done already: its weights
    torch.testing.assert_close(weights(two), weights(one), rtol=1e-4, atol=1e-6)
    for row, other in zip(curves(tmp_path / "one"), curves(tmp_path / "two"), strict=True):
        assert {name: float(value) for name, value in row.items()} == pytest.approx(
            {name: float(value) for name, value in other.items()}, rel=1e-5
        )


def test_a_loss_that_is_no_number_ends_it(tmp_path):
    class Bad(Line):
        def loss(self, network, generator, device):
            return {"square": network(torch.full((1, 3), float("nan"))).sum()}

    refused("lower the rate", train, Bad(), SETTINGS, tmp_path)


class Root(Line):
    """A loss that is finite, with a gradient that is not, at the steps given by the first draw."""

    def __init__(self, share: float):
        self.share = share

    def loss(self, network, generator, device):
        bad = float(torch.rand((), generator=generator)) < self.share
        losses = super().loss(network, generator, device)
        return losses | {"root": (0.0 * network[0].weight.sum()).sqrt()} if bad else losses


def test_steps_whose_gradient_is_not_finite_are_left_out(tmp_path):
    network = train(Root(0.2), SETTINGS, tmp_path)
    assert torch.isfinite(weights(network)).all()
    rows = curves(tmp_path)
    assert float(rows[-1]["valid square"]) < 0.5 * float(rows[0]["valid square"])


def test_gradients_that_stay_infinite_end_it(tmp_path):
    refused("gradients are not finite", train, Root(1.1), SETTINGS, tmp_path)


def scene(batch: int = 6, tracks: int = 2, frames: int = 40) -> SceneFeatures:
    time = torch.linspace(0, 0.5, frames * 4).view(1, 1, frames, 4)
    left = (0.1 + 0.3 * torch.arange(tracks).view(1, tracks, 1, 1) / tracks + time).expand(batch, tracks, frames, 4)
    boxes = torch.stack([left, torch.full_like(left, 0.3), left + 0.1, torch.full_like(left, 0.8)], dim=-1)
    depth = torch.linspace(0, 1, 12 * 16).view(1, 1, 12, 16).expand(batch, frames, 12, 16)
    return SceneFeatures(boxes, torch.ones((batch, tracks, frames, 4)), depth, torch.ones((batch, 1)))


def test_augmented_conditions_stay_near_the_truth_and_in_range():
    true = scene(64)
    augmented = augment(true, torch.Generator().manual_seed(0))
    kept = augmented.seen > 0
    assert 0.7 < kept.float().mean() < 0.99, "some are missed"
    centres = [(part.boxes[..., 0] + part.boxes[..., 2]) / 2 for part in (true, augmented)]
    errors = (centres[0] - centres[1])[kept].abs()
    assert 0 < errors.mean() < 0.02, "a part of a box's width of 0.1"
    assert augmented.depth.min() >= 0
    assert augmented.depth.max() <= 1
    assert 0.6 < augmented.has_depth.mean() < 1
    assert torch.equal(augmented.depth.amax((1, 2, 3)) > 0, augmented.has_depth[:, 0] > 0)


def test_equal_seeds_augment_equally():
    first, second = (augment(scene(), torch.Generator().manual_seed(5)) for _ in range(2))
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


def owned_conditions() -> tuple[ClipConditions, torch.Tensor]:
    """Two tracks of 10 latent frames: the first steps in the first half, the second in the second."""
    owner = torch.zeros((1, 3, 4, 10))
    owner[:, 1, :, :5] = 1
    owner[:, 2, :, 5:] = 1
    given = ClipConditions(scene(1, 2, 10), torch.ones((1, 4, 10)), torch.ones((1, 1)), torch.zeros((1, 8)))
    return given, owner


def test_the_assignment_loss_is_least_when_whose_step_it_was_is_known():
    given, owner = owned_conditions()
    shares = owner.mT.flatten(2).clamp(0.01, 0.98)
    right, wrong = shares.log(), shares[:, [0, 2, 1]].log()
    unsure = torch.full_like(shares, 1 / 3).log()
    losses = [float(assignment_loss(log_probs, owner, given)) for log_probs in (right, unsure, wrong)]
    assert losses == sorted(losses)
    assert losses[0] < 0.05
    assert losses[1] == pytest.approx(np.log(3), rel=1e-4)


def test_a_step_of_a_track_that_was_dropped_is_nobodys_and_silence_counts_nothing():
    given, owner = owned_conditions()
    given.scene.seen[:, 0] = 0
    nobody_first = torch.zeros((1, 3, 40))
    nobody_first[:, 0, :20] = 1
    nobody_first[:, 2, 20:] = 1
    assert float(assignment_loss(nobody_first.clamp(0.01, 0.98).log(), owner, given)) < 0.05
    silent = replace(given, envelope=torch.zeros_like(given.envelope))
    assert assignment_loss(nobody_first.clamp(0.01, 0.98).log(), owner, silent) == 0


def two_walkers(number: int) -> SimpleNamespace:
    """The first steps at 0.5 s, near; the second at 0.6 s, four times as far, and at 1.5 s out of the picture."""
    times = np.arange(0, 2, 0.1)
    box = np.array([[0.4, 0.2, 0.6, 0.9]])
    seen = times[times < 1.2]
    return SimpleNamespace(
        number=number,
        all_visible=False,
        times=times,
        tracks=Tracks((Track(1, "person", times, box.repeat(20, 0)), Track(2, "person", seen, box.repeat(len(seen), 0))), 2.0),
        steps=(Steps([0.5], [1.0], [0]), Steps([0.6, 1.5], [1.0, 1.0], [0, 1])),
        steps_visible=(np.array([True]), np.array([True, False])),
        loops=(False, False),
        distance=np.array([[2.0], [8.0]]).repeat(20, 1),
    )


def test_a_moment_is_owned_by_who_stepped_last_and_nearest():
    moments = np.array([0.3, 0.52, 0.62, 1.52])
    shares, muted = (owners(two_walkers(number), moments) for number in (0, 1))
    assert shares.shape == (4, 4)
    assert not shares[:, 0].any(), "nobody has stepped"
    assert shares[1, 1] == 1
    first = np.exp(-0.12 / 0.05) / 2
    assert shares[1, 2] == pytest.approx(first / (first + np.exp(-0.02 / 0.05) / 8), rel=1e-6)
    assert shares[0, 3] == 1, "who is out of the picture is nobody"
    assert not muted[:, 3].any(), "and does not sound in every other clip"


def diffusion_task() -> DiffusionTask:
    """Of the bundled model's config, on latents that are noise."""
    task = object.__new__(DiffusionTask)
    task.config = read_object(CONFIGS / "diffusion.json", "Config", "")
    task.autoencoder, task.start = load_autoencoder(bundled_folder()), ()
    task.rate, task.bank = 21.5, SimpleNamespace(latents=torch.randn(2, task.autoencoder.latent_channels, 80))  # pyright: ignore
    return task


def test_a_training_starts_from_weights_of_two_models(tmp_path):
    task = diffusion_task()
    task.start = [bundled_folder(), PAPER]
    own = task.build().state_dict()
    first, second = (read_weights(folder, "diffusion") for folder in task.start)
    assert all(torch.equal(own[key], value) for key, value in first.items())
    weights = {key: value for key, value in first.items() if not key.startswith("backbone.dit.transformer.layers.0.")}
    save_part(tmp_path, "diffusion", {}, weights)
    task.start = [tmp_path, PAPER]
    own = task.build().state_dict()
    missing = first.keys() - weights.keys()
    assert missing
    assert all(torch.equal(own[key], second[key]) for key in missing)
    task.start = [tmp_path / "nothing"]
    refused("diffusion.safetensors' is missing", task.build)


def test_a_model_of_latents_with_less_detail_starts_as_it_was():
    task = diffusion_task()
    task.start = [PAPER]
    wide, narrow = task.build(), StereoSync(read_object(PAPER / "config.json", "Config", "")["diffusion"])
    narrow.load_state_dict(read_weights(PAPER, "diffusion"))
    own, half = task.autoencoder.config, len(narrow.mean) // 2  # pyright: ignore
    places = [*range(own.channel), *range(own.channel + own.detail, own.latent)]
    places += [own.latent + place for place in places]
    assert len(places) == 2 * half
    torch.testing.assert_close(wide.mean[places], narrow.mean)
    torch.testing.assert_close(wide.spread[places], narrow.spread)
    x, t = torch.randn(1, 2 * half, 12), torch.tensor([0.4])
    wider = torch.randn(1, 2 * own.latent, 12)
    wider[:, places] = x
    with torch.no_grad():
        before, now = (network.eval().backbone(given, t) for network, given in ((narrow, x), (wide, wider)))
    torch.testing.assert_close(now[:, places], before, atol=1e-5, rtol=1e-4)
    assert now.count_nonzero() == before.count_nonzero(), "nothing is said of the new channels yet"


def test_frozen_weights_stay_as_they_are():
    task = diffusion_task()
    task.config = {**task.config, "frozen": ["space.ownership", "control"]}
    trained = {name: parameter.requires_grad for name, parameter in task.build().named_parameters()}
    assert {name.split(".")[0] for name, own in trained.items() if own} >= {"backbone", "space"}
    assert all(own != name.startswith(("space.ownership", "control")) for name, own in trained.items())
