"""``generate``: sound made by the StereoSync model or Stable Audio Open for what moves in a clip, placed where it moves."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

from ..media.envelope import envelope_of_sound
from ..media.sound import require_sound
from ..media.video import probe
from ..model.conditioning.features import ENVELOPE_WINDOW
from ..model.conditioning.motion import motion_of_clip
from ..model.conditioning.video_envelope import envelope_from_video
from ..model.economy import FAST
from ..model.generate import Sampling
from ..model.samplers import SAMPLERS
from ..model.stable_audio.samplers import SAMPLERS as RELEASE_SAMPLERS
from ..rendering.panning_laws import panning_laws
from ..rendering.surfaces import SURFACES
from ..scene import Envelope, Tracks
from .output_options import add_output_options, check_output, clip_report, write_output
from .scene_options import add_scene_options, progress_bar, scene_of
from .sound_sources import ClipConditions, Source, is_release, own_source
from .stable_audio_source import add_stable_audio_options, refuse_stable_audio_options, stable_audio_source


def add(subparsers: Any) -> None:
    parser = subparsers.add_parser("generate", help="make sound with the StereoSync model", description=__doc__)
    parser.set_defaults(run=run)
    parser.add_argument("video", help="the clip")
    add_output_options(parser)
    add_scene_options(parser)
    group = parser.add_argument_group("model")
    group.add_argument(
        "--model", type=Path, metavar="DIR", help="a model's folder (default: the bundled one), or Stable Audio Open's"
    )
    group.add_argument("--envelope", metavar="AUDIO", help="a sound whose loudness says when (default: read off the picture)")
    group.add_argument(
        "--timbre", metavar="AUDIO|SURFACE", help=f"a sound to be like, or one of {', '.join(SURFACES)} (default: free)"
    )
    group.add_argument("--no-spatial", action="store_true", help="without boxes and depth: to hear what they do")
    # what is left out is as the model has it; the defaults named here are the StereoSync model's
    defaults = Sampling()
    group.add_argument("--steps", type=int, help=f"of the sampler (default: {defaults.steps})")
    samplers = dict.fromkeys(name for known in (SAMPLERS, *RELEASE_SAMPLERS.values()) for name in known)
    group.add_argument("--sampler", choices=list(samplers), help=f"(default: {defaults.sampler})")
    group.add_argument("--cfg", type=float, help=f"guidance by timbre and text (default: {defaults.cfg})")
    group.add_argument("--space-scale", type=float, help=f"guidance by boxes and depth (default: {defaults.space})")
    group.add_argument("--envelope-scale", type=float, help=f"of the envelope's control branch (default: {defaults.envelope})")
    group.add_argument(
        "--spatial-guidance",
        type=float,
        metavar="STRENGTH",
        help="lead the sound to where things are, 0 to 1, whatever the model has learned of places (default: 0)",
    )
    group.add_argument(
        "--law",
        choices=list(panning_laws()),
        help="of that guidance: how a place becomes a level difference (default: rooms; Stable Audio Open: pan)",
    )
    group.add_argument(
        "--fast",
        action="store_const",
        const=FAST,
        help="guidance in the middle of the way alone, and the control branch at every other step (docs/results.md)",
    )
    add_stable_audio_options(parser)


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    started = time.perf_counter()
    check_output(arguments)
    info = probe(arguments.video)
    if is_release(arguments.model):
        source = stable_audio_source(arguments)
    else:
        refuse_stable_audio_options(arguments)
        source = own_source(arguments)
    timbre = _timbre(source, arguments.timbre)
    tracks, depth = scene_of(arguments.video, info, arguments)
    told = ClipConditions(tracks, depth, _envelope(source, tracks, arguments), timbre, not arguments.no_spatial)
    sampling = time.perf_counter()
    with progress_bar("sample", arguments.quiet) as progress:
        stereo = source.make(told, progress)
    sampled = time.perf_counter() - sampling
    report = clip_report(stereo, source.sample_rate, tracks, info, arguments) | {
        "model": source.name,
        "envelope": None if told.envelope is None else "sound" if arguments.envelope else "video",
        "timbre": arguments.timbre,
        "spatial": told.spatial,
        "sampling_seconds": round(sampled, 3),
    }
    report |= write_output(stereo, source.sample_rate, arguments)
    report["seconds"] = round(time.perf_counter() - started, 3)
    if not arguments.quiet:
        print(arguments.output)
    return report


def _timbre(source: Source, name: str | None):
    if name is None or source.timbre is None:
        return None
    if name in SURFACES:
        return source.timbre.of_surface(name)
    sound = require_sound(name, "--timbre")
    return source.timbre.of_sound(sound.samples, sound.rate)


def _envelope(source: Source, tracks: Tracks, arguments: argparse.Namespace) -> Envelope | None:
    if source.reader is None:
        return None
    if arguments.envelope:
        sound = require_sound(arguments.envelope, "--envelope")
        return envelope_of_sound(sound.samples, sound.rate, window=ENVELOPE_WINDOW)
    with progress_bar("motion", arguments.quiet) as progress:
        times, motion = motion_of_clip(arguments.video, tracks, progress)
    return envelope_from_video(source.reader, tracks, times, motion, source.latent_rate)
