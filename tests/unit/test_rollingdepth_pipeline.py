"""RollingDepth over clips, with a small model of random weights in the released layout."""

from dataclasses import replace
from unittest.mock import Mock

import numpy as np
import pytest
import torch

from research.bench.rollingdepth_folder import TINY, write_folder
from stereosync_core.batches import Batches
from stereosync_core.depth.rollingdepth.alignment import AlignmentOptions, SnippetMaps, normalize
from stereosync_core.depth.rollingdepth.denoising import denoise_snippets, draw_noise
from stereosync_core.depth.rollingdepth.loader import load_rollingdepth
from stereosync_core.depth.rollingdepth.model import RollingDepthModel, prepare_frame, processing_size
from stereosync_core.depth.rollingdepth.pipeline import estimate, estimate_with_rollingdepth
from stereosync_core.depth.rollingdepth.snippets import PRESETS, RollingDepthSettings, Snippets
from tests.clips import grain, make_clip
from tests.errors import refused, stopped

pytestmark = pytest.mark.slow

QUICK = AlignmentOptions(iterations=20)
FAST = RollingDepthSettings(64)
REFINED = RollingDepthSettings(64, (1, 10, 25), refine_steps=2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("models") / "rollingdepth", TINY)


@pytest.fixture(scope="module")
def model(folder) -> RollingDepthModel:
    return load_rollingdepth(folder)


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return make_clip(tmp_path_factory.mktemp("clips") / "clip.mp4", count=8, paint=grain)


def depth_of(path, model, settings=FAST, **options):
    return estimate_with_rollingdepth(path, model, settings, alignment=QUICK, **({"rate": 0} | options))


@pytest.mark.parametrize("settings", [FAST, REFINED, replace(REFINED, cap_dilations=False)], ids=["fast", "full", "uncapped"])
@pytest.mark.parametrize("count", [1, 2, 3, 5, 6, 7])
def test_clips_from_one_frame_up(tmp_path, model, settings, count):
    depth = depth_of(make_clip(tmp_path / "clip.mp4", count=count, paint=grain), model, settings)
    assert depth.maps.shape == (count, 42, 64)
    assert depth.times == pytest.approx(np.arange(count) / 30, abs=1e-4)
    assert (depth.maps.min(), depth.maps.max()) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("size", "resolution", "shape"), [((90, 70), 0, (70, 90)), ((96, 54), 72, (40, 72)), ((50, 80), 0, (80, 50))]
)
def test_sizes_that_8_does_not_divide_come_back_whole(tmp_path, model, size, resolution, shape):
    clip = make_clip(tmp_path / "clip.mp4", count=3, size=size, paint=grain)
    depth = depth_of(clip, model, replace(FAST, resolution=resolution))
    assert depth.maps.shape[1:] == shape
    rows, columns = (side // 8 * 8 for side in shape)
    inner = depth.maps[:, :rows, :columns]
    assert np.array_equal(depth.maps[:, rows:, :columns], np.repeat(inner[:, -1:], shape[0] - rows, axis=1))
    assert np.array_equal(depth.maps[:, :rows, columns:], np.repeat(inner[:, :, -1:], shape[1] - columns, axis=2))


def test_the_rate_of_the_maps(tmp_path, model):
    clip = make_clip(tmp_path / "clip.mp4", count=30, paint=grain)
    assert depth_of(clip, model, rate=4.0).times.tolist() == [0.0, 0.25, 0.5, 0.75]
    refused("every frame", depth_of, clip, model, rate=500)


def test_the_seed_decides(clip, model):
    first, same, other = (depth_of(clip, model, seed=seed).maps for seed in (0, 0, 1))
    assert np.array_equal(first, same)
    assert not np.allclose(first, other, atol=0.05)


def test_how_much_goes_at_once_does_not_change_the_numbers(clip, model):
    one, many = (depth_of(clip, model, REFINED, batch=size, picture_batch=size).maps for size in (1, 7))
    assert np.abs(one - many).max() < 1e-3


def test_an_all_black_clip(tmp_path, model):
    black = make_clip(tmp_path / "clip.mp4", count=6, paint=lambda number, *size: np.zeros((*size[::-1], 3), np.uint8))
    assert np.isfinite(depth_of(black, model, REFINED).maps).all()


def test_the_same_depth_everywhere_is_no_division_by_zero():
    assert normalize(torch.full((2, 3, 3), 0.3)).tolist() == torch.full((2, 3, 3), -1.0).tolist()


@pytest.mark.half_precision
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision(folder, clip, model, dtype):
    half = depth_of(clip, load_rollingdepth(folder, dtype), REFINED).maps
    assert np.corrcoef(half.ravel(), depth_of(clip, model, REFINED).maps.ravel())[0, 1] > 0.9


def test_it_works_in_inference_mode_as_nodes_run(clip, model):
    with torch.inference_mode():
        inside = depth_of(clip, model).maps
    assert np.array_equal(inside, depth_of(clip, model).maps)


def test_progress_goes_over_all_stages_and_can_stop_the_work(clip, model):
    seen: list[float] = []
    depth_of(clip, model, REFINED, progress=lambda done, total: seen.append(done / total))
    assert seen == sorted(seen)
    assert seen[-1] == pytest.approx(1.0)
    assert max(np.diff([0.0, *seen])) < 0.25
    stopped(depth_of, clip, model, after=0.3)


def failing(model: RollingDepthModel, allowed: int) -> RollingDepthModel:
    """The model on a device where ``allowed`` snippets fit."""

    class Small(RollingDepthModel):
        def velocity(self, rgb, depth, timestep):
            if len(rgb) > allowed:
                raise torch.cuda.OutOfMemoryError("CUDA out of memory.")
            return super().velocity(rgb, depth, timestep)

    return Small(model.unet, model.vae, model.text, model.scheduler)


def test_out_of_memory_halves_the_batch_with_a_notice(clip, model):
    notices: list[str] = []
    small = failing(model, 2)
    depth = depth_of(clip, small, REFINED, batch=8, notice=notices.append)
    assert len(notices) == 2, notices
    assert "2 snippets at once" in notices[-1]
    assert np.abs(depth.maps - depth_of(clip, model, REFINED).maps).max() < 1e-3
    refused("lower the resolution", depth_of, clip, failing(model, 0))


def test_a_model_that_gives_nan_is_named(folder, clip):
    broken = load_rollingdepth(folder)
    with torch.no_grad():
        broken.unet.conv_out.bias.fill_(float("nan"))
    refused("NaN", depth_of, clip, broken)


@pytest.mark.parametrize("size", [(48, 32), (128, 4)])
def test_a_clip_that_is_too_small_is_named(tmp_path, model, size):
    clip = make_clip(tmp_path / "clip.mkv", count=3, size=size, codec="ffv1", paint=grain)
    refused(f"{size[0]} x {size[1]} pixels are too small", depth_of, clip, model, RollingDepthSettings(0))


def test_a_full_disk_is_named(monkeypatch):
    maps = SnippetMaps([Snippets(1, 3, 3)], (16, 16), torch.float32, QUICK)
    monkeypatch.setattr(maps, "_file", Mock(write=Mock(side_effect=OSError(28, "No space left on device"))))
    refused("make room", maps.add, torch.zeros(3, 16, 16))


def test_one_step_is_the_closed_form(model):
    """With zero terminal signal-to-noise, the one step at t = 999 is a fixed mixture of prediction and noise."""
    rgb, noise = torch.randn(3, 4, 8, 8), draw_noise(model, 8, 8, 0)
    latents = next(denoise_snippets(model, rgb, noise, Snippets(1, 3, 3), Batches(1, "snippets")))[0]
    velocity = model.velocity(rgb[None], noise.expand(1, 3, -1, -1, -1), torch.tensor(999))[0]
    assert torch.allclose(latents, -0.99957490 * velocity + 0.02915513 * noise, atol=1e-5)


def test_frames_of_a_snippet_see_each_other_in_any_order(model):
    rgb, noise = torch.randn(1, 3, 4, 8, 8), torch.randn(4, 8, 8).expand(1, 3, -1, -1, -1)
    together = model.velocity(rgb, noise, torch.tensor(999))
    turned = model.velocity(rgb.flip(1), noise, torch.tensor(999)).flip(1)
    assert torch.allclose(together, turned, atol=1e-4)
    alone = torch.cat([model.velocity(rgb[:, n : n + 1], noise[:, :1], torch.tensor(999)) for n in range(3)], dim=1)
    assert not torch.allclose(together, alone, atol=1e-3)


def test_frames_are_resized_to_the_longer_side():
    assert processing_size(1080, 1920, 768) == (432, 768)
    assert processing_size(1920, 1080, 1024) == (1024, 576)
    assert processing_size(50, 70, 0) == (50, 70)
    frame = prepare_frame(torch.full((40, 20, 3), 255, dtype=torch.uint8), 80)
    assert frame.shape == (3, 80, 40)
    assert torch.allclose(frame, torch.ones(()))


def test_the_raw_values_are_those_of_the_release(model):
    """-1..1 without refinement; the pipeline for clips only stretches them."""
    frames = [torch.rand(3, 64, 64) * 2 - 1 for _ in range(6)]
    out = estimate(frames, torch.empty(6, 64, 64), model, PRESETS["fast"], alignment=QUICK)
    assert (float(out.min()), float(out.max())) == (-1.0, 1.0)
    refused("6 frames came where 7", estimate, frames, torch.empty(7, 64, 64), model, PRESETS["fast"], alignment=QUICK)
