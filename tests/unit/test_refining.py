"""The measurement of refined sound, the scores of takes, and the command ``generate`` from a sound."""

import json

import numpy as np
import pytest

from research.cli.refine import strengths_of
from research.evaluation.refining import PLACED, Refined, add_errors, draw_curve, name_of, refine_table
from research.small_model import write_model
from stereosync_core import Sound, StereoSyncPipeline, write_sound
from stereosync_core.__main__ import main
from stereosync_core.metrics.takes import chosen_take, score_takes
from stereosync_core.model.loader import load_model
from tests.clips import make_clip, sound_in
from tests.errors import refused
from tests.unit.test_conditioning import crossing
from tests.unit.test_generate import write_tracks

RATE = 44100


def rows():
    scores = {"onset_f1": 0.8, "offset_ms": 3.0, "frechet": 100.0}
    first = {"system": "recordings", "placement_own_law": None, "onset_f1": 0.78, "offset_ms": 6.0, "frechet": 50.0}
    return [first, {"system": PLACED, "placement_own_law": 0.9, **scores}] + [
        {"system": name_of(one, matched), "placement_own_law": 0.9 - one / 5, **scores, "frechet": 100 - 60 * one}
        for one, matched in ((0.3, False), (0.8, False), (0.5, True))
    ]


def test_shares_are_of_the_placed_sound_and_the_curve_is_drawn(tmp_path):
    found, refined = rows(), {}
    for row in found[2:]:
        refined[row["system"]] = system = Refined(None, 0.5)  # type: ignore[arg-type]
        system.level_errors, system.place_errors = [1.0, 2.0], [0.5]
    add_errors(found, refined)
    assert found[2]["level_error"] == 1.5
    assert found[3]["placement_share"] == pytest.approx(0.74 / 0.9)
    assert found[3]["frechet_nearer"] == pytest.approx(0.48)
    table = refine_table(found)
    assert "| 0.8 | 0.74 | 0.80 | 3.0 | 1.50 | 0.50 | 52.0 | 0.82, 1.00 | 48 % |" in table
    assert "| 0.5 matched |" in table
    draw_curve(found, tmp_path / "curve.png")
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")
    assert strengths_of("0.2, 0.9", "strengths") == [0.2, 0.9]
    refused("--strengths: 'a lot'", strengths_of, "a lot", "strengths")
    refused("strength is 2", strengths_of, "2", "strengths")


def test_takes_are_scored_by_their_place_and_the_best_is_chosen():
    tracks = crossing(2.0)
    times = np.arange(2 * RATE) / RATE
    places = tracks.tracks[0].azimuth(times)
    noise = 0.1 * np.random.default_rng(0).standard_normal(len(times))
    law = 10 ** (np.stack([-places, places]) * 12 / 20)
    right, wrong = (Sound((noise * gain).astype(np.float32), RATE) for gain in (law, law[::-1]))
    scores = score_takes([wrong, right], tracks, [7, 8])
    assert chosen_take(scores) is scores[1]
    assert chosen_take(scores, 1) is scores[0]
    assert scores[1].text().startswith("take 2, seed 8: placement 0.")
    assert "LUFS" in scores[1].text()
    assert chosen_take(score_takes([wrong, right])).number == 1, "without tracks the first"
    silent = score_takes([Sound(np.zeros((2, RATE), np.float32), RATE)])
    assert silent[0].text() == "take 1: silent"
    refused("no take 3", chosen_take, scores, 3)


@pytest.mark.slow
def test_the_command_refines_what_it_renders_and_keeps_what_stays(tmp_path, capsys):
    clip, tracks = make_clip(tmp_path / "clip.mp4", count=30), write_tracks(tmp_path / "tracks.json")
    folder = write_model(tmp_path / "model")
    shared = ["generate", str(clip), "--model", str(folder), "--tracks", str(tracks), "--no-depth", "--steps", "2", "--json"]

    def made(name, *options):
        assert main([*shared, "-o", str(tmp_path / name), *options]) == 0
        return sound_in(tmp_path / name, align_to_video=False).samples

    assert made("refined.wav", "--audio", "render", "--timbre", "gravel").shape == (2, RATE)
    noise = 0.05 * np.random.default_rng(0).standard_normal((2, 48000)).astype(np.float32)
    write_sound(tmp_path / "placed.wav", Sound(noise, 48000))
    edited = made("edited.wav", "--audio", str(tmp_path / "placed.wav"), "--keep", "0-0.5")
    again = made("again.wav", "--audio", str(tmp_path / "placed.wav"), "--strength", "0.3", "--match-levels")
    kept = slice(0, RATE // 2)
    assert np.abs(edited[:, kept] - again[:, kept]).max() > 1e-3
    takes = ["--takes", "2", "--seed", "7", "-o", str(tmp_path / "take.wav")]
    capsys.readouterr()
    assert main([*shared, *takes]) == 0
    reports = json.loads(capsys.readouterr().out)["takes"]
    assert [(one["seed"], one["output"]) for one in reports] == [(n, str(tmp_path / f"take_{n}.wav")) for n in (7, 8)]
    sounds = [sound_in(one["output"], align_to_video=False).samples for one in reports]
    assert np.abs(sounds[0] - sounds[1]).max() > 1e-3
    for word, options in {
        "for a sound to start from": ["--strength", "0.5"],
        "needs the sound that is kept": ["--keep", "0-1"],
        "0 takes": ["--takes", "0"],
        "the strength is 3": ["--audio", "render", "--strength", "3"],
        "does not lie in the clip": ["--audio", str(tmp_path / "placed.wav"), "--keep", "4-5"],
    }.items():
        assert main([*shared, "-o", str(tmp_path / "no.wav"), *options]) == 1
        assert word in capsys.readouterr().err
    assert not (tmp_path / "no.wav").exists()


def test_a_refined_system_is_a_clip_s_own_sound(tmp_path):
    refused("known of walking rooms alone", Refined(StereoSyncPipeline(load_model(write_model(tmp_path))), 0.5), None)
