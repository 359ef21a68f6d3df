"""Drawn people: their truth is what the pictures show, and the scores of events against it."""

import json
from pathlib import Path

import numpy as np
import pytest

from research.__main__ import main
from research.evaluation import drawn_people, drawn_pictures, sync
from research.evaluation.drawn_motions import motion
from research.evaluation.drawn_people import write_clip, write_events_of_joints
from research.evaluation.drawn_pictures import HEIGHT, WIDTH, DrawnClip
from stereosync_core.errors import StereoSyncError
from stereosync_core.events.files import save_events
from stereosync_core.files import load_tracks
from stereosync_core.media.video import frames, probe
from stereosync_core.scene_events import Event, Events

CLIPS = (DrawnClip("front", "march", 1, fps=30), DrawnClip("front", "jump", 1, fps=25))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two short clips of people in red shoes, which nothing else in the picture is."""
    folder = tmp_path_factory.mktemp("drawn")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(drawn_pictures.CLOTHES, "shoes", ((255, 0, 0),))
        patch.setitem(drawn_pictures.CLOTHES, "shirt", ((72, 128, 84),))
        for clip in CLIPS:
            write_clip(folder, clip, seed=1, seconds=1.9)
    return folder


def read(folder, clip):
    return json.loads((folder / f"{clip.name}.truth.json").read_text())


def lowest(picture, x):
    """The lowest row of a shoe around a place ``x`` in 0..1, in pixels."""
    part = picture[:, max(0, round(x * WIDTH) - 5) : round(x * WIDTH) + 6].astype(int)
    red = part[..., 0] - part[..., 1:].max(-1) > 45
    return int(np.flatnonzero(red.any(1)).max())


@pytest.mark.parametrize("clip", CLIPS, ids=lambda clip: clip.name)
def test_the_foot_comes_down_until_the_true_moment_and_then_stands_still(folder, clip):
    truth = read(folder, clip)
    shown = list(frames(folder / f"{clip.name}.mp4"))
    times, images = np.array([time for time, _ in shown]), [image for _, image in shown]
    assert len(truth["events"]) >= (2 if clip.gait == "march" else 1)
    for event in truth["events"]:
        x = event["x"] + (0.02 if clip.gait == "jump" else 0.0)
        rows = np.array([lowest(image, x) for image in images])
        after = rows[(times >= event["time"]) & (times <= event["time"] + 0.12)]
        before = rows[np.searchsorted(times, event["time"]) - 2]
        assert np.ptp(after) <= 1
        assert before < after[0] - 2


def test_the_same_seed_makes_the_same_clip_and_another_another(folder, tmp_path):
    clip = DrawnClip("side", "walk", 1)
    for name in ("one", "two", "three"):
        (tmp_path / name).mkdir()
        write_clip(tmp_path / name, clip, seed=int(name == "three"), seconds=0.2)
    one, two, three = ({path.name: path.read_bytes() for path in (tmp_path / n).iterdir()} for n in ("one", "two", "three"))
    assert one == two
    assert len(one) == 3
    assert all(one[name] != three[name] for name in one)


@pytest.mark.parametrize("clip", CLIPS, ids=lambda clip: clip.name)
def test_boxes_are_around_the_shoes(folder, clip):
    info = probe(folder / f"{clip.name}.mp4")
    (track,) = load_tracks(folder / f"{clip.name}.tracks.json", info.duration)
    assert (info.width, info.height) == (WIDTH, HEIGHT)
    for time, image in list(frames(folder / f"{clip.name}.mp4"))[::7]:
        red = image[..., 0].astype(int) - image[..., 1:].max(-1) > 60
        rows, columns = np.nonzero(red)
        x0, _, x1, y1 = track.at([time])[0][0] * np.array([WIDTH, HEIGHT, WIDTH, HEIGHT])
        assert x0 - 1 < columns.min()
        assert columns.max() < x1 + 1
        assert abs(rows.max() - y1) < 3


def test_every_gait_has_its_events_and_the_rest_have_none():
    times = np.arange(120) / 25
    for gait, (least, most) in drawn_people.CADENCES.items():
        found = motion(gait, times, np.random.default_rng(0), cadence=(least + most) / 2)
        assert {kind for _, kind, _ in found.events} == {{"jump": "jump_landing", "clap": "clap"}.get(gait, "step")}
        assert len(found.events) > 2
    for gait in ("stand", "dance", "sit", "wave"):
        assert motion(gait, times, np.random.default_rng(0)).events == []


def test_events_of_the_joints_themselves_are_the_true_ones(tmp_path):
    clip = DrawnClip("side", "walk", 2)
    times = drawn_people.staged(clip, 0, 4.0)[2].events
    found = write_events_of_joints(tmp_path, clip, seconds=4.0)
    away = np.abs(found.times[:, None] - [moment for moment, _, _ in times]).min(1)
    assert len(found) >= 6
    assert away.max() < 0.05
    assert (tmp_path / "side-walk-2.json").is_file()


def test_feet_are_still_where_they_stand_and_never_in_the_ground():
    times = np.arange(0, 4, 1 / 120)
    for gait in ("walk", "run", "march"):
        joints = motion(gait, times, np.random.default_rng(3), cadence=2.0).joints
        soles = joints[:, 10:14]
        assert soles[..., 2].min() > -1e-3
        flat = (soles[..., 2] < 1e-4)[1:] & (soles[..., 2] < 1e-4)[:-1]
        assert flat.any(0).all()
        assert np.abs(np.diff(soles[..., 0], axis=0))[flat].max() < 2e-3
        assert np.linalg.norm(joints[:, 8:10] - joints[:, 6:8], axis=-1).max() < 0.26


def test_true_events_score_full_marks_and_rows_are_pooled_by_view_and_gait(folder, tmp_path, capsys):
    for clip in CLIPS:
        truth = read(folder, clip)
        found = tuple(Event(event["time"] + 0.01, sync.KINDS[event["kind"]], 1) for event in truth["events"])
        save_events(tmp_path / f"{clip.name}.json", Events(found, truth["duration"]))
    assert main(["sync", str(folder), "--events", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    march, jump = (len(read(folder, clip)["events"]) for clip in CLIPS)
    assert f"| view: front | 2 | 1.00 | {march + jump} of {march + jump} | 0 | +10 ms |" in lines
    assert f"| gait: jump | 1 | 1.00 | {jump} of {jump} | 0 | +10 ms |" in lines
    assert sum("boxes given" in line for line in lines) == 2


def test_a_step_is_no_hit_of_a_landing():
    truth = {"events": [{"time": 1.0, "kind": "jump_landing"}], "complete": [[0, 2]], "uncertain": []}
    assert sync.score(np.array([1.0]), truth, kinds=["landing"]).hits == 1
    wrong = sync.score(np.array([1.0]), truth, kinds=["step"])
    assert (wrong.hits, wrong.misses, wrong.others) == (0, 1, 1)


def test_an_unknown_folder_of_clips_is_named():
    with pytest.raises(StereoSyncError, match="nowhere"):
        sync.clips(Path("nowhere"))
