"""Where a command's sound goes: a sound file, or the clip with the sound put on it."""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..errors import StereoSyncError
from ..media.loudness import PRESETS, amplified, check_loudness, level_text
from ..media.mux import check_mux, check_stem_tracks, mux
from ..media.output import check_writable
from ..media.save import save_sound
from ..media.sound import SOUND_FILES, Sound, check_sound_file
from ..media.video import VideoInfo
from ..rendering.analysis import single_track_correlation
from ..rendering.layouts import layout_of
from ..rendering.stems import Stem, check_folder, save_stems
from ..scene import Tracks
from ..sessions.adm import check_adm
from ..sessions.folder import FORMATS, check_session
from .scene_options import progress_bar

ORIGINAL = ["replace", "mix", "over", "under"]
#: Endings and codecs of stems by their names.
STEM_FORMATS = {"float": (".wav", "float32"), "24bit": (".wav", "pcm24"), "flac": (".flac", "flac")}


def add_output_options(parser: argparse.ArgumentParser):
    """Adds the options and returns their group."""
    parser.add_argument("-o", "--output", type=Path, required=True, help="a video, or a sound file (wav, flac, ...)")
    parser.add_argument("--json", action="store_true", help="print what was done as JSON")
    out = parser.add_argument_group("output")
    out.add_argument("--codec", default="auto", choices=["auto", "aac", "flac", "opus", "pcm16", "pcm24"])
    original = "the clip's own sound: over the new one, which makes way for speech, or under it, ... (default: replace)"
    out.add_argument("--original", default="replace", choices=ORIGINAL, help=original)
    loudness = f"bring the sound to this loudness (EBU R128): a number, or {', '.join(PRESETS)}"
    out.add_argument("--loudness", type=_loudness, metavar="LUFS", help=loudness)
    out.add_argument("--limiter", action="store_true", help="reach the loudness where peaks do not allow it, by a limiter")
    out.add_argument("--seed", type=_seed, default=0)
    return out


def add_stem_options(parser: argparse.ArgumentParser) -> None:
    """Of commands that make a sound for each track."""
    group = parser.add_argument_group("stems and sessions")
    group.add_argument("--stems", type=Path, metavar="DIR", help="write each track's placed sound and the room's share there")
    group.add_argument("--stem-format", choices=STEM_FORMATS, default="float", help="wav float or 24 bit, or flac")
    group.add_argument("--stem-tracks", action="store_true", help="the stems as named sound tracks of the video as well")
    session = "write a folder with dry sounds, envelopes and markers for a DAW"
    group.add_argument("--session", type=Path, metavar="DIR", help=session)
    group.add_argument("--adm", type=Path, metavar="FILE.wav", help="write the voices as objects with positions (BS.2076)")
    formats = f"comma-separated, of {', '.join(FORMATS)} (default: %(default)s)"
    group.add_argument("--session-formats", default="rpp,edl", metavar="LIST", help=formats)


def session_formats(arguments: argparse.Namespace) -> list[str]:
    return [form.strip() for form in arguments.session_formats.split(",") if form.strip()]


def _loudness(text: str) -> float:
    return PRESETS[text] if text in PRESETS else float(text)


def _seed(text: str) -> int:
    if not 0 <= int(text) < 2**63:
        raise argparse.ArgumentTypeError("a seed is a whole number from 0 to 2**63 - 1")
    return int(text)


def check_output(arguments: argparse.Namespace) -> None:
    """Before any work; raises StereoSyncError for options that do not go together, a place that cannot be written, and a
    container that cannot hold the clip."""
    arguments.quiet = arguments.quiet or arguments.json
    if arguments.loudness is not None:
        check_loudness(arguments.loudness)
    elif arguments.limiter:
        raise StereoSyncError("--limiter is for a loudness; give --loudness as well.")
    layout = vars(arguments).get("layout")
    if layout and (arguments.stems or arguments.stem_tracks):
        raise StereoSyncError("--stems are stereo; leave --layout out, or the stems.")
    if vars(arguments).get("stem_tracks"):
        check_stem_tracks(arguments.output)
    if vars(arguments).get("stems"):
        check_folder(arguments.stems, "--stems")
    if vars(arguments).get("adm"):
        check_adm(arguments.adm)
        check_writable(arguments.adm)
    if vars(arguments).get("session"):
        check_session(arguments.session, session_formats(arguments))
    place = layout_of(layout) if layout else None
    kind = {"codec": arguments.codec} | ({} if place is None else {"channels": place.channels, "layout": place.file_layout})
    if arguments.output.suffix.lower() not in SOUND_FILES:
        check_mux(arguments.video, arguments.output, keep_original=arguments.original, **kind)
        return
    if arguments.original != "replace":
        raise StereoSyncError(f"--original {arguments.original} is for a video; give -o a video file, or leave it out.")
    check_sound_file(arguments.output, **kind)


def write_output(
    sound: Sound,
    tracks: Tracks,
    info: VideoInfo,
    arguments: argparse.Namespace,
    started: float,
    stems: Sequence[Stem] = (),
    **details: Any,
) -> dict[str, Any]:
    """Write ``sound`` by the options.

    :param stems: what it is the sum of, written where the options ask for it, at the gain of the whole.
    :param started: when the command did, by ``time.perf_counter``.
    :return: what every command reports of the sound that it made, with ``details`` of its own.
    """
    layout = vars(arguments).get("layout")
    report = {
        "output": str(arguments.output),
        "video": str(arguments.video.source),
        "duration": info.duration,
        "sample_rate": sound.rate,
        "tracks": [
            {"id": track.id, "label": track.label, "start": track.start, "end": track.end, "boxes": len(track.times)}
            for track in tracks
        ],
        "level_difference_correlation": None if layout else single_track_correlation(sound.samples, sound.rate, tracks),
        **details,
    }
    libav = layout_of(layout).file_layout if layout else ""
    options: dict[str, Any] = {
        "layout": libav,
        "codec": arguments.codec,
        "loudness": arguments.loudness,
        "limiter": arguments.limiter,
    }
    if arguments.output.suffix.lower() in SOUND_FILES:
        done = save_sound(arguments.output, sound, **options)
    else:
        options["stems"] = [(stem.name, stem.sound) for stem in stems] if vars(arguments).get("stem_tracks") else []
        with progress_bar("mux", arguments.quiet) as progress:
            done = mux(arguments.video, sound, arguments.output, keep_original=arguments.original, **options, progress=progress)
        report["video_packets"] = done.video_packets
    report |= {"samples": done.samples, "codec": done.codec, "gain_db": done.gain_db, "notes": list(done.notes)}
    if stems and arguments.stems:
        levelled = [Stem(stem.name, amplified(stem.sound, done.gain_db).samples, stem.rate) for stem in stems]
        suffix, codec = STEM_FORMATS[arguments.stem_format]
        saved = save_stems(arguments.stems, levelled, suffix=suffix, codec=codec)
        report["stems"] = [str(each.path) for each in saved]
    if arguments.loudness is not None:
        report |= {"loudness": done.loudness_after, "true_peak": done.true_peak}
        print(f"sound: {level_text(done.loudness_after, done.true_peak)}", file=sys.stderr)
    for note in done.notes:
        print(f"note: {note}", file=sys.stderr)
    report["seconds"] = round(time.perf_counter() - started, 3)
    if not arguments.quiet:
        print(arguments.output)
    return report
