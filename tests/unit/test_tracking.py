"""From boxes to clean tracks: association, gaps, smoothing, other packs' dialects, the detector on the sample clip."""

from types import SimpleNamespace

import av
import numpy as np
import pytest
from PIL import Image

from stereosync_core.assets import WALKING_CLIP, asset_path
from stereosync_core.media.video import frames
from stereosync_core.tracking.boxes import detections_of, tracks_from_boxes, tracks_from_masks, tracks_from_sam3
from stereosync_core.tracking.detections import Detections, iou, parse_classes
from stereosync_core.tracking.nanodet import CLASSES, input_size, track_with_nanodet
from stereosync_core.tracking.tracklets import Associator, MotionFilter, bridge, refine, smooth
from tests.errors import refused, stopped


def box(x, y=0.5, width=0.1, height=0.4):
    return [x - width / 2, y - height / 2, x + width / 2, y + height / 2]


def found(*boxes, scores=None, labels=None):
    count = len(boxes)
    return Detections(
        np.array(boxes, dtype=float).reshape(-1, 4),
        np.array(scores if scores is not None else [0.9] * count),
        tuple(labels or ["person"] * count),
    )


def follow(frames, rate=10, **options):
    associator = Associator(**options)
    for number, detections in enumerate(frames):
        associator.add(number / rate, detections)
    return associator.tracklets


def test_overlap_of_known_boxes():
    assert iou(np.array([[0, 0, 2, 2.0]]), np.array([[1, 0, 3, 2.0], [5, 5, 6, 6]])).tolist() == [[pytest.approx(1 / 3), 0.0]]
    point = np.array([[1.0, 1, 1, 1]])
    assert iou(point, point).tolist() == [[0.0]], "boxes without area"


def test_two_people_who_pass_each_other_keep_their_identities():
    frames = [found(box(0.1 + 0.02 * n, y=0.45), box(0.9 - 0.02 * n, y=0.6)) for n in range(40)]
    first, second = follow(frames)
    assert first.boxes[-1][0] > 0.7
    assert second.boxes[-1][0] < 0.2


def test_a_fast_walker_is_followed_though_consecutive_boxes_do_not_touch():
    frames = [found(box(0.05 + 0.11 * n, width=0.1)) for n in range(8)]
    assert len(follow(frames)) == 1


def test_uncertain_boxes_carry_a_track_on_but_begin_none():
    certain = [found(box(0.2 + 0.01 * n)) for n in range(5)]
    unsure = [found(box(0.25 + 0.01 * n), box(0.8), scores=[0.15, 0.15]) for n in range(5)]
    tracks = follow(certain + unsure)
    assert [len(track.times) for track in tracks] == [10]


def test_a_track_survives_a_gap_within_its_memory_and_ends_after_it():
    seen, nothing = [found(box(0.3))] * 5, found()
    assert len(follow([*seen, *[nothing] * 6, *seen])) == 1
    assert len(follow([*seen, *[nothing] * 15, *seen])) == 2


def test_objects_of_another_class_are_never_matched():
    frames = [found(box(0.5), labels=["person"])] * 5 + [found(box(0.5), labels=["dog"])] * 5
    assert {track.label for track in follow(frames)} == {"person", "dog"}


def test_the_motion_filter_learns_the_speed():
    motion = MotionFilter(np.array(box(0.1)))
    for n in range(1, 15):
        motion.predict(0.1)
        motion.update(np.array(box(0.1 + 0.03 * n)))
    assert motion.state[1, 0] == pytest.approx(0.3, rel=0.1)


def test_gaps_are_bridged_on_a_straight_line_up_to_the_longest():
    times, boxes = np.array([0.0, 0.1, 0.5, 3.0]), np.array([box(x) for x in (0.1, 0.2, 0.6, 0.9)])
    new, filled, scores = bridge(times, boxes, np.ones(4), spacing=0.1, longest=1.0)
    assert new.tolist() == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 3.0])
    assert filled[3].mean() == pytest.approx(np.mean(box(0.4)))
    assert scores[3] == 0.5


def test_smoothing_takes_jitter_away_without_lag():
    rng, times = np.random.default_rng(0), np.arange(0, 4, 0.1)
    clean = np.array([box(0.1 + 0.2 * t) for t in times])
    smoothed = smooth(times, clean + rng.normal(0, 0.01, clean.shape), 0.2)
    assert np.std(smoothed - clean) < 0.006
    assert np.allclose(smooth(times, clean, 0.2), clean, atol=1e-9), "straight motion is left as it is, at the ends too"


def test_short_tracks_are_dropped_and_the_most_prominent_kept():
    frames = [found(box(0.1 + 0.02 * n), box(0.8, height=0.2), *([box(0.5, y=0.2)] if n < 2 else [])) for n in range(30)]
    tracks = refine(follow(frames), 3.0, spacing=0.1)
    assert len(tracks) == 2
    assert refine(follow(frames), 3.0, spacing=0.1, max_tracks=1).tracks[0].azimuth([2.9])[0] > 0.2


def test_unknown_classes_are_named():
    assert parse_classes("Person, dog. person", CLASSES) == ["person", "dog"]
    assert len(parse_classes("all", CLASSES)) == 80
    refused("unicorn", parse_classes, "person, unicorn", CLASSES)


def test_the_detectors_input_keeps_the_clips_aspect():
    assert input_size(1768, 994, 416) == (416, 256)
    assert input_size(1080, 1920, 416) == (256, 416)


TIMES = np.arange(10) / 10
NATIVE = [[{"x": 100 + 20 * n, "y": 100, "width": 80, "height": 200, "label": "dog", "score": 0.8}] for n in range(10)]
KJ = [[(100 + 20 * n, 100, 80, 200)] for n in range(10)]
SEGS = [
    ((400, 800), [SimpleNamespace(bbox=(100 + 20 * n, 100, 180 + 20 * n, 300), confidence=0.8, label="dog")]) for n in range(10)
]


@pytest.mark.parametrize("boxes", [NATIVE, KJ, SEGS], ids=["native", "kjnodes", "segs"])
def test_all_three_dialects_give_the_same_track(boxes):
    (track,) = tracks_from_boxes(boxes, TIMES, 800, 400, 1.0, smoothing=0.0).tracks
    assert track.boxes[0].tolist() == pytest.approx([100 / 800, 100 / 400, 180 / 800, 300 / 400])
    assert track.azimuth([0.9])[0] == pytest.approx(2 * (320 / 800) - 1)


def test_one_frames_boxes_hold_for_the_whole_clip():
    (track,) = tracks_from_boxes(NATIVE[0], TIMES, 800, 400, 1.0, smoothing=0.0).tracks
    assert len(track.times) == 10


def test_boxes_by_position_keep_their_place():
    boxes = [[(0, 0, 10, 10), (700, 300, 10, 10)]] * 10
    tracks = tracks_from_boxes(boxes, TIMES, 800, 400, 1.0, link=False)
    assert [track.azimuth([0.0])[0] < 0 for track in tracks] == [True, False]


@pytest.mark.parametrize(
    ("boxes", "word"),
    [
        ("boxes", "expected a list"),
        ([["box"]], "a box is"),
        (KJ[:4], "4 frames of boxes"),
        ([[(0, 0, 4000, 9)]] * 10, "another size"),
    ],
)
def test_boxes_that_are_none_are_named(boxes, word):
    refused(word, tracks_from_boxes, boxes, TIMES, 800, 400, 1.0)


def test_masks_become_the_box_around_what_they_cover():
    masks = np.zeros((10, 50, 100), dtype=np.float32)
    for n in range(6):
        masks[n, 10:30, 10 + n : 20 + n] = 1
    (track,) = tracks_from_masks(masks, TIMES, 1.0, smoothing=0.0).tracks
    assert track.boxes[0].tolist() == pytest.approx([0.1, 0.2, 0.2, 0.6])
    assert track.end == pytest.approx(0.5)
    assert len(tracks_from_masks(np.zeros((10, 5, 5)), TIMES, 1.0)) == 0
    refused("10 frames", tracks_from_masks, masks[:3], TIMES, 1.0)


#: Where the walker of the sample clip is, read off its frames: seconds and azimuth.
WALKER = [(2.0, 0.59), (3.0, 0.27), (3.8, 0.02), (5.07, -0.44), (6.33, -0.84)]


def test_trunk_and_legs_are_no_people_of_their_own():
    associator = Associator()
    for n in range(20):
        whole, legs, child = (
            np.array(box) + 0.01 * n for box in ([0.2, 0.2, 0.4, 0.8], [0.21, 0.5, 0.39, 0.8], [0.3, 0.6, 0.38, 0.8])
        )
        associator.add(0.1 * n, Detections(np.stack([whole, legs, child]), np.array([0.8, 0.5, 0.6]), ("person",) * 3))
    assert [tracklet.boxes[0][3] - tracklet.boxes[0][1] for tracklet in associator.tracklets] == pytest.approx([0.6, 0.2])


def test_a_box_carries_on_the_track_that_was_seen_better():
    associator = Associator()
    for n in range(20):
        walker, machine = [0.3 + 0.02 * (n % 2), 0.4, 0.6, 0.9], [0.1, 0.5, 0.4, 0.9]
        scores = np.array([0.7, 0.4 if n < 3 else 0.2])
        seen = [0, 1] if n != 10 else [0]
        boxes = np.array([walker, machine])[seen]
        associator.add(0.1 * n, Detections(boxes, scores[seen], ("person",) * len(seen)))
    assert min(box[0] for box in associator.tracklets[0].boxes) >= 0.3


@pytest.mark.slow
def test_a_distant_walker_is_found_where_something_still_is_larger(tmp_path):
    pictures = [
        picture for _, picture in frames(asset_path(WALKING_CLIP), times=[0.9, *(1.5 + np.arange(90) / 30)], max_side=1280)
    ]
    still, small = pictures[0], [np.asarray(Image.fromarray(picture).resize((256, 144))) for picture in pictures[1:]]
    with av.open(str(tmp_path / "clip.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=30, options={"crf": "18"})
        stream.width, stream.height, stream.pix_fmt = still.shape[1] // 2 * 2, still.shape[0] // 2 * 2, "yuv420p"
        for picture in small:
            whole = still.copy()
            whole[400:544, 500:756] = picture
            container.mux(stream.encode(av.VideoFrame.from_ndarray(whole[: stream.height, : stream.width], "rgb24")))
        container.mux(stream.encode(None))
    (track,) = track_with_nanodet(tmp_path / "clip.mp4", max_tracks=1).tracks
    assert np.median(track.boxes[:, 3] - track.boxes[:, 1]) < 0.11
    assert track.boxes[-1, 0] < track.boxes[0, 0] - 0.04, "walks to the left"


@pytest.mark.slow
def test_the_walker_of_the_sample_clip_is_found_followed_and_the_most_prominent():
    (track,) = track_with_nanodet(asset_path(WALKING_CLIP), max_tracks=1).tracks
    assert track.start < 1.6
    assert track.end > 6.3
    for time, azimuth in WALKER:
        assert track.azimuth([time])[0] == pytest.approx(azimuth, abs=0.06)
    _, visible = track.at(np.arange(1.6, 6.3, 0.1))
    assert visible.mean() >= 0.98, "recall on the walking clip"


def test_a_stopped_run_stops():
    stopped(track_with_nanodet, asset_path(WALKING_CLIP))


@pytest.mark.parametrize(("name", "value"), [("threshold", 1.5), ("rate", 0.0), ("classes", "unicorn")])
def test_numbers_out_of_range_are_named(name, value):
    refused(rf"(?i){name}: .*{value}", track_with_nanodet, asset_path(WALKING_CLIP), **{name: value})


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_numbers_that_are_none_are_named_and_not_measured(bad):
    boxes = [[{"x": 4, "y": 4, "width": 8, "height": 8}], [{"x": 4, "y": bad, "width": 8, "height": 8}]]
    refused("frame 1 holds NaN", detections_of, boxes, 64, 48)
    refused("frame 0 holds NaN", detections_of, [[(4, 4, 8, 8, bad)]], 64, 48)
    if np.isnan(bad):
        refused("NaN", tracks_from_masks, np.full((2, 4, 4), bad), np.arange(2.0), 2.0)


def squares(*places, frames=6, size=(24, 32)):
    """Masks bool ``[frames, 24, 32]`` for each object: a square of 8 pixels that begins at a column and goes two to the right a
    frame, or is not there."""
    masks = np.zeros((len(places), frames, *size), dtype=bool)
    for mask, place in zip(masks, places, strict=True):
        for n in range(frames):
            if place is not None and (n > 2 or place >= 0):
                x = abs(place) + n
                mask[n, 4:12, x : x + 8] = True
    return masks


def test_masks_of_several_objects_are_followed_each_for_itself():
    both, times = squares(0, 18), np.arange(6) / 10
    tracks = tracks_from_masks(both.reshape(-1, 24, 32).astype(np.float32), times, 0.6, objects=2, smoothing=0.0)
    assert [(track.id, track.start, track.end) for track in tracks] == [(1, 0.0, 0.5), (2, 0.0, 0.5)]
    np.testing.assert_allclose(tracks.tracks[1].boxes[3], [21 / 32, 4 / 24, 29 / 32, 12 / 24])
    pieces = tracks_from_masks(both.any(0).astype(np.float32), times, 0.6, objects=0, smoothing=0.0)
    assert len(pieces) == 2
    assert sorted(track.boxes[0, 0] for track in pieces) == [0.0, 18 / 32]
    refused("cannot be shared", tracks_from_masks, np.zeros((7, 4, 4)), times, 0.6, objects=2)


def test_tracks_of_sam3_keep_their_ids_and_scores():
    """ComfyUI packs eight pixels in a byte, the leftmost in the lowest bit."""
    masks, times = squares(2, None, -14), np.arange(6) / 10
    packed = np.packbits(masks.swapaxes(0, 1), axis=-1, bitorder="little")
    data = {"packed_masks": packed, "orig_size": (24, 32), "n_frames": 6, "scores": [0.9, 0.8, 0.4]}
    tracks = tracks_from_sam3(data, times, 0.6, smoothing=0.0)
    assert [(track.id, track.start, float(np.asarray(track.scores)[0])) for track in tracks] == [(0, 0.0, 0.9), (2, 0.3, 0.4)]
    np.testing.assert_allclose(tracks.tracks[0].boxes[1], [3 / 32, 4 / 24, 11 / 32, 12 / 24])
    assert len(tracks_from_sam3({**data, "packed_masks": None, "scores": []}, times, 0.6)) == 0
    refused("a score for each", tracks_from_sam3, {**data, "scores": [1.0]}, times, 0.6)
    refused("5 frames", tracks_from_sam3, {**data, "packed_masks": packed[:5]}, times, 0.6)
