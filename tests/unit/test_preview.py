"""Overlays and plots show what they are given."""

import numpy as np
import pytest

from stereosync_core import DepthSequence, Sound, Track, Tracks, frames, probe
from stereosync_core.errors import StereoSyncError
from stereosync_core.preview.event_strip import CAPTION, COLUMNS, MOST, SIDE, event_strip
from stereosync_core.preview.overlay import COLOURS, draw_tracks, overlay_frames, write_preview
from stereosync_core.preview.plot import alignment_report, plot_scene
from stereosync_core.scene_events import Event, Events

TIMES = np.arange(0, 2, 0.1)
BOXES = [[x, 0.3, x + 0.1, 0.7] for x in np.linspace(0.1, 0.8, 20)]
TRACKS = Tracks((Track(1, "person", TIMES, BOXES),), 2.0)


def ramp(path):
    pictures = ((n / 10, np.full((48, 64, 3), 12 * n, dtype=np.uint8)) for n in range(20))
    return write_preview(pictures, path, 10)


def test_a_preview_plays_at_its_own_times(tmp_path):
    info = probe(ramp(tmp_path / "clip.mp4"))
    assert (info.width, info.height, info.frame_count) == (64, 48, 20)
    assert abs(info.duration - 2.0) < 0.11


def test_a_box_is_drawn_where_the_object_is_and_not_when_it_is_gone():
    black = np.zeros((100, 200, 3), dtype=np.uint8)
    drawn = draw_tracks(black, TRACKS, 0.0)
    columns = np.flatnonzero((drawn == COLOURS[0]).all(axis=-1).any(axis=0))
    assert columns.min() in range(18, 21)
    assert (draw_tracks(black, Tracks(TRACKS.tracks, 9.0), 8.0) == 0).all()
    assert (black == 0).all(), "the frame itself is left alone"


def test_depth_is_drawn_bright_where_near(tmp_path):
    clip = ramp(tmp_path / "clip.mp4")
    maps = np.zeros((1, 10, 20), dtype=np.float32)
    maps[:, :, 10:] = 1
    depth = DepthSequence(maps, [0.0])
    _, image = next(overlay_frames(clip, depth=depth, depth_opacity=1.0))
    assert image[:, 48:].mean() > image[:, :16].mean() + 100


def test_the_plot_has_its_size_and_shows_the_sound():
    alone = plot_scene(TRACKS)
    rng = np.random.default_rng(0)
    stereo = rng.normal(0, 0.1, (2, 2 * 8000)) * np.stack([np.linspace(1, 0, 16000), np.linspace(0, 1, 16000)])
    with_sound = plot_scene(TRACKS, sound=Sound(stereo, 8000))
    assert alone.shape == with_sound.shape == (720, 1000, 3)
    assert (alone != with_sound).any()
    assert plot_scene(Tracks((), 2.0)).shape == (720, 1000, 3), "a clip with nothing tracked still gives a figure"


def test_a_failing_source_leaves_no_half_preview(tmp_path):
    def broken():
        yield 0.0, np.zeros((48, 64, 3), dtype=np.uint8)
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        write_preview(broken(), tmp_path / "clip.mp4", 10)
    assert list(tmp_path.iterdir()) == []
    assert len(list(frames(ramp(tmp_path / "clip.mp4")))) == 20


EVENTS = Events((Event(0.5, "step", 1, "left", 0.7, 0.9), Event(1.5, "impact", None, None, 0.4, 0.6)), 2.0)


def test_the_strip_has_a_picture_of_each_event_in_its_owners_colour(tmp_path):
    clip = ramp(tmp_path / "clip.mp4")
    strip = event_strip(clip, EVENTS, TRACKS)
    assert strip.shape == (SIDE + CAPTION, 2 * SIDE, 3)
    assert (strip[1, 5] == COLOURS[0]).all()
    assert abs(int(strip[SIDE // 2, SIDE // 2, 0]) - 60) < 6, "the frame at 0.5 s"
    assert abs(int(strip[SIDE // 2, SIDE + SIDE // 2, 0]) - 180) < 6, "the frame at 1.5 s"
    assert event_strip(clip, Events((), 2.0), TRACKS).shape[0] == SIDE + CAPTION
    many = Events(tuple(Event(0.01 * n, "step", 1) for n in range(150)), 2.0)
    assert event_strip(clip, many, TRACKS).shape == (MOST // COLUMNS * (SIDE + CAPTION), COLUMNS * SIDE, 3)
    with pytest.raises(StereoSyncError, match="lasts"):
        event_strip(clip, Events((), 9.0), TRACKS)


def test_plot_and_report_show_events_and_how_far_the_sound_is_from_them():
    sound = np.zeros((2, 88200), dtype=np.float32)
    for time in (0.52, 1.0):
        sound[:, round(time * 44100) :][:, :2000] += np.random.default_rng(0).standard_normal(2000) * 0.2
    plain = plot_scene(TRACKS, sound=Sound(sound, 44100))
    assert (plot_scene(TRACKS, sound=Sound(sound, 44100), events=EVENTS) != plain).any()
    report, figure = alignment_report(sound, 44100, TRACKS, events=EVENTS)
    assert figure.shape == (900, 1100, 3)
    assert (report["sync_hits"], report["sync_misses"], report["sync_other_attacks"]) == (1, 1, 1)
    assert report["sync_f1"] == 0.5
    assert report["sync_offset_ms"] == pytest.approx(20, abs=6)
    assert 0 < report["sync_by_chance"] < 0.2
    assert "sync_f1" not in alignment_report(sound, 44100, TRACKS)[0]
