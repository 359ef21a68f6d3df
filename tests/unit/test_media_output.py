"""Writing files: one clear message when it fails, no trace on the disk, and names that stay in their folder."""

from __future__ import annotations

import errno
from pathlib import Path

import av
import numpy as np
import pytest
from av.container import OutputContainer

from stereosync_core.errors import StereoSyncError
from stereosync_core.media.mux import mux
from stereosync_core.media.output import safe_output_path
from stereosync_core.media.sound import Sound
from tests import clips


class Interrupted(Exception):
    """What a host raises in a progress callback when the user presses stop."""


def click_sound() -> Sound:
    return Sound(clips.clicks([0.2, 0.5, 0.9], 1.0), 48000)


class TestFailing:
    """One clear message, and no trace on the disk."""

    def fails(self, source: Path, out: Path, match: str, **options) -> None:
        before = sorted(source.parent.rglob("*"))
        with pytest.raises(StereoSyncError, match=match):
            mux(source, options.pop("sound", click_sound()), out, **options)
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
            ("out.mkv", {"keep_original": "both"}, "'replace' or 'mix'"),
            ("out.mkv", {"original_gain_db": float("nan")}, "gain of the clip's own sound is nan"),
            ("out.mkv", {"loudness": float("nan")}, "target is nan LUFS"),
            ("out.mkv", {"sound": Sound(np.zeros((9, 4800)), 48000)}, "9 channels"),
        ],
    )
    def test_on_what_does_not_fit(self, tmp_path, clip, name, options, match):
        self.fails(clip, tmp_path / name, match, **options)

    def test_where_a_muxer_finds_out_late(self, tmp_path):
        source = clips.make_clip(tmp_path / "in.webm", codec="libvpx-vp9")
        self.fails(source, tmp_path / "out.mov", "mov cannot hold vp9 video")

    @pytest.mark.parametrize("kind", ["missing", "folder", "empty", "truncated", "cut", "text", "sound"])
    def test_on_what_is_no_clip(self, tmp_path, kind):
        source = tmp_path / "in.mp4"
        if kind == "folder":
            source.mkdir()
        elif kind == "sound":
            source = clips.sound_file(tmp_path / "in.m4a", clips.noise(0.2))
        elif kind == "cut":
            # its index stands in front, as the muxer of this pack writes it, and lists more than there is
            whole = mux(clips.make_clip(source), Sound(np.zeros((2, 4800)), 48000), tmp_path / "whole.mp4").path
            source.write_bytes(whole.read_bytes()[:-2000])
            whole.unlink()
        elif kind != "missing":
            whole = clips.make_clip(source).read_bytes()
            source.write_bytes({"empty": b"", "truncated": whole[: len(whole) // 2], "text": b"no video at all\n" * 9}[kind])
        words = {
            "cut": "2000 bytes are missing",
            "missing": "no file",
            "folder": "is a folder",
            "empty": "0 bytes",
            "truncated": "moov",
            "text": "is text",
        }
        self.fails(source, tmp_path / "out.mp4", words.get(kind, "only sound"))

    def test_on_folders_that_cannot_be_written(self, tmp_path, clip):
        self.fails(clip, clip / "out.mp4", "does not exist")
        self.fails(clip, tmp_path / "none" / "out.mp4", "does not exist")

    def test_on_a_disk_that_is_really_full(self, tmp_path):
        """The process may not make files beyond 100 KB for a moment, so that the operating system refuses to write."""
        resource = pytest.importorskip("resource")
        source = clips.make_clip(tmp_path / "in.mp4", paint=clips.grain, size=(320, 240))
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        for name in ("out.mp4", "out.mkv"):
            resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
            try:
                self.fails(source, tmp_path / name, "no room")
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, before)

    @pytest.mark.parametrize("step", ["finish", "write_until"])
    def test_on_a_disk_that_fills_up(self, tmp_path, clip, monkeypatch, step):
        def full(*_):
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(f"stereosync_core.media.encode.SoundTrack.{step}", full)
        self.fails(clip, tmp_path / "out.mp4", "no room")

    def test_keeps_the_old_file(self, tmp_path, clip):
        out = tmp_path / "out.mp4"
        out.write_bytes(b"precious")
        with pytest.raises(StereoSyncError):
            mux(clip, click_sound(), out, codec="vorbis")
        with pytest.raises(Interrupted):
            mux(clip, click_sound(), out, progress=_interrupt)
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
        with pytest.raises(Interrupted):
            mux(clip, click_sound(), tmp_path / "out.mp4", progress=_interrupt)
        self.fails(clip, tmp_path / "out.mp4", "no room")


def _interrupt(*_):
    raise Interrupted


class TestSafeOutputPath:
    @pytest.mark.parametrize("name", ["a.mp4", "sub/a.mp4", "a b ä.mp4", "..a.mp4"])
    def test_takes_names_inside_the_folder(self, tmp_path, name):
        assert safe_output_path(tmp_path, name) == tmp_path.resolve() / name

    @pytest.mark.parametrize(
        "name",
        [
            "",
            " ",
            "/etc/a.mp4",
            "../a.mp4",
            "a/../../b.mp4",
            "..",
            "\\a",
            "..\\a.mp4",
            "C:\\a.mp4",
            "C:a.mp4",
            "\\\\host\\a",
            "a\0b",
        ],
    )
    def test_refuses_names_that_lead_out(self, tmp_path, name):
        with pytest.raises(StereoSyncError, match="give a plain file name"):
            safe_output_path(tmp_path, name)

    def test_refuses_links_that_lead_out(self, tmp_path):
        folder = tmp_path / "out"
        folder.mkdir()
        try:
            (folder / "link").symlink_to(tmp_path)
        except OSError:
            pytest.skip("this system makes no links")
        with pytest.raises(StereoSyncError, match="leads out"):
            safe_output_path(folder, "link/a.mp4")
