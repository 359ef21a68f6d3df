"""Recorded sounds at events: in time to a sample, of the right class, none twice in a row; loops that follow."""

import itertools
import json

import numpy as np
import pytest

from stereosync_core.__main__ import main
from stereosync_core.assets import WALKING_CLIP, asset_path
from stereosync_core.media.sound import Sound, write_sound
from stereosync_core.rendering.loops import ENGINES
from stereosync_core.rendering.one_shots import OneShotSettings, sound_voices
from stereosync_core.rendering.surfaces import SURFACES
from stereosync_core.scene import Track, Tracks
from stereosync_core.scene_events import EVENT_KINDS, Event, Events
from stereosync_core.sounds.folder import folder_library
from stereosync_core.sounds.library import bundled_library
from stereosync_core.sounds.selection import SoundSelection, chosen_library, joined
from stereosync_core.sounds.shape import RATE
from tests.errors import refused

SECONDS = 4.0
BUNDLED = SoundSelection(bundled_library())


def scene(*labels):
    """Things at rest, one for each label, with ids from 1."""
    box = [0.4, 0.3, 0.5, 0.8]
    return Tracks(tuple(Track(n, label, [0.0, SECONDS], [box, box]) for n, label in enumerate(labels, 1)), SECONDS, 16 / 9)


def driving(label="car", start=0.0, end=SECONDS, speed=0.25, approach=0.0):
    times = np.arange(start, end, 0.1)
    half = 0.1 * np.exp(approach * times)
    boxes = np.stack([speed * times - 0.1, 0.5 - half, speed * times + 0.1, 0.5 + half], axis=1)
    return Tracks((Track(1, label, times, boxes),), SECONDS, 16 / 9)


def events(*these):
    return Events(these, SECONDS)


def steps(count=7, track=1, **more):
    return events(*(Event(0.3 + 0.5 * n, "step", track, **more) for n in range(count)))


def attack(voice):
    return int(np.flatnonzero(np.abs(voice) > 1e-6)[0])


def level(part):
    return 20 * np.log10(np.sqrt((part**2).mean()) + 1e-9)


def own_sound(rate=RATE, count=3, frequency=700.0):
    time = np.arange(round(0.4 * rate)) / rate
    return Sound(np.tile(0.5 * np.cos(2 * np.pi * frequency * time) * np.exp(-time / 0.04), count)[None], rate)


@pytest.mark.parametrize("rate", [44100, 48000])
@pytest.mark.parametrize("kind", EVENT_KINDS)
@pytest.mark.parametrize("label", ["person", "dog", "sports ball", "bottle", "car"])
def test_the_attack_is_on_the_event_to_a_sample(rate, kind, label):
    settings = OneShotSettings(rate=rate, offset=0.03, continuous="off")
    voices, played = sound_voices(events(Event(0.7123, kind, 1)), scene(label), BUNDLED, settings)
    assert [voice.shape for voice in voices] == [(1, round(SECONDS * rate))]
    assert voices[0].dtype == np.float32
    assert attack(voices[0][0]) == round(0.7423 * rate)
    assert len(played[0]) == 1


@pytest.mark.parametrize(
    ("label", "kind", "begins"),
    [
        ("person", "step", "footstep_snow"),
        ("person", "landing", "landing_snow"),
        ("person", "clap", "clap"),
        ("person", "impact", "hit"),
        ("person", "onset", "hit"),
        ("sports ball", "impact", "sports_ball"),
        ("bottle", "impact", "glass"),
        ("chair", "impact", "wood_hit"),
        ("car", "impact", "crash"),
        ("dog", "onset", "dog"),
        ("dog", "impact", "hit"),
        ("giraffe", "onset", "hit"),
    ],
)
def test_the_class_comes_from_label_and_kind(label, kind, begins):
    settings = OneShotSettings(surface="snow", continuous="off")
    _, played = sound_voices(events(Event(1.0, kind, 1)), scene(label), BUNDLED, settings)
    assert played[0][0][1].startswith(begins)


@pytest.mark.parametrize("surface", list(SURFACES))
def test_no_take_comes_twice_in_a_row_and_a_walker_keeps_his_shoes(surface):
    many = Events(tuple(Event(0.1 * n, "step", 1) for n in range(39)), SECONDS)
    _, played = sound_voices(many, scene("person"), BUNDLED, OneShotSettings(surface=surface))
    names = [name for _, name in played[0]]
    assert all(one != other for one, other in itertools.pairwise(names))
    recordings = {sound.name: sound for sound in bundled_library().sounds}
    assert len({recordings[name].recording for name in names}) == 1
    assert recordings[names[0]].synthesised == (surface == "tile")
    assert len(set(names)) >= 3


def test_two_walkers_wear_different_shoes_and_a_seed_is_a_choice():
    both = events(*steps(7, 1), *steps(7, 2))
    voices, played = sound_voices(both, scene("person", "person"), BUNDLED)
    first, second = ({name.rpartition("_")[0] for _, name in own} for own in played)
    assert first.isdisjoint(second)
    again, _ = sound_voices(both, scene("person", "person"), BUNDLED)
    np.testing.assert_array_equal(np.stack(voices), np.stack(again))
    other, _ = sound_voices(both, scene("person", "person"), BUNDLED, OneShotSettings(seed=1))
    assert np.abs(np.stack(voices) - np.stack(other)).max() > 0.01


def test_a_weak_step_is_softer_and_duller():
    settings = OneShotSettings(surface="gravel", pitch=0.0, gain=0.0)
    loud, soft = (sound_voices(steps(1, strength=one), scene("person"), BUNDLED, settings)[0][0][0] for one in (1.0, 0.25))
    assert level(loud) - level(soft) > 12
    spectra = [np.abs(np.fft.rfft(voice)) ** 2 for voice in (loud, soft)]
    edge = round(4000 * SECONDS)
    treble = [spectrum[edge:].sum() / spectrum[:edge].sum() for spectrum in spectra]
    assert treble[0] > 2 * treble[1]


def test_without_jitter_the_take_sounds_as_it_is_in_the_library():
    settings = OneShotSettings(rate=RATE, pitch=0.0, gain=0.0)
    voices, played = sound_voices(steps(1, strength=1.0), scene("person"), BUNDLED, settings)
    sound = next(one for one in bundled_library().sounds if one.name == played[0][0][1])
    samples = bundled_library().samples(sound)
    start = round(0.3 * RATE)
    np.testing.assert_allclose(voices[0][0, start : start + len(samples)], samples, atol=1e-6)


def test_a_toe_is_a_second_softer_contact_and_off_at_first():
    heel, both = (sound_voices(steps(1), scene("person"), BUNDLED, OneShotSettings(toe=toe))[0][0][0] for toe in (0.0, 1.0))
    toe = both - heel
    assert 0.07 < attack(toe) / 48000 - 0.3 < 0.14
    assert -25 < level(toe) - level(heel) < -4


def test_what_is_nobodys_goes_to_the_first_and_without_tracks_to_one_voice():
    voices, _ = sound_voices(events(Event(1.0, "step", None)), scene("person", "person"), BUNDLED)
    assert voices[0][0].any()
    assert not voices[1].any()
    assert len(sound_voices(events(Event(1.0)), scene(), BUNDLED)[0]) == 1
    assert not sound_voices(events(), scene("person"), BUNDLED)[0][0].any()
    assert not sound_voices(events(Event(1.0, "step", 1, strength=0.0)), scene("person"), BUNDLED)[0][0].any()


def test_a_thing_of_engines_sounds_while_it_is_there():
    voices, played = sound_voices(events(), driving(start=1.0, end=3.0), BUNDLED)
    voice, rate = voices[0][0], 48000
    assert not voice[: round(0.7 * rate)].any()
    assert not voice[round(3.4 * rate) :].any()
    assert level(voice[round(1.5 * rate) : round(2.5 * rate)]) > -35
    assert played[0][0][1].startswith("car_")
    always, _ = sound_voices(events(), driving(start=1.0, end=3.0), BUNDLED, OneShotSettings(continuous="always"))
    assert level(always[0][0, : round(0.5 * rate)]) > -40
    assert not sound_voices(events(), driving(), BUNDLED, OneShotSettings(continuous="off"))[0][0].any()
    assert not sound_voices(events(), scene("person"), BUNDLED)[0][0].any()


@pytest.mark.parametrize("label", [label for label in ENGINES if bundled_library().of(label, loop=True)])
def test_the_faster_the_louder(label):
    slow, fast = (sound_voices(events(), driving(label, speed=speed), BUNDLED)[0][0][0] for speed in (0.0, 0.4))
    assert level(fast) > level(slow) + 3


def test_doppler_raises_what_comes_and_lowers_what_goes(tmp_path):
    """A tone as a loop, so that its pitch can be read off; a car that comes from 46 m away at 17 m/s."""
    tone = np.cos(2 * np.pi * 1000 * np.arange(2 * RATE) / RATE)[None].astype(np.float32) * 0.3
    (tmp_path / "fountain").mkdir()
    write_sound(tmp_path / "fountain" / "loop.wav", Sound(tone, RATE))
    selection = SoundSelection(folder_library(tmp_path))

    def pitch(approach, doppler):
        settings = OneShotSettings(doppler=doppler)
        voice = sound_voices(events(), driving("fountain", speed=0.0, approach=approach), selection, settings)[0][0][0]
        part = voice[48000:96000] * np.hanning(48000)
        return float(np.argmax(np.abs(np.fft.rfft(part, 480000)))) / 10

    assert pitch(0.4, False) == pytest.approx(1000, abs=1)
    assert pitch(0.4, True) > 1003
    assert pitch(-0.4, True) < 997
    assert pitch(0.0, True) == pytest.approx(1000, abs=1)


def test_a_sound_of_ones_own_goes_before_the_library_where_it_is_meant():
    both = events(Event(0.5, "onset", 1), Event(1.5, "onset", 2))
    dog = SoundSelection(bundled_library(), own=own_sound(), own_for="dog")
    played = sound_voices(both, scene("dog", "cat"), dog)[1]
    assert played[0][0][1].startswith("own ")
    assert played[1][0][1].startswith("cat_")
    everything = SoundSelection(bundled_library(), own=own_sound(192000))
    assert all(own[0][1].startswith("own ") for own in sound_voices(both, scene("dog", "cat"), everything)[1])
    engine = SoundSelection(bundled_library(), own=own_sound(), own_for="car loop")
    assert sound_voices(events(), driving(), engine)[1][0] == [(0.0, "own loop")]


def test_classes_are_chosen_in_words_the_closer_ones_first():
    classes = "impact = door, dog impact = metal_hit/rocks\nperson step=hooves, car loop = truck"
    refused("metal_hit has no recording 'rocks'; it has .*bucket", SoundSelection, bundled_library(), classes)
    selection = SoundSelection(bundled_library(), classes.replace("rocks", "bucket"))
    three = events(Event(0.5, "impact", 1), Event(1.0, "impact", 2), Event(1.5, "step", 1))
    played = sound_voices(three, scene("person", "dog"), selection)[1]
    assert played[0][0][1].startswith("door_")
    assert played[0][1][1].startswith("hooves_")
    assert played[1][0][1].startswith("metal_hit_bucket")
    assert sound_voices(events(), driving(), selection)[1][0][0][1].startswith("truck_")
    refused("is not of the form", SoundSelection, bundled_library(), "door")
    refused("no sound of the class 'unicorn'; it has .*dog", SoundSelection, bundled_library(), "impact = unicorn")


def test_a_folder_goes_before_the_bundled_sounds_class_by_class(tmp_path):
    for place in ("dog/bark.wav", "footstep/grass/a.wav"):
        (tmp_path / place).parent.mkdir(parents=True)
        write_sound(tmp_path / place, own_sound(48000))
    library = chosen_library(tmp_path)
    assert {sound.path.name for sound in library.of("dog")} == {"bark.wav"}
    assert {sound.path.name for sound in library.of("footstep", "grass")} == {"a.wav"}
    assert library.of("footstep", "wood") == bundled_library().of("footstep", "wood")
    for sound in (*library.of("dog"), library.of("cat")[0]):
        assert library.samples(sound).any()
    assert chosen_library() is bundled_library()
    alone = SoundSelection(folder_library(tmp_path))
    landing = events(Event(1.0, "landing", 1))
    voices, played = sound_voices(landing, scene("person"), alone, OneShotSettings(surface="grass"))
    assert played[0][0][1].startswith("footstep/grass")
    assert voices[0].any()
    refused("no sound of the class 'clap'; it has dog, footstep", sound_voices, events(Event(1.0, "clap", 1)), scene(), alone)
    assert joined(folder_library(tmp_path), folder_library(tmp_path)).categories == ("dog", "footstep")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"surface": "lava"}, "surface is 'lava'; choose concrete"),
        ({"continuous": "sometimes"}, "choose present"),
        ({"pitch": float("nan")}, "pitch is nan"),
        ({"toe": 2.0}, "toe is 2.0; give 0 to 1"),
        ({"rate": 4000}, "rate is 4000"),
    ],
)
def test_settings_out_of_range_are_refused(settings, words):
    refused(words, OneShotSettings, **settings)


def test_events_of_another_clip_and_sounds_of_ones_own_that_are_none_are_refused():
    refused("lasts 4", sound_voices, Events((), 9.0), scene("person"), BUNDLED)
    silent = Sound(np.zeros((1, RATE), np.float32), RATE)
    refused("The sound is silent", SoundSelection, bundled_library(), own=silent)
    long = Sound(np.zeros((1, 8000 * 3 * 3600), np.float32), 8000)
    refused("lasts 180 minutes", SoundSelection, bundled_library(), own=long)


@pytest.mark.slow
def test_render_puts_recorded_sounds_at_events(tmp_path, capsys):
    clip, track = str(asset_path(WALKING_CLIP)), tmp_path / "tracks.json"
    track.write_text(
        json.dumps({"tracks": [{"id": 1, "label": "dog", "times": [0.0, 7.6], "boxes": [[0.1, 0.2, 0.3, 0.9]] * 2}]})
    )
    (tmp_path / "events.csv").write_text("time,kind,track\n1.0,onset,1\n2.5,step,1\n")
    write_sound(tmp_path / "bark.wav", own_sound())
    options = ["--tracks", str(track), "--events", str(tmp_path / "events.csv"), "--no-depth", "--room", "0"]
    out = ["-o", str(tmp_path / "out.wav")]
    for more in ([], ["library"], ["library", "--sound", str(tmp_path / "bark.wav"), "--sound-for", "dog onset"]):
        assert main(["render", clip, *out, *options, "--json", "--sounds", *more]) == 0
        assert json.loads(capsys.readouterr().out)["steps"] == [[1.0, 2.5]]
    for more, words in (
        (["--sounds", str(tmp_path / "nowhere")], "nowhere"),
        (["--sounds", "--timing", "gait"], "leave --timing gait out"),
        (["--sounds", "--sound-classes", "impact"], "impact = door"),
    ):
        assert main(["render", clip, *out, *options, "--quiet", *more]) == 1
        assert words in capsys.readouterr().err
