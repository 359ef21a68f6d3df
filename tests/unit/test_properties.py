"""What holds for every time axis, every dialect of boxes and every offset of a sound, on inputs that hypothesis makes."""

import tempfile
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stereosync_core.media.mux import mux
from stereosync_core.media.sound import Sound, fit_length, resample
from stereosync_core.media.source import Clip, Timeline, timeline_of
from stereosync_core.media.video import frame_times
from stereosync_core.scene import DepthSequence, Envelope, Track, interpolation
from stereosync_core.timing import entry_times
from stereosync_core.tracking.boxes import detections_of
from tests import clips

many = settings(derandomize=True, deadline=None, max_examples=100, database=None)
few = settings(derandomize=True, deadline=None, max_examples=12, database=None)  # those that write files

seconds = st.floats(-5, 60, allow_nan=False)
#: Milliseconds between entries: a variable frame rate.
steps = st.lists(st.integers(1, 2000), min_size=1, max_size=20)


def rising(milliseconds: list[int]) -> np.ndarray:
    return np.cumsum([0, *milliseconds[:-1]]) / 1000


@many
@given(steps, st.lists(seconds, min_size=1, max_size=10), st.integers(0, 99))
def test_interpolation_is_numpys_and_holds_the_ends(spacing, wanted, seed):
    known, wanted = rising(spacing), np.array(wanted)
    values = np.random.default_rng(seed).random(len(known))
    left, right, weight = interpolation(known, wanted)
    assert ((weight >= 0) & (weight <= 1)).all()
    np.testing.assert_allclose(
        (1 - weight) * values[left] + weight * values[right], np.interp(wanted, known, values), atol=1e-9
    )
    np.testing.assert_allclose(Envelope(values, known).at(wanted), np.interp(wanted, known, values))


@many
@given(steps, st.lists(seconds, min_size=1, max_size=10), st.integers(0, 99))
def test_depth_at_any_time_lies_between_its_neighbours_and_at_its_own_times_is_itself(spacing, wanted, seed):
    times = rising(spacing)
    depth = DepthSequence(np.random.default_rng(seed).random((len(times), 2, 3)), times)
    np.testing.assert_array_equal(depth.at(times), depth.maps)
    found = depth.at(wanted)
    assert found.shape == (len(wanted), 2, 3)
    assert (found >= depth.maps.min(0) - 1e-6).all()
    assert (found <= depth.maps.max(0) + 1e-6).all()


@many
@given(steps, st.lists(seconds, min_size=1, max_size=10), st.integers(0, 99), st.floats(0.05, 3))
def test_a_track_is_visible_at_its_own_boxes_and_gone_half_a_gap_beyond_them(spacing, wanted, seed, max_gap):
    times = rising(spacing)
    corners = np.random.default_rng(seed).random((len(times), 2, 2))
    track = Track(0, "object", times, np.concatenate([corners.min(1), corners.max(1)], axis=1))
    boxes, visible = track.at(times, max_gap)
    np.testing.assert_allclose(boxes, track.boxes, atol=1e-12)
    assert visible.all()
    boxes, visible = track.at(wanted, max_gap)
    assert (boxes >= track.boxes.min(0) - 1e-12).all()
    assert (boxes <= track.boxes.max(0) + 1e-12).all()
    outside = (np.array(wanted) < track.start - max_gap) | (np.array(wanted) > track.end + max_gap)
    assert not visible[outside].any()
    assert (np.abs(track.azimuth(wanted, max_gap)) <= 1).all()


@many
@given(steps, st.integers(-1000, 1000), st.sampled_from([1000, 90000, 12800]), st.randoms(use_true_random=False))
def test_a_timeline_is_in_presentation_order_whatever_the_packets_order(durations, start, rate, random):
    pts = start + np.cumsum([0, *durations[:-1]])
    shuffled = pts.tolist()
    random.shuffle(shuffled)
    shown = np.ones(len(pts), bool)
    timeline = Timeline(np.array(shuffled), shown, ~shown, shown, Fraction(1, rate), durations[-1])
    np.testing.assert_array_equal(timeline.order, pts)
    np.testing.assert_array_equal(timeline.durations, durations)
    assert timeline.duration == Fraction(sum(durations), rate)
    assert timeline.times[0] == 0
    places = np.arange(len(pts))
    np.testing.assert_array_equal(timeline.on_screen(timeline.times), places)
    middle = timeline.times + timeline.durations / rate / 2 - timeline.tolerance
    np.testing.assert_array_equal(timeline.on_screen(middle), places)
    assert timeline.on_screen([-1.0, 1e6]).tolist() == [0, len(pts) - 1]


@many
@given(st.integers(1, 500), st.floats(0.5, 60))
def test_entries_at_a_rate_are_evenly_spaced_and_one_a_frame_has_the_frames_times(count, rate):
    times = entry_times(count, np.zeros(1), count / rate, rate, "Boxes")
    np.testing.assert_allclose(times, np.arange(count) / rate)
    frames = np.arange(count) / 30
    np.testing.assert_array_equal(entry_times(count, frames, count / 30, 0, "Boxes"), frames)


@few
@given(
    st.lists(st.integers(1, 20), min_size=1, max_size=12),
    st.integers(0, 90),
    st.sampled_from(["a.mp4", "a.mkv", "a.mov"]),
    st.sampled_from([0, 2]),
)
def test_a_files_frames_come_at_the_times_that_they_were_written_with(durations, start, name, bframes):
    times = np.cumsum([0, *durations[:-1]]) / 60
    with tempfile.TemporaryDirectory() as folder:
        path = clips.make_clip(
            Path(folder) / name, times=times.tolist(), last_duration=durations[-1] / 60, start=start / 60, bframes=bframes
        )
        clip = Clip(path)
        assert frame_times(clip) == pytest.approx(times, abs=1.1e-3)
        if not bframes:  # MP4 stores the lengths of pictures in the order of decoding
            assert float(timeline_of(clip).duration) == pytest.approx(sum(durations) / 60, abs=2.1e-3)


SIZES = st.tuples(st.integers(16, 4096), st.integers(16, 4096))
CORNERS = st.tuples(*[st.floats(0, 1)] * 4).map(lambda c: (min(c[0], c[2]), min(c[1], c[3]), max(c[0], c[2]), max(c[1], c[3])))
LABELLED = st.tuples(CORNERS, st.floats(0, 1), st.sampled_from(["person", "dog"]))


@many
@given(SIZES, st.lists(st.lists(LABELLED, max_size=4), min_size=1, max_size=5))
def test_relative_boxes_come_back_from_the_pixels_of_every_dialect(size, frames):
    width, height = size
    sides = np.array([width, height, width, height])
    pixels = [[np.array(corners) * sides for corners, _, _ in frame] for frame in frames]
    xywh = [[(x0, y0, x1 - x0, y1 - y0) for x0, y0, x1, y1 in frame] for frame in pixels]
    native, segments = [], []
    for frame, corners, boxes in zip(frames, pixels, xywh, strict=True):
        rows = [{"label": label, "score": score} for _, score, label in frame]
        sides_of = [dict(zip(("x", "y", "width", "height"), box, strict=True)) for box in boxes]
        native.append([{**box, **row} for box, row in zip(sides_of, rows, strict=True)])
        found = [
            SimpleNamespace(bbox=box, confidence=row["score"], label=row["label"])
            for box, row in zip(corners, rows, strict=True)
        ]
        segments.append(((height, width), found))
    for dialect in (native, xywh, segments):
        found = detections_of(dialect, width, height)
        assert [len(detections) for detections in found] == [len(frame) for frame in frames]
        for detections, frame in zip(found, frames, strict=True):
            np.testing.assert_allclose(detections.boxes.reshape(-1), [v for box, _, _ in frame for v in box], atol=1e-9)
            if dialect is not xywh:
                assert list(detections.labels) == [label for _, _, label in frame]
                assert detections.scores.tolist() == [score for _, score, _ in frame]


@many
@given(st.integers(1, 4000), st.integers(1, 4000), st.sampled_from([8000, 22050, 44100, 48000, 96000]))
def test_sound_has_the_length_it_is_fitted_or_resampled_to(have, wanted, rate):
    sound = Sound(np.ones((2, have), np.float32), 44100)
    assert fit_length(sound.samples, wanted, 44100).shape == (2, wanted)
    assert resample(sound, rate).length == max(1, round(have * rate / 44100))


@few
@given(st.integers(1, 40), st.integers(0, 40), st.integers(0, 120), st.sampled_from([44100, 48000]), st.integers(1, 60_000))
def test_a_clips_sound_is_read_in_step_with_its_first_frame(count, start, late, rate, length):
    """Frames and sound begin at any time of their own; the sound may end before the first frame or begin after the last one."""
    click = np.zeros((2, length), np.float32)
    click[:, length // 2] = 0.5
    with tempfile.TemporaryDirectory() as folder:
        track = {"sound": click, "sound_rate": rate, "sound_start": late / 30, "sound_codec": "pcm_s24le"}
        exact = {"movie_timescale": str(rate)}
        path = clips.make_clip(Path(folder) / "a.mov", count=count, start=start / 30, container_options=exact, **track)
        found = clips.sound_in(path)
    assert found.length == round(count / 30 * rate)
    place = length // 2 + round((late - start) / 30 * rate)
    if 2 < place < found.length - 2:
        assert abs(int(np.abs(found.samples[0]).argmax()) - place) <= 1
        assert np.abs(found.samples).max() == pytest.approx(0.5, abs=1e-6)
    elif not -2 <= place <= found.length + 2:
        assert not found.samples.any()


@few
@given(
    st.lists(st.integers(1, 10), min_size=1, max_size=20),
    st.integers(0, 40),
    st.sampled_from([("out.mkv", "flac"), ("out.mov", "pcm24"), ("out.mp4", "flac")]),
    st.sampled_from([44100, 48000]),
    st.integers(1000, 60_000),
)
def test_a_clip_gets_every_sample_of_its_new_sound_up_to_its_own_length(durations, start, out, rate, length):
    times = np.cumsum([0, *durations[:-1]]) / 30
    given_sound = Sound(clips.noise(length / rate, rate), rate)
    with tempfile.TemporaryDirectory() as folder:
        source = clips.make_clip(
            Path(folder) / "in.mp4", times=times.tolist(), last_duration=durations[-1] / 30, start=start / 30
        )
        report = mux(source, given_sound, Path(folder) / out[0], codec=out[1])
        found = clips.sound_in(report.path, align_to_video=False)
        np.testing.assert_allclose(frame_times(report.path), times, atol=1.1e-3)
    assert found.length == report.samples == round(sum(durations) / 30 * rate)
    same = min(given_sound.length, found.length) - rate // 200  # a cut fades over 5 ms
    np.testing.assert_allclose(found.samples[:, : max(same, 0)], given_sound.samples[:, : max(same, 0)], atol=2**-23)
    assert not found.samples[:, given_sound.length :].any()
