"""Walking rooms: archives, plans, shards, and, where the game engine is installed, what it makes of a plan."""

import dataclasses
import re
import signal
import struct
import subprocess
import sys
import time

import numpy as np
import pytest

from research.rooms import shards
from research.rooms.acoustics import in_room
from research.rooms.camera import bearing, screen_azimuth
from research.rooms.recipe import SPLITS, make_plan, plan_archive, plan_sounds
from research.rooms.record import Recording, missing_engine, record
from research.rooms.room import FLOORS, Lump, dmx_sound, make_room, textmap, wad
from research.rooms.rooms import RoomSet, engine_gains, place_voices
from research.rooms.shards import generate
from research.rooms.voices import PREROLL, TIC
from research.rooms.walkers import PEOPLE, sound_lumps
from stereosync_core.media.video import probe
from stereosync_core.rendering.analysis import level_difference, placement_correlation
from stereosync_core.rendering.surfaces import SURFACES
from tests.errors import refused, stopped
from tools.environment import ROOT

pytestmark = pytest.mark.slow

needs_engine = pytest.mark.skipif(missing_engine() is not None, reason=f"no engine for rooms: {missing_engine()}")


def lumps_of(data: bytes) -> list[Lump]:
    magic, count, place = struct.unpack("<4sii", data[:12])
    assert magic == b"PWAD"
    rows = [struct.unpack("<ii8s", data[place + 16 * n : place + 16 * n + 16]) for n in range(count)]
    return [Lump(name.rstrip(b"\0").decode(), data[start : start + size]) for start, size, name in rows]


def pretended(plan) -> Recording:
    """What a recording looks like, without the engine."""
    generator = np.random.default_rng(plan.number)
    count, tics = len(plan.walkers), plan.tics
    boxes = np.tile(np.array([0.4, 0.3, 0.5, 0.8], dtype=np.float32), (count, tics, 1))
    boxes[0, : tics // 2] = np.nan
    path, angle = plan.camera.path[PREROLL:], plan.camera.angle[PREROLL:, None]
    return Recording(
        frames=np.full((-(-tics // 2), 240, 320, 3), 90, dtype=np.uint8),
        depth=generator.integers(1, 128, (-(-tics // 7), 60, 80)).astype(np.uint8),
        sound=generator.integers(-999, 999, (2, tics * 1260)).astype(np.int16),
        boxes=boxes,
        places=np.stack([walker.path[PREROLL:] for walker in plan.walkers]).astype(np.float32) / 32,
        camera=np.concatenate([path / 32, angle], 1).astype(np.float32),
        peak=0.25,
    )


def pretend_engine(patch, record=pretended):
    """Rooms are made without the engine, two clips a shard."""
    patch.setattr(shards, "SHARD_CLIPS", 2)
    patch.setattr(shards.engine, "record", record)
    patch.setattr(shards.engine, "missing_engine", lambda: None)
    patch.setattr(shards.engine, "versions", lambda: {"engine": "none"})


@pytest.fixture
def no_engine(monkeypatch):
    pretend_engine(monkeypatch)


def test_an_archive_holds_its_lumps_in_order():
    lumps = [Lump("MAP01"), Lump("TEXTMAP", b"abc"), Lump("ENDMAP")]
    assert lumps_of(wad(lumps)) == lumps
    refused("TOOLONGNAME", wad, [Lump("TOOLONGNAME")])


def test_a_sound_lump_is_eight_bits_around_128():
    data = dmx_sound(np.array([0.0, 1.0, -1.0, 2.0]), 44100)
    assert struct.unpack("<HHI", data[:8]) == (3, 44100, 4)
    assert list(data[8:]) == [128, 255, 1, 255]


def test_two_lumps_together_give_a_step_sixteen_bits():
    walker = make_plan("train", 0, 2).walkers[0]
    step = walker.single_sounds(walker.strengths)[0]
    lumps, lines = sound_lumps(0, [step])
    parts = [(np.frombuffer(lump.data[8:], dtype=np.uint8).astype(float) - 128) / 127 for lump in lumps[:2]]
    volumes = [float(line.split()[-1]) for line in lines if line.startswith("$volume step/0/0/")]
    played = 0.5 * (volumes[0] * parts[0] + volumes[1] * parts[1])
    assert np.abs(played - step).max() < 2**-15
    assert np.abs(0.5 * volumes[0] * parts[0] - step).max() > 2**-11, "one lump alone has eight"


def test_every_surface_of_the_synthesizer_has_floors():
    assert set(FLOORS) == set(SURFACES)


def test_rooms_are_closed_and_what_is_clear_is_inside_them():
    for seed in range(12):
        room = make_room(np.random.default_rng(seed), "wood")
        points = np.random.default_rng(1).uniform(-500, 500, (200, 2))
        clear = room.clear(points, 20)
        low, high = room.outline.min(0), room.outline.max(0)
        assert ((points[clear] > low + 19) & (points[clear] < high - 19)).all()
        for x0, y0, x1, y1 in room.pillars:
            assert not room.clear(np.array([[(x0 + x1) / 2, (y0 + y1) / 2]]), 0).any()
        text = textmap(room, []).decode()
        vertices = [tuple(map(float, xy)) for xy in re.findall(r"vertex \{ x = (\S+); y = (\S+); \}", text)]
        ends = [tuple(map(int, pair)) for pair in re.findall(r"v1 = (\d+); v2 = (\d+)", text)]
        sides, sectors = text.count("sidedef {"), text.count("sector {")
        assert sectors == 1 + len(room.doors)
        assert max(map(int, re.findall(r"side(?:front|back) = (\d+)", text))) == sides - 1
        assert max(map(int, re.findall(r"sector = (\d+)", text))) == sectors - 1
        starts, stops = ([vertices[end[which]] for end in ends] for which in (0, 1))
        assert set(starts) == set(stops), "where one wall ends another begins"


def test_a_seed_gives_one_plan_and_splits_share_none():
    assert plan_archive(make_plan("train", 3, 5)) == plan_archive(make_plan("train", 3, 5))
    seeds = {split: {w.sound_seed for n in range(8) for w in make_plan(split, 3, n).walkers} for split in SPLITS}
    assert {split: {seed >> 60 for seed in values} for split, values in seeds.items()} == {
        split: {place} for place, split in enumerate(SPLITS)
    }
    outlines = {make_plan(split, 3, 5).room.outline.tobytes() for split in SPLITS}
    assert len(outlines) == len(SPLITS)


def test_walkers_keep_off_walls_and_camera_and_step_on_landing_frames():
    kinds = set()
    for number in range(12):
        plan = make_plan("train", 1, number)
        kinds.add(plan.camera.kind)
        for walker in plan.walkers:
            assert plan.room.clear(walker.path, 17).all()
            assert np.linalg.norm(walker.path - plan.camera.path, axis=1).min() >= 72
            if walker.kind != "step":
                continue
            assert set(walker.frames[walker.step_tics]) <= {0, 2}
            assert (np.diff(walker.step_tics) >= 12).all()
            assert walker.sprite in PEOPLE
    assert kinds == {"fixed", "pan", "follow"}


def test_single_sounds_are_the_voice_cut_apart():
    seen = set()
    for number in range(40):
        plan = make_plan("train", 0, number)
        for walker, sounds in zip(plan.walkers, plan_sounds(plan), strict=True):
            seen.add((bool(walker.takes), walker.loop))
            voice = walker.render(walker.step_tics - PREROLL, walker.strengths, plan.duration)
            if walker.loop:
                assert len(sounds) == 1
                assert np.array_equal(sounds[0][-len(voice) :], voice)
                continue
            starts = (walker.step_tics - PREROLL) * TIC
            for start, sound, until in zip(starts, sounds, [*starts[1:], len(voice)], strict=True):
                if start == starts[0]:
                    assert np.array_equal(voice[start : start + len(sound)][: until - start], sound[: until - start])
            assert all(0 < np.abs(sound).max() <= 0.5 for sound in sounds)
    assert seen == {(False, False), (True, False), (True, True)}


def test_wrong_numbers_are_named():
    refused("holdout", make_plan, "holdout", 0, 0)
    refused("seconds", make_plan, "train", 0, 0, seconds=0.1)


def test_what_is_to_the_right_has_a_positive_bearing_and_azimuth():
    camera, north = np.zeros(2), np.pi / 2
    sides = bearing(camera, north, np.array([[10.0, 10.0], [-10.0, 10.0], [0.0, 10.0], [10.0, -10.0]]))
    assert np.rad2deg(sides) == pytest.approx([45, -45, 0, 135])
    assert screen_azimuth(sides) == pytest.approx([1, -1, 0, 1])


def test_gains_follow_place_and_distance():
    camera = np.tile([0.0, 0.0, np.pi / 2], (3, 1))
    gains = engine_gains(camera, np.array([[0.0, 4.0], [0.0, 8.0], [5.0, 5.0]]))
    level = 20 * np.log10(gains)
    assert level[0, 0] == pytest.approx(level[1, 0])
    assert level[0, 0] - level[0, 1] == pytest.approx(6.02, abs=0.01)
    assert level[1, 2] - level[0, 2] == pytest.approx(22, abs=1), "at the frame's edge"
    assert place_voices(np.ones((1, 3780)), gains[None]).shape == (2, 3780)


def damaged(folder) -> list[str]:
    """Shards that differ from the manifest's checksums."""
    shards_of = RoomSet(folder).manifest["shards"]
    return [row["file"] for row in shards_of if shards.sha256(folder / row["file"]) != row["sha256"]]


def test_a_set_gives_back_what_was_written(tmp_path, no_engine):
    generate(tmp_path, "train", 4, 3, seconds=2.0)
    rooms = RoomSet(tmp_path / "train")
    assert not damaged(tmp_path / "train")
    assert len(rooms) == 3
    assert [clip.number for clip in rooms] == [0, 1, 2]
    clip, plan = rooms[-1], make_plan("train", 4, 2, 2.0)
    raw = pretended(plan)
    assert np.array_equal(np.rint(clip.sound * 32768), raw.sound)
    assert clip.duration == 2.0
    assert np.array_equal(clip.visible, np.isfinite(raw.boxes[..., 0]))
    assert clip.tracks.tracks[0].start == pytest.approx(1.0)
    assert clip.depth.maps.shape == (10, 60, 80)
    assert clip.seeds == tuple(walker.sound_seed for walker in plan.walkers)
    assert [len(own) for own in clip.steps] == [len(walker.step_tics) for walker in plan.walkers]
    walker = plan.walkers[0]
    assert np.array_equal(clip.voices()[0], walker.render(walker.step_tics - PREROLL, walker.strengths, 2.0))
    expected = np.linalg.norm(plan.walkers[0].path[PREROLL:] - plan.camera.path[PREROLL:], axis=1) / 32
    assert clip.distance[0] == pytest.approx(expected, abs=1e-3)
    times, frames = clip.frames()
    assert frames.shape == (35, 240, 320, 3)
    assert times[1] == pytest.approx(2 / 35)
    assert not clip.all_visible
    quiet, first = clip.full_mix(only_visible=True), ~clip.steps_visible[0]
    assert np.abs(quiet).sum() < np.abs(clip.full_mix()).sum()
    assert first.any()
    info = probe(clip.as_video(tmp_path / "clip.mp4"))
    assert info.has_audio
    assert info.duration == pytest.approx(2.0)


def test_a_stopped_run_goes_on_and_ends_in_the_same_bytes(tmp_path, no_engine):
    whole = generate(tmp_path / "a", "test", 0, 5, seconds=1.0)
    stopped(generate, tmp_path / "b", "test", 0, 5, seconds=1.0, after=1)
    folder = tmp_path / "b" / "test"
    assert RoomSet(folder).manifest["clips"] == 2
    # a shard that the manifest does not know yet, and one that was cut short on the disk
    shards.write_shard(folder / "rooms-00001.zip", [(p, pretended(p)) for p in (make_plan("test", 0, n, 1.0) for n in (2, 3))])
    (folder / "rooms-00000.zip").write_bytes((folder / "rooms-00000.zip").read_bytes()[:5000])
    assert damaged(folder) == ["rooms-00000.zip"]
    assert generate(tmp_path / "b", "test", 0, 5, seconds=1.0) == whole
    assert not damaged(folder)


def test_more_clips_are_added_to_a_set_and_another_set_is_not_overwritten(tmp_path, no_engine):
    generate(tmp_path / "a", "train", 0, 3, seconds=1.0)
    grown = generate(tmp_path / "a", "train", 0, 5, seconds=1.0)
    assert grown == generate(tmp_path / "b", "train", 0, 5, seconds=1.0)
    assert generate(tmp_path / "a", "train", 0, 2, seconds=1.0) == grown, "asking for fewer takes nothing away"
    refused("seed is 0, but 1 is wanted", generate, tmp_path / "a", "train", 1, 5, seconds=1.0)


def test_a_killed_process_leaves_nothing_that_hinders_the_next(tmp_path, no_engine):
    code = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "import pytest\n"
        "from tests.unit.test_rooms import generate, pretend_engine, pretended\n"
        "pretend_engine(pytest.MonkeyPatch(), lambda plan: time.sleep(0.3) or pretended(plan))\n"
        "generate(Path(sys.argv[1]), 'valid', 7, 6, seconds=1.0)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "killed")], cwd=ROOT)
    first = tmp_path / "killed" / "valid" / "rooms-00000.zip"
    deadline = time.monotonic() + 60
    while not first.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)
    process.wait()
    assert first.exists()
    again = generate(tmp_path / "killed", "valid", 7, 6, seconds=1.0)
    assert again == generate(tmp_path / "whole", "valid", 7, 6, seconds=1.0)


def test_a_folder_without_rooms_and_a_damaged_clip_are_named(tmp_path, no_engine):
    refused("make-rooms", RoomSet, tmp_path)
    generate(tmp_path, "train", 0, 1, seconds=1.0)
    path = tmp_path / "train" / "rooms-00000.zip"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 255
    path.write_bytes(bytes(data))
    refused("damaged", RoomSet(tmp_path / "train").__getitem__, 0)
    path.unlink()
    refused("cannot be read", RoomSet(tmp_path / "train").__getitem__, 0)


def test_without_the_engine_the_error_names_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(shards.engine, "missing_engine", lambda: "the package vizdoom is not installed")
    refused("vizdoom", generate, tmp_path, "train", 0, 1)


def crosses(plan) -> bool:
    """Whether a single walker is in the picture all the time, and crosses most of it."""
    if len(plan.walkers) > 1 or plan.walkers[0].kind != "step" or len(plan.room.pillars):
        return False
    places = screen_azimuth(bearing(plan.camera.path, plan.camera.angle, plan.walkers[0].path))
    return bool(np.abs(places).max() < 0.85 and np.ptp(places) > 1.1)


@pytest.fixture(scope="module")
def crossing():
    if missing_engine() is not None:
        pytest.skip(f"no engine for rooms: {missing_engine()}")
    plan = next(filter(crosses, (make_plan("valid", 0, number) for number in range(500))))
    return plan, record(plan)


def test_the_engine_plays_a_plan_the_same_each_time(crossing):
    plan, first = crossing
    second = record(plan)
    for one in dataclasses.fields(Recording):
        assert np.array_equal(getattr(first, one.name), getattr(second, one.name), equal_nan=one.name == "boxes"), one.name


def test_the_engine_s_mix_places_a_walker_where_the_picture_shows_them(crossing):
    plan, made = crossing
    middle = made.boxes[0, :, 0] + made.boxes[0, :, 2] - 1
    assert np.isfinite(middle).all()
    assert np.ptp(middle) > 1
    sound = made.sound.astype(np.float32) / 32768
    assert placement_correlation(sound, 44100, lambda times: np.interp(times, np.arange(plan.tics) / 35, middle)) >= 0.9
    places = screen_azimuth(bearing(made.camera[:, :2], made.camera[:, 2], made.places[0]))
    assert np.abs(places - middle).mean() < 0.05
    assert sound.max() < 0.9, "out of the limiter"


def test_steps_sound_when_the_plan_says(crossing):
    plan, made = crossing
    energy = (made.sound.astype(float) ** 2).sum(0)
    for moment in plan.walkers[0].steps().times:
        start = round(moment * 44100)
        before, after = energy[max(start - 400, 0) : start + 20].mean(), energy[start + 20 : start + 1300].mean()
        assert after > 4 * before + 1


def test_our_own_mix_obeys_the_engine_s_law(crossing):
    plan, made = crossing
    voices = np.stack([walker.render(walker.step_tics - PREROLL, walker.strengths, plan.duration) for walker in plan.walkers])
    ours = place_voices(voices, np.stack([engine_gains(made.camera, place) for place in made.places]))
    distance = np.linalg.norm(made.places - made.camera[:, :2], axis=-1)
    ours = in_room(ours, voices, distance, plan.acoustics, made.peak)
    _, side, level, sounding = level_difference(made.sound.astype(np.float32) / 32768, 44100)
    _, our_side, our_level, _ = level_difference(ours, 44100)
    assert np.abs(side - our_side)[sounding].mean() < 0.6
    assert np.abs(level - our_level)[sounding].mean() < 0.6


@needs_engine
def test_several_processes_make_the_same_shard(tmp_path):
    one = generate(tmp_path / "one", "test", 2, 2, seconds=0.6)
    assert generate(tmp_path / "two", "test", 2, 2, seconds=0.6, workers=2) == one
