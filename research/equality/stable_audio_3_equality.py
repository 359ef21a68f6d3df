"""Our Stable Audio 3 against diffusers' own pipeline, on the same seeded random weights.

    python -m research.equality.stable_audio_3_equality [--size narrow|small_sfx|medium] [--steps 8]

Prints the largest difference of each quantity, over the largest value of the reference, and ends with an error when one is
above its bound. Weights are drawn a tensor at a time, so that a full size takes its own memory and no more.
"""

import argparse
import sys
from itertools import pairwise
from typing import Any

import torch

from stereosync_core.model.denoiser import Conditioning
from stereosync_core.model.generative_model import GenerativeModel
from stereosync_core.model.guidance import guidance_branches, guided
from stereosync_core.model.samplers import SCHEDULES, Velocity, euler, initial_latents, pingpong
from stereosync_core.model.stable_audio_3.release import build_stable_audio_3, networks

#: Transformer and autoencoder of each size; what is left out is diffusers' default, which is medium's transformer and SAME-S.
SIZES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "narrow": (
        {"io_channels": 16, "embed_dim": 64, "depth": 3, "num_heads": 2, "cond_token_dim": 32, "global_cond_dim": 32}
        | {"local_add_cond_dim": 17, "num_memory_tokens": 8},
        {
            "encoder_channels": 16,
            "encoder_c_mults": (4,),
            "encoder_transformer_depths": (2,),
            "latent_dim": 16,
            "dim_heads": 32,
        },
    ),
    #: Narrow as well, with the latents, tokens and width of a head that a host knows.
    "host": (
        {"embed_dim": 128, "depth": 3, "num_heads": 2, "num_memory_tokens": 4},
        {"encoder_channels": 16, "encoder_c_mults": (4,), "encoder_transformer_depths": (2,), "dim_heads": 32},
    ),
    "small_sfx": ({"embed_dim": 1024, "depth": 20, "num_heads": 16}, {}),
    "medium": ({}, {"encoder_channels": 256, "encoder_transformer_depths": (12,), "decoder_sinusoidal_blocks": (8,)}),
}
#: Largest difference allowed, over the reference's largest value.
BOUNDS = {
    "velocity": 1e-5,
    "guided velocity": 1e-5,
    "local condition": 1e-5,
    "times": 1e-4,
    "latents, euler, guidance 3": 1e-4,
    "latents, ping-pong": 1e-4,
    "latents, from a sound": 1e-4,
    "encoded": 1e-4,
    "decoded sound": 1e-4,
}
CFG, SECONDS, STEPS, STRENGTH = 3.0, 2.0, 8, 0.5


def random_networks(size: str) -> dict[str, Any]:
    """Transformer, autoencoder and duration embedder with seeded random weights that are nowhere zero."""
    known, (transformer, vae) = networks(), SIZES[size]
    width = transformer.get("cond_token_dim", 768)
    options = {"transformer": transformer, "vae": vae, "duration_embedder": {"output_dim": width}}
    torch.manual_seed(0)
    made = {part: known[part](**options[part]).eval().requires_grad_(False) for part in known}
    generator = torch.Generator().manual_seed(1)
    for network in made.values():
        for parameter in network.parameters():
            if not parameter.any():
                parameter.copy_(0.05 * torch.randn(parameter.shape, generator=generator))
    return made


def random_model(size: str = "narrow", *, distilled: bool = True) -> GenerativeModel:
    """The pipeline's model of :func:`random_networks`."""
    made = random_networks(size)
    return build_stable_audio_3(size, made["transformer"], made["vae"], made["duration_embedder"], distilled=distilled)


@torch.inference_mode()
def compare(size: str = "narrow", steps: int = STEPS) -> dict[str, float]:
    """Differences, with the names of :data:`BOUNDS`; ``steps`` of the sampler."""
    from diffusers import FlowMatchEulerDiscreteScheduler
    from diffusers.pipelines.stable_audio_3.pipeline_stable_audio_3 import StableAudio3Pipeline

    made = random_networks(size)
    model = build_stable_audio_3(size, made["transformer"], made["vae"], made["duration_embedder"])
    assert model.conditioners is not None
    generator = torch.Generator().manual_seed(2)

    def noise(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator)

    width, count = model.conditioners.width, model.conditioners.text_tokens
    text, other = noise(1, 7, width), noise(1, 3, width)

    def padded(tokens: torch.Tensor) -> dict[str, torch.Tensor]:
        mask = torch.arange(count)[None] < tokens.shape[1]
        return {"embeds": torch.nn.functional.pad(tokens, (0, 0, 0, count - tokens.shape[1])), "mask": mask.long()}

    conditioning = model.conditioners(text, {"seconds_total": [SECONDS]}, other)
    channels, hop = model.autoencoder.latent_channels, model.autoencoder.downsampling
    frames = -(-int(SECONDS * model.sample_rate) // hop)
    x = noise(1, channels, frames)
    pipeline: Any = StableAudio3Pipeline(
        made["vae"],
        None,
        None,
        made["duration_embedder"],
        made["transformer"],
        FlowMatchEulerDiscreteScheduler(num_train_timesteps=1),
    )
    pipeline.set_progress_bar_config(disable=True)

    def reference(guidance: float, stochastic: bool, latents: torch.Tensor) -> torch.Tensor:
        pipeline.scheduler = FlowMatchEulerDiscreteScheduler(num_train_timesteps=1, stochastic_sampling=stochastic)
        given, against = padded(text), padded(other)
        torch.manual_seed(3)
        return pipeline(
            duration=SECONDS,
            num_inference_steps=steps,
            guidance_scale=guidance,
            prompt_embeds=given["embeds"],
            encoder_attention_mask=given["mask"],
            negative_prompt_embeds=against["embeds"],
            negative_encoder_attention_mask=against["mask"],
            latents=latents,
            output_type="latent",
        ).audios

    def direct(tokens: torch.Tensor, **more: Any) -> torch.Tensor:
        ready, seconds = padded(tokens), made["duration_embedder"](torch.tensor([SECONDS]))
        context = torch.cat([ready["embeds"], seconds[:, None]], dim=1)
        mask = torch.cat([ready["mask"], ready["mask"].new_ones(1, 1)], dim=1)
        return made["transformer"](x, torch.tensor([0.4]), context, seconds, mask, **more, return_dict=False)[0]

    def under(scale: float, given: Conditioning = conditioning) -> Velocity:
        return guided(model.denoiser, guidance_branches(None, given, scale, scale))

    local = torch.cat([(torch.arange(frames) < frames // 2).float()[None, None], noise(1, channels, frames)], dim=1)
    held = Conditioning(conditioning.cross_attn_tokens, conditioning.global_cond, conditioning.negative_tokens, local)
    away, toward = direct(other), direct(text)
    times = SCHEDULES["stable_audio_3"](steps)
    from_part = SCHEDULES["stable_audio_3"](steps, STRENGTH)
    sound = 0.1 * noise(1, 2, frames * hop)
    torch.manual_seed(3)
    walked = pingpong(under(1.0), x, times, noise=lambda *_: torch.randn(x.shape))
    start = initial_latents(noise(1, channels, frames), STRENGTH, "rectified_flow", x)
    expected = start
    for t, t_next in pairwise(from_part):
        given = padded(text)
        seconds = made["duration_embedder"](torch.tensor([SECONDS]))
        context = torch.cat([given["embeds"], seconds[:, None]], dim=1)
        mask = torch.cat([given["mask"], given["mask"].new_ones(1, 1)], dim=1)
        expected = (
            expected
            + (t_next - t) * made["transformer"](expected, torch.tensor([t]), context, seconds, mask, return_dict=False)[0]
        )
    pairs = {
        "velocity": (model.denoiser(x, torch.tensor([0.4]), None, conditioning), toward),
        "guided velocity": (under(CFG)(x, 0.4), away + CFG * (toward - away)),
        "local condition": (under(1.0, held)(x, 0.4), direct(text, local_add_cond=local)),
        "latents, euler, guidance 3": (euler(under(CFG), x, times), reference(CFG, False, x)),
        "latents, ping-pong": (walked, reference(1.0, True, x)),
        "latents, from a sound": (euler(under(1.0), start, from_part), expected),
        "encoded": (model.autoencoder.encode(sound), made["vae"].encode(sound).latents),
        "decoded sound": (model.autoencoder.decode(x), made["vae"].decode(x).sample),
    }
    pipeline.scheduler.set_timesteps(sigmas=[*times[:-1]])
    pairs["times"] = (torch.tensor(times), pipeline.scheduler.sigmas.double())
    return {name: float((ours - theirs).abs().max() / theirs.abs().max()) for name, (ours, theirs) in pairs.items()}


def main() -> int:
    parser = argparse.ArgumentParser("stable_audio_3_equality", description=__doc__)
    parser.add_argument("--size", choices=list(SIZES), default="narrow")
    parser.add_argument("--steps", type=int, default=STEPS, help="of the sampler (default: %(default)s)")
    arguments = parser.parse_args()
    found = compare(arguments.size, arguments.steps)
    for name, value in found.items():
        print(f"{name:28} {value:.1e}  (at most {BOUNDS[name]:.0e})")
    return int(any(not value <= BOUNDS[name] for name, value in found.items()))


if __name__ == "__main__":
    sys.exit(main())
