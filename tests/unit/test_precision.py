"""What runs in half precision on a processor, with AVX-512 and without, which a process of its own is held to."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from stereosync_core.model import precision
from stereosync_core.model.precision import LSTM, chosen_dtype, fast_dtype, in_precision, is_faster
from tools.environment import ROOT

WITHOUT_AVX512 = {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2", "OMP_NUM_THREADS": "1"}


def in_a_process_without_avx512(*arguments: str) -> str:
    environment = {**os.environ, **WITHOUT_AVX512}
    done = subprocess.run([sys.executable, *arguments], cwd=ROOT, env=environment, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


@pytest.fixture
def layers() -> tuple[LSTM, nn.LSTM]:
    torch.manual_seed(0)
    made, plain = (kind(6, 5, batch_first=True, bidirectional=True) for kind in (LSTM, nn.LSTM))
    plain.load_state_dict(made.state_dict())
    return made, plain


@pytest.mark.half_precision
def test_recurrent_layers_compute_in_single_precision_under_autocast(layers):
    made, plain = layers
    x = torch.randn(2, 7, 6)
    wanted = plain(x)[0]
    assert torch.equal(made(x)[0], wanted)
    with torch.autocast("cpu", torch.bfloat16):
        hidden = made(x)[0]
        hidden.sum().backward()
        assert made(x.bfloat16())[0].dtype == torch.float32
    assert torch.equal(hidden, wanted)
    assert made.weight_ih_l0.grad.isfinite().all()


@pytest.mark.half_precision
def test_recurrent_layers_in_half_precision_take_any_input(layers):
    made, plain = layers
    in_precision(made, torch.bfloat16)
    x = torch.randn(2, 7, 6)
    torch.testing.assert_close(made(x)[0].float(), plain(x)[0], atol=0.05, rtol=0)


def test_what_a_choice_gives(monkeypatch, caplog):
    for faster, dtype in ((True, torch.bfloat16), (False, torch.float32)):
        monkeypatch.setattr(precision, "_is_faster_on_cpu", lambda _, faster=faster: faster)
        assert fast_dtype() == dtype
        assert chosen_dtype("fp32") == torch.float32
        assert fast_dtype("cuda") == torch.bfloat16, "a graphics card is not asked"
        caplog.clear()
        assert chosen_dtype("fp16") == torch.float16
        assert ("slower in fp16" in caplog.text) is not faster


@pytest.mark.half_precision
def test_the_answer_is_kept_for_the_process():
    first = is_faster(torch.bfloat16)
    assert all(is_faster(torch.bfloat16) == first for _ in range(3))


def test_without_avx512_fast_keeps_single_precision():
    code = (
        "import torch; from stereosync_core.model.precision import fast_dtype; "
        "print(torch.backends.cpu.get_cpu_capability(), fast_dtype())"
    )
    assert in_a_process_without_avx512("-c", code).split()[-1] == "torch.float32"


@pytest.mark.slow
def test_without_avx512_the_tests_of_half_precision_pass():
    marked = sorted(str(path) for path in Path(__file__).parent.glob("test_*.py") if "mark.half_precision" in path.read_text())
    assert len(marked) > 3
    in_a_process_without_avx512("-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-m", "half_precision", *marked)
