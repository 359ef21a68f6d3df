"""The list of the pack's nodes."""

from comfy_api.latest import ComfyExtension, io

from . import (
    apply,
    audio,
    beds,
    camera,
    conditioning,
    depth,
    editing,
    evaluation,
    events,
    host,
    masa,
    preview,
    rendering,
    rollingdepth,
    sampling,
    sessions,
    sounds,
    stable_audio,
    stems,
    surround,
    takes,
    tracking,
    values,
    video,
)

MAKING = (conditioning, sampling, stable_audio, takes, apply, rendering, sounds, audio)
EXPORT = (stems, sessions, values, surround, beds)
ROOMS = (video, depth, rollingdepth, tracking, masa, camera, events, editing, *MAKING, *EXPORT, evaluation, preview)


class StereoSyncExtension(ComfyExtension):
    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        # Not in on_load: ComfyUI 0.3.75 declares that and never calls it.
        host.provide_sample_clip()
        return [node for room in ROOMS for node in room.NODES]
