"""See what the pack sees and hears."""

from __future__ import annotations

import numpy as np
import torch
from comfy_api.input_impl import VideoFromFile
from comfy_api.latest import io, ui

from ..stereosync_core.media.sound import to_stereo
from ..stereosync_core.media.video import probe
from ..stereosync_core.preview.overlay import overlay_frames, write_preview
from ..stereosync_core.preview.plot import plot_scene
from ..stereosync_core.scene import check_depth_fits, check_tracks_fit
from . import convert, host
from .sockets import Depth, Tracks

CATEGORY = "StereoSync/preview"


def overlay_inputs(rate: float, size: int) -> list[io.Input]:
    return [
        io.Video.Input("video", tooltip="The clip."),
        Depth.Input("depth", optional=True, tooltip="Drawn over the picture, bright where near."),
        Tracks.Input("tracks", optional=True, tooltip="Drawn as boxes with name and number."),
        io.Float.Input("rate", default=rate, min=0.5, max=60.0, step=0.5, tooltip="Pictures a second."),
        io.Int.Input("size", default=size, min=64, max=2048, step=16, tooltip="Pixels of the long side."),
        io.Float.Input(
            "depth_opacity", default=0.5, min=0.0, max=1.0, step=0.05, tooltip="0: the clip alone. 1: the depth alone."
        ),
    ]


def overlay(video, rate: float, size: int, depth_opacity: float, depth, tracks):
    """The drawn frames of a clip, after a check that depth and tracks belong to it."""
    source = host.source_of(video)
    duration = probe(source).duration
    if depth is not None:
        check_depth_fits(depth, duration)
    if tracks is not None:
        check_tracks_fit(tracks, duration)
    return overlay_frames(
        source, depth=depth, tracks=tracks, rate=rate, max_side=size, depth_opacity=depth_opacity, progress=host.progress()
    )


class PreviewScene(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="StereoSyncPreviewScene",
            display_name="Preview Scene",
            category=CATEGORY,
            description="Plays the clip with depth, boxes and numbers drawn on it.",
            is_output_node=True,
            inputs=overlay_inputs(rate=10.0, size=640),
            outputs=[io.Video.Output(display_name="video")],
        )

    @classmethod
    def execute(cls, video, rate, size, depth_opacity, depth=None, tracks=None) -> io.NodeOutput:
        path = host.temp_path(".mp4")
        write_preview(overlay(video, rate, size, depth_opacity, depth, tracks), path, rate)
        return io.NodeOutput(VideoFromFile(str(path)), ui=ui.PreviewVideo([ui.SavedResult(path.name, "", io.FolderType.temp)]))


class SceneImages(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="StereoSyncSceneImages",
            display_name="Scene to Images",
            category=CATEGORY,
            description="The pictures of Preview Scene as an IMAGE batch for other nodes. All of them are held in memory: keep "
            "rate and size small for long clips.",
            inputs=overlay_inputs(rate=4.0, size=480),
            outputs=[io.Image.Output(display_name="images")],
        )

    @classmethod
    def execute(cls, video, rate, size, depth_opacity, depth=None, tracks=None) -> io.NodeOutput:
        pictures = [image for _, image in overlay(video, rate, size, depth_opacity, depth, tracks)]
        return io.NodeOutput(torch.from_numpy(np.stack(pictures)).float() / 255.0)


class ScenePlot(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="StereoSyncScenePlot",
            display_name="Scene Plot",
            category=CATEGORY,
            description="Draws over time where things are, how far, and how loud the left and right channel are: the black "
            "dots of the sound should lie on the coloured line of the thing.",
            is_output_node=True,
            inputs=[
                Tracks.Input("tracks", tooltip="The things."),
                io.Audio.Input("audio", optional=True, tooltip="The sound to compare with them."),
                Depth.Input("depth", optional=True, tooltip="Distance from depth maps; without it, from the boxes' height."),
            ],
            outputs=[io.Image.Output(display_name="image")],
        )

    @classmethod
    def execute(cls, tracks, audio=None, depth=None) -> io.NodeOutput:
        sound, rate = None, 48000
        if audio is not None:
            heard = convert.sound_of(audio)
            sound, rate = to_stereo(heard.samples), heard.rate
        if depth is not None:
            check_depth_fits(depth, tracks.duration)
        image = torch.from_numpy(plot_scene(tracks, depth=depth, sound=sound, rate=rate)).float()[None] / 255.0
        return io.NodeOutput(image, ui=ui.PreviewImage(image, cls=cls))


NODES = [PreviewScene, SceneImages, ScenePlot]
