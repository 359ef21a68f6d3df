"""Clips as people have them: what containers hold beside pictures and sound, and names, codecs and sizes that are unusual."""

import numpy as np
import pytest

from stereosync_core import mux, read_sound
from stereosync_core.media.sound import require_sound
from stereosync_core.media.trim import cut_clip
from stereosync_core.media.video import probe
from tests import clips
from tests.errors import refused

CLICKS, NOISE = clips.clicks(clips.CLICKS, 1.0), clips.noise(1.0, channels=6)


class TestSoundThatCannotBeDecoded:
    """Phones put their best sound into a track of a codec that nobody decodes."""

    @pytest.mark.parametrize(("sounds", "broken"), [((NOISE, CLICKS), 0), ((CLICKS, NOISE), 1)], ids=["first", "second"])
    @pytest.mark.parametrize(
        ("name", "how"), [("a.mov", "unknown"), ("a.mp4", "unknown"), ("a.mov", "empty"), ("a.mkv", "empty")]
    )
    def test_the_next_track_is_taken(self, tmp_path, sounds, broken, name, how):
        path, notes = clips.with_sounds(tmp_path / name, *sounds, **{how: [broken]}), []
        found = read_sound(path, note=notes.append)
        assert found is not None
        assert (found.channels, found.length) == (2, 48000)
        assert np.abs(found.samples[0]).max() == pytest.approx(0.8, abs=0.1)
        assert notes == [] if broken else "next one" in notes[0]

    @pytest.mark.parametrize("how", ["unknown", "empty"])
    def test_the_picture_is_taken_without_sound(self, tmp_path, how):
        path, notes = clips.with_sounds(tmp_path / "a.mov", CLICKS, NOISE, **{how: [0, 1]}), []
        assert cut_clip(path, 0, 0, tmp_path / "cut.mp4", note=notes.append) == (path, None)
        assert len(notes) == 1
        assert "cannot be decoded" in notes[0]
        cut, sound = cut_clip(path, 0.2, 0.5, tmp_path / "cut.mp4", note=notes.append)
        assert (sound, probe(cut).frame_count, len(notes)) == (None, 15, 2)

    def test_a_mix_with_it_is_the_new_sound_with_a_note(self, tmp_path):
        path = clips.with_sounds(tmp_path / "a.mov", CLICKS, unknown=[0])
        report = mux(path, clips.click_sound(), tmp_path / "o.mkv", keep_original="mix")
        assert "cannot be decoded" in report.notes[0]
        assert np.allclose(clips.sound_in(report.path).samples, CLICKS, atol=1e-6)

    def test_it_is_refused_where_the_sound_is_wanted(self, tmp_path):
        path = clips.with_sounds(tmp_path / "a.mov", CLICKS, unknown=[0])
        refused("--timbre: .* no sound that can be decoded", require_sound, path, "--timbre")
