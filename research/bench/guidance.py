"""Spatial guidance over Stable Audio Open 1.0 at full size with random weights: shapes, gradients, time and memory.

Keys: ``seconds_a_step`` - plain, led by a head, led through the decoder, each once for 2 s of sound with guidance by the text;
``led_over_plain`` - the same over the plain step; ``gradient`` - share of the latents that a gradient through the decoder
reaches; ``moved`` - mean change of the latents by one round, over their spread; ``peak_mib``.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from .child import run_child
from .memory import peak_mib

THREADS = 2


def measure(quick: bool = False) -> dict[str, Any]:
    """About two minutes and 6 GB, in a process of its own; ``quick`` takes Stable Audio Open Small."""
    return run_child("guidance", "open_small" if quick else "open_1_0")


def child(size: str) -> dict[str, Any]:
    """What is measured, in this process."""
    import torch

    from stereosync_core.model.conditioning.features import SUBFRAMES, latent_count
    from stereosync_core.model.conditioning.target import StereoTarget
    from stereosync_core.model.latent_levels import LatentLevels, decoded_levels
    from stereosync_core.model.precision import in_precision
    from stereosync_core.model.spatial_guidance import Lead, SpatialGuidance
    from stereosync_core.model.stable_audio.config import release_config, understood
    from stereosync_core.model.stable_audio.generate import StableAudioSampling, sample_latents
    from stereosync_core.model.stable_audio.model import StableAudio

    torch.set_num_threads(THREADS)
    torch.manual_seed(0)
    model = StableAudio(understood(release_config(size), Path(size)), size).eval().requires_grad_(False)
    for part in (model.backbone, model.conditioners):
        in_precision(part, torch.bfloat16)
    seconds = 2.0
    moments = latent_count(seconds, model.latent_rate) * SUBFRAMES
    target = StereoTarget(torch.full((moments,), 6.0), torch.ones(moments))
    text = torch.randn((1, model.config.text_tokens, model.config.width))
    options = StableAudioSampling(steps=1, cfg=7.0)
    lead = Lead(target, SpatialGuidance(rounds=1))

    def run(leading: Lead | None) -> tuple[float, torch.Tensor]:
        began = time.perf_counter()
        made = sample_latents(model, text, seconds, lead=leading, options=options)
        return time.perf_counter() - began, made

    run(None)
    plain, unmoved = run(None)
    by_decoder, moved = run(lead)
    model.levels = LatentLevels(model.autoencoder.latent_channels, 256)
    by_head, _ = run(lead)
    latents = torch.randn((1, model.autoencoder.latent_channels, moments // SUBFRAMES), requires_grad=True)
    (gradient,) = torch.autograd.grad(decoded_levels(model.autoencoder)(latents).sum(), latents)
    times = {"plain": plain, "head": by_head, "decoder": by_decoder}
    return {
        "seconds_a_step": {name: round(value, 2) for name, value in times.items()},
        "led_over_plain": {name: round(value / plain, 2) for name, value in times.items() if name != "plain"},
        "gradient": float((gradient != 0).float().mean()),
        "moved": round(float((moved - unmoved).abs().mean() / unmoved.std()), 4),
        "finite": bool(torch.isfinite(moved).all()),
        "peak_mib": peak_mib(),
    }


if __name__ == "__main__":
    print(json.dumps(child(sys.argv[1])))
