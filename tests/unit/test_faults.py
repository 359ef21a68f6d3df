"""A process that is killed, a disk without room, and clips whose sound is larger than the memory."""

import errno
import os
import signal
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest

from stereosync_core import mux, scratch
from stereosync_core.media.output import replacing
from stereosync_core.media.sound import Sound, write_sound
from stereosync_core.rendering.lazy_voices import LazyVoices
from stereosync_core.rendering.spatialize import SpatializeSettings, spatialize
from stereosync_core.scene import Track, Tracks
from tests import clips
from tests.errors import refused
from tools.environment import ROOT

MUX = """
import sys, time
from stereosync_core import mux
from tests import clips
def progress(done, total):
    print(done, flush=True)
    time.sleep(600)
mux(sys.argv[1], clips.click_sound(), sys.argv[2], progress=progress)
"""
RENDER = """
import sys, time
from stereosync_core.rendering import spatialize
real = spatialize._MovingVoice.render
def render(*arguments):
    print("rendering", flush=True)
    time.sleep(600)
spatialize._MovingVoice.render = render
from stereosync_core.__main__ main
main(["render", sys.argv[1], "-o", sys.argv[2], "--quiet", "--timing", "cadence"])
""".replace("__main__ main", "__main__ import main")


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="processes are killed otherwise here")
@pytest.mark.parametrize("program", [MUX, RENDER], ids=["mux", "render"])
def test_a_killed_process_leaves_nothing_that_the_next_one_does_not_clear_away(tmp_path, program):
    clip = clips.make_clip(tmp_path / "in.mp4")
    out = tmp_path / "out.mp4"
    out.write_bytes(b"precious")
    command = [sys.executable, "-c", program, str(clip), str(out)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        process.kill()
    assert out.read_bytes() == b"precious"
    assert len(list(tmp_path.glob(".*.part.mp4"))) == (program is MUX)
    mux(clip, clips.click_sound(), out)
    assert sorted(tmp_path.iterdir()) == [clip, out]


def test_what_others_are_writing_stays(tmp_path):
    mine = tmp_path / ".mine.part"
    mine.write_text("a file of another program")
    with replacing(tmp_path / "long.mp4") as first:
        first.write_bytes(b"half")
        with replacing(tmp_path / "short.mp4") as second:
            second.write_bytes(b"whole")
        assert first.read_bytes() == b"half"
    assert {path.name for path in tmp_path.iterdir()} == {".mine.part", "long.mp4", "short.mp4"}


def test_a_sound_that_finds_no_room_on_the_disk_is_one_error(tmp_path):
    with clips.full_disk(50_000):
        refused("no room for", write_sound, tmp_path / "out.wav", Sound(clips.noise(2.0), 48000))
    assert not list(tmp_path.iterdir())


def test_temporary_room_that_is_not_there_is_one_error(monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(scratch, "LARGE", 0)
    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    refused("temporary room.*No space left.*TMPDIR", scratch.zeros, (2, 1000))


def test_an_array_in_a_file_keeps_what_is_in_it_while_its_memory_is_given_back(monkeypatch):
    monkeypatch.setattr(scratch, "LARGE", 0)
    monkeypatch.setattr(scratch, "_PIECE", 1000)
    array = scratch.zeros((2, 3500))
    array[1, 3400], array[0, 7] = 0.5, -2.0
    scratch.release(array[:, 100:])
    assert scratch.extremes(array) == (-2.0, 0.5)
    scratch.multiply(array, np.float32(-0.5))
    assert (array[1, 3400], array[0, 7], np.count_nonzero(array)) == (-0.25, 1.0, 2)
    array[0, 3499] = np.nan
    assert np.isnan(scratch.extremes(array)).all()
    assert scratch.extremes(np.zeros((1, 0), np.float32)) == (0.0, 0.0)


def scene(seconds, count):
    times = np.arange(0.0, seconds, 0.1)

    def walker(number):
        x = 0.5 + 0.4 * np.sin(times + number)
        return Track(number, "person", times, np.stack([x - 0.05, 0 * x + 0.3, x + 0.05, 0 * x + 0.7], 1))

    return Tracks(tuple(map(walker, range(count))), seconds)


def noises(seconds, count):
    return LazyVoices(
        count, lambda place: 0.1 * np.random.default_rng(place).standard_normal(round(48000 * seconds), np.float32)
    )


@pytest.mark.parametrize("mode", ["pan", "binaural"])
def test_voices_made_one_by_one_into_a_file_sound_as_a_batch_in_memory(monkeypatch, mode):
    settings = SpatializeSettings(mode=mode)
    whole = spatialize(np.stack(noises(1.3, 3)), 48000, scene(1.3, 3), settings, duration=1.3)
    monkeypatch.setattr(scratch, "LARGE", 0)
    np.testing.assert_array_equal(spatialize(noises(1.3, 3), 48000, scene(1.3, 3), settings, duration=1.3), whole)


def test_a_long_clip_takes_no_memory_for_its_voices_and_its_mix(monkeypatch):
    monkeypatch.setattr(scratch, "LARGE", 2**20)
    length = 30 * 48000

    def clicks(_):
        voice = scratch.zeros((1, length))[0]
        voice[::1000] = 0.1
        return voice

    peaks = []
    for count in (1, 4):
        tracemalloc.start()
        spatialize(LazyVoices(count, clicks), 48000, scene(30.0, count), duration=30.0)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert max(peaks) < 4 * length * 2, "less than the mix alone"
    assert peaks[1] < peaks[0] + length
