"""What a clip is, when its frames are shown, and what they show."""

import io
import os
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from stereosync_core.errors import StereoSyncError
from stereosync_core.media.video import frame_times, frames, probe
from tests import clips
from tests.errors import refused


def everything(source) -> list[tuple[float, np.ndarray]]:
    return list(frames(source))


class TestProbe:
    def test_tells_the_facts_of_a_plain_clip(self, tmp_path):
        info = probe(clips.make_clip(tmp_path / "a.mp4", sound=clips.noise(1.0)))
        assert (info.width, info.height, info.coded_width, info.coded_height) == (96, 64, 96, 64)
        assert (info.duration, info.start, info.frame_count, info.average_rate) == (1.0, 0.0, 30, 30)
        assert (info.rotation, info.mirrored, info.codec, info.pixel_format) == (0, False, "h264", "yuv420p")
        assert info.has_audio
        assert "mp4" in info.container

    def test_takes_duration_and_rate_from_the_frames_own_times(self, tmp_path):
        info = probe(clips.make_clip(tmp_path / "a.mp4", times=clips.VFR, last_duration=0.3))
        assert (info.duration, info.average_rate) == (pytest.approx(1.3), Fraction(60, 13))
        assert not info.has_audio

    @pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.mkv"])
    def test_counts_reordered_frames_once(self, tmp_path, name):
        info = probe(clips.make_clip(tmp_path / name, bframes=2))
        assert (info.frame_count, info.duration, info.start) == (30, pytest.approx(1.0, abs=1e-3), 0)

    def test_counts_only_what_an_edit_list_shows(self, tmp_path):
        clip = clips.hidden_start(clips.make_clip(tmp_path / "whole.mp4", bframes=2), tmp_path / "cut.mp4", 0.2)
        info = probe(clip)
        assert (info.frame_count, info.duration, info.start) == (24, pytest.approx(0.8), 0)
        assert clips.numbers(frames(clip)) == list(range(6, 30))

    def test_start_is_the_first_frames_place_on_the_containers_timeline(self, tmp_path):
        clip = clips.make_clip(tmp_path / "a.mp4", start=0.5, bframes=2)
        assert probe(clip).start == pytest.approx(0.5)
        assert frame_times(clip)[0] == 0

    @pytest.mark.parametrize(("degrees", "size"), [(90, (64, 96)), (180, (96, 64)), (270, (64, 96))])
    def test_gives_the_upright_size_of_a_rotated_clip(self, tmp_path, degrees, size):
        info = probe(clips.rotated(clips.make_clip(tmp_path / "a.mp4", count=2), degrees))
        assert (info.rotation, info.width, info.height) == (degrees, *size)
        assert (info.coded_width, info.coded_height) == (96, 64)

    def test_takes_a_clip_of_one_frame(self, tmp_path):
        info = probe(clips.make_clip(tmp_path / "a.mp4", count=1, rate=25))
        assert (info.frame_count, info.duration) == (1, pytest.approx(0.04))

    def test_leaves_vp8s_invisible_frames_out(self, tmp_path):
        options = {"auto-alt-ref": "1", "lag-in-frames": "10", "deadline": "good", "cpu-used": "4"}
        clip = clips.make_clip(tmp_path / "a.webm", codec="libvpx", options=options)
        assert probe(clip).frame_count == 30
        assert len(everything(clip)) == 30


class TestWhatIsNoClip:
    def assert_error(self, source, *words: str) -> None:
        for function in (probe, frame_times, everything):
            with pytest.raises(StereoSyncError) as caught:
                function(source)
            assert all(word in str(caught.value) for word in words), str(caught.value)

    def test_missing_file_folder_and_empty_stream(self, tmp_path):
        self.assert_error(tmp_path / "gone.mp4", "gone.mp4", "there is no file")
        self.assert_error(tmp_path, "is a folder")
        self.assert_error(io.BytesIO(), "empty (0 bytes)")

    @pytest.mark.parametrize(
        ("content", "words"),
        [
            (b"", "empty (0 bytes)"),
            ("Übrigens, this is no video.\n".encode() * 50, "is text"),
            (bytes(range(256)) * 64, "no video or sound file that can be read"),
        ],
        ids=["zero bytes", "text with a video's name", "rubbish"],
    )
    def test_a_files_content(self, tmp_path, content, words):
        (tmp_path / "a.mp4").write_bytes(content)
        self.assert_error(tmp_path / "a.mp4", words)

    @pytest.mark.parametrize("as_stream", [False, True])
    def test_mp4_cut_short_before_its_index(self, tmp_path, as_stream):
        whole = clips.make_clip(tmp_path / "a.mp4").read_bytes()
        (tmp_path / "b.mp4").write_bytes(whole[: len(whole) // 2])
        self.assert_error(io.BytesIO(whole[: len(whole) // 2]) if as_stream else tmp_path / "b.mp4", "index (moov) is missing")

    def test_sound_alone(self, tmp_path):
        self.assert_error(clips.sound_file(tmp_path / "a.m4a", clips.noise(0.5)), "only sound")

    def test_sound_with_a_cover_picture(self, tmp_path):
        song = clips.with_cover(clips.sound_file(tmp_path / "a.mp3", clips.noise(0.5), codec="libmp3lame"))
        with av.open(str(song)) as container:
            assert container.streams.video
        self.assert_error(song, "only sound")

    def test_frames_that_cannot_be_decoded(self, tmp_path):
        clip = clips.make_clip(tmp_path / "a.mp4", count=5)
        data = bytearray(clip.read_bytes())
        at, size = data.index(b"mdat") + 4, len(data)
        end = data.index(b"moov") - 4 if data.index(b"moov") > at else size
        data[at:end] = b"\xff" * (end - at)
        clip.write_bytes(data)
        for function in (probe, everything):
            refused(r"no frame of .* can be decoded", function, clip)

    def test_frames_without_times(self, tmp_path):
        self.assert_error(clips.make_clip(tmp_path / "a.h264"), "carry no times", "-c copy")

    @pytest.mark.parametrize(
        ("wrong", "word"),
        [
            ({"rate": 0}, "above zero"),
            ({"rate": float("nan")}, "above zero"),
            ({"rate": 5, "times": [0]}, "give one of them"),
            ({"times": [1, 0]}, "do not fall"),
            ({"times": [-1]}, "from 0 on"),
            ({"size": (0, 4)}, "above zero"),
            ({"max_side": 0}, "above zero"),
            ({"size": (4, 4), "max_side": 4}, "give one of them"),
        ],
    )
    def test_frames_asked_for_in_a_way_that_makes_no_sense(self, tmp_path, wrong, word):
        refused(word, frames, tmp_path / "a.mp4", **wrong)


class TestFilesThatBreakOff:
    def test_a_matroska_gives_what_is_there(self, tmp_path):
        whole = clips.make_clip(tmp_path / "a.mkv", paint=clips.grain).read_bytes()
        (tmp_path / "b.mkv").write_bytes(whole[: len(whole) // 2])
        count = probe(tmp_path / "b.mkv").frame_count
        assert 5 < count < 25
        assert probe(tmp_path / "b.mkv").duration == pytest.approx(count / 30, abs=0.01)
        assert len(everything(tmp_path / "b.mkv")) == count

    def test_a_fragmented_mp4_gives_what_is_there(self, tmp_path):
        options = {"movflags": "frag_keyframe+empty_moov"}
        whole = clips.make_clip(tmp_path / "a.mp4", paint=clips.grain, container_options=options).read_bytes()
        (tmp_path / "b.mp4").write_bytes(whole[: len(whole) * 2 // 3])
        count = probe(tmp_path / "b.mp4").frame_count
        assert 5 < count < 28
        assert probe(tmp_path / "b.mp4").duration == pytest.approx(count / 30, abs=0.01)

    def test_a_damaged_frame_is_replaced_by_the_one_before(self, tmp_path):
        clip = clips.make_clip(tmp_path / "a.mp4", codec="png", pixel_format="rgb24", count=6)
        with av.open(str(clip)) as container:
            packets = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
        data = bytearray(clip.read_bytes())
        data[packets[3][0] : packets[3][0] + packets[3][1]] = bytes(packets[3][1])
        clip.write_bytes(data)
        assert clips.numbers(frames(clip)) == [0, 1, 2, 2, 4, 5]


class TestFrameTimes:
    def test_are_the_frames_own(self, tmp_path):
        assert frame_times(clips.make_clip(tmp_path / "a.mp4", times=clips.VFR)) == pytest.approx(clips.VFR)
        assert frame_times(clips.make_clip(tmp_path / "b.mkv", times=clips.VFR, bframes=2)) == pytest.approx(clips.VFR)

    def test_rise_where_frames_are_reordered(self, tmp_path):
        times = frame_times(clips.make_clip(tmp_path / "a.mp4", bframes=2))
        assert times == pytest.approx(np.arange(30) / 30)


class TestFrames:
    @pytest.mark.parametrize("bframes", [0, 2])
    @pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.mov"])
    def test_come_one_by_one_in_order(self, tmp_path, name, bframes):
        clip = clips.make_clip(tmp_path / name, bframes=bframes)
        assert clips.numbers(frames(clip)) == list(range(30))
        assert [time for time, _ in frames(clip)] == pytest.approx(frame_times(clip))

    def test_come_from_webm_and_avi_too(self, tmp_path):
        assert clips.numbers(frames(clips.make_clip(tmp_path / "a.webm", codec="libvpx-vp9"))) == list(range(30))
        assert clips.numbers(frames(clips.make_clip(tmp_path / "a.avi", bframes=2))) == list(range(30))

    def test_at_a_rate_are_those_on_screen(self, tmp_path):
        clip = clips.make_clip(tmp_path / "a.mp4", times=clips.VFR, last_duration=0.3)
        found = list(frames(clip, rate=10))
        assert [time for time, _ in found] == pytest.approx(np.arange(13) / 10)
        assert clips.numbers(found) == [0, 1, 2, 2, 3, 4, 4, 4, 4, 4, 5, 5, 5]

    @pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
    def test_at_the_clips_own_rate_are_all_of_them(self, tmp_path, name):
        """A Matroska rounds times to milliseconds; that must not make a frame late."""
        assert clips.numbers(frames(clips.make_clip(tmp_path / name), rate=30)) == list(range(30))

    def test_at_a_rate_stop_before_the_clips_end(self, tmp_path):
        assert len(list(frames(clips.make_clip(tmp_path / "a.mp4"), rate=7))) == 7
        assert len(list(frames(clips.make_clip(tmp_path / "b.mp4", count=31), rate=7))) == 8

    def test_at_given_times_are_those_on_screen(self, tmp_path):
        clip = clips.make_clip(tmp_path / "a.mp4", bframes=2)
        found = list(frames(clip, times=[0, 0.05, 0.05, 0.9, 7]))
        assert [time for time, _ in found] == [0, 0.05, 0.05, 0.9, 7]
        assert clips.numbers(found) == [0, 1, 1, 27, 29]
        assert list(frames(clip, times=[])) == []

    @pytest.mark.parametrize("options", [{"bframes": 0}, {"bframes": 3}, {"codec": "libvpx-vp9"}, {"group": 1}])
    def test_left_out_change_nothing_about_the_others(self, tmp_path, options):
        """Skipping frames and groups of pictures is a matter of speed alone."""
        name = "a.webm" if "codec" in options else "a.mp4"
        clip = clips.make_clip(tmp_path / name, count=60, paint=clips.grain, **options)
        all_of_them = everything(clip)
        times = [0.1, 0.31, 1.2, 1.25, 1.9]
        for (_, found), n in zip(frames(clip, times=times), [3, 9, 36, 37, 57], strict=True):
            assert np.array_equal(found, all_of_them[n][1])

    def test_left_out_of_open_groups_of_pictures_change_nothing(self, tmp_path):
        options = {"preset": "ultrafast", "bf": "3", "g": "8", "b_strategy": "0", "x264-params": "open-gop=1:scenecut=0"}
        clip = clips.make_clip(tmp_path / "a.mp4", count=60, paint=clips.grain, options=options)
        all_of_them = everything(clip)
        for n in range(60):
            ((_, found),) = frames(clip, times=[n / 30])
            assert np.array_equal(found, all_of_them[n][1]), n

    def test_are_read_from_a_stream_wherever_it_stands(self, tmp_path):
        stream = io.BytesIO(clips.make_clip(tmp_path / "a.mp4").read_bytes())
        stream.seek(0, 2)
        assert clips.numbers(frames(stream)) == list(range(30))
        assert probe(stream).frame_count == 30
        assert not stream.closed

    def test_of_one_stream_can_be_read_twice_at_once(self, tmp_path):
        stream = io.BytesIO(clips.make_clip(tmp_path / "a.mp4", size=(480, 320), paint=clips.grain).read_bytes())
        pairs = zip(frames(stream), frames(stream), strict=True)
        assert all(np.array_equal(one, other) for (_, one), (_, other) in pairs)

    @pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="open files are listed on Linux only")
    def test_release_the_file_when_left_early(self, tmp_path):
        clip = clips.make_clip(tmp_path / "a.mp4")
        pictures = frames(clip)
        next(pictures)
        assert str(clip) in _open_files()
        pictures.close()  # type: ignore[attr-defined]
        assert str(clip) not in _open_files()

    def test_hold_few_pictures_at_a_time(self, tmp_path):
        """Memory does not grow with the clip."""
        resource = pytest.importorskip("resource")
        clip = clips.make_clip(tmp_path / "a.mp4", count=150, size=(640, 480))
        for _ in frames(clip, times=[0.0]):
            pass
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for _ in frames(clip):
            pass
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * (1 if sys.platform == "darwin" else 1024)
        assert grown < 60e6  # all of them would take 138 MB


def _open_files() -> set[str]:
    return {os.path.realpath(link) for link in Path("/proc/self/fd").iterdir()}


class TestPictures:
    def test_keep_their_aspect_under_a_longest_side(self, tmp_path):
        clip = clips.make_clip(tmp_path / "a.mp4", count=12)
        found = list(frames(clip, max_side=48))
        assert {image.shape for _, image in found} == {(32, 48, 3)}
        assert clips.numbers(found) == list(range(12))

    def test_are_not_enlarged_by_a_longest_side(self, tmp_path):
        clip = clips.make_clip(tmp_path / "a.mp4", count=1)
        assert [image.shape for _, image in frames(clip, max_side=500)] == [(64, 96, 3)]

    def test_have_the_size_asked_for(self, tmp_path):
        clip = clips.rotated(clips.make_clip(tmp_path / "a.mp4", count=1), 90)
        assert [image.shape for _, image in frames(clip, size=(30, 50))] == [(50, 30, 3)]

    @pytest.mark.parametrize("degrees", [90, 180, 270])
    def test_stand_upright(self, tmp_path, degrees):
        clip = clips.make_clip(tmp_path / "a.mp4", count=5)
        plain = everything(clip)
        for (_, lying), (_, upright) in zip(plain, frames(clips.rotated(clip, degrees)), strict=True):
            assert np.array_equal(upright, np.rot90(lying, -degrees // 90))

    def test_are_mirrored_back(self, tmp_path):
        clip = clips.make_clip(tmp_path / "a.mp4", count=5)
        plain = everything(clip)
        turns = {(-1, 0, 0, 1): np.fliplr, (1, 0, 0, -1): np.flipud, (0, 1, 1, 0): lambda image: image.transpose(1, 0, 2)}
        for matrix, expected in turns.items():
            clips.set_matrix(clip, *matrix)
            assert probe(clip).mirrored
            for (_, before), (_, mirrored) in zip(plain, frames(clip), strict=True):
                assert np.array_equal(mirrored, expected(before))

    def test_may_have_odd_sides(self, tmp_path):
        clip = clips.make_clip(tmp_path / "a.mp4", size=(101, 57), pixel_format="yuv444p", count=20)
        assert [clips.frame_number(image, 101, 57) for _, image in frames(clip)] == list(range(20))
        assert {image.shape for _, image in frames(clip)} == {(57, 101, 3)}
        assert {image.shape for _, image in frames(clip, max_side=51)} == {(29, 51, 3)}

    @pytest.mark.parametrize("full", [False, True], ids=["limited", "full"])
    @pytest.mark.parametrize("matrix", [6, 1, 9], ids=["bt601", "bt709", "bt2020"])
    @pytest.mark.parametrize("bits", [8, 10])
    def test_have_the_colours_that_the_clip_says(self, tmp_path, matrix, full, bits):
        clip = clips.colour_clip(tmp_path / "a.mp4", clips.COLOURS, matrix=matrix, full=full, bits=bits)
        for max_side in (None, 32):
            clips.assert_colours(clip, clips.COLOURS, max_side=max_side)

    def test_of_rgb_clips_are_exact(self, tmp_path):
        clip = clips.make_clip(tmp_path / "a.mov", codec="png", pixel_format="rgb24", count=5)
        for n, (_, image) in enumerate(frames(clip)):
            assert np.array_equal(image, clips.picture(n))


def grey(number, width, height):
    return np.full((height, width, 3), 128, np.uint8)


def test_a_time_that_only_damage_explains_is_no_length(tmp_path):
    """Sound is made as long as the picture: hours in a few kilobytes would be gigabytes of it."""
    path = clips.make_clip(tmp_path / "hours.mkv", times=[0.0, 0.04, 90000.0])
    refused("so its times are damaged", probe, path)
    assert probe(clips.make_clip(tmp_path / "lapse.mkv", times=[0.0, 60.0, 120.0])).duration > 120, "a time lapse is none"


@pytest.mark.parametrize("spacing", [2.0, 5.0, 40.0])
def test_a_still_picture_may_be_long_and_small(tmp_path, spacing):
    times = [spacing * number for number in range(400)]
    path = clips.make_clip(tmp_path / "still.mkv", size=(32, 32), paint=grey, times=times)
    assert path.stat().st_size < 50 * times[-1]
    assert probe(path).duration == pytest.approx(times[-1], rel=0.02)
