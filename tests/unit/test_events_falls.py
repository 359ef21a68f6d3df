"""Falls: things that no detector knows, drawn."""

import av
import numpy as np
import pytest

from stereosync_core.events.detect import detect_events
from stereosync_core.events.falls import FallFinder
from stereosync_core.media.video import frames
from stereosync_core.scene import Track, Tracks

RATE, WIDTH, HEIGHT = 30, 320, 180
GRAVITY = 8.0  # frame heights a second squared
FLOOR = 0.85


def pictures(place, count=60, shift=0):
    """A disc at ``place(seconds)``, in frame heights, before a wall; None: it is not there."""
    wall = np.random.default_rng(0).integers(60, 120, (HEIGHT, WIDTH + 200)).repeat(3).reshape(HEIGHT, WIDTH + 200, 3)
    y, x = np.mgrid[:HEIGHT, :WIDTH] / HEIGHT
    for n in range(count):
        picture = wall[:, n * shift : n * shift + WIDTH].astype(np.uint8)
        at = place(n / RATE)
        if at is not None:
            picture = np.where((np.hypot(x - at[0], y - at[1]) < 0.05)[..., None], np.uint8([230, 60, 40]), picture)
        yield picture


def clip(path, place, **options):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE, options={"crf": "18"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for picture in pictures(place, **options):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), "rgb24")))
        container.mux(stream.encode(None))
    return path


def dropped(start=0.5, height=0.2, bounce=0.0):
    """A disc that is held until ``start``, falls to the floor, and lies there or bounces once; the moment of the hit."""
    hit = start + np.sqrt(2 * (FLOOR - height) / GRAVITY)
    up = bounce * GRAVITY * (hit - start)

    def place(time):
        if time < hit:
            return 0.9, height + 0.5 * GRAVITY * max(time - start, 0.0) ** 2
        since = min(time - hit, 2 * up / GRAVITY)
        return 0.9, FLOOR - up * since + 0.5 * GRAVITY * since**2

    return place, hit


@pytest.mark.parametrize("bounce", [0.0, 0.4])
@pytest.mark.parametrize("start", [0.5, 0.513])
def test_what_falls_sounds_where_and_when_it_hits(tmp_path, start, bounce):
    place, hit = dropped(start, bounce=bounce)
    path = clip(tmp_path / "clip.mp4", place)
    finder = FallFinder()
    for time, picture in frames(path):
        finder.add(time, picture)
    ((event, (x, y)), *further) = finder.falls(path)
    assert abs(event.time - hit) < 0.021
    assert abs(x - 0.9) < 0.03
    assert abs(y - FLOOR) < 0.08
    assert len(further) <= (bounce > 0), "a bounce may be another"


@pytest.mark.parametrize(
    "place",
    [
        lambda time: None,
        lambda time: (0.9, 0.5),
        lambda time: (0.9, 0.2 + 0.5 * time),
        lambda time: (0.9, 0.5 + 0.25 * np.sin(5 * time)),
        lambda time: (0.9, 0.2 + 4.0 * max(time - 0.5, 0) ** 2),
        lambda time: (0.2 + 0.6 * time, 0.5),
    ],
    ids=["nothing", "still", "sinks", "swings", "leaves", "slides"],
)
def test_what_does_not_fall_onto_anything_makes_no_sound(tmp_path, place):
    path = clip(tmp_path / "clip.mp4", place)
    assert len(detect_events(path, Tracks((), 2.0))) == 0


def test_a_fall_belongs_to_the_nearest_track_and_a_moving_camera_shows_none(tmp_path):
    place, hit = dropped()
    boxes = {5: [0.4, 0.2, 0.6, 0.9], 0: [0.0, 0.2, 0.2, 0.9]}
    tracks = Tracks(tuple(Track(number, "dog", [0.0, 2.0], [box, box]) for number, box in boxes.items()), 2.0, max_gap=3.0)
    (event,) = detect_events(clip(tmp_path / "clip.mp4", place), tracks)
    assert (event.kind, event.track) == ("impact", 5)
    assert abs(event.time - hit) < 0.021
    assert len(detect_events(clip(tmp_path / "panned.mp4", lambda time: (0.9, 0.5), shift=3), tracks)) == 0
