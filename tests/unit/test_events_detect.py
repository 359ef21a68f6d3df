"""Detect Events over whole clips: the bundled walker's eight contacts, and every way in which there may be nothing to find."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from stereosync_core.assets import WALKING_CLIP, asset_path
from stereosync_core.errors import StereoSyncError
from stereosync_core.events import detect
from stereosync_core.events.detect import METHODS, detect_events, gait_steps, onset_events
from stereosync_core.media.sound import Sound
from stereosync_core.scene import Track, Tracks
from stereosync_core.scene_events import Event

#: Heel strikes read by eye off every frame, see research/evaluation/sync.py.
CONTACTS = [1.325, 1.99, 2.625, 3.25, 3.855, 4.475, 5.085, 5.71]
CLIP = asset_path(WALKING_CLIP)
DURATION = 7.6667
ASPECT = 1768 / 994


def walker() -> Tracks:
    """The walker's boxes, by hand."""
    times = np.arange(1.3, 6.7, 0.1)
    x = np.interp(times, [1.3, 1.9, 2.6, 3.2, 3.8, 4.5, 5.1, 5.7, 6.6], [0.86, 0.77, 0.68, 0.58, 0.47, 0.34, 0.23, 0.13, 0.0])
    boxes = np.stack([np.clip(x - 0.06, 0, 1), np.full(len(x), 0.53), x + 0.06, np.full(len(x), 0.96)], axis=1)
    return Tracks((Track(0, "person", times, boxes),), DURATION, aspect=ASPECT)


@pytest.mark.slow
def test_the_walking_clip_has_its_contacts():
    events = detect_events(CLIP, walker())
    steps = events.of_kind("step")
    true = np.array(CONTACTS)
    apart = steps.times[None] - true[:, None]
    nearest = apart[np.arange(len(true)), np.abs(apart).argmin(1)]
    assert (np.abs(nearest) <= 0.05).all(), nearest
    assert abs(float(np.median(nearest))) <= 0.02
    # the foot that lands on the frame's edge may be seen
    assert len(steps.times[steps.times < 6.25]) == len(true)
    assert len(events) - len(steps) == 0
    assert {event.track for event in events} == {0}
    feet = [event.foot for event in steps]
    assert all(one != other for one, other in pairwise(feet))


def test_progress_may_stop_the_work():
    def stop(done: float, total: float) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        detect_events(CLIP, walker(), progress=stop)


def test_nothing_tracked_is_no_event():
    for method in METHODS[:-1]:
        assert len(detect_events(CLIP, Tracks((), DURATION))) == 0, method


def test_a_chair_makes_no_sound_by_its_path():
    box = np.tile([0.1, 0.1, 0.2, 0.2], (20, 1))
    tracks = Tracks((Track(3, "chair", np.arange(20) / 10, box),), DURATION, aspect=ASPECT)
    assert len(detect_events(CLIP, tracks)) == 0


def test_where_no_pose_is_found_the_box_walks(monkeypatch):
    monkeypatch.setattr(detect, "track_landmarks", lambda *_, **__: [])
    events = detect_events(CLIP, walker())
    assert len(events) > 4
    assert all(event.confidence < 0.6 for event in events)
    still = Track(1, "person", np.arange(40) / 10, np.tile([0.4, 0.2, 0.5, 0.9], (40, 1)))
    assert not [event for event in gait_steps(still, Tracks((still,), 4.0)) if event.confidence >= 0.5]


def test_low_confidence_makes_no_event(monkeypatch):
    monkeypatch.setattr(detect, "track_landmarks", lambda *_, **__: [])
    assert len(detect_events(CLIP, walker(), confidence=0.9)) == 0


def test_events_beyond_the_end_are_cut(monkeypatch):
    monkeypatch.setattr(detect, "gait_steps", lambda *_: [Event(1.0, "step"), Event(99.0, "step")])
    assert detect_events(CLIP, walker(), method="gait").times.tolist() == [1.0]


def test_a_guide_sound_gives_its_onsets():
    rate = 16000
    samples = np.zeros((1, 3 * rate), dtype=np.float32)
    noise = np.random.default_rng(0).standard_normal(800) * np.exp(-np.arange(800) / 150)
    for moment, gain in ((0.5, 0.5), (1.25, 0.25)):
        samples[0, int(moment * rate) : int(moment * rate) + 800] = gain * 0.3 * noise
    events = onset_events(Sound(samples, rate))
    assert np.allclose([event.time for event in events], [0.5, 1.25], atol=0.02)
    assert events[0].strength == pytest.approx(1.0)
    assert events[1].strength == pytest.approx(0.5, abs=0.1)
    assert detect_events(CLIP, Tracks((), DURATION), sound=Sound(samples, rate)).times.tolist() == [
        event.time for event in events
    ]
    assert onset_events(Sound(np.zeros((2, rate), dtype=np.float32), rate)) == []


@pytest.mark.parametrize(
    ("options", "words"),
    [({"method": "guess"}, "choose auto"), ({"method": "sound"}, "needs a guide sound"), ({"confidence": 2}, "in 0..1")],
)
def test_wrong_settings_are_refused_in_words(options, words):
    with pytest.raises(StereoSyncError, match=words):
        detect_events(CLIP, walker(), **options)
