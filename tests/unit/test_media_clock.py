"""Recordings whose clock restarts or jumps: continuous times, pictures and sound together."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from stereosync_core import Sound, mux, read_sound
from stereosync_core.media.trim import trim
from stereosync_core.media.video import frame_times, frames, probe
from tests import clips


def recording(path: Path, start: float, sound_start: float | None = None, **options) -> bytes:
    """A second of pictures from ``start`` seconds on, with clicks."""
    late = start if sound_start is None else sound_start
    sound = clips.clicks(clips.CLICKS, 1.0)
    clips.make_clip(path, start=start, sound=sound, sound_start=late, **options)
    return path.read_bytes()


def onsets(sound: Sound | None) -> list[float]:
    """Seconds at which clicks begin."""
    assert sound is not None
    loud = np.flatnonzero(np.abs(sound.samples[0]) > 0.1)
    return (loud[np.diff(loud, prepend=-sound.rate) > 0.1 * sound.rate] / sound.rate).tolist()


@pytest.fixture
def joined(tmp_path):
    """Writes recordings one behind the other: ``joined(name, *seconds at which each begins)``."""

    def make(name: str, *starts: float, **options) -> Path:
        parts = [recording(tmp_path / f"part{n}{Path(name).suffix}", start, **options) for n, start in enumerate(starts)]
        path = tmp_path / name
        path.write_bytes(b"".join(parts))
        return path

    return make


BOTH = [*clips.CLICKS, *(1 + np.array(clips.CLICKS))]


@pytest.mark.parametrize("bframes", [0, 2])
@pytest.mark.parametrize(
    "starts", [(5, 5), (5, 3605), (3605, 5), (5, 4.5), (26 * 3600.0, 5)], ids=["restart", "jump", "back", "overlap", "day"]
)
def test_joined_transport_streams_go_on(joined, starts, bframes):
    path = joined("a.ts", *starts, bframes=bframes)
    assert probe(path).duration == pytest.approx(2, abs=0.05)
    assert frame_times(path) == pytest.approx(np.arange(60) / 30, abs=0.04)
    assert clips.numbers(frames(path)) == [*range(30), *range(30)]
    assert onsets(read_sound(path)) == pytest.approx(BOTH, abs=0.03)


@pytest.mark.parametrize("codec", ["mpeg2video", "mpeg1video"])
def test_joined_program_streams_go_on(joined, codec):
    path = joined("a.mpg", 5, 5, codec=codec, sound_codec="mp2")
    assert probe(path).duration == pytest.approx(2, abs=0.05)
    assert onsets(read_sound(path)) == pytest.approx(BOTH, abs=0.05)


@pytest.mark.parametrize("name", ["o.mp4", "o.mkv"])
def test_they_keep_their_pictures_with_other_sound(tmp_path, joined, name):
    path = joined("a.ts", 5, 5, 3605, bframes=2)
    out = mux(path, clips.click_sound(3.0), tmp_path / name).path
    assert clips.numbers(frames(out)) == [*range(30)] * 3
    assert frame_times(out) == pytest.approx(frame_times(path), abs=1e-3)


def test_they_can_be_cut_behind_the_jump(tmp_path, joined):
    path = joined("a.ts", 5, 5)
    piece = trim(path, 1.1, 0.5, tmp_path / "o.mp4")
    assert clips.numbers(frames(piece)) == list(range(3, 18))
    assert onsets(read_sound(piece)) == pytest.approx([0.1, 0.4], abs=0.03)


def test_sound_alone_goes_on(tmp_path):
    parts = []
    for n, start in enumerate((5.0, 3605.0, 5.0)):
        part = clips.sound_file(tmp_path / f"{n}.ts", clips.clicks(clips.CLICKS, 1.0), starts=[start])
        parts.append(part.read_bytes())
    path = tmp_path / "a.ts"
    path.write_bytes(b"".join(parts))
    assert onsets(read_sound(path)) == pytest.approx([n + click for n in range(3) for click in clips.CLICKS], abs=0.07)


@pytest.mark.parametrize("lead", [-0.3, 0.3], ids=["sound first", "picture first"])
def test_sound_stays_with_its_part_whichever_comes_first(tmp_path, lead):
    """The stream that runs ahead in the file jumps before the other one does."""
    parts = [recording(tmp_path / f"{n}.ts", start, start + lead) for n, start in enumerate((5, 905))]
    path = tmp_path / "a.ts"
    path.write_bytes(b"".join(parts))
    expected = [place for place in np.array(BOTH) + lead if 0 < place < 2]
    assert set(np.round(expected, 1)) <= set(np.round(onsets(read_sound(path)), 1))


def test_a_gap_in_the_sound_alone_is_no_jump(tmp_path):
    path = tmp_path / "a.ts"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=1, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.codec_context.time_base = 96, 64, Fraction(1, 90000)
        track = container.add_stream("aac", rate=48000)
        for n in range(20):
            frame = av.VideoFrame.from_ndarray(clips.picture(n), format="rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = 90000 * n, Fraction(1, 90000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        for start in (0.0, 15.0):
            clips.encode_sound(container, track, clips.clicks(clips.CLICKS, 1.0), 48000, start)
        container.mux(track.encode(None))
    found = onsets(read_sound(path))
    assert found == pytest.approx([*clips.CLICKS, *(15 + np.array(clips.CLICKS))], abs=0.05)
