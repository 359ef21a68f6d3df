"""The camera's motion as a value."""

from __future__ import annotations

import torch
from comfy_api.latest import io, ui

from ..stereosync_core.media.camera import RATE, camera_motion
from ..stereosync_core.preview.plot import plot_camera
from . import host
from .inputs import rate_input, schema
from .sockets import Camera, Tracks


class CameraMotionNode(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return schema(
            node_id="StereoSyncCameraMotion",
            display_name="Camera Motion",
            category="StereoSync/tracking",
            description="Finds how the camera moves from frame to frame: pans, shakes, zooms. What people and things do in the "
            "picture is left out. A camera on a tripod gives none at all.",
            is_output_node=True,
            inputs=[
                io.Video.Input("video", tooltip="The clip."),
                rate_input("frames", "Frames compared a second; 30 follows a camera that shakes.", default=RATE, min=1.0),
                Tracks.Input("tracks", optional=True, tooltip="People and things, which are no surroundings."),
            ],
            outputs=[
                Camera.Output(display_name="camera", tooltip="The camera's motion, for Detect Events."),
                io.Image.Output(display_name="image", tooltip="Speed, growth and confidence over time."),
                io.String.Output(display_name="summary", tooltip="What the camera does, in a line."),
            ],
        )

    @classmethod
    def execute(cls, video, rate, tracks=None) -> io.NodeOutput:
        camera = camera_motion(host.source_of(video), tracks, rate=rate, progress=host.progress())
        image = torch.from_numpy(plot_camera(camera)).float()[None] / 255.0
        return io.NodeOutput(camera, image, camera.summary(), ui=ui.PreviewImage(image, cls=cls))


NODES = [CameraMotionNode]
