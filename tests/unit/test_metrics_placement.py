"""Placement and Spatial AV-Align on scenes whose answers are known: in place, in the middle, mirrored, silent, late, swapped,
off screen."""

from dataclasses import replace

import numpy as np
import pytest

from stereosync_core.metrics.clip_metrics import onsets_as_steps
from stereosync_core.metrics.localiser import BandLocaliser, LevelLocaliser, Localisation
from stereosync_core.metrics.placement import AzimuthErrors, PlacementErrors, placement_errors, pooled
from stereosync_core.metrics.spatial_av_align import Boxes, Counts, align, boxes_of, spatial_av_align
from stereosync_core.metrics.truth import NOBODY, ObjectSteps, Truth
from tests.errors import refused
from tests.unit.metric_scenes import DURATION, RATE, STEPS, defined, placed, track, tracks, walk

LOCALISERS = [LevelLocaliser(), BandLocaliser("rooms")]


def placement(sound, truth, rate=RATE):
    return placement_errors(LevelLocaliser()(sound, rate), truth)


def alignment(sound, truth):
    return spatial_av_align(LevelLocaliser()(sound, RATE), truth, DURATION)


def steps_of(number, steps):
    """Steps that are all seen, one metre away."""
    return ObjectSteps(number, steps, np.ones(len(steps), bool), np.ones(len(steps)))


def centred(sound):
    return np.tile(sound.mean(0), (2, 1))


@pytest.fixture(params=LOCALISERS, ids=["level", "bands"])
def localise(request):
    return lambda sound: request.param(sound, RATE)


@pytest.mark.parametrize(
    ("turned", "score"),
    [
        (np.copy, pytest.approx(1.0, abs=0.07)),
        (centred, pytest.approx(0.0, abs=1e-6)),
        (np.flipud, pytest.approx(-1.0, abs=0.08)),
    ],
    ids=["in its place", "in the middle", "mirrored"],
)
def test_sound_of_a_walker(localise, turned, score):
    truth, azimuth = walk()
    found = placement_errors(localise(turned(placed(azimuth, STEPS))), truth).clip
    assert found.windows > 10
    assert found.score == score


def test_silence_has_no_score_and_says_that_nothing_counted(localise):
    truth, _ = walk()
    silence = localise(np.zeros((2, RATE * 4)))
    assert not silence.sounding.any()
    assert placement_errors(silence, truth).clip == AzimuthErrors(0, 0.0, 0.0)
    assert placement_errors(silence, truth).clip.score is None
    counts = spatial_av_align(silence, truth, DURATION)
    assert counts.score is None
    assert counts.corrected is None
    assert counts.box_recall == 0.0, "boxes that should sound are there, and none does"


def test_two_objects_with_swapped_sounds_score_as_if_mirrored():
    left, right = np.arange(0.2, 3.6, 0.8), np.arange(0.6, 3.6, 0.8)
    here, there = (lambda _: -0.6), (lambda _: 0.6)
    truth = Truth(tracks(track(1, -0.6, -0.6), track(2, 0.6, 0.6)), (steps_of(1, left), steps_of(2, right)))
    exchanged = placed(there, left) + placed(here, right, seed=1)
    right_way, swapped = placement(placed(here, left) + placed(there, right, seed=1), truth), placement(exchanged, truth)
    assert defined(right_way.clip.score) > 0.9
    assert swapped.clip.score == pytest.approx(-1.0, abs=0.1)
    assert set(swapped.objects) == {1, 2}
    assert all(defined(one.score) < -0.85 and one.windows > 5 for one in swapped.objects.values())
    # the published score does not distinguish them: there is a box at either place at any time
    assert alignment(exchanged, truth).score == 1.0


def test_sound_200_ms_late_is_placed_late():
    """A walker who crosses the frame in 4 s moves 0.08 of azimuth in 200 ms."""
    truth, azimuth = walk()
    on_time, late = (placement(placed(azimuth, STEPS, late=late), truth).clip for late in (0.0, 0.2))
    assert defined(late.mean_error) - defined(on_time.mean_error) == pytest.approx(0.2 * 1.6 / DURATION, abs=0.035)


def test_windows_of_an_object_that_is_off_screen_do_not_count():
    steps = np.arange(0.2, 3.8, 0.4)
    seen = steps < 2.0
    truth = Truth(tracks(track(1, 0.5, 0.5, end=2.0)), (ObjectSteps(1, steps, seen, np.ones(len(steps))),))
    sound = placed(lambda time: 0.5 if time < 2 else -0.9, steps)  # wrong, but out of sight
    assert defined(placement(sound, truth).clip.score) > 0.9
    assert alignment(sound, truth).misses >= 3, "the published score counts off-screen sound as missed"


def test_a_window_in_which_a_long_sound_or_one_that_goes_on_is_under_a_step_belongs_to_neither():
    pictures, windows = tracks(track(1, -0.5, -0.5), track(2, 0.5, 0.5)), np.array([0.4, 1.0, 1.5, 2.2, 3.5])
    steps, once = steps_of(1, np.array([1.0, 2.2])), steps_of(2, np.array([0.9]))
    assert Truth(pictures, (steps, once)).owner(windows).tolist() == [NOBODY, NOBODY, NOBODY, 0, NOBODY]
    assert Truth(pictures, (steps, replace(once, lasts=1.6))).owner(windows).tolist() == [NOBODY, NOBODY, 1, NOBODY, NOBODY]
    always = replace(steps_of(2, np.zeros(0)), lasts=np.inf)
    assert Truth(pictures, (steps, always)).owner(windows).tolist() == [1, NOBODY, 1, NOBODY, 1]


@pytest.mark.parametrize("number", [0, -1, 2**62, 10**30])
@pytest.mark.parametrize("objects", [True, False], ids=["steps", "boxes alone"])
def test_ids_are_any_integers_and_none_of_them_means_nobody(number, objects):
    truth, azimuth = walk()
    assert truth.objects is not None
    (one,), (walker,) = truth.objects, truth.tracks
    renamed = Truth(replace(truth.tracks, tracks=(replace(walker, id=number),)), (replace(one, id=number),))
    first, second = (one if objects else Truth(one.tracks) for one in (truth, renamed))
    localisation = LevelLocaliser()(placed(azimuth, STEPS), RATE)
    assert not localisation.sounding.all(), "silent windows are what belonged to the object of id 0"
    expected, found = placement_errors(localisation, first), placement_errors(localisation, second)
    assert found.objects == {number: expected.objects[1]}
    assert defined(found.clip.score) > 0.9
    assert onsets_as_steps(one.times, second, None)[0].id == number


def test_without_known_steps_a_window_belongs_to_whoever_is_alone_in_the_picture():
    truth = Truth(tracks(track(1, -0.5, -0.5), track(2, 0.5, 0.5, begin=2.0)))
    assert truth.owner(np.array([0.5, 1.5, 2.5, 3.5])).tolist() == [0, 0, NOBODY, NOBODY]


def test_pooled_placement_weighs_windows_and_has_an_interval_around_it():
    clips = [PlacementErrors({1: AzimuthErrors(10, 10 * (0.1 + 0.01 * n), 5.0)}) for n in range(20)]
    found = pooled(clips)
    assert found.score == pytest.approx(1 - sum(0.1 + 0.01 * n for n in range(20)) * 10 / 100)
    assert defined(found.low) < defined(found.score) < defined(found.high)
    assert (found.windows, found.clips) == (200, 20)
    assert pooled(clips) == pooled(clips), "the bootstrap is seeded"
    assert pooled([]).score is None
    assert pooled([PlacementErrors({1: AzimuthErrors(5, 1.0, 0.0)})]).score is None, (
        "all in the middle: nothing to be better than"
    )


@pytest.mark.parametrize(("x", "hit"), [(59.9, False), (60.0, True), (128.0, True), (200.0, True), (200.1, False)])
def test_an_event_hits_when_a_box_overlaps_the_forty_pixels_on_either_side(x, hit):
    box = Boxes(4, np.arange(4), np.tile([100.0, 160.0], (4, 1)), np.ones(4, bool))
    counts = align(np.array([0.5]), np.array([x]), box)
    assert (counts.hits, counts.misses) == (int(hit), int(not hit))


@pytest.mark.parametrize(("frame", "hit"), [(0, False), (1, True), (2, True), (3, True), (4, False)])
def test_one_video_frame_before_or_after_is_near_enough(frame, hit):
    boxes = Boxes(6, np.array([frame]), np.array([[100.0, 150.0]]), np.ones(1, bool))
    assert align(np.array([0.6]), np.array([120.0]), boxes).hits == int(hit), "0.6 s is in video frame 2"


def test_the_score_is_hits_over_events_of_all_clips_and_never_a_mean_of_clips():
    clips = [Counts(hits=1, misses=0, boxes=1), Counts(hits=0, misses=9, boxes=1)]
    assert sum(clips, Counts()).score == pytest.approx(0.1)


def test_the_published_score_credits_the_middle_and_the_corrected_one_does_not():
    truth, azimuth = walk(-0.5, 0.5)
    sound = placed(azimuth, STEPS)
    middle, there, mirrored = (alignment(one, truth) for one in (centred(sound), sound, sound[::-1]))
    assert (there.score, there.corrected) == (1.0, 1.0)
    assert defined(middle.score) > 0.5
    assert middle.corrected == pytest.approx(0.0)
    assert defined(mirrored.corrected) < 0


def test_box_recall_looks_for_the_boxes_that_should_sound_and_do_not():
    truth = Truth(tracks(track(1, -0.6, -0.6), track(2, 0.6, 0.6)))
    sound = placed(lambda _: -0.6, STEPS)
    counts = alignment(sound, truth)
    assert counts.score == 1.0
    assert counts.box_recall == pytest.approx(0.5, abs=0.05), "one of the two boxes, but for the silent end of the clip"
    silent = (steps_of(1, STEPS), steps_of(2, np.zeros(0)))
    assert alignment(sound, Truth(truth.tracks, silent)).box_recall == 1.0


def test_no_boxes_at_all_have_no_score():
    counts = alignment(placed(lambda _: 0.3, STEPS), Truth(tracks()))
    assert counts.misses > 5
    assert (counts.score, counts.box_recall, counts.corrected) == (None, None, None)


def test_boxes_are_taken_four_times_a_second():
    truth, azimuth = walk()
    boxes = boxes_of(truth, DURATION)
    assert boxes.count == 16
    middle = boxes.sides[boxes.frames == 8][0].mean()
    assert middle == pytest.approx((azimuth(2.0) + 1) / 2 * 256, abs=0.5)


@pytest.mark.parametrize(
    ("sound", "words"),
    [
        (np.zeros((1, RATE)), "stereo"),
        (np.zeros(RATE), "Double a mono sound"),
        (np.zeros((6, RATE)), "stereo"),
        (np.zeros((2, 0)), "stereo"),
        (np.full((2, RATE), np.nan), "NaN"),
        (np.zeros((2, 100)), "at least"),
    ],
    ids=["mono", "flat", "surround", "empty", "nan", "short"],
)
@pytest.mark.parametrize("localiser", LOCALISERS, ids=["level", "bands"])
def test_sound_that_cannot_be_localised_is_one_clear_error(localiser, sound, words):
    refused(words, localiser, sound, RATE)


def test_a_sound_has_the_same_place_at_another_rate():
    truth, azimuth = walk()
    sound = placed(azimuth, STEPS)
    from scipy.signal import resample_poly

    other = resample_poly(sound, 160, 147, axis=1)
    assert placement(sound, truth).clip.score == pytest.approx(placement(other, truth, 48000).clip.score, abs=0.02)


def test_steps_with_nan_or_unequal_lists_are_refused():
    refused("equal numbers", ObjectSteps, 1, np.zeros(2), np.zeros(1, bool), np.zeros(2))
    refused("NaN", ObjectSteps, 1, np.array([np.nan]), np.ones(1, bool), np.ones(1))


def test_a_localisation_can_come_from_any_localiser():
    truth, azimuth = walk()
    times = np.arange(0.05, 3.95, 0.05)
    localisation = Localisation(times, azimuth(times), np.zeros(len(times)), np.zeros(len(times)), np.ones(len(times), bool))
    assert placement_errors(localisation, truth).clip.score == pytest.approx(1.0, abs=1e-6)
