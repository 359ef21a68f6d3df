"""What was found, corrected by hand: the scene editor."""

from __future__ import annotations

import weakref
from typing import Any

from comfy_api.latest import io

from ..stereosync_core.model.conditioning.features import ENVELOPE_WINDOW
from ..stereosync_core.preview.scene_editor import editor_scene, write_filmstrip, write_small_copy
from ..stereosync_core.scene_edits import check_edits, edit_scene
from ..stereosync_core.scene_events import Events as EventsValue
from . import host
from .inputs import checked, schema
from .sockets import Envelope, Events, Tracks

#: What the editor shows of a clip, which does not change with the edits.
_pictures: weakref.WeakKeyDictionary[Any, dict[str, Any]] = weakref.WeakKeyDictionary()


def edits_input() -> io.Input:
    """The edits as text, which the canvas shows as an editor."""
    tooltip = "The corrections as JSON; the editor on the canvas writes it."
    edits = io.String.Input("edits", default="", socketless=True, tooltip=tooltip)
    edits.extra_dict = {"widgetType": "STEREOSYNC_SCENE_EDITOR"}
    return edits


class EditScene(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return schema(
            node_id="StereoSyncEditScene",
            display_name="Edit Scene",
            category="StereoSync/events",
            description="Corrects by hand what was found: moves, adds and deletes events, and draws the paths of tracks and "
            "the loudness. The edits stay in the workflow and go on top of what is found the next time.",
            is_output_node=True,
            inputs=[
                io.Video.Input("video", tooltip="The clip."),
                Tracks.Input("tracks", tooltip="The tracks whose paths are edited."),
                Events.Input("events", optional=True, tooltip="The events to correct; without them, place your own."),
                Envelope.Input("envelope", optional=True, tooltip="The loudness to edit; without it, that of the events."),
                edits_input(),
            ],
            outputs=[
                Tracks.Output(display_name="tracks", tooltip="The tracks along their edited paths."),
                Events.Output(display_name="events", tooltip="The corrected events."),
                Envelope.Output(display_name="envelope", tooltip="The edited loudness over time."),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(cls, video, tracks, edits="", events=None, envelope=None) -> io.NodeOutput:
        edited = edit_scene(edits, tracks, events, envelope, window=ENVELOPE_WINDOW)
        if edited.lost:
            host.notice("\n".join(edited.lost), cls.hidden.unique_id)
        found = events or EventsValue((), tracks.duration)
        scene = editor_scene(host.source_of(video), tracks, found, edited.unshaped) | pictures_of(video)
        shown = host.temp_json(scene | {"lost": edited.lost})
        return io.NodeOutput(edited.tracks, edited.events, edited.envelope, ui={"scene": [shown]})

    @classmethod
    def validate_inputs(cls, edits=None):
        return edits is None or checked(lambda: check_edits(edits))


def pictures_of(video: Any) -> dict[str, Any]:
    """Filmstrip and small copy of a native VIDEO, made once, as the host's front end fetches them."""
    if video not in _pictures:
        source, strip, copy = host.source_of(video), host.temp_path(".jpg"), host.temp_path(".mp4")
        count = write_filmstrip(source, strip)
        write_small_copy(source, copy, host.progress())
        _pictures[video] = {"strip": host.temp_result(strip) | {"count": count}, "copy": host.temp_result(copy)}
    return _pictures[video]


NODES = [EditScene]
