"""RollingDepth stage by stage against the released code's numbers, each stage from the saved input of that stage.

The bounds are those of the large fixtures' README, which explains them. The small fixtures lack the model and hold maps in a
window alone; what they lack is skipped.
"""

import json
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

from research.bench.depth_child import in_fours
from research.bench.rollingdepth_folder import TINY, write_folder
from research.equality.seeded import SEEDED, seeded_frames
from stereosync_core.batches import Batches
from stereosync_core.depth.rollingdepth.alignment import (
    RELEASED_ALIGNMENT,
    AlignmentOptions,
    Objective,
    SnippetMaps,
    alignment_points,
    co_align,
    normalize,
)
from stereosync_core.depth.rollingdepth.denoising import denoise_snippets, draw_noise, refine, refinement_schedule
from stereosync_core.depth.rollingdepth.loader import load_rollingdepth
from stereosync_core.depth.rollingdepth.model import RollingDepthModel, prepare_frame
from stereosync_core.depth.rollingdepth.pipeline import estimate
from stereosync_core.depth.rollingdepth.snippets import (
    RollingDepthSettings,
    Snippets,
    effective_dilation,
    plan_refinement,
    plan_snippets,
)

from .conftest import fixture_files, fixture_path
from .rollingdepth_case import Case

CASES = fixture_files("rollingdepth", "case_*.json")
ALIGNER = fixture_files("rollingdepth", "aligner_unit.npz")


def near(ours: Any, theirs: np.ndarray, bound: float, mean: float | None = None) -> None:
    ours = np.asarray(ours, dtype=np.float64)
    assert ours.shape == theirs.shape
    difference = np.abs(ours - theirs)
    assert difference.max() <= bound
    assert mean is None or difference.mean() <= mean


@pytest.fixture(params=CASES, scope="module")
def case(request) -> Case:
    return Case(request.param)


@pytest.fixture
def refined(case: Case) -> Case:
    if not case.settings.refine_steps:
        pytest.skip("a case without refinement")
    return case


@cache
def networks() -> RollingDepthModel:
    return load_rollingdepth(fixture_path("rollingdepth", "model/unet/config.json").parents[1])


@pytest.fixture
def model(case: Case) -> RollingDepthModel:
    shared = networks()
    return RollingDepthModel(shared.unet, shared.vae, shared.text, {**shared.scheduler, **case.scheduler})


class WithoutNetworks:
    """What of a model needs no weights; its velocity is a saved one."""

    dtype, compute_device = torch.float32, torch.device("cpu")
    ddim = RollingDepthModel.ddim

    def __init__(self, case: Case):
        config = fixture_path("rollingdepth", "model/scheduler/scheduler_config.json")
        self.scheduler = json.loads(config.read_text()) | case.scheduler
        self.output = torch.zeros(())

    def velocity(self, rgb: torch.Tensor, depth: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
        return self.output.expand_as(depth)


@pytest.fixture
def schedule(case: Case) -> Any:
    return WithoutNetworks(case)


def test_resize_and_normalise(case: Case):
    expected = case["frames_preprocessed"]
    assert case.frames is not None
    frames = [prepare_frame(torch.from_numpy(frame), case.settings.resolution) for frame in case.frames]
    near(case.cut(torch.stack(frames)), expected, 1e-5)
    assert case.frames.shape[1:3] == tuple(case["original_size_hw"])


def test_empty_prompt(case: Case, model: RollingDepthModel):
    near(model.text, case["empty_text_embed"], 1e-5)


def test_picture_latents(case: Case, model: RollingDepthModel):
    frames = case.tensor("frames_preprocessed")
    near(in_fours(model.encode, frames), case["rgb_latents"], 1e-4)


def test_noise_of_the_seed(case: Case, schedule: Any):
    _, height, width = case["init_noise"].shape
    near(draw_noise(schedule, height, width, case.seed), case["init_noise"], 0)


def test_snippets(case: Case):
    plan = plan_snippets(case.settings, case.frame_count)
    assert sum(snippets.repeats for snippets in plan) == len(case["dilations_effective"])
    for k in range(len(case["dilations_effective"])):
        assert np.array_equal(plan[case.number_in_plan(k)].indices(), case[f"snippet_indices_{k}"])
    *capped, start = case["cap_requested_to_effective"]
    lengths = [length for _, length, _ in case.settings.passes()]
    for (wanted, used), length in zip(capped, lengths, strict=True):
        assert effective_dilation(int(wanted), length, case.frame_count, case.settings.cap_dilations) == used
    length = case.settings.refine_snippet_length
    assert effective_dilation(int(start[0]), length, case.frame_count, case.settings.cap_dilations) == start[1]


def test_time_steps(case: Case, schedule: Any):
    assert np.array_equal(schedule.ddim(case.settings.denoising_steps[0]).timesteps, case["timesteps_initial"])
    if "refine_timesteps" in case:
        _, timesteps = refinement_schedule(schedule, case.settings.refine_steps)
        assert np.array_equal(timesteps, case["refine_timesteps"])
        plan = plan_refinement(case.settings, case.frame_count)
        assert [snippets.dilation for snippets in plan] == case["refine_step_dilation"].tolist()


def test_unet(case: Case, model: RollingDepthModel):
    rgb, depth = case.tensor("unet_probe_rgb_latent")[None], case.tensor("unet_probe_depth_latent")[None]
    output = model.velocity(rgb, depth, case.tensor("unet_probe_timestep")[0])
    near(output[0], case["unet_probe_output"], 1e-4)


def test_the_first_snippets_step_with_the_saved_velocity(case: Case, schedule: Any):
    schedule.output = case.tensor("unet_probe_output")
    snippets = Snippets(1, len(schedule.output), len(schedule.output))
    rgb = case.tensor("unet_probe_rgb_latent")
    latents = next(denoise_snippets(schedule, rgb, case.tensor("init_noise"), snippets, Batches(4, "snippets")))
    near(latents[0], case["snippet_latents_0"][0], 2e-4)


@pytest.mark.parametrize("at_once", [1, 5])
def test_snippet_latents(case: Case, model: RollingDepthModel, at_once: int):
    plan = plan_snippets(case.settings, case.frame_count)
    for k in range(len(case["dilations_effective"])):
        snippets = plan[case.number_in_plan(k)]
        batches = Batches(at_once, "snippets")
        latents = denoise_snippets(model, case.tensor("rgb_latents"), case.tensor("init_noise"), snippets, batches)
        near(torch.cat(list(latents)), case[f"snippet_latents_{k}"], 2e-4)


def test_snippet_depth(case: Case, model: RollingDepthModel):
    for k in range(len(case["dilations_effective"])):
        latents = case.tensor(f"snippet_latents_{k}")
        maps = in_fours(model.decode, latents.flatten(0, 1))
        near(case.cut(maps).unflatten(0, latents.shape[:2]), case[f"snippet_depth_{k}"][: len(latents)], 2e-4)


def kept(case: Case) -> SnippetMaps:
    """The saved snippets as the pipeline keeps them."""
    passes = case.all("snippet_depth")
    maps = SnippetMaps(case.snippets, tuple(passes[0].shape[-2:]), passes[0].dtype, RELEASED_ALIGNMENT)
    for depth in passes:
        for part in depth.flatten(0, 1).split(4):
            maps.add(part)
    return maps


def test_alignment_input(case: Case):
    maps = kept(case)
    near(maps.minimum, case["align_snippet_min"], 0)
    for k, points in enumerate(maps.points()):
        near(points, case.points(k), 1e-5)


def aligned_values(case: Case) -> list[torch.Tensor]:
    if case.small:
        return case.all("align_input")
    snippets = case.all("snippet_depth")
    minimum = min(depth.min() for depth in snippets)
    return [alignment_points(depth - minimum, RELEASED_ALIGNMENT) for depth in snippets]


def check_alignment(case: Case):
    values, snippets = aligned_values(case), case.snippets
    objective = Objective(values, snippets, RELEASED_ALIGNMENT)
    errors = []
    for n in range(len(case["align_trace_iteration"])):
        parameters = torch.from_numpy(np.stack([case["align_trace_scale"][n], case["align_trace_shift"][n]]))
        gradient, loss = objective.gradient(parameters, with_loss=True)
        near(loss, case["align_trace_loss"][n], 1e-6)
        theirs = np.stack([case["align_trace_grad_scale"][n], case["align_trace_grad_shift"][n]])
        errors.append(np.abs(gradient.numpy() - theirs).max())
    assert max(errors) <= 1e-3
    assert sum(error <= 1e-6 for error in errors) >= len(errors) - 2

    trace: dict[int, np.ndarray] = {}
    losses = []

    def observe(iteration: int, parameters: torch.Tensor, loss: float) -> None:
        losses.append(loss)
        trace[iteration] = parameters.numpy().copy()

    result = co_align(values, snippets, RELEASED_ALIGNMENT, observe=observe)
    near(losses, case["align_loss_history"], 1e-2)
    for n, iteration in enumerate(case["align_trace_iteration"].tolist()):
        bound = 1e-5 if iteration <= 2 else 1e-3 if iteration <= 5 else 1e-2
        near(trace[iteration][0], case["align_trace_scale"][n], bound)
        near(trace[iteration][1], case["align_trace_shift"][n], bound)
    for k, (scales, shifts) in enumerate(result):
        near(scales, case[f"align_scale_{k}"], 1e-2)
        near(shifts, case[f"align_shift_{k}"], 5e-3)


def test_alignment(case: Case):
    check_alignment(case)


def merged(case: Case, name: str = "") -> torch.Tensor:
    aligned = list(zip(case.all(f"align_scale{name}"), case.all(f"align_shift{name}"), strict=True))
    return kept(case).merge(aligned, torch.empty_like(case.tensor(f"merged_depth_raw{name}")))


def test_merge(case: Case):
    maps = merged(case)
    near(maps, case["merged_depth_raw"], 1e-5)
    if not case.small:
        near(normalize(maps), case["merged_depth_normalized"], 1e-5)


@pytest.fixture(params=ALIGNER)
def alone(request) -> Case:
    """The alignment's own case: snippets made from known scales and shifts, no networks."""
    alone = object.__new__(Case)
    alone._read(request.param)
    return alone


def test_alignment_alone(alone: Case):
    check_alignment(alone)
    if not alone.small:
        near(merged(alone), alone["merged_depth_raw"], 1e-5)


def test_alignment_of_100_iterations(alone: Case):
    result = co_align(aligned_values(alone), alone.snippets, AlignmentOptions(iterations=100))
    for k, (scales, shifts) in enumerate(result):
        near(scales, alone[f"align_scale_100it_{k}"], 1e-2)
        near(shifts, alone[f"align_shift_100it_{k}"], 5e-3)
    if not alone.small:
        near(merged(alone, "_100it"), alone["merged_depth_raw_100it"], 1e-5)


def test_latents_of_the_merged_depth(refined: Case, model: RollingDepthModel):
    depth = refined.tensor("merged_depth_normalized")[:, None].expand(-1, 3, -1, -1)
    near(in_fours(model.encode, depth), refined["coaligned_latents"], 1e-4)


def refinement(case: Case, model: Any, rgb: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """What goes into each step, and what comes out of the last."""
    steps: list[torch.Tensor] = []
    latents = refine(
        model,
        rgb,
        case.tensor("coaligned_latents"),
        case.tensor("init_noise"),
        plan_refinement(case.settings, case.frame_count),
        Batches(4, "snippets"),
        observe=lambda step, latents: steps.append(latents.clone()),
    )
    return torch.stack(steps), latents


def test_the_refinements_noise_with_a_velocity_of_zero(refined: Case, schedule: Any):
    steps, _ = refinement(refined, schedule, torch.zeros_like(refined.tensor("coaligned_latents")))
    near(steps[0], refined["refine_latents_before_step"][0], 2e-4)


def test_refinement(refined: Case, model: RollingDepthModel):
    steps, latents = refinement(refined, model, refined.tensor("rgb_latents"))
    near(steps, refined["refine_latents_before_step"], 2e-4)
    near(latents, refined["refine_latents_final"], 2e-4)


def test_refined_depth(refined: Case, model: RollingDepthModel):
    latents = refined.tensor("refine_latents_final")
    near(in_fours(model.decode, latents), refined["refined_depth"], 1e-4)


def observed(frames: Any, out: torch.Tensor, model: RollingDepthModel, settings: RollingDepthSettings, seed: int = 0):
    """Every stage's last array of a run that fills ``out``."""
    seen: dict[str, np.ndarray] = {}
    estimate(frames, out, model, settings, seed=seed, observe=lambda name, array: seen.update({name: array.numpy().copy()}))
    return seen


def test_end_to_end(case: Case, model: RollingDepthModel):
    if case.small:
        pytest.skip("the frames are in the large fixtures alone")
    assert case.frames is not None
    out = torch.empty(case["merged_depth_raw"].shape)
    frames = (prepare_frame(torch.from_numpy(frame), case.settings.resolution) for frame in case.frames)
    seen = observed(frames, out, model, case.settings, case.seed)
    near(seen["merged_depth_normalized"], case["merged_depth_normalized"], 1e-2, 3e-3)
    if "refined_depth" in case.arrays:
        near(seen["refined_depth"], case["refined_depth"], 1e-2, 3e-3)
    if case.restore:
        size = tuple(int(side) for side in case["original_size_hw"])
        out = torch.nn.functional.interpolate(out[:, None], size, mode="bilinear", align_corners=False, antialias=True)[:, 0]
    near(out, case["output_depth"], 1e-2, 3e-3)


def test_end_to_end_with_weights_of_a_seed(tmp_path):
    """What this library made when it equalled the released code in all large cases."""
    with np.load(fixture_path("rollingdepth", "seeded.npz")) as arrays:
        expected = dict(arrays)
    seen = observed(seeded_frames(), torch.empty(8, 48, 64), load_rollingdepth(write_folder(tmp_path, TINY)), SEEDED)
    near(seen["rgb_latents"], expected["rgb_latents"], 1e-4)
    near(seen["merged_depth_normalized"][:, ::4, ::4], expected["merged_depth_normalized"], 1e-2, 3e-3)
    near(seen["refined_depth"][:, ::4, ::4], expected["refined_depth"], 1e-2, 3e-3)
