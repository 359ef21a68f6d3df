"""What ``batch`` does to a clip: the stages of its tasks, from rows with ``clip`` and ``output`` to rows of the manifest."""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any, TypeAlias

from ..errors import StereoSyncError
from ..media.output import replacing
from ..media.video import probe
from ..metrics.clips import measure_file
from ..model.conditioning.features import latent_count
from ..model.conditioning.spatial import SpatialConditioning
from ..model.pipeline import StereoSyncPipeline
from ..scale.manifest import checksum
from ..scale.pipelines import Row, Stage, Work
from . import evaluate, generate, render
from .model_options import load_pipeline
from .output_options import check_output
from .scene_options import given_scene, with_networks

TASKS = {"render": render, "generate": generate, "evaluate": evaluate}
#: Options that name what a clip writes beside its result.
WRITTEN = ("stems", "session", "adm", "save_tracks", "save_depth", "save_events")
#: A clip's conditions: of the command line, and of the pipeline.
Inputs: TypeAlias = tuple[argparse.Namespace, dict[str, Any]]


def stages_of(settings: list[str]) -> list[Stage]:
    """The stages of a task with its options: decoding and detection on processors, sampling on GPUs."""
    if settings[0] == "generate":
        return [Stage(partial(_each, settings, _found)), Stage(partial(_sampling, settings), on_gpu=True)]
    return [Stage(partial(_each, settings, _rendered if settings[0] == "render" else _measured))]


def parsed(settings: list[str], clip: str, output: str) -> argparse.Namespace:
    """The arguments of a task for a clip, whose name without its ending is ``{clip}`` in the options."""
    settings = [text.replace("{clip}", Path(clip).stem) for text in settings]
    parser = argparse.ArgumentParser(prog="batch --options")
    TASKS[settings[0]].add(parser.add_subparsers(required=True))
    return parser.parse_args([*settings, clip, *(["-o", output] if settings[0] != "evaluate" else []), "--json"])


def check_places(settings: list[str], clips: Sequence[Path]) -> None:
    """Raises StereoSyncError where clips would write over what others wrote beside their results."""
    one, other = (vars(parsed(settings, name, "a.wav")) for name in ("a", "b"))
    written = [name for name in WRITTEN if one.get(name)]
    if shared := next((name for name in written if one[name] == other[name] and len(clips) > 1), None):
        raise StereoSyncError(
            f"Batch: --{shared.replace('_', '-')} {one[shared]} is one place for all clips; write {{clip}} where the name of "
            "each belongs, as in 'there/{clip}'."
        )
    name, count = Counter(clip.stem for clip in clips).most_common(1)[0]
    if written and count > 1:
        raise StereoSyncError(
            f"Batch: {count} clips are called '{name}', and --{written[0].replace('_', '-')} would write each over the one "
            "before; work on them in runs of their own."
        )


def guarded(function: Callable[[Row], Row], row: Row) -> Row:
    """A row with what a function makes of it, or its ``error``, for one clip's fault is no other's; and the seconds so far."""
    started = time.perf_counter()
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            made = row | function(row)
    except StereoSyncError as error:
        made = {"error": str(error)}
    except Exception as error:
        made = {"error": f"{type(error).__name__}: {error}"}
    return made | {"seconds": round(row.get("seconds", 0.0) + time.perf_counter() - started, 3)}


def _each(settings: list[str], function: Callable[[argparse.Namespace, Row], Row], device: str) -> Work:
    def work(row: Row) -> Row:
        arguments = parsed(settings, row["clip"], row["output"])
        for place in filter(None, map(vars(arguments).get, WRITTEN)):
            place.parent.mkdir(parents=True, exist_ok=True)
        return function(arguments, row)

    return lambda rows: [guarded(work, row) for row in rows]


def _done(row: Row, duration: float | None) -> Row:
    path = Path(row["output"])
    return {"output": path.name, "bytes": path.stat().st_size, "sha256": checksum(path), "duration": duration}


def _rendered(arguments: argparse.Namespace, row: Row) -> Row:
    return _done(row, render.run(arguments)["duration"])


def _measured(arguments: argparse.Namespace, row: Row) -> Row:
    record = measure_file(Path(row["clip"]), evaluate.job_of(arguments))
    with replacing(Path(row["output"])) as temporary:
        temporary.write_text(json.dumps(record), encoding="utf-8")
    return _done(row, probe(row["clip"]).duration)


def _found(arguments: argparse.Namespace, row: Row) -> Row:
    info = probe(arguments.video)
    check_output(arguments)
    return {"scene": generate.find_scene(info, with_networks(given_scene(info, arguments), arguments), arguments)}


def _sampling(settings: list[str], device: str) -> Work:
    """Clips of equally many latent frames and tracks are sampled as one batch."""
    settings = [settings[0], "--device", device, *settings[1:]]
    # not before the first row: what is wrong with a machine is recorded like what is wrong with a clip
    loaded = cache(lambda: load_pipeline(parsed(settings, "", "a.wav")))

    def prepared(row: Row) -> Row:
        arguments, model = parsed(settings, row["clip"], row["output"]), loaded()[0].model
        sounds = generate.given_sounds(row["scene"].info, arguments)
        check_output(arguments)
        conditions = generate.conditions_of(model, sounds, row["scene"], arguments)
        return {"finding": row["seconds"], "inputs": (arguments, conditions)}

    def work(rows: list[Row]) -> list[Row]:
        rows = [guarded(prepared, row) for row in rows]
        groups: dict[Any, list[int]] = {}
        for place, row in enumerate(rows):
            if "error" not in row:
                groups.setdefault(_shape(loaded()[0], row, place), []).append(place)
        for places in groups.values():
            for place, made in zip(places, _sampled(*loaded(), [rows[place] for place in places]), strict=True):
                rows[place] = made
        names = ("output", "bytes", "sha256", "duration", "finding", "sampling", "seconds", "error")
        return [{name: row[name] for name in names if name in row} for row in rows]

    return work


def _shape(pipeline: StereoSyncPipeline, row: Row, place: int) -> Any:
    """What clips of one batch have in common; one that starts from a sound is alone."""
    tracks = row["scene"].tracks
    alone = row["inputs"][1]["audio"] is not None
    return place if alone else (latent_count(tracks.duration, pipeline.model.latent_rate), len(tracks))


def _sampled(pipeline: StereoSyncPipeline, numbers: dict[str, Any], rows: list[Row]) -> list[Row]:
    started = time.perf_counter()
    conditions = [row["inputs"][1] for row in rows]
    scenes = [SpatialConditioning(row["scene"].tracks, row["scene"].depth) for row in rows]
    options = numbers | conditions[0] | {"envelope": [own["envelope"] for own in conditions]}
    try:
        sounds = pipeline(scenes, **options).takes
    except Exception as error:
        if len(rows) > 1:  # which of them it is
            return [made for row in rows for made in _sampled(pipeline, numbers, [row])]
        return [guarded(partial(_raised, error), rows[0])]
    seconds = (time.perf_counter() - started) / len(rows)

    def written(row: Row, sound: Any) -> Row:
        arguments, own = row["inputs"]
        report = generate.write(sound, row["scene"], pipeline.model, numbers | own, seconds, started, arguments)
        return _done(row, report["duration"]) | {"sampling": round(seconds, 3)}

    made = [guarded(partial(written, sound=sound), row) for row, sound in zip(rows, sounds, strict=True)]
    return [row | {"seconds": round(row["seconds"] + seconds, 3)} for row in made]


def _raised(error: Exception, row: Row) -> Row:
    raise error
