"""Whatever an option gets wrong is refused before the first frame is decoded."""

import re

import numpy as np
import pytest

from research.small_model import write_model
from stereosync_core.__main__ import main
from stereosync_core.media.sound import Sound, write_sound
from tests.clips import make_clip

COMMON = {
    "-o missing/out.mp4": "does not exist",
    "-o model": "cannot be written",
    "-o out.txt": "cannot be written",
    "-o out.webm --codec aac": "hold",
    "-o out.webm": "hold",
    "-o out.flac --codec aac": "cannot|hold",
    "-o out.wav --loudness 3": "Loudness",
    "-o out.wav --original mix": "for a video",
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
    "--sound-classes dog=cat": "--sounds",
    "--layout 5.1 --original mix": "5.1",
    "-o out.flac --layout 7.1.4": "12 channels",
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
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("refused")
    make_clip(folder / "clip.mp4", count=8)
    (folder / "silent.mp4").write_bytes((folder / "clip.mp4").read_bytes())
    write_sound(folder / "surround.wav", Sound(np.zeros((6, 4800)), 48000))
    write_model(folder / "model")
    return folder


@pytest.fixture
def untouched(folder, monkeypatch):
    """The folder, in which nothing may be decoded and nothing may stay."""

    def decoded(*_):
        raise AssertionError("a frame is decoded before everything is checked")

    monkeypatch.setattr("stereosync_core.media.video._frames", decoded)
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
    assert main([*command, *output, "--quiet", *options.split()]) == 1
    lines = capsys.readouterr().err.strip().splitlines()
    assert lines[-1].startswith("error: ")
    assert re.search(words, lines[-1]), lines[-1]


def test_a_frame_is_decoded_where_all_is_well(untouched):
    """The guard of the test above works."""
    with pytest.raises(AssertionError, match="decoded"):
        main(["render", "clip.mp4", "-o", "out.mp4", "--quiet"])
    with pytest.raises(AssertionError, match="decoded"):
        main(["generate", "clip.mp4", "-o", "out.mp4", "--quiet", "--model", "model"])


def test_a_sampler_that_does_not_fit_is_refused_before_a_network_is_loaded(untouched, capsys, monkeypatch, release):
    def loaded(*_, **__):
        raise AssertionError("a network is loaded before the sampler is checked")

    monkeypatch.setattr("stereosync_core.cli.model_options.StereoSyncPipeline.from_pretrained", loaded)
    for model, sampler, fits in (("model", "dpmpp_3m_sde", "pingpong"), (str(release), "pingpong", "dpmpp_3m_sde")):
        options = ["-o", "out.mp4", "--model", model, "--sampler", sampler, "--quiet"]
        assert main(["generate", "clip.mp4", *options]) == 1
        assert f"choose one of {fits}" in capsys.readouterr().err


def test_a_seed_is_a_number_that_every_generator_takes(untouched, capsys):
    for seed in ("-1", str(2**64), "many"):
        with pytest.raises(SystemExit):
            main(["render", "clip.mp4", "-o", "out.mp4", "--seed", seed])
    assert "--seed" in capsys.readouterr().err
