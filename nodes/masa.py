"""MASA: identities by appearance for the boxes of any detector, the detectors that go with it, and a choice among tracks."""

from __future__ import annotations

from typing import Any

import numpy as np
from comfy_api.latest import io

from ..stereosync_core.errors import StereoSyncError
from ..stereosync_core.media.video import frame_times, probe
from ..stereosync_core.timing import entry_times
from ..stereosync_core.tracking.adapt import frames_of_boxes
from ..stereosync_core.tracking.detector import load_network
from ..stereosync_core.tracking.found import Finder, GivenBoxes, SmallFinder
from ..stereosync_core.tracking.masa.clip import DEFAULTS, track_video
from ..stereosync_core.tracking.masa.loader import load_masa
from ..stereosync_core.tracking.masa.tracker import GATE_SIDE, BddSettings, TaoSettings
from ..stereosync_core.tracking.select import select_tracks
from ..stereosync_core.tracking.transformers_detectors import load_detector
from . import host
from .sockets import BoundingBox, KjBox, Segments, Tracks
from .tracking import CATEGORY, cleaning_inputs, detector_size_input, rate_input

MasaModel = io.Custom("STEREOSYNC_MASA")
DetectorModel = io.Custom("STEREOSYNC_DETECTOR")
#: Folders in models/, and what is named to those who have nothing there.
MASA_KIND, DETECTOR_KIND = "masa", "detectors"
MASA_NAME, DETECTOR_NAME = "masa_r50.pth", "grounding-dino-base"
#: Bytes of work beside the weights that room is asked for: the samples of a deformable convolution of a 1024-pixel frame.
WORKING_MEMORY = 2 << 30
for _kind in (MASA_KIND, DETECTOR_KIND):
    host.provide_model_folder(_kind)


class MasaLoader(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        names = list(host.model_files(MASA_KIND, (".safetensors", ".pth")))
        options = names if MASA_NAME in names else [*names, MASA_NAME]
        return io.Schema(
            node_id="StereoSyncMasaLoader",
            display_name="MASA Loader",
            category=CATEGORY,
            description="Loads MASA-R50, which recognises things by how they look. Put masa_r50.pth (Apache-2.0) into "
            "models/masa; it is read safely and kept as safetensors there.",
            inputs=[
                io.Combo.Input(
                    "model", options=options, default=options[0], tooltip="File in models/masa: the ResNet-50 variant."
                )
            ],
            outputs=[MasaModel.Output(display_name="model")],
        )

    @classmethod
    def execute(cls, model) -> io.NodeOutput:
        files = host.model_files(MASA_KIND, (".safetensors", ".pth"))
        return io.NodeOutput(host.patched(load_masa(files.get(model, host.model_target(MASA_KIND, model)))))

    @classmethod
    def validate_inputs(cls, model):
        return True  # a file that is absent is explained by the loader


class DetectorLoader(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        names = list(host.model_folders([DETECTOR_KIND], "config.json"))
        options = names if DETECTOR_NAME in names else [*names, DETECTOR_NAME]
        return io.Schema(
            node_id="StereoSyncDetectorLoader",
            display_name="Detector Loader",
            category=CATEGORY,
            description="Loads a detector of the transformers library that you downloaded: GroundingDINO, which finds what you "
            "write, or RT-DETR and D-FINE with their class lists.",
            inputs=[
                io.Combo.Input(
                    "model",
                    options=options,
                    default=options[0],
                    tooltip="Folder in models/detectors with config.json, model.safetensors and the processor's files.",
                )
            ],
            outputs=[DetectorModel.Output(display_name="detector")],
        )

    @classmethod
    def execute(cls, model) -> io.NodeOutput:
        folders = host.model_folders([DETECTOR_KIND], "config.json")
        return io.NodeOutput(host.patched(load_detector(folders.get(model, host.model_target(DETECTOR_KIND, model)))))

    @classmethod
    def validate_inputs(cls, model):
        return True  # a folder that is absent is explained by the loader


def score_input(name: str, default: float, tooltip: str) -> io.Input:
    return io.Float.Input(name, default=default, min=0.0, max=1.0, step=0.01, tooltip=tooltip)


class MasaTracker(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="StereoSyncMasaTracker",
            display_name="MASA Tracker",
            category=CATEGORY,
            description="Follows things by how they look, so that who is hidden for a moment or crosses another keeps "
            "the number. Boxes come from a detector, another pack, or masks; with none of them, from the bundled detector.",
            inputs=[
                io.Video.Input("video", tooltip="The clip."),
                MasaModel.Input("model", tooltip="From MASA Loader."),
                DetectorModel.Input("detector", optional=True, tooltip="From Detector Loader. Without it: the bundled one."),
                io.MultiType.Input(
                    "boxes",
                    types=[BoundingBox, KjBox, Segments],
                    optional=True,
                    tooltip="Boxes of another pack in the clip's pixels, a list for each frame; used in place of a detector.",
                ),
                io.Mask.Input(
                    "masks",
                    optional=True,
                    tooltip="Masks (Segment Anything and others), one a frame; every connected piece is a thing. Used in place "
                    "of a detector.",
                ),
                io.String.Input(
                    "classes",
                    default="person",
                    tooltip="What to follow, separated by commas. GroundingDINO takes any words, the others the names they "
                    "know, or all. Without meaning for given boxes; masks get the first as name.",
                ),
                io.Float.Input(
                    "rate",
                    default=10.0,
                    min=1.0,
                    max=60.0,
                    step=1.0,
                    tooltip="Frames a second that are looked at; between them boxes are interpolated.",
                ),
                score_input(
                    "threshold",
                    DEFAULTS.init_score,
                    "How sure the detector must be to begin a track. MASA's demonstration: 0.1.",
                ),
                score_input(
                    "keep_threshold", DEFAULTS.obj_score, "How sure it must be to carry a track on. Lower bridges weak moments."
                ),
                score_input(
                    "match",
                    DEFAULTS.match_score,
                    "How alike a box must look to be the same thing. Higher: more, shorter tracks.",
                ),
                io.Float.Input(
                    "memory",
                    default=DEFAULTS.memory,
                    min=0.05,
                    max=60.0,
                    step=0.05,
                    tooltip="Seconds that a thing out of sight is remembered. MASA's demonstration: 0.33.",
                ),
                io.Float.Input(
                    "gate",
                    default=0.08,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    tooltip="How far a thing may have moved since it was last seen, as part of the frame's long side; the "
                    "longer ago, the farther. 0 = anywhere, as for clips with cuts. Not used by the BDD rules.",
                ),
                io.Combo.Input(
                    "rules",
                    options=["TAO", "BDD"],
                    default="TAO",
                    tooltip="TAO: as MASA's demonstration, for anything. BDD: for traffic, surer of its boxes, forgets what is "
                    "no thing; its own thresholds are 0.5, 0.3 and 0.6.",
                ),
                io.Boolean.Input("per_class", default=False, tooltip="Never take a box for a thing of another class."),
                io.Boolean.Input("drop_giants", default=True, tooltip="Drop tracks of boxes around several things."),
                io.Boolean.Input(
                    "release_smoothing",
                    default=False,
                    tooltip="Mean of five frames, as in MASA's demonstration, beside the smoothing by seconds below.",
                ),
                io.Int.Input(
                    "embedding_size",
                    default=1024,
                    min=256,
                    max=1536,
                    step=32,
                    tooltip="Pixels of the frame's long side for recognising. 1024 as trained; 640 takes 0.4 of the time.",
                ),
                detector_size_input(),
                rate_input("boxes"),
                *cleaning_inputs(max_tracks=4),
            ],
            outputs=[Tracks.Output(display_name="tracks")],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(
        cls,
        video,
        model,
        classes,
        rate,
        threshold,
        keep_threshold,
        match,
        memory,
        gate,
        rules,
        per_class,
        drop_giants,
        release_smoothing,
        embedding_size,
        detector_size,
        boxes_per_second,
        max_tracks,
        fill_gaps,
        smoothing,
        detector=None,
        boxes=None,
        masks=None,
    ) -> io.NodeOutput:
        source = host.source_of(video)
        common: dict[str, Any] = {
            "init_score": threshold,
            "obj_score": keep_threshold,
            "match_score": match,
            "memory": memory,
            "per_class": per_class,
        }
        settings = (
            BddSettings(**common) if rules == "BDD" else TaoSettings(**common, max_distance=gate * GATE_SIDE if gate else None)
        )
        tracks = track_video(
            source,
            host.placed(model, WORKING_MEMORY),
            finder_of(source, classes, detector_size, boxes_per_second, detector, boxes, masks),
            settings=settings,
            rate=rate,
            long_side=embedding_size,
            drop_giants=drop_giants,
            smooth_boxes=release_smoothing,
            max_tracks=max_tracks,
            fill_gaps=fill_gaps,
            smoothing=smoothing,
            progress=host.progress(),
        )
        if len(tracks) == 0:
            host.notice(f"MASA Tracker: nothing of '{classes}' was found; try a lower threshold.", cls.hidden.unique_id)
        return io.NodeOutput(tracks)


def finder_of(source, classes: str, detector_size: int, boxes_per_second: float, detector, boxes, masks) -> Finder:
    """What finds the boxes, out of what is connected; an error where that is more than one."""
    if sum(thing is not None for thing in (detector, boxes, masks)) > 1:
        raise StereoSyncError("MASA Tracker: connect one of detector, boxes and masks, not several of them.")
    if detector is not None:
        return host.placed(detector, WORKING_MEMORY).finder(classes)
    if boxes is None and masks is None:
        return SmallFinder(classes, host.on_device("nanodet", load_network), detector_size)
    times, info = frame_times(source), probe(source)
    if boxes is not None:
        count = len(frames_of_boxes(boxes))
        moments = times if count == 1 else entry_times(count, times, info.duration, boxes_per_second, "Boxes")
        return GivenBoxes.of_boxes(boxes, moments, info.width, info.height)
    array = np.asarray(masks.cpu().numpy())
    array = array if array.ndim == 3 else array[None]
    moments = times if len(array) == 1 else entry_times(len(array), times, info.duration, boxes_per_second, "Masks")
    return GivenBoxes.of_masks(array, moments, classes.split(",")[0].strip() or "object")


class SelectTracks(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        def edge(name: str, default: float) -> io.Input:
            return io.Float.Input(
                name, default=default, min=0.0, max=1.0, step=0.01, tooltip=f"The region's {name} edge, in 0..1 of the frame."
            )

        return io.Schema(
            node_id="StereoSyncSelectTracks",
            display_name="Select Tracks",
            category=CATEGORY,
            description="Keeps some of the tracks: by number, by class, by where in the picture they are.",
            inputs=[
                Tracks.Input("tracks", tooltip="From any tracker."),
                io.String.Input("ids", default="", tooltip="Numbers as Preview Scene shows them: 1, 3, 5-8. Empty: any."),
                io.String.Input("classes", default="", tooltip="Names separated by commas. Empty: any."),
                edge("left", 0.0),
                edge("top", 0.0),
                edge("right", 1.0),
                edge("bottom", 1.0),
                io.Float.Input(
                    "share",
                    default=0.5,
                    min=0.0,
                    max=1.0,
                    step=0.05,
                    tooltip="Part of its time that a thing's middle must be in the region. 0: a moment is enough.",
                ),
                io.Combo.Input("what", options=["keep", "drop"], default="keep", tooltip="Keep or drop what fits all of it."),
                io.Int.Input("max_tracks", default=0, min=0, max=64, tooltip="How many of the most prominent to keep. 0: all."),
            ],
            outputs=[Tracks.Output(display_name="tracks")],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(cls, tracks, ids, classes, left, top, right, bottom, share, what, max_tracks) -> io.NodeOutput:
        region = (left, top, right, bottom)
        chosen = select_tracks(
            tracks, ids=ids, classes=classes, region=region, share=share, drop=what == "drop", max_tracks=max_tracks
        )
        if len(chosen) == 0:
            host.notice(f"Select Tracks: none of the {len(tracks)} tracks fits.", cls.hidden.unique_id)
        return io.NodeOutput(chosen)


NODES = [MasaLoader, DetectorLoader, MasaTracker, SelectTracks]
