"""Depth by the bundled network, by estimators of transformers and out of other packs' pictures; what all estimators keep to."""

import numpy as np
import pytest
import torch

from research.bench.rollingdepth_folder import TINY, write_folder
from stereosync_core import DepthSequence, Track, Tracks, load_depth, save_depth
from stereosync_core.assets import WALKING_CLIP, asset_path
from stereosync_core.depth.estimators import ESTIMATORS, estimate_depth
from stereosync_core.depth.fastdepth import estimate_with_fastdepth, load_fastdepth
from stereosync_core.depth.maps import depth_from_images, stretch
from stereosync_core.depth.transformers_depth import LINK, estimate_with_transformers, load_frame_estimator
from stereosync_core.errors import StereoSyncError
from stereosync_core.timing import entry_times
from tests.clips import grain, make_clip
from tests.depth_anything import write_depth_anything
from tests.errors import refused, stopped

#: Every 56th value of the packaged ONNX graph's output (onnxruntime) for the picture below.
ORIGINAL = [
    [1.3403, 0.9703, 0.9819, 1.0106],
    [1.0410, 0.8660, 0.8498, 0.9071],
    [1.0130, 0.9208, 1.0783, 1.0107],
    [1.0150, 0.9577, 1.0834, 1.0832],
]


def test_the_bundled_network_equals_the_packaged_one():
    y, x = np.meshgrid(np.linspace(0, 1, 224), np.linspace(0, 1, 224), indexing="ij")
    picture = np.stack([x, y, (np.sin(20 * x) * np.cos(13 * y) + 1) / 2])[None].astype(np.float32)
    with torch.inference_mode():
        metres = load_fastdepth()(torch.from_numpy(picture))[0, 0].numpy()
    # the bundled weights are half precision
    assert np.allclose(metres[::56, ::56], ORIGINAL, atol=0.01)


def test_the_sample_clips_depth_is_relative_nearness_at_the_asked_rate_and_size():
    depth = estimate_with_fastdepth(asset_path(WALKING_CLIP), rate=2.0, long_side=96)
    assert depth.maps.shape[1:] == (54, 96)
    assert np.allclose(np.diff(depth.times), 0.5)
    assert (depth.maps.min(), depth.maps.max()) == (0.0, 1.0)
    trunk, street = depth.maps[:, :, 86:].mean(), depth.maps[:, :, :10].mean()
    assert trunk > street + 0.3, "the trunk at the right edge is nearer than the street at the left"


def test_maps_of_a_long_clip_get_smaller_instead_of_more_memory(monkeypatch):
    monkeypatch.setattr("stereosync_core.depth.fastdepth.MAPS_BYTES", 60_000)
    depth = estimate_with_fastdepth(asset_path(WALKING_CLIP), rate=2.0)
    assert 40_000 < depth.maps.nbytes < 66_000


def test_stretching_ignores_a_few_extreme_values():
    maps = np.random.default_rng(0).uniform(2, 3, (4, 80, 80)).astype(np.float32)
    maps[0, 0, 0] = 1000
    stretch(maps)
    assert maps[1].max() > 0.9


def test_pictures_of_depth_bright_or_dark_where_near():
    images = np.linspace(0, 1, 12).reshape(3, 2, 2)
    times = np.array([0.0, 0.5, 1.0])
    assert depth_from_images(images, times).maps[2, 1, 1] == 1.0
    assert depth_from_images(images, times, polarity="dark").maps[2, 1, 1] == 0.0
    assert depth_from_images(np.repeat(images[..., None], 3, axis=-1), times).maps.shape == (3, 2, 2)
    assert len(depth_from_images(images[:1], times).times) == 1, "a single picture holds for the clip"


def test_pictures_that_do_not_fit_are_named():
    refused("3 frames", depth_from_images, np.zeros((2, 4, 4)), np.arange(3.0))
    refused("NaN", depth_from_images, np.full((1, 4, 4), np.nan), np.zeros(1))


FRAMES = np.arange(30) / 10


def test_entries_without_times_get_the_frames_times_or_those_of_their_rate():
    assert entry_times(30, FRAMES, 3.0, 0, "Boxes") is not None
    assert entry_times(12, FRAMES, 3.0, 4, "Boxes").tolist() == (np.arange(12) / 4).tolist()
    for count, rate in ((0, 0), (29, 0), (90, 10), (5, 10)):
        refused("Boxes", entry_times, count, FRAMES, 3.0, rate, "Boxes")


@pytest.fixture(scope="module")
def depth_anything(tmp_path_factory):
    return write_depth_anything(tmp_path_factory.mktemp("models") / "small")


def test_depth_of_a_clip_by_depth_anything(depth_anything, tmp_path):
    clip = make_clip(tmp_path / "clip.mp4", count=30, paint=grain)
    seen = []
    estimator = load_frame_estimator(depth_anything)
    depth = estimate_with_transformers(clip, estimator, rate=10, long_side=60, batch=4, progress=lambda *now: seen.append(now))
    assert depth.maps.shape == (10, 40, 60)
    assert (depth.maps.min(), depth.maps.max()) == (0.0, 1.0)
    assert seen[-1] == (10, 10)
    other = estimate_with_transformers(clip, estimator, rate=10, long_side=60, batch=1)
    assert np.abs(depth.maps - other.maps).max() < 1e-3


def test_metric_models_are_turned_so_that_near_is_large(depth_anything, tmp_path):
    metric = load_frame_estimator(write_depth_anything(tmp_path / "metric", depth_estimation_type="metric", max_depth=20))
    assert metric.metric
    assert not load_frame_estimator(depth_anything).metric
    image = grain(0)
    depth = metric.network(**metric.processor(images=[image], return_tensors="pt")).predicted_depth
    near = metric.inverse_depth([image])
    assert torch.allclose(near, 1 / depth.clamp(min=0.1), atol=1e-4)


def test_a_folder_that_lacks_something(tmp_path):
    with pytest.raises(StereoSyncError, match=r"config\.json is missing") as caught:
        load_frame_estimator(tmp_path / "nowhere")
    assert LINK in str(caught.value)
    (tmp_path / "config.json").write_text('{"model_type": "clip_text_model"}')
    (tmp_path / "preprocessor_config.json").write_text("{}")
    refused("cannot be loaded", load_frame_estimator, tmp_path)


@pytest.mark.parametrize("rate", [0.0, -1.0, 1000.0])
def test_a_rate_out_of_range_is_named(depth_anything, rate):
    clip = asset_path(WALKING_CLIP)
    refused("Depth rate", estimate_with_fastdepth, clip, rate=rate)
    refused("Depth rate", estimate_with_transformers, clip, load_frame_estimator(depth_anything), rate=rate)


#: Each estimator's weights: bundled, or written small and random.
WEIGHTS = {
    "fastdepth": None,
    "depth-anything": write_depth_anything,
    "rollingdepth": lambda folder: write_folder(folder, TINY),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", ESTIMATORS)
def test_every_estimator_keeps_to_the_interface(tmp_path, name):
    """A clip in; maps 0..1 with their times out; progress up to the whole, and an exception in it ends the work."""
    folder = WEIGHTS[name] and WEIGHTS[name](tmp_path / name)
    clip = make_clip(tmp_path / "clip.mp4", count=6, size=(128, 32), paint=grain)
    progress: list[float] = []
    depth = estimate_depth(clip, name, folder, rate=10, progress=lambda done, total: progress.append(done / total))
    assert depth.maps.dtype == np.float32
    assert (depth.maps.min(), depth.maps.max()) == (0.0, 1.0)
    assert depth.times == pytest.approx(np.arange(2) / 10)
    assert progress == sorted(progress)
    assert progress[-1] == pytest.approx(1.0)
    stopped(estimate_depth, clip, name, folder, rate=10)
    refused("240", estimate_depth, clip, name, folder, rate=1000)


def test_an_estimator_that_is_not_there_or_lacks_its_weights_is_named():
    refused("choose from fastdepth", estimate_depth, "clip.mp4", "midas")
    refused("huggingface", estimate_depth, "clip.mp4", "rollingdepth")


def test_metres_keep_their_relations_and_pictures_of_them_do_not():
    """A walker who comes from 8 m to 2 m is four times as near, whatever else is in the picture."""
    metres = np.full((3, 8, 8), 20.0, dtype=np.float32)
    metres[:, 2:6, 2:6] = np.array([8.0, 4.0, 2.0])[:, None, None]
    walker = Track(1, "person", np.arange(3.0), np.array([[0.25, 0.25, 0.75, 0.75]] * 3))
    tracks = Tracks((walker,), 3.0)
    known = depth_from_images(metres, np.arange(3.0), polarity="metres")
    np.testing.assert_allclose(tracks.distance(walker, np.arange(3.0), known, "depth"), [2.0, 1.0, 0.5], rtol=1e-3)
    drawn = depth_from_images(metres, np.arange(3.0), polarity="dark")
    assert drawn.range == 4.0
    refused("no distance is above 0", depth_from_images, np.zeros((1, 2, 2)), np.zeros(1), polarity="metres")
    refused("near is 'far'", depth_from_images, metres, np.arange(3.0), polarity="far")


def test_the_range_of_metres_is_kept_on_disk(tmp_path):
    depth = depth_from_images(np.linspace(1, 9, 12).reshape(1, 3, 4), np.zeros(1), polarity="metres")
    assert load_depth(save_depth(tmp_path / "depth.npz", depth), 4.0).range == pytest.approx(depth.range)
    assert depth.range > 5
    refused("1 or more", DepthSequence, depth.maps, depth.times, 0.5)
