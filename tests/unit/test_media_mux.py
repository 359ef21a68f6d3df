"""Replacing a clip's sound: pictures untouched, sound exact."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from stereosync_core.errors import StereoSyncError
from stereosync_core.media.loudness import integrated_loudness
from stereosync_core.media.mux import mux
from stereosync_core.media.sound import Sound, read_sound
from stereosync_core.media.video import frame_times, frames, probe
from tests import clips


class Interrupted(Exception):
    """What a host raises in a progress callback when the user presses stop."""


VFR = [0, 0.1, 0.15, 0.4, 0.45, 1.0]
CLICKS = [0.2, 0.5, 0.9]


def click_sound(seconds: float = 1.0, rate: int = 48000, channels: int = 2) -> Sound:
    return Sound(clips.clicks(CLICKS, seconds, rate, channels), rate)


def offsets(path: Path, moments=CLICKS) -> list[int]:
    """By how many samples each click is off."""
    sound = read_sound(path)
    assert sound is not None
    found = []
    for moment in moments:
        at = round(moment * sound.rate)
        reference = clips.clicks([0.01], 0.03, sound.rate)[0]
        window = sound.samples[0, at - round(0.02 * sound.rate) : at + round(0.03 * sound.rate)]
        found.append(int(np.correlate(window, reference).argmax()) - round(0.01 * sound.rate))
    return found


def native_reading(path: Path) -> tuple[int, int, float, int]:
    """Frames in the header, frames decoded, seconds, and samples, as the host's own nodes read them."""
    with av.open(str(path)) as container:
        header, seconds = container.streams.video[0].frames, (container.duration or 0) / 1e6
        decoded = sum(1 for _ in container.decode(video=0))
    with av.open(str(path)) as container:
        samples = sum(frame.samples for frame in container.decode(audio=0))
    return header, decoded, seconds, samples


class TestPictures:
    @pytest.mark.parametrize("name", ["out.mp4", "out.mov", "out.m4v", "out.mkv"])
    @pytest.mark.parametrize(
        "clip",
        [
            {},
            {"bframes": 2},
            {"times": VFR, "last_duration": 0.3},
            {"start": 0.5, "bframes": 2},
            {"sound": clips.noise(1.0)},
            {"count": 1},
            {"size": (101, 57), "pixel_format": "yuv444p"},
            {"pixel_format": "yuv420p10le"},
        ],
        ids=["plain", "bframes", "vfr", "offset", "with sound", "one frame", "odd", "10 bit"],
    )
    def test_stay_as_they_are(self, tmp_path, clip, name):
        source = clips.make_clip(tmp_path / "in.mp4", **clip)
        report = mux(source, click_sound(), tmp_path / name)
        assert clips.video_packet_digest(report.path) == clips.video_packet_digest(source)
        assert frame_times(report.path) == pytest.approx(frame_times(source), abs=6e-4)
        assert probe(report.path).start == 0
        assert report.video_packets == probe(source).frame_count == probe(report.path).frame_count

    def test_stay_as_they_are_in_webm(self, tmp_path):
        source = clips.make_clip(tmp_path / "in.webm", codec="libvpx-vp9")
        report = mux(source, click_sound(), tmp_path / "out.webm")
        assert clips.video_packet_digest(report.path) == clips.video_packet_digest(source)
        assert report.codec == "opus"
        assert max(map(abs, offsets(report.path))) <= 2

    @pytest.mark.parametrize("name", ["out.mp4", "out.mov", "out.mkv"])
    @pytest.mark.parametrize("degrees", [90, 180, 270])
    def test_keep_their_rotation(self, tmp_path, name, degrees):
        source = clips.rotated(clips.make_clip(tmp_path / "in.mp4"), degrees)
        assert probe(mux(source, click_sound(), tmp_path / name).path).rotation == degrees

    @pytest.mark.parametrize("name", ["out.mp4", "out.mkv"])
    def test_keep_their_colours(self, tmp_path, name):
        source = clips.colour_clip(tmp_path / "in.mp4", clips.COLOURS, matrix=9, full=True, bits=8)
        report = mux(source, click_sound(), tmp_path / name)
        for (_, image), colour in zip(frames(report.path), clips.COLOURS, strict=True):
            assert np.abs(image.astype(int) - colour).max() <= 4

    def test_hidden_by_an_edit_list_stay_hidden(self, tmp_path):
        whole = clips.make_clip(tmp_path / "whole.mp4", bframes=2)
        source = clips.hidden_start(whole, tmp_path / "in.mp4", 0.2)
        report = mux(source, click_sound(), tmp_path / "out.mp4")
        assert clips.numbers(frames(report.path)) == list(range(6, 30))
        assert max(map(abs, offsets(report.path, [0.2, 0.5]))) <= 1
        with pytest.raises(StereoSyncError, match=r"edit list .* \.mkv cannot hide"):
            mux(source, click_sound(), tmp_path / "out.mkv")

    def test_keep_the_nominal_rate(self, tmp_path):
        for name in ("out.mp4", "out.mkv"):
            with av.open(str(mux(clips.make_clip(tmp_path / "in.mp4"), click_sound(), tmp_path / name).path)) as container:
                assert container.streams.video[0].average_rate == 30


class TestSound:
    @pytest.mark.parametrize(
        ("name", "codec"), [("o.mkv", "flac"), ("o.mov", "pcm24"), ("o.mkv", "float32"), ("o.mp4", "flac")]
    )
    @pytest.mark.parametrize("seconds", [0.3, 1.3, 2.0])
    def test_without_loss_is_exact_and_as_long_as_the_video(self, tmp_path, name, codec, seconds):
        source = clips.make_clip(tmp_path / "in.mp4", times=VFR, last_duration=0.3)
        given = Sound(clips.noise(seconds), 48000)
        report = mux(source, given, tmp_path / name, codec=codec)
        found = read_sound(report.path, align_to_video=False)
        assert found is not None
        assert report.samples == found.length == round(1.3 * 48000)
        kept = min(given.length, found.length) - 240  # a cut fades over 5 ms
        assert np.allclose(found.samples[:, :kept], given.samples[:, :kept], atol=2**-23)
        assert not found.samples[:, given.length :].any()

    def test_is_as_long_as_the_durations_own_rounding(self, tmp_path):
        """50 frames at 30000/1001 last 73573.5 samples."""
        source = clips.make_clip(tmp_path / "in.mp4", count=50, rate=Fraction(30000, 1001))
        report = mux(source, Sound(clips.noise(2.0, 44100), 44100), tmp_path / "out.mov", codec="pcm24")
        found = read_sound(report.path)
        assert found is not None
        assert report.samples == found.length == round(probe(source).duration * 44100)

    @pytest.mark.parametrize("rate", [44100, 48000])
    @pytest.mark.parametrize("clip", [{"bframes": 2}, {"start": 0.5}, {"times": VFR, "last_duration": 0.3}])
    def test_as_aac_is_in_its_place_to_the_sample(self, tmp_path, rate, clip):
        source = clips.make_clip(tmp_path / "in.mp4", **clip)
        report = mux(source, click_sound(rate=rate), tmp_path / "out.mp4")
        assert (report.codec, report.rate) == ("aac", rate)
        assert max(map(abs, offsets(report.path))) <= 1

    def test_as_opus_is_resampled(self, tmp_path):
        report = mux(clips.make_clip(tmp_path / "in.mp4"), click_sound(rate=44100), tmp_path / "out.mkv", codec="opus")
        assert (report.rate, report.samples) == (48000, 48000)
        assert max(map(abs, offsets(report.path))) <= 50  # a Matroska's millisecond

    def test_reads_right_in_the_hosts_own_nodes(self, tmp_path):
        report = mux(clips.make_clip(tmp_path / "in.mp4", bframes=2), click_sound(0.4), tmp_path / "out.mp4")
        header, decoded, seconds, samples = native_reading(report.path)
        assert (header, decoded, seconds) == (30, 30, 1.0)
        assert 0 <= samples - 48000 < 1024

    def test_in_avi_is_pcm(self, tmp_path):
        source = clips.make_clip(tmp_path / "in.avi", codec="mpeg4")
        try:
            report = mux(source, click_sound(), tmp_path / "out.avi")
        except StereoSyncError as error:
            pytest.skip(str(error))
        assert report.codec == "pcm16"
        assert offsets(report.path) == [0, 0, 0]

    @pytest.mark.parametrize("name", ["out.mp4", "out.mkv"])
    @pytest.mark.parametrize("channels", [1, 2, 6, 8])
    def test_may_have_up_to_eight_channels(self, tmp_path, name, channels):
        report = mux(clips.make_clip(tmp_path / "in.mp4"), click_sound(channels=channels), tmp_path / name)
        found = read_sound(report.path)
        assert found is not None
        assert found.channels == channels

    def test_can_be_brought_to_a_loudness(self, tmp_path):
        report = mux(clips.make_clip(tmp_path / "in.mp4"), Sound(clips.noise(1), 48000), tmp_path / "o.mkv", loudness=-23)
        found = read_sound(report.path)
        assert found is not None
        assert integrated_loudness(found) == pytest.approx(-23, abs=0.05)
        assert report.loudness_after == pytest.approx(-23)
        assert report.gain_db == pytest.approx(-23 - (report.loudness_before or 0))
        assert report.notes == ()

    def test_that_is_silent_stays_so_with_a_note(self, tmp_path):
        silent = Sound(np.zeros((2, 48000)), 48000)
        report = mux(clips.make_clip(tmp_path / "in.mp4"), silent, tmp_path / "o.mkv", loudness=-23)
        assert (report.loudness_before, report.loudness_after, report.gain_db) == (None, None, 0)
        assert "silent" in report.notes[0]


class TestMixing:
    def test_adds_the_clips_own_sound_in_its_place(self, tmp_path):
        own = clips.clicks([0.1], 0.3, 44100)
        source = clips.make_clip(tmp_path / "in.mkv", sound=own, sound_rate=44100, sound_start=0.25)
        report = mux(source, click_sound(), tmp_path / "out.mkv", keep_original="mix", original_gain_db=-6)
        found = read_sound(report.path)
        assert found is not None
        assert report.gain_db == 0
        assert offsets(report.path, [0.2, 0.35, 0.5, 0.9]) == pytest.approx([0, 0, 0, 0], abs=24)
        level = np.abs(found.samples[0, round(0.34 * 48000) : round(0.37 * 48000)]).max()
        assert level == pytest.approx(0.8 * 10 ** (-6 / 20), rel=0.05)

    def test_never_clips(self, tmp_path):
        loud = clips.noise(1.0, level=0.5).clip(-0.99, 0.99)
        source = clips.make_clip(tmp_path / "in.mkv", sound=loud)
        report = mux(source, Sound(loud, 48000), tmp_path / "out.mkv", keep_original="mix")
        found = read_sound(report.path)
        assert found is not None
        assert report.gain_db < -3
        assert np.allclose(found.samples, 2 * loud * 10 ** (report.gain_db / 20), atol=1e-5)

    def test_of_mono_and_stereo_is_stereo(self, tmp_path):
        source = clips.make_clip(tmp_path / "in.mkv", sound=clips.noise(1.0, channels=1))
        report = mux(source, click_sound(), tmp_path / "out.mkv", keep_original="mix")
        found = read_sound(report.path)
        assert found is not None
        assert found.channels == 2

    def test_with_a_silent_clip_is_the_new_sound(self, tmp_path):
        report = mux(clips.make_clip(tmp_path / "in.mp4"), click_sound(), tmp_path / "out.mkv", keep_original="mix")
        assert offsets(report.path) == [0, 0, 0]

    def test_can_be_left(self, tmp_path):
        source = clips.make_clip(tmp_path / "in.mkv", sound=clips.noise(1.0))
        found = read_sound(mux(source, Sound(np.zeros((2, 48000)), 48000), tmp_path / "out.mkv").path)
        assert found is not None
        assert not found.samples.any()


class TestWriting:
    @pytest.mark.parametrize("name", ["out.mp4", "out.mkv"])
    def test_keeps_tags_and_adds_new_ones(self, tmp_path, name):
        first = mux(clips.make_clip(tmp_path / "in.mp4"), click_sound(), tmp_path / "a.mp4", metadata={"prompt": '{"a": 1}'})
        report = mux(first.path, click_sound(), tmp_path / name, metadata={"workflow": "{}"})
        with av.open(str(report.path)) as container:
            tags = {key.lower(): value for key, value in container.metadata.items()}
        assert (tags["prompt"], tags["workflow"]) == ('{"a": 1}', "{}")

    def test_puts_the_index_of_an_mp4_in_front(self, tmp_path):
        data = mux(clips.make_clip(tmp_path / "in.mp4"), click_sound(), tmp_path / "out.mp4").path.read_bytes()
        assert data.index(b"moov") < data.index(b"mdat")

    def test_keeps_subtitles_where_they_fit(self, tmp_path):
        source = clips.with_subtitles(clips.make_clip(tmp_path / "in.mkv"), tmp_path / "sub.mkv", ["one", "two"])
        kept = mux(source, click_sound(), tmp_path / "out.mkv").path
        dropped = mux(source, click_sound(), tmp_path / "out.mp4").path
        with av.open(str(kept)) as container:
            texts = [bytes(packet) for packet in container.demux(subtitles=0) if packet.size]
        assert texts == [b"one", b"two"]
        with av.open(str(dropped)) as container:
            assert not container.streams.subtitles
        assert clips.video_packet_digest(kept) == clips.video_packet_digest(dropped) == clips.video_packet_digest(source)

    def test_may_replace_the_clip_itself(self, tmp_path):
        path = clips.make_clip(tmp_path / "a.mp4", bframes=2)
        before = clips.video_packet_digest(path)
        mux(path, click_sound(), path)
        assert clips.video_packet_digest(path) == before
        assert max(map(abs, offsets(path))) <= 1
        assert list(tmp_path.iterdir()) == [path]

    def test_takes_a_clip_in_memory(self, tmp_path):
        source = clips.make_clip(tmp_path / "in.mkv", sound=clips.noise(1.0))
        stream = io.BytesIO(source.read_bytes())
        report = mux(stream, click_sound(), tmp_path / "out.mp4", keep_original="mix")
        assert clips.video_packet_digest(report.path) == clips.video_packet_digest(source)

    def test_tells_its_progress(self, tmp_path):
        reported = []
        mux(
            clips.make_clip(tmp_path / "in.mp4"),
            click_sound(),
            tmp_path / "out.mp4",
            progress=lambda done, total: reported.append((done, total)),
        )
        assert len(reported) > 5
        assert reported == sorted(reported)
        assert reported[-1] == (1.0, 1.0)

    @pytest.mark.parametrize("stop", [Interrupted, KeyboardInterrupt])
    def test_can_be_stopped_and_leaves_nothing(self, tmp_path, stop):
        def progress(done, total):
            if done > 0.5:
                raise stop

        source = clips.make_clip(tmp_path / "in.mp4")
        with pytest.raises(stop):
            mux(source, click_sound(), tmp_path / "out.mp4", progress=progress)
        assert list(tmp_path.iterdir()) == [source]
