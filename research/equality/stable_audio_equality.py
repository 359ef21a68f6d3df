"""Our Stable Audio Open against stable-audio-tools', on the same random weights.

    python -m research.equality.stable_audio_equality [--size open_1_0] [--full]

``--full`` takes the release's own size instead of a narrow one. Prints the largest difference of each quantity, over the
largest value of the reference, and ends with an error when one is above its bound.
"""

import argparse
import copy
import sys
import tempfile
from pathlib import Path

import torch
from safetensors.torch import load_file

from research.equality.reference_packages import install, installed
from research.equality.stable_audio_reference import CFG, EXPECTED, PINGPONG_STEPS, SEED, STEPS, make
from stereosync_core.model.denoiser import Conditioning
from stereosync_core.model.guidance import guidance_branches, guided
from stereosync_core.model.loader import load_stable_audio
from stereosync_core.model.objectives import predict_x0
from stereosync_core.model.samplers import (
    Velocity,
    dpmpp_3m_sde,
    initial_latents,
    log_sigma_times,
    log_snr_times,
    pingpong,
    seeded_noise,
)
from stereosync_core.model.stable_audio.config import RELEASES, release_config

#: Largest difference allowed, over the reference's largest value.
BOUNDS = {
    "tokens": 1e-5,
    "global condition": 1e-5,
    "velocity": 1e-5,
    "guided velocity": 1e-5,
    "guided away from a text": 1e-5,
    "schedule": 1e-4,
    "times": 1e-4,
    "predicted sound": 1e-4,
    "sampled latents": 1e-4,
    "encoded mean": 1e-4,
    "decoded sound": 1e-4,
}


def reduced(name: str) -> dict:
    """The config of a release at a width for tests: same kinds of layers, same strides, same size of a head."""
    config = copy.deepcopy(release_config(name))
    model = config["model"]
    diffusion = model["diffusion"]["config"]
    head = diffusion["embed_dim"] // diffusion["num_heads"]
    numbers = len(model["diffusion"]["global_cond_ids"])
    diffusion |= {"io_channels": 4, "embed_dim": 2 * head, "num_heads": 2, "depth": 3}
    diffusion |= {"cond_token_dim": 64, "global_cond_dim": 64 * numbers}
    model["io_channels"], model["conditioning"]["cond_dim"] = 4, 64
    autoencoder = model["pretransform"]["config"]
    autoencoder["latent_dim"] = 4
    autoencoder["encoder"]["config"] |= {"channels": 8, "latent_dim": 8}
    autoencoder["decoder"]["config"] |= {"channels": 8, "latent_dim": 4}
    return config


@torch.inference_mode()
def compare(folder: Path) -> dict[str, float]:
    """Differences, with the names of :data:`BOUNDS`, on a folder that the reference has written."""
    wanted = load_file(folder / EXPECTED)
    model = load_stable_audio(folder)
    assert model.conditioners is not None
    seconds = {"seconds_start": [0.0, 3.5], "seconds_total": [11.25, 600.0]}

    def under_guidance(conditioning: Conditioning, scale: float) -> Velocity:
        return guided(model.denoiser, guidance_branches(None, conditioning, scale, scale))

    conditioning = model.conditioners(wanted["texts"], seconds)
    one = model.conditioners(wanted["texts"][:1], {name: values[:1] for name, values in seconds.items()})
    other = model.conditioners(
        wanted["texts"][:1], {name: values[:1] for name, values in seconds.items()}, wanted["against"][:1]
    )
    x, t = wanted["x"], wanted["t"]
    velocity = model.denoiser(x, t, None, conditioning)
    made = {
        "tokens": (conditioning.cross_attn_tokens, wanted["tokens"]),
        "global condition": (conditioning.global_cond, wanted["globally"]),
        "velocity": (velocity, wanted["velocity"]),
        "guided velocity": (under_guidance(one, CFG)(x[:1], float(t[0])), wanted["guided"]),
        "guided away from a text": (under_guidance(other, CFG)(x[:1], float(t[0])), wanted["guided_against"]),
        "encoded mean": (model.autoencoder.encode(wanted["audio"]), wanted["encoded"]),
        "decoded sound": (model.autoencoder.decode(wanted["latents"]), wanted["decoded"]),
    }
    noise = wanted["noise"]
    if model.objective == "v":
        times = log_sigma_times(STEPS)
        steps = iter(noise[1:])
        sampled = dpmpp_3m_sde(
            under_guidance(one, CFG), initial_latents(noise[0], times[0], "v"), times, noise=lambda *_: next(steps)
        )
        at = torch.tensor([5.0]).atan() * 2 / torch.pi
        mixed = x[:1] * 5 * torch.cos(at * torch.pi / 2)
        made["predicted sound"] = (predict_x0(mixed, model.denoiser(mixed, at, None, one), at, "v"), wanted["sound"])
        made["times"] = (torch.tensor(times[:-1]), wanted["times"])
        made["schedule"] = (torch.tan(torch.tensor(times[:-1], dtype=torch.float64) * torch.pi / 2), wanted["sigmas"])
    else:
        times = log_snr_times(PINGPONG_STEPS)
        fresh = seeded_noise(noise[0], torch.Generator().manual_seed(SEED))
        sampled = pingpong(under_guidance(one, 1.0), noise[0], times, noise=fresh)
        made["times"] = (torch.tensor(times[:-1]), wanted["times"])
    made["sampled latents"] = (sampled, wanted["sampled"])
    return {name: float((ours - theirs).abs().max() / theirs.abs().max()) for name, (ours, theirs) in made.items()}


def main() -> int:
    parser = argparse.ArgumentParser("stable_audio_equality", description=__doc__)
    parser.add_argument("--size", choices=RELEASES, default=RELEASES[0])
    parser.add_argument("--full", action="store_true", help="the release's own size: 16 GB of memory, 6 GB of disk")
    parser.add_argument("--frames", type=int, default=43, help="latent frames that the transformer is compared on; 43 are 2 s")
    parser.add_argument("--folder", type=Path, help="where the random model is written; a temporary one when left out")
    arguments = parser.parse_args()
    if not installed():
        install()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as scratch:
        config = release_config(arguments.size) if arguments.full else reduced(arguments.size)
        found = compare(make(config, Path(scratch), arguments.frames))
    for name, value in found.items():
        print(f"{name:24} {value:.1e}  (at most {BOUNDS[name]:.0e})")
    return int(any(not value <= BOUNDS[name] for name, value in found.items()))


if __name__ == "__main__":
    sys.exit(main())
