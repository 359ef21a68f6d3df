"""The scene editor's node in a real ComfyUI: what it shows, what it gives on, and what it refuses."""

import json

import pytest

from tests.host.conftest import finished, one_error
from tests.host.test_events import scene

EVENTS = "time,kind,track\n0.25,step,1\n0.75,impact,1"


def edited(graph, clip, edits, text=EVENTS):
    video, tracks, events = scene(graph, clip, text)
    return graph.add("StereoSyncEditScene", video=video, tracks=tracks, events=events, edits=edits)


def document(**edits):
    return json.dumps({"version": 1} | edits)


def test_the_editor_gets_what_was_found_and_the_rest_what_was_edited(host, graph, small_clip):
    moved = [{"found": {"time": 0.25, "kind": "step", "track": 1}, "time": 0.5}]
    path = [{"track": 1, "azimuth": [[0, 0.5]]}]
    edit = edited(graph, small_clip, document(events=moved, tracks=path))
    plot = graph.add("StereoSyncScenePlot", tracks=edit.tracks, events=edit.events, envelope=edit.envelope)
    voices = graph.add("StereoSyncSoundsAtEvents", tracks=edit.tracks, events=edit.events)
    played = graph.add("PreviewAny", source=voices.played)
    outputs = finished(host, graph).outputs
    shown = json.loads(host.view(**outputs[edit.number]["scene"][0]))
    assert [event["time"] for event in shown["events"]] == [0.25, 0.75]
    assert shown["tracks"][0]["azimuth"][0][1] == pytest.approx(-0.83, abs=0.02)
    assert len(shown["frames"]) == 30
    assert shown["lost"] == []
    assert host.view(**{key: shown["strip"][key] for key in ("filename", "subfolder", "type")}).startswith(b"\xff\xd8")
    assert b"ftyp" in host.view(**shown["copy"])[:16]
    assert outputs[plot.number]["images"]
    assert [line.split()[1] for line in outputs[played.number]["text"][0].splitlines()] == ["0.500", "0.750"]


def test_an_edit_whose_event_is_gone_is_named(host, graph, small_clip):
    moved = [{"found": {"time": 0.25, "kind": "step", "track": 1}, "time": 0.5}]
    edit = edited(graph, small_clip, document(events=moved), "time,kind,track\n0.75,impact,1")
    shown = json.loads(host.view(**finished(host, graph).outputs[edit.number]["scene"][0]))
    assert "0.250 s (step)" in shown["lost"][0]


@pytest.mark.parametrize("edits", ["no JSON", "[]", document(events=[{"time": 1, "kind": "splash"}])])
@pytest.mark.usefixtures("unharmed")
def test_edits_that_make_no_sense_are_refused_in_one_error(host, graph, small_clip, edits):
    edited(graph, small_clip, edits)
    one_error(host, graph, "edits", "reset the edits")
