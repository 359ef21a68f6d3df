"""The Alignment Report in a real ComfyUI: scores and figure of placed sound, and clear errors for what cannot be measured."""

import json

import pytest

from tests.clips import make_clip
from tests.host.conftest import finished, one_error, run
from tests.host.graph import Graph


def scene(graph: Graph, clip: str):
    """The clip, and a box that goes from its left edge to its right edge."""
    video = graph.add("StereoSyncLoadVideo", file=clip).video
    masks = graph.add("TestMakeBoxes").MASK
    return video, graph.add("StereoSyncTracksFromMasks", masks=masks, video=video)


def scores(host, graph, report):
    """The score table, which the host's own text preview shows."""
    shown = graph.add("PreviewAny", source=report.scores)
    result = finished(host, graph)
    assert result.outputs[report.number]["images"], "the figure is shown on the node"
    return json.loads(result.outputs[shown.number]["text"][0])


def test_sound_that_follows_its_object_scores_high_and_mono_sound_nothing(host, graph, object_info, small_clip):
    video, tracks = scene(graph, small_clip)
    tone = graph.add("TestMakeAudio", kind="tone")
    placed = graph.add("StereoSyncSpatializeAudio", audio=tone, tracks=tracks, room=0.0)
    table = scores(host, graph, graph.add("StereoSyncAlignmentReport", video=video, audio=placed, tracks=tracks, law="pan"))
    assert table["placement"] > 0.8
    assert table["rows"][0]["windows"] > 10
    graph = Graph(object_info)
    video, tracks = scene(graph, small_clip)
    mono = graph.add("TestMakeAudio", kind="tone")
    table = scores(host, graph, graph.add("StereoSyncAlignmentReport", video=video, audio=mono, tracks=tracks))
    assert table["placement"] == pytest.approx(0.0, abs=0.01)
    assert table["spatial_av_align"] > 0.3, "the published score credits the middle"


@pytest.mark.parametrize(("kind", "words"), [("nan", ["audio", "NaN"]), ("none", ["audio", "no sound"])])
@pytest.mark.usefixtures("unharmed")
def test_sound_that_cannot_be_measured(host, graph, small_clip, kind, words):
    video, tracks = scene(graph, small_clip)
    sound = graph.add("TestMakeAudio", kind=kind)
    graph.add("StereoSyncAlignmentReport", video=video, audio=sound, tracks=tracks)
    one_error(host, graph, *words)


@pytest.mark.usefixtures("unharmed")
def test_sound_of_another_clip(host, graph, small_clip, tmp_path):
    longer = host.upload(make_clip(tmp_path / "longer.mp4", count=90))
    _, tracks = scene(graph, small_clip)
    video = graph.add("StereoSyncLoadVideo", file=longer).video
    sound = graph.add("TestMakeAudio", kind="tone", seconds=3.0)
    graph.add("StereoSyncAlignmentReport", video=video, audio=sound, tracks=tracks)
    assert "track the same clip" in str(run(host, graph).error).replace("; ", " ")
