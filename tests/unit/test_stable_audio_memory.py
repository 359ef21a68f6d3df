"""Loading takes little more memory than the weights take in the end."""

import subprocess
import sys
from pathlib import Path

import pytest

from research.equality.stable_audio_equality import reduced
from tests.stable_audio_release import write_release
from tools.environment import ROOT

#: Loads a small release first, so that imports are done; then says by how much the peak of loading the other one is above what
#: was there before, and how large its weights are.
MEASURE = """
import sys, torch
from pathlib import Path
from stereosync_core.model.loader import load_stable_audio

def held(what):
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(what))

small, large, dtype = sys.argv[1:]
load_stable_audio(Path(small), getattr(torch, dtype))
Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
before = held("VmRSS")
model = load_stable_audio(Path(large), getattr(torch, dtype))
peak = held("VmHWM") - before
print(peak, sum(value.numel() * value.element_size() for value in model.state_dict().values()))
"""


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A small release, and one of 170 MB whose tensors are many, as the real one's are."""
    config = reduced("open_1_0")
    config["model"]["diffusion"]["config"] |= {"embed_dim": 384, "num_heads": 6, "depth": 16}
    folder = tmp_path_factory.mktemp("releases")
    return write_release(folder / "small"), write_release(folder / "large", config=config)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the peak is read where Linux tells it")
@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_the_peak_is_at_most_a_tenth_above_the_weights(folders, dtype):
    command = [sys.executable, "-c", MEASURE, *map(str, folders), dtype]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    peak, weights = map(int, done.stdout.split())
    assert weights > 70e6
    assert weights * 0.95 < peak < weights * 1.1
