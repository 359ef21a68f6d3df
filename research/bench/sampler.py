"""Stable Audio Open 1.0 at full size: stable-audio-tools' loop, ComfyUI's sampler and ours, on the same weights and noise.

All run in one process, on the CPU, under guidance, on text, seconds and the spatial tokens that the paper has: 8 depth maps,
240 numbers of boxes and one embedding for 2 seconds.

Keys: ``exact_vs_stable_audio_tools``, ``exact_vs_host`` - how many times faster a step is with what changes nothing but
rounding, for 2 and 10 s of sound; ``unpacked_vs_stable_audio_tools`` - the same without packed layers;
``fast_vs_stable_audio_tools``, ``fast_vs_exact`` - with guidance in the middle of the way alone and in ``fast_precision``:
bfloat16 where the processor is faster in it; ``max_difference``, ``max_difference_to_host`` - of the latents, over their
largest; ``fast_difference`` - the same of the fast ones; ``seconds_a_step``, ``gigamacs_a_step`` - billions of multiply-adds.
"""

import contextlib
import io
import itertools
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from research.equality.reference_packages import install, installed, reference_folder
from research.equality.stable_audio_equality import reduced
from research.equality.stable_audio_reference import build
from stereosync_core.errors import explained
from stereosync_core.model.denoiser import Conditioning
from stereosync_core.model.generative_model import GenerativeModel
from stereosync_core.model.guidance import guidance_branches, guided
from stereosync_core.model.loader import build_stable_audio
from stereosync_core.model.packed import pack
from stereosync_core.model.precision import fast_dtype, in_precision
from stereosync_core.model.samplers import dpmpp_3m_sde, initial_latents, log_sigma_times
from stereosync_core.model.speedups import FAST, SamplerSpeedups
from stereosync_core.model.stable_audio.config import release_config, understood

from .process import peak_mib, run_child

CFG, SEED, TEXT = 7.0, 3, 128
#: Seconds of sound -> steps that are timed, and rounds in turn of which the median counts.
LENGTHS = {2: (8, 3), 10: (3, 2)}


class GivenNoise:
    """Noise of a step, the same for every sampler: in place of the Brownian trees of both k-diffusions."""

    def __init__(self, x: Tensor, *_: Any, **__: Any):
        self.generator, self.shape = torch.Generator().manual_seed(SEED), x.shape

    def __call__(self, *_: Any) -> Tensor:
        return torch.randn(self.shape, generator=self.generator)


class Given:
    """What all samplers are conditioned on for ``seconds`` of sound."""

    def __init__(self, reference: Any, seconds: int):
        generator = torch.Generator().manual_seed(SEED)
        conditioners = reference.conditioner.conditioners
        width = conditioners["seconds_total"].output_dim
        spatial = seconds * (4 + 30 * 4) + 1
        self.seconds = seconds
        self.frames = seconds * 44100 // 2048
        # spatial tokens stand behind the text's: attention knows no order
        self.text = torch.randn((1, TEXT + spatial, width), generator=generator)
        self.start = conditioners["seconds_start"]([0.0], device="cpu")[0]
        self.total = conditioners["seconds_total"]([float(seconds)], device="cpu")[0]
        times = torch.cat([self.start, self.total], dim=1)
        tokens, global_cond = torch.cat([self.text, times], dim=1), times.flatten(1)
        self.conditioning = Conditioning(tokens, global_cond)
        # in ComfyUI the unconditional half has no text, but the seconds
        without_text = torch.cat([torch.zeros_like(self.text), times], dim=1)
        self.as_the_host = Conditioning(tokens, global_cond, without_text)
        torch.manual_seed(SEED)
        self.noise = torch.randn((1, reference.io_channels, self.frames))


def reference_loop(reference: Any, given: Given, steps: int) -> Tensor:
    """stable-audio-tools' generate_diffusion_cond, without its decoder."""
    from stable_audio_tools.inference.generation import generate_diffusion_cond

    tensors = {"prompt": (given.text, torch.ones(given.text.shape[:2]))}
    for name, value in (("seconds_start", given.start), ("seconds_total", given.total)):
        tensors[name] = (value, torch.ones((1, 1)))
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        options = {"sampler_type": "dpmpp-3m-sde", "sigma_min": 0.3, "sigma_max": 500, "cfg_scale": CFG, "seed": SEED}
        options |= {"sample_size": given.frames * 2048, "device": "cpu", "return_latents": True}
        return generate_diffusion_cond(reference, steps=steps, conditioning_tensors=tensors, **options)


def our_loop(
    model: GenerativeModel, conditioning: Conditioning, given: Given, steps: int, speedups: SamplerSpeedups | None = None
) -> Tensor:
    """Our sampler, from the same noise."""
    times = log_sigma_times(steps)
    velocity = guided(model.denoiser, guidance_branches(None, conditioning, CFG, CFG), speedups=speedups)
    return dpmpp_3m_sde(velocity, initial_latents(given.noise, times[0], "v"), times, noise=GivenNoise(given.noise))


def host_loop(patcher: Any, given: Given, steps: int) -> Tensor:
    """ComfyUI's own sampler, as its KSampler node runs it, with the same noise levels."""
    import comfy.sample
    import comfy.samplers

    sigmas = torch.cat([torch.logspace(*(torch.tensor([500.0, 0.3]).log10().tolist()), steps), torch.zeros(1)])
    positive, negative = (
        [[text, {"seconds_start": 0.0, "seconds_total": float(given.seconds)}]]
        for text in (given.text, torch.zeros_like(given.text))
    )
    sampler = comfy.samplers.ksampler("dpmpp_3m_sde")
    with contextlib.redirect_stderr(io.StringIO()):
        return comfy.sample.sample_custom(
            patcher, given.noise, CFG, sampler, sigmas, positive, negative, torch.zeros_like(given.noise), disable_pbar=True
        )


def host_model(reference: Any, comfyui: str) -> Any:
    """The host's MODEL, loaded as its checkpoint loader does, with the reference's weights in place of copies."""
    sys.path.insert(0, comfyui)
    from comfy.cli_args import args

    args.cpu = True
    import comfy.k_diffusion.sampling
    import comfy.sd

    weights = reference.model.model.state_dict()
    state = {f"model.model.{key}": value for key, value in weights.items()}
    state |= {f"conditioner.{key}": value for key, value in reference.conditioner.state_dict().items()}
    patcher = comfy.sd.load_state_dict_guess_config(state, output_vae=False, output_clip=False)[0]
    for key, value in patcher.model.diffusion_model.named_parameters():
        value.data = weights[key]
    comfy.k_diffusion.sampling.BrownianTreeNoiseSampler = GivenNoise
    return patcher


def our_model(reference: Any, config: dict) -> GenerativeModel:
    """Ours with the reference's weights, which are not copied; its autoencoder has none."""
    with torch.device("meta"):
        model = build_stable_audio(understood(config, Path("the release")), "the release")
    model.backbone.dit.load_state_dict(reference.model.model.state_dict(), assign=True)
    return model.eval().requires_grad_(False)


def gigamacs(run: Callable[[], Tensor]) -> float:
    """Billions of multiply-adds of a run."""
    with FlopCounterMode(display=False) as counter:
        run()
    return round(counter.get_total_flops() / 2e9, 1)


def off(a: Tensor, b: Tensor) -> float:
    return float((a - b).abs().max() / b.abs().max())


def measure(quick: bool = False) -> dict[str, Any]:
    """Some ten minutes and 16 GB, in a process of its own; ``quick``: a narrow model without the host. Raises StereoSyncError
    where the reference's packages cannot be installed."""
    message = "Bench: the packages of requirements-reference.txt cannot be installed."
    with explained(message, subprocess.CalledProcessError):
        if not installed():
            install()
    # the host that dev.py prepared lies beside the environment of this Python
    comfyui = os.environ.get("STEREOSYNC_COMFYUI") or Path(sys.prefix).resolve().parent / "ComfyUI"
    return run_child(compare, comfyui, quick, packages=reference_folder())


@torch.no_grad()
def compare(comfyui: str, narrow: bool) -> dict[str, Any]:
    """What is measured, in this process."""
    import k_diffusion

    k_diffusion.sampling.BrownianTreeNoiseSampler = GivenNoise
    lengths = {2: (2, 1)} if narrow else LENGTHS
    config = reduced("open_1_0") if narrow else release_config("open_1_0")
    reference = build(config)
    for name, value in reference.state_dict().items():
        if name.endswith("norm.beta"):  # zero in the release, and the host has no place for them
            value.zero_()
    given = {seconds: Given(reference, seconds) for seconds in lengths}
    plain, packed, fast = (our_model(reference, config) for _ in range(3))
    patcher = None if narrow else host_model(reference, comfyui)
    pack(packed)
    if fast_dtype() == torch.float32:
        fast = packed
    else:
        in_precision(fast.denoiser.backbone, fast_dtype())
    systems: dict[str, Callable[[Given, int], Tensor]] = {
        "stable_audio_tools": lambda each, steps: reference_loop(reference, each, steps),
        "exact, layers not packed": lambda each, steps: our_loop(plain, each.conditioning, each, steps),
        "host": lambda each, steps: host_loop(patcher, each, steps),
        "exact": lambda each, steps: our_loop(packed, each.conditioning, each, steps),
        "exact, as the host guides": lambda each, steps: our_loop(packed, each.as_the_host, each, steps),
        "fast": lambda each, steps: our_loop(fast, each.conditioning, each, steps, FAST),
    }
    if patcher is None:
        del systems["host"]
    rows: dict[str, dict[str, float]] = {name: {} for name in systems}
    made: dict[str, dict[int, Tensor]] = {name: {} for name in systems}
    for seconds, (steps, rounds) in lengths.items():
        times: dict[str, list[float]] = {name: [] for name in systems}
        for sample in systems.values():
            sample(given[seconds], 2)  # to warm up, and for layers to choose whether to pack
        for name, sample in list(systems.items()) * rounds:
            began = time.perf_counter()
            made[name][seconds] = sample(given[seconds], steps)
            times[name].append((time.perf_counter() - began) / steps)
        for name in systems:
            rows[name][f"{seconds}s"] = statistics.median(times[name])
    # packed products are not counted
    counted = ("stable_audio_tools", "exact, layers not packed", "host")
    macs: dict[str, dict[str, float]] = {name: {} for name in counted if name in systems}
    for name, seconds in itertools.product(macs, lengths):
        many, few = (gigamacs(partial(systems[name], given[seconds], steps)) for steps in (3, 2))
        macs[name][f"{seconds}s"] = round(many - few, 1)

    def over(name: str, other: str) -> dict[str, float]:
        return {key: round(rows[name][key] / value, 2) for key, value in rows[other].items()}

    figures: dict[str, Any] = {
        "exact_vs_stable_audio_tools": over("stable_audio_tools", "exact"),
        "unpacked_vs_stable_audio_tools": over("stable_audio_tools", "exact, layers not packed"),
        "fast_vs_stable_audio_tools": over("stable_audio_tools", "fast"),
        "fast_vs_exact": over("exact", "fast"),
        "fast_precision": str(fast_dtype()).removeprefix("torch."),
        "max_difference": max(off(made["exact"][key], value) for key, value in made["stable_audio_tools"].items()),
        "fast_difference": max(off(made["fast"][key], value) for key, value in made["stable_audio_tools"].items()),
        "seconds_a_step": {name: {key: round(value, 3) for key, value in row.items()} for name, row in rows.items()},
        "gigamacs_a_step": macs,
        "peak_mib": peak_mib(),
    }
    if patcher is not None:
        figures["exact_vs_host"] = over("host", "exact, as the host guides")
        pairs = zip(made["exact, as the host guides"].values(), made["host"].values(), strict=True)
        figures["max_difference_to_host"] = max(off(a, b) for a, b in pairs)
    return figures
