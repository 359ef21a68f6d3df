"""Writing files: one clear message when it fails, no trace on the disk, and names that stay in their folder."""

import errno
import os
import sys
from pathlib import Path
from unittest.mock import Mock

import av
import numpy as np
import pytest
from av.container import OutputContainer

from stereosync_core import Sound, mux
from stereosync_core.media.output import safe_output_path
from stereosync_core.media.sound import write_sound
from stereosync_core.media.video import probe
from tests import clips
from tests.errors import refused, stopped


class TestFailing:
    def fails(self, source: Path, out: Path, match: str, **options) -> None:
        before = sorted(source.parent.rglob("*"))
        refused(match, mux, source, options.pop("sound", clips.click_sound()), out, **options)
        assert sorted(source.parent.rglob("*")) == before

    @pytest.fixture
    def clip(self, tmp_path):
        return clips.make_clip(tmp_path / "in.mp4", bframes=2)

    @pytest.mark.parametrize(
        ("name", "options", "match"),
        [
            ("out.xyz", {}, "one of the endings .mp4"),
            ("out.webm", {}, "webm cannot hold h264 video.*write .mkv"),
            ("out.avi", {}, "takes only AVI clips"),
            ("out.mp4", {"codec": "vorbis"}, "no sound codec 'vorbis'"),
            ("out.mkv", {"keep_original": "both"}, "'replace', 'mix', 'over' or 'under'"),
            ("out.mkv", {"original_gain_db": float("nan")}, "gain of the clip's own sound is nan"),
            ("out.mkv", {"loudness": float("nan")}, "target is nan LUFS"),
            ("out.mkv", {"codec": "flac", "sound": Sound(np.zeros((9, 4800)), 48000)}, "9 channels"),
        ],
    )
    def test_on_what_does_not_fit(self, tmp_path, clip, name, options, match):
        self.fails(clip, tmp_path / name, match, **options)

    def test_where_a_muxer_finds_out_late(self, tmp_path):
        source = clips.make_clip(tmp_path / "in.webm", codec="libvpx-vp9")
        self.fails(source, tmp_path / "out.mov", "mov cannot hold vp9 video")

    @pytest.mark.parametrize(
        ("damage", "match"),
        [
            (lambda whole: b"", "0 bytes"),
            (lambda whole: whole[: len(whole) // 2], "moov"),
            (lambda whole: b"no video at all\n" * 9, "is text"),
        ],
        ids=["empty", "truncated", "text"],
    )
    def test_on_a_file_that_is_no_clip(self, tmp_path, clip, damage, match):
        clip.write_bytes(damage(clip.read_bytes()))
        self.fails(clip, tmp_path / "out.mp4", match)

    def test_on_what_is_no_clip(self, tmp_path):
        self.fails(tmp_path / "in.mp4", tmp_path / "out.mp4", "no file")
        (tmp_path / "in.mp4").mkdir()
        self.fails(tmp_path / "in.mp4", tmp_path / "out.mp4", "is a folder")
        self.fails(clips.sound_file(tmp_path / "in.m4a", clips.noise(0.2)), tmp_path / "out.mp4", "only sound")

    def test_on_a_clip_that_was_cut_behind_its_index(self, tmp_path, clip):
        """The index stands in front, as the muxer of this pack writes it, and lists more than there is."""
        whole = mux(clip, Sound(np.zeros((2, 4800)), 48000), tmp_path / "whole.mp4").path
        whole.write_bytes(whole.read_bytes()[:-2000])
        self.fails(whole, tmp_path / "out.mp4", "2000 bytes are missing")

    def test_on_folders_that_cannot_be_written(self, tmp_path, clip):
        self.fails(clip, clip / "out.mp4", "does not exist")
        self.fails(clip, tmp_path / "none" / "out.mp4", "does not exist")

    def test_on_a_disk_that_is_really_full(self, tmp_path):
        source = clips.make_clip(tmp_path / "in.mp4", paint=clips.grain, size=(320, 240))
        for name in ("out.mp4", "out.mkv"):
            with clips.full_disk(100_000):
                self.fails(source, tmp_path / name, "no room")

    @pytest.mark.parametrize("step", ["finish", "write_until"])
    def test_on_a_disk_that_fills_up(self, tmp_path, clip, monkeypatch, step):
        full = Mock(side_effect=OSError(errno.ENOSPC, "No space left on device"))
        monkeypatch.setattr(f"stereosync_core.media.encode.SoundTrack.{step}", full)
        self.fails(clip, tmp_path / "out.mp4", "no room")

    def test_keeps_the_old_file(self, tmp_path, clip):
        out = tmp_path / "out.mp4"
        out.write_bytes(b"precious")
        refused("no sound codec", mux, clip, clips.click_sound(), out, codec="vorbis")
        stopped(mux, clip, clips.click_sound(), out)
        assert out.read_bytes() == b"precious"

    def test_is_not_hidden_by_a_container_that_cannot_be_closed(self, tmp_path, clip, monkeypatch):
        class Stubborn:
            def __init__(self, container: OutputContainer):
                self.container = container

            def __getattr__(self, name):
                return getattr(self.container, name)

            def close(self):
                self.container.close()
                raise OSError(errno.ENOSPC, "No space left on device")

        real = av.open
        monkeypatch.setattr(av, "open", lambda *a, **k: Stubborn(real(*a, **k)) if "w" in a else real(*a, **k))
        stopped(mux, clip, clips.click_sound(), tmp_path / "out.mp4")
        self.fails(clip, tmp_path / "out.mp4", "no room")


WINDOWS_NAMES = ["\\a", "..\\a.mp4", "C:\\a.mp4", "C:a.mp4", "\\\\host\\a"]


class TestSafeOutputPath:
    @pytest.mark.parametrize("name", ["a.mp4", "sub/a.mp4", "a b ä.mp4", "..a.mp4"])
    def test_takes_names_inside_the_folder(self, tmp_path, name):
        assert safe_output_path(tmp_path, name) == tmp_path.resolve() / name

    @pytest.mark.parametrize("name", ["", " ", "a\0b", "..", "/etc/a.mp4", "../a.mp4", "a/../../b.mp4", *WINDOWS_NAMES])
    def test_refuses_names_that_lead_out(self, tmp_path, name):
        refused("give a plain file name", safe_output_path, tmp_path, name)

    def test_refuses_links_that_lead_out(self, tmp_path):
        folder = tmp_path / "out"
        folder.mkdir()
        try:
            (folder / "link").symlink_to(tmp_path)
        except OSError:
            pytest.skip("this system makes no links")
        refused("leads out", safe_output_path, folder, "link/a.mp4")


class TestNames:
    NAMES = (
        *("10:30 walk.mp4", "concat:x.mp4", "data:text.mp4", "http:x.mp4", "file:x.mp4", "subfile,,start,1,end,2,,:x.mp4"),
        *("clip%03d.mp4", "-dash.mp4", "pipe|bar.mp4", "a#b?c&d.mp4", "new\nline.mp4", "[brackets].mp4", "trailing .mp4 "),
    )

    @pytest.mark.parametrize("name", NAMES)
    def test_a_file_is_a_file(self, tmp_path, monkeypatch, name):
        """libav takes a relative name with a colon for an address."""
        monkeypatch.chdir(tmp_path)
        source = clips.make_clip(Path("in.mp4")).rename(name)
        assert probe(source).frame_count == probe(name).frame_count == 30
        out = mux(source, clips.click_sound(), Path(name.strip())).path
        assert clips.video_packet_digest(out) == clips.video_packet_digest(source)
        assert clips.sound_in(out).length == 48000

    @pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
    def test_a_name_need_not_be_unicode(self, tmp_path):
        source = clips.make_clip(tmp_path / "in.mp4").rename(tmp_path / os.fsdecode(b"caf\xe9.mp4"))
        assert mux(source, clips.click_sound(), tmp_path / os.fsdecode(b"\xe9.mp4")).video_packets == 30

    @pytest.mark.parametrize("name", ["a" * 300 + ".mp4", "a" * 5000 + ".mp4", "a\0b.mp4"], ids=["300", "5000", "nul"])
    def test_one_that_no_file_can_have_is_an_error(self, tmp_path, name):
        refused("there is no file", probe, tmp_path / name)
        refused("leads out|too long", safe_output_path, tmp_path, name)
        if "\0" not in name:
            refused("too long", mux, clips.make_clip(tmp_path / "in.mp4"), clips.click_sound(), tmp_path / name)


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
class TestWhatIsThere:
    @pytest.mark.parametrize("exists", [True, False])
    def test_a_link_is_followed(self, tmp_path, exists):
        source = clips.make_clip(tmp_path / "in.mp4")
        (tmp_path / "far").mkdir()
        target, link = tmp_path / "far" / "real.mp4", tmp_path / "link.mp4"
        if exists:
            target.write_bytes(b"old")
        link.symlink_to(target)
        mux(source, clips.click_sound(), link)
        assert link.is_symlink()
        assert probe(target).frame_count == 30
        assert sorted(path.name for path in tmp_path.rglob("*")) == ["far", "in.mp4", "link.mp4", "real.mp4"]

    def test_a_link_to_itself_a_pipe_and_a_device_are_errors(self, tmp_path):
        sound = Sound(clips.noise(0.1), 48000)
        (tmp_path / "one.wav").symlink_to("two.wav")
        (tmp_path / "two.wav").symlink_to("one.wav")
        refused("leads to itself", write_sound, tmp_path / "one.wav", sound)
        refused("no file", probe, tmp_path / "one.wav")
        os.mkfifo(tmp_path / "pipe.wav")
        refused("device or a pipe", write_sound, tmp_path / "pipe.wav", sound)
        (tmp_path / "null.wav").symlink_to("/dev/null")
        refused("device or a pipe", write_sound, tmp_path / "null.wav", sound)

    def test_permissions_are_handed_on(self, tmp_path):
        path = write_sound(tmp_path / "a.wav", Sound(clips.noise(0.1), 48000))
        path.chmod(0o640)
        write_sound(path, Sound(clips.noise(0.2), 48000))
        assert path.stat().st_mode & 0o777 == 0o640
