"""Envelopes, curves, scene features, motion and timbre: the conditions before they reach the model."""

import numpy as np
import pytest
import torch

from research.small_model import lively
from stereosync_core import DepthSequence, Envelope, SpatialConditioning, Track, Tracks
from stereosync_core.model.conditioning.curve import envelope_of_curve
from stereosync_core.model.conditioning.features import compress, envelope_features, latent_count, scene_features
from stereosync_core.model.conditioning.sound_timbre import SoundTimbre
from stereosync_core.model.conditioning.video_envelope import CLASSES, FULL_SCALE, from_classes, picture_motion, to_classes
from tests.errors import refused

RATE = 44100 / 2048


def crossing(duration: float = 4.0) -> Tracks:
    times = np.arange(0, duration, 0.1)
    left = np.linspace(0.0, 0.8, len(times))
    boxes = np.stack([left, np.full_like(left, 0.2), left + 0.2, np.full_like(left, 0.9)], axis=1)
    return Tracks((Track(1, "person", times, boxes),), duration)


def test_features_are_at_the_latent_frame_rate():
    frames = latent_count(4.0, RATE)
    assert frames == 87
    depth = DepthSequence(np.linspace(0, 1, 4)[:, None, None] * np.ones((4, 24, 32)), np.arange(4.0))
    features = scene_features(crossing(), depth, frames, RATE)
    assert features.boxes.shape == (1, 87, 4, 4)
    azimuth = (features.boxes[0, ..., 0] + features.boxes[0, ..., 2] - 1).flatten()
    assert azimuth[2] == pytest.approx(-0.8, abs=0.02)
    assert azimuth[170] == pytest.approx(0.0, abs=0.05), "half the clip, half the way"
    assert features.depth[int(1.5 * RATE)].mean() == pytest.approx(0.5, abs=0.02)
    assert features.has_depth == 1


def test_what_leaves_the_picture_is_not_seen_and_depth_may_be_missing():
    tracks = Tracks((Track(1, "person", [0.0, 0.1, 0.2], [[0, 0, 0.1, 1]] * 3),), 2.0)
    features = scene_features(tracks, None, 44, RATE)
    assert features.seen[0, :4].min() == 1
    assert features.seen[0, 10:].max() == 0
    assert features.has_depth == 0
    assert scene_features(Tracks((), 2.0), None, 44, RATE).boxes.shape == (0, 44, 4, 4)


def test_an_envelope_is_relative_to_its_loudest_moment():
    times = np.arange(0, 2, 0.005)
    envelope = Envelope(0.04 * np.exp(-(((times - 1.0) / 0.05) ** 2)), times)
    curve, loudest = envelope_features(envelope, 44, RATE)
    assert loudest == pytest.approx(0.04)
    assert curve.shape == (4, 44)
    assert curve.max() == pytest.approx(1.0, abs=0.02)
    louder, _ = envelope_features(Envelope(envelope.values * 10, times), 44, RATE)
    torch.testing.assert_close(louder, curve)
    silent, nothing = envelope_features(Envelope(np.zeros(5), np.arange(5.0)), 44, RATE)
    assert nothing == 0
    assert not silent.any()
    assert 0.05 < compress(torch.tensor(1e-3)) < 0.2, "-60 dB is still above 0"


def test_mu_law_classes_and_back():
    levels = torch.tensor([0.0, 0.001, 0.01, 0.1, FULL_SCALE])
    classes = to_classes(levels)
    assert (classes[0], classes[-1]) == (0, pytest.approx(CLASSES - 1))
    torch.testing.assert_close(from_classes(classes), levels)


def test_a_written_curve_has_hits_and_lines():
    envelope = envelope_of_curve("0.5 hit, 1.5 hit 0.5; 2 0.2\n3 0.8", None, 4.0, 0.1)
    assert envelope.at(0.5) == pytest.approx(0.1, rel=0.05)
    assert envelope.at(0.4) == 0
    assert envelope.at(1.5) == pytest.approx(0.05, rel=0.05)
    assert envelope.at(2.5) == pytest.approx(0.05, rel=0.05)
    assert envelope.at(9.0) == 0


def test_a_drawn_curve_is_as_loud_as_it_is_high():
    mask = np.zeros((10, 40))
    mask[5:, 20:] = 1
    envelope = envelope_of_curve("", mask, 8.0, 0.1)
    assert envelope.at(1.0) == 0
    assert envelope.at(6.0) == pytest.approx(0.05)


@pytest.mark.parametrize("text", ["", "loud", "1.0", "-1 hit", "1 hit loud", "99999999 hit"])
def test_a_curve_that_is_not_understood_is_quoted(text):
    refused("Envelope curve", envelope_of_curve, text, None, 4.0, 0.1)


def test_motion_is_where_something_moves():
    still = np.zeros((60, 80, 3), np.uint8)
    moving = still.copy()
    moving[40:60, :20] = 200
    tracks = Tracks(
        (Track(1, "person", [0.0, 1.0], [[0, 0, 0.25, 1]] * 2), Track(2, "person", [0.0, 1.0], [[0.5, 0, 1, 1]] * 2)), 1.0, 2.0
    )
    times, motion = picture_motion([(0.0, still), (0.1, moving), (0.2, moving)], tracks)
    assert times.tolist() == [0.0, 0.1, 0.2]
    assert motion[1, 0] > 3
    assert motion[1, 1] == 0
    assert 0 < motion[1, 2] < motion[1, 0]
    assert not motion[2].any()


def test_what_of_a_scene_is_used_can_be_chosen():
    depth = DepthSequence(np.zeros((2, 4, 4)), [0.0, 1.0])
    both = SpatialConditioning(crossing(), depth).selected()
    assert len(both[0]) == 1
    assert both[1] is depth
    assert len(SpatialConditioning(crossing(), depth, "depth").selected()[0]) == 0
    assert SpatialConditioning(crossing(), depth, "boxes").selected()[1] is None
    assert SpatialConditioning(crossing(), depth, "nothing").duration == 4.0
    refused("colour", SpatialConditioning, crossing(), depth, "colour")


def test_timbre_does_not_depend_on_place_loudness_or_rate():
    encoder = lively(SoundTimbre(["grass"], 16))
    sound = np.random.default_rng(0).standard_normal((1, 44100)).cumsum(axis=1) * 1e-3
    vector = encoder.of_sound(sound, 44100)
    assert vector.norm() == pytest.approx(4.0, rel=1e-3)
    placed = np.concatenate([sound * 0.02, sound * 0.3])
    torch.testing.assert_close(encoder.of_sound(placed, 44100), vector, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("sound", [np.zeros((1, 100)), np.full((1, 100), np.nan), np.zeros((1, 0))])
def test_a_reference_that_cannot_be_heard_is_refused(sound):
    refused("reference", SoundTimbre(["grass"], 16).of_sound, sound, 44100)


def test_an_unknown_surface_is_named():
    refused("lava", SoundTimbre(["grass"], 16).of_name, "lava")
