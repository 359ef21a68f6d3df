"""Single-frame estimators of transformers from a folder, with a tiny Depth Anything of random weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from stereosync_core.depth.transformers_depth import LINK, estimate_with_transformers, load_frame_estimator
from stereosync_core.errors import StereoSyncError
from tests.clips import grain, make_clip
from tests.depth_anything import write_depth_anything


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_depth_anything(tmp_path_factory.mktemp("models") / "small")


def test_depth_of_a_clip(folder, tmp_path):
    clip = make_clip(tmp_path / "clip.mp4", count=30, paint=grain)
    seen = []
    estimator = load_frame_estimator(folder)
    depth = estimate_with_transformers(clip, estimator, rate=10, long_side=60, batch=4, progress=lambda *now: seen.append(now))
    assert depth.maps.shape == (10, 40, 60)
    assert (depth.maps.min(), depth.maps.max()) == (0.0, 1.0)
    assert seen[-1] == (10, 10)
    other = estimate_with_transformers(clip, estimator, rate=10, long_side=60, batch=1)
    assert np.abs(depth.maps - other.maps).max() < 1e-3


def test_metric_models_are_turned_so_that_near_is_large(folder, tmp_path):
    metric = load_frame_estimator(write_depth_anything(tmp_path / "metric", depth_estimation_type="metric", max_depth=20))
    assert metric.metric
    assert not load_frame_estimator(folder).metric
    image = grain(0)
    depth = metric.network(**metric.processor(images=[image], return_tensors="pt")).predicted_depth
    near = metric.inverse_depth([image])
    assert torch.allclose(near, 1 / depth.clamp(min=0.1), atol=1e-4)


def test_a_folder_that_lacks_something(folder, tmp_path):
    with pytest.raises(StereoSyncError, match=r"config\.json is missing") as caught:
        load_frame_estimator(tmp_path / "nowhere")
    assert LINK in str(caught.value)
    (tmp_path / "config.json").write_text('{"model_type": "clip_text_model"}')
    (tmp_path / "preprocessor_config.json").write_text("{}")
    with pytest.raises(StereoSyncError, match="cannot be loaded"):
        load_frame_estimator(tmp_path)


def test_a_rate_out_of_range_is_named(folder, tmp_path):
    with pytest.raises(StereoSyncError, match="Depth rate"):
        estimate_with_transformers(make_clip(tmp_path / "clip.mp4", count=3), load_frame_estimator(folder), rate=0)
