"""Clips of one's own, NAME.mp4 with NAME.wav, NAME.tracks.json and NAME.depth.npz beside it: read, and measured one by one in
several processes."""

import multiprocessing
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import StereoSyncError, explained
from ..files import load_depth, load_tracks, save_tracks
from ..media.output import check_writable
from ..media.sound import Sound, read_sound, resample, to_stereo
from ..media.video import frames as decoded
from ..media.video import probe
from ..scene import DepthSequence, Tracks
from ..sound_embedding import embed_aisfx
from ..tracking.registry import track_video
from .checks import LENGTH_TOLERANCE
from .clip_metrics import ClipMetrics, measure_clip, pooled_metrics
from .embeddings import SoundFeatures, stacked
from .frechet import LEAST_GROUPS, frechet_infinite
from .journal import ResumeJournal
from .localiser import BandLocaliser, Localiser
from .truth import ObjectSteps, Truth

RATE = 44100
CLIP_ENDINGS = (".mp4", ".mkv", ".mov", ".webm", ".avi", ".m4v")
SOUND_ENDINGS = (".wav", ".flac", ".ogg", ".opus", ".m4a", ".mp3")


@dataclass(frozen=True)
class FolderClip:
    """A clip of files, ``name`` without their ending.

    :param video: path of the clip, or None where there is sound alone.
    :param sound: float32 ``[2, N]`` at 44.1 kHz, as long as the clip; None where there is none.
    :param objects: when each object sounds, where the set has that; else None.
    :param was_mono: the sound had one channel and was doubled.
    """

    name: str
    video: Path | None
    tracks: Tracks
    depth: DepthSequence | None
    sound: np.ndarray | None
    duration: float
    objects: tuple[ObjectSteps, ...] | None = None
    was_mono: bool = False
    onsets_known: bool = True

    def truth(self) -> Truth:
        """Boxes and steps as the metrics want them."""
        return Truth(self.tracks, self.objects, self.onsets_known)

    def frames(self) -> tuple[np.ndarray, np.ndarray]:
        """Times in seconds ``[F]`` and frames uint8 ``[F, H, W, 3]``, 17.5 a second."""
        if self.video is None:
            raise StereoSyncError(f"Clip {self.name}: it has no video file, only sound and boxes.")
        pairs = list(decoded(self.video, rate=17.5))
        return np.array([time for time, _ in pairs]), np.stack([image for _, image in pairs])


def check_length(sound: Sound, duration: float, name: str) -> None:
    """:raises StereoSyncError: for a sound that is not about as long as its clip."""
    if abs(sound.duration - duration) > max(LENGTH_TOLERANCE, 0.02 * duration):
        raise StereoSyncError(f"{name} lasts {sound.duration:.2f} s, its clip {duration:.2f} s; give the whole clip's sound.")


def stereo_44100(sound: Sound, duration: float | None = None) -> np.ndarray:
    """float32 ``[2, N]`` at 44.1 kHz; mono is doubled; cut or continued with silence to ``duration`` seconds."""
    samples = to_stereo(resample(sound, RATE).samples)
    if duration is not None:
        count = round(duration * RATE)
        samples = np.pad(samples[:, :count], [(0, 0), (0, max(count - samples.shape[1], 0))])
    return np.asarray(samples, dtype=np.float32)


def is_one_of(path: Path, endings: Sequence[str]) -> bool:
    return path.suffix.lower() in endings and not path.name.startswith(".")


def find_clips(paths: Sequence[Path]) -> list[Path]:
    """Clips among files and folders, in order of name. Raises StereoSyncError when a path does not exist, or nothing is
    found."""
    found: list[Path] = []
    for path in map(Path, paths):
        if path.is_dir():
            found += sorted(one for one in path.iterdir() if is_one_of(one, CLIP_ENDINGS))
        elif path.is_file():
            found.append(path)
        else:
            raise StereoSyncError(f"Evaluate: '{path}' does not exist; give clips, or folders of clips.")
    if not found:
        raise StereoSyncError(
            f"Evaluate: no clip in {', '.join(str(path) for path in paths)}; clips end in {', '.join(CLIP_ENDINGS)}."
        )
    twice = sorted(name for name, count in Counter(path.stem for path in found).items() if count > 1)
    if twice:
        raise StereoSyncError(f"Evaluate: several clips are called {', '.join(twice)}; evaluate their folders one at a time.")
    return found


def sound_file(clip: Path) -> Path | None:
    """The sound file that goes with a clip, NAME.wav and the like; None where there is none."""
    files = (clip.with_suffix(ending) for ending in SOUND_ENDINGS if clip.suffix.lower() != ending)
    return next((path for path in files if path.is_file()), None)


def open_clip(path: Path, tracks: Tracks | None = None) -> FolderClip:
    """NAME.mp4 with NAME.wav (else its own sound), NAME.tracks.json (else ``tracks``) and NAME.depth.npz where they exist.
    Raises StereoSyncError, which names the file that cannot be used."""
    info = probe(path)
    separate = sound_file(path)
    sound = read_sound(path if separate is None else separate, align_to_video=separate is None)
    if separate is not None and sound is not None:
        check_length(sound, info.duration, f"Evaluate: {separate.name}")
    boxes, maps = path.with_suffix(".tracks.json"), path.with_suffix(".depth.npz")
    if boxes.is_file():
        tracks = load_tracks(boxes, info.duration, info.width / info.height)
    if tracks is None:
        raise StereoSyncError(f"Evaluate: {boxes.name} is missing beside {path.name}; give tracks.")
    return FolderClip(
        name=path.stem,
        video=path,
        tracks=tracks,
        depth=load_depth(maps, info.duration) if maps.is_file() else None,
        sound=None if sound is None else stereo_44100(sound, info.duration),
        duration=info.duration,
        was_mono=sound is not None and sound.channels == 1,
    )


@dataclass(frozen=True)
class Job:
    """How clips are measured.

    :param reference: folder with the true sounds, NAME.wav or the sound of NAME.mp4.
    :param classes: what to follow where NAME.tracks.json is missing; ``max_tracks`` of it, 0 = all.
    :param keep_tracks: write the tracks that were missing.
    """

    localiser: Localiser
    reference: Path | None
    classes: str
    max_tracks: int
    keep_tracks: bool


def evaluate_clips(
    paths: Sequence[Path],
    job: Job,
    journal: Path | None = None,
    *,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A report on clips and folders of clips, and flat rows for a table.

    :param journal: file of what is done, from which a stopped run goes on.
    :raises StereoSyncError: names the clip that cannot be measured, and why.
    """
    clips = find_clips(paths)
    if job.reference is not None and not job.reference.is_dir():
        raise StereoSyncError(f"Evaluate: the reference '{job.reference}' is no folder; give that of the true sounds.")
    settings = {"localiser": repr(job.localiser), "reference": str(job.reference)}
    settings |= {"classes": job.classes, "max_tracks": job.max_tracks}
    done = ResumeJournal(journal, settings)
    keys = [stamp_of(path, job.keep_tracks) for path in clips]
    missing = {key: path for path, key in zip(clips, keys, strict=True) if key not in done}
    for path in missing.values():
        _check_files(path, job)
    count = len(clips) - len(missing)
    if progress is not None:
        progress(count, len(clips))
    for key, record in zip(missing, _measured(list(missing.values()), job, workers), strict=True):
        done[key] = record
        count += 1
        if progress is not None:
            progress(count, len(clips))
    report = report_of([done[key] for key in keys])
    return report, _flat(report["clips"])


def stamp_of(path: Path, keep_tracks: bool = False) -> str:
    """Name, sizes and times of a clip's files: other ones are measured anew. Tracks that measuring itself writes, with
    ``keep_tracks``, are none of them."""
    stamp = []
    for ending in (path.suffix, *SOUND_ENDINGS, *([] if keep_tracks else [".tracks.json"]), ".depth.npz"):
        one = path.with_suffix(ending)
        if one.is_file():
            stat = one.stat()
            stamp.append(f"{ending}:{stat.st_size}:{stat.st_mtime_ns}")
    return f"{path.resolve()} {' '.join(stamp)}"


def _measured(clips: list[Path], job: Job, workers: int) -> Iterator[dict[str, Any]]:
    workers = min(workers, len(clips), os.cpu_count() or 1)
    if workers <= 1:
        yield from (measure_file(path, job) for path in clips)
        return
    # Spawned and not forked: torch's threads do not survive a fork.
    with _single_threaded(), ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(measure_file, clips, repeat(job))


@contextmanager
def _single_threaded() -> Iterator[None]:
    """Processes started inside use one thread each: threads of several processes that wait for each other cost more than the
    work itself. Linear algebra and torch both read these when they are first imported."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    before = {name: os.environ.pop(name) for name in names if name in os.environ}
    os.environ.update(dict.fromkeys(names, "1"))
    try:
        yield
    finally:
        for name in names:
            del os.environ[name]
        os.environ.update(before)


def measure_file(path: Path, job: Job) -> dict[str, Any]:
    """The record of one clip; errors name it."""
    with explained(f"{path.name}: {{error}}", StereoSyncError):
        return _measure_file(path, job)


def _measure_file(path: Path, job: Job) -> dict[str, Any]:
    tracks = None
    if not path.with_suffix(".tracks.json").is_file():
        tracks = track_video(path, classes=job.classes, max_tracks=job.max_tracks)
        if job.keep_tracks:
            save_tracks(path.with_suffix(".tracks.json"), tracks)
    clip = open_clip(path, tracks)
    if clip.sound is None:
        raise StereoSyncError(f"Evaluate: {path.name} has no sound, and no {path.stem}.wav is beside it; give it one.")
    reference = None if job.reference is None else _reference(job.reference, path)
    localiser, law = job.localiser, None
    if isinstance(localiser, BandLocaliser):
        localisation, law = localiser.with_law(clip.sound, RATE)
        localiser = lambda *_: localisation  # noqa: E731 - located once, for the metrics and for the panning law
    given = {"name": clip.name, "depth": clip.depth, "reference": reference, "localiser": localiser}
    metrics = measure_clip(clip.sound, RATE, clip.truth(), clip.duration, **given)
    record: dict[str, Any] = {"measures": metrics.record(), "mono": clip.was_mono, "law": law}
    if reference is not None:
        record["made"] = SoundFeatures(embed_aisfx(clip.sound, RATE)[0]).record()
        record["held"] = SoundFeatures(embed_aisfx(reference, RATE)[0]).record()
    return record


def _check_files(path: Path, job: Job) -> None:
    """Raise what measuring a clip would raise for its files, but for what only decoding shows."""
    with explained(f"{path.name}: {{error}}", StereoSyncError):
        info, boxes = probe(path), path.with_suffix(".tracks.json")
        if boxes.is_file():
            load_tracks(boxes, info.duration, info.width / info.height)
        elif job.keep_tracks:
            check_writable(boxes)
        if job.reference is not None and not _reference_files(job.reference, path):
            raise _without_reference(job.reference, path)


def _reference_files(folder: Path, clip: Path) -> list[Path]:
    return [path for ending in (*SOUND_ENDINGS, *CLIP_ENDINGS) if (path := folder / f"{clip.stem}{ending}").is_file()]


def _reference(folder: Path, clip: Path) -> np.ndarray:
    for path in _reference_files(folder, clip):
        sound = read_sound(path, align_to_video=path.suffix in CLIP_ENDINGS)
        if sound is not None:
            return stereo_44100(sound, probe(clip).duration)
    raise _without_reference(folder, clip)


def _without_reference(folder: Path, clip: Path) -> StereoSyncError:
    return StereoSyncError(f"Evaluate: the folder '{folder}' has no sound called {clip.stem}; give one for every clip.")


def report_of(records: list[dict[str, Any]]) -> dict[str, Any]:
    """The metrics of clips together, and of each, of their records."""
    metrics = [ClipMetrics.of_record(record["measures"]) for record in records]
    report: dict[str, Any] = {"count": len(records), "silent": sum(one.silent for one in metrics), **pooled_metrics(metrics)}
    report["placement_interval"] = [report.pop("placement_low"), report.pop("placement_high")]
    report |= {"frechet": None, "frechet_windows": None}
    if all("made" in record for record in records) and len(records) >= LEAST_GROUPS:
        made, held = (stacked([SoundFeatures.of_record(record[side]) for record in records]) for side in ("made", "held"))
        found = frechet_infinite(made[0], held[0], (made[1], held[1]))
        report |= {"frechet": found.value, "frechet_windows": list(found.windows)}
    report["clips"] = [
        {**one.row(), "law": record.get("law"), "mono": record["mono"], "rows": one.object_rows()}
        for one, record in zip(metrics, records, strict=True)
    ]
    return report


def _flat(clips: list[dict[str, Any]]) -> list[dict[str, Any]]:
    rows = []
    for clip in clips:
        shared = {key: value for key, value in clip.items() if key not in ("law", "rows")}
        for own in clip["rows"] or [{"object": None, "placement": None, "windows": 0, "azimuth_error": None}]:
            rows.append(shared | {key if key == "object" else f"object_{key}": value for key, value in own.items()})
    return rows


def readable(report: dict[str, Any]) -> str:
    """A report for people."""

    def shown(value: float | None) -> str:
        return "-" if value is None else f"{value:.3f}"

    names = ("placement", "spatial_av_align", "spatial_av_align_precision", "distance_correlation", "onset_f1")
    lines = [f"{'clip':32} {'placement':>10} {'av-align':>9} {'box recall':>10} {'distance':>9} {'onset F1':>9}"]
    lines += [f"{row['clip'][:32]:32} " + " ".join(f"{shown(row[name]):>9}" for name in names) for row in report["clips"]]
    low, high = report["placement_interval"]
    lines.append(
        f"all {report['count']}: placement {shown(report['placement'])} ({shown(low)} to {shown(high)}), Spatial AV-Align "
        f"{shown(report['spatial_av_align'])} (box recall {shown(report['spatial_av_align_precision'])}, corrected "
        f"{shown(report['spatial_av_align_corrected'])})"
    )
    return "\n".join(lines)
