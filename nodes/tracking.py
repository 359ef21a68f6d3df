"""Where objects are over time: the bundled tracker, detectors, other packs' boxes and masks, and a choice among tracks."""

from __future__ import annotations

from collections.abc import Mapping

from comfy_api.latest import io

from ..stereosync_core.media.video import probe
from ..stereosync_core.timing import times_in_clip
from ..stereosync_core.tracking.boxes import frames_of_boxes, tracks_from_boxes, tracks_from_masks, tracks_from_sam3
from ..stereosync_core.tracking.nanodet import load_nanodet, track_with_nanodet
from ..stereosync_core.tracking.registry import check_tracking, load_detector
from ..stereosync_core.tracking.tracklets import parse_ids, select_tracks
from . import convert, host
from .inputs import (
    checked,
    cleaning_inputs,
    detector_size_input,
    entry_rate_input,
    model_folder,
    model_folder_input,
    schema,
    there,
    track_rate_input,
    unit_input,
    whole_input,
)
from .shown import tracks_shown
from .sockets import BoundingBox, DetectorModel, KjBox, Sam3TrackData, Segments, Tracks

CATEGORY = "StereoSync/tracking"
#: Folders in models/ and the file that they hold, and what is named to those who have nothing there.
DETECTOR_FOLDERS, DETECTOR_NAME = (["detectors"], "config.json"), "grounding-dino-base"
host.provide_model_folder("detectors")


class SmallTracker(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return schema(
            node_id="StereoSyncSmallTracker",
            display_name="Object Tracker (NanoDet)",
            category=CATEGORY,
            description="Finds people or things in a clip and follows them, with a bundled small detector (NanoDet, 80 COCO "
            "classes). Runs anywhere, needs no download.",
            inputs=[
                io.Video.Input("video", tooltip="The clip."),
                io.String.Input(
                    "classes", default="person", tooltip="The COCO classes to follow, separated by commas, or all."
                ),
                io.Float.Input(
                    "threshold",
                    display_name="score threshold",
                    default=0.35,
                    min=0.05,
                    max=0.95,
                    step=0.01,
                    tooltip="The detection score from which a box may begin a track. Lower finds more, and more false boxes.",
                ),
                track_rate_input(),
                detector_size_input(),
                *cleaning_inputs(max_tracks=1),
            ],
            outputs=[Tracks.Output(display_name="tracks", tooltip="The boxes of each object over time.")],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(cls, video, classes, detector_size, **options) -> io.NodeOutput:
        tracks = track_with_nanodet(
            host.source_of(video),
            host.on_device("nanodet", load_nanodet),
            classes=classes,
            long_side=detector_size,
            progress=host.progress(),
            **options,
        )
        if len(tracks) == 0:
            host.notice(f"Object Tracker: no '{classes}' was found; try a lower threshold.", cls.hidden.unique_id)
        return io.NodeOutput(tracks, ui=tracks_shown(video, tracks, cls))

    @classmethod
    def validate_inputs(cls, classes=None):
        return classes is None or checked(lambda: check_tracking(classes=classes))


class DetectorLoader(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return schema(
            node_id="StereoSyncDetectorLoader",
            display_name="Detector Loader",
            category=CATEGORY,
            description="Loads a detector of the transformers library that you downloaded: GroundingDINO, which finds what a "
            "text names, or RT-DETR and D-FINE with their class lists.",
            inputs=[
                model_folder_input(
                    *DETECTOR_FOLDERS,
                    DETECTOR_NAME,
                    "The folder in models/detectors with config.json, model.safetensors and the processor's files.",
                )
            ],
            outputs=[DetectorModel.Output(display_name="detector", tooltip="The detector, for MASA Tracker.")],
        )

    @classmethod
    def execute(cls, model) -> io.NodeOutput:
        return io.NodeOutput(host.patched(load_detector(model_folder(*DETECTOR_FOLDERS, model))))

    @classmethod
    def validate_inputs(cls, model=None):
        folder = model_folder(*DETECTOR_FOLDERS, model or "")
        return model is None or there(folder, lambda: load_detector(folder))


class TracksFromBoxes(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return schema(
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
                    tooltip="follow: link boxes from frame to frame. by position: the n-th box of each frame is one object.",
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
                entry_rate_input("boxes"),
                *cleaning_inputs(max_tracks=0),
            ],
            outputs=[Tracks.Output(display_name="tracks", tooltip="The boxes of each object over time.")],
        )

    @classmethod
    def execute(cls, boxes, video, identity, frame_width, frame_height, boxes_per_second, **clean) -> io.NodeOutput:
        source = host.source_of(video)
        info, times = probe(source), times_in_clip(source, len(frames_of_boxes(boxes)), boxes_per_second, "Boxes")
        size = frame_width or info.width, frame_height or info.height
        tracks = tracks_from_boxes(boxes, times, *size, info.duration, link=identity == "follow", **clean)
        return io.NodeOutput(tracks, ui=tracks_shown(video, tracks, cls))


class TracksFromMasks(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return schema(
            node_id="StereoSyncTracksFromMasks",
            display_name="Tracks from Masks",
            category=CATEGORY,
            description="Takes the masks of objects (Segment Anything and others), one a frame, and follows their outlines.",
            inputs=[
                io.MultiType.Input(
                    "masks",
                    types=[io.Mask, Sam3TrackData],
                    tooltip="Masks in order, an empty one where the object is off screen; or what SAM3 Video Track gives.",
                ),
                io.Video.Input("video", tooltip="The clip that they were made from; its times are used."),
                entry_rate_input("masks"),
                *cleaning_inputs(max_tracks=0)[1:],
                whole_input(
                    "objects",
                    1,
                    0,
                    64,
                    "How many objects the masks are of: all of the first, then all of the second ... 0: every connected piece "
                    "is an object and is followed. SAM 3's tracks know it themselves.",
                    optional=True,
                ),
            ],
            outputs=[Tracks.Output(display_name="tracks", tooltip="The boxes of each object over time.")],
        )

    @classmethod
    def execute(cls, masks, video, masks_per_second, objects=1, **clean) -> io.NodeOutput:
        source, duration = host.source_of(video), probe(host.source_of(video)).duration
        if isinstance(masks, Mapping):
            data = convert.on_cpu(masks)
            times = times_in_clip(source, int(data["n_frames"]), masks_per_second, "SAM 3 tracks")
            tracks = tracks_from_sam3(data, times, duration, **clean)
            return io.NodeOutput(tracks, ui=tracks_shown(video, tracks, cls))
        array = masks.cpu().numpy().reshape(-1, *masks.shape[-2:])
        times = times_in_clip(source, len(array) // max(objects, 1), masks_per_second, "Masks")
        tracks = tracks_from_masks(array, times, duration, objects=objects, **clean)
        return io.NodeOutput(tracks, ui=tracks_shown(video, tracks, cls))


class SelectTracks(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        edges = {"left": 0.0, "top": 0.0, "right": 1.0, "bottom": 1.0}
        return schema(
            node_id="StereoSyncSelectTracks",
            display_name="Select Tracks",
            category=CATEGORY,
            description="Keeps some of the tracks: by number, by class, by where in the picture they are.",
            inputs=[
                Tracks.Input("tracks", tooltip="From any tracker."),
                io.String.Input("ids", default="", tooltip="Track numbers as Preview Scene shows them: 1, 3, 5-8. Empty: any."),
                io.String.Input("classes", default="", tooltip="Class names separated by commas. Empty: any."),
                *(
                    unit_input(name, default, f"The region's {name} edge, in 0..1 of the frame.", step=0.01)
                    for name, default in edges.items()
                ),
                unit_input(
                    "share",
                    0.5,
                    "The part of a track's boxes whose centre must be in the region. 0: one box is enough.",
                    "share inside",
                ),
                io.Combo.Input(
                    "what",
                    display_name="action",
                    options=["keep", "drop"],
                    default="keep",
                    tooltip="Whether the tracks that fit every condition are kept or dropped.",
                ),
                io.Int.Input(
                    "max_tracks",
                    default=0,
                    min=0,
                    max=64,
                    tooltip="The number of tracks to keep, the most prominent. 0 keeps all.",
                ),
            ],
            outputs=[Tracks.Output(display_name="tracks", tooltip="The boxes of each object over time.")],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(cls, tracks, left, top, right, bottom, what, **conditions) -> io.NodeOutput:
        chosen = select_tracks(tracks, region=(left, top, right, bottom), drop=what == "drop", **conditions)
        if len(chosen) == 0:
            host.notice(f"Select Tracks: none of the {len(tracks)} tracks fits.", cls.hidden.unique_id)
        return io.NodeOutput(chosen)

    @classmethod
    def validate_inputs(cls, ids=None):
        return checked(lambda: parse_ids(ids or ""))


NODES = [SmallTracker, DetectorLoader, TracksFromBoxes, TracksFromMasks, SelectTracks]
