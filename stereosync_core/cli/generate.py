"""``generate``: sound made by the StereoSync model or Stable Audio Open for what moves in a clip, placed where it moves."""

import argparse
import logging
import time
from typing import Any

from torch import Tensor

from ..events.envelope import ENVELOPE_METHODS
from ..media.envelope import envelope_of_sound
from ..media.sound import Sound, require_sound
from ..media.source import Clip
from ..media.video import probe
from ..model.conditioning.features import ENVELOPE_WINDOW
from ..model.conditioning.spatial import SpatialConditioning
from ..model.conditioning.video_envelope import envelope_of_clip
from ..model.generative_model import GenerativeModel
from ..model.loader import bundled_timbres
from ..rendering.event_envelope import envelope_from_events
from ..rendering.surfaces import SURFACES
from ..scene import DepthSequence, Envelope, Tracks
from .model_options import add_model_options, load_pipeline
from .output_options import add_output_options, check_output, write_output
from .scene_options import GivenScene, add_scene_options, events_of, given_scene, progress_bar, scene_of


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
    group.add_argument("--no-spatial", action="store_true", help="the same as --space-scale 0")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    started = time.perf_counter()
    info = probe(arguments.video)
    check_output(arguments)
    sound = require_sound(arguments.envelope, "--envelope") if arguments.envelope else None
    given = given_scene(info, arguments)
    pipeline, options = load_pipeline(arguments)
    model = pipeline.model
    timbre = _timbre(model, arguments.timbre)
    tracks, depth = scene_of(arguments.video, info, given, arguments)
    envelope = _envelope(model, sound, tracks, depth, given, arguments)
    if envelope is not None and not envelope.values.any():
        logging.getLogger(__name__).warning("The envelope is silent from beginning to end, and so is the sound.")
    sampling = time.perf_counter()
    with progress_bar("sample", arguments.quiet) as progress:
        sound = pipeline(SpatialConditioning(tracks, depth), envelope=envelope, timbre=timbre, progress=progress, **options)
    sampled = time.perf_counter() - sampling
    details = {
        "model": model.name,
        "envelope": None if envelope is None else "sound" if arguments.envelope else arguments.envelope_method,
        "timbre": arguments.timbre,
        "spatial": options["spatial_scale"] != 0,
        "sampling_seconds": round(sampled, 3),
    }
    return write_output(sound, tracks, info, arguments, started, **details)


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
