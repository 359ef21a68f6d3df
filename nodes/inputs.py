"""Inputs that several nodes have, and what goes into every node's schema."""

from collections.abc import Callable, Iterable
from dataclasses import fields
from pathlib import Path
from typing import Any

from comfy_api.latest import io

from ..stereosync_core.errors import StereoSyncError
from ..stereosync_core.media.sound import resample
from ..stereosync_core.rendering.panning_laws import panning_laws
from . import convert, host

#: What people look for when they look for a node, besides the words of its name; newer hosts search by it.
ALIASES = {
    "StereoSyncLoadVideo": ["open video", "trim video", "cut clip", "import movie"],
    "StereoSyncSoundOntoVideo": ["save video with audio", "mux", "add sound to video", "combine audio video"],
    "StereoSyncSmallDepth": ["depth map", "depth estimation", "fast depth"],
    "StereoSyncDepthFromImages": ["depth map", "convert depth", "depth pictures"],
    "StereoSyncDepthAnythingLoader": ["depth model", "depth anything v2"],
    "StereoSyncDepthAnything": ["depth map", "depth estimation", "depth anything v2"],
    "StereoSyncSteadyDepth": ["deflicker depth", "smooth depth", "temporal depth"],
    "StereoSyncRollingDepthLoader": ["depth model", "video depth"],
    "StereoSyncRollingDepth": ["depth map", "video depth"],
    "StereoSyncSmallTracker": ["object detection", "track people", "bounding boxes", "nanodet", "yolo"],
    "StereoSyncDetectorLoader": ["object detection", "grounding dino", "rt-detr"],
    "StereoSyncTracksFromBoxes": ["bounding boxes", "bbox", "segs", "track boxes"],
    "StereoSyncTracksFromMasks": ["segmentation", "sam", "sam3", "mask to track"],
    "StereoSyncSelectTracks": ["filter objects", "choose track", "region"],
    "StereoSyncMasaLoader": ["tracking model", "re-identification"],
    "StereoSyncMasaTracker": ["object tracking", "track people", "re-identification"],
    "StereoSyncCameraMotion": ["camera movement", "optical flow", "stabilization"],
    "StereoSyncDetectEvents": ["onset detection", "footstep detection", "foley spotting", "hit detection"],
    "StereoSyncEventsFromText": ["spotting list", "csv events", "cue sheet", "markers"],
    "StereoSyncEnvelopeFromEvents": ["loudness curve", "amplitude envelope"],
    "StereoSyncEditScene": ["timeline", "event editor", "automation", "keyframes", "correct events"],
    "StereoSyncSpatialConditioning": ["spatial audio", "conditioning", "position"],
    "StereoSyncEnvelopeFromVideo": ["loudness curve", "video to envelope"],
    "StereoSyncEnvelopeFromAudio": ["loudness curve", "envelope follower", "rms"],
    "StereoSyncEnvelopeCurve": ["loudness curve", "draw envelope", "automation"],
    "StereoSyncTimbre": ["sound style", "surface", "reference sound"],
    "StereoSyncModelLoader": ["load audio model", "video to audio"],
    "StereoSyncDitSampler": ["video to audio", "generate sound", "foley", "ksampler", "dit"],
    "StereoSyncStableAudioLoader": ["load audio model", "stable audio open"],
    "StereoSyncStableAudioSampler": ["text to audio", "generate sound", "stable audio open"],
    "StereoSyncApply": ["adapter", "controlnet", "stable audio open"],
    "StereoSyncSpatialGuider": ["spatial audio", "panning", "guidance"],
    "StereoSyncFootsteps": ["foley", "steps", "walking sound", "synthesize footsteps"],
    "StereoSyncSpatializeAudio": ["pan", "stereo", "binaural", "3d audio", "hrtf", "reverb", "spatial audio"],
    "StereoSyncSoundsAtEvents": ["foley", "one-shot", "sampler", "sound effects"],
    "StereoSyncSoundLibrary": ["sound effects", "samples", "sfx folder"],
    "StereoSyncSaveAudio": ["export audio", "wav", "flac", "lossless"],
    "StereoSyncSelectTake": ["choose variation", "pick take", "batch index"],
    "StereoSyncKeepAllButEvent": ["inpaint audio", "regenerate event"],
    "StereoSyncTextOverTime": ["prompt schedule", "prompt travel"],
    "StereoSyncDuckAudio": ["sidechain", "ducking", "dialogue"],
    "StereoSyncAmbienceBed": ["background sound", "room tone", "atmosphere"],
    "StereoSyncLoudness": ["normalize", "lufs", "ebu r128"],
    "StereoSyncStems": ["multitrack", "separate voices", "daw"],
    "StereoSyncSelectStem": ["multitrack", "pick voice"],
    "StereoSyncSaveStems": ["export multitrack", "daw", "wav"],
    "StereoSyncSpatializeSurround": ["5.1", "7.1.4", "atmos", "ambisonics", "surround"],
    "StereoSyncAmbisonicsToBinaural": ["hrtf", "headphones", "decode ambisonics"],
    "StereoSyncTrackValues": ["keyframes", "float list", "audio reactive", "animation"],
    "StereoSyncSaveSession": ["daw", "reaper", "edl", "opentimelineio", "export session"],
    "StereoSyncSaveAdm": ["atmos", "object audio", "bwf", "immersive"],
    "StereoSyncAlignmentReport": ["evaluate audio", "metrics", "measure sync"],
    "StereoSyncPreviewScene": ["show boxes", "visualize tracks", "debug video"],
    "StereoSyncSceneImages": ["show boxes", "annotated frames", "overlay"],
    "StereoSyncScenePlot": ["plot audio", "graph", "visualize pan"],
    "StereoSyncPreviewEvents": ["show events", "contact sheet", "filmstrip"],
}
#: Inputs that few change. Newer hosts fold them where a node has more than :data:`UNFOLDED` widgets.
ADVANCED = {
    *("detector_size", "embedding_size", "map_size", "mask_size", "frame_width", "frame_height", "resolution", "batch"),
    *("boxes_per_second", "fill_gaps", "smoothing", "keep_threshold", "match", "memory", "gate", "rules", "per_class"),
    *("drop_giants", "release_smoothing", "alignment", "dilations", "refine_steps", "envelope_scale", "sampler", "law"),
    *("zero_means", "match_levels", "cadence", "sample_rate", "if_nothing_tracked", "offset", "toe", "doppler", "pitch"),
    *("field_of_view", "time_difference", "distance_from", "air", "offscreen", "container", "codec", "limiter"),
}
UNFOLDED = 5
#: What the canvas shows in place of ids that its column of names would cut; front ends that do not know of display names have
#: the same from locales/en.
SHORT = {
    "envelope_scale": "env. scale",
    "filename_prefix": "filename prefix",
    "if_nothing_tracked": "if no track",
    "original_gain_db": "original gain",
    "spatial_guidance": "spatial guide",
    "time_difference": "time difference",
    **{f"{what}_per_second": f"{what} / s" for what in ("boxes", "frames", "images", "masks")},
}
_FIELDS = {field.name for field in fields(io.Schema)}


def schema(**parts: Any) -> io.Schema:
    """A node's schema, with what newer hosts know of it besides."""
    widgets = [one for one in parts["inputs"] if hasattr(one, "default")]
    for one in widgets if len(widgets) > UNFOLDED else []:
        if one.id in ADVANCED:  # not the argument of the same name, which the oldest host does not take
            one.extra_dict = {**one.extra_dict, "advanced": True}
    for one in parts["inputs"]:
        one.display_name = one.display_name or SHORT.get(one.id)
    more = {"search_aliases": ALIASES.get(parts["node_id"], [])}
    return io.Schema(**parts, **{name: value for name, value in more.items() if name in _FIELDS})


def checked(check: Callable[[], Any]) -> bool | str:
    """What ``validate_inputs`` returns: True, or why the inputs are refused before anything runs. Inputs that are connected are
    not known then, and come as None."""
    try:
        check()
    except StereoSyncError as error:
        return str(error)
    return True


def there(path: Path, load: Callable[[], Any]) -> bool | str:
    """What ``validate_inputs`` of a loader returns: where nothing is at ``path``, its own error, which takes it no time."""
    return True if path.exists() else checked(load)


def number_input(name: str, default: float, low: float, high: float, step: float, tooltip: str, **more: Any) -> io.Input:
    """A decimal in a range."""
    return io.Float.Input(name, default=default, min=low, max=high, step=step, tooltip=tooltip, **more)


def whole_input(name: str, default: int, low: int, high: int, tooltip: str, **more: Any) -> io.Input:
    """A whole number in a range."""
    return io.Int.Input(name, default=default, min=low, max=high, tooltip=tooltip, **more)


def choice_input(name: str, options: Iterable[str], tooltip: str, default: str | None = None, **more: Any) -> io.Input:
    """One of several names, the first unless ``default`` is given."""
    options = list(options)
    return io.Combo.Input(name, options=options, default=default or options[0], tooltip=tooltip, **more)


def precision_input() -> io.Input:
    tooltip = "auto: fp16 on a graphics card, fp32 on the CPU. bf16 where fp16 gives NaN. fp32 doubles the memory."
    return choice_input("precision", ["auto", "fp16", "bf16", "fp32"], tooltip)


def seed_input() -> io.Input:
    return whole_input("seed", 0, 0, 2**31 - 1, "Another seed, another sound.", control_after_generate=True)


def scale_input(name: str, default: float | None, tooltip: str, most: float = 10.0, shown: str | None = None) -> io.Input:
    """A number of which 0 is off; the canvas may show another name in place of the id."""
    return io.Float.Input(name, display_name=shown, default=default, min=0.0, max=most, step=0.1, tooltip=tooltip)


def seconds_input(default: float, tooltip: str) -> io.Input:
    return number_input("seconds", default, 0.1, 3600.0, 0.1, tooltip)


def spatial_guidance_input(default: float, tooltip: str) -> io.Input:
    return number_input("spatial_guidance", default, 0.0, 1.0, 0.05, f"{tooltip} 0: off.", optional=True)


def panning_law_input(default: str, optional: bool = False) -> io.Input:
    """Of spatial guidance; the canvas shows the whole name in place of the id ``law``."""
    laws = "pan: as at a mixing desk. binaural: for headphones. rooms: as in a game engine."
    tooltip = f"Spatial guidance: how azimuth becomes a level difference. {laws}"
    return choice_input("law", panning_laws(), tooltip, default, display_name="panning law", optional=optional)


def unit_input(name: str, default: float, tooltip: str, display_name: str | None = None, step: float = 0.05) -> io.Input:
    """A number in 0..1."""
    return io.Float.Input(name, display_name=display_name, default=default, min=0.0, max=1.0, step=step, tooltip=tooltip)


def source_inputs(strength: float) -> list[io.Input]:
    """A sound to start from or go on from, what of it stays, and how many takes there are. All may be left out."""
    return [
        io.Audio.Input(
            "audio",
            optional=True,
            tooltip="A placed sound to start from, stereo, as long as the clip: from Spatialize Audio, or made before.",
        ),
        number_input(
            "strength",
            strength,
            0.0,
            1.0,
            0.05,
            "With audio: how far it is left. 0: as it is. 1: all new. With 'keep', of the rest.",
            optional=True,
        ),
        io.Boolean.Input(
            "match_levels",
            default=False,
            optional=True,
            tooltip="With audio: put its level difference in each band and its level over time back on the result.",
        ),
        io.String.Input(
            "keep",
            default="",
            optional=True,
            tooltip="With audio: seconds that stay to the sample, such as '0-2, 3.5-4' or 'all but 1.2-1.6'. Empty: none.",
        ),
        whole_input(
            "takes", 1, 1, 16, "Sounds made in one batch, of this seed and those after it. Select Take chooses.", optional=True
        ),
    ]


def source_options(audio, strength, match_levels, keep, takes, rate: int) -> dict[str, Any]:
    """What the pipeline is called with of :func:`source_inputs`; the sound at the model's ``rate``."""
    sound = None if audio is None else resample(convert.sound_of(audio), rate)
    used = {} if sound is None else {"strength": strength, "match_levels": match_levels}
    return {"audio": sound, "keep": keep, "takes": takes, **used}


def limiter_input() -> io.Input:
    tooltip = "Turn single peaks down where they keep the sound from its loudness; without it the whole stays quieter."
    return io.Boolean.Input("limiter", default=False, optional=True, tooltip=tooltip)


def offset_input() -> io.Input:
    """Milliseconds by which what happens at events is moved."""
    tooltip = "Milliseconds by which every event sounds later, or earlier below 0."
    return number_input("offset", 0.0, -1000.0, 1000.0, 1.0, tooltip, display_name="offset (ms)", optional=True)


def rate_input(what: str, tooltip: str, *, default: float, min: float, step: float = 0.5) -> io.Input:
    """How many ``what`` a second; the canvas shows that name in place of the id ``rate``."""
    return number_input("rate", default, min, 60.0, step, tooltip, display_name=f"{what} per second")


def entry_rate_input(what: str) -> io.Input:
    """The rate of entries that another pack made."""
    tooltip = f"0: one entry for each frame of the clip. Otherwise the rate that the {what} were made at."
    return number_input(f"{what}_per_second", 0.0, 0.0, 240.0, 0.5, tooltip)


def depth_rate_input(minimum: float = 0.5, more: str = "") -> io.Input:
    return rate_input("maps", f"Depth maps a second; between them depth is interpolated.{more}", default=4.0, min=minimum)


def model_input(names: Iterable[str], release: str, tooltip: str) -> io.Input:
    """A choice of the models that are there.

    The release's name is always among them, so that running the node without it names the link and the place.
    """
    return choice_input("model", dict.fromkeys([*names, release]), tooltip)


def model_folder_input(kinds: list[str], part: str, release: str, tooltip: str) -> io.Input:
    """A choice of the folders in ``models/<kind>`` that hold ``part``."""
    return model_input(host.model_folders(kinds, part), release, tooltip)


def model_folder(kinds: list[str], part: str, name: str) -> Path:
    """The folder chosen in :func:`model_folder_input`, or where it belongs."""
    return host.model_folders(kinds, part).get(name, host.model_target(kinds[-1], name))


def track_rate_input() -> io.Input:
    tooltip = "Frames of the clip that are analysed per second; between them boxes are interpolated."
    return rate_input("frames", tooltip, default=10.0, min=1.0, step=1.0)


def detector_size_input() -> io.Input:
    tooltip = "Long side in pixels of the bundled detector's input. More finds smaller objects and takes longer."
    return whole_input("detector_size", 416, 224, 1280, tooltip, step=32)


def cleaning_inputs(max_tracks: int) -> list[io.Input]:
    """The options of every source of tracks."""
    most = "Tracks to keep at a time, in each shot: the most prominent by size, motion and time on screen. 0 keeps all."
    gaps = "The longest gap in a track, in seconds, that is bridged by straight motion."
    smoothing = "Seconds over which boxes are smoothed. Strong smoothing hides the gait that footsteps are timed by."
    return [
        whole_input("max_tracks", max_tracks, 0, 64, most),
        number_input("fill_gaps", 1.0, 0.0, 10.0, 0.1, gaps),
        number_input("smoothing", 0.05, 0.0, 1.0, 0.01, smoothing),
    ]
