"""The pose network gives the landmarks of the file that it was converted from, and people are cut out where they are."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from stereosync_core.events.blazepose import SIZE, load_network
from stereosync_core.events.landmarks import Landmarks, crop_squares, cut_square, picked_times, track_landmarks
from stereosync_core.scene import Track, Tracks


@pytest.fixture(scope="module")
def network():
    return load_network()


@torch.inference_mode()
def test_landmarks_are_those_of_the_original(network):
    y, x = np.mgrid[0:SIZE, 0:SIZE] / 255.0
    picture = np.stack([0.5 + 0.5 * np.sin(9 * x + 2 * y), 0.5 + 0.5 * np.cos(7 * y - 3 * x), (x + y) / 2]).astype(np.float32)
    landmarks, world, presence = network(torch.from_numpy(picture[None]))
    # by MediaPipe's own file under TensorFlow Lite
    expected = [
        [128.349, 55.220, -69.404, -0.110, -5.448],
        [131.382, 120.870, 75.931, -3.604, -1.407],
        [128.437, 131.890, 17.775, 2.058, -0.183],
        [138.994, 178.953, 204.391, -0.693, -1.753],
        [134.170, 200.966, 139.231, 0.598, -2.531],
    ]
    assert np.abs(landmarks[0, [0, 15, 23, 27, 32]].numpy() - expected).max() < 0.05
    assert np.abs(world[0, 27].numpy() - [0.2038, 0.4109, 0.5623]).max() < 0.001
    assert abs(float(presence[0]) - 0.13399726) < 1e-3


@torch.inference_mode()
def test_a_batch_gives_what_single_pictures_give(network):
    pictures = torch.rand(3, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    together = network(pictures)[0]
    alone = torch.cat([network(picture[None])[0] for picture in pictures])
    assert torch.allclose(together, alone, atol=0.02)


def test_a_square_is_black_beyond_the_frame_and_knows_where_it_was_cut():
    frame = np.full((100, 200, 3), 255, dtype=np.uint8)
    pixels, corner = cut_square(frame, np.array([0.0, 0.5, 1.0]))
    assert pixels.shape == (3, SIZE, SIZE)
    assert float(pixels[:, :, : SIZE // 2 - 2].max()) == 0.0
    assert float(pixels[:, :, SIZE // 2 + 2 :].min()) == 1.0
    assert np.allclose(corner, [-0.5, 0.0, 1 / SIZE])


def test_squares_hold_the_person_and_do_not_tremble():
    times = np.arange(60) / 30
    random = np.random.default_rng(0)
    boxes = np.array([0.4, 0.2, 0.5, 0.9]) + 0.01 * random.standard_normal((60, 4))
    squares, present, heights = crop_squares(Track(0, "person", times, boxes), times, 16 / 9, 0.5)
    assert present.all()
    assert np.allclose(heights, 0.7, atol=0.06)
    assert (squares[:, 2] > 0.75).all()
    assert np.ptp(squares[:, 2]) < 0.03


def test_a_fast_clip_is_looked_at_thirty_times_a_second(monkeypatch):
    monkeypatch.setattr("stereosync_core.events.landmarks.frame_times", lambda source: np.arange(0, 2, 1 / 120))
    times = picked_times("clip")
    assert 58 <= len(times) <= 62
    monkeypatch.setattr("stereosync_core.events.landmarks.frame_times", lambda source: np.arange(0, 2, 1 / 25))
    assert len(picked_times("clip")) == 50


def test_no_people_no_landmarks():
    assert track_landmarks("nowhere.mp4", Tracks((), 1.0)) == []


def test_landmarks_know_their_middle():
    points = np.zeros((2, 33, 2))
    points[:, 24] = 1.0
    one = Landmarks(0, np.arange(2.0), points, np.zeros((2, 33, 3)), np.ones((2, 33)), np.ones(2), np.ones(2))
    assert np.allclose(one.middle((23, 24)), 0.5)
