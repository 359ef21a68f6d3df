"""Small pictures of what was found and made."""

import numpy as np

from stereosync_core.media.sound import Sound
from stereosync_core.preview.strips import depth_strip, envelope_picture, sound_picture, tracks_strip
from stereosync_core.scene import DepthSequence, Envelope, Track, Tracks
from tests.clips import make_clip


def tracks_at(x):
    return Tracks((Track(0, "person", [0.0, 1.0], [[x, 0.2, x + 0.1, 0.8]] * 2, None),), 1.0)


def test_near_depth_is_bright():
    maps = np.zeros((2, 12, 16), np.float32)
    maps[1] = 1.0
    strip = depth_strip(DepthSequence(maps, [0.0, 1.0]))
    assert strip.shape[2] == 3
    assert strip[:100, -40:].mean() > strip[:100, :40].mean() + 100


def test_boxes_are_drawn_with_label_id_and_azimuth(tmp_path):
    clip = make_clip(tmp_path / "clip.mp4")
    without, with_box = (tracks_strip(clip, tracks) for tracks in (Tracks((), 1.0), tracks_at(0.6)))
    assert without.shape == with_box.shape
    assert (without != with_box).any()


def test_the_envelope_is_high_where_it_is_loud():
    times = np.linspace(0, 1, 201)
    picture = envelope_picture(Envelope(np.where(times > 0.5, 0.1, 0.0), times))
    assert picture.shape == (96, 768, 3)
    assert (picture[10, 500:] != 24).all()
    assert (picture[10, :300] == 24).all()


def test_a_sound_on_the_left_is_bright_above_and_a_track_is_drawn_over_it():
    tone = np.sin(np.arange(48000) / 5).astype(np.float32)
    sound = Sound(np.stack([tone, 0.001 * tone]), 48000)
    picture = sound_picture(sound)
    assert picture.shape == (192, 768, 3)
    assert picture[:96].mean() > 2 * picture[96:].mean()
    assert (sound_picture(sound, tracks_at(0.8)) != picture).any(axis=2)[96:].any()


def test_silence_and_one_sample_have_pictures_too():
    assert sound_picture(Sound(np.zeros((1, 1), np.float32), 44100)).shape == (192, 768, 3)
    assert envelope_picture(Envelope([0.0], [0.0])).shape == (96, 768, 3)
