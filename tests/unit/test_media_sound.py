"""Sound in and out, its length, its channels, its loudness."""

import errno
import io
from pathlib import Path
from unittest.mock import Mock

import av
import numpy as np
import pytest

from stereosync_core.errors import StereoSyncError
from stereosync_core.media.encode import LAYOUTS
from stereosync_core.media.loudness import integrated_loudness, limited, to_loudness, true_peak
from stereosync_core.media.save import save_sound
from stereosync_core.media.sound import Sound, fit_length, read_sound, resample, to_stereo, write_sound
from tests import clips
from tests.errors import refused


def onsets(sound: Sound) -> list[float]:
    """Seconds at which the clicks of :func:`clips.clicks` begin."""
    loud = np.flatnonzero(np.abs(sound.samples[0]) > 0.35)
    starts = loud[np.flatnonzero(np.diff(loud, prepend=-sound.rate) > 0.05 * sound.rate)]
    return (starts / sound.rate).tolist()


def sine(frequency: float, rate: int, seconds: float = 1.0, level: float = 0.5) -> np.ndarray:
    return (level * np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate)).astype(np.float32)[None]


def through_a_file(path: Path, sound: np.ndarray, rate: int = 48000, codec: str = "auto") -> Sound:
    return clips.sound_in(write_sound(path, Sound(sound, rate), codec=codec))


class TestSound:
    def test_knows_its_size(self):
        sound = Sound(np.zeros((2, 24000)), 48000)
        assert (sound.channels, sound.length, sound.duration, sound.samples.dtype) == (2, 24000, 0.5, np.float32)

    def test_is_read_only(self):
        with pytest.raises(ValueError, match="read-only"):
            Sound(np.zeros((1, 4)), 8000).samples[0, 0] = 1

    @pytest.mark.parametrize(
        ("samples", "rate", "word"),
        [
            (np.zeros((2, 0)), 48000, "empty"),
            (np.zeros((0, 9)), 48000, "empty"),
            (np.zeros(9), 48000, r"\[channels, samples\]"),
            (np.zeros((1, 2, 9)), 48000, r"\[channels, samples\]"),
            (np.array([[0, np.nan, 1]]), 48000, "1 of 3 samples are NaN"),
            (np.array([[0, -np.inf, 1]]), 48000, "NaN or infinite"),
            (np.zeros((1, 9)), 0, "sample rate is 0"),
        ],
    )
    def test_refuses_what_is_no_sound(self, samples, rate, word):
        refused(word, Sound, samples, rate)


class TestWriteSound:
    @pytest.mark.parametrize("rate", [22050, 44100, 48000, 96000])
    def test_wav_is_exact(self, tmp_path, rate):
        sound = clips.noise(0.321, rate)
        back = through_a_file(tmp_path / "a.wav", sound, rate)
        assert back.rate == rate
        assert np.array_equal(back.samples, sound)

    @pytest.mark.parametrize(
        ("name", "codec", "step"), [("a.flac", "auto", 2**-23), ("a.wav", "pcm24", 2**-23), ("a.wav", "pcm16", 2**-15)]
    )
    def test_whole_numbers_are_exact_to_their_step(self, tmp_path, name, codec, step):
        sound = clips.noise(0.321)
        back = through_a_file(tmp_path / name, sound, codec=codec)
        assert back.length == sound.shape[1]
        assert np.abs(back.samples - sound).max() <= step / 2

    def test_whole_numbers_clip_at_full_scale(self, tmp_path):
        back = through_a_file(tmp_path / "a.wav", np.array([[2.0, -2.0] * 50]), 8000, "pcm16")
        assert (back.samples.max(), back.samples.min()) == (32767 / 32768, -1)

    @pytest.mark.parametrize(("name", "rate"), [("a.mp3", 44100), ("a.ogg", 48000), ("a.opus", 48000), ("a.m4a", 44100)])
    def test_lossy_files_keep_every_sounds_place(self, tmp_path, name, rate):
        back = through_a_file(tmp_path / name, clips.clicks([0.1, 0.4], 0.6, 44100), 44100)
        assert back.rate == rate
        assert onsets(back) == pytest.approx([0.1, 0.4], abs=1e-3)
        assert 0 <= back.length - round(0.6 * rate) <= 1024

    @pytest.mark.parametrize("channels", sorted(LAYOUTS))
    @pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.mka"])
    def test_holds_every_layout_that_the_codec_has(self, tmp_path, name, channels):
        if channels > 8 and name == "a.flac":  # which takes eight
            refused("mix it to stereo", write_sound, tmp_path / name, Sound(clips.noise(0.1, channels=channels), 48000))
            return
        sound = clips.noise(0.1, channels=channels)
        assert np.allclose(through_a_file(tmp_path / name, sound).samples, sound, atol=2**-23)

    @pytest.mark.parametrize("name", ["a.m4a", "a.ogg"])
    def test_lossy_files_hold_eight_channels_in_order(self, tmp_path, name):
        back = through_a_file(tmp_path / name, np.stack([sine(200 + 100 * n, 48000)[0] for n in range(8)]))
        order = np.abs(np.fft.rfft(back.samples[:, 4800 : 4800 + 4800])).argmax(axis=1) * 10
        assert [frequency for n, frequency in enumerate(order) if n != 3] == [200, 300, 400, 600, 700, 800, 900]  # LFE is 3

    @pytest.mark.parametrize(
        ("name", "codec", "channels", "word"),
        [
            ("a.xyz", "auto", 2, "one of the endings .wav"),
            ("a.wav", "speex", 2, "no sound codec 'speex'"),
            ("a.mp3", "flac", 2, "cannot hold flac"),
            ("a.mp3", "auto", 6, "mix it to stereo"),
            ("a.wav", "auto", 17, "mix it to stereo"),
        ],
    )
    def test_refuses_what_does_not_fit(self, tmp_path, name, codec, channels, word):
        refused(word, write_sound, tmp_path / name, Sound(np.zeros((channels, 4800)), 48000), codec=codec)
        assert list(tmp_path.iterdir()) == []

    def test_replaces_a_file_only_when_done(self, tmp_path, monkeypatch):
        path = write_sound(tmp_path / "a.wav", Sound(clips.noise(0.1), 48000))
        before = path.read_bytes()
        full = Mock(side_effect=OSError(errno.ENOSPC, "No space left on device"))
        monkeypatch.setattr("stereosync_core.media.sound.SoundTrack.finish", full)
        refused("no room", write_sound, path, Sound(clips.noise(0.2), 48000))
        assert path.read_bytes() == before
        assert list(tmp_path.iterdir()) == [path]

    def test_says_so_when_the_disk_is_full_and_leaves_nothing(self, tmp_path):
        with clips.full_disk(65536), pytest.raises(StereoSyncError, match="no room"):
            write_sound(tmp_path / "a.wav", Sound(clips.noise(2.0), 48000))
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize(
        ("name", "word"), [("file/a.wav", "does not exist"), ("none/a.wav", "does not exist"), ("a.wav", "is a folder")]
    )
    def test_says_so_when_the_folder_cannot_be_written(self, tmp_path, name, word):
        (tmp_path / "file").touch()
        (tmp_path / "a.wav").mkdir()
        refused(word, write_sound, tmp_path / name, Sound(clips.noise(0.1), 48000))

    def test_says_so_when_writing_is_not_permitted(self, tmp_path, monkeypatch):
        monkeypatch.setattr(av, "open", Mock(side_effect=PermissionError(errno.EACCES, "Permission denied")))
        refused("may not be written", write_sound, tmp_path / "a.wav", Sound(clips.noise(0.1), 48000))


class TestReadSound:
    def test_is_none_where_there_is_none(self, tmp_path):
        assert read_sound(clips.make_clip(tmp_path / "a.mp4")) is None

    @pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.mkv"])
    @pytest.mark.parametrize(
        ("video_start", "sound_start", "first"), [(0, 0, 0.2), (0, 0.5, 0.7), (0.3, 0, -0.1), (0.3, 0.3, 0.2)]
    )
    def test_begins_with_the_first_frame(self, tmp_path, name, video_start, sound_start, first):
        """A sound that starts late gets silence before it, one that starts early is cut."""
        sound = clips.clicks([0.2, 0.3], 0.5)
        clip = clips.make_clip(tmp_path / name, start=video_start, sound=sound, sound_start=sound_start)
        found = clips.sound_in(clip)
        assert onsets(found) == pytest.approx([t for t in (first, first + 0.1) if t >= 0], abs=1e-3)
        assert found.length == 48000

    def test_is_as_long_as_the_video(self, tmp_path):
        for n, (seconds, rate) in enumerate([(0.4, 44100), (1.7, 48000)]):
            clip = clips.make_clip(tmp_path / f"{n}.mp4", count=31, sound=clips.noise(seconds, rate), sound_rate=rate)
            found = clips.sound_in(clip)
            assert (found.length, found.rate) == (round(31 / 30 * rate), rate)

    def test_of_a_sound_file_is_all_of_it(self, tmp_path):
        sound = Sound(clips.noise(0.5), 48000)
        path = write_sound(tmp_path / "a.flac", sound)
        for source in (path, io.BytesIO(path.read_bytes())):
            assert np.allclose(clips.sound_in(source).samples, sound.samples, atol=1e-6)

    def test_with_a_cover_picture_is_all_of_it(self, tmp_path):
        plain = clips.sound_file(tmp_path / "a.mp3", clips.noise(0.5), codec="libmp3lame")
        before = clips.sound_in(plain)
        after = clips.sound_in(clips.with_cover(plain))
        assert (after.length, after.rate) == (before.length, before.rate)
        assert after.length >= 24000

    def test_that_ends_before_the_first_frame_is_silence(self, tmp_path):
        found = clips.sound_in(clips.make_clip(tmp_path / "a.mkv", start=0.5, sound=clips.noise(0.3)))
        assert found.length == 48000
        assert not found.samples.any()

    def test_fills_gaps_with_silence(self, tmp_path):
        found = clips.sound_in(clips.sound_file(tmp_path / "a.mka", clips.clicks([0.1], 0.2), starts=(0.0, 0.5)))
        assert onsets(found) == pytest.approx([0.1, 0.6], abs=2e-3)
        assert not found.samples[:, 12000:22000].any()

    @pytest.mark.parametrize(
        ("name", "codec", "tolerance"),
        [
            ("a.wav", "pcm_u8", 2**-7),
            ("a.wav", "pcm_s16le", 2**-15),
            ("a.wav", "pcm_s32le", 2**-23),
            ("a.wav", "pcm_f64le", 1e-7),
            ("a.mka", "pcm_s24le", 2**-23),
        ],
    )
    def test_takes_any_sample_format(self, tmp_path, name, codec, tolerance):
        sound = clips.noise(0.2)
        found = clips.sound_in(clips.sound_file(tmp_path / name, sound, codec=codec))
        assert np.abs(found.samples - sound).max() <= tolerance

    def test_takes_a_clip_with_eight_channels(self, tmp_path):
        clip = clips.make_clip(tmp_path / "a.mp4", sound=clips.noise(1.0, channels=8))
        assert clips.sound_in(clip).samples.shape == (8, 48000)

    def test_of_a_missing_file_is_an_error(self, tmp_path):
        refused("there is no file", read_sound, tmp_path / "gone.wav")


class TestResample:
    @pytest.mark.parametrize(("old", "new"), [(44100, 48000), (48000, 44100), (16000, 48000), (48000, 16000)])
    def test_keeps_tone_level_and_place(self, old, new):
        found = resample(Sound(sine(1000, old), old), new)
        assert (found.length, found.rate) == (new, new)
        assert np.abs(found.samples - sine(1000, new))[:, 400:-400].max() < 1e-3

    def test_does_not_fold_high_tones_down(self):
        found = resample(Sound(sine(15000, 48000), 48000), 16000)
        assert np.abs(found.samples[:, 400:-400]).max() < 1e-4

    def test_at_the_same_rate_is_the_same(self):
        sound = Sound(sine(1000, 8000), 8000)
        assert resample(sound, 8000) is sound


class TestFitLength:
    def test_appends_silence(self):
        found = fit_length(np.ones((2, 10), np.float32), 14)
        assert found.tolist() == [[1] * 10 + [0] * 4] * 2

    def test_fades_where_it_cuts(self):
        found = fit_length(np.ones((1, 48000), np.float32), 24000, 48000)
        assert found.shape == (1, 24000)
        assert np.all(found[0, : 24000 - 240] == 1)
        assert np.all(np.diff(found[0, -240:]) < 0)
        assert found[0, -1] == 0


class TestToStereo:
    def test_doubles_mono(self):
        assert to_stereo(np.array([[1, 2]], np.float32)).tolist() == [[1, 2], [1, 2]]

    def test_leaves_stereo_alone(self):
        sound = clips.noise(0.1)
        assert to_stereo(sound) is sound

    @pytest.mark.parametrize(("channels", "layout"), [(5, "5.0"), (6, "5.1"), (8, "7.1")])
    def test_mixes_surround_as_libav_does(self, channels, layout):
        sound = clips.noise(0.1, channels=channels)
        frame = av.AudioFrame.from_ndarray(sound.T.reshape(1, -1).copy(), format="flt", layout=layout)
        frame.sample_rate = 48000
        (reference,) = av.AudioResampler(format="fltp", layout="stereo").resample(frame)
        expected = reference.to_ndarray()
        ours = to_stereo(sound)
        # libav may scale the whole mix down
        scale = (expected * ours).sum() / (ours * ours).sum()
        assert np.allclose(expected, ours * scale, atol=1e-5)

    def test_takes_any_number_of_channels(self):
        for channels in range(1, 20):
            assert to_stereo(clips.noise(0.01, channels=channels)).shape == (2, 480)


class TestLoudness:
    def test_of_the_standards_tone(self):
        """ITU-R BS.1770: a 997 Hz sine at full scale in one of the front channels reads -3.01 LUFS."""
        assert integrated_loudness(Sound(sine(997, 48000, 4.0, level=1.0), 48000)) == pytest.approx(-3.01, abs=0.1)

    @pytest.mark.parametrize("channels", [1, 2, 5, 6, 8])
    def test_can_be_set(self, channels):
        found = to_loudness(Sound(clips.noise(2.0, channels=channels, level=0.02), 48000), -27.0)
        assert integrated_loudness(found.sound) == pytest.approx(-27.0, abs=0.05)
        assert (found.after, found.reason) == (pytest.approx(-27.0), "")
        assert found.before is not None
        assert found.gain_db == pytest.approx(-27.0 - found.before)

    def test_stops_at_the_true_peak_and_says_so(self):
        found = to_loudness(Sound(clips.clicks([0.1, 0.7], 2.0), 48000), -10.0, peak_dbtp=-1.0)
        assert 20 * np.log10(true_peak(found.sound)) == pytest.approx(-1.0, abs=0.02)
        assert "peaks allow" in found.reason

    def test_peak_counts_what_lies_between_the_samples(self):
        """A tone at a quarter of the rate, sampled 45 degrees off its crests."""
        tone = np.sin(np.pi / 2 * np.arange(4800) + np.pi / 4)[None]
        assert np.abs(tone).max() == pytest.approx(0.7071, abs=1e-3)
        assert true_peak(Sound(tone, 48000)) == pytest.approx(1.0, abs=0.02)

    @pytest.mark.parametrize(
        ("sound", "word"),
        [(np.zeros((2, 48000)), "silent"), (clips.noise(0.3), "shorter than 0.4 s"), (np.full((1, 48000), 1e-6), "silent")],
    )
    def test_leaves_alone_what_has_none(self, sound, word):
        sound = Sound(sound, 48000)
        found = to_loudness(sound, -23)
        assert found.sound is sound
        assert (found.before, found.after, found.gain_db) == (None, None, 0.0)
        assert word in found.reason

    @pytest.mark.parametrize(("target", "peak"), [(float("nan"), -1), (5, -1), (-90, -1), (-23, 3), (-23, float("nan"))])
    def test_refuses_numbers_that_make_no_sense(self, target, peak):
        refused("Loudness", to_loudness, Sound(clips.noise(1.0), 48000), target, peak)


class TestLimiter:
    #: Steps over a quiet bed: peaks 20 dB above the rest.
    PEAKY = Sound(clips.noise(4.0, level=0.05) + clips.clicks([0.2, 0.9, 1.5, 3.1], 4.0), 48000)

    @pytest.mark.parametrize("target", [-20, -14, -10])
    def test_reaches_what_peaks_do_not_allow(self, target):
        plain, found = to_loudness(self.PEAKY, target), to_loudness(self.PEAKY, target, limiter=True)
        assert plain.after is not None
        assert plain.after < target - 0.5
        assert f"{plain.after:.1f} LUFS only" in plain.reason
        assert "limiter" in plain.reason
        assert (integrated_loudness(found.sound), found.reason) == (pytest.approx(target, abs=0.2), "")
        assert 20 * np.log10(true_peak(found.sound)) <= -1 + 0.01
        assert found.after == pytest.approx(integrated_loudness(found.sound))
        assert found.peak_dbtp == pytest.approx(20 * np.log10(true_peak(found.sound)))

    def test_turns_only_what_is_too_loud_down_and_both_channels_alike(self):
        sound = Sound(clips.noise(4.0, level=0.05) + clips.clicks([2.0], 4.0) * np.array([[2.0], [0.5]], np.float32), 48000)
        gain = limited(sound, -1.0).samples / sound.samples
        assert np.allclose(gain[:, :95000], 1, atol=1e-3)
        assert np.allclose(gain[:, 130000:], 1, atol=1e-3)
        assert np.allclose(gain[0], gain[1], atol=1e-3)
        assert gain.min() == pytest.approx(10 ** (-1 / 20) / np.abs(sound.samples).max(), rel=0.1)

    def test_is_the_same_in_parts(self, monkeypatch):
        whole = limited(self.PEAKY, -20.0)
        monkeypatch.setattr("stereosync_core.media.loudness._STEP", 48000)
        assert np.allclose(limited(self.PEAKY, -20.0).samples, whole.samples, atol=2e-3)

    def test_gives_up_where_nothing_can_be_reached(self):
        found = to_loudness(Sound(clips.clicks([0.1, 0.7], 2.0), 48000), -5, limiter=True)
        assert found.after is not None
        assert found.after < -15
        assert "with a limiter" in found.reason
        assert found.gain_db <= 24.5


class TestSaveSound:
    LOUD = Sound(clips.noise(1.0, level=5.0), 48000)

    @pytest.mark.parametrize(("name", "codec"), [("a.wav", "pcm16"), ("a.wav", "pcm24"), ("a.flac", "auto"), ("a.m4a", "auto")])
    def test_what_passes_full_scale_is_turned_down_with_a_note(self, tmp_path, name, codec):
        report, peak = save_sound(tmp_path / name, self.LOUD, codec=codec), np.abs(self.LOUD.samples).max()
        assert report.gain_db == pytest.approx(-20 * np.log10(peak), abs=0.01)
        assert f"full scale by {20 * np.log10(peak):.1f} dB" in report.notes[0]
        found = clips.sound_in(report.path).samples[:, :48000]
        assert np.corrcoef(found[0], self.LOUD.samples[0])[0, 1] > 0.99

    def test_floating_point_is_kept(self, tmp_path):
        report = save_sound(tmp_path / "a.wav", self.LOUD)
        assert np.array_equal(clips.sound_in(report.path).samples, self.LOUD.samples)
        assert (report.gain_db, report.notes) == (0, ())
        assert report.true_peak == pytest.approx(20 * np.log10(true_peak(self.LOUD)))

    def test_tells_what_was_reached(self, tmp_path):
        report = save_sound(tmp_path / "a.wav", Sound(clips.noise(2.0), 48000), loudness=-20, codec="pcm24")
        assert report.loudness_after == pytest.approx(-20, abs=0.05)
        assert integrated_loudness(clips.sound_in(report.path)) == pytest.approx(-20, abs=0.05)
        assert (report.samples, report.rate, report.codec, report.notes) == (96000, 48000, "pcm24", ())
