"""Sounds of rooms: which recordings a split has, how they are changed, what the room adds, other sources than steps."""

import dataclasses

import numpy as np
import pytest

from research.rooms.acoustics import bed, draw_acoustics, impulse_response, in_room
from research.rooms.effects import equalise, layered, shift_pitch
from research.rooms.recipe import MOST_ACTORS, SPLITS, make_plan
from research.rooms.record import missing_engine, record
from research.rooms.room import make_room
from research.rooms.rooms import RoomSet, engine_gains, place_voices
from research.rooms.shards import generate
from research.rooms.sources import source_classes
from research.rooms.takes import deal, draw_takes, samples_in, sounds_for
from research.rooms.voices import PREROLL, Voice
from stereosync_core.rendering.analysis import level_difference
from stereosync_core.rendering.surfaces import SURFACES
from stereosync_core.sounds.library import SoundLibrary, bundled_library
from tests.errors import refused
from tests.unit.test_rooms import pretended

pytestmark = pytest.mark.slow
RATE = 44100
needs_engine = pytest.mark.skipif(missing_engine() is not None, reason=f"no engine for rooms: {missing_engine()}")


@pytest.fixture(scope="module")
def plans():
    return [make_plan("train", 0, number) for number in range(150)]


def test_a_recording_of_one_split_is_in_no_other():
    sounds = bundled_library().sounds
    dealt = deal(sounds)
    assert dealt.keys() == {sound.name for sound in sounds}
    assert deal(sounds[::-1]) == dealt
    by_group: dict = {}
    splits_of: dict = {}
    for sound in sounds:
        by_group.setdefault((sound.category, sound.surface, sound.loop, sound.synthesised), set()).add(sound.recording)
        splits_of.setdefault(sound.recording, set()).add(dealt[sound.name])
    enough = {recording for group in by_group.values() if len(group) >= 3 for recording in group}
    few = {recording for group in by_group.values() if len(group) < 3 for recording in group}
    assert len(enough) > 60
    assert {recording for recording in enough - few if len(splits_of[recording]) > 1} == set()
    shares = [sum(split_of == {split} for recording, split_of in splits_of.items() if recording in enough) for split in SPLITS]
    assert [share / sum(shares) for share in shares] == pytest.approx([0.7, 0.1, 0.2], abs=0.12)
    for surface in SURFACES:  # every split has takes for the surfaces that have three or more
        takes = [
            sound for sound in sounds if (sound.category, sound.surface, sound.synthesised) == ("footstep", surface, False)
        ]
        if len(takes) >= 3:
            assert all(any(not one.synthesised for one in sounds_for(split, "footstep", surface)) for split in SPLITS)


def test_what_a_split_s_plans_play_is_that_split_s():
    dealt = deal(bundled_library().sounds)
    for split in SPLITS:
        plans = [make_plan(split, 0, number) for number in range(40)]
        takes = [take for plan in plans for walker in plan.walkers for take in walker.takes]
        assert len(takes) > 50
        assert {dealt[take.sound] for take in takes} == {split}


def test_walkers_have_recorded_and_synthesised_steps_and_other_sources_are_in_two_fifths_of_the_rooms(plans):
    people = [walker for plan in plans for walker in plan.walkers if walker.kind == "step"]
    could = [walker for walker in people if any(not one.synthesised for one in sounds_for("train", "footstep", walker.surface))]
    assert np.mean([bool(walker.takes) for walker in could]) == pytest.approx(0.6, abs=0.12)
    others = [sum(walker.kind != "step" for walker in plan.walkers) for plan in plans]
    assert np.mean([count > 0 for count in others]) == pytest.approx(0.4, abs=0.12)
    assert np.mean([count == len(plan.walkers) for count, plan in zip(others, plans, strict=True)]) == pytest.approx(
        0.1, abs=0.07
    )
    assert max(len(plan.walkers) for plan in plans) == MOST_ACTORS
    for walker in people:
        assert (
            len({sound.recording for sound in bundled_library().sounds if sound.name in {t.sound for t in walker.takes}}) <= 1
        )
        assert len(walker.takes) in (0, len(walker.step_tics))
    sources = [walker for plan in plans for walker in plan.walkers if walker.kind != "step"]
    assert len({walker.category for walker in sources}) > 12
    assert {walker.kind for walker in sources} == {"onset", "impact", "landing"}
    for walker in sources:
        assert len(walker.step_tics) == (0 if walker.loop else len(walker.takes))
        assert (walker.heights[walker.step_tics] == 0).all(), "what leaves the floor comes down at its events"


def test_every_class_on_every_surface_can_be_drawn():
    assert {("landing", False)} <= set(source_classes("train", "wood"))
    assert not {"footstep", "wind", "rain"} & {
        category for surface in SURFACES for category, _ in source_classes("train", surface)
    }


def test_pitch_moves_frequencies_and_keeps_the_attack():
    tone = np.sin(2 * np.pi * 1000 * np.arange(RATE) / RATE + 0.7)
    for semitones in (-3, 1.5, 12):
        shifted = shift_pitch(tone, semitones)
        spectrum = np.abs(np.fft.rfft(shifted * np.hanning(len(shifted)), 4 * RATE))
        assert np.argmax(spectrum) / 4 == pytest.approx(1000 * 2 ** (semitones / 12), rel=0.002)
        assert shifted[0] == pytest.approx(tone[0], abs=1e-6)
    loop = np.sin(2 * np.pi * 50 * np.arange(4410) / 4410)
    twice = np.tile(shift_pitch(loop, 2.3, loop=True), 2)
    assert np.abs(np.diff(twice, 2)).max() < 1.2 * np.abs(np.diff(twice[: len(twice) // 2], 2)).max(), "no click at the seam"


def test_the_equaliser_gives_the_decibels_that_are_set():
    impulse = np.zeros(8192)
    impulse[0] = 1
    answer = np.abs(np.fft.rfft(equalise(impulse, RATE, low=6, middle=(1000, -5), high=4)))
    level = 20 * np.log10(answer[[round(hertz * 8192 / RATE) for hertz in (30, 1000, 15000)]])
    assert level == pytest.approx([6, -5, 4], abs=0.4)
    assert equalise(impulse, RATE) == pytest.approx(impulse, abs=1e-6)


def test_a_layer_lies_under_a_sound_by_its_decibels():
    both = layered(np.array([0.5, 0.0]), np.array([0.0, 0.0, -0.2]), -6)
    assert both == pytest.approx([0.5, 0, -0.5 * 10 ** (-6 / 20)])


def test_takes_go_in_turn_and_follow_strength():
    sounds = sounds_for("train", "door")
    recording = max({one.recording for one in sounds}, key=lambda name: sum(one.recording == name for one in sounds))
    own = [one for one in sounds if one.recording == recording]
    takes = draw_takes(np.random.default_rng(3), own, np.linspace(0.3, 0.9, 2 * len(own)))
    assert [take.sound for take in takes[: len(own)]] == [take.sound for take in takes[len(own) :]]
    assert len({take.sound for take in takes}) == len(own)
    assert np.ptp([take.semitones for take in takes]) <= 2
    voice = Voice("wood", "sneaker", 0.5, 1, takes)
    peaks = [np.abs(sound).max() for sound in voice.single_sounds(np.linspace(0.3, 0.9, 2 * len(own)))]
    levels = 20 * np.log10(np.array(peaks) / (0.5 * np.linspace(0.3, 0.9, 2 * len(own))))
    assert levels == pytest.approx([take.level for take in takes], abs=0.01)
    refused("no_such_sound", samples_in().__getitem__, "no_such_sound")


@pytest.fixture(scope="module")
def answers():
    generator = np.random.default_rng(5)
    rooms = [make_room(generator, surface) for surface in ("wood", "grass") for _ in range(150)]
    return [
        draw_acoustics(generator, room, np.array([60.0, 0]), np.pi, np.array([-40.0, 30]), n) for n, room in enumerate(rooms)
    ]


def test_a_room_s_answer_is_as_drawn(answers):
    assert np.mean([answer.wet < -35 for answer in answers]) == pytest.approx(0.25, abs=0.07)
    assert all(0.15 <= answer.t60 <= 0.9 and 6 <= len(answer.reflections) <= 10 for answer in answers)
    direct = 1.57 * (64 / 96) * np.sqrt(2) * 0.5957
    for answer in answers[:8]:
        response = impulse_response(answer)
        level = 10 * np.log10((response**2).sum()) - 20 * np.log10(direct)
        assert level == pytest.approx(answer.wet, abs=1.5)
        assert np.abs(response[:, :44]).max() < 1e-6 * np.abs(response).max(), "nothing comes before the direct sound"
        tail = response[:, round((answer.reflections[-1][0] + 0.02) * RATE) :]
        if tail.shape[1] > 4000:
            assert abs(np.corrcoef(tail)[0, 1]) < 0.25, "another tail on either side"
            left = np.cumsum(tail[:, ::-1] ** 2, axis=1)[:, ::-1].sum(0)
            decay = 10 * np.log10(left / left[0])
            first, last = np.argmax(decay < -5), np.argmax(decay < -20)
            assert 4 * (last - first) / RATE == pytest.approx(answer.t60, rel=0.35)


def test_the_bed_lies_under_the_peak_and_differs_between_the_sides(answers):
    for answer in answers[:5]:
        noise = bed(answer, 4 * RATE, 0.5)
        level = 20 * np.log10(np.sqrt((noise**2).mean()) / 0.5)
        assert level == pytest.approx(answer.bed, abs=0.1)
        assert -60 <= answer.bed <= -45
        assert 0.2 < np.corrcoef(noise)[0, 1] < 0.8
    assert np.array_equal(bed(answers[0], 3780, 0.5), bed(answers[0], 3780, 0.5))


def test_reflected_sound_falls_half_as_fast_as_the_direct_sound(answers):
    answer = dataclasses.replace(next(one for one in answers if one.wet > -25), bed=-200.0)
    voice = np.zeros((1, 3 * 1260 * 35), np.float32)
    voice[0, 500] = 0.5
    levels = [
        10 * np.log10((in_room(np.zeros((2, voice.shape[1])), voice, np.full((1, 105), metres), answer, 0.5) ** 2).sum())
        for metres in (3.0, 12.0)
    ]
    assert levels[0] - levels[1] == pytest.approx(6.02, abs=0.1)


@pytest.fixture(scope="module")
def mixed(plans):
    """Plans of walkers and a loop, and of sources alone with events. The loop is no tone: the engine shifts a moving one by
    Doppler, which then beats otherwise with its reflections than in our own mix."""
    loops = (plan for plan in plans if {(w.kind, w.loop) for w in plan.walkers} == {("step", False), ("onset", True)})
    loop = next(plan for plan in loops if plan.walkers[-1].category in ("fire", "stream", "water", "machine", "car", "train"))
    alone = next(plan for plan in plans if all(w.kind != "step" and len(w.step_tics) > 2 for w in plan.walkers))
    return dataclasses.replace(loop, number=0), dataclasses.replace(alone, number=1)


def test_events_have_owner_kind_and_strength(tmp_path, mixed, monkeypatch):
    monkeypatch.setattr("research.rooms.shards.engine.missing_engine", lambda: None)
    monkeypatch.setattr("research.rooms.shards.engine.record", pretended)
    monkeypatch.setattr("research.rooms.shards.make_plan", lambda split, seed, number, seconds: mixed[number])
    generate(tmp_path, "train", 0, 2)
    loop, alone = RoomSet(tmp_path / "train")
    which = loop.loops.index(True)
    lasting = [one.lasts for one in loop.truth().objects or ()]
    assert [seconds == np.inf for seconds in lasting] == list(loop.loops)
    assert len(loop.steps[which]) == 0
    assert loop.labels[which] == loop.facts["walkers"][which]["category"]
    assert {event.kind for event in loop.events()} == {"step"}
    assert all((event.track is None) == (event.time < 2) for event in loop.events() if event.track in (None, 1))
    plan = mixed[1]
    wanted = sorted((tic - PREROLL) / 35 for walker in plan.walkers for tic in walker.step_tics)
    assert alone.events().times == pytest.approx(wanted)
    assert len(alone.events(only_visible=True)) < len(wanted)
    assert {event.kind for event in alone.events()} == {walker.kind for walker in plan.walkers}
    assert all(event.foot is None for event in alone.events())
    for walker, voice in zip(plan.walkers, alone.voices(), strict=True):
        assert np.array_equal(voice, walker.render(walker.step_tics - PREROLL, walker.strengths, plan.duration))
    monkeypatch.setattr("research.rooms.takes.bundled_library", lambda: SoundLibrary(()))
    samples_in.cache_clear()
    assert RoomSet(tmp_path / "train")[0].voices()[which].any(), "a set keeps its sounds when the library changes"
    hidden = loop.voices(only_visible=True)[0]
    assert not hidden[: round(1.8 * RATE)].any()


@needs_engine
def test_the_engine_plays_sources_and_loops_as_our_own_mix_does(mixed):
    for plan in mixed:
        made = record(plan)
        voices = np.stack([w.render(w.step_tics - PREROLL, w.strengths, plan.duration) for w in plan.walkers])
        distance = np.linalg.norm(made.places - made.camera[:, :2], axis=-1)
        moves = np.linalg.norm(np.diff(made.places, axis=1, append=made.places[:, -1:]), axis=-1) > 1e-3
        dry = place_voices(voices, np.stack([engine_gains(made.camera, place) for place in made.places]), moves)
        ours = in_room(dry, voices, distance, plan.acoustics, made.peak)
        _, side, level, sounding = level_difference(made.sound.astype(np.float32) / 32768, RATE)
        _, our_side, our_level, _ = level_difference(ours, RATE)
        assert np.abs(side - our_side)[sounding].mean() < 0.6
        assert np.abs(level - our_level)[sounding].mean() < 0.6
