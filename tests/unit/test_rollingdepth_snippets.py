"""How RollingDepth cuts a clip into snippets, and which settings make sense."""

import pytest

from stereosync_core.depth.rollingdepth.snippets import PRESETS, RollingDepthSettings, Snippets, plan_refinement, plan_snippets
from tests.errors import refused


def dilations(plan):
    return [snippets.dilation for snippets in plan for _ in range(snippets.repeats)]


@pytest.mark.parametrize(
    ("frames", "full"),
    [(1, [1, 1, 1]), (2, [1, 1, 1]), (5, [1, 1, 1]), (6, [1, 1, 1]), (9, [1, 2, 2]), (51, [1, 10, 16]), (250, [1, 10, 25])],
)
def test_the_cap_keeps_dilations_below_a_third_of_the_clip(frames, full):
    assert dilations(plan_snippets(PRESETS["full"], frames)) == full


def test_equal_dilations_are_computed_once_and_counted_as_often_as_they_come():
    plan = plan_snippets(PRESETS["full"], 25)
    assert [(snippets.dilation, snippets.repeats) for snippets in plan] == [(1, 1), (7, 2)]


def test_without_the_cap_a_dilation_reaches_as_far_as_the_clip():
    assert dilations(plan_snippets(PRESETS["paper"], 51)) == [1, 10, 25]
    assert dilations(plan_snippets(PRESETS["paper"], 12)) == [1, 5, 5]


@pytest.mark.parametrize("frames", [1, 2, 3, 4, 5, 6, 7, 12, 17, 18, 51])
@pytest.mark.parametrize("preset", PRESETS)
def test_every_frame_is_in_some_snippet_of_every_step(frames, preset):
    settings = PRESETS[preset]
    for snippets in [plan_snippets(settings, frames)[0], *plan_refinement(settings, frames)]:
        indices = snippets.indices()
        assert indices.shape == (snippets.count, snippets.length)
        assert set(indices.flatten().tolist()) == set(range(frames))


def test_the_refinements_dilation_falls_to_one():
    assert dilations(plan_refinement(PRESETS["full"], 100)) == [6, 5, 5, 4, 4, 3, 3, 2, 1, 1]
    assert plan_refinement(PRESETS["fast"], 100) == []


def test_the_frames_of_a_slot_are_an_unbroken_run():
    snippets = Snippets(dilation=3, length=3, frame_count=12)
    for slot in range(3):
        assert list(range(12))[snippets.span(slot)] == snippets.indices()[:, slot].tolist()


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"resolution": 32}, "resolution of 32"),
        ({"dilations": (2, 25)}, "1 must be among them"),
        ({"dilations": (1, 0)}, "1 or more"),
        ({"snippet_lengths": (5,)}, "snippet lengths"),
        ({"snippet_lengths": (3, 3, 3)}, "one each"),
        ({"refine_steps": -1}, "refinement steps"),
        ({"denoising_steps": (0,)}, "denoising steps"),
    ],
)
def test_settings_that_make_no_sense_are_named(changes, word):
    refused(word, RollingDepthSettings, **changes)


def test_snippet_lengths_may_differ_between_dilations():
    plan = plan_snippets(RollingDepthSettings(dilations=(1, 5), snippet_lengths=(3, 2)), 30)
    assert [(snippets.length, snippets.count) for snippets in plan] == [(3, 28), (2, 25)]
