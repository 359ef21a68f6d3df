"""Depth of a clip frame by frame, from the bundled network, from transformers, or from another pack's pictures."""

from collections.abc import Mapping

from comfy_api.latest import io

from ..stereosync_core.depth.fastdepth import estimate_with_fastdepth, load_fastdepth
from ..stereosync_core.depth.maps import POLARITIES, depth_from_images, stabilize_depth
from ..stereosync_core.depth.transformers_depth import estimate_with_transformers, load_frame_estimator
from ..stereosync_core.media.video import frame_times, probe
from ..stereosync_core.timing import entry_times
from . import convert, host
from .convert import depth_images
from .inputs import (
    choice_input,
    depth_rate_input,
    entry_rate_input,
    model_folder,
    model_folder_input,
    precision_input,
    schema,
    there,
    whole_input,
)
from .shown import depth_shown
from .sockets import Da3Geometry, Depth

CATEGORY = "StereoSync/depth"
FrameDepthModel = io.Custom("STEREOSYNC_FRAME_DEPTH")
WINDOW = "How many maps in a row are brought to agree. More is steadier; few suit a moving camera."
#: Where Depth Anything and its like are looked for, and the model that is named to those who have none.
KINDS, PART, NAME = ["depthanything"], "config.json", "Depth-Anything-V2-Small-hf"
for _kind in KINDS:
    host.provide_model_folder(_kind)


class FastDepth(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return schema(
            node_id="StereoSyncSmallDepth",
            display_name="Depth (FastDepth)",
            category=CATEGORY,
            description="How near things are, from one bundled small network (FastDepth, indoor-trained). Runs anywhere, needs "
            "no download. Swap it for any other depth node through Depth from Images.",
            inputs=[
                io.Video.Input("video", tooltip="The clip."),
                depth_rate_input(),
                io.Int.Input("map_size", default=160, min=32, max=1024, step=8, tooltip="Pixels of a map's long side."),
            ],
            outputs=[Depth.Output(display_name="depth", tooltip="Depth maps of the clip over time, 1 is near.")],
        )

    @classmethod
    def execute(cls, video, rate, map_size) -> io.NodeOutput:
        network = host.on_device("fastdepth", load_fastdepth)
        source = host.source_of(video)
        depth = estimate_with_fastdepth(source, network, rate=rate, long_side=map_size, progress=host.progress())
        return io.NodeOutput(depth, ui=depth_shown(depth, cls))


class DepthFromImages(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return schema(
            node_id="StereoSyncDepthFromImages",
            display_name="Depth from Images",
            category=CATEGORY,
            description="Takes depth pictures of any other pack (Depth Anything, Video Depth, Marigold ...) for the same clip.",
            inputs=[
                io.MultiType.Input(
                    "images",
                    types=[io.Image, Da3Geometry],
                    tooltip="Depth pictures of the clip, in order; or what Run Depth Anything 3 gives, as metres.",
                ),
                io.Video.Input("video", tooltip="The clip that they were made from; its times are used."),
                choice_input(
                    "near_is",
                    POLARITIES,
                    "Whether near things are bright or dark, or values are distances in metres, whose relations are kept.",
                ),
                entry_rate_input("images"),
            ],
            outputs=[Depth.Output(display_name="depth", tooltip="Depth maps of the clip over time, 1 is near.")],
        )

    @classmethod
    def execute(cls, images, video, near_is, images_per_second) -> io.NodeOutput:
        source = host.source_of(video)
        if isinstance(images, Mapping):
            images, near_is = convert.metres_of(images), "metres"
        times = entry_times(len(images), frame_times(source), probe(source).duration, images_per_second, "Depth images")
        depth = depth_from_images(images.cpu().numpy(), times, polarity=near_is)
        return io.NodeOutput(depth, ui=depth_shown(depth, cls))


class DepthAnythingLoader(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        tooltip = "Folder in models/depthanything, in the layout of Hugging Face's transformers."
        return schema(
            node_id="StereoSyncDepthAnythingLoader",
            display_name="Depth Anything Loader",
            category=CATEGORY,
            description="Loads Depth Anything V2, or another single-frame depth model that transformers knows, from a folder "
            "that you download yourself. V2 Small is under Apache-2.0; larger ones forbid commercial use.",
            inputs=[model_folder_input(KINDS, PART, NAME, tooltip), precision_input()],
            outputs=[FrameDepthModel.Output(display_name="model", tooltip="The depth model, for Depth Anything.")],
        )

    @classmethod
    def execute(cls, model, precision) -> io.NodeOutput:
        estimator = load_frame_estimator(model_folder(KINDS, PART, model), host.precision(precision))
        return io.NodeOutput(host.patched(estimator))

    @classmethod
    def validate_inputs(cls, model=None):
        folder = model_folder(KINDS, PART, model or "")
        return model is None or there(folder, lambda: load_frame_estimator(folder))


class DepthAnything(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return schema(
            node_id="StereoSyncDepthAnything",
            display_name="Depth Anything",
            category=CATEGORY,
            description="Depth of each frame by itself, quick and sharp, and a preview of it. It flickers from frame to frame: "
            "connect Stabilize Depth behind it.",
            inputs=[
                io.Video.Input("video", tooltip="The clip."),
                FrameDepthModel.Input("model", tooltip="From Depth Anything Loader."),
                depth_rate_input(),
                io.Int.Input("map_size", default=518, min=32, max=2048, step=2, tooltip="Pixels of a map's long side."),
                whole_input("batch", 4, 1, 64, "Frames at once; halved when memory runs out."),
            ],
            outputs=[
                Depth.Output(display_name="depth", tooltip="Depth maps of the clip over time, 1 is near."),
                io.Image.Output(display_name="preview", tooltip="The depth maps as images, bright is near."),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(cls, video, model, rate, map_size, batch) -> io.NodeOutput:
        node = cls.hidden.unique_id
        depth = estimate_with_transformers(
            host.source_of(video),
            host.placed(model),
            rate=rate,
            long_side=map_size,
            batch=batch,
            notice=lambda text: host.notice(text, node),
            progress=host.progress(),
        )
        return io.NodeOutput(depth, depth_images(depth), ui=depth_shown(depth, cls))


class StabilizeDepth(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return schema(
            node_id="StereoSyncSteadyDepth",
            display_name="Stabilize Depth",
            category=CATEGORY,
            description="Takes the flicker out of depth that was estimated frame by frame (Depth Anything, FastDepth, other "
            "packs' pictures): RollingDepth's co-alignment finds one scale and shift for each map with which neighbours agree.",
            inputs=[
                Depth.Input("depth", tooltip="Depth of a clip."),
                whole_input("window", 5, 2, 15, WINDOW),
            ],
            outputs=[
                Depth.Output(display_name="depth", tooltip="Depth maps of the clip over time, 1 is near."),
                io.Image.Output(display_name="preview", tooltip="The depth maps as images, bright is near."),
            ],
        )

    @classmethod
    def execute(cls, depth, window) -> io.NodeOutput:
        stable = stabilize_depth(depth, window=window, progress=host.progress())
        return io.NodeOutput(stable, depth_images(stable), ui=depth_shown(stable, cls))


NODES = [FastDepth, DepthFromImages, DepthAnythingLoader, DepthAnything, StabilizeDepth]
