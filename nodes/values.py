"""Numbers out: what is known of a track, for nodes that animate."""

from __future__ import annotations

import torch
from comfy_api.latest import io

from ..stereosync_core.rendering.values import VALUES, chosen_track, track_values
from . import convert
from .inputs import choice_input, number_input, schema, whole_input
from .sockets import Depth, Tracks


class TrackValuesOut(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return schema(
            node_id="StereoSyncTrackValues",
            display_name="Track Values",
            category="StereoSync/export",
            description="Azimuth, distance, level or visibility of a track as a number for each frame: as FLOAT list, MASK, "
            "JSON and CSV, for nodes that animate by such lists.",
            inputs=[
                Tracks.Input("tracks", tooltip="From any tracker."),
                io.String.Input("track", default="", tooltip="Id of the track; empty: the most prominent of each moment."),
                choice_input("value", VALUES, "What the list and the mask hold; JSON and CSV hold all four."),
                number_input("frames_per_second", 30.0, 0.1, 240.0, 0.01, "Values a second: the rate of your frames."),
                choice_input(
                    "range",
                    ["0 to 1", "as it is"],
                    "0 to 1: from edge to edge, or from the least to the most. The mask is cut to 0..1.",
                ),
                whole_input("mask_size", 64, 1, 4096, "Width and height of the mask in pixels."),
                Depth.Input("depth", optional=True, tooltip="Distance from depth maps; without it, from the boxes' height."),
                io.Audio.Input("audio", optional=True, tooltip="A sound whose level is the value level."),
            ],
            outputs=[
                io.Float.Output(display_name="values", tooltip="A list with a number for each frame, in one FLOAT."),
                io.Mask.Output(display_name="mask", tooltip="A plane for each frame, all of it at the value."),
                io.String.Output(display_name="json", tooltip="All values, a list each."),
                io.String.Output(display_name="csv", tooltip="All values, a line for each frame."),
            ],
        )

    @classmethod
    def execute(cls, tracks, track, value, frames_per_second, range, mask_size, depth=None, audio=None) -> io.NodeOutput:
        sound = None if audio is None else convert.sound_of(audio)
        found = track_values(tracks, chosen_track(tracks, track), frames_per_second, depth=depth, sound=sound)
        values = found.of(value, unit=range == "0 to 1")
        mask = torch.from_numpy(values.clip(0, 1)).float()[:, None, None].expand(-1, mask_size, mask_size)
        return io.NodeOutput(values.tolist(), mask, found.text("json"), found.text("csv"))


NODES = [TrackValuesOut]
