"""MASA's network on synthetic weights, MASA over whole clips, and what every tracker of the registry does."""

from unittest.mock import DEFAULT, Mock

import numpy as np
import pytest
import torch
from torchvision import ops
from torchvision.ops import deform_conv2d

from research.bench.tracking import random_model
from stereosync_core.scene import Tracks
from stereosync_core.tracking.detections import Detections
from stereosync_core.tracking.masa import deformable
from stereosync_core.tracking.masa.deformable import deformable_convolution
from stereosync_core.tracking.masa.model import prepare, roi_align, roi_levels
from stereosync_core.tracking.masa.pipeline import track_with_masa
from stereosync_core.tracking.masa.tracker import BddSettings
from stereosync_core.tracking.nanodet import load_nanodet
from stereosync_core.tracking.registry import TRACKERS, track_video
from tests.clips import make_clip
from tests.errors import refused, stopped


@pytest.fixture(scope="module")
def model():
    return random_model()


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("chunk", [7, 4096])
def test_the_deformable_convolution_is_torchvisions(stride, chunk, monkeypatch):
    monkeypatch.setattr(deformable, "CHUNK", chunk)
    rng = torch.Generator().manual_seed(1)
    x, weight = torch.randn(2, 16, 9, 11, generator=rng), torch.randn(8, 16, 3, 3, generator=rng)
    rows, columns = -(-9 // stride), -(-11 // stride)
    offset = torch.randn(2, 18, rows, columns, generator=rng) * 4
    offset[:, :, 0] = offset[:, :, 0].round()
    offset[:, :, -1] *= 1e3
    mask = torch.rand(2, 9, rows, columns, generator=rng)
    theirs = deform_conv2d(x, offset, weight, stride=stride, padding=1, mask=mask)
    ours = deformable_convolution(x, offset, mask, weight, stride)
    assert ours.shape == theirs.shape
    assert (ours - theirs).abs().max() < 1e-4
    monkeypatch.setattr(deformable, "_weighted_rows", lambda t, i, s: (t[i] * s[..., None]).sum(dim=1))
    assert (deformable_convolution(x, offset, mask, weight, stride) - theirs).abs().max() < 1e-4
    monkeypatch.setattr(deformable, "EMBEDDING_BAG_ON_CPU", False)
    assert torch.equal(deformable_convolution(x, offset, mask, weight, stride), theirs)


def test_roi_align_on_a_device_without_the_operator(monkeypatch):
    rng = np.random.default_rng(2)
    level = torch.from_numpy(rng.standard_normal((2, 5, 20, 30))).float()
    corner, extent = rng.uniform(-60, 200, (40, 2)), rng.uniform(0, 200, (40, 2)) * rng.integers(0, 2, (40, 1))
    rois = torch.from_numpy(np.concatenate([rng.integers(0, 2, (40, 1)), corner, corner + extent], axis=1)).float()
    operator = ops.roi_align
    theirs = operator(level, rois, 7, 0.125, sampling_ratio=0, aligned=True)
    missing = Mock(wraps=operator, side_effect=[NotImplementedError, DEFAULT])
    monkeypatch.setattr(ops, "roi_align", missing)
    assert torch.equal(roi_align(level, rois, 0.125), theirs)
    assert missing.call_count == 2, "the device was tried first"


def test_levels_by_size():
    boxes = torch.tensor([[0, 0, side, side] for side in (1.0, 55, 111, 112, 223, 224, 447, 448, 4000)])
    assert roi_levels(boxes).tolist() == [0, 0, 0, 1, 1, 2, 2, 3, 3]


@pytest.mark.parametrize(
    ("size", "prepared"), [((1080, 1920), (576, 1024)), ((240, 320), (768, 1024)), ((100, 30), (1024, 320))]
)
def test_frames_are_resized_to_the_long_side_and_padded(size, prepared):
    pixels, scale = prepare(np.zeros((1, *size, 3), dtype=np.uint8), 1024)
    assert tuple(pixels.shape[2:]) == prepared
    assert scale == pytest.approx([1024 / max(size)] * 2, rel=0.02)


@pytest.mark.parametrize("count", [0, 1, 200])
def test_any_number_of_boxes(model, count):
    rng = np.random.default_rng(3)
    corner = rng.uniform(-10, 100, (count, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(1, 80, (count, 2))], axis=1)
    frames = list(rng.integers(0, 255, (2, 64, 96, 3), dtype=np.uint8))
    none, some = model.embed(frames, [np.zeros((0, 4)), boxes], 128)
    assert none.shape == (0, 256)
    assert some.shape == (count, 256)
    assert np.isfinite(some).all()


def test_a_batch_gives_what_each_frame_gives_alone(model):
    rng = np.random.default_rng(4)
    frames, boxes = list(rng.integers(0, 255, (3, 64, 96, 3), dtype=np.uint8)), np.array([[10, 10, 50, 60], [0, 0, 96, 64.0]])
    together = model.embed(frames, [boxes] * 3, 160)
    for frame, embeddings in zip(frames, together, strict=True):
        np.testing.assert_allclose(embeddings, model.embed([frame], [boxes], 160)[0], atol=2e-5)
    refused("one size", model.embed, [frames[0], frames[0][:32]], [boxes, boxes], 160)


class Walker:
    """Detects an object that goes from left to right, and sometimes others that stand."""

    def __init__(self, count=1):
        self.count, self.seen = count, []

    def detect(self, times, frames):
        self.seen += list(zip(times, [frame.shape for frame in frames], strict=True))
        found = []
        for time in times:
            boxes = [[0.1 + 0.5 * time, 0.3, 0.3 + 0.5 * time, 0.8]]
            boxes += [[x, y, x + 0.02, y + 0.02] for x in np.arange(0, 0.98, 0.05) for y in np.arange(0, 0.98, 0.1)]
            found.append(
                Detections(np.array(boxes)[: self.count].reshape(-1, 4), np.full(self.count, 0.9), ("dog",) * self.count)
            )
        return found


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return make_clip(tmp_path_factory.mktemp("clips") / "one_second.mp4")


def test_a_clip_gives_tracks_in_frame_coordinates_at_the_given_rate(model, clip):
    walker, seen = Walker(), []
    options = {"rate": 5, "long_side": 128, "smoothing": 0.0, "batch": 2}
    tracks = track_with_masa(clip, model, walker, **options, progress=lambda done, total: seen.append(done / total))
    assert [round(time, 3) for time, _ in walker.seen] == [0.0, 0.2, 0.4, 0.6, 0.8]
    (track,) = tracks
    assert (track.id, track.label) == (1, "dog")
    boxes, _ = track.at([0.3], tracks.max_gap)
    assert boxes[0].tolist() == pytest.approx([0.25, 0.3, 0.45, 0.8], abs=1e-6), "between two analysed frames, by time"
    assert seen == sorted(seen)
    assert seen[-1] == 1.0


@pytest.mark.parametrize(("count", "expected"), [(0, 0), (1, 1), (200, 200)])
def test_none_one_and_two_hundred_objects(model, clip, count, expected):
    tracks = track_with_masa(clip, model, Walker(count), rate=2, long_side=128, max_tracks=0, drop_giants=False)
    assert len(tracks) <= expected if count > 1 else len(tracks) == expected


def test_the_smoothing_of_the_release_and_the_driving_preset_run(model, clip):
    tracks = track_with_masa(clip, model, Walker(), rate=10, long_side=128, settings=BddSettings(), smooth_boxes=True)
    assert len(tracks) == 1


def test_frames_are_held_a_few_at_a_time(model, clip):
    walker, counts = Walker(0), []
    walker.detect = lambda times, frames: counts.append(len(frames)) or Walker.detect(walker, times, frames)
    track_with_masa(clip, model, walker, rate=30, long_side=128, batch=8)
    assert counts == [8, 8, 8, 6]


def test_a_stop_stops_and_senseless_numbers_are_named(model, clip):
    walker = Walker()
    stopped(track_with_masa, clip, model, walker, long_side=128)
    assert len(walker.seen) == 1
    refused("Track rate", track_with_masa, clip, model, Walker(), rate=0)
    refused("Embedding size", track_with_masa, clip, model, Walker(), long_side=32)


@pytest.mark.slow
@pytest.mark.parametrize("name", list(TRACKERS))
def test_every_tracker_takes_a_clip_and_gives_tracks(model, clip, name):
    """What a newcomer's tracker is checked for by its line in the registry."""
    track, network = TRACKERS[name].track, {"nanodet": load_nanodet, "masa": lambda: model}[name]()
    seen = []
    tracks = track(
        clip, network, classes="person", threshold=0.2, rate=2, max_tracks=1, progress=lambda *done: seen.append(done)
    )
    assert isinstance(tracks, Tracks)
    assert len(tracks) <= 1
    assert seen == sorted(seen)
    assert seen[-1][0] == seen[-1][1]
    refused("Track rate", track, clip, network, rate=0)


def test_trackers_that_do_not_exist_or_lack_their_weights_are_named(clip):
    refused("'sort' does not exist; choose from nanodet, masa", track_video, clip, "sort")
    refused(r"needs a file with its weights; download masa_r50\.pth", track_video, clip, "masa")
