"""Events: what a constructor refuses, and files that survive the way to disk and back."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stereosync_core.errors import StereoSyncError
from stereosync_core.events.files import load_events, save_events
from stereosync_core.scene_events import EVENT_KINDS, Event, Events
from tests.errors import refused

SOME = Events(
    (
        Event(1.5, "step", 0, "left", 0.5, 0.9),
        Event(0.25, "clap", -3),
        Event(1.5, "landing", 7, None, 1.0, 0.6),
        Event(2.0),
    ),
    3.0,
)


def test_events_are_kept_in_order_of_time():
    assert SOME.times.tolist() == [0.25, 1.5, 1.5, 2.0]
    assert [event.track for event in SOME] == [-3, 0, 7, None]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"time": -1.0}, "seconds from the clip's start"),
        ({"time": float("nan")}, "seconds from the clip's start"),
        ({"time": 1.0, "kind": "bang"}, "choose step, landing"),
        ({"time": 1.0, "foot": "both"}, "give left, right"),
        ({"time": 1.0, "strength": 1.5}, "strength is 1.5"),
        ({"time": 1.0, "confidence": float("nan")}, "confidence is nan"),
        ({"time": 1.0, "track": 1.5}, "whole number"),
    ],
)
def test_an_event_refuses_what_makes_no_sense(values, words):
    with pytest.raises(StereoSyncError, match=words):
        Event(**values)


def test_events_beyond_the_end_are_refused():
    with pytest.raises(StereoSyncError, match="beyond the end of the clip"):
        Events((Event(3.5),), 3.0)


def test_events_are_picked_by_track_kind_and_confidence():
    assert len(SOME.of_track(0)) == 1
    assert len(SOME.of_track(None)) == 1
    assert [event.kind for event in SOME.of_kind("clap", "landing")] == ["clap", "landing"]
    assert len(SOME.confident(0.7)) == 3


@pytest.mark.parametrize("name", ["events.json", "events.csv", "EVENTS.CSV"])
def test_a_file_gives_back_what_was_saved(tmp_path, name):
    assert load_events(save_events(tmp_path / name, SOME), 3.0) == SOME


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.builds(
            Event,
            st.floats(0, 5).map(lambda value: round(value, 6)),
            st.sampled_from(EVENT_KINDS),
            st.none() | st.integers(-(2**40), 2**40),
            st.sampled_from([None, "left", "right"]),
            st.floats(0, 1).map(lambda value: round(value, 4)),
            st.floats(0, 1).map(lambda value: round(value, 4)),
        ),
        max_size=8,
    ),
    st.sampled_from(["json", "csv"]),
)
def test_any_events_survive_a_file(tmp_path_factory, events, form):
    events = Events(tuple(events), 5.0)
    assert load_events(save_events(tmp_path_factory.mktemp("events") / f"one.{form}", events), 5.0) == events


def test_a_spreadsheet_of_times_alone_is_enough(tmp_path):
    path = tmp_path / "spotting.csv"
    path.write_text("\ufeffTime;Kind\n1,25;step\n0,5;\n", encoding="utf-8")
    events = load_events(path, 2.0)
    assert events.times.tolist() == [0.5, 1.25]
    assert [event.kind for event in events] == ["onset", "step"]


def test_a_table_as_other_programs_quote_and_round_it_is_read(tmp_path):
    """All fields in quotes, and whole numbers with a point because some are missing."""
    path = tmp_path / "events.csv"
    path.write_text('"time","kind","track"\r\n"0.5","step","1.0"\r\n"1.0","clap",""\r\n', encoding="utf-8")
    assert [(event.time, event.kind, event.track) for event in load_events(path, 2.0)] == [
        (0.5, "step", 1),
        (1.0, "clap", None),
    ]
    path.write_text("time,track\n0.5,1.5\n", encoding="utf-8")
    refused("1.5", load_events, path, 2.0)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[1, 2]", "cannot be read"),
        ('{"duration": 2}', "has no list of events"),
        ('{"events": [{"kind": "step"}]}', "KeyError"),
        ('{"events": [{"time": "soon"}]}', "ValueError"),
        ('{"events": [{"time": 1, "kind": "bang"}]}', "is not known"),
        ('{"events": [3]}', "AttributeError"),
    ],
)
def test_a_wrong_file_is_refused_in_words(tmp_path, text, words):
    path = tmp_path / "events.json"
    path.write_text(text)
    with pytest.raises(StereoSyncError, match=words):
        load_events(path, 2.0)


def test_events_of_another_clip_are_refused(tmp_path):
    path = save_events(tmp_path / "events.json", SOME)
    with pytest.raises(StereoSyncError, match="same clip"):
        load_events(path, 9.0)


def test_a_csv_without_times_is_refused(tmp_path):
    path = tmp_path / "events.csv"
    path.write_text("when,kind\n1,step\n")
    with pytest.raises(StereoSyncError, match="no column 'time'"):
        load_events(path, 2.0)


def test_the_json_form_is_plain(tmp_path):
    data = json.loads(save_events(tmp_path / "one.json", SOME).read_text())
    assert data["duration"] == 3.0
    assert data["events"][0] == {"time": 0.25, "kind": "clap", "track": -3, "foot": None, "strength": 0.7, "confidence": 1.0}
    assert np.isclose(data["events"][1]["confidence"], 0.9)
