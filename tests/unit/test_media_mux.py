"""Replacing a clip's sound: pictures untouched, sound exact."""

import io
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from stereosync_core import Sound, StereoSyncError
from stereosync_core.media.loudness import integrated_loudness
from stereosync_core.media.mux import MuxReport, mux
from stereosync_core.media.video import frame_times, frames, probe
from tests import clips
from tests.errors import stopped

SILENCE = Sound(np.zeros((2, 48000)), 48000)


@pytest.fixture
def muxed(tmp_path):
    """Makes a clip (unless ``source`` is one) and gives it a sound, clicks if no other: ``(clip, report)``."""

    def make(out: str, sound: Sound | None = None, source="in.mp4", clip=(), **options) -> tuple[Path, MuxReport]:
        path = source if isinstance(source, Path) else clips.make_clip(tmp_path / source, **dict(clip))
        return path, mux(path, sound or clips.click_sound(), tmp_path / out, **options)

    return make


def offsets(path: Path, moments=clips.CLICKS) -> list[int]:
    """By how many samples each click is off."""
    sound = clips.sound_in(path)
    found = []
    for moment in moments:
        at = round(moment * sound.rate)
        reference = clips.clicks([0.01], 0.03, sound.rate)[0]
        window = sound.samples[0, at - round(0.02 * sound.rate) : at + round(0.03 * sound.rate)]
        found.append(int(np.correlate(window, reference).argmax()) - round(0.01 * sound.rate))
    return found


class TestPictures:
    @pytest.mark.parametrize("name", ["out.mp4", "out.mov", "out.m4v", "out.mkv"])
    @pytest.mark.parametrize(
        "clip",
        [
            {},
            {"bframes": 2},
            {"times": clips.VFR, "last_duration": 0.3},
            {"start": 0.5, "bframes": 2},
            {"sound": clips.noise(1.0)},
            {"count": 1},
            {"size": (101, 57), "pixel_format": "yuv444p"},
            {"pixel_format": "yuv420p10le"},
        ],
        ids=["plain", "bframes", "vfr", "offset", "with sound", "one frame", "odd", "10 bit"],
    )
    def test_stay_as_they_are(self, muxed, clip, name):
        source, report = muxed(name, clip=clip)
        assert clips.video_packet_digest(report.path) == clips.video_packet_digest(source)
        assert frame_times(report.path) == pytest.approx(frame_times(source), abs=6e-4)
        assert probe(report.path).start == 0
        assert report.video_packets == probe(source).frame_count == probe(report.path).frame_count

    def test_stay_as_they_are_in_webm(self, muxed):
        source, report = muxed("out.webm", source="in.webm", clip={"codec": "libvpx-vp9"})
        assert clips.video_packet_digest(report.path) == clips.video_packet_digest(source)
        assert report.codec == "opus"
        assert max(map(abs, offsets(report.path))) <= 2

    @pytest.mark.parametrize("name", ["out.mp4", "out.mov", "out.mkv"])
    @pytest.mark.parametrize("degrees", [90, 180, 270])
    def test_keep_their_rotation(self, tmp_path, muxed, name, degrees):
        _, report = muxed(name, source=clips.rotated(clips.make_clip(tmp_path / "in.mp4"), degrees))
        assert probe(report.path).rotation == degrees

    @pytest.mark.parametrize("name", ["out.mp4", "out.mkv"])
    def test_keep_their_colours(self, tmp_path, muxed, name):
        source = clips.colour_clip(tmp_path / "in.mp4", clips.COLOURS, matrix=9, full=True, bits=8)
        clips.assert_colours(muxed(name, source=source)[1].path, clips.COLOURS)

    def test_hidden_by_an_edit_list_stay_hidden(self, tmp_path, muxed):
        whole = clips.make_clip(tmp_path / "whole.mp4", bframes=2)
        source, report = muxed("out.mp4", source=clips.hidden_start(whole, tmp_path / "in.mp4", 0.2))
        assert clips.numbers(frames(report.path)) == list(range(6, 30))
        assert max(map(abs, offsets(report.path, [0.2, 0.5]))) <= 1
        report = mux(source, clips.click_sound(), tmp_path / "out.mkv")
        assert clips.numbers(frames(report.path)) == list(range(6, 30))
        assert "cannot hide" in report.notes[0]

    @pytest.mark.parametrize("name", ["out.mp4", "out.mkv"])
    def test_keep_the_nominal_rate(self, muxed, name):
        with av.open(str(muxed(name)[1].path)) as container:
            assert container.streams.video[0].average_rate == 30


class TestSound:
    @pytest.mark.parametrize(
        ("name", "codec"), [("o.mkv", "flac"), ("o.mov", "pcm24"), ("o.mkv", "float32"), ("o.mp4", "flac")]
    )
    @pytest.mark.parametrize("seconds", [0.3, 1.3, 2.0])
    def test_without_loss_is_exact_and_as_long_as_the_video(self, muxed, name, codec, seconds):
        given = Sound(clips.noise(seconds), 48000)
        _, report = muxed(name, given, clip={"times": clips.VFR, "last_duration": 0.3}, codec=codec)
        found = clips.sound_in(report.path, align_to_video=False)
        assert report.samples == found.length == round(1.3 * 48000)
        kept = min(given.length, found.length) - 240  # a cut fades over 5 ms
        assert np.allclose(found.samples[:, :kept], given.samples[:, :kept], atol=2**-23)
        assert not found.samples[:, given.length :].any()

    def test_is_as_long_as_the_durations_own_rounding(self, muxed):
        """50 frames at 30000/1001 last 73573.5 samples."""
        clip, sound = {"count": 50, "rate": Fraction(30000, 1001)}, Sound(clips.noise(2.0, 44100), 44100)
        source, report = muxed("out.mov", sound, clip=clip, codec="pcm24")
        assert report.samples == clips.sound_in(report.path).length == round(probe(source).duration * 44100)

    @pytest.mark.parametrize("rate", [44100, 48000])
    @pytest.mark.parametrize("clip", [{"bframes": 2}, {"start": 0.5}, {"times": clips.VFR, "last_duration": 0.3}])
    def test_as_aac_is_in_its_place_to_the_sample(self, muxed, rate, clip):
        _, report = muxed("out.mp4", clips.click_sound(rate=rate), clip=clip)
        assert (report.codec, report.rate) == ("aac", rate)
        assert max(map(abs, offsets(report.path))) <= 1

    def test_as_opus_is_resampled(self, muxed):
        _, report = muxed("out.mkv", clips.click_sound(rate=44100), codec="opus")
        assert (report.rate, report.samples) == (48000, 48000)
        assert max(map(abs, offsets(report.path))) <= 50  # a Matroska's millisecond

    def test_reads_right_in_the_hosts_own_nodes(self, muxed):
        _, report = muxed("out.mp4", clips.click_sound(0.4), clip={"bframes": 2})
        header, decoded, seconds, samples = clips.native_reading(report.path)
        assert (header, decoded, seconds) == (30, 30, 1.0)
        assert 0 <= samples - 48000 < 1024

    def test_in_avi_is_pcm(self, muxed):
        try:
            _, report = muxed("out.avi", source="in.avi", clip={"codec": "mpeg4"})
        except StereoSyncError as error:
            pytest.skip(str(error))
        assert report.codec == "pcm16"
        assert offsets(report.path) == [0, 0, 0]

    @pytest.mark.parametrize("name", ["out.mp4", "out.mkv"])
    @pytest.mark.parametrize("channels", [1, 2, 6, 8])
    def test_may_have_up_to_eight_channels(self, muxed, name, channels):
        _, report = muxed(name, clips.click_sound(channels=channels))
        assert clips.sound_in(report.path).channels == channels

    def test_can_be_brought_to_a_loudness(self, muxed):
        _, report = muxed("o.mkv", Sound(clips.noise(1), 48000), loudness=-23)
        assert integrated_loudness(clips.sound_in(report.path)) == pytest.approx(-23, abs=0.05)
        assert report.loudness_after == pytest.approx(-23)
        assert report.gain_db == pytest.approx(-23 - (report.loudness_before or 0))
        assert report.notes == ()

    def test_that_cannot_reach_its_loudness_says_so_or_is_limited(self, muxed):
        sound = Sound(clips.noise(1.0, level=0.05) + clips.clicks(clips.CLICKS, 1.0), 48000)
        _, report = muxed("o.mkv", sound, loudness=-14)
        assert report.loudness_after == pytest.approx(integrated_loudness(clips.sound_in(report.path)), abs=0.05)
        assert report.loudness_after is not None
        assert report.loudness_after < -15
        assert report.true_peak == pytest.approx(-1, abs=0.05)
        assert f"{report.loudness_after:.1f} LUFS only" in report.notes[0]
        _, report = muxed("o.mkv", sound, loudness=-14, limiter=True)
        assert integrated_loudness(clips.sound_in(report.path)) == pytest.approx(-14, abs=0.2)
        assert report.notes == ()

    @pytest.mark.parametrize("name", ["o.mkv", "o.mp4"])
    def test_beyond_full_scale_is_turned_down_with_a_note(self, muxed, name):
        loud = clips.noise(1.0, level=5.0)
        _, report = muxed(name, Sound(loud, 48000))
        found = clips.sound_in(report.path).samples
        assert np.abs(found).max() == pytest.approx(1, abs=0.1)
        assert np.corrcoef(found[0], loud[0])[0, 1] > 0.99
        assert "passes full scale" in report.notes[0]

    def test_that_is_silent_stays_so_with_a_note(self, muxed):
        _, report = muxed("o.mkv", SILENCE, loudness=-23)
        assert (report.loudness_before, report.loudness_after, report.gain_db) == (None, None, 0)
        assert "silent" in report.notes[0]


class TestMixing:
    def test_adds_the_clips_own_sound_in_its_place(self, muxed):
        clip = {"sound": clips.clicks([0.1], 0.3, 44100), "sound_rate": 44100, "sound_start": 0.25}
        _, report = muxed("out.mkv", source="in.mkv", clip=clip, keep_original="mix", original_gain_db=-6)
        assert report.gain_db == 0
        assert offsets(report.path, [0.2, 0.35, 0.5, 0.9]) == pytest.approx([0, 0, 0, 0], abs=24)
        level = np.abs(clips.sound_in(report.path).samples[0, round(0.34 * 48000) : round(0.37 * 48000)]).max()
        assert level == pytest.approx(0.8 * 10 ** (-6 / 20), rel=0.05)

    def test_never_clips(self, muxed):
        loud = clips.noise(1.0, level=0.5).clip(-0.99, 0.99)
        _, report = muxed("out.mkv", Sound(loud, 48000), "in.mkv", {"sound": loud}, keep_original="mix")
        assert report.gain_db < -3
        assert np.allclose(clips.sound_in(report.path).samples, 2 * loud * 10 ** (report.gain_db / 20), atol=1e-5)

    def test_of_mono_and_stereo_is_stereo(self, muxed):
        _, report = muxed("out.mkv", source="in.mkv", clip={"sound": clips.noise(1.0, channels=1)}, keep_original="mix")
        assert clips.sound_in(report.path).channels == 2

    def test_with_a_silent_clip_is_the_new_sound(self, muxed):
        assert offsets(muxed("out.mkv", keep_original="mix")[1].path) == [0, 0, 0]

    def test_can_be_left(self, muxed):
        _, report = muxed("out.mkv", SILENCE, "in.mkv", {"sound": clips.noise(1.0)})
        assert not clips.sound_in(report.path).samples.any()


class TestWriting:
    @pytest.mark.parametrize("name", ["out.mp4", "out.mkv"])
    def test_keeps_tags_and_adds_new_ones(self, muxed, name):
        _, first = muxed("a.mp4", metadata={"prompt": '{"a": 1}'})
        _, report = muxed(name, source=first.path, metadata={"workflow": "{}"})
        with av.open(str(report.path)) as container:
            tags = {key.lower(): value for key, value in container.metadata.items()}
        assert (tags["prompt"], tags["workflow"]) == ('{"a": 1}', "{}")

    def test_takes_a_clip_with_a_tag_whose_text_is_broken(self, muxed):
        _, first = muxed("a.mkv", metadata={"comment": "a comment"})
        broken = first.path.with_name("broken.mkv")
        broken.write_bytes(first.path.read_bytes().replace(b"a comment", b"a \xff\xe9mment"))
        assert muxed("out.mkv", source=broken)[1].path.is_file()

    def test_puts_the_index_of_an_mp4_in_front(self, muxed):
        data = muxed("out.mp4")[1].path.read_bytes()
        assert data.index(b"moov") < data.index(b"mdat")

    def test_keeps_subtitles_where_they_fit(self, tmp_path, muxed):
        source = clips.with_subtitles(clips.make_clip(tmp_path / "in.mkv"), tmp_path / "sub.mkv", ["one", "two"])
        kept, dropped = (muxed(name, source=source)[1].path for name in ("out.mkv", "out.mp4"))
        with av.open(str(kept)) as container:
            texts = [bytes(packet) for packet in container.demux(subtitles=0) if packet.size]
        assert texts == [b"one", b"two"]
        with av.open(str(dropped)) as container:
            assert not container.streams.subtitles
        assert clips.video_packet_digest(kept) == clips.video_packet_digest(dropped) == clips.video_packet_digest(source)

    def test_may_replace_the_clip_itself(self, tmp_path):
        path = clips.make_clip(tmp_path / "a.mp4", bframes=2)
        before = clips.video_packet_digest(path)
        mux(path, clips.click_sound(), path)
        assert clips.video_packet_digest(path) == before
        assert max(map(abs, offsets(path))) <= 1
        assert list(tmp_path.iterdir()) == [path]

    def test_takes_a_clip_in_memory(self, tmp_path):
        source = clips.make_clip(tmp_path / "in.mkv", sound=clips.noise(1.0))
        report = mux(io.BytesIO(source.read_bytes()), clips.click_sound(), tmp_path / "out.mp4", keep_original="mix")
        assert clips.video_packet_digest(report.path) == clips.video_packet_digest(source)

    def test_tells_its_progress(self, muxed):
        reported = []
        muxed("out.mp4", progress=lambda *done_and_total: reported.append(done_and_total))
        assert len(reported) > 5
        assert reported == sorted(reported)
        assert reported[-1] == (1.0, 1.0)

    @pytest.mark.parametrize("stop", [clips.Interrupted, KeyboardInterrupt])
    def test_can_be_stopped_and_leaves_nothing(self, tmp_path, stop):
        source = clips.make_clip(tmp_path / "in.mp4")
        stopped(mux, source, clips.click_sound(), tmp_path / "out.mp4", after=0.5, stop=stop)
        assert list(tmp_path.iterdir()) == [source]
