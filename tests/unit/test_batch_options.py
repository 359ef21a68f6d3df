"""Options of ``batch``, for all clips and for each: names in them, what is refused at once, and what a second run does."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from stereosync_core.__main__ import main
from stereosync_core.cli import batch, batch_stages
from stereosync_core.model.pipeline import StereoSyncPipeline
from tests.clips import make_clip, sound_in


@pytest.fixture
def folder(tmp_path):
    """A clip of 0.2 s under several names, one of them twice, and tracks and events that fit."""
    make_clip(tmp_path / "gravel.mp4", count=6)
    (tmp_path / "other").mkdir()
    for name in ("wood.mp4", "-a.mp4", "other/gravel.mp4"):
        shutil.copy(tmp_path / "gravel.mp4", tmp_path / name)
    tracks = [{"id": 1, "label": "person", "times": [0, 0.2], "boxes": [[0.7, 0.2, 0.8, 0.8]] * 2}]
    (tmp_path / "tracks.json").write_text(json.dumps({"duration": 0.2, "tracks": tracks}))
    (tmp_path / "events.csv").write_text("time\n0.05\n")
    return tmp_path


def settings(task, folder, *more):
    return [task, "--tracks", str(folder / "tracks.json"), "--events", str(folder / "events.csv"), "--no-depth", *more]


def worked(given, clips, out):
    """Rows that the stages of a task make of clips, in this process."""
    out.mkdir()
    rows = [{"clip": str(clip), "output": str(out / f"{place}.wav")} for place, clip in enumerate(clips)]
    for stage in batch_stages.stages_of(given):
        rows = stage.make("cpu")(rows)
    return rows


def test_clips_of_one_batch_have_each_its_own_timbre_and_prompt(folder, monkeypatch):
    calls = []

    class Listening(StereoSyncPipeline):
        def __call__(self, scene, prompt=None, **options):
            calls.append((len(scene), prompt))
            return super().__call__(scene, **options)

    pipeline = StereoSyncPipeline.from_pretrained()
    monkeypatch.setattr(batch_stages, "load_pipeline", lambda arguments: Listening(pipeline.model))
    given = settings("generate", folder, "--steps", "2", "--timbre", "{clip}", "--text", "steps on {clip}")
    clips = [folder / "gravel.mp4", folder / "wood.mp4", folder / "other" / "gravel.mp4"]
    assert [row.get("error") for row in worked(given, clips, folder / "together")] == [None] * 3
    assert calls == [(2, "steps on gravel"), (1, "steps on wood")]
    worked(given, clips[1:2], folder / "alone")
    one, other = (sound_in(folder / place).samples for place in ("together/1.wav", "alone/0.wav"))
    np.testing.assert_array_equal(one, other)


def test_a_clip_whose_name_begins_with_a_dash_is_a_clip(folder, monkeypatch):
    monkeypatch.chdir(folder)
    (row,) = worked(settings("render", folder, "--sounds"), ["-a.mp4"], folder / "out")
    assert row["output"] == "0.wav"
    (row,) = worked(settings("render", folder, "--sound", "{clip}"), ["-a.mp4"], folder / "no")
    assert "argument --sound: expected one argument" in row["error"]


def test_what_ends_a_program_is_the_error_of_its_clip():
    def ends(row):
        raise SystemExit(2)

    assert batch_stages.guarded(ends, {})["error"] == "SystemExit: 2"


@pytest.mark.parametrize(
    ("task", "options", "more", "words"),
    [
        ("render", "", ["--suffix", "wav"], "--suffix 'wav' is no kind of result; give one of .wav"),
        ("render", "", ["--suffix", ".gif"], "--suffix '.gif' is no kind of result"),
        ("render", "--bogus", [], "--options cannot be used (unrecognized arguments: --bogus); see batch --help"),
        ("render", "--room big", [], "(argument --room: invalid float value: 'big'); see render --help"),
        ("render", "", ["--gpus", "1.5"], "a part of a GPU or whole ones"),
        ("generate", "--model models/{clip}", [], "--model is loaded once for all clips, and cannot have {clip} in it"),
        ("evaluate", "--csv a.csv", [], "leave --csv and --workers out of --options"),
        ("evaluate", "--workers 2", [], "leave --csv and --workers out of --options"),
    ],
)
def test_options_that_no_clip_can_have_are_one_error_at_once(folder, capsys, task, options, more, words):
    clips = [str(folder / "gravel.mp4"), str(folder / "wood.mp4")]
    assert main(["batch", task, *clips, "--out", str(folder / "out"), f"--options={options}", *more]) == 1
    assert words in capsys.readouterr().err
    assert not (folder / "out").exists()


@pytest.mark.parametrize(("task", "size"), [("generate", 3), ("render", 1), ("evaluate", 1)])
def test_clips_are_worked_on_together_where_that_saves_time_and_once(folder, monkeypatch, capsys, task, size):
    runs = []

    def completed(stages, rows, *, batch, **where):
        runs.append((len(rows), batch))
        for place, row in enumerate(rows):
            Path(row["output"]).write_text("{}")
            Path(row["clip"]).with_suffix(".tracks.json").write_text("{}")  # as --keep-tracks does
            yield place, {"output": Path(row["output"]).name, "bytes": 2}

    monkeypatch.setattr(batch, "completed", completed)
    monkeypatch.setattr(batch, "report_of", lambda records: {})
    options = "--keep-tracks" if task == "evaluate" else ""
    for _ in range(2):
        given = ["--out", str(folder / "out"), f"--options={options}", "--batch", "3", "--json"]
        assert main(["batch", task, str(folder), *given]) == 0
    assert runs == [(3, size), (0, size)]
