"""Whether levels can be moved in latents that both channels share: a small autoencoder of Stable Audio 3's form (SAME), trained
here on the bundled sounds, and spatial guidance through its decoder, or through a head of levels trained on that decoder alone.

    python -m research.measurements.measure_same [--steps 1500]

Held-out sounds, as loud on either side, are encoded, and their latents moved towards a source that crosses the picture.
Printed is the mean distance in dB of the decoded channels' level difference from the target's, where anything sounds.
"""

import argparse
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from stereosync_core.model.conditioning.features import SUBFRAMES
from stereosync_core.model.conditioning.spatial_target import SpatialGuidanceTarget
from stereosync_core.model.latent_levels import LatentLevels, Levels, decoded_levels, levels_of
from stereosync_core.model.same import SameAutoencoder
from stereosync_core.model.spatial_guidance import SpatialGuidance, correct_denoised
from stereosync_core.model.stable_audio_3.release import networks
from stereosync_core.sounds.library import bundled_library

#: A latent frame of 12 ms, whose 1024 samples become 64 numbers.
SIZES = {
    **{"patch_size": 128, "encoder_channels": 16, "encoder_c_mults": (4,), "encoder_strides": (4,)},
    **{"encoder_transformer_depths": (1,), "latent_dim": 64, "dim_heads": 32},
}
FRAMES, BATCH = 16, 4
#: dB: of a pan that is drawn, of the target's ends, and below the loudest moment at which one no longer counts.
PAN, WIDE, AUDIBLE = 15.0, 10.0, 30.0
GUIDANCE = SpatialGuidance(1.0, rounds=16)


def mono_sounds(held_out: bool) -> Tensor:
    """The library's footsteps and landings one after the other, float32 ``[N]`` at a peak of 0.5; every sixth is held out."""
    library = bundled_library()
    takes = [library.samples(sound) for category in ("footstep", "landing") for sound in library.of(category)]
    chosen = [take for n, take in enumerate(takes) if (n % 6 == 0) == held_out]
    return torch.from_numpy(np.concatenate([0.5 * take / np.abs(take).max() for take in chosen]))


def batch(sounds: Tensor, count: int, frames: int, hop: int, generator: torch.Generator) -> Tensor:
    """Stereo ``[count, 2, frames * hop]``, each panned along a line drawn for it."""
    length = frames * hop
    starts = torch.randint(len(sounds) - length, (count,), generator=generator)
    mono = torch.stack([sounds[start : start + length] for start in starts])
    ends = PAN * (2 * torch.rand((count, 2, 1), generator=generator) - 1)
    difference = ends[:, 0] + (ends[:, 1] - ends[:, 0]) * torch.linspace(0, 1, length)
    return torch.stack([mono * 10 ** (-difference / 40), mono * 10 ** (difference / 40)], dim=1)


def fitted(network: nn.Module, loss: Callable[[torch.Generator], Tensor], steps: int, rate: float) -> None:
    optimizer = torch.optim.AdamW(network.parameters(), rate, betas=(0.9, 0.99))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, steps)
    for step in range(steps):
        optimizer.zero_grad()
        loss(torch.Generator().manual_seed(step)).backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    network.eval().requires_grad_(False)


def trained_autoencoder(steps: int) -> SameAutoencoder:
    """By the error of the waveform and of the magnitudes of its spectrum."""
    torch.manual_seed(0)
    autoencoder, sounds = SameAutoencoder(networks()["vae"](**SIZES)), mono_sounds(held_out=False)

    def loss(generator: torch.Generator) -> Tensor:
        wanted = batch(sounds, BATCH, FRAMES, autoencoder.downsampling, generator)
        made = autoencoder.decode(autoencoder.encode(wanted))
        error = (made - wanted).abs().mean() / wanted.abs().mean()
        for size in (1024, 256):
            own, theirs = (
                torch.stft(one.flatten(0, 1), size, window=torch.hann_window(size), return_complex=True).abs()
                for one in (made, wanted)
            )
            error = error + (own - theirs).norm() / theirs.norm()
        return error

    fitted(autoencoder.network, loss, steps, 3e-3)
    latents = autoencoder.encode(batch(sounds, 64, FRAMES, autoencoder.downsampling, torch.Generator().manual_seed(steps)))
    autoencoder.network.bottleneck.running_std *= latents.std()  # latents of spread 1, as a release's are
    return autoencoder


def trained_head(autoencoder: SameAutoencoder, steps: int) -> LatentLevels:
    """On the decoder alone, for latents under noise as well."""
    torch.manual_seed(1)
    head, sounds = LatentLevels(autoencoder.latent_channels, 128), mono_sounds(held_out=False)

    def loss(generator: torch.Generator) -> Tensor:
        with torch.no_grad():
            latents = autoencoder.encode(batch(sounds, BATCH, FRAMES, autoencoder.downsampling, generator))
            noise = torch.rand((BATCH, 1, 1), generator=generator) ** 2
            latents = latents + noise * latents.std() * torch.randn(latents.shape, generator=generator)
            wanted = levels_of(autoencoder.decode(latents), autoencoder.downsampling // SUBFRAMES)
        return (head(latents) - wanted)[..., SUBFRAMES:-SUBFRAMES].abs().mean()

    fitted(head, loss, steps, 2e-3)
    return head


def moved(autoencoder: SameAutoencoder, latents: Tensor, levels: Levels) -> tuple[Tensor, Tensor]:
    """Latents moved towards a target that goes from left to right, and it."""
    frames = latents.shape[-1]
    target = torch.linspace(-WIDE, WIDE, frames * SUBFRAMES)
    goal = SpatialGuidanceTarget(target, torch.ones_like(target))
    return correct_denoised(latents, levels, goal, GUIDANCE), target


def difference_error(sound: Tensor, target: Tensor, hop: int) -> float:
    """Mean distance in dB of a sound's ``[B, 2, N]`` level difference from ``target [M]``, where it is audible."""
    left, right = levels_of(sound, hop // SUBFRAMES).unbind(1)
    louder = torch.maximum(left, right)
    audible = louder > louder.amax(-1, keepdim=True) - AUDIBLE
    return float((right - left - target).abs()[audible].mean())


def measure(steps: int, clips: int = 8, frames: int = 32) -> dict[str, float]:
    """Errors in dB: of the encoded sound without guidance, of the sound made of moved latents, and of that again through the
    autoencoder; by the decoder and by the head."""
    autoencoder = trained_autoencoder(steps)
    head, hop = trained_head(autoencoder, steps), autoencoder.downsampling
    mono = mono_sounds(held_out=True)
    starts = np.linspace(0, len(mono) - frames * hop - 1, clips).astype(int)
    sounds = torch.stack([mono[start : start + frames * hop].expand(2, -1) for start in starts])
    latents = autoencoder.encode(sounds)
    found = {"round trip": float((autoencoder.decode(latents) - sounds).abs().mean() / sounds.abs().mean())}
    for name, levels in (("decoder", decoded_levels(autoencoder)), ("head", head)):
        changed, target = moved(autoencoder, latents, levels)
        made = autoencoder.decode(changed)
        found.setdefault("without", difference_error(autoencoder.decode(latents), target, hop))
        found[name] = difference_error(made, target, hop)
        found[f"{name}, again"] = difference_error(autoencoder.decode(autoencoder.encode(made)), target, hop)
    return found


def main() -> None:
    parser = argparse.ArgumentParser("measure_same", description=__doc__)
    parser.add_argument("--steps", type=int, default=1500, help="of each training (default: %(default)s)")
    for name, value in measure(parser.parse_args().steps).items():
        print(f"{name:16} {value:.2f}")


if __name__ == "__main__":
    main()
