"""Events in a real ComfyUI: given as text, shown, sounded and measured; found where something falls; refused in one error."""

import json

import pytest

from tests.host.conftest import finished, one_error
from tests.host.graph import Graph


def scene(graph: Graph, clip: str, text: str):
    """The clip, the track of a box that crosses it, and events."""
    video = graph.add("StereoSyncLoadVideo", file=clip).video
    tracks = graph.add("StereoSyncTracksFromMasks", masks=graph.add("TestMakeBoxes").MASK, video=video)
    return video, tracks, graph.add("StereoSyncEventsFromText", text=text, tracks=tracks)


def test_events_of_a_text_are_shown_sounded_and_measured(host, graph, small_clip):
    video, tracks, events = scene(graph, small_clip, "time,kind,track\n0.25,step,1\n0.75,impact,1")
    voices = graph.add("StereoSyncFootsteps", tracks=tracks, events=events)
    sound = graph.add("StereoSyncSpatializeAudio", audio=voices, tracks=tracks, room=0.0)
    strip = graph.add("StereoSyncPreviewEvents", video=video, events=events, tracks=tracks)
    envelope = graph.add("StereoSyncEnvelopeFromEvents", events=events, tracks=tracks)
    plot = graph.add("StereoSyncScenePlot", tracks=tracks, audio=sound, events=events, envelope=envelope)
    report = graph.add("StereoSyncAlignmentReport", video=video, audio=sound, tracks=tracks, events=events)
    shown = graph.add("PreviewAny", source=report.scores)
    outputs = finished(host, graph).outputs
    for node in (strip, plot, report):
        assert outputs[node.number]["images"], "the picture is shown on the node"
    scores = json.loads(outputs[shown.number]["text"][0])
    assert (scores["sync_hits"], scores["sync_misses"], scores["sync_other_attacks"]) == (2, 0, 0)
    assert abs(scores["sync_offset_ms"]) < 8


def test_detect_events_of_a_clip_without_people_finds_none_and_goes_on(host, graph, small_clip):
    video = graph.add("StereoSyncLoadVideo", file=small_clip).video
    tracks = graph.add("StereoSyncSmallTracker", video=video, rate=4.0)
    found = graph.add("StereoSyncDetectEvents", video=video, tracks=tracks)
    shown = graph.add("PreviewAny", source=found.json)
    graph.add("StereoSyncPreviewEvents", video=video, events=found.events, tracks=tracks)
    assert json.loads(finished(host, graph).outputs[shown.number]["text"][0])["events"] == []


def test_the_cameras_motion_is_shown_and_given_to_the_events(host, graph, small_clip):
    video = graph.add("StereoSyncLoadVideo", file=small_clip).video
    tracks = graph.add("StereoSyncTracksFromMasks", masks=graph.add("TestMakeBoxes").MASK, video=video)
    camera = graph.add("StereoSyncCameraMotion", video=video, tracks=tracks)
    found = graph.add("StereoSyncDetectEvents", video=video, tracks=tracks, camera=camera.camera)
    shown, events = (graph.add("PreviewAny", source=source) for source in (camera.summary, found.json))
    outputs = finished(host, graph).outputs
    assert outputs[camera.number]["images"], "the plot is shown on the node"
    assert outputs[shown.number]["text"][0].endswith(".")
    assert "events" in json.loads(outputs[events.number]["text"][0])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("time,kind\n0.5,splash", ["splash", "step"]),
        ("time,kind\n7,step", ["beyond the end"]),
        ("time,kind\n-1,step", ["-1", "0 or later"]),
        ("when\n1", ["time"]),
        ('{"events": [{"time": "soon"}]}', ["soon"]),
    ],
)
@pytest.mark.usefixtures("unharmed")
def test_events_that_make_no_sense_are_refused_in_one_error(host, graph, small_clip, text, words):
    video, tracks, events = scene(graph, small_clip, text)
    graph.add("StereoSyncPreviewEvents", video=video, events=events, tracks=tracks)
    one_error(host, graph, *words)
