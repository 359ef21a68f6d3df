"""Cuts, and who is followed when."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from stereosync_core.media.shots import CutFinder
from stereosync_core.scene import Track, Tracks
from stereosync_core.tracking.tracklets import Tracklet, refine

RATE = 30


def landscape(seed: int, shift: float = 0.0, light: float = 1.0) -> np.ndarray:
    """A picture of soft blobs that may be panned and lit."""
    y, x = np.mgrid[:144, :256] / 144
    picture = np.zeros((144, 256, 3))
    for cx, cy, size, *colour in np.random.default_rng(seed).uniform(0, 1, (60, 6)):
        blob = np.exp(-(((x - 3 * cx + 0.6 + shift) ** 2 + (y - cy) ** 2) / (0.02 + 0.1 * size) ** 2))
        picture += (blob * 255)[..., None] * (np.array(colour) - 0.4)
    return np.clip(light * (110 + picture), 0, 255).astype(np.uint8)


def written(path: Path, pictures: list[np.ndarray]) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE, options={"crf": "20"})
        stream.width, stream.height, stream.pix_fmt = 256, 144, "yuv420p"
        images = [av.VideoFrame.from_ndarray(picture, "rgb24") for picture in pictures]
        for image in [*images, None]:
            container.mux(stream.encode(image))
    return path


SHOTS = {
    "still": [landscape(1)] * 40,
    "pan": [landscape(1, 0.012 * n) for n in range(40)],
    "whip": [landscape(1, 0.08 * max(0, min(n - 18, 8))) for n in range(40)],
    "flash": [landscape(1, light=2.2 if n in (20, 21) else 1.0) for n in range(40)],
    "dusk": [landscape(1, light=1 - 0.015 * n) for n in range(40)],
    "cut": [landscape(1 if n < 17 else 2) for n in range(40)],
    "three": [landscape(1 if n < 11 else 2 if n < 23 else 3, 0.01 * n) for n in range(40)],
}
CUTS = {"cut": [17], "three": [11, 23]}


@pytest.mark.parametrize("name", SHOTS)
def test_cuts_are_found_to_the_frame_and_nothing_else_is_one(tmp_path, name):
    clip = written(tmp_path / "clip.mp4", SHOTS[name])
    finder = CutFinder()
    for n in range(0, 40, 3):
        finder.add(n / RATE, SHOTS[name][n])
    assert finder.cuts(clip) == pytest.approx([n / RATE for n in CUTS.get(name, [])], abs=1e-3)


def walker(number: int, start: float, end: float, height: float = 0.5) -> Track:
    times = np.arange(start, end, 0.1)
    left = 0.1 + 0.1 * (times - start)
    return Track(number, "person", times, np.stack([left, 0 * times + 0.4, left + 0.2, 0 * times + 0.4 + height], axis=1))


def test_each_shot_has_its_own_and_who_comes_when_another_left_stays():
    first, beside, later = walker(1, 0.0, 3.0), walker(2, 0.0, 2.9, 0.4), walker(3, 4.0, 6.0)
    kept = Tracks((first, beside, later), 8.0).most_prominent(1)
    assert [track.id for track in kept] == [1, 3]
    small = walker(4, 4.0, 6.0, 0.01)
    assert [track.id for track in Tracks((first, small), 8.0).most_prominent(1)] == [1], "a speck beside the shot's walker"
    assert [track.id for track in Tracks((first, small), 8.0, cuts=(3.5,)).most_prominent(1)] == [1, 4], "a shot of its own"


def test_one_sound_goes_along_each_in_turn():
    way = Tracks((walker(3, 4.0, 6.0), walker(1, 0.0, 3.0)), 8.0).in_turn()
    assert way.at([1.0, 5.0])[0][:, 0] == pytest.approx(0.2)
    assert not way.at([3.5])[1][0]


def test_no_track_goes_over_a_cut():
    whole = walker(7, 0.0, 4.0)
    tracklet = Tracklet(7, "person", list(whole.times), list(whole.boxes), [1.0] * len(whole.times))
    tracks = refine([tracklet], 4.0, spacing=0.1, cuts=[2.0])
    assert [(track.id, round(track.start, 1), round(track.end, 1)) for track in tracks] == [(7, 0.0, 1.9), (8, 2.0, 3.9)]
    assert tracks.cuts == (2.0,)
