"""The evaluate command: clips of one's own, systems on the same clips, resuming, sets laid out as public ones are, and
the page."""

import csv
import json

import numpy as np
import pytest

from research.__main__ import main as research
from research.evaluation import compare, systems
from research.evaluation.public_sets import open_folder, read_metadata
from research.evaluation.results import BEGIN, END, table, write_results
from research.evaluation.systems import NO_SPATIAL, Options, load_systems
from stereosync_core import Sound, Tracks, alignment_report, save_tracks, write_sound
from stereosync_core.__main__ import main
from stereosync_core.metrics.clip_metrics import ClipMetrics, measure_clip
from stereosync_core.metrics.clips import FolderClip
from stereosync_core.metrics.journal import ResumeJournal
from stereosync_core.metrics.localiser import LevelLocaliser
from tests.clips import make_clip
from tests.errors import refused
from tests.unit.metric_scenes import DURATION, RATE, STEPS, placed, track, tracks, walk

WALKS = {"left": (-0.8, -0.2), "across": (-0.7, 0.7), "right": (0.3, 0.9)}


def write(folder, name, sound, boxes=None, rate=RATE):
    """NAME.mp4 of four seconds with NAME.wav and, where given, NAME.tracks.json."""
    folder.mkdir(exist_ok=True)
    make_clip(folder / f"{name}.mp4", count=40, rate=10)
    write_sound(folder / f"{name}.wav", Sound(sound, rate))
    if boxes is not None:
        save_tracks(folder / f"{name}.tracks.json", boxes)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("own")
    for name, (start, stop) in WALKS.items():
        truth, azimuth = walk(start, stop)
        write(path, name, placed(azimuth, STEPS), truth.tracks)
    return path


def run(capsys, *arguments, command=main) -> dict:
    assert command(["evaluate", *map(str, arguments), "--json", "--quiet"]) == 0
    return json.loads(capsys.readouterr().out)


def fails(capsys, *arguments) -> str:
    assert main(["evaluate", *map(str, arguments), "--quiet"]) == 1
    return capsys.readouterr().err


def test_sound_in_its_place_scores_high_for_every_clip_and_object(folder, capsys):
    report = run(capsys, folder, "--workers", 1, "--law", "rooms")
    assert report["placement"] > 0.93
    assert report["spatial_av_align"] == 1.0
    assert report["spatial_av_align_precision"] > 0.85
    assert report["placement_interval"][0] <= report["placement"] <= report["placement_interval"][1]
    assert [row["clip"] for row in report["clips"]] == sorted(WALKS)
    assert all(row["placement"] > 0.9 and row["rows"][0]["windows"] == row["placement_windows"] > 10 for row in report["clips"])


@pytest.mark.slow
def test_processes_and_the_law_found_by_itself_give_the_same(folder, capsys):
    alone, together = (run(capsys, folder, "--workers", count) for count in (1, 2))
    assert {row["law"] for row in alone["clips"]} == {"rooms"}
    for report in (alone, together):
        del report["seconds"]
    assert alone == together


def test_a_table_is_written_and_a_stopped_run_goes_on(folder, tmp_path, capsys, monkeypatch):
    table_file = tmp_path / "scores.csv"
    first = run(capsys, folder / "left.mp4", folder / "across.mp4", "--workers", 1, "--csv", table_file)
    lines = (tmp_path / "scores.jsonl").read_text().splitlines()
    assert len(lines) == 3, "settings and two clips"
    (tmp_path / "scores.jsonl").write_text("\n".join(lines[:2]) + "\n" + lines[2][:40])  # cut off in the middle of a line
    from stereosync_core.metrics import clips as own_clips

    measured = []
    whole = own_clips.measure_file
    monkeypatch.setattr(own_clips, "measure_file", lambda path, job: measured.append(path.stem) or whole(path, job))
    again = run(capsys, folder / "left.mp4", folder / "across.mp4", "--workers", 1, "--csv", table_file)
    assert measured == ["across"]
    assert again["placement"] == pytest.approx(first["placement"])
    with open(table_file, newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert [row["clip"] for row in rows] == ["left", "across"]
    assert float(rows[0]["object_placement"]) > 0.9
    message = fails(capsys, folder, "--workers", 1, "--csv", table_file, "--law", "pan")
    assert "other settings" in message


def test_a_reference_adds_timing(folder, tmp_path, capsys):
    own = tmp_path / "own"
    truth, azimuth = walk(*WALKS["left"])
    write(own, "left", placed(azimuth, STEPS, late=0.2), truth.tracks)
    report = run(capsys, own, "--workers", 1, "--reference", folder)
    assert report["onset_f1"] == 0.0
    assert report["e_l1"] > 0.001
    same = run(capsys, folder / "left.mp4", "--workers", 1, "--reference", folder)
    assert (same["onset_f1"], same["e_l1"]) == (1.0, 0.0)
    assert same["frechet"] is None, "too few clips to extrapolate from"
    assert "no sound called across" in fails(capsys, folder / "across.mp4", "--workers", 1, "--reference", own)


def test_silence_and_mono_and_other_rates_have_defined_values(tmp_path, capsys):
    truth, azimuth = walk()
    sound = placed(azimuth, STEPS)
    write(tmp_path, "silent", np.zeros((2, 4 * 48000)), truth.tracks, 48000)
    write(tmp_path, "mono", sound[:1] + sound[1:], truth.tracks)
    write(tmp_path, "nobody", sound, Tracks((), duration=DURATION))
    report = run(capsys, tmp_path, "--workers", 1, "--law", "rooms")
    rows = {row["clip"]: row for row in report["clips"]}
    assert rows["silent"]["silent"]
    assert rows["silent"]["placement"] is None
    assert rows["silent"]["spatial_av_align"] is None
    assert rows["mono"]["mono"]
    assert rows["mono"]["placement"] == pytest.approx(0.0, abs=1e-3)
    assert (rows["nobody"]["placement"], rows["nobody"]["spatial_av_align"], rows["nobody"]["rows"]) == (None, None, [])
    assert rows["nobody"]["events"] > 5
    assert report["silent"] == 1


def test_what_cannot_be_measured_is_one_clear_error(folder, tmp_path, capsys):
    truth, azimuth = walk()
    write(tmp_path / "short", "short", placed(azimuth, STEPS)[:, : RATE * 2], truth.tracks)
    assert "short.wav lasts 2.00 s" in fails(capsys, tmp_path / "short", "--workers", 1)
    make_clip(tmp_path / "mute.mp4", count=40, rate=10)
    save_tracks(tmp_path / "mute.tracks.json", truth.tracks)
    assert "has no sound" in fails(capsys, tmp_path / "mute.mp4", "--workers", 1)
    assert "does not exist" in fails(capsys, tmp_path / "nowhere.mp4")
    with pytest.raises(SystemExit):
        main(["evaluate", "--set", str(folder)])
    assert "--set" in capsys.readouterr().err
    assert "auto needs" in fails(capsys, folder, "--localiser", "level", "--law", "auto")
    (tmp_path / "empty").mkdir()
    assert "no clip in" in fails(capsys, tmp_path / "empty")


@pytest.fixture(scope="module")
def clips():
    walks = [walk(at - 0.25, at + 0.25) for at in np.linspace(-0.7, 0.7, 34)]
    sounds = [placed(azimuth, STEPS).astype(np.float32) for _, azimuth in walks]
    return [
        FolderClip(f"clip{n:02d}", None, truth.tracks, None, sound, DURATION, truth.objects)
        for n, ((truth, _), sound) in enumerate(zip(walks, sounds, strict=True))
    ]


@pytest.fixture(scope="module")
def compared(clips):
    chosen = load_systems(["recordings", "renderer", "centre", "mirrored", "shifted", "noise"])
    results = compare.run_systems(clips, chosen)
    return compare.summary(results), results


@pytest.mark.slow
def test_the_order_of_the_systems_without_a_model_is_as_it_must_be(compared):
    rows = {row["system"]: row for row in compared[0]}
    assert rows["recordings"]["placement"] > 0.93
    assert rows["centre"]["placement"] == pytest.approx(0.0, abs=1e-3)
    assert rows["mirrored"]["placement"] == pytest.approx(-1.0, abs=0.08)
    assert rows["renderer"]["placement_own_law"] > 0.9
    assert rows["centre"]["spatial_av_align"] > 0.3, "the published score credits the middle"
    assert rows["centre"]["spatial_av_align_corrected"] == pytest.approx(0.0, abs=1e-9)
    assert rows["mirrored"]["spatial_av_align_corrected"] < 0
    assert rows["recordings"]["onset_f1"] == 1.0
    assert rows["shifted"]["onset_f1"] < 0.1
    assert rows["recordings"]["e_l1"] == 0.0 < rows["shifted"]["e_l1"]
    assert rows["mirrored"]["e_l1"] == pytest.approx(0.0, abs=1e-7)
    assert rows["noise"]["onset_f1"] < 0.5


@pytest.mark.slow
def test_gap_closure_is_zero_for_no_spatial_and_one_for_the_recordings(compared):
    rows = [dict(row) for row in compared[0] if row["system"] in ("recordings", "centre", "mirrored")]
    rows[1]["system"] = NO_SPATIAL
    compare._add_gaps(rows)
    assert [row["placement_gap_closed"] for row in rows] == pytest.approx(
        [1.0, 0.0, rows[2]["placement"] / rows[0]["placement"]], abs=0.01
    )


def test_the_frechet_distance_is_of_one_half_from_the_other_and_shows_its_windows(clips):
    generator = np.random.default_rng(0)

    def embedding(sound, rate):
        loud = float(np.abs(sound).max())
        return generator.standard_normal((4, 6)) + 5 * (loud == 0), np.arange(4.0)

    made = {"recordings": lambda clip: clip.sound, "silence": lambda clip: 0 * clip.sound}
    rows = compare.summary(compare.run_systems(clips, made, embedding=embedding))
    assert rows[0]["frechet_windows"] == [68, 68]
    assert abs(rows[0]["frechet"]) < 2.5
    assert rows[1]["frechet"] == pytest.approx(6 * 25, rel=0.1)
    assert rows[1]["silent_clips"] == len(clips)
    assert rows[1]["placement"] is None

    def pictures(clip):
        return np.ones((3, 2)) * np.arange(3)[:, None], np.arange(3.0)

    joint = compare.summary(compare.run_systems(clips, made, embedding=embedding, pictures=pictures))
    assert joint[0]["joint_frechet_windows"] == [68, 68]
    assert joint[1]["joint_frechet"] > joint[0]["joint_frechet"] + 1


def test_a_comparison_goes_on_where_it_was_stopped(clips, tmp_path):
    made = []

    def system(clip):
        made.append(clip.name)
        if len(made) == 3:
            raise KeyboardInterrupt
        return clip.sound

    with pytest.raises(KeyboardInterrupt):
        compare.run_systems(clips[:4], {"mine": system}, journal=ResumeJournal(tmp_path / "run.jsonl", {"a": 1}))
    results = compare.run_systems(clips[:4], {"mine": system}, journal=ResumeJournal(tmp_path / "run.jsonl", {"a": 1}))
    assert made == ["clip00", "clip01", "clip02", "clip02", "clip03"]
    assert len(results["mine"]) == 4
    (tmp_path / "no.jsonl").write_text("a shopping list\n")
    refused("not a file of an earlier evaluation", ResumeJournal, tmp_path / "no.jsonl", {})


@pytest.mark.parametrize(
    ("sound", "words"),
    [
        (np.zeros((1, 4 * RATE)), "stereo"),
        (np.full((2, 4 * RATE), np.inf), "NaN or infinite"),
        (np.zeros((2, RATE)), "lasts 1.00 s"),
    ],
)
def test_a_system_that_makes_no_usable_sound_is_named(clips, sound, words):
    refused(f"'mine' for clip clip00 .*{words}", compare.run_systems, clips[:1], {"mine": lambda _: sound})


def test_systems_are_imported_when_they_are_asked_for(monkeypatch):
    monkeypatch.setitem(systems.SYSTEMS, "mine", "research.evaluation.baselines:centre")
    monkeypatch.setitem(systems.SYSTEMS, "broken", "no.such.module:factory")
    assert list(load_systems(["mine"], Options(seed=3))) == ["mine"]
    for names, words in ((["nothing"], "nothing not known"), (["mine", "mine"], "once")):
        refused(words, load_systems, names)


def test_metrics_are_the_same_after_they_were_stored(clips):
    one = measure_clip(clips[0].sound, RATE, clips[0].truth(), DURATION, reference=clips[0].sound, own=LevelLocaliser("pan"))
    assert ClipMetrics.of_record(json.loads(json.dumps(one.record()))).row() == one.row()
    assert one.own_law is not None


def test_the_page_gets_table_and_figure_between_its_markers(compared, tmp_path):
    page = tmp_path / "results.md"
    page.write_text(f"# Above\n{BEGIN}\nold\n{END}\nbelow\n")
    rows, results = compared
    report = {"set": "rooms", "clips": 34, "localiser": "level", "embedding": "none"}
    for _ in range(2):
        write_results(page, rows, results, report)
    text = page.read_text()
    assert text.startswith("# Above\n")
    assert text.endswith(f"{END}\nbelow\n")
    assert "old" not in text
    assert text.count("| mirrored |") == 1
    assert "--write-results" in text
    assert (tmp_path / "evaluation.png").stat().st_size > 10000
    page.write_text("no markers")
    refused("needs one line", write_results, page, rows, results, report)


def test_what_is_not_defined_is_a_dash_in_the_table(compared):
    row = dict.fromkeys(compared[0][0]) | {"system": "mute"}
    assert "| mute | - (- to -) | - |" in table([row])


def test_a_folder_laid_out_as_savgbench_is_read_with_its_metadata(tmp_path, capsys):
    for name in ("video_dev/part", "stereo_dev/part", "metadata_dev/part"):
        (tmp_path / name).mkdir(parents=True)
    make_clip(tmp_path / "video_dev/part/fold4_deg090.mp4", count=40, rate=10)
    degrees = 30.0  # to the left
    azimuth = -np.tan(np.deg2rad(degrees)) / np.tan(np.deg2rad(50.0))
    steps = np.arange(0.05, 3.8, 0.3)
    write_sound(tmp_path / "stereo_dev/part/fold4_deg090.wav", Sound(placed(lambda _: azimuth, steps), RATE))
    rows = [f"{frame},0,1,{degrees:.0f},250,1" for frame in range(40)]
    (tmp_path / "metadata_dev/part/fold4_deg090.csv").write_text(
        "frame,class,source,azimuth,distance,onscreen\n" + "\n".join(rows)
    )
    clips = open_folder(tmp_path)
    assert len(clips) == 1
    truth = clips[0].truth()
    assert truth.tracks.tracks[0].azimuth(1.0)[0] == pytest.approx(azimuth, abs=1e-6)
    assert truth.step_times is None, "frames in which something goes on are no onsets"
    report = run(capsys, "--set", tmp_path, "--systems", "recordings,centre,mirrored", "--embedding", "none", command=research)
    scores = [row["placement"] for row in report["systems"]]
    assert scores == pytest.approx([1.0, 0.0, -1.0], abs=0.1)


def test_metadata_of_either_form_and_none_of_both(tmp_path):
    old = tmp_path / "old.csv"
    old.write_text("0,3,0,-20,5,180\n1,3,0,-20,5,180\n1,3,1,80,5,300\n")
    known = read_metadata(old, 4.0)
    assert [one.id for one in known.objects] == [1, 2]
    assert known.objects[0].distance == pytest.approx(1.8)
    assert not known.objects[1].visible.any(), "beyond the view's edge"
    assert len(known.tracks) == 1
    (tmp_path / "empty.csv").write_text("")
    assert len(read_metadata(tmp_path / "empty.csv", 4.0).tracks) == 0
    (tmp_path / "words.csv").write_text("0,a,b\n")
    refused("words", read_metadata, tmp_path / "words.csv", 4.0)


def test_clips_in_a_folder_for_each_game_are_read_with_their_own_sound(tmp_path):
    for game in ("one", "two"):
        (tmp_path / game).mkdir()
        sound = placed(lambda _: 0.4, STEPS, seed=1).astype(np.float32)
        make_clip(tmp_path / game / f"{game}.mkv", count=40, rate=10, sound=sound, sound_rate=RATE)
        save_tracks(tmp_path / game / f"{game}.tracks.json", tracks(track(1, 0.4, 0.4)))
    clips = open_folder(tmp_path)
    assert [clip.name for clip in clips] == ["one", "two"]
    assert clips[0].sound is not None
    assert clips[0].sound.shape == (2, 4 * RATE)
    refused("no folder", open_folder, tmp_path / "three")


@pytest.mark.slow
def test_the_report_has_scores_a_row_for_each_object_and_a_figure():
    truth, azimuth = walk()
    report, figure = alignment_report(placed(azimuth, STEPS), RATE, truth.tracks)
    assert report["placement"] > 0.9
    assert report["law"] == "rooms"
    assert report["rows"][0]["object"] == 1
    assert report["onset_f1"] is None
    assert figure.shape == (900, 1100, 3)
    assert len(np.unique(figure.reshape(-1, 3), axis=0)) > 20
    timed, _ = alignment_report(placed(azimuth, STEPS), RATE, truth.tracks, reference=placed(azimuth, STEPS))
    assert timed["onset_f1"] == 1.0
    silent, _ = alignment_report(np.zeros((2, 4 * RATE)), RATE, Tracks((), duration=DURATION))
    assert silent["placement"] is None
    assert silent["silent"]
