"""The StereoSync model: time of sampling and decoding the walking clip's length, and memory.

Keys: ``sampling_ratio`` - seconds from noise to sound (default steps, guidance on) over the clip's seconds, median of three
after one to warm up; ``decoding_ratio`` - the decoder's part of it; ``minute_ratio`` - the same for a minute, which goes
through windows; ``peak_mib`` and ``peak_mib_minute`` - peak resident memory of the process after each.
"""

import statistics
import time
from typing import Any

import numpy as np

from .process import peak_mib, run_child


def measure(quick: bool = False) -> dict[str, Any]:
    """About a minute, in a process of its own; ``quick`` leaves out the minute-long clip."""
    return run_child(child, quick)


def child(quick: bool) -> dict[str, Any]:
    """What is measured, in this process."""
    import torch

    from stereosync_core.assets import WALKING_CLIP, asset_path
    from stereosync_core.media.video import probe
    from stereosync_core.model.conditioning.spatial import SpatialConditioning
    from stereosync_core.model.decoding import decode
    from stereosync_core.model.pipeline import StereoSyncPipeline
    from stereosync_core.scene import Envelope, Track, Tracks

    pipeline = StereoSyncPipeline.from_pretrained("bundled")
    model, length = pipeline.model, probe(asset_path(WALKING_CLIP)).duration

    def run(seconds: float) -> float:
        times = np.arange(0, seconds, 0.1)
        left = 0.4 + 0.4 * np.sin(times)
        boxes = np.stack([left, np.full_like(left, 0.2), left + 0.2, np.full_like(left, 0.9)], axis=1)
        tracks = Tracks((Track(1, "person", times, boxes),), seconds)
        began = time.perf_counter()
        pipeline(SpatialConditioning(tracks, None), envelope=Envelope(0.05 * np.abs(np.sin(6 * times)), times))
        return time.perf_counter() - began

    run(length)
    took = statistics.median(run(length) for _ in range(3))
    measured = {"steps": model.defaults.num_inference_steps, "sampling_ratio": round(took / length, 3)}
    latents = torch.randn((1, model.autoencoder.latent_channels, int(length * model.latent_rate)))
    began = time.perf_counter()
    decode(model.autoencoder, latents, round(length * model.sample_rate))
    measured |= {"decoding_ratio": round((time.perf_counter() - began) / length, 3), "peak_mib": peak_mib()}
    if not quick:
        measured |= {"minute_ratio": round(run(60.0) / 60, 3), "peak_mib_minute": peak_mib()}
    return measured
