"""The library of sounds: what the pack brings, and a user's folder read the same way."""

import json

import numpy as np
import pytest

from research.sounds.build import LICENCES, recipe
from stereosync_core import assets
from stereosync_core.media.sound import Sound, write_sound
from stereosync_core.rendering.surfaces import SURFACES
from stereosync_core.sounds.folder import folder_library
from stereosync_core.sounds.library import INDEX, attribution, bundled_library, require_category
from stereosync_core.sounds.shape import LEVEL, PEAK, RATE, attack_of, seamless, strike_level, takes_of
from tests.errors import refused

#: What the detector calls animals and vehicles, and has a sound here.
LABELS = ("dog", "cat", "horse", "sheep", "cow", "bird", "car", "truck", "bus", "train", "motorcycle", "boat", "airplane")


def knock(rate=RATE, seconds=0.2, seed=0):
    noise = np.random.default_rng(seed).standard_normal(round(seconds * rate))
    return (0.3 * noise * np.exp(-np.arange(len(noise)) / (0.03 * rate))).astype(np.float32)


def test_every_bundled_sound_has_its_file_and_its_licence_line():
    page = (assets.FOLDER / "sounds" / "LICENSES.md").read_text(encoding="utf-8")
    index = json.loads(assets.asset_path(INDEX).read_text(encoding="utf-8"))
    lines = {line.split("`")[1]: line for line in page.splitlines() if line.startswith("| `")}
    files = {path.name for path in (assets.FOLDER / "sounds").iterdir()} - {"index.json", "LICENSES.md"}
    assert files == {row["file"] for row in index["sounds"]} == set(lines)
    for row in index["sounds"]:
        assert row["licence"] in LICENCES, row["name"]
        assert row["author"], row["name"]
        assert f"| {row['author']} | {row['licence']} | {row['source']}" in lines[row["file"]]
        assert row["sha256"] in lines[row["file"]]
    assert sum(path.stat().st_size for path in (assets.FOLDER / "sounds").iterdir()) < 9e6


def test_the_recipe_and_the_index_name_the_same_recordings():
    recorded = {(row["category"], row["recording"]) for row in recipe()}
    assert recorded == {(sound.category, sound.recording) for sound in bundled_library().sounds if not sound.synthesised}


def test_the_library_has_what_the_detector_sees_and_every_floor():
    library = bundled_library()
    assert set(LABELS) <= set(library.categories)
    for surface in SURFACES:
        assert len(library.of("footstep", surface)) >= 4, surface
        assert len(library.of("landing", surface)) >= 3, surface
        recorded = [sound for sound in library.of("footstep", surface) if not sound.synthesised]
        assert bool(recorded) == (surface != "tile")
    assert len({sound.name for sound in library.sounds}) == len(library.sounds)


def test_one_shots_begin_with_their_attack_at_one_level():
    library = bundled_library()
    for sound in library.sounds:
        samples = library.samples(sound)
        assert not samples.flags.writeable
        if sound.loop:
            continue
        start = 0.0999 * np.abs(samples[: round(0.03 * RATE)]).max()
        first = int(np.argmax(np.abs(samples) >= start))
        assert first <= (0 if sound.path.suffix == ".flac" else 0.002 * RATE), sound.name
        assert len(samples) <= 3 * RATE
        assert strike_level(samples) == pytest.approx(LEVEL, abs=0.6) or np.abs(samples).max() > 0.98 * PEAK, sound.name


def test_loops_have_no_seam():
    library = bundled_library()
    for sound in library.sounds:
        if sound.loop:
            samples = library.samples(sound)
            steps = np.abs(np.diff(samples))
            assert abs(samples[0] - samples[-1]) < 1.5 * steps.max(), sound.name
    tone = np.sin(2 * np.pi * 333.3 * np.arange(2 * RATE) / RATE).astype(np.float32)
    loop = seamless(tone)
    assert abs(loop[0] - loop[-1]) <= 1.5 * np.abs(np.diff(loop)).max()


def test_a_recording_of_four_is_four_takes_that_begin_to_the_sample():
    recording = 0.0003 * np.random.default_rng(9).standard_normal(4 * RATE).astype(np.float32)
    starts = [5000, 50000, 95001, 150002]
    for seed, start in enumerate(starts):
        sound = knock(seed=seed)
        sound[0] = 0.3
        recording[start : start + len(sound)] += sound
    takes = takes_of(recording)
    assert len(takes) == 4
    for take, start in zip(takes, starts, strict=True):
        np.testing.assert_array_equal(take[:200], recording[start : start + 200])
    assert attack_of(recording) == 5000
    assert attack_of(np.zeros(RATE, np.float32)) is None


def test_attribution_names_every_author_licence_and_sound():
    text = attribution(bundled_library())
    for sound in bundled_library().sounds:
        assert sound.name in text
        assert f"{sound.author} - {sound.licence}" in text


def test_a_folder_is_read_by_class_and_surface(tmp_path):
    for place, rate in (("footstep/grass/a.wav", 192000), ("dog/bark.flac", 48000), ("sports_ball/bounce.wav", 22050)):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        write_sound(tmp_path / place, Sound(np.tile(np.pad(knock(rate), (0, rate // 2)), 3)[None], rate))
    write_sound(tmp_path / "dog" / "panting loop.wav", Sound(np.stack([knock(RATE, 2.0)] * 2), RATE))
    library = folder_library(tmp_path)
    assert library.categories == ("dog", "footstep", "sports ball")
    assert [sound.take for sound in library.of("footstep", "grass")] == [1, 2, 3]
    assert len(library.of("dog")) == 3
    assert len(library.of("dog", loop=True)) == 1
    for sound in library.sounds:
        assert library.samples(sound).ndim == 1
        assert np.isfinite(library.samples(sound)).all()


def wave(path, bits, rate=8000, samples=None, length=None):
    """A WAVE file of so many bits: 8 or 16 of PCM, 32 of floats; ``length`` claims another length of the data."""
    samples = knock(rate) if samples is None else samples
    if bits == 32:
        kind, data = 3, samples.astype("<f4").tobytes()
    else:
        kind, data = (
            1,
            (samples * 127 + 128).astype(np.uint8).tobytes() if bits == 8 else (samples * 32767).astype("<i2").tobytes(),
        )
    head = np.array([16, kind | 1 << 16, rate, rate * bits // 8, bits // 8 | bits << 16], "<u4").tobytes()
    size = np.array([length or len(data)], "<u4").tobytes()
    whole = np.array([36 + (length or len(data))], "<u4").tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"RIFF" + whole + b"WAVEfmt " + head + b"data" + size + data)
    return path


def test_eight_bits_are_read(tmp_path):
    wave(tmp_path / "hit" / "a.wav", 8)
    assert len(folder_library(tmp_path).of("hit")) == 1


def test_a_folder_that_cannot_be_used_is_refused_in_clear_words(tmp_path):
    refused("there is no folder", folder_library, tmp_path / "nowhere")
    refused("holds no sound .* put files into folders", folder_library, tmp_path)
    loose = wave(tmp_path / "a.wav", 16)
    refused("lies in no folder of a class", folder_library, tmp_path)
    loose.unlink()
    silent = wave(tmp_path / "dog" / "a.wav", 16, samples=np.zeros(8000, np.float32))
    refused(r"a\.wav' is silent", folder_library, tmp_path)
    silent.unlink()
    broken = wave(tmp_path / "dog" / "a.wav", 32, samples=np.full(8000, np.nan, np.float32))
    refused("NaN", folder_library, tmp_path)
    broken.write_bytes(b"no sound at all")
    refused("a.wav", folder_library, tmp_path)
    broken.unlink()
    wave(tmp_path / "dog" / "a.wav", 8, samples=np.zeros(3 * 3600 * 8000, np.float32))
    refused("lasts 180 minutes", folder_library, tmp_path)


def test_a_class_that_nobody_has_is_refused_with_those_there_are():
    refused("no sound of the class 'unicorn'; it has .*dog", require_category, bundled_library(), "unicorn")
    refused("no loop of the class 'door'", require_category, bundled_library(), "door", loop=True)
