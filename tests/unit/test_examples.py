"""The programs in docs/examples/ run as their heads describe, on two seconds of the sample clip."""

import os
import re
import subprocess
import sys

import pytest

from stereosync_core import assets, trim
from tests.clips import noise, sound_file, sound_in
from tools.environment import ROOT

SECONDS = 2.0


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return trim(assets.FOLDER / "stereosync_walking.mp4", 2.0, SECONDS, tmp_path_factory.mktemp("examples") / "clip.mp4")


@pytest.fixture(scope="module")
def placed(clip):
    """A clip with a sound that example place_sound.py put at the walker, and what the program printed."""
    sound, result = sound_file(clip.with_name("noise.wav"), noise(SECONDS, channels=1)), clip.with_name("placed.mp4")
    return result, run("place_sound.py", clip, sound, result)


def run(program, *arguments, cwd=None):
    """An example's output, run as a user runs it, but with this checkout's library."""
    command = [sys.executable, ROOT / "docs" / "examples" / program, *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([str(part) for part in command], cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_a_sound_is_placed_along_a_track(placed):
    result, printed = placed
    assert "aac" in printed
    made = sound_in(result)
    assert made.channels == 2
    assert made.duration == pytest.approx(SECONDS, abs=0.05)
    assert abs(made.samples[0] - made.samples[1]).max() > 0.01


@pytest.mark.slow
def test_a_clip_is_measured(placed, tmp_path):
    printed = run("measure.py", placed[0], tmp_path / "figure.png")
    assert "placement: " in printed
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_a_sound_is_generated_for_a_clip(clip, tmp_path):
    printed = run("generate.py", clip, tmp_path / "generated.mp4")
    assert "44100 Hz" in printed
    assert sound_in(tmp_path / "generated.mp4").duration == pytest.approx(SECONDS, abs=0.05)


@pytest.mark.slow
def test_the_readme_s_example_runs(clip, tmp_path):
    (program,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "example.py").write_text(program, encoding="utf-8")
    (tmp_path / "clip.mp4").write_bytes(clip.read_bytes())
    run(tmp_path / "example.py", cwd=tmp_path)
    assert (tmp_path / "footsteps.mp4").is_file()
    assert (tmp_path / "generated.mp4").is_file()
