"""What events make: voices with their attacks at the events, and envelopes."""

import numpy as np
import pytest

from stereosync_core import SpatialConditioning, StereoSyncPipeline
from stereosync_core.__main__ import main
from stereosync_core.assets import WALKING_CLIP, asset_path
from stereosync_core.errors import StereoSyncError
from stereosync_core.events.files import load_events
from stereosync_core.media.sound import require_sound
from stereosync_core.metrics.sync import attacks
from stereosync_core.rendering.event_envelope import course_of_event, envelope_from_events
from stereosync_core.rendering.surfaces import SURFACES
from stereosync_core.rendering.voices import event_voices, footstep_voices
from stereosync_core.scene import Envelope, Track, Tracks
from stereosync_core.scene_events import Event, Events

RATE = 48000


def walker(number, left=0.4, height=0.5):
    box = [left, 0.9 - height, left + 0.1, 0.9]
    return Track(number, "person", [0.0, 2.0], [box, box])


def tracks(*walkers):
    return Tracks(walkers, 2.0, 16 / 9)


def attack(voice):
    """Index of the first sample that sounds."""
    return int(np.flatnonzero(np.abs(voice) > 1e-6)[0])


@pytest.mark.parametrize("kind", ["step", "landing", "impact", "clap", "onset"])
@pytest.mark.parametrize("offset", [0.0, 0.03, -0.03])
def test_the_attack_is_at_the_event_to_a_sample(kind, offset):
    events = Events((Event(0.7123, kind, 1),), 2.0)
    voices, _, _ = event_voices(events, tracks(walker(1)), offset=offset)
    assert [voice.shape for voice in voices] == [(1, 2 * RATE)]
    assert abs(attack(voices[0][0]) - round((0.7123 + offset) * RATE)) <= 1


def test_every_track_has_its_own_events_and_what_is_nobodys_goes_to_the_first():
    events = Events((Event(0.5, "step", 0), Event(1.0, "step", 7), Event(1.5, "impact", None)), 2.0)
    voices, steps, owners = event_voices(events, tracks(walker(7), walker(0)))
    assert [owner and owner.id for owner in owners] == [7, 0]
    assert attack(voices[0][0]) == RATE
    assert attack(voices[1][0]) == RATE // 2
    assert [list(one.times) for one in steps] == [[1.0], [0.5]]
    assert np.abs(voices[0][0, round(1.5 * RATE) : round(1.52 * RATE)]).max() > 0.05


def test_without_tracks_there_is_one_voice():
    voices, _, owners = event_voices(Events((Event(0.5),), 2.0), tracks())
    assert len(voices) == 1
    assert owners == [None]


def test_no_events_are_silence_and_two_at_one_moment_are_no_fault():
    assert not event_voices(Events((), 2.0), tracks(walker(1)))[0][0].any()
    both = Events((Event(0.5, "step", 1), Event(0.5, "step", 1)), 2.0)
    assert event_voices(both, tracks(walker(1)))[0][0].any()


def test_footsteps_by_events_need_events():
    with pytest.raises(StereoSyncError, match="Detect Events"):
        footstep_voices(tracks(walker(1)), timing="events")


@pytest.mark.parametrize("surface", list(SURFACES))
def test_an_envelope_rises_at_its_event_and_falls(surface):
    envelope = envelope_from_events(Events((Event(1.0, "step", 1),), 2.0), tracks(walker(1)), surface=surface)
    times = np.array([0.97, 1.02, 1.4, 1.9])
    before, peak, later, last = envelope.at(times)
    assert before == 0
    assert peak > 0.2 * envelope.values.max()
    assert later < 0.2 * peak
    assert last < 4e-3 * peak  # the slowest tail falls by 50 dB in a second
    assert envelope.values.max() == pytest.approx(0.05)


@pytest.mark.parametrize("surface", list(SURFACES))
def test_a_step_has_an_attack_and_a_quieter_tail_that_falls_throughout(surface):
    decibels = 10 * np.log10(course_of_event("person", "step", surface))
    assert decibels[0] == pytest.approx(0.0, abs=0.1)
    assert (np.diff(decibels) < 0).all()
    assert decibels[60] > 5 + 10 * np.log10(np.exp(-2 * 0.06 / 0.015)), "the attack alone"
    assert -30 < decibels[60] < -9
    assert decibels[-1] == pytest.approx(-80, abs=2)


def test_the_nearer_the_louder_and_an_offset_moves_all():
    scene = tracks(walker(1, height=0.8), walker(2, left=0.7, height=0.2))
    events = Events((Event(0.5, "step", 1, strength=0.7), Event(1.5, "step", 2, strength=0.7)), 2.0)
    near, far = envelope_from_events(events, scene).at([0.512, 1.512])
    assert near > 2 * far
    late = envelope_from_events(events, scene, offset=0.1)
    assert late.at([0.55])[0] == 0
    assert late.at([0.612])[0] == pytest.approx(near, rel=0.05)


def test_events_of_another_clip_and_unknown_grounds_are_refused():
    with pytest.raises(StereoSyncError, match="lasts 2"):
        envelope_from_events(Events((), 5.0), tracks())
    with pytest.raises(StereoSyncError, match="lava"):
        envelope_from_events(Events((), 2.0), tracks(), surface="lava")


def pair() -> Tracks:
    boxes = {7: [0.09, 0.4, 0.21, 0.9], 0: [0.79, 0.4, 0.91, 0.9]}
    return Tracks(tuple(Track(number, "person", np.arange(0, 4, 0.1), [box] * 40) for number, box in boxes.items()), 4.0)


def alternating() -> Events:
    return Events(tuple(Event(0.4 + 0.5 * n, "step", owner) for n, owner in enumerate([7, 0, 0, 7, 0, 7, 7])), 4.0)


def test_the_envelope_knows_whose_sound_it_is():
    envelope = envelope_from_events(alternating(), pair())
    for event in alternating():
        place = int(np.searchsorted(envelope.times, event.time + 0.01))
        shares = {owner: float(share[place]) for owner, share in envelope.owners.items()}
        assert shares[event.track] > 0.99
        assert sum(shares.values()) <= 1 + 1e-9
    assert sum(share[int(np.searchsorted(envelope.times, 0.2))] for share in envelope.owners.values()) == 0


@pytest.mark.slow
@pytest.mark.parametrize("plain", [False, True], ids=["the events' envelope", "a sound's envelope, and events"])
def test_a_generated_step_sounds_where_its_owner_is(plain):
    tracks, events = pair(), alternating()
    envelope = envelope_from_events(events, tracks)
    given = {"envelope": Envelope(envelope.values, envelope.times), "events": events} if plain else {"envelope": envelope}
    sound = StereoSyncPipeline.from_pretrained("bundled")(SpatialConditioning(tracks), **given, timbre="concrete")
    for event in events:
        start = round(event.time * sound.rate)
        left, right = (sound.samples[:, start : start + sound.rate // 8] ** 2).mean(1)
        assert (right > 4 * left) if event.track == 0 else (left > 4 * right), event


@pytest.mark.slow
@pytest.mark.parametrize("surface", ["snow", "metal", "water"])
def test_nothing_rises_in_the_tail_of_a_generated_step(surface):
    events = alternating()
    sound = StereoSyncPipeline.from_pretrained("bundled")(SpatialConditioning(pair()), events=events, timbre=surface)
    assert attacks(sound.samples, sound.rate) == pytest.approx(events.times, abs=0.025)


@pytest.mark.slow
def test_the_command_finds_saves_and_takes_events(tmp_path, capsys):
    clip = str(asset_path(WALKING_CLIP))
    scene = ["--save-tracks", str(tmp_path / "tracks.json"), "--quiet"]
    assert main(["events", clip, "--save-events", str(tmp_path / "events.csv"), *scene]) == 0
    found = load_events(tmp_path / "events.csv", 7.667)
    contacts = np.array([1.325, 1.99, 2.625, 3.25, 3.855, 4.475, 5.085, 5.71])
    assert np.abs(found.times[:, None] - contacts).min(0).max() < 0.05
    assert len(found) <= len(contacts) + 1
    (tmp_path / "mine.csv").write_text("time,kind\n2.5,step\n")
    shared = ["--tracks", str(tmp_path / "tracks.json"), "--no-depth", "--quiet", "--room", "0"]
    assert main(["render", clip, "-o", str(tmp_path / "out.wav"), "--events", str(tmp_path / "mine.csv"), *shared]) == 0
    sound = require_sound(tmp_path / "out.wav", "out")
    nearer = min(attack(channel) for channel in sound.samples)
    assert abs(nearer - round(2.5 * sound.rate)) <= 32, "0.66 ms: the difference between the ears"


def test_nothing_to_show_is_refused(capsys):
    assert main(["events", str(asset_path(WALKING_CLIP)), "--quiet"]) == 1
    assert "--save-events" in capsys.readouterr().err
