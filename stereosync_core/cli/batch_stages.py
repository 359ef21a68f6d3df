"""What ``batch`` does to a clip: the stages of its tasks, from rows with ``clip`` and ``output`` to rows of the manifest."""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from ..errors import StereoSyncError
from ..media.output import replacing
from ..media.video import probe
from ..metrics.clips import measure_file
from ..model.conditioning.features import latent_count
from ..model.conditioning.spatial import SpatialConditioning
from ..model.generative_model import GenerativeModel
from ..model.pipeline import StereoSyncPipeline
from ..scale.manifest import checksum
from ..scale.pipelines import Row, Stage, Work
from . import evaluate, generate, render
from .model_options import LOADED, load_pipeline, numbers_of
from .output_options import check_output
from .scene_options import given_scene, with_networks

TASKS = {"render": render, "generate": generate, "evaluate": evaluate}
#: Options that name what a clip writes beside its result.
WRITTEN = ("stems", "session", "adm", "save_tracks", "save_depth", "save_events")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise StereoSyncError(f"Batch: --options cannot be used ({message}); see {self.prog.split()[-1]} --help.")


def stages_of(settings: list[str]) -> list[Stage]:
    """The stages of a task with its options: decoding and detection on processors, sampling on GPUs."""
    if settings[0] == "generate":
        return [Stage(partial(_each, settings, _found)), Stage(partial(_sampling, settings), on_gpu=True)]
    return [Stage(partial(_each, settings, _rendered if settings[0] == "render" else _measured))]


def parsed(settings: list[str], clip: str, output: str) -> argparse.Namespace:
    """The arguments of a task for a clip, whose name without its ending is ``{clip}`` in the options. Raises StereoSyncError
    for options that the task does not know or cannot read."""
    settings = [text.replace("{clip}", Path(clip).stem) for text in settings]
    parser = _Parser(prog="batch")
    tasks = parser.add_subparsers(required=True)
    TASKS[settings[0]].add(tasks)
    tasks.choices[settings[0]].set_defaults(workers=1)  # a clip is evaluated in one process
    output_option = [] if settings[0] == "evaluate" else ["-o", output]
    return parser.parse_args([*settings, *output_option, "--json", "--", clip])  # a name may begin with a dash


def check_places(settings: list[str], clips: Sequence[Path]) -> None:
    """Raises StereoSyncError where clips would write over what others wrote beside their results, or differ in what is loaded
    once for all."""
    different = list({clip.stem: str(clip) for clip in clips}.values())
    one, other = (vars(parsed(settings, clip, "a.wav")) for clip in (different[0], different[-1]))
    if loaded := next((name for name in LOADED if one.get(name) != other.get(name)), None):
        raise StereoSyncError(f"Batch: --{loaded} is loaded once for all clips, and cannot have {{clip}} in it.")
    written = [name for name in WRITTEN if one.get(name)]
    if shared := next((name for name in written if one[name] == other[name] and len(different) > 1), None):
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
    except (Exception, SystemExit) as error:
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
    """Clips that differ in nothing but what is where and in their envelopes are sampled as one batch."""
    settings = [settings[0], "--device", device, *settings[1:]]
    loaded: list[StereoSyncPipeline] = []

    def prepared(row: Row) -> Row:
        arguments = parsed(settings, row["clip"], row["output"])
        if not loaded:  # not earlier: what is wrong with a machine is recorded like what is wrong with a clip
            loaded.append(load_pipeline(arguments))
        model = loaded[0].model
        sounds = generate.given_sounds(row["scene"].info, arguments)
        check_output(arguments)
        conditions = generate.conditions_of(model, sounds, row["scene"], arguments)
        return {"finding": row["seconds"], "arguments": arguments, "options": numbers_of(arguments) | conditions}

    def work(rows: list[Row]) -> list[Row]:
        rows = [guarded(prepared, row) for row in rows]
        groups: dict[Any, list[int]] = {}
        for place, row in enumerate(rows):
            if "error" not in row:
                groups.setdefault(_shape(loaded[0].model, row, place), []).append(place)
        for places in groups.values():
            for place, made in zip(places, _sampled(loaded[0], [rows[place] for place in places]), strict=True):
                rows[place] = made
        names = ("output", "bytes", "sha256", "duration", "finding", "sampling", "seconds", "error")
        return [{name: row[name] for name in names if name in row} for row in rows]

    return work


def _shape(model: GenerativeModel, row: Row, place: int) -> Any:
    """What clips of one batch have in common; one that starts from a sound is alone."""
    options, tracks = row["options"], row["scene"].tracks
    if options["audio"] is not None:
        return place
    same = [value for name, value in options.items() if name not in ("envelope", "timbre")]
    return latent_count(tracks.duration, model.latent_rate), len(tracks), row["arguments"].timbre, *same


def _sampled(pipeline: StereoSyncPipeline, rows: list[Row]) -> list[Row]:
    started = time.perf_counter()
    scenes = [SpatialConditioning(row["scene"].tracks, row["scene"].depth) for row in rows]
    try:
        envelopes = [row["options"]["envelope"] for row in rows]
        sounds = pipeline(scenes, **rows[0]["options"] | {"envelope": envelopes}).takes
    except Exception as error:
        if len(rows) > 1:  # which of them it is
            return [made for row in rows for made in _sampled(pipeline, [row])]
        return [guarded(partial(_raised, error), rows[0])]
    seconds = (time.perf_counter() - started) / len(rows)

    def written(row: Row, sound: Any) -> Row:
        given = (row["scene"], pipeline.model, row["options"], seconds, started, row["arguments"])
        return _done(row, generate.write(sound, *given)["duration"]) | {"sampling": round(seconds, 3)}

    made = [guarded(partial(written, sound=sound), row) for row, sound in zip(rows, sounds, strict=True)]
    return [row | {"seconds": round(row["seconds"] + seconds, 3)} for row in made]


def _raised(error: Exception, row: Row) -> Row:
    raise error
