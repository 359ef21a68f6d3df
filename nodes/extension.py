"""The list of the pack's nodes."""

from __future__ import annotations

from comfy_api.latest import ComfyExtension, io

from . import depth, host, masa, preview, rendering, rollingdepth, tracking, video


class StereoSyncExtension(ComfyExtension):
    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        # Not in on_load: ComfyUI 0.3.75 declares that and never calls it.
        host.provide_sample_clip()
        return [*video.NODES, *depth.NODES, *rollingdepth.NODES, *tracking.NODES, *masa.NODES, *rendering.NODES, *preview.NODES]
