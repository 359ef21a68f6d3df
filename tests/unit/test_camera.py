"""Camera motion: pictures of a textured wall whose motion is known, and what is done with it."""

from __future__ import annotations

import av
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, map_coordinates

from stereosync_core.events.detect import detect_events, gait_steps
from stereosync_core.events.things import impacts
from stereosync_core.files import load_tracks, save_tracks
from stereosync_core.media.camera import CameraFinder, camera_motion
from stereosync_core.preview.plot import plot_camera
from stereosync_core.rendering.gait import steps_from_track
from stereosync_core.scene import Track, Tracks
from stereosync_core.scene_camera import CameraMotion, moved, moved_boxes
from stereosync_core.tracking.detections import Detections
from stereosync_core.tracking.tracklets import Associator
from tests.errors import refused
from tests.unit.test_gait import walker

WIDTH, HEIGHT, RATE, COUNT = 480, 270, 12, 14
STILL = np.eye(3)
#: The frame's corners and middle, in pixels.
PLACES = np.array([[0, 0], [WIDTH, 0], [0, HEIGHT], [WIDTH, HEIGHT], [WIDTH / 2, HEIGHT / 2]])
PIXELS = np.diag([WIDTH, HEIGHT, 1.0])


def wall(seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    spots = sum(
        gaussian_filter(random.standard_normal((700, 1300)), s, mode="wrap") * s * m for s, m in ((1.5, 20), (6, 25), (20, 30))
    )
    return np.clip(120 + np.asarray(spots), 0, 255)


WALL, SHIRT = wall(0), wall(5)


def camera(kind: str, n: int) -> np.ndarray:
    """Where the first frame's pixels are in frame ``n``: ``[3, 3]``."""
    middle, angle, scale, shift = np.array([WIDTH / 2, HEIGHT / 2]), 0.0, 1.0, np.zeros(2)
    if kind == "turn":  # a pinhole about its own axis, by 1.5 degrees a frame
        pinhole, angle = np.array([[430.0, 0, middle[0]], [0, 430, middle[1]], [0, 0, 1]]), np.deg2rad(1.5) * n
        cos, sin = np.cos(angle), np.sin(angle)
        return pinhole @ np.array([[cos, 0, -sin], [0, 1, 0], [sin, 0, cos]]) @ np.linalg.inv(pinhole)
    if kind == "pan":
        shift = np.array([-9.0 * n, 2.0 * n])
    elif kind == "creep":
        shift = np.array([0.3 * n, 0.1 * n])
    elif kind == "zoom":
        scale = 1.03**n
    elif kind == "shake":
        random = np.random.default_rng(n)
        shift, angle = random.normal(0, 5, 2), random.normal(0, 0.02)
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.block([[turn, (middle + shift - turn @ middle)[:, None]], [np.zeros((1, 2)), np.ones((1, 1))]])


def picture(where: np.ndarray, seed: int = 0, person: int | None = None, before: np.ndarray = WALL) -> np.ndarray:
    """A wall seen by a camera, with noise; a person a third of the frame wide, whose left edge is at a column."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    places = moved(np.linalg.inv(where), np.stack([x, y], axis=-1).astype(float))
    grey = map_coordinates(before, [places[..., 1] + 200, places[..., 0] + 400], order=1, mode="wrap")
    if person is not None:
        grey[30:, person : person + WIDTH // 3] = SHIRT[30:HEIGHT, 200 : 200 + WIDTH // 3]
    grey = grey + np.random.default_rng(seed).normal(0, 2, grey.shape)
    return np.repeat(np.clip(grey, 0, 255)[..., None], 3, axis=2).astype(np.uint8)


def found(kind: str, person: bool = False) -> tuple[CameraMotion, float]:
    """The motion that is found, and the largest error of a step at the frame's corners in pixels."""
    finder, error = CameraFinder(WIDTH / HEIGHT), 0.0
    for n in range(COUNT):
        step = finder.add(n / RATE, picture(camera(kind, n), n, 15 + 8 * n if person else None))
        if n:
            true = camera(kind, n) @ np.linalg.inv(camera(kind, n - 1))
            here = moved(PIXELS @ step @ np.linalg.inv(PIXELS), PLACES)
            error = max(error, float(np.abs(here - moved(true, PLACES)).max()))
    return finder.motion(), error


def written(path, pictures, rate: int = RATE):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate, options={"crf": "18"})
        stream.height, stream.width, stream.pix_fmt = *pictures[0].shape[:2], "yuv420p"
        for image in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(image), "rgb24")))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("person", [False, True], ids=["empty", "a third is a person"])
@pytest.mark.parametrize("kind", ["pan", "creep", "zoom", "shake", "turn"])
def test_a_moving_camera_is_found_to_the_pixel_whoever_walks_there(kind, person):
    motion, error = found(kind, person)
    assert error < (1.5 if person else 1.0)
    middle = moved(PIXELS @ motion.accumulated[-1] @ np.linalg.inv(PIXELS), PLACES[-1])
    assert np.abs(middle - moved(camera(kind, COUNT - 1), PLACES[-1])).max() < 1.0
    assert motion.confidence[1:].min() > 0.35


@pytest.mark.parametrize("person", [False, True])
def test_a_camera_that_stands_is_exactly_the_identity(person):
    motion, _ = found("tripod", person)
    assert motion.still
    assert (motion.steps == STILL).all()
    assert motion.confidence[1:].min() > 0.4
    path = np.random.default_rng(0).random((COUNT, 2))
    assert motion.without(motion.times, path)[0] is path


@pytest.mark.parametrize("what", ["black", "plain", "noise", "one frame"])
def test_where_nothing_can_be_told_the_camera_stands_without_confidence(tmp_path, what):
    random = np.random.default_rng(0)
    pictures = {
        "black": [np.zeros((HEIGHT, WIDTH, 3), np.uint8)] * 6,
        "plain": [np.full((HEIGHT, WIDTH, 3), 90 + n, np.uint8) for n in range(6)],
        "noise": [random.integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8) for _ in range(6)],
        "one frame": [picture(STILL)],
    }[what]
    motion = camera_motion(written(tmp_path / "clip.mp4", pictures))
    assert motion.still
    assert motion.confidence.max() == 0
    assert motion.accumulated.shape == (len(motion.times), 3, 3)


def test_nothing_moves_from_shot_to_shot(tmp_path):
    other = wall(9)
    shots = [picture(camera("pan", n), n, before=WALL if n < 8 else other) for n in range(16)]
    motion = camera_motion(written(tmp_path / "clip.mp4", shots))
    assert motion.cuts == pytest.approx([8 / RATE])
    assert (motion.steps[8] == STILL).all()
    assert motion.confidence[8] == 0
    assert (motion.accumulated[8] == STILL).all()
    assert np.allclose(motion.speed()[[4, 12], 0], -9 * RATE / WIDTH, rtol=0.05)
    assert (motion.between(0.3, 1.0) == STILL).all()
    assert np.allclose(moved(motion.between(7.25 / RATE, 7.5 / RATE), np.zeros(2)), 0, atol=0.02), "no motion over the cut"


def test_between_frames_the_camera_goes_a_smooth_way():
    motion = panning(12.0)
    way = moved(motion.at([0.25, 0.28, 0.5]), np.full(2, 0.5))[:, 0]
    assert way == pytest.approx([0.5 - 0.3 * t for t in (0.25, 0.28, 0.5)], abs=1e-6)
    assert np.allclose(motion.between(0.28, 0.25) @ motion.between(0.25, 0.28), STILL)


def panning(rate: float = 10.0, speed: float = -0.3, seconds: float = 9.0) -> CameraMotion:
    """A camera that pans by so many picture widths a second."""
    times = np.arange(round(seconds * rate)) / rate
    steps = np.tile(STILL, (len(times), 1, 1))
    steps[1:, 0, 2] = speed / rate
    return CameraMotion(times, steps, np.ones(len(times)))


def filmed(track: Track, motion: CameraMotion) -> Track:
    """A track of a standing camera's picture as a moving one sees it, while it is in the picture."""
    boxes = np.stack([moved_boxes(step, box[None])[0] for step, box in zip(motion.at(track.times), track.boxes, strict=True)])
    there = (boxes > -1).all(1) & (boxes < 2).all(1)
    return Track(track.id, track.label, track.times[there], boxes[there])


def test_a_path_is_what_a_standing_camera_would_see():
    times = np.arange(90) / 30
    path = np.stack([0.3 + 0.1 * times, 0.5 + 0.1 * np.sin(3 * times)], axis=1)
    steps = np.tile(STILL, (90, 1, 1))
    steps[1:] = np.array([[1.01, 0, -0.02], [0, 1.01, 0.005], [0, 0, 1]])  # zooms in and pans
    motion = CameraMotion(times, steps, np.ones(90))
    seen = moved(motion.accumulated, path)
    own, size = motion.without(times, seen)
    assert np.allclose(own, path, atol=1e-6)
    assert size == pytest.approx(1.01 ** np.arange(90))


def test_a_walker_before_a_panning_camera_has_the_same_steps():
    track, true = walker(1.9, 30)
    motion = panning(speed=-0.09)  # follows the walker, who hardly moves in the picture
    followed = filmed(track, motion)
    assert np.ptp(followed.boxes[:, 0]) < 0.7 * np.ptp(track.boxes[:, 0])
    plain, with_camera = (steps_from_track(track, 8.0), steps_from_track(followed, 8.0, camera=motion))
    assert np.allclose(plain.times, with_camera.times, atol=0.01)
    assert np.abs(with_camera.times[:, None] - true).min(0).max() < 0.12
    tracks = Tracks((followed,), 8.0)
    assert [event.confidence for event in gait_steps(followed, tracks, motion)][3:-3] > [0.5]


def test_who_stands_before_a_panning_camera_makes_no_step():
    times = np.arange(0, 4, 1 / 30)
    stands = Track(1, "person", times, np.tile([0.1, 0.3, 0.25, 0.9], (len(times), 1)))
    motion = panning(speed=0.15)
    seen, tracks = filmed(stands, motion), Tracks((filmed(stands, motion),), 4.0)
    assert max((event.confidence for event in gait_steps(seen, tracks)), default=0) > 0.5
    assert max((event.confidence for event in gait_steps(seen, tracks, motion)), default=0) < 0.2


def test_a_ball_under_a_camera_that_jerks_bounces_where_it_turns():
    times = np.arange(0, 3, 1 / 30)
    phase = (times / 0.6) % 1
    y = 0.8 - 4 * 0.4 * phase * (1 - phase)
    ball = Track(4, "sports ball", times, np.stack([0.48 + 0 * y, y - 0.02, 0.52 + 0 * y, y + 0.02], axis=1))
    steps = np.tile(STILL, (len(times), 1, 1))
    steps[1:, 0, 2] = np.where(np.diff(times) + times[1:] * 0 > 0, 0.05 * np.sign(np.sin(9 * times[1:])), 0)
    motion = CameraMotion(times, steps, np.ones(len(times)))
    seen = filmed(ball, motion)
    assert len(impacts(seen)) != 4
    events = impacts(seen, camera=motion)
    assert np.allclose([event.time for event in events], [0.6, 1.2, 1.8, 2.4], atol=0.02)


def test_what_falls_under_a_pan_sounds_where_it_hits(tmp_path):
    gravity, floor, rate = 8.0, 0.8, 30
    hit = 0.5 + np.sqrt(2 * (floor - 0.15) / gravity)
    y, x = np.mgrid[:HEIGHT, :WIDTH] / HEIGHT
    shots = []
    for n in range(48):
        time = n / rate
        high = min(0.15 + 0.5 * gravity * max(time - 0.5, 0.0) ** 2, floor)
        pan = np.array([[1, 0, -3.0 * n], [0, 1, 0], [0, 0, 1]])
        shot = picture(pan, n)
        shot[np.hypot(x - 1.3 + 3 * n / HEIGHT, y - high) < 0.05] = [230, 60, 40]
        shots.append(shot)
    clip = written(tmp_path / "clip.mp4", shots, rate)
    (event,) = detect_events(clip, Tracks((), 48 / rate, aspect=WIDTH / HEIGHT))
    assert event.kind == "impact"
    assert abs(event.time - hit) < 0.025


def test_the_tracker_goes_on_with_a_box_that_the_camera_has_moved():
    """Two people who stand, before a camera that pans by their distance from frame to frame."""
    motion = panning(10.0, speed=-3.0, seconds=0.6)

    def ids(with_camera: bool) -> list[int]:
        associator = Associator()
        for n, time in enumerate(motion.times):
            left = np.array([[0.6, 0.3, 0.7, 0.8], [0.9, 0.3, 1.0, 0.8], [1.2, 0.3, 1.3, 0.8]])
            boxes = moved_boxes(motion.accumulated[n], left)
            boxes = boxes[(boxes[:, 0] > -0.01) & (boxes[:, 2] < 1.01)]
            people = Detections(boxes, np.full(len(boxes), 0.9), ("person",) * len(boxes))
            associator.add(float(time), people, motion.steps[n] if with_camera else None)
        return [len(one.times) for one in associator.tracklets]

    assert ids(True) == [3, 4, 4]
    assert ids(False) != [3, 4, 4]


def test_a_tracks_file_keeps_the_camera(tmp_path):
    motion = panning(speed=0.1, seconds=2.0)
    tracks = Tracks((), 2.0, cuts=(1.0,), camera=CameraMotion(motion.times, motion.steps, motion.confidence, (1.0,)))
    read = load_tracks(save_tracks(tmp_path / "tracks.json", tracks), 2.0).camera
    assert read is not None
    assert np.allclose(read.steps, motion.steps)
    assert read.cuts == (1.0,)
    assert load_tracks(save_tracks(tmp_path / "plain.json", Tracks((), 2.0)), 2.0).camera is None


def test_a_line_and_a_picture_tell_what_the_camera_does():
    motion = panning(speed=-0.25, seconds=2.0)
    assert "100%" in motion.summary()
    assert "0.25 picture widths" in motion.summary()
    still = CameraMotion([0, 1], [STILL] * 2, [0, 1], (0.5,))
    assert still.summary() == "The camera stands. Shots: 2."
    assert "Not known" in CameraMotion([0, 1], [STILL] * 2, [0, 0]).summary()
    moving, standing = plot_camera(motion), plot_camera(still)
    assert moving.shape == standing.shape == (480, 1000, 3)
    assert (moving != standing).any()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: CameraMotion([0, 1], [STILL], [1, 1]), "one 3x3 matrix"),
        (lambda: CameraMotion([1, 0], [STILL] * 2, [1, 1]), "rise"),
        (lambda: CameraMotion([0], [STILL * 0], [1]), "finite"),
        (lambda: CameraMotion([0], [STILL * np.nan], [1]), "finite"),
        (lambda: CameraMotion([0], [STILL], [2]), "0..1"),
    ],
)
def test_motion_that_makes_no_sense_is_refused(make, words):
    refused(words, make)


def test_a_rate_and_another_clips_camera_are_refused(tmp_path):
    clip = written(tmp_path / "clip.mp4", [picture(STILL)] * 12)
    refused("Camera motion: 0 frames a second", camera_motion, clip, rate=0)
    other = CameraMotion([0.0, 9.0], [STILL] * 2, [1, 1])
    refused("Camera motion: it ends at 9.00 s", detect_events, clip, Tracks((), 1.0), camera=other)


def test_the_first_step_is_of_no_frame_and_moves_nothing():
    """As a file may have it."""
    steps = np.tile(np.eye(3), (3, 1, 1))
    steps[0, 0, 2] = 0.5
    motion = CameraMotion(np.arange(3.0), steps, np.ones(3))
    assert motion.still
    assert motion.summary() == "The camera stands."
