"""Clips in which feet are hard to see, or not there: made of the bundled walking clip."""

import av
import numpy as np
import pytest

from stereosync_core.assets import WALKING_CLIP, asset_path
from stereosync_core.events.detect import detect_events
from stereosync_core.media.video import frames
from stereosync_core.scene_events import Events
from stereosync_core.tracking.registry import track_video

pytestmark = pytest.mark.slow
START, SECONDS, RATE = 1.0, 4.0, 30
#: Contacts of the walker in the part that is taken, in its own seconds, and the first foot.
CONTACTS = np.array([1.99, 2.625, 3.25, 3.855, 4.475]) - START


@pytest.fixture(scope="module")
def walk() -> list[np.ndarray]:
    times = START + np.arange(round(SECONDS * RATE)) / RATE
    return [picture for _, picture in frames(asset_path(WALKING_CLIP), times=times, max_side=640)]


def found(path, pictures, rate=RATE) -> Events:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate, options={"crf": "20"})
        stream.height, stream.width, stream.pix_fmt = *pictures[0].shape[:2], "yuv420p"
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), "rgb24")))
        container.mux(stream.encode(None))
    return detect_events(path, track_video(path, max_tracks=1))


def test_five_frames_a_second_and_a_mirror_have_the_same_steps(tmp_path, walk):
    plain = found(tmp_path / "plain.mp4", walk)
    slow = found(tmp_path / "slow.mp4", walk[:: RATE // 5], 5)
    mirrored = found(tmp_path / "mirrored.mp4", [picture[:, ::-1] for picture in walk])
    for events in (plain, slow, mirrored):
        assert np.abs(events.times[:, None] - CONTACTS).min(0).max() < 0.08
    feet = [{round(event.time, 1): event.foot for event in events} for events in (plain, mirrored)]
    shared = feet[0].keys() & feet[1].keys()
    assert len(shared) >= 3
    assert all(feet[0][time] != feet[1][time] for time in shared)


@pytest.mark.parametrize("turned", ["turned round", "upside down"])
def test_somebody_upside_down_takes_no_step_and_the_log_tells(tmp_path, walk, caplog, turned):
    pictures = [picture[::-1, ::-1] if turned == "turned round" else picture[::-1] for picture in walk]
    assert len(found(tmp_path / "clip.mp4", pictures)) == 0
    assert "upside down" in caplog.text


@pytest.mark.parametrize("what", ["a single frame", "no feet", "darkness", "a crowd far away"])
def test_where_no_foot_can_be_seen_there_is_no_step(tmp_path, walk, what):
    if what == "a single frame":
        pictures = walk[60:61]
    elif what == "no feet":
        pictures = [picture[: picture.shape[0] * 3 // 8 * 2] for picture in walk]
    elif what == "darkness":
        pictures = [np.zeros_like(picture) for picture in walk]
    else:
        small = [picture[::4, ::4] for picture in walk]
        pictures = [np.tile(one[: one.shape[0] // 2 * 2, : one.shape[1] // 2 * 2], (5, 6, 1)) for one in small]
    assert len(found(tmp_path / "clip.mp4", pictures)) == 0
