"""What a container holds beside pictures and sound is kept, or the report tells that it is not."""

import struct
from fractions import Fraction
from pathlib import Path

import av
import pytest

from stereosync_core import mux
from stereosync_core.media.trim import trim
from tests import clips
from tests.boxes import inner_box, put_box

CHAPTERS = [("One", 0, 400), ("Two", 400, 700), ("Three", 700, 1000)]


def copied_with(path: Path, prepare, **options) -> Path:
    """A clip to which ``prepare(container, video)`` adds something before its pictures; it may return packets to add."""
    source = clips.make_clip(path.with_stem("plain"), **options)
    with av.open(str(source)) as old, av.open(str(path), "w") as new:
        copy = new.add_stream_from_template(old.streams.video[0], opaque=True)
        more = prepare(new, copy) or []
        for packet in old.demux(video=0):
            if packet.size:
                packet.stream = copy
                new.mux(packet)
        for packet in more:
            new.mux(packet)
    return path


def muxed(source: Path, name: str):
    return mux(source, clips.click_sound(), source.with_name(name))


def chapters(path: Path) -> list[tuple[str, float, float]]:
    with av.open(str(path)) as container:
        rows = [(one["metadata"]["title"], one["time_base"], one["start"], one["end"]) for one in container.chapters()]
    return [(title, float(start * tick), float(end * tick)) for title, tick, start, end in rows]


@pytest.fixture
def in_chapters(tmp_path):
    def prepare(container, video):
        tick = Fraction(1, 1000)
        rows = [
            {"id": n, "start": start, "end": end, "time_base": tick, "metadata": {"title": title}}
            for n, (title, start, end) in enumerate(CHAPTERS)
        ]
        container.set_chapters(rows)

    return lambda name, **options: copied_with(tmp_path / name, prepare, **options)


@pytest.mark.skipif(not hasattr(av.container.InputContainer, "chapters"), reason="this PyAV shows no chapters")
class TestChapters:
    @pytest.mark.parametrize("name", ["out.mp4", "out.mov", "out.mkv"])
    @pytest.mark.parametrize("source", ["in.mp4", "in.mkv"])
    def test_are_kept(self, in_chapters, source, name):
        report = muxed(in_chapters(source), name)
        expected = [(title, start / 1000, end / 1000) for title, start, end in CHAPTERS]
        assert [row[0] for row in chapters(report.path)] == ["One", "Two", "Three"]
        assert [row[1:] for row in chapters(report.path)] == [pytest.approx(row[1:], abs=2e-3) for row in expected]
        assert report.notes == ()

    def test_are_cut_with_the_clip(self, in_chapters, tmp_path):
        piece = trim(in_chapters("in.mp4"), 0.5, 0.4, tmp_path / "out.mp4")
        assert [row[0] for row in chapters(piece)] == ["Two", "Three"]
        assert [row[1:] for row in chapters(piece)] == [pytest.approx(row, abs=2e-3) for row in ((0, 0.2), (0.2, 0.4))]


@pytest.mark.parametrize("name", ["out.mp4", "out.mov", "out.mkv"])
def test_timecode_is_kept(tmp_path, name):
    def prepare(container, video):
        video.codec_context.framerate = 30  # that timecode counts in
        video.metadata["timecode"] = "01:00:00:00"

    source = copied_with(tmp_path / "in.mov", prepare)
    report = muxed(source, name)
    with av.open(str(report.path)) as container:
        tags = [*container.streams.video[0].metadata.items(), *container.metadata.items()]
    assert "01:00:00:00" in [value for key, value in tags if key.lower() == "timecode"]
    assert report.notes == ()


@pytest.mark.parametrize(("name", "kept"), [("out.mp4", True), ("out.mov", False), ("out.mkv", False)])
def test_a_cover_is_kept_or_noted(tmp_path, name, kept):
    def prepare(container, video):
        cover = container.add_stream("png")
        cover.width, cover.height, cover.pix_fmt = 96, 64, "rgb24"
        cover.disposition = av.stream.Disposition.attached_pic
        frame = av.VideoFrame.from_ndarray(clips.picture(5), format="rgb24")
        frame.pts = 0
        return [*cover.encode(frame), *cover.encode(None)]

    report = muxed(copied_with(tmp_path / "in.mp4", prepare), name)
    with av.open(str(report.path)) as container:
        covers = [one for one in container.streams.video if av.stream.Disposition.attached_pic in one.disposition]
    assert len(covers) == kept
    assert ("a cover picture" in "".join(report.notes)) != kept
    assert report.video_packets == 30


@pytest.mark.skipif(not hasattr(av.container.OutputContainer, "add_attachment"), reason="this PyAV knows no attachments")
@pytest.mark.parametrize(("name", "kept"), [("out.mkv", True), ("out.mp4", False)])
def test_an_attachment_is_kept_or_noted(tmp_path, name, kept):
    def prepare(container, video):
        container.add_attachment("font.ttf", "application/x-truetype-font", b"a font" * 50)

    report = muxed(copied_with(tmp_path / "in.mkv", prepare), name)
    assert (b"a font" * 50 in report.path.read_bytes()) == kept
    assert ("an attachment" in "".join(report.notes)) != kept


@pytest.mark.parametrize(("name", "kept"), [("out.mkv", True), ("out.mp4", False)])
def test_subtitles_are_kept_or_noted(tmp_path, name, kept):
    source = clips.with_subtitles(clips.make_clip(tmp_path / "in.mkv"), tmp_path / "sub.mkv", ["one", "two"])
    assert ("subtitles" in "".join(muxed(source, name).notes)) != kept


@pytest.mark.parametrize(("name", "kept"), [("out.mp4", True), ("out.mkv", True), ("out.mov", False)])
def test_dolby_vision_is_kept_or_noted(tmp_path, name, kept):
    """Profile 8.4 of an iPhone: HEVC with a record in its sample entry."""
    options = {"x265-params": "log-level=none", "preset": "ultrafast"}
    source = clips.make_clip(tmp_path / "in.mp4", codec="libx265", pixel_format="yuv420p10le", count=5, options=options)
    data = bytearray(source.read_bytes())
    outer = inner_box(data, b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd")
    entry = outer[-1][0] + 16
    size = struct.unpack_from(">I", data, entry)[0]
    record = struct.pack(">I4s", 32, b"dvvC") + bytes([1, 0, 8 << 1, 1 << 3 | 0b101, 4 << 4]) + bytes(19)
    put_box(data, [*outer, (entry, size)], entry + size, record)
    source.write_bytes(data)
    report = muxed(source, name)
    assert (b"dvvC" in report.path.read_bytes()) == kept
    assert ("Dolby Vision" in "".join(report.notes)) != kept
    assert clips.video_packet_digest(report.path) == clips.video_packet_digest(source)
