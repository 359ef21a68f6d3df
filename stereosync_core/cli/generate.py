"""``generate``: sound made by the StereoSync model or Stable Audio Open for what moves in a clip, placed where it moves, out of
noise or out of a sound that is placed already."""

import argparse
import logging
import time
from dataclasses import dataclass
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
from ..model.conditioning.sound_timbre import check_audible
from ..model.conditioning.spatial import SpatialConditioning
from ..model.conditioning.video_envelope import envelope_of_clip
from ..model.generative_model import STABLE_AUDIO, STEREOSYNC, GenerativeModel
from ..model.loader import bundled_folder, bundled_timbres, is_release, known_timbres
from ..model.pipeline import GeneratedSound
from ..model.settings import check_numbers
from ..model.source_sound import check_placed
from ..model.stretches import stretches_of_text
from ..rendering.event_envelope import envelope_from_events
from ..rendering.spatialize import spatialize
from ..rendering.surfaces import ground_of
from ..rendering.voices import footstep_voices
from ..scene import DepthSequence, Envelope, Tracks
from ..scene_events import Events
from .model_options import add_model_options, check_model_options, load_pipeline, numbers_of
from .output_options import add_output_options, check_output, write_output
from .scene_options import GivenScene, add_scene_options, events_of, given_scene, progress_bar, scene_of, with_networks

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


@dataclass(frozen=True)
class FoundScene:
    """What decoding and detection give of a clip; ``events`` None where no sound goes by them."""

    info: VideoInfo
    tracks: Tracks
    depth: DepthSequence | None
    events: Events | None


@dataclass(frozen=True)
class GivenSounds:
    """The sounds of files that the options name, read and checked before the work; ``reference`` is the timbre's."""

    envelope: Sound | None
    audio: Sound | None
    reference: Sound | None


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    started = time.perf_counter()
    info = probe(arguments.video)
    check_numbers(None, arguments.strength, arguments.takes)
    outputs = [_named(arguments, take) for take in range(arguments.takes)]
    for one in outputs:
        check_output(one)
    arguments.quiet = outputs[0].quiet
    check_model_options(arguments)
    sounds = given_sounds(info, arguments)
    given = with_networks(given_scene(info, arguments), arguments)
    pipeline = load_pipeline(arguments)
    scene = find_scene(info, given, arguments)
    options = numbers_of(arguments) | conditions_of(pipeline.model, sounds, scene, arguments)
    sampling = time.perf_counter()
    with progress_bar("sample", arguments.quiet) as progress:
        takes = pipeline(SpatialConditioning(scene.tracks, scene.depth), **options, progress=progress).takes
    sampled = time.perf_counter() - sampling
    pairs = zip(takes, outputs, strict=True)
    reports = [write(take, scene, pipeline.model, options, sampled, started, one) for take, one in pairs]
    return reports[0] if len(reports) == 1 else {"takes": reports}


def find_scene(info: VideoInfo, given: GivenScene, arguments: argparse.Namespace) -> FoundScene:
    """Decodes and detects; needs no generative model."""
    tracks, depth = scene_of(arguments.video, info, given, arguments)
    with_envelope = arguments.adapter is not None or not arguments.model or not is_release(arguments.model)
    timed = arguments.audio is not None or (with_envelope and not arguments.envelope)
    by_events = timed and arguments.envelope_method == "events"
    return FoundScene(info, tracks, depth, events_of(arguments.video, tracks, given, arguments) if by_events else None)


def given_sounds(info: VideoInfo, arguments: argparse.Namespace) -> GivenSounds:
    """Raises StereoSyncError for what would be refused later."""
    envelope = require_sound(arguments.envelope, "--envelope") if arguments.envelope else None
    return GivenSounds(envelope, _checked_audio(info, arguments), _reference(arguments))


def conditions_of(
    model: GenerativeModel, sounds: GivenSounds, scene: FoundScene, arguments: argparse.Namespace
) -> dict[str, Any]:
    """What the pipeline is called with for a clip, besides its numbers."""
    audio, envelope = None if sounds.audio is None else resample(sounds.audio, model.sample_rate), None
    if arguments.audio == RENDER:
        audio = _rendered(scene, model.sample_rate, arguments)
    if audio is None or sounds.envelope is not None:  # of a sound to start from, the loudness is the envelope
        envelope = _envelope(model, sounds.envelope, scene, arguments)
    if envelope is not None and not envelope.values.any():
        logging.getLogger(__name__).warning("The envelope is silent from beginning to end, and so is the sound.")
    names = ("strength", "match_levels", "keep", "takes")
    timbre = _timbre(model, arguments.timbre, sounds.reference)
    made = {"envelope": envelope, "timbre": timbre, "audio": audio} | {name: getattr(arguments, name) for name in names}
    if model.denoiser.spatial_control is not None and audio is not None:
        made["events"] = scene.events
    return made


def write(
    sound: GeneratedSound,
    scene: FoundScene,
    model: GenerativeModel,
    options: dict[str, Any],
    sampling: float,
    started: float,
    arguments: argparse.Namespace,
) -> dict[str, Any]:
    """Write a sound and report it; ``sampling`` in seconds."""
    by = arguments.envelope_method if options["envelope"] is not None else arguments.audio
    details = {
        "model": model.name,
        "envelope": "sound" if arguments.envelope else by,
        "timbre": arguments.timbre,
        "spatial": options["spatial_scale"] != 0,
        "sampling_seconds": round(sampling, 3),
    }
    return write_output(sound, scene.tracks, scene.info, arguments, started, seed=sound.seed, **details)


def _named(arguments: argparse.Namespace, take: int) -> argparse.Namespace:
    """The options of one take, whose file bears its seed where there are several."""
    output: Path = arguments.output
    named = output if arguments.takes == 1 else output.with_stem(f"{output.stem}_{arguments.seed + take}")
    return argparse.Namespace(**{**vars(arguments), "output": named})


def _checked_audio(info: VideoInfo, arguments: argparse.Namespace) -> Sound | None:
    """The sound to start from, where it is a file. Raises StereoSyncError for what would be refused later."""
    if arguments.audio in (None, RENDER):
        if arguments.audio is None and (arguments.strength is not None or arguments.match_levels):
            raise StereoSyncError("--strength and --match-levels are for a sound to start from; give one with --audio.")
        if arguments.keep:
            raise StereoSyncError("--keep needs the sound that is kept; give its file with --audio.")
        return None
    kept = stretches_of_text(arguments.keep, info.duration)
    audio = require_sound(arguments.audio, "--audio")
    check_placed(audio, info.duration, shorter=bool(kept))
    return audio


def _rendered(scene: FoundScene, rate: int, arguments: argparse.Namespace) -> Sound:
    """Footsteps at the events, on the surface that the timbre names, placed as the command ``render`` does."""
    tracks, events = scene.tracks, scene.events or Events((), scene.tracks.duration)
    surface, offset = ground_of(arguments.timbre), arguments.offset / 1000
    options = {"surface": surface, "rate": rate, "timing": "events", "seed": arguments.seed, "offset": offset}
    voices, _ = footstep_voices(tracks, events=events, **options)
    placed = spatialize(voices, rate, tracks, duration=tracks.duration, depth=scene.depth, seed=arguments.seed)
    return Sound(placed, rate)


def _reference(arguments: argparse.Namespace) -> Sound | None:
    """The sound of ``--timbre`` where that is no name that the model knows."""
    if arguments.timbre is None or arguments.timbre in known_timbres(arguments.adapter or arguments.model or bundled_folder()):
        return None
    sound = require_sound(arguments.timbre, "--timbre")
    check_audible(sound.samples)
    return sound


def _timbre(model: GenerativeModel, name: str | None, reference: Sound | None) -> Tensor | None:
    if name is None or model.timbre_encoder is None:
        return None
    if reference is None:
        return model.timbre_encoder.of_name(name)
    return model.timbre_encoder.of_sound(reference.samples, reference.rate)


def _envelope(model: GenerativeModel, sound: Sound | None, scene: FoundScene, arguments: argparse.Namespace) -> Envelope | None:
    if model.envelope_reader is None:
        return None
    if sound is not None:
        return envelope_of_sound(sound.samples, sound.rate, window=ENVELOPE_WINDOW)
    if arguments.envelope_method == "events":
        assert scene.events is not None, "see find_scene"
        options = {"surface": ground_of(arguments.timbre), "window": ENVELOPE_WINDOW, "offset": arguments.offset / 1000}
        return envelope_from_events(scene.events, scene.tracks, scene.depth, **options)
    with progress_bar("motion", arguments.quiet) as progress:
        return envelope_of_clip(model.envelope_reader, arguments.video, scene.tracks, model.latent_rate, progress)
