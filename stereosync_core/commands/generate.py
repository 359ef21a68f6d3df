"""``generate``: sound made by the StereoSync model for what moves in a clip, placed where it moves."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

from ..conditioning.envelope import envelope_of_sound
from ..conditioning.features import ENVELOPE_WINDOW
from ..conditioning.motion import motion_of_clip
from ..conditioning.video_envelope import envelope_from_video
from ..diffusion.generate import Sampling, generate
from ..diffusion.loader import Model, load_model
from ..diffusion.samplers import SAMPLERS
from ..media.sound import require_sound
from ..media.video import probe
from ..rendering.surfaces import SURFACES
from ..scene import Envelope, Tracks
from .output_options import add_output_options, check_output, clip_report, write_output
from .scene_options import add_scene_options, progress_bar, scene_of


def add(subparsers: Any) -> None:
    parser = subparsers.add_parser("generate", help="make sound with the StereoSync model", description=__doc__)
    parser.set_defaults(run=run)
    parser.add_argument("video", help="the clip")
    add_output_options(parser)
    add_scene_options(parser)
    group = parser.add_argument_group("model")
    group.add_argument("--model", type=Path, metavar="DIR", help="a model's folder (default: the bundled one)")
    group.add_argument("--envelope", metavar="AUDIO", help="a sound whose loudness says when (default: read off the picture)")
    group.add_argument(
        "--timbre", metavar="AUDIO|SURFACE", help=f"a sound to be like, or one of {', '.join(SURFACES)} (default: free)"
    )
    group.add_argument("--no-spatial", action="store_true", help="without boxes and depth: to hear what they do")
    defaults = Sampling()
    group.add_argument("--steps", type=int, default=defaults.steps)
    group.add_argument("--sampler", choices=list(SAMPLERS), default=defaults.sampler)
    group.add_argument("--cfg", type=float, default=defaults.cfg, help=f"guidance by the timbre (default: {defaults.cfg})")
    group.add_argument(
        "--space-scale", type=float, default=defaults.space, help=f"guidance by boxes and depth (default: {defaults.space})"
    )
    group.add_argument("--envelope-scale", type=float, default=defaults.envelope)


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    started = time.perf_counter()
    check_output(arguments)
    options = Sampling(
        steps=arguments.steps,
        sampler=arguments.sampler,
        cfg=arguments.cfg,
        space=arguments.space_scale,
        envelope=arguments.envelope_scale,
        seed=arguments.seed,
    )
    info = probe(arguments.video)
    model = load_model(arguments.model)
    timbre = _timbre(model, arguments.timbre)
    tracks, depth = scene_of(arguments.video, info, arguments)
    envelope = _envelope(model, tracks, arguments)
    sampling = time.perf_counter()
    with progress_bar("sample", arguments.quiet) as progress:
        stereo = generate(
            model,
            tracks,
            depth,
            envelope=envelope,
            timbre=timbre,
            spatial=not arguments.no_spatial,
            options=options,
            progress=progress,
        )
    sampled = time.perf_counter() - sampling
    report = clip_report(stereo, model.sample_rate, tracks, info, arguments) | {
        "model": model.name,
        "envelope": "sound" if arguments.envelope else "video",
        "timbre": arguments.timbre,
        "spatial": not arguments.no_spatial,
        "sampling_seconds": round(sampled, 3),
    }
    report |= write_output(stereo, model.sample_rate, arguments)
    report["seconds"] = round(time.perf_counter() - started, 3)
    if not arguments.quiet:
        print(arguments.output)
    return report


def _timbre(model: Model, given: str | None):
    if given is None:
        return None
    if given in SURFACES:
        return model.timbre.of_surface(given)
    sound = require_sound(given, "--timbre")
    return model.timbre.of_sound(sound.samples, sound.rate)


def _envelope(model: Model, tracks: Tracks, arguments: argparse.Namespace) -> Envelope:
    if arguments.envelope:
        sound = require_sound(arguments.envelope, "--envelope")
        return envelope_of_sound(sound.samples, sound.rate, window=ENVELOPE_WINDOW)
    with progress_bar("motion", arguments.quiet) as progress:
        times, motion = motion_of_clip(arguments.video, tracks, progress)
    return envelope_from_video(model.envelope, tracks, times, motion, model.latent_rate)
