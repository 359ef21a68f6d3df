"""MASA: identities by appearance for the boxes of any detector."""

from pathlib import Path

from comfy_api.latest import io

from ..stereosync_core.errors import StereoSyncError
from ..stereosync_core.media.video import probe
from ..stereosync_core.timing import times_in_clip
from ..stereosync_core.tracking.boxes import GivenBoxes, frames_of_boxes
from ..stereosync_core.tracking.detections import Detector
from ..stereosync_core.tracking.masa.loader import load_masa
from ..stereosync_core.tracking.masa.pipeline import DEFAULTS, GATE_SIDE, track_with_masa
from ..stereosync_core.tracking.masa.tracker import BddSettings, TaoSettings
from ..stereosync_core.tracking.nanodet import NanoDetDetector, load_nanodet
from . import host
from .inputs import (
    choice_input,
    cleaning_inputs,
    detector_size_input,
    entry_rate_input,
    model_input,
    number_input,
    schema,
    there,
    track_rate_input,
    unit_input,
    whole_input,
)
from .shown import tracks_shown
from .sockets import BoundingBox, DetectorModel, KjBox, Segments, Tracks

CATEGORY = "StereoSync/tracking"
MasaModel = io.Custom("STEREOSYNC_MASA")
#: Folder in models/, the suffixes of what is looked for, and what is named to those who have nothing there.
KIND, SUFFIXES, RELEASE = "masa", (".safetensors", ".pth"), "masa_r50.pth"
#: Bytes of work, next to the weights, that room is made for: the samples of a deformable convolution of a 1024-pixel frame.
WORKING_MEMORY = 2 << 30
MEMORY = "How many seconds an object out of sight may still be re-identified (MASA's demonstration: 0.33)."
RULES = (
    "TAO: association for open vocabularies, as in MASA's demonstration. BDD: for traffic, with score thresholds of 0.5 and "
    "0.3 and a match threshold of 0.6 in the release."
)
SIZES = "The frame's long side in pixels for the appearance network: 1024 as trained; 640 takes 0.4 of the time."
host.provide_model_folder(KIND)


class MasaLoader(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return schema(
            node_id="StereoSyncMasaLoader",
            display_name="MASA Loader",
            category=CATEGORY,
            description="Loads MASA-R50, which re-identifies objects by their appearance. Put masa_r50.pth (Apache-2.0) into "
            "models/masa; it is read safely and kept as safetensors there.",
            inputs=[model_input(host.model_files(KIND, SUFFIXES), RELEASE, "The file in models/masa: the ResNet-50 variant.")],
            outputs=[MasaModel.Output(display_name="model", tooltip="The appearance network, for MASA Tracker.")],
        )

    @classmethod
    def execute(cls, model) -> io.NodeOutput:
        return io.NodeOutput(host.patched(load_masa(model_file(model))))

    @classmethod
    def validate_inputs(cls, model=None):
        return model is None or there(model_file(model), lambda: load_masa(model_file(model)))


def model_file(name: str) -> Path:
    """The file of that name, or where it belongs."""
    return host.model_files(KIND, SUFFIXES).get(name, host.model_target(KIND, name))


class MasaTracker(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return schema(
            node_id="StereoSyncMasaTracker",
            display_name="MASA Tracker",
            category=CATEGORY,
            description="Follows objects by their appearance, so that one that is hidden for a moment or crosses another keeps "
            "its number. Boxes come from a detector, another pack, or masks; with none of them, from the bundled detector.",
            inputs=[
                io.Video.Input("video", tooltip="The clip."),
                MasaModel.Input("model", tooltip="The network of MASA Loader."),
                DetectorModel.Input(
                    "detector", optional=True, tooltip="The detector of Detector Loader; without it the bundled one is used."
                ),
                io.MultiType.Input(
                    "boxes",
                    types=[BoundingBox, KjBox, Segments],
                    optional=True,
                    tooltip="Boxes of another pack in the clip's pixels, a list for each frame; used in place of a detector.",
                ),
                io.Mask.Input(
                    "masks",
                    optional=True,
                    tooltip="Masks of another pack, one a frame; every connected piece is an object, in place of a detector.",
                ),
                io.String.Input(
                    "classes",
                    default="person",
                    tooltip="What to follow, separated by commas: any words for GroundingDINO, class names or all for the "
                    "others; masks get the first as label.",
                ),
                track_rate_input(),
                unit_input(
                    "threshold",
                    DEFAULTS.init_score,
                    "The detection score from which a box may begin a track (MASA's demonstration: 0.1).",
                    "score threshold",
                    0.01,
                ),
                unit_input(
                    "keep_threshold",
                    DEFAULTS.obj_score,
                    "The detection score from which a box may continue a track; lower bridges weak moments.",
                    "keep threshold",
                    0.01,
                ),
                unit_input(
                    "match",
                    DEFAULTS.match_score,
                    "The similarity from which a box is the same object; higher gives more and shorter tracks.",
                    "match threshold",
                    0.01,
                ),
                number_input("memory", DEFAULTS.memory, 0.05, 60.0, 0.05, MEMORY, display_name="max lost seconds"),
                unit_input(
                    "gate",
                    0.08,
                    "How far an object may move until it is seen again, as part of the frame's long side; grows with time. 0: "
                    "anywhere. The BDD preset does not use it.",
                    "max displacement",
                    0.01,
                ),
                choice_input("rules", ["TAO", "BDD"], RULES, display_name="preset"),
                io.Boolean.Input(
                    "per_class",
                    display_name="match within class",
                    default=False,
                    tooltip="Match boxes with objects of their own class alone.",
                ),
                io.Boolean.Input(
                    "drop_giants",
                    display_name="drop group boxes",
                    default=True,
                    tooltip="Drop tracks whose box is one around several objects.",
                ),
                io.Boolean.Input(
                    "release_smoothing",
                    display_name="5-frame mean",
                    default=False,
                    tooltip="Average boxes over five frames, as MASA's demonstration does, before the smoothing by seconds.",
                ),
                whole_input("embedding_size", 1024, 256, 1536, SIZES, step=32, display_name="input size"),
                detector_size_input(),
                entry_rate_input("boxes"),
                *cleaning_inputs(max_tracks=4),
            ],
            outputs=[Tracks.Output(display_name="tracks", tooltip="The boxes of each object over time.")],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(
        cls,
        video,
        model,
        classes,
        threshold,
        keep_threshold,
        match,
        memory,
        gate,
        rules,
        per_class,
        release_smoothing,
        embedding_size,
        detector_size,
        boxes_per_second,
        detector=None,
        boxes=None,
        masks=None,
        **options,
    ) -> io.NodeOutput:
        source = host.source_of(video)
        common = {"init_score": threshold, "obj_score": keep_threshold, "match_score": match}
        common |= {"memory": memory, "per_class": per_class}
        reach = gate * GATE_SIDE if gate else None
        tracks = track_with_masa(
            source,
            host.placed(model, WORKING_MEMORY),
            detector_of(source, classes, detector_size, boxes_per_second, detector, boxes, masks),
            settings=BddSettings(**common) if rules == "BDD" else TaoSettings(**common, max_distance=reach),
            long_side=embedding_size,
            smooth_boxes=release_smoothing,
            progress=host.progress(),
            **options,
        )
        if len(tracks) == 0:
            host.notice(f"MASA Tracker: no '{classes}' was found; try a lower threshold.", cls.hidden.unique_id)
        return io.NodeOutput(tracks, ui=tracks_shown(video, tracks, cls))


def detector_of(source, classes: str, detector_size: int, boxes_per_second: float, detector, boxes, masks) -> Detector:
    """What finds the boxes, out of what is connected; an error where that is more than one."""
    if sum(given is not None for given in (detector, boxes, masks)) > 1:
        raise StereoSyncError("MASA Tracker: connect one of detector, boxes and masks, not several of them.")
    if detector is not None:
        return host.placed(detector, WORKING_MEMORY).detector(classes)
    if boxes is not None:
        info, times = probe(source), times_in_clip(source, len(frames_of_boxes(boxes)), boxes_per_second, "Boxes")
        return GivenBoxes.of_boxes(boxes, times, info.width, info.height)
    if masks is not None:
        array = masks.cpu().numpy().reshape(-1, *masks.shape[-2:])
        times = times_in_clip(source, len(array), boxes_per_second, "Masks")
        return GivenBoxes.of_masks(array, times, classes.split(",")[0].strip() or "object")
    return NanoDetDetector(classes, host.on_device("nanodet", load_nanodet), detector_size)


NODES = [MasaLoader, MasaTracker]
