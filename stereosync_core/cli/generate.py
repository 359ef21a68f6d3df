"""``generate``: sound made by the StereoSync model or Stable Audio Open for what moves in a clip, placed where it moves, out of
noise or out of a sound that is placed already."""

import argparse
import logging
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from ..errors import StereoSyncError
from ..events.envelope import ENVELOPE_METHODS
from ..media.envelope import envelope_of_sound
from ..media.sound import Sound, require_sound, resample
from ..media.source import Clip
from ..media.video import VideoInfo, probe
from ..model.conditioning.features import ENVELOPE_WINDOW
from ..model.conditioning.spatial import SpatialConditioning
from ..model.conditioning.video_envelope import envelope_of_clip
from ..model.generative_model import STABLE_AUDIO, STEREOSYNC, GenerativeModel
from ..model.loader import bundled_timbres
from ..model.settings import check_numbers
from ..model.source_sound import source_of
from ..rendering.event_envelope import envelope_from_events
from ..rendering.spatialize import spatialize
from ..rendering.surfaces import SURFACES
from ..rendering.voices import footstep_voices
from ..scene import DepthSequence, Envelope, Tracks
from ..scene_events import Events
from .model_options import add_model_options, load_pipeline
from .output_options import add_output_options, check_output, write_output
from .scene_options import GivenScene, add_scene_options, events_of, given_scene, progress_bar, scene_of

#: What ``--audio`` is without a file.
RENDER = "render"


def add(subparsers: Any) -> None:
    parser = subparsers.add_parser("generate", help="make sound with the StereoSync model", description=__doc__)
    parser.set_defaults(run=run)
    parser.add_argument("video", type=Clip, help="the clip")
    add_output_options(parser)
    add_scene_options(parser)
    group = add_model_options(parser)
    group.add_argument("--envelope", metavar="AUDIO", help="a sound whose loudness is followed, not the events'")
    group.add_argument("--envelope-method", choices=ENVELOPE_METHODS, default="events", help="of the picture (default: events)")
    group.add_argument(
        "--timbre",
        metavar="AUDIO|SURFACE",
        help=f"a reference sound, or one of {', '.join(bundled_timbres())} (default: left to the model)",
    )
    takes = "files to write, NAME_SEED, of the seeds from --seed on, in one batch (default: 1, NAME itself)"
    group.add_argument("--takes", type=int, default=1, metavar="N", help=takes)
    group.add_argument("--no-spatial", action="store_true", help="the same as --space-scale 0")
    source = parser.add_argument_group("from a sound")
    source.add_argument(
        "--audio",
        metavar=f"FILE|{RENDER}",
        help=f"a placed sound to start from, stereo and as long as the clip, or {RENDER}: footsteps at the clip's events",
    )
    source.add_argument(
        "--strength",
        type=float,
        help=f"0 as it is .. 1 all new (default: {STEREOSYNC.strength}; Stable Audio: {STABLE_AUDIO.strength})",
    )
    source.add_argument("--match-levels", action="store_true", help="put the sound's place in each band and its level back")
    source.add_argument(
        "--keep",
        default="",
        metavar="SECONDS",
        help="of the sound, as '0-2, 3.5-4' or 'all but 1.2-1.6'; the rest is made anew",
    )


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    started = time.perf_counter()
    info = probe(arguments.video)
    check_numbers(None, arguments.strength, arguments.takes)
    outputs = [_named(arguments, take) for take in range(arguments.takes)]
    for one in outputs:
        check_output(one)
    arguments.quiet = outputs[0].quiet
    sound = require_sound(arguments.envelope, "--envelope") if arguments.envelope else None
    given = given_scene(info, arguments)
    pipeline, options = load_pipeline(arguments)
    model = pipeline.model
    options |= {name: getattr(arguments, name) for name in ("strength", "match_levels", "keep", "takes")}
    audio = _checked_audio(model, info, arguments)
    timbre = _timbre(model, arguments.timbre)
    tracks, depth = scene_of(arguments.video, info, given, arguments)
    events = None
    if arguments.audio is not None and arguments.envelope_method == "events":
        events = events_of(arguments.video, tracks, given, arguments)
        given = replace(given, events=events)
    if arguments.audio == RENDER:
        audio = _rendered(tracks, depth, events, model.sample_rate, arguments)
    # of a sound to start from, the loudness is the envelope
    envelope = _envelope(model, sound, tracks, depth, given, arguments) if audio is None or sound is not None else None
    if model.denoiser.spatial_control is not None and audio is not None:
        options["events"] = events
    if envelope is not None and not envelope.values.any():
        logging.getLogger(__name__).warning("The envelope is silent from beginning to end, and so is the sound.")
    sampling = time.perf_counter()
    with progress_bar("sample", arguments.quiet) as progress:
        options |= {"envelope": envelope, "timbre": timbre, "audio": audio, "progress": progress}
        takes = pipeline(SpatialConditioning(tracks, depth), **options).takes
    sampled = time.perf_counter() - sampling
    details = {
        "model": model.name,
        "envelope": "sound" if arguments.envelope else arguments.envelope_method if envelope is not None else arguments.audio,
        "timbre": arguments.timbre,
        "spatial": options["spatial_scale"] != 0,
        "sampling_seconds": round(sampled, 3),
    }
    reports = [
        write_output(take, tracks, info, one, started, seed=take.seed, **details)
        for take, one in zip(takes, outputs, strict=True)
    ]
    return reports[0] if len(reports) == 1 else {"takes": reports}


def _named(arguments: argparse.Namespace, take: int) -> argparse.Namespace:
    """The options of one take, whose file bears its seed where there are several."""
    output: Path = arguments.output
    named = output if arguments.takes == 1 else output.with_stem(f"{output.stem}_{arguments.seed + take}")
    return argparse.Namespace(**{**vars(arguments), "output": named})


def _checked_audio(model: GenerativeModel, info: VideoInfo, arguments: argparse.Namespace) -> Sound | None:
    """The sound to start from, at the model's rate, where it is a file. Raises StereoSyncError for what would be refused
    later."""
    if arguments.audio in (None, RENDER):
        if arguments.audio is None and (arguments.strength is not None or arguments.match_levels):
            raise StereoSyncError("--strength and --match-levels are for a sound to start from; give one with --audio.")
        if arguments.keep:
            raise StereoSyncError("--keep needs the sound that is kept; give its file with --audio.")
        return None
    audio = resample(require_sound(arguments.audio, "--audio"), model.sample_rate)
    source_of(audio, model, info.duration, arguments.keep)
    return audio


def _rendered(
    tracks: Tracks, depth: DepthSequence | None, events: Events | None, rate: int, arguments: argparse.Namespace
) -> Sound:
    """Footsteps at the events, on the surface that the timbre names, placed as the command ``render`` does."""
    if events is None:
        events = Events((), tracks.duration)
    surface = arguments.timbre if arguments.timbre in SURFACES else "concrete"
    options = {"surface": surface, "rate": rate, "timing": "events", "seed": arguments.seed, "offset": arguments.offset / 1000}
    voices, _ = footstep_voices(tracks, events=events, **options)
    scene = {"duration": tracks.duration, "depth": depth, "seed": arguments.seed}
    return Sound(spatialize(voices, rate, tracks, **scene), rate)


def _timbre(model: GenerativeModel, name: str | None) -> Tensor | None:
    if name is None or model.timbre_encoder is None:
        return None
    if name in getattr(model.timbre_encoder, "names", bundled_timbres()):
        return model.timbre_encoder.of_name(name)
    sound = require_sound(name, "--timbre")
    return model.timbre_encoder.of_sound(sound.samples, sound.rate)


def _envelope(
    model: GenerativeModel,
    sound: Sound | None,
    tracks: Tracks,
    depth: DepthSequence | None,
    given: GivenScene,
    arguments: argparse.Namespace,
) -> Envelope | None:
    if model.envelope_reader is None:
        return None
    if sound is not None:
        return envelope_of_sound(sound.samples, sound.rate, window=ENVELOPE_WINDOW)
    if arguments.envelope_method == "events":
        events = events_of(arguments.video, tracks, given, arguments)
        surface = arguments.timbre if arguments.timbre in SURFACES else "concrete"
        options = {"surface": surface, "window": ENVELOPE_WINDOW, "offset": arguments.offset / 1000}
        return envelope_from_events(events, tracks, depth, **options)
    with progress_bar("motion", arguments.quiet) as progress:
        return envelope_of_clip(model.envelope_reader, arguments.video, tracks, model.latent_rate, progress)
