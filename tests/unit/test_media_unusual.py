"""Clips as people have them: what containers hold beside pictures and sound, and names, codecs and sizes that are unusual."""

import re
import struct
from unittest.mock import PropertyMock, patch

import av
import numpy as np
import pytest

from stereosync_core import mux, read_sound
from stereosync_core.media.output import CannotHold, best_suffix
from stereosync_core.media.sound import require_sound
from stereosync_core.media.trim import cut_clip, trim
from stereosync_core.media.video import frames, orientation, probe
from tests import clips
from tests.boxes import inner_box
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


#: Clips of :func:`clips.make_clip` by name.
KINDS = {
    "a.gif": {"codec": "gif", "pixel_format": "rgb8", "rate": 10},
    "a.wmv": {"codec": "wmv2"},
    "a.3gp": {"codec": "h263", "size": (176, 144)},
    "a.flv": {"codec": "flv1"},
    "a.dv": {"codec": "dvvideo", "size": (720, 576), "pixel_format": "yuv420p", "rate": 25},
    "a.mov": {"codec": "prores_ks", "pixel_format": "yuv422p10le"},
    "a.webm": {"codec": "libvpx"},
}
REORDERED = {"libx264": {"bframes": 2}, "mpeg4": {"options": {"bf": "2", "g": "12"}}}


class TestCodecsThatFewContainersHold:
    """A clip's video goes into a container, or the error names one that it goes into."""

    @pytest.mark.parametrize("ending", ["mp4", "mov", "mkv"])
    @pytest.mark.parametrize("kind", KINDS)
    def test_go_somewhere(self, tmp_path, kind, ending):
        options = KINDS[kind]
        source, size = clips.make_clip(tmp_path / kind, count=10, **options), options.get("size", (96, 64))
        try:
            out = mux(source, clips.click_sound(), tmp_path / f"out.{ending}")
        except CannotHold as error:
            named = re.search(r"write (\.\w+)", str(error))
            out = mux(source, clips.click_sound(), (tmp_path / "out").with_suffix(named[1] if named else ""))
        shown = [clips.frame_number(image, *size) for _, image in frames(out.path)]
        assert shown == [clips.frame_number(image, *size) for _, image in frames(source)] == list(range(10))
        copied = clips.video_packet_digest(out.path) == clips.video_packet_digest(source)
        assert copied != any("encoded anew" in note for note in out.notes)

    @pytest.mark.parametrize(("kind", "suffix"), [("a.gif", ".mov"), ("a.wmv", ".mp4"), ("a.webm", ".mkv"), ("a.mov", ".mov")])
    def test_have_a_container_that_fits_best(self, tmp_path, kind, suffix):
        assert best_suffix(clips.make_clip(tmp_path / kind, count=3, **KINDS[kind])) == suffix


class TestAviWhosePicturesAreReordered:
    @pytest.mark.parametrize("codec", REORDERED)
    def test_are_in_step_with_their_sound(self, tmp_path, codec):
        source = clips.make_clip(tmp_path / "a.avi", codec=codec, sound=CLICKS, **REORDERED[codec])
        assert clips.numbers(frames(source)) == list(range(30))
        assert np.allclose(clips.sound_in(source).samples, CLICKS, atol=1e-3)
        out = mux(source, clips.click_sound(), tmp_path / "out.mkv")
        assert clips.numbers(frames(out.path)) == list(range(30))
        assert np.allclose(clips.sound_in(out.path).samples, CLICKS, atol=1e-6)
        assert "another order" in out.notes[0]

    def test_h264_in_order_stays_in_step_when_copied(self, tmp_path):
        source = clips.make_clip(tmp_path / "a.avi", sound=CLICKS)
        assert np.allclose(clips.sound_in(source).samples, CLICKS, atol=1e-3)
        for ending in ("mp4", "mkv"):
            out = mux(source, clips.click_sound(), tmp_path / f"out.{ending}", codec="flac")
            assert (probe(out.path).start, out.notes) == (0, ())
            assert clips.numbers(frames(out.path)) == list(range(30))
            assert np.allclose(clips.sound_in(out.path).samples, CLICKS, atol=1e-6)


class TestSizesOfBoxes:
    """MP4 boxes whose size is more than the file has."""

    @pytest.mark.parametrize("extra", [1, 8, 100000])
    def test_a_last_box_that_is_too_long_is_played(self, tmp_path, extra):
        path = clips.make_clip(tmp_path / "a.mp4", sound=CLICKS, container_options={"movflags": "faststart"})
        data = bytearray(path.read_bytes())
        ((at, size),) = inner_box(data, b"mdat")
        assert at + size == len(data)
        data[at : at + 4] = (size + extra).to_bytes(4, "big")
        path.write_bytes(data)
        assert clips.numbers(frames(path)) == list(range(30))
        out = mux(path, clips.click_sound(), tmp_path / "out.mp4", keep_original="mix")
        assert out.video_packets == 30

    @pytest.mark.parametrize("lost", [8, 1000])
    def test_one_that_was_cut_off_is_not(self, tmp_path, lost):
        path = clips.make_clip(tmp_path / "a.mp4", sound=CLICKS, container_options={"movflags": "faststart"})
        path.write_bytes(path.read_bytes()[:-lost])
        refused(f"cut short: {lost} bytes", probe, path)


class TestSideDataWithoutAName:
    """libav knows more kinds of side data than PyAV: a camera's EXIF, the views of spatial video."""

    @staticmethod
    def with_exif(path, orientation):
        tiff = b"II*\0" + struct.pack("<IHHHIII", 8, 1, 0x112, 3, 1, orientation, 0)
        exif = b"\xff\xe1" + struct.pack(">H", len(tiff) + 8) + b"Exif\0\0" + tiff
        source = clips.make_clip(path.with_stem("plain"), codec="mjpeg", pixel_format="yuvj420p", count=3)
        with av.open(str(source)) as old, av.open(str(path), "w") as new:
            copy = new.add_stream_from_template(old.streams.video[0], opaque=True)
            for packet in old.demux(video=0):
                if packet.size:
                    jpeg = av.Packet(bytes(packet)[:2] + exif + bytes(packet)[2:])
                    jpeg.pts, jpeg.dts, jpeg.time_base = packet.pts, packet.dts, packet.time_base
                    jpeg.duration, jpeg.is_keyframe, jpeg.stream = packet.duration, True, copy
                    new.mux(jpeg)
        return path

    @pytest.mark.parametrize(("number", "turned", "mirrored"), [(1, 0, False), (2, 0, True), (6, 90, False), (8, 270, False)])
    def test_does_not_hide_the_orientation(self, tmp_path, number, turned, mirrored):
        path = self.with_exif(tmp_path / "a.mov", number)
        plain = np.stack([image for _, image in frames(tmp_path / "plain.mov")])
        with av.open(str(path)) as container:
            frame = next(container.decode(video=0))
        if frame.rotation == 0 and turned:
            pytest.skip("this libav does not read EXIF")
        expected = np.rot90(plain[:, :, ::-1] if mirrored else plain, -turned // 90, axes=(1, 2))
        assert np.abs(np.stack([image for _, image in frames(path)]).astype(int) - expected).max() <= 2
        assert probe(path).rotation == turned
        piece = trim(path, 0.03, 0, tmp_path / "cut.mp4")
        assert np.abs(np.stack([image for _, image in frames(piece)]).astype(int) - expected[1:]).mean() < 3

    def test_after_the_unknown_the_angle_is_still_known(self):
        """PyAV gives a frame's angle by itself."""
        unknown = PropertyMock(side_effect=ValueError("29 is not a valid Type"))
        frame = type("Frame", (), {"side_data": unknown, "rotation": -90})()
        with patch("stereosync_core.media.video.SideDataContainer", type("Nothing", (dict,), {"__init__": lambda *_: None})):
            assert orientation(frame) == (90, False)
