"""Pixels that are not square, where the container tells it, the codec, or both."""

from fractions import Fraction
from pathlib import Path

import av
import pytest

from stereosync_core import mux
from stereosync_core.media.matroska import put_display_size
from stereosync_core.media.trim import trim
from stereosync_core.media.video import frames, probe
from tests import clips

WIDE = Fraction(64, 45)
#: A clip's ending, codec and pixel format; whether the codec stores the shape of the pixels as well.
KINDS = {
    "vp9.mp4": ("libvpx-vp9", "yuv420p"),
    "vp9.webm": ("libvpx-vp9", "yuv420p"),
    "prores.mov": ("prores_ks", "yuv422p10le"),
    "mjpeg.mov": ("mjpeg", "yuvj420p"),
    "h264.mp4": ("libx264", "yuv420p"),
    "h264.mkv": ("libx264", "yuv420p"),
    "mpeg4.avi": ("mpeg4", "yuv420p"),
}


def shape(path: Path) -> Fraction | None:
    with av.open(str(path)) as container:
        return container.streams.video[0].sample_aspect_ratio


@pytest.fixture
def wide(tmp_path):
    def make(kind: str, **options) -> Path:
        codec, pixel_format = KINDS[kind]
        path = clips.make_clip(tmp_path / kind, codec=codec, pixel_format=pixel_format, pixels=WIDE, **options)
        if kind.endswith((".mkv", ".webm")):
            put_display_size(path, round(96 * WIDE), 64)
        assert shape(path) == pytest.approx(float(WIDE), abs=0.01)
        return path

    return make


@pytest.mark.parametrize(
    ("kind", "endings"),
    [
        ("vp9.mp4", ["mp4", "mkv", "webm"]),
        ("vp9.webm", ["mp4", "mkv", "webm"]),
        ("prores.mov", ["mov", "mkv"]),
        ("mjpeg.mov", ["mov", "mp4", "mkv"]),
        ("h264.mp4", ["mov", "mp4", "mkv"]),
        ("h264.mkv", ["mov", "mp4", "mkv"]),
        ("mpeg4.avi", ["mov", "mp4", "mkv"]),
    ],
)
def test_keep_their_shape_in_every_container(tmp_path, wide, kind, endings):
    source = wide(kind)
    for ending in endings:
        out = mux(source, clips.click_sound(), tmp_path / f"out.{ending}").path
        assert shape(out) == pytest.approx(float(WIDE), abs=0.01)
        assert clips.video_packet_digest(out) == clips.video_packet_digest(source)
        assert probe(out).frame_count == 30


@pytest.mark.parametrize("start", [0.2, 0.4], ids=["encoded", "copied"])
@pytest.mark.parametrize("degrees", [0, 90])
def test_keep_their_shape_when_trimmed(tmp_path, wide, start, degrees):
    source = wide("vp9.mp4")
    if degrees:
        clips.rotated(source, degrees)
    piece = trim(source, start, 0.3, tmp_path / "out.mp4")
    lies = degrees and probe(piece).rotation == 0  # stored upright, so that what was wide is high
    assert shape(piece) == pytest.approx(float(1 / WIDE if lies else WIDE), abs=0.01)


def test_square_ones_are_left_alone(tmp_path):
    source = clips.make_clip(tmp_path / "in.webm", codec="libvpx-vp9")
    before = source.read_bytes()
    assert not put_display_size(source, 128, 64)
    assert source.read_bytes() == before
    out = mux(source, clips.click_sound(), tmp_path / "out.mkv").path
    assert (shape(out) or 1) == 1
    assert clips.numbers(frames(out)) == list(range(30))
