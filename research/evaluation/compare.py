"""Systems compared on the same clips."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from stereosync_core.errors import StereoSyncError, explained
from stereosync_core.metrics import checks
from stereosync_core.metrics.clip_metrics import ClipMetrics, measure_clip, pooled_metrics
from stereosync_core.metrics.clips import RATE
from stereosync_core.metrics.distance import distance_score
from stereosync_core.metrics.embeddings import SoundFeatures, stacked
from stereosync_core.metrics.frechet import LEAST_GROUPS, frechet_infinite
from stereosync_core.metrics.journal import ResumeJournal
from stereosync_core.metrics.localiser import LevelLocaliser, Localiser
from stereosync_core.metrics.placement import pooled
from stereosync_core.rendering.surfaces import SURFACES
from stereosync_core.sound_embedding import AudioEmbedding, embed_aisfx

from ..rooms.rooms import RoomClip
from .attacks import attack_scores, attacks, nearest_name, timbre_of
from .embeddings import balance, joint
from .systems import NO_SPATIAL, OWN_LAWS, REFERENCE, EvaluationClip, System


class Measured(NamedTuple):
    """Of one sound in one clip; ``attacks`` of :func:`.attacks.attacks` and the true and the nearest timbre, of rooms alone."""

    metrics: ClipMetrics
    features: SoundFeatures | None
    attacks: dict[str, Any] | None


def checked_sound(sound: np.ndarray, clip: EvaluationClip, system: str) -> np.ndarray:
    """What a system made, float32 ``[2, round(duration * 44100)]``. Raises StereoSyncError, which names the system and the clip
    when it is not stereo, not finite or of another length."""
    count = round(clip.duration * RATE)
    with explained(f"Systems: the sound of '{system}' for clip {clip.name} cannot be used: {{error}}", StereoSyncError):
        sound = checks.stereo(sound)
        if abs(sound.shape[1] - count) > checks.LENGTH_TOLERANCE * RATE:
            raise StereoSyncError(f"it lasts {sound.shape[1] / RATE:.2f} s, the clip {clip.duration:.2f} s.")
    return np.pad(sound[:, :count], [(0, 0), (0, max(count - sound.shape[1], 0))]).astype(np.float32)


def run_systems(
    clips: Sequence[EvaluationClip],
    systems: Mapping[str, System],
    *,
    localiser: Localiser | None = None,
    embedding: AudioEmbedding | None = None,
    pictures: Callable[[EvaluationClip], tuple[np.ndarray, np.ndarray]] | None = None,
    own_laws: Mapping[str, str] = OWN_LAWS,
    journal: ResumeJournal | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, dict[str, Measured]]:
    """ClipMetrics and features of each system (name -> clip's name -> both) on each clip.

    :param clips: read one after another, so a lazily reading sequence holds one at a time.
    :param own_laws: the law that a system places by, where that is not the recordings'.
    :param pictures: features ``[M, V]`` and times ``[M]`` of a clip's frames, for the joint Frechet distance.
    """
    journal = ResumeJournal(None, {}) if journal is None else journal
    results: dict[str, dict[str, Measured]] = {name: {} for name in systems}
    for number in range(len(clips)):
        clip: EvaluationClip | None = None
        for place, (system, make) in enumerate(systems.items()):
            key = f"{system}/{number}"
            if key not in journal:
                clip = clips[number] if clip is None else clip
                sound = checked_sound(make(clip), clip, system)
                given = {"name": clip.name, "depth": clip.depth, "reference": clip.sound, "localiser": localiser}
                own = LevelLocaliser(own_laws[system]) if system in own_laws else None
                record = {"measures": measure_clip(sound, RATE, clip.truth(), clip.duration, own=own, **given).record()}
                if embedding is not None:
                    record["embedded"] = _embedded(sound, clip, embedding, pictures).record()
                if isinstance(clip, RoomClip):
                    record["attacks"] = attacks(sound, clip)
                    name = timbre_of(clip)
                    if name is not None and embedding is embed_aisfx:
                        near = nearest_name(embed_aisfx(sound, RATE)[0], name in SURFACES)
                        record["attacks"]["names"] = [name, near]
                journal[key] = record
            known = journal[key]
            metrics = ClipMetrics.of_record(known["measures"])
            features = SoundFeatures.of_record(known["embedded"]) if "embedded" in known else None
            results[system][metrics.clip] = Measured(metrics, features, known.get("attacks"))
            if progress is not None:
                progress(number * len(systems) + place + 1, len(clips) * len(systems))
    return results


def _embedded(sound: np.ndarray, clip: EvaluationClip, embedding: AudioEmbedding, pictures: Callable | None) -> SoundFeatures:
    features, times = embedding(sound, RATE)
    if pictures is None:
        return SoundFeatures(features)
    seen, moments = pictures(clip)
    return SoundFeatures(joint(features, times, seen, moments), features.shape[1])


def summary(results: Mapping[str, Mapping[str, Measured]]) -> list[dict[str, Any]]:
    """A row of metrics for each system; what is not defined is None."""
    rows = []
    for name, clips in results.items():
        metrics = [one.metrics for one in clips.values()]
        row: dict[str, Any] = {"system": name, "clips": len(metrics), "silent_clips": sum(one.silent for one in metrics)}
        row |= pooled_metrics(metrics)
        far = distance_score([step for one in metrics for step in one.steps])
        error = sum((one.placement.clip.error for one in metrics), 0.0)
        row |= {
            "placement_own_law": pooled([one.own_law for one in metrics if one.own_law is not None]).score,
            "azimuth_error": error / row["placement_windows"] if row["placement_windows"] else None,
            "distance_correlation": far.level,
            "level_db_a_doubling": far.level_slope,
            "direct_db_a_doubling": far.direct_slope,
            "steps": far.steps,
        }
        if shapes := [one.attacks for one in clips.values() if one.attacks is not None]:
            row |= attack_scores(shapes)
        rows.append(row)
    _add_gaps(rows)
    _add_frechet(rows, results)
    return rows


def _add_gaps(rows: list[dict[str, Any]]) -> None:
    """Gap closure: (x - without spatial conditions) / (recordings - without), for the three spatial scores."""
    by_name = {row["system"]: row for row in rows}
    if NO_SPATIAL not in by_name or REFERENCE not in by_name:
        return
    for score in ("placement", "spatial_av_align", "spatial_av_align_corrected"):
        low, high = by_name[NO_SPATIAL][score], by_name[REFERENCE][score]
        for row in rows:
            known = None not in (low, high, row[score]) and abs(high - low) > 1e-9
            row[f"{score}_gap_closed"] = (row[score] - low) / (high - low) if known else None


def _add_frechet(rows: list[dict[str, Any]], results: Mapping[str, Mapping[str, Measured]]) -> None:
    """Distance of every system on every other clip from the recordings of the clips between: the same clips for all, and the
    recordings' own row is what two halves of one set differ by."""
    reference = results.get(REFERENCE)
    if reference is None or any(one.features is None for one in reference.values()):
        return
    names = list(reference)
    halves = names[0::2], names[1::2]
    for row in rows:
        row |= dict.fromkeys(("frechet", "frechet_biased", "frechet_windows"))
    if len(halves[1]) < LEAST_GROUPS:
        return
    held, held_groups = stacked(_features(reference, halves[1]))
    split = _features(reference, halves[1])[0].split
    scale = balance(held, split) if split else np.ones(held.shape[1])
    for row in rows:
        made, groups = stacked(_features(results[row["system"]], halves[0]))
        row |= _distances("", made[:, : split or None], held[:, : split or None], (groups, held_groups))
        if split:
            row |= _distances("joint_", made * scale, held * scale, (groups, held_groups))


def _features(clips: Mapping[str, Measured], names: Sequence[str]) -> list[SoundFeatures]:
    return [features for name in names if (features := clips[name].features) is not None]


def _distances(prefix: str, made: np.ndarray, held: np.ndarray, groups: tuple[np.ndarray, np.ndarray]) -> dict[str, Any]:
    found = frechet_infinite(made, held, groups)
    values = {"frechet": found.value, "frechet_biased": found.biased, "frechet_windows": list(found.windows)}
    return {f"{prefix}{name}": value for name, value in values.items()}
