"""``render``: footsteps, recorded sounds at events, or a sound of your own, placed where the tracked things are."""

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np

from ..errors import StereoSyncError
from ..media.sound import Sound, require_sound
from ..media.source import Clip
from ..media.video import probe
from ..rendering.footsteps import SHOES
from ..rendering.gait import steps_from_cadence
from ..rendering.layouts import LAYOUTS
from ..rendering.one_shots import CONTINUOUS, OneShotSettings, sound_voices
from ..rendering.spatialize import MODES, OFFSCREEN, SpatializeSettings, spatialize, spatialize_stems
from ..rendering.surfaces import SURFACES
from ..rendering.surround import spatialize_surround
from ..rendering.voices import TIMINGS, footstep_voices
from ..scene import DISTANCE_CUES, Track, Tracks
from ..scene_events import Events
from ..sessions.adm import save_adm
from ..sessions.folder import save_session
from ..sounds.selection import SoundSelection, chosen_library
from .output_options import add_output_options, add_stem_options, check_output, session_formats, write_output
from .scene_options import add_scene_options, events_of, given_scene, progress_bar, scene_of, with_networks

#: What ``--sounds`` is without a folder.
LIBRARY = "library"
#: Voices ``[C, N]``, their rate, and the moments of each.
Voices: TypeAlias = tuple[Sequence[np.ndarray], int, list[list[float]]]
VoiceMaker: TypeAlias = Callable[[Tracks, Events | None], Voices]
#: A scene on which every option is tried before the clip is looked at: whatever would be refused is refused at once.
REHEARSAL = Tracks((Track(0, "person", np.zeros(1), np.array([[0.4, 0.2, 0.6, 0.8]])),), duration=0.05)


def add(subparsers: Any) -> None:
    parser = subparsers.add_parser("render", help="place footsteps, or a sound of your own, in a clip", description=__doc__)
    parser.set_defaults(run=run)
    parser.add_argument("video", type=Clip, help="the clip")
    out = add_output_options(parser)
    parser.add_argument("--sound", metavar="FILE", help="place this sound instead of footsteps; with --sounds, at its events")
    add_scene_options(parser)
    steps = parser.add_argument_group("footsteps")
    steps.add_argument("--surface", choices=list(SURFACES), default="concrete")
    steps.add_argument("--shoe", choices=list(SHOES), default="sneaker")
    steps.add_argument("--weight", type=float, default=0.5, help="light 0 .. heavy 1")
    steps.add_argument("--variation", type=float, default=0.5, help="from step to step, 0 .. 1")
    steps.add_argument("--timing", choices=TIMINGS, default="events")
    steps.add_argument("--timing-sound", metavar="FILE", help="sound whose loud moments are the steps (--timing envelope)")
    steps.add_argument("--cadence", type=float, default=1.8, help="steps a second (--timing cadence)")
    steps.add_argument(
        "--if-nothing", dest="fallback", choices=["centre", "error"], default="centre", help="when nothing is tracked"
    )
    add_sound_options(parser)
    place = parser.add_argument_group("place")
    place.add_argument("--mode", choices=MODES, default="pan")
    place.add_argument("--layout", choices=LAYOUTS, help="loudspeakers or ambisonics (AmbiX) in place of --mode's stereo")
    place.add_argument("--width", type=float, default=1.0)
    place.add_argument("--distance-from", choices=DISTANCE_CUES, default="both", help="depth, the boxes' height, or both")
    place.add_argument("--distance", type=float, default=1.0, help="exponent of the inverse distance law, 0 = off")
    place.add_argument("--room", type=float, default=0.2, help="0 open air .. 1 hall")
    place.add_argument("--offscreen", choices=OFFSCREEN, default="fade")
    add_stem_options(parser)
    out.add_argument("--rate", type=int, default=48000, choices=[44100, 48000], help="samples a second of the footsteps")


def add_sound_options(parser: argparse.ArgumentParser) -> None:
    """Of recorded sounds at events."""
    usual = OneShotSettings()
    group = parser.add_argument_group("sounds at events")
    folder = "recorded sounds at events instead of footsteps: the bundled library, and before it a folder of your own"
    group.add_argument("--sounds", nargs="?", const=LIBRARY, metavar="FOLDER", help=folder)
    group.add_argument(
        "--sound-classes", default="", metavar="TEXT", help="such as 'impact = door, dog = cat, car loop = truck'"
    )
    group.add_argument(
        "--sound-for", default="", metavar="TEXT", help="what --sound is for, such as 'dog' (default: all events)"
    )
    group.add_argument(
        "--pitch", type=float, default=usual.pitch, help="semitones by which takes differ (default: %(default)s)"
    )
    group.add_argument("--gain", type=float, default=usual.gain, help="dB by which takes differ (default: %(default)s)")
    group.add_argument("--toe", type=float, default=usual.toe, help="the ball of the foot after the heel, 0 .. 1")
    group.add_argument("--continuous", choices=CONTINUOUS, default=usual.continuous, help="when engines and the like sound")
    group.add_argument("--doppler", action="store_true", help="the pitch of engines and the like moves with their approach")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    started = time.perf_counter()
    info = probe(arguments.video)
    check_output(arguments)
    names = ("mode", "width", "distance_from", "distance", "room", "offscreen")
    settings = SpatializeSettings(**{name: getattr(arguments, name) for name in names})
    if arguments.sounds is None and (arguments.sound_classes or arguments.sound_for):
        raise StereoSyncError("--sound-classes and --sound-for are for sounds at events; give --sounds as well.")
    make = _recorded(arguments) if arguments.sounds is not None else _own(arguments) if arguments.sound else _steps(arguments)
    voices, rate, _ = make(REHEARSAL, Events((), REHEARSAL.duration))
    spatialize(voices, rate, REHEARSAL, replace(settings, room=0.0), duration=REHEARSAL.duration)
    given = with_networks(given_scene(info, arguments), arguments)
    tracks, depth = scene_of(arguments.video, info, given, arguments)
    timed = arguments.timing == "events" and (arguments.sounds is not None or not arguments.sound)
    events = events_of(arguments.video, tracks, given, arguments) if timed else None
    voices, rate, steps = make(tracks, events)
    scene = {"duration": info.duration, "depth": depth, "seed": arguments.seed}
    with progress_bar("sound", arguments.quiet) as progress:
        if arguments.layout:
            stems = []
            stereo = spatialize_surround(voices, rate, tracks, arguments.layout, settings, **scene, progress=progress)
        elif arguments.stems or arguments.stem_tracks:
            stems = spatialize_stems(voices, rate, tracks, settings, **scene, progress=progress)
            stereo = np.sum([stem.samples for stem in stems], axis=0)
        else:
            stems, stereo = [], spatialize(voices, rate, tracks, settings, **scene, progress=progress)
    details: dict[str, Any] = {"steps": steps}
    if arguments.session:
        marked = {"events": events, "depth": depth, "formats": session_formats(arguments)}
        written = save_session(arguments.session, arguments.video, voices, rate, tracks, settings, **marked)
        details["session"] = [str(path) for path in written]
    if arguments.adm:
        moving = {"duration": info.duration, "depth": depth}
        details["adm"] = str(save_adm(arguments.adm, voices, rate, tracks, settings, **moving))
    return write_output(Sound(stereo, rate), tracks, info, arguments, started, stems, **details)


def _own(arguments: argparse.Namespace) -> VoiceMaker:
    sound = require_sound(arguments.sound, "--sound")
    return lambda tracks, events: ([sound.samples], sound.rate, [])


def _steps(arguments: argparse.Namespace) -> VoiceMaker:
    names = ("surface", "rate", "timing", "cadence", "shoe", "weight", "variation", "seed", "fallback")
    options = {name: getattr(arguments, name) for name in names} | {"offset": arguments.offset / 1000}
    guide = require_sound(arguments.timing_sound, "--timing-sound") if arguments.timing_sound else None
    steps_from_cadence(arguments.cadence, REHEARSAL.duration)  # is used where nothing is tracked, whatever the timing

    def make(tracks: Tracks, events: Events | None) -> Voices:
        voices, steps = footstep_voices(tracks, events=events, timing_sound=guide, **options)
        return voices, arguments.rate, [[round(float(moment), 4) for moment in own.times] for own in steps]

    return make


def _recorded(arguments: argparse.Namespace) -> VoiceMaker:
    if arguments.timing != "events":
        raise StereoSyncError(f"--sounds goes by events; leave --timing {arguments.timing} out.")
    if arguments.sound_for and not arguments.sound:
        raise StereoSyncError("--sound-for is for a sound of your own; give one with --sound.")
    library = chosen_library("" if arguments.sounds == LIBRARY else arguments.sounds)
    own = require_sound(arguments.sound, "--sound") if arguments.sound else None
    selection = SoundSelection(library, arguments.sound_classes, own, arguments.sound_for)
    names = ("surface", "pitch", "gain", "toe", "continuous", "doppler", "seed", "rate")
    options = {name: getattr(arguments, name) for name in names} | {"offset": arguments.offset / 1000}
    settings = OneShotSettings(**options)

    def make(tracks: Tracks, events: Events | None) -> Voices:
        assert events is not None
        voices, played = sound_voices(events, tracks, selection, settings)
        return voices, arguments.rate, [[round(moment, 4) for moment, _ in own] for own in played]

    return make
