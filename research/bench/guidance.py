"""Spatial guidance over Stable Audio Open 1.0 at full size with random weights: shapes, gradients, time and memory.

Keys: ``seconds_a_step`` - plain, guided by a head, guided through the decoder, each once for 2 s of sound with guidance by the
text; ``guided_over_plain`` - the same over the plain step; ``gradient`` - share of the latents that a gradient through the
decoder reaches; ``moved`` - mean change of the latents by one round, over their spread; ``peak_mib``.
"""

import time
from pathlib import Path
from typing import Any

from .process import peak_mib, run_child

SECONDS = 2.0


def measure(quick: bool = False) -> dict[str, Any]:
    """About two minutes and 6 GB, in a process of its own; ``quick`` takes Stable Audio Open Small."""
    return run_child(child, "open_small" if quick else "open_1_0")


def child(size: str) -> dict[str, Any]:
    """What is measured, in this process."""
    import numpy as np
    import torch

    from stereosync_core.model.conditioning.features import latent_count
    from stereosync_core.model.conditioning.spatial import SpatialConditioning
    from stereosync_core.model.latent_levels import LatentLevels, decoded_levels
    from stereosync_core.model.loader import build_stable_audio
    from stereosync_core.model.pipeline import StereoSyncPipeline
    from stereosync_core.model.spatial_guidance import SpatialGuidance
    from stereosync_core.model.stable_audio.config import release_config, understood
    from stereosync_core.scene import Track, Tracks

    torch.manual_seed(0)
    model = build_stable_audio(understood(release_config(size), Path(size)), size)
    model.set_precision(torch.bfloat16)
    model.eval().requires_grad_(False)
    frames = latent_count(SECONDS, model.latent_rate)
    still = Track(1, "person", np.array([0.0, SECONDS]), np.array([[0.7, 0.2, 0.8, 0.9]] * 2))
    scene = SpatialConditioning(Tracks((still,), SECONDS), None)
    assert model.conditioners is not None
    text = torch.randn((1, model.conditioners.text_tokens, model.conditioners.width))
    pipeline = StereoSyncPipeline(model)

    def run(strength: float) -> tuple[float, torch.Tensor]:
        """Seconds of one step without decoding, and its latents."""
        began, took = time.perf_counter(), []
        made = pipeline(
            scene,
            text,
            num_inference_steps=1,
            spatial_guidance=SpatialGuidance(strength, rounds=1),
            progress=lambda *_: took.append(time.perf_counter() - began),
        )
        return took[0], made.latents

    run(0.0)
    plain, unmoved = run(0.0)
    by_decoder, moved = run(1.0)
    model.levels = LatentLevels(model.autoencoder.latent_channels, 256)
    by_head, _ = run(1.0)
    latents = torch.randn((1, model.autoencoder.latent_channels, frames), requires_grad=True)
    (gradient,) = torch.autograd.grad(decoded_levels(model.autoencoder)(latents).sum(), latents)
    times = {"plain": plain, "head": by_head, "decoder": by_decoder}
    return {
        "seconds_a_step": {name: round(value, 2) for name, value in times.items()},
        "guided_over_plain": {name: round(value / plain, 2) for name, value in times.items() if name != "plain"},
        "gradient": float((gradient != 0).float().mean()),
        "moved": round(float((moved - unmoved).abs().mean() / unmoved.std()), 4),
        "finite": bool(torch.isfinite(moved).all()),
        "peak_mib": peak_mib(),
    }
