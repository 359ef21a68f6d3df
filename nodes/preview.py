"""Depth, tracks and sound of a clip drawn, to be looked at."""

import numpy as np
import torch
from comfy_api.input_impl import VideoFromFile
from comfy_api.latest import io, ui

from ..stereosync_core.preview.event_strip import event_strip
from ..stereosync_core.preview.overlay import overlay_frames, write_preview
from ..stereosync_core.preview.plot import plot_scene
from . import convert, host
from .inputs import rate_input, schema, unit_input
from .shown import image_of
from .sockets import Depth, Envelope, Events, Tracks

CATEGORY = "StereoSync/preview"


def overlay_inputs(rate: float, size: int) -> list[io.Input]:
    return [
        io.Video.Input("video", tooltip="The clip."),
        Depth.Input("depth", optional=True, tooltip="Drawn over the picture, bright where near."),
        Tracks.Input("tracks", optional=True, tooltip="Drawn as boxes with label and id."),
        rate_input("frames", "Frames drawn a second.", default=rate, min=0.5),
        io.Int.Input("size", default=size, min=64, max=2048, step=16, tooltip="Pixels of the long side."),
        unit_input("depth_opacity", 0.5, "0: the clip alone. 1: the depth alone."),
    ]


def overlay(video, rate, size, depth_opacity, depth, tracks):
    """The drawn frames of a native VIDEO, one by one."""
    settings = {"rate": rate, "max_side": size, "depth_opacity": depth_opacity, "progress": host.progress()}
    return overlay_frames(host.source_of(video), depth=depth, tracks=tracks, **settings)


class PreviewScene(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return schema(
            node_id="StereoSyncPreviewScene",
            display_name="Preview Scene",
            category=CATEGORY,
            description="Plays the clip with depth, boxes and ids drawn on it.",
            is_output_node=True,
            inputs=overlay_inputs(rate=10.0, size=640),
            outputs=[io.Video.Output(display_name="video", tooltip="The clip with boxes and depth drawn on it.")],
        )

    @classmethod
    def execute(cls, video, rate, size, depth_opacity, depth=None, tracks=None) -> io.NodeOutput:
        path = host.temp_path(".mp4")
        write_preview(overlay(video, rate, size, depth_opacity, depth, tracks), path, rate)
        return io.NodeOutput(VideoFromFile(str(path)), ui=ui.PreviewVideo([ui.SavedResult(path.name, "", io.FolderType.temp)]))


class DrawSceneOverlay(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return schema(
            node_id="StereoSyncSceneImages",
            display_name="Draw Scene Overlay",
            category=CATEGORY,
            description="The frames of Preview Scene as an IMAGE batch for other nodes. All of them are held in memory: keep "
            "the rate and size small for long clips.",
            inputs=overlay_inputs(rate=4.0, size=480),
            outputs=[io.Image.Output(display_name="images", tooltip="The drawn frames as an image batch.")],
        )

    @classmethod
    def execute(cls, video, rate, size, depth_opacity, depth=None, tracks=None) -> io.NodeOutput:
        images = [image for _, image in overlay(video, rate, size, depth_opacity, depth, tracks)]
        return io.NodeOutput(torch.from_numpy(np.stack(images)).float() / 255.0)


class ScenePlot(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return schema(
            node_id="StereoSyncScenePlot",
            display_name="Scene Plot",
            category=CATEGORY,
            description="Plots azimuth and distance of each track, and the level of both channels: the black dots (azimuth "
            "by level difference) should lie on the coloured line of the track that sounds.",
            is_output_node=True,
            inputs=[
                Tracks.Input("tracks", tooltip="The tracked objects."),
                io.Audio.Input("audio", optional=True, tooltip="The sound to compare with them."),
                Depth.Input("depth", optional=True, tooltip="Distance from depth maps; without it, from the boxes' height."),
                Events.Input("events", optional=True, tooltip="Drawn with the offset in ms of the sound's attack at each."),
                Envelope.Input("envelope", optional=True, tooltip="Drawn behind the events."),
            ],
            outputs=[io.Image.Output(display_name="image", tooltip="The plot as an image.")],
        )

    @classmethod
    def execute(cls, tracks, audio=None, depth=None, events=None, envelope=None) -> io.NodeOutput:
        sound = None if audio is None else convert.sound_of(audio)
        figure = plot_scene(tracks, depth=depth, sound=sound, events=events, envelope=envelope)
        image = image_of(figure)
        return io.NodeOutput(image, ui=ui.PreviewImage(image, cls=cls))


class PreviewEvents(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return schema(
            node_id="StereoSyncPreviewEvents",
            display_name="Preview Events",
            category=CATEGORY,
            description="A filmstrip of the events: the feet or the thing at each contact, with time, kind, foot and "
            "confidence. What is wrong in it can be corrected in Edit Scene.",
            is_output_node=True,
            inputs=[
                io.Video.Input("video", tooltip="The clip."),
                Events.Input("events", tooltip="From Detect Events or Events from Text."),
                Tracks.Input("tracks", tooltip="The tracks of the same clip."),
            ],
            outputs=[io.Image.Output(display_name="image", tooltip="The filmstrip as an image.")],
        )

    @classmethod
    def execute(cls, video, events, tracks) -> io.NodeOutput:
        image = image_of(event_strip(host.source_of(video), events, tracks))
        return io.NodeOutput(image, ui=ui.PreviewImage(image, cls=cls))


NODES = [PreviewScene, DrawSceneOverlay, ScenePlot, PreviewEvents]
