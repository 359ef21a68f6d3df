"""Whatever an option gets wrong is refused before the first frame is decoded and the first network is loaded."""

import argparse
import re
import shlex

import numpy as np
import pytest

from research.small_model import write_model
from stereosync_core.__main__ import main
from stereosync_core.cli import generate, render
from stereosync_core.media.sound import Sound, write_sound
from stereosync_core.media.video import probe
from tests.clips import make_clip, noise

COMMON = {
    "-o missing/out.mp4": "does not exist",
    "-o model": "cannot be written",
    "-o out.txt": "cannot be written",
    "-o out.webm --codec aac": "hold",
    "-o out.webm": "hold",
    "-o out.flac --codec aac": "cannot|hold",
    "-o out.wav --loudness 3": "Loudness",
    "-o out.wav --original mix": "for a video",
    "-o out.mp4 --limiter": "--loudness",
    "-o out.mp4 --loudness 3": "Loudness",
    "-o out.mp4 --loudness nan": "Loudness",
    "--save-tracks missing/t.json": "does not exist",
    "--save-depth missing/d.npz": "does not exist",
    "--save-events .": "is a folder",
    "--classes unicorn": "unicorn",
    "--threshold 1.5": "threshold",
    "--threshold nan": "threshold",
    "--track-rate 0": "rate",
    "--max-tracks -1": "below 0",
    "--tracker masa": "weights",
    "--tracker-weights none.safetensors": "leave",
    "--tracker masa --tracker-weights none.safetensors": "none.safetensors",
    "--depth-estimator rollingdepth": "folder",
    "--depth-estimator depth-anything --depth-model none": "none",
    "--depth-model none": "leave",
    "--depth-rate 0": "Depth rate",
    "--depth-rate nan": "Depth rate",
    "--no-depth --save-depth d.npz": "--no-depth",
    "--tracks none.json": "none.json",
    "--tracks clip.mp4": "not JSON",
    "--depth none.npz": "none.npz",
    "--depth clip.mp4": "not an NPZ",
    "--events none.csv": "none.csv",
    "--events clip.mp4": "read|column",
    "--event-method sound": "guide sound",
    "--event-sound none.wav": "none.wav",
    "--event-sound silent.mp4": "no sound",
    "--confidence 2": "confidence",
    "--offset nan": "--offset",
    "--offset 1e9": "--offset",
}
RENDER = {
    "--sound none.wav": "none.wav",
    "--sound surround.wav": "6 channels",
    "--timing envelope": "envelope",
    "--timing envelope --timing-sound none.wav": "none.wav",
    "--timing cadence --cadence 0": "cadence",
    "--cadence nan": "cadence",
    "--weight 2": "weight",
    "--variation -1": "variation",
    "--width 2": "width",
    "--distance nan": "distance",
    "--room 7": "room",
    "--sounds missing": "missing",
    "--sounds --sound-classes door": "impact = door",
    "--sounds --sound-classes impact=unicorn": "unicorn",
    "--sounds --pitch 90": "pitch",
    "--sounds --gain -1": "gain",
    "--sounds --toe 2": "toe",
    "--sounds --timing gait": "--timing",
    "--sounds --sound-for dog": "give one with --sound",
    "--sound-for dog": "--sounds",
    "--sound-classes dog=cat": "--sounds",
    "--timing-sound none.wav": "none.wav",
    "--layout 5.1 --stems stems": "stereo",
    "--layout 5.1 --original mix": "5.1",
    "-o out.flac --layout 7.1.4": "12 channels",
    "-o out.mp4 --layout 'ambisonics 1' --codec pcm24": "cannot be written",
    "-o out.avi --stem-tracks": "stems",
    "--stems clip.mp4": "no folder",
    "--stems missing/stems": "does not exist",
    "--session missing/session": "does not exist",
    "--session session --session-formats aaf": "no format",
    "--adm out.flac": ".wav",
    "--adm missing/out.wav": "does not exist",
}
GENERATE = {
    "--model none": "none",
    "--adapter none": "none",
    "--text hello": "takes no text|Stable Audio",
    "--steps 0": "0 steps",
    "--cfg nan": "guidance_scale",
    "--space-scale 99": "spatial_scale",
    "--envelope-scale -99": "control_scale",
    "--spatial-guidance 9": "strength",
    "--envelope none.wav": "none.wav",
    "--timbre velvet": "velvet",
    "--timbre silence.wav": "silent",
    "--audio none.wav": "none.wav",
    "--audio surround.wav": "6 channel",
    "--audio placed.wav --strength 2": "strength",
    "--audio placed.wav --keep soon": "soon",
    "--audio placed.wav --keep 0-99": "does not lie",
    "--audio short.wav": "lasts",
    "--strength 0.5": "--audio",
    "--takes 0": "takes",
    "--match-levels": "--audio",
    "--keep 0-0.1": "--audio",
    "--t5 model": "Stable Audio",
    "--levels model": "Stable Audio",
    "--precision bf16": "Stable Audio",
    "--compile": "Stable Audio",
    "--model release": "--text",
    "--model release --text steps": "--t5",
    "--model release --text steps --t5 model": "holds no",
    "--model release --text steps --t5 model --envelope-scale 1": "adapter",
    "--model release --adapter model": "no adapter",
    "--model release --levels model": "no part 'levels'",
    "--device cuda:77": "Stable Audio|--device",
    "--sampler dpmpp_3m_sde": "not for this model; choose one of pingpong",
}
EVALUATE = {
    "--csv missing/table.csv": "does not exist",
    "--classes unicorn": "unicorn",
    "--max-tracks -1": "below 0",
    "--workers 0": "workers",
    "--bands 0": "bands",
    "--reference none": "none",
    "--reference model": "no sound called silent",
    "--localiser level --law auto": "--localiser bands",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory, release):
    folder = tmp_path_factory.mktemp("refused")
    info = probe(make_clip(folder / "clip.mp4", count=8))
    (folder / "silent.mp4").write_bytes((folder / "clip.mp4").read_bytes())
    write_sound(folder / "surround.wav", Sound(np.zeros((6, 4800)), 48000))
    write_sound(folder / "silence.wav", Sound(np.zeros((1, 4800)), 48000))
    write_sound(folder / "short.wav", Sound(noise(info.duration / 4), 48000))
    write_sound(folder / "placed.wav", Sound(noise(info.duration), 48000))
    (folder / "release").symlink_to(release, target_is_directory=True)
    write_model(folder / "model")
    return folder


@pytest.fixture
def untouched(folder, monkeypatch):
    """The folder, in which nothing may be decoded or loaded and nothing may stay."""

    def begun(*_, **__):
        raise AssertionError("the work begins before everything is checked")

    for work in ("media.video._frames", *(f"cli.scene_options.load_{name}" for name in ("tracker", "estimator"))):
        monkeypatch.setattr(f"stereosync_core.{work}", begun)
    monkeypatch.setattr("stereosync_core.cli.model_options.StereoSyncPipeline.from_pretrained", begun)
    monkeypatch.chdir(folder)
    before = sorted(path.name for path in folder.iterdir())
    yield folder
    assert sorted(path.name for path in folder.iterdir()) == before


@pytest.mark.parametrize(
    ("command", "options", "words"),
    [
        *((("render", "clip.mp4"), *row) for row in (COMMON | RENDER).items()),
        *((("generate", "clip.mp4", "--model", "model"), *row) for row in (COMMON | GENERATE).items()),
        *((("evaluate", "silent.mp4"), *row) for row in EVALUATE.items()),
    ],
)
def test_an_option_that_makes_no_sense_is_refused_before_a_frame_is_decoded(untouched, capsys, command, options, words):
    output = [] if command[0] == "evaluate" or options.startswith("-o") else ["-o", "out.mp4"]
    assert main([*command, *output, "--quiet", *shlex.split(options)]) == 1
    lines = capsys.readouterr().err.strip().splitlines()
    assert lines[-1].startswith("error: ")
    assert re.search(words, lines[-1]), lines[-1]


def test_the_work_begins_where_all_is_well(untouched):
    """The guard of the test above works."""
    for command in (["render"], ["generate", "--model", "model"]):
        with pytest.raises(AssertionError, match="begins"):
            main([*command, "clip.mp4", "-o", "out.mp4", "--quiet"])


#: Flags that go with everything, and what has a test of its own.
ELSEWHERE = {"--help", "--json", "--quiet", "--doppler", "--no-spatial", "--fast", "--seed"}


@pytest.mark.parametrize(("command", "rows"), [(render, COMMON | RENDER), (generate, COMMON | GENERATE)])
def test_every_option_is_among_those_that_are_tried(untouched, capsys, command, rows):
    """What the parser refuses by itself is tried here; every other option has a bad value above."""
    parser = argparse.ArgumentParser()
    command.add(parser.add_subparsers())
    name = command.__name__.rpartition(".")[2]
    options = parser._subparsers._group_actions[0].choices[name]._actions  # type: ignore[union-attr]
    tried = set(" ".join(rows).split())
    for option in (each for each in options if each.option_strings):
        if option.choices is not None or option.type in (int, float):
            with pytest.raises(SystemExit):
                main([name, "clip.mp4", "-o", "out.mp4", option.option_strings[-1], "nonsense"])
            assert option.option_strings[-1] in capsys.readouterr().err
        if option.choices is None and not ELSEWHERE.intersection(option.option_strings):
            assert tried.intersection(option.option_strings), option.option_strings
    assert len(options) > 40


def test_a_sampler_of_another_objective_is_refused(untouched, capsys):
    for model, sampler, fits in (("model", "dpmpp_3m_sde", "pingpong"), ("release", "pingpong", "dpmpp_3m_sde")):
        options = ["-o", "out.mp4", "--model", model, "--sampler", sampler, "--quiet"]
        assert main(["generate", "clip.mp4", *options]) == 1
        assert f"choose one of {fits}" in capsys.readouterr().err


def test_a_seed_is_a_number_that_every_generator_takes(untouched, capsys):
    for seed in ("-1", str(2**64), "many"):
        with pytest.raises(SystemExit):
            main(["render", "clip.mp4", "-o", "out.mp4", "--seed", seed])
    assert "--seed" in capsys.readouterr().err
