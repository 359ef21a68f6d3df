"""RollingDepth: its loader, and depth of a clip."""

import torch
from comfy_api.latest import io

from ..stereosync_core.depth.rollingdepth.alignment import FAST_ALIGNMENT, RELEASED_ALIGNMENT
from ..stereosync_core.depth.rollingdepth.loader import load_rollingdepth
from ..stereosync_core.depth.rollingdepth.pipeline import estimate_with_rollingdepth
from ..stereosync_core.depth.rollingdepth.snippets import PRESETS, customized
from . import host
from .convert import depth_images
from .inputs import (
    checked,
    choice_input,
    depth_rate_input,
    model_folder,
    model_folder_input,
    precision_input,
    schema,
    there,
    whole_input,
)
from .shown import depth_shown
from .sockets import Depth

CATEGORY = "StereoSync/depth"
RollingDepthModel = io.Custom("STEREOSYNC_ROLLINGDEPTH")
#: Where the models are looked for; the last one is the place that is named to those who have none.
KINDS = ["diffusers", "rollingdepth"]
NAME = "rollingdepth-v1-0"
PART = "unet/config.json"
SIZES = "Pixels of the maps' longer side, 64 or more. 0: the preset's. Above 1024 depth gets worse."
BATCH = "Snippets of 3 frames in a batch of the UNet. More is faster and takes more memory; halved where memory runs out."
REFINEMENT = "Your own number of refinement steps, 0 for none. -1: the preset's."
for _kind in KINDS:
    host.provide_model_folder(_kind)


class RollingDepthLoader(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        tooltip = "Folder in models/rollingdepth or models/diffusers, in the layout of the release."
        return schema(
            node_id="StereoSyncRollingDepthLoader",
            display_name="RollingDepth Loader",
            category=CATEGORY,
            description="Loads RollingDepth, an accurate video depth model of 866 million parameters that you download "
            "yourself. Its weights are under the OpenRAIL++-M licence: commercial use is allowed, the uses it lists are not.",
            inputs=[model_folder_input(KINDS, PART, NAME, tooltip), precision_input()],
            outputs=[RollingDepthModel.Output(display_name="model", tooltip="The depth model, for RollingDepth.")],
        )

    @classmethod
    def execute(cls, model, precision) -> io.NodeOutput:
        return io.NodeOutput(host.patched(load_rollingdepth(model_folder(KINDS, PART, model), host.precision(precision))))

    @classmethod
    def validate_inputs(cls, model=None):
        folder = model_folder(KINDS, PART, model or "")
        return model is None or there(folder, lambda: load_rollingdepth(folder))


class RollingDepth(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return schema(
            node_id="StereoSyncRollingDepth",
            display_name="RollingDepth",
            category=CATEGORY,
            description="Steady, accurate depth of a clip of any length, and a preview of it. fast suits most clips; "
            "full and paper refine, at several times the time.",
            inputs=[
                io.Video.Input("video", tooltip="The clip."),
                RollingDepthModel.Input("model", tooltip="From RollingDepth Loader."),
                choice_input(
                    "preset",
                    PRESETS,
                    "The release's settings. fast: 768 pixels, dilations 1 and 25. fast1024: the same at 1024. full: "
                    "1024, dilations 1, 10 and 25, 10 refinement steps. paper: as full at 768, long dilations on short clips "
                    "too; choose fp32 in the loader for it.",
                ),
                whole_input("resolution", 0, 0, 2048, SIZES, step=8),
                whole_input("seed", 0, 0, 2**63 - 1, "Seed of the initial noise."),
                depth_rate_input(0.0, " 0: every frame."),
                choice_input(
                    "alignment",
                    ["exact", "fast"],
                    "exact: 2000 iterations, as the release. fast: stops when the snippets agree no better; the maps "
                    "differ by thousandths.",
                ),
                whole_input("batch", 4, 1, 64, BATCH),
                io.String.Input(
                    "dilations",
                    default="",
                    optional=True,
                    tooltip="Your own distances between a snippet's frames, such as 1, 10, 25. Empty: the preset's.",
                ),
                whole_input("refine_steps", -1, -1, 100, REFINEMENT, optional=True),
            ],
            outputs=[
                Depth.Output(display_name="depth", tooltip="Depth maps of the clip over time, 1 is near."),
                io.Image.Output(display_name="preview", tooltip="The depth maps as images, bright is near."),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(
        cls, video, model, preset, resolution, seed, rate, alignment, batch, dilations="", refine_steps=-1
    ) -> io.NodeOutput:
        settings = customized(PRESETS[preset], resolution, dilations, refine_steps)
        node = cls.hidden.unique_id
        # about a kilobyte for each pixel that is worked on at once; too little only means smaller batches
        network = host.placed(model, memory=settings.resolution**2 // 2 * 3 * batch * 1024)
        if preset == "paper" and network.dtype != torch.float32:
            host.notice("RollingDepth: the preset paper is meant for precision fp32 in the loader.", node)
        depth = estimate_with_rollingdepth(
            host.source_of(video),
            network,
            settings,
            rate=rate,
            seed=seed,
            alignment=FAST_ALIGNMENT if alignment == "fast" else RELEASED_ALIGNMENT,
            batch=batch,
            notice=lambda text: host.notice(text, node),
            progress=host.progress(),
        )
        return io.NodeOutput(depth, depth_images(depth), ui=depth_shown(depth, cls))

    @classmethod
    def validate_inputs(cls, dilations=None):
        return checked(lambda: customized(PRESETS["fast"], dilations=dilations or ""))


NODES = [RollingDepthLoader, RollingDepth]
