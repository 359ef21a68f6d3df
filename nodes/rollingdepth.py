"""Depth from models that the user downloads: RollingDepth, and the single-frame estimators of transformers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from comfy_api.latest import io

from ..stereosync_core.depth import transformers_depth
from ..stereosync_core.depth.flicker import steady
from ..stereosync_core.depth.rollingdepth.alignment import FAST_ALIGNMENT, RELEASED_ALIGNMENT
from ..stereosync_core.depth.rollingdepth.presets import PRESETS, Settings
from ..stereosync_core.errors import StereoSyncError
from . import host
from .sockets import Depth

if TYPE_CHECKING:
    from ..stereosync_core.scene import DepthSequence

CATEGORY = "StereoSync/depth"
RollingDepthModel = io.Custom("STEREOSYNC_ROLLINGDEPTH")
FrameDepthModel = io.Custom("STEREOSYNC_FRAME_DEPTH")
#: Where the models are looked for, the last one being the place that is named to those who have none.
ROLLING_KINDS, FRAME_KINDS = ["diffusers", "rollingdepth"], ["depthanything"]
ROLLING_NAME, FRAME_NAME = "rollingdepth-v1-0", "Depth-Anything-V2-Small-hf"
for _kind in (*ROLLING_KINDS, *FRAME_KINDS):
    host.provide_model_folder(_kind)


def precision_input() -> io.Input:
    return io.Combo.Input(
        "precision",
        options=["auto", "fp16", "bf16", "fp32"],
        default="auto",
        tooltip="auto: fp16 on a graphics card, fp32 on the CPU. bf16 where fp16 gives NaN. fp32 doubles the memory.",
    )


def rate_input(zero: str = "") -> io.Input:
    return io.Float.Input(
        "rate",
        default=4.0,
        min=0.0 if zero else 0.5,
        max=60.0,
        step=0.5,
        tooltip=f"Depth maps a second; between them depth is interpolated.{zero}",
    )


def model_input(kinds: list[str], part: str, release: str, what: str) -> io.Input:
    """A choice of the folders that are there; the release's name is always among them, so that running tells what to do."""
    names = list(host.model_folders(kinds, part))
    options = names if release in names else [*names, release]
    return io.Combo.Input("model", options=options, default=options[0], tooltip=what)


def pictures(depth: DepthSequence) -> torch.Tensor:
    """Depth as a native IMAGE, near bright; the three channels are one memory."""
    return torch.from_numpy(depth.maps.copy())[..., None].expand(-1, -1, -1, 3)


class RollingDepthLoader(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        what = "Folder in models/rollingdepth or models/diffusers, in the layout of the release."
        return io.Schema(
            node_id="StereoSyncRollingDepthLoader",
            display_name="RollingDepth Loader",
            category=CATEGORY,
            description="Loads RollingDepth, an accurate video depth model of 866 million parameters that you download "
            "yourself. Its weights are under the OpenRAIL++-M licence: commercial use is allowed, the uses it lists are not.",
            inputs=[model_input(ROLLING_KINDS, "unet/config.json", ROLLING_NAME, what), precision_input()],
            outputs=[RollingDepthModel.Output(display_name="model")],
        )

    @classmethod
    def execute(cls, model, precision) -> io.NodeOutput:
        from ..stereosync_core.depth.rollingdepth.loader import load_model

        folders = host.model_folders(ROLLING_KINDS, "unet/config.json")
        folder = folders.get(model, host.model_target(ROLLING_KINDS[-1], model))
        return io.NodeOutput(host.patched(load_model(folder, host.precision(precision))))

    @classmethod
    def validate_inputs(cls, model):
        return True  # a folder that is absent is explained by the loader


class RollingDepth(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="StereoSyncRollingDepth",
            display_name="RollingDepth",
            category=CATEGORY,
            description="Steady, accurate depth of a clip of any length, and a preview of it. fast is right for most clips; "
            "full and paper refine, at several times the time.",
            inputs=[
                io.Video.Input("video", tooltip="The clip."),
                RollingDepthModel.Input("model", tooltip="From RollingDepth Loader."),
                io.Combo.Input(
                    "preset",
                    options=list(PRESETS),
                    default="fast",
                    tooltip="The release's settings. fast: 768 pixels, dilations 1 and 25. fast1024: the same at 1024. full: "
                    "1024, dilations 1, 10 and 25, 10 refinement steps. paper: as full at 768, long dilations on short clips "
                    "too; choose fp32 in the loader for it.",
                ),
                io.Int.Input(
                    "resolution",
                    default=0,
                    min=0,
                    max=2048,
                    step=8,
                    tooltip="Pixels of the maps' longer side, 64 or more. 0: the preset's. Above 1024 depth gets worse.",
                ),
                io.Int.Input("seed", default=0, min=0, max=2**63 - 1, tooltip="Of the noise that depth is made from."),
                rate_input(" 0: every frame."),
                io.Combo.Input(
                    "alignment",
                    options=["exact", "fast"],
                    default="exact",
                    tooltip="exact: 2000 iterations, as the release. fast: stops when the snippets agree no better; the maps "
                    "differ by thousandths.",
                ),
                io.Int.Input(
                    "batch",
                    default=4,
                    min=1,
                    max=64,
                    tooltip="Snippets of 3 frames that the model sees at once. More is faster and takes more memory; it is "
                    "halved by itself when memory runs out.",
                ),
                io.String.Input(
                    "dilations",
                    default="",
                    optional=True,
                    tooltip="Your own distances between a snippet's frames, such as 1, 10, 25. Empty: the preset's.",
                ),
                io.Int.Input(
                    "refine_steps",
                    default=-1,
                    min=-1,
                    max=100,
                    optional=True,
                    tooltip="Your own number of refinement steps, 0 for none. -1: the preset's.",
                ),
            ],
            outputs=[Depth.Output(display_name="depth"), io.Image.Output(display_name="preview")],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(
        cls, video, model, preset, resolution, seed, rate, alignment, batch, dilations="", refine_steps=-1
    ) -> io.NodeOutput:
        from ..stereosync_core.depth.rollingdepth.pipeline import Resources, estimate_depth

        settings = custom(PRESETS[preset], resolution, dilations, refine_steps)
        node = cls.hidden.unique_id
        # about a kilobyte for each pixel that is worked on at once; too little only means smaller batches
        network = host.placed(model, memory=settings.resolution**2 // 2 * 3 * batch * 1024)
        if preset == "paper" and network.dtype != torch.float32:
            host.notice("RollingDepth: the preset paper is meant for precision fp32 in the loader.", node)
        depth = estimate_depth(
            host.source_of(video),
            network,
            settings,
            rate=rate,
            seed=seed,
            alignment=FAST_ALIGNMENT if alignment == "fast" else RELEASED_ALIGNMENT,
            resources=Resources(snippets=batch, notice=lambda text: host.notice(text, node)),
            progress=host.progress(),
        )
        return io.NodeOutput(depth, pictures(depth))


def custom(settings: Settings, resolution: int, dilations: str, refine_steps: int) -> Settings:
    """A preset with the user's own changes."""
    changes: dict[str, Any] = {}
    if resolution:
        changes["resolution"] = resolution
    if dilations.strip():
        try:
            changes["dilations"] = tuple(int(part) for part in dilations.replace(",", " ").split())
        except ValueError as error:
            raise StereoSyncError(
                f"RollingDepth: dilations '{dilations}' are not whole numbers; write for example 1, 10, 25."
            ) from error
    if refine_steps >= 0:
        changes["refine_steps"] = refine_steps
    return replace(settings, **changes)


class DepthAnythingLoader(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        what = "Folder in models/depthanything, in the layout of Hugging Face's transformers."
        return io.Schema(
            node_id="StereoSyncDepthAnythingLoader",
            display_name="Depth Anything Loader",
            category=CATEGORY,
            description="Loads Depth Anything V2, or another single-frame depth model that transformers knows, from a folder "
            "that you download yourself. V2 Small is under Apache-2.0; larger ones forbid commercial use.",
            inputs=[model_input(FRAME_KINDS, "config.json", FRAME_NAME, what), precision_input()],
            outputs=[FrameDepthModel.Output(display_name="model")],
        )

    @classmethod
    def execute(cls, model, precision) -> io.NodeOutput:
        folder = host.model_folders(FRAME_KINDS, "config.json").get(model, host.model_target(FRAME_KINDS[-1], model))
        return io.NodeOutput(host.patched(transformers_depth.load_estimator(folder, host.precision(precision))))

    @classmethod
    def validate_inputs(cls, model):
        return True


class DepthAnything(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="StereoSyncDepthAnything",
            display_name="Depth Anything",
            category=CATEGORY,
            description="Depth of each frame by itself, quick and sharp, and a preview of it. It flickers from frame to frame: "
            "connect Steady Depth behind it.",
            inputs=[
                io.Video.Input("video", tooltip="The clip."),
                FrameDepthModel.Input("model", tooltip="From Depth Anything Loader."),
                rate_input(),
                io.Int.Input("map_size", default=518, min=32, max=2048, step=2, tooltip="Pixels of a map's long side."),
                io.Int.Input(
                    "batch", default=4, min=1, max=64, tooltip="Frames at once; halved by itself when memory runs out."
                ),
            ],
            outputs=[Depth.Output(display_name="depth"), io.Image.Output(display_name="preview")],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(cls, video, model, rate, map_size, batch) -> io.NodeOutput:
        node = cls.hidden.unique_id
        depth = transformers_depth.estimate_depth(
            host.source_of(video),
            host.placed(model),
            rate=rate,
            long_side=map_size,
            batch=batch,
            notice=lambda text: host.notice(text, node),
            progress=host.progress(),
        )
        return io.NodeOutput(depth, pictures(depth))


class SteadyDepth(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="StereoSyncSteadyDepth",
            display_name="Steady Depth",
            category=CATEGORY,
            description="Takes the flicker out of depth that was estimated frame by frame (Depth Anything, Small Depth, other "
            "packs' pictures): RollingDepth's co-alignment finds one scale and shift for each map with which neighbours agree.",
            inputs=[
                Depth.Input("depth", tooltip="Depth of a clip."),
                io.Int.Input(
                    "window",
                    default=5,
                    min=2,
                    max=15,
                    tooltip="How many maps in a row are brought to agree. More is steadier; few suit a moving camera.",
                ),
            ],
            outputs=[Depth.Output(display_name="depth"), io.Image.Output(display_name="preview")],
        )

    @classmethod
    def execute(cls, depth, window) -> io.NodeOutput:
        steadied = steady(depth, window=window, progress=host.progress())
        return io.NodeOutput(steadied, pictures(steadied))


NODES = [RollingDepthLoader, RollingDepth, DepthAnythingLoader, DepthAnything, SteadyDepth]
