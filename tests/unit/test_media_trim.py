"""Cutting a piece out of a clip, exact to the frame and to the sample."""

import io
import shutil
import subprocess
from pathlib import Path

import av
import numpy as np
import pytest

from stereosync_core import StereoSyncError, read_sound, trim
from stereosync_core.media.source import timeline_of
from stereosync_core.media.video import frame_times, frames, probe
from tests import clips
from tests.errors import refused, stopped

SOURCES = {
    "every frame a keyframe": ("in.mp4", {"group": 1}),
    "groups of 12": ("in.mp4", {}),
    "bframes": ("in.mp4", {"bframes": 2}),
    "matroska": ("in.mkv", {"bframes": 2}),
    "offset": ("in.mp4", {"start": 0.5, "bframes": 2}),
    "vfr": ("in.mp4", {"times": clips.VFR, "last_duration": 0.3}),
    "vfr with bframes": ("in.mkv", {"times": clips.VFR, "last_duration": 0.3, "bframes": 2}),
    "10 bit": ("in.mp4", {"pixel_format": "yuv420p10le"}),
    "vp8": ("in.webm", {"codec": "libvpx", "options": {"auto-alt-ref": "1", "lag-in-frames": "10", "g": "12"}}),
    "vp9": ("in.webm", {"codec": "libvpx-vp9"}),
    "avi": ("in.avi", {"bframes": 2}),
}


def payloads(path: Path) -> set[bytes]:
    with av.open(str(path)) as container:
        return {bytes(packet) for packet in container.demux(video=0) if packet.size}


@pytest.mark.parametrize(("start", "duration"), [(0, 0), (0.2, 0.4), (0.4, 0.4), (0.4, 0), (0.1, 0.31), (0, 0.5), (0.35, 99)])
@pytest.mark.parametrize("kind", SOURCES)
def test_has_exactly_the_frames_between(tmp_path, kind, start, duration):
    """For every reader: this library, and the host's, which decodes all frames and believes the header."""
    name, options = SOURCES[kind]
    source = clips.make_clip(tmp_path / name, **options)
    timeline = timeline_of(source)
    late, end = timeline.tolerance, start + duration if duration else float(timeline.duration)
    wanted = [n for n, time in enumerate(timeline.times) if start - late <= time < end - late]
    seconds = [*timeline.times, float(timeline.duration)][wanted[-1] + 1] - timeline.times[wanted[0]]

    piece = trim(source, start, duration, tmp_path / "out.mp4")

    assert clips.numbers(frames(piece)) == wanted
    assert frame_times(piece) == pytest.approx(timeline.times[wanted] - timeline.times[wanted[0]], abs=1e-4)
    # libav knows the length of a last frame to the source's tick only; a Matroska's is a millisecond
    assert probe(piece).duration == pytest.approx(seconds, abs=max(1e-4, 1.1 * float(timeline.tick)))
    assert probe(piece).start == 0
    header, decoded, whole, _ = clips.native_reading(piece)
    assert header == decoded == len(wanted)
    assert whole == pytest.approx(seconds, abs=1e-4)


@pytest.mark.skipif(shutil.which("ffprobe") is None, reason="ffprobe is not installed")
@pytest.mark.parametrize("bframes", [0, 2])
@pytest.mark.parametrize(("start", "duration"), [(0.2, 0.4), (0.4, 0.4)])
def test_has_the_same_frames_for_ffprobe(tmp_path, bframes, start, duration):
    piece = trim(clips.make_clip(tmp_path / "in.mp4", bframes=bframes), start, duration, tmp_path / "out.mp4")
    command = ["ffprobe", "-v", "error", "-count_frames", "-select_streams", "v", "-of", "csv=p=0", "-show_entries"]
    answer = subprocess.run(
        [*command, "stream=nb_frames,nb_read_frames", str(piece)], capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip().split(",")[:2] == ["12", "12"]


class TestHow:
    @pytest.mark.parametrize(
        ("start", "duration", "bframes", "copied"),
        [
            pytest.param(0, 0, 0, True, id="all"),
            pytest.param(0.4, 0.4, 0, True, id="group"),
            pytest.param(0.4, 0.4, 2, True, id="group with bframes"),
            pytest.param(0.2, 0.4, 0, False, id="inside a group"),
            pytest.param(0, 0.5, 0, True, id="end in a group"),
            pytest.param(0, 0.5, 2, False, id="end between bframes"),
        ],
    )
    def test_pictures_are_copied_where_the_piece_stands_alone(self, tmp_path, start, duration, bframes, copied):
        source = clips.make_clip(tmp_path / "in.mp4", bframes=bframes, paint=clips.grain)
        piece = trim(source, start, duration, tmp_path / "out.mp4")
        assert (payloads(piece) <= payloads(source)) == copied

    def test_an_open_groups_leading_pictures_do_not_come_along(self, tmp_path):
        options = {"preset": "ultrafast", "bf": "3", "g": "8", "b_strategy": "0", "x264-params": "open-gop=1:scenecut=0"}
        source = clips.make_clip(tmp_path / "in.mp4", options=options, paint=clips.grain)
        timeline = timeline_of(source)
        keys = timeline.pts[timeline.keyframes]
        start = (int(keys[2]) - timeline.start) * float(timeline.tick)
        piece = trim(source, start, 0, tmp_path / "out.mp4")
        first = round(start * 30)
        assert probe(piece).frame_count == 30 - first
        for (_, found), (_, before) in zip(frames(piece), list(frames(source))[first:], strict=True):
            assert np.array_equal(found, before)

    @pytest.mark.parametrize("degrees", [90, 180, 270])
    @pytest.mark.parametrize("start", [0.2, 0.4], ids=["encoded", "copied"])
    def test_pictures_stand_upright(self, tmp_path, degrees, start):
        source = clips.rotated(clips.make_clip(tmp_path / "in.mp4"), degrees)
        piece = trim(source, start, 0.3, tmp_path / "out.mp4")
        before = list(frames(source, times=start + np.arange(9) / 30))
        after = list(frames(piece))
        assert len(after) == 9
        for (_, found), (_, expected) in zip(after, before, strict=True):
            assert found.shape == expected.shape
            assert np.abs(found.astype(int) - expected).mean() < 2

    @pytest.mark.parametrize("full", [False, True], ids=["limited", "full"])
    @pytest.mark.parametrize("matrix", [6, 1, 9], ids=["bt601", "bt709", "bt2020"])
    @pytest.mark.parametrize("bits", [8, 10])
    def test_colours_stay(self, tmp_path, matrix, full, bits):
        source = clips.colour_clip(tmp_path / "in.mp4", clips.COLOURS * 2, matrix=matrix, full=full, bits=bits)
        # a closed copy would prove nothing: the turned picture has to be encoded
        piece = trim(clips.hidden_start(source, tmp_path / "cut.mp4", 0.1), 0.1, 0.7, tmp_path / "out.mov")
        clips.assert_colours(piece, (clips.COLOURS * 2)[2:9])

    def test_odd_sides_and_rgb_are_kept(self, tmp_path):
        source = clips.make_clip(tmp_path / "in.mp4", size=(101, 57), pixel_format="yuv444p", count=20)
        piece = trim(source, 0.2, 0.3, tmp_path / "out.mp4")
        assert [clips.frame_number(image, 101, 57) for _, image in frames(piece)] == list(range(6, 15))
        source = clips.make_clip(tmp_path / "in.avi", codec="rawvideo", pixel_format="bgr24", count=5)
        ((_, found), *_) = frames(trim(source, 0.1, 0, tmp_path / "out.mp4"))
        assert np.abs(found.astype(int) - clips.picture(3)).mean() < 2


class TestSound:
    @pytest.mark.parametrize("kind", ["groups of 12", "bframes", "offset", "matroska", "vp9"])
    @pytest.mark.parametrize(("start", "duration"), [(0.1, 0.6), (0.4, 0.4), (0.4, 0)])
    def test_is_cut_to_the_sample(self, tmp_path, kind, start, duration):
        name, options = SOURCES[kind]
        sound = clips.clicks(clips.CLICKS, 1.0)
        # MP4 rounds the place of a late sound to milliseconds unless an option sets its ticks
        exact = {"movie_timescale": "48000"} if name == "in.mp4" else {}
        late = options.get("start", 0.0)
        source = clips.make_clip(tmp_path / name, sound=sound, sound_start=late, container_options=exact, **options)
        piece = trim(source, start, duration, tmp_path / "out.mp4")
        found = clips.sound_in(piece)
        assert found.length == round(probe(piece).duration * 48000)
        end = start + duration if duration else 1.0
        for click in (time - start for time in clips.CLICKS if start <= time < end):
            window = found.samples[0, round((click - 0.005) * 48000) : round((click + 0.005) * 48000)]
            assert abs(int(np.abs(window).argmax()) - 240) <= (50 if name.endswith(("mkv", "webm")) else 2)

    def test_is_as_long_as_the_pictures_for_the_hosts_own_nodes(self, tmp_path):
        source = clips.make_clip(tmp_path / "in.mp4", sound=clips.noise(1.0))
        piece = trim(source, 0.2, 0.5, tmp_path / "out.mp4")
        assert 0 <= clips.native_reading(piece)[3] - 24000 < 1024

    @pytest.mark.parametrize(("name", "codec"), [("out.mp4", "flac"), ("out.mov", "pcm_s24le")])
    def test_without_loss_stays_without_loss(self, tmp_path, name, codec):
        source = clips.make_clip(tmp_path / "in.mkv", sound=clips.noise(1.0))
        piece = trim(source, 0.2, 0.5, tmp_path / name)
        before, found = clips.sound_in(source), clips.sound_in(piece, align_to_video=False)
        assert np.array_equal(found.samples, before.samples[:, 9600 : 9600 + 24000])
        with av.open(str(piece)) as container:
            assert container.streams.audio[0].codec_context.name == codec

    def test_that_ends_early_is_followed_by_silence(self, tmp_path):
        source = clips.make_clip(tmp_path / "in.mkv", sound=clips.noise(0.5))
        for start, audible in ((0.2, 14400), (0.7, 0)):
            found = clips.sound_in(trim(source, start, 0, tmp_path / "out.mov"))
            assert found.length == round((1 - start) * 48000)
            assert np.abs(found.samples[:, :audible]).mean() > 0.01 if audible else True
            assert not found.samples[:, audible:].any()

    def test_may_have_eight_channels(self, tmp_path):
        source = clips.make_clip(tmp_path / "in.mp4", sound=clips.noise(1.0, channels=8))
        assert clips.sound_in(trim(source, 0.2, 0.5, tmp_path / "out.mp4")).samples.shape == (8, 24000)

    def test_is_absent_where_the_clip_has_none(self, tmp_path):
        assert read_sound(trim(clips.make_clip(tmp_path / "in.mp4"), 0.2, 0.5, tmp_path / "out.mp4")) is None


class TestFailing:
    @pytest.fixture
    def clip(self, tmp_path):
        return clips.make_clip(tmp_path / "in.mp4", sound=clips.noise(1.0))

    @pytest.mark.parametrize(
        ("start", "duration", "name", "match"),
        [
            (1.0, 0, "out.mp4", "past the end of the clip, which is 1.000 s"),
            (7, 1, "out.mp4", "past the end"),
            (-0.1, 1, "out.mp4", "must not be negative"),
            (0.1, -1, "out.mp4", "must not be negative"),
            (float("nan"), 1, "out.mp4", "must be numbers"),
            (0, float("inf"), "out.mp4", "must be numbers"),
            (0.21, 0.001, "out.mp4", "no frame .* between 0.21 and 0.211 s"),
            (0, 1, "out.webm", "one of the endings .mp4"),
        ],
    )
    def test_on_numbers_that_make_no_sense(self, tmp_path, clip, start, duration, name, match):
        refused(match, trim, clip, start, duration, tmp_path / name)
        assert list(tmp_path.iterdir()) == [clip]

    def test_on_what_is_no_clip(self, tmp_path):
        refused("there is no file", trim, tmp_path / "gone.mp4", 0, 0, tmp_path / "out.mp4")
        refused("only sound", trim, clips.sound_file(tmp_path / "a.m4a", clips.noise(0.2)), 0, 0, tmp_path / "out.mp4")

    def test_on_a_folder_that_cannot_be_written(self, clip):
        refused("does not exist", trim, clip, 0, 0, clip / "out.mp4")

    @pytest.mark.parametrize("start", [0.2, 0.4], ids=["encoded", "copied"])
    def test_on_a_disk_that_is_really_full(self, tmp_path, start):
        source = clips.make_clip(tmp_path / "in.mp4", paint=clips.grain, size=(320, 240))
        with clips.full_disk(100_000), pytest.raises(StereoSyncError, match="no room"):
            trim(source, start, 0, tmp_path / "out.mp4")
        assert list(tmp_path.iterdir()) == [source]

    @pytest.mark.parametrize("start", [0.2, 0.4], ids=["encoded", "copied"])
    def test_when_stopped_leaves_nothing(self, tmp_path, clip, start):
        stopped(trim, clip, start, 0, tmp_path / "out.mp4", after=0.1)
        assert list(tmp_path.iterdir()) == [clip]


def test_takes_a_clip_in_memory(tmp_path):
    stream = io.BytesIO(clips.make_clip(tmp_path / "in.mp4", sound=clips.noise(1.0)).read_bytes())
    for start in (0.2, 0.4):
        piece = trim(stream, start, 0.3, tmp_path / "out.mp4")
        assert clips.numbers(frames(piece)) == list(range(round(start * 30), round(start * 30) + 9))


def test_may_replace_the_clip_itself(tmp_path):
    path = clips.make_clip(tmp_path / "a.mp4")
    trim(path, 0.2, 0.3, path)
    assert clips.numbers(frames(path)) == list(range(6, 15))
    assert list(tmp_path.iterdir()) == [path]
