"""Where things are over time: the bundled tracker, and adapters for other packs' boxes and masks."""

from __future__ import annotations

import numpy as np
from comfy_api.latest import io

from ..stereosync_core.media.video import frame_times, probe
from ..stereosync_core.timing import entry_times
from ..stereosync_core.tracking.adapt import frames_of_boxes, tracks_from_boxes, tracks_from_masks
from ..stereosync_core.tracking.detector import load_network
from ..stereosync_core.tracking.small import track_video
from . import host
from .sockets import BoundingBox, KjBox, Segments, Tracks

CATEGORY = "StereoSync/tracking"


def cleaning_inputs(max_tracks: int) -> list[io.Input]:
    """The options every source of tracks has."""
    return [
        io.Int.Input(
            "max_tracks",
            default=max_tracks,
            min=0,
            max=64,
            tooltip="How many to keep: the most prominent by size, motion and time in the picture. 0 keeps all.",
        ),
        io.Float.Input(
            "fill_gaps",
            default=1.0,
            min=0.0,
            max=10.0,
            step=0.1,
            tooltip="Gaps up to so many seconds are bridged by straight motion.",
        ),
        io.Float.Input(
            "smoothing",
            default=0.05,
            min=0.0,
            max=1.0,
            step=0.01,
            tooltip="Seconds over which boxes are smoothed. Much smoothing hides the gait that footsteps are timed by.",
        ),
    ]


def detector_size_input() -> io.Input:
    return io.Int.Input(
        "detector_size",
        default=416,
        min=224,
        max=1280,
        step=32,
        tooltip="Pixels of the picture's long side for the bundled detector. More finds smaller things and takes longer.",
    )


def rate_input(what: str) -> io.Input:
    return io.Float.Input(
        f"{what}_per_second",
        default=0.0,
        min=0.0,
        max=240.0,
        step=0.5,
        tooltip=f"0: one entry for each frame of the clip. Otherwise the rate that the {what} were made at.",
    )


class SmallTracker(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="StereoSyncSmallTracker",
            display_name="Small Tracker",
            category=CATEGORY,
            description="Finds people or things in a clip and follows them, with a bundled small detector (NanoDet, 80 COCO "
            "classes). Runs anywhere, needs no download.",
            inputs=[
                io.Video.Input("video", tooltip="The clip."),
                io.String.Input("classes", default="person", tooltip="What to follow: COCO names separated by commas, or all."),
                io.Float.Input(
                    "threshold",
                    default=0.35,
                    min=0.05,
                    max=0.95,
                    step=0.01,
                    tooltip="How sure the detector must be to begin a track. Lower finds more, and more that is not there.",
                ),
                io.Float.Input(
                    "rate", default=10.0, min=1.0, max=60.0, step=1.0, tooltip="Frames a second that are looked at."
                ),
                detector_size_input(),
                *cleaning_inputs(max_tracks=1),
            ],
            outputs=[Tracks.Output(display_name="tracks")],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(cls, video, classes, threshold, rate, detector_size, max_tracks, fill_gaps, smoothing) -> io.NodeOutput:
        tracks = track_video(
            host.source_of(video),
            classes=classes,
            threshold=threshold,
            rate=rate,
            long_side=detector_size,
            max_tracks=max_tracks,
            fill_gaps=fill_gaps,
            smoothing=smoothing,
            network=host.on_device("nanodet", load_network),
            progress=host.progress(),
        )
        if len(tracks) == 0:
            host.notice(f"Small Tracker: nothing of '{classes}' was found; try a lower threshold.", cls.hidden.unique_id)
        return io.NodeOutput(tracks)


class TracksFromBoxes(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="StereoSyncTracksFromBoxes",
            display_name="Tracks from Boxes",
            category=CATEGORY,
            description="Takes boxes of any other pack: native bounding boxes, KJNodes BBOX or Impact-Pack SEGS.",
            inputs=[
                io.MultiType.Input(
                    "boxes", types=[BoundingBox, KjBox, Segments], tooltip="Boxes in pixels, a list for each frame of the clip."
                ),
                io.Video.Input("video", tooltip="The clip that they were found in; its times are used."),
                io.Combo.Input(
                    "identity",
                    options=["follow", "by position"],
                    default="follow",
                    tooltip="follow: link boxes from frame to frame. by position: the n-th box of each frame is one thing.",
                ),
                io.Int.Input(
                    "frame_width",
                    default=0,
                    min=0,
                    max=16384,
                    tooltip="Width in pixels of the frames the boxes were found in; 0 = the clip's.",
                ),
                io.Int.Input(
                    "frame_height", default=0, min=0, max=16384, tooltip="Height in pixels of those frames; 0 = the clip's."
                ),
                rate_input("boxes"),
                *cleaning_inputs(max_tracks=0),
            ],
            outputs=[Tracks.Output(display_name="tracks")],
        )

    @classmethod
    def execute(
        cls, boxes, video, identity, frame_width, frame_height, boxes_per_second, max_tracks, fill_gaps, smoothing
    ) -> io.NodeOutput:
        source = host.source_of(video)
        info = probe(source)
        count = len(frames_of_boxes(boxes))
        if count == 1:
            times = frame_times(source)
        else:
            times = entry_times(count, frame_times(source), info.duration, boxes_per_second, "Boxes")
        return io.NodeOutput(
            tracks_from_boxes(
                boxes,
                times,
                frame_width or info.width,
                frame_height or info.height,
                info.duration,
                link=identity == "follow",
                max_tracks=max_tracks,
                fill_gaps=fill_gaps,
                smoothing=smoothing,
            )
        )


class TracksFromMasks(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="StereoSyncTracksFromMasks",
            display_name="Tracks from Masks",
            category=CATEGORY,
            description="Takes the masks of one thing (Segment Anything and others), one a frame, and follows their outline.",
            inputs=[
                io.Mask.Input("masks", tooltip="Masks of one thing, in order; an empty mask means it is not in the picture."),
                io.Video.Input("video", tooltip="The clip that they were made from; its times are used."),
                rate_input("masks"),
                *cleaning_inputs(max_tracks=0)[1:],
            ],
            outputs=[Tracks.Output(display_name="tracks")],
        )

    @classmethod
    def execute(cls, masks, video, masks_per_second, fill_gaps, smoothing) -> io.NodeOutput:
        source = host.source_of(video)
        info = probe(source)
        frames = frame_times(source)
        array = masks.cpu().numpy()
        array = array if array.ndim == 3 else array[None]
        times = frames if len(array) == 1 else entry_times(len(array), frames, info.duration, masks_per_second, "Masks")
        return io.NodeOutput(
            tracks_from_masks(np.asarray(array), times, info.duration, fill_gaps=fill_gaps, smoothing=smoothing)
        )


NODES = [SmallTracker, TracksFromBoxes, TracksFromMasks]
