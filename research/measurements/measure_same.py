"""Whether levels can be moved in latents that both channels share: a small autoencoder of Stable Audio 3's form (SAME), trained
here on the bundled sounds, and spatial guidance through its decoder, or through a head of levels trained on that decoder alone.

    python -m research.measurements.measure_same [--steps 600]

Held-out sounds, as loud on either side, are encoded, and their latents moved towards a source that crosses the picture.
Printed is the mean distance in dB of the decoded channels' level difference from the target's, every 3 ms, where anything
sounds. *Panned* is the same of sounds panned like that, encoded and decoded: what the autoencoder keeps of a place by itself.
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

#: A latent frame of 3 ms, whose 256 samples of both channels become 64 numbers.
SIZES = {
    **{"patch_size": 64, "encoder_channels": 16, "encoder_c_mults": (6,), "encoder_strides": (2,)},
    **{"encoder_transformer_depths": (1,), "latent_dim": 64, "dim_heads": 32},
}
FRAMES, BATCH = 64, 4
#: Peak of the sounds, whose root mean square with their pauses is then about 0.4; samples between the moments of an error, and
#: between those that the autoencoder is trained on.
PEAK, MOMENT, TRAINED = 4.0, 128, 256
#: dB: of a pan that is drawn, of the target's ends, and below the loudest moment at which one no longer counts.
PAN, WIDE, AUDIBLE = 15.0, 10.0, 30.0
GUIDANCE = SpatialGuidance()


def mono_sounds(held_out: bool) -> Tensor:
    """The library's footsteps and landings one after the other, float32 ``[N]``; every sixth is held out."""
    library = bundled_library()
    takes = [library.samples(sound) for category in ("footstep", "landing") for sound in library.of(category)]
    chosen = [take for n, take in enumerate(takes) if (n % 6 == 0) == held_out]
    return torch.from_numpy(np.concatenate([PEAK * take / np.abs(take).max() for take in chosen]))


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


def begun(network: nn.Module) -> nn.Module:
    """A new network whose branches carry something from the beginning. Built, all of them end in zeros and the tokens that are
    to take up the sound are alike: nothing of the sound gets through, and hundreds of steps do not change that."""
    for name, parameter in network.named_parameters():
        if name.endswith(("to_out.weight", "proj_out.weight")):
            nn.init.xavier_uniform_(parameter)
        elif name.endswith("new_tokens"):
            nn.init.normal_(parameter, std=0.5)
    return network


def trained_autoencoder(steps: int) -> SameAutoencoder:
    """By the error of the waveform and of each channel's level."""
    torch.manual_seed(0)
    autoencoder, sounds = SameAutoencoder(begun(networks()["vae"](**SIZES))), mono_sounds(held_out=False)

    def loss(generator: torch.Generator) -> Tensor:
        wanted = batch(sounds, BATCH, FRAMES, autoencoder.downsampling, generator)
        made = autoencoder.decode(autoencoder.encode(wanted))
        size, error = (of.square().mean((1, 2)).sqrt() for of in (wanted, made - wanted))
        apart = (levels_of(made, TRAINED) - levels_of(wanted, TRAINED)).abs()
        return (error / (size + 1e-3 * PEAK)).mean() + apart.clamp(max=40).mean() / 10

    fitted(autoencoder.network, loss, steps, 2e-3)
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


def crossing(moments: int) -> Tensor:
    """Level differences in dB ``[M]`` of a source that goes from left to right."""
    return torch.linspace(-WIDE, WIDE, moments)


def moved(latents: Tensor, levels: Levels) -> Tensor:
    """Latents moved towards :func:`crossing`."""
    target = crossing(latents.shape[-1] * SUBFRAMES)
    return correct_denoised(latents, levels, SpatialGuidanceTarget(target, torch.ones_like(target)), GUIDANCE)


def difference_error(sound: Tensor) -> float:
    """Mean distance in dB of a sound's ``[B, 2, N]`` level difference from :func:`crossing`, where it is audible."""
    left, right = levels_of(sound, MOMENT).unbind(1)
    louder = torch.maximum(left, right)
    audible = louder > louder.amax(-1, keepdim=True) - AUDIBLE
    return float((right - left - crossing(left.shape[-1])).abs()[audible].mean())


def spectral_error(made: Tensor, wanted: Tensor) -> float:
    """Of the magnitudes of spectra of 12 ms, over those of ``wanted``; silence has 1."""
    window = torch.hann_window(512)
    own, theirs = (torch.stft(one.flatten(0, 1), 512, window=window, return_complex=True).abs() for one in (made, wanted))
    return float((own - theirs).norm() / theirs.norm())


def measure(steps: int, *, clips: int = 8, seconds: float = 0.37, with_head: bool = True) -> dict[str, float]:
    """Errors in dB: of the encoded sound without guidance, of panned ones, of the sound made of moved latents, of that
    again through the autoencoder; by the decoder and by the head. And the spectral error of panned ones."""
    autoencoder = trained_autoencoder(steps)
    hop, mono = autoencoder.downsampling, mono_sounds(held_out=True)
    length = round(seconds * 44100 / hop) * hop
    starts = np.linspace(0, len(mono) - length - 1, clips).astype(int)
    sounds = torch.stack([mono[start : start + length].expand(2, -1) for start in starts])
    gain = 10 ** (crossing(length) / 40)
    panned = sounds * torch.stack([1 / gain, gain])
    latents, again = autoencoder.encode(sounds), autoencoder.decode(autoencoder.encode(panned))
    found = {"without": difference_error(autoencoder.decode(latents)), "panned": difference_error(again)}
    readers: dict[str, Levels] = {"decoder": decoded_levels(autoencoder)}
    if with_head:
        readers["head"] = trained_head(autoencoder, steps)
    for name, levels in readers.items():
        made = autoencoder.decode(moved(latents, levels))
        found[name] = difference_error(made)
        found[f"{name}, again"] = difference_error(autoencoder.decode(autoencoder.encode(made)))
    return found | {"spectral error": spectral_error(again, panned)}


def main() -> None:
    parser = argparse.ArgumentParser("measure_same", description=__doc__)
    parser.add_argument("--steps", type=int, default=600, help="of each training (default: %(default)s)")
    for name, value in measure(parser.parse_args().steps).items():
        print(f"{name:16} {value:.2f}")


if __name__ == "__main__":
    main()
