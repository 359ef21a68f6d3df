"""Depth of a clip, from the bundled estimator or from another pack's pictures."""

from __future__ import annotations

from comfy_api.latest import io

from ..stereosync_core.depth.adapt import depth_from_images
from ..stereosync_core.depth.small import estimate_depth, load_network
from ..stereosync_core.media.video import frame_times, probe
from ..stereosync_core.timing import entry_times
from . import host
from .sockets import Depth

CATEGORY = "StereoSync/depth"


class SmallDepth(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="StereoSyncSmallDepth",
            display_name="Small Depth",
            category=CATEGORY,
            description="How near things are, from one bundled small network (FastDepth, indoor-trained). Runs anywhere, needs "
            "no download. Swap it for any other depth node through Depth from Images.",
            inputs=[
                io.Video.Input("video", tooltip="The clip."),
                io.Float.Input(
                    "rate",
                    default=4.0,
                    min=0.5,
                    max=60.0,
                    step=0.5,
                    tooltip="Depth maps a second; between them depth is interpolated.",
                ),
                io.Int.Input("map_size", default=160, min=32, max=1024, step=8, tooltip="Pixels of a map's long side."),
            ],
            outputs=[Depth.Output(display_name="depth")],
        )

    @classmethod
    def execute(cls, video, rate, map_size) -> io.NodeOutput:
        network = host.on_device("fastdepth", load_network)
        source = host.source_of(video)
        return io.NodeOutput(estimate_depth(source, rate=rate, long_side=map_size, network=network, progress=host.progress()))


class DepthFromImages(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="StereoSyncDepthFromImages",
            display_name="Depth from Images",
            category=CATEGORY,
            description="Takes depth pictures of any other pack (Depth Anything, Video Depth, Marigold ...) for the same clip.",
            inputs=[
                io.Image.Input("images", tooltip="Depth pictures of the clip, in order."),
                io.Video.Input("video", tooltip="The clip that they were made from; its times are used."),
                io.Combo.Input(
                    "near_is", options=["bright", "dark"], default="bright", tooltip="Whether near things are bright or dark."
                ),
                io.Float.Input(
                    "images_per_second",
                    default=0.0,
                    min=0.0,
                    max=240.0,
                    step=0.5,
                    tooltip="0: one picture for each frame of the clip. Otherwise the rate that the pictures were made at.",
                ),
            ],
            outputs=[Depth.Output(display_name="depth")],
        )

    @classmethod
    def execute(cls, images, video, near_is, images_per_second) -> io.NodeOutput:
        source = host.source_of(video)
        times = entry_times(len(images), frame_times(source), probe(source).duration, images_per_second, "Depth images")
        return io.NodeOutput(depth_from_images(images.cpu().numpy(), times, near_is_bright=near_is == "bright"))


NODES = [SmallDepth, DepthFromImages]
