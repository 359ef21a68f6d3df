"""An autoencoder that is no network: one for a single channel, applied to each, so that no channel leaks into another.

A channel is parted into how loud it is and what it is. Its level, every 512 samples, stands in the latents as it is, in
decibels, and every 128 samples what it lies above or below that; divided by the level, its logarithmic powers in bands over
2048 samples are given by their principal components over the training sounds. What lies within those bands, in narrow ones and
for a longer time, has components of its own, the same for both channels: it is by this detail that two sounds of a kind differ.
Noise gets those powers back (Engel et al., "DDSP", 2020), and then the levels, so that it is as loud as the sound was, and as
sharp in time. Both channels have one noise, so that a sound from one place stays one image, and a second noise parts them as
far as the channels were incoherent (Breebaart et al., "Parametric Coding of Stereo Audio", 2005), which a few bands' values
say. What has one source has one spectrum in both channels, and their level difference is exact. Latents of the channels are
stacked: left first, then right.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

from .short_time import sound_of, spectrum_of

#: Levels of a channel in a latent frame, and finer ones, which say by how much they differ from those.
LEVELS, FINE = 4, 16
#: Decibels of what counts as silence; the level that the latents' levels are 0 at, and that they are 1 above it.
FLOOR, _MIDDLE, _UNIT = -80.0, -50.0, 15.0
#: Decibels of a finer level that are 1 in the latents; and of which a sound is corrected by them at most, twice.
_FINE_UNIT, _MOST = 6.0, 20.0
#: Decibels below the loudest moment that a rest may be at most; what counts as loud; and by which a moment is raised at most,
#: where it is not and where it is known what happens.
REST, _LOUD = -45.0, -20.0
RAISE, RAISE_KNOWN = 6.0, 24.0
#: Decibels of a course from one level to the next that are a jump, the levels on either side that belong to it, and decibels by
#: which finer levels differ at most where there is none: twice that is an attack.
_JUMP, _AROUND, _STEADY = 6.0, 2, 3.0
#: Turns decibels of power into natural logarithms.
_NATURAL = float(np.log(10)) / 10
#: Bins at which the bands begin whose powers are encoded, and the end of the last; and a power well below a sounding band's.
EDGES = (
    0,
    *range(2, 12),
    13,
    14,
    16,
    17,
    19,
    21,
    24,
    27,
    30,
    33,
    37,
    41,
    46,
    51,
    57,
    63,
    70,
    78,
    86,
    96,
    107,
    119,
    132,
    147,
    163,
)
EDGES += (181, 201, 224, 249, 276, 307, 341, 379, 421, 468, 513)
_POWER_FLOOR = 1e-3
#: Bins at which the narrow bands of the detail begin, and the end of the last; latent frames that it is the mean of, decibels
#: between the channels that make the louder one's count e times as much, and its lowest power.
DETAIL_EDGES = (*range(16), *range(16, 64, 2), *range(64, 512, 4), 513)
_DETAIL_FRAMES, _LOUDER, _DETAIL_FLOOR = 3, 6.0, 1e-2
#: Decibels below which nothing sounds.
_SOUNDING = -75.0
#: Bins at which the bands end whose coherence is in the latents, the same in both channels' halves; and a silent one's power.
BANDS = (12, 46, 186, 513)
_SILENT = 1e-8
#: Bounds of the bands' logarithmic powers; a full-scale sine reaches log(65536).
_LOG_RANGE = (-20.0, 14.0)
#: Samples after which the noise comes again.
_NOISE_SAMPLES = 2**19


@dataclass(frozen=True)
class LevelAutoencoderConfig:
    """Sizes: samples of the transform's window, and ``hop`` between them; ``hops`` in a latent frame; ``shape`` components a
    channel and latent frame, beside its :data:`LEVELS` and :data:`FINE` ones; and ``detail`` components of what lies within the
    bands, which both channels share like the coherence of the :data:`BANDS`."""

    window: int = 1024
    hop: int = 256
    hops: int = 8
    shape: int = 48
    detail: int = 0

    def __post_init__(self):
        if not 1 <= self.hop <= self.window or self.hops < 1:
            raise ValueError(f"windows of {self.window} samples every {self.hop}")

    @property
    def channel(self) -> int:
        """Values that a channel has by itself in a latent frame."""
        return LEVELS + self.shape + FINE

    @property
    def latent(self) -> int:
        """Values a channel and latent frame."""
        return self.channel + self.detail + len(BANDS)


class LevelAutoencoder(nn.Module):
    """Encodes and decodes sound channel by channel; ``latent_channels`` are those of a stereo sound, ``downsampling`` samples a
    latent frame. ``mean``, ``components`` and ``spread`` are those of the bands' logarithmic powers, those with ``detail_`` of
    what the narrow bands lie above them; decoding adds ``balance`` to the bands, so that they come out as they went in, in the
    mean."""

    window: Tensor
    noise: Tensor
    weights: Tensor

    def __init__(self, config: LevelAutoencoderConfig):
        super().__init__()
        self.config = config
        self.downsampling, self.latent_channels = config.hop * config.hops, 2 * config.latent
        values = (len(EDGES) - 1) * config.hops
        self.register_buffer("window", torch.hann_window(config.window), persistent=False)
        noise = torch.randn(_NOISE_SAMPLES, generator=torch.Generator().manual_seed(0))
        self.register_buffer("noise", noise / self.window.square().sum().sqrt(), persistent=False)
        self.register_buffer("weights", _band_weights(config.window // 2 + 1), persistent=False)
        self.mean = nn.Parameter(torch.zeros(values), requires_grad=False)
        self.components = nn.Parameter(torch.zeros((config.shape, values)), requires_grad=False)
        self.spread = nn.Parameter(torch.ones(config.shape), requires_grad=False)
        self.balance = nn.Parameter(torch.zeros(len(EDGES) - 1), requires_grad=False)
        if config.detail:
            count, narrow = config.detail, len(DETAIL_EDGES) - 1
            self.detail_mean = nn.Parameter(torch.zeros(narrow), requires_grad=False)
            self.detail_components = nn.Parameter(torch.zeros((count, narrow)), requires_grad=False)
            self.detail_spread = nn.Parameter(torch.ones(count), requires_grad=False)

    def encode(self, sound: Tensor) -> Tensor:
        """Latents ``[B, 2 * latent, T]`` of a stereo sound ``[B, 2, N]``; N is filled up with silence to whole latents."""
        sound = nn.functional.pad(sound, (0, -sound.shape[-1] % self.downsampling))
        channels = self._encode_channel(sound.flatten(0, 1)).unflatten(0, sound.shape[:2])
        shared = [2 * self._coherence(sound) - 1]
        if self.config.detail:
            detail, sounding = self.details_of(sound)
            values = (detail - self.detail_mean) @ self.detail_components.T / self.detail_spread * sounding[..., None]
            shared.insert(0, values.mT)
        return torch.cat([channels, torch.cat(shared, dim=1)[:, None].expand(-1, 2, -1, -1)], dim=2).flatten(1, 2)

    def decode(self, latents: Tensor, start: int = 0) -> Tensor:
        """Sound ``[B, 2, T * downsampling]`` of latents ``[B, 2 * latent, T]``.

        :param start: latent frames that come before these in the whole sound, whose noise the piece then has.
        """
        both = latents.unflatten(1, (2, self.config.latent))
        channels = both[:, :, : self.config.channel].flatten(0, 1)
        # half of the angle whose cosine is the coherence: left and right lie as far apart, to either side
        coherence = ((both[:, :, -len(BANDS) :].mean(1) + 1) / 2).clamp(0, 1)
        half = self._of_bins(coherence).acos() / 2
        frames, other = latents.shape[-1], start + _NOISE_SAMPLES // (2 * self.downsampling)
        common, own = half.cos() * self._noise_of(frames, start), half.sin() * self._noise_of(frames, other)
        spectra = self._sizes(channels).unflatten(0, (-1, 2)) * torch.stack([common + own, common - own], dim=1)
        if self.config.detail:
            spectra = spectra * self._detail_sizes(both[:, :, self.config.channel : -len(BANDS)].mean(1))[:, None]
        levels = self.levels(channels)
        sound = sound_of(spectra.flatten(0, 1), self.window, self.config.hop) * self._gain(levels)
        wanted = _between(levels) + channels[:, -FINE:].mT.flatten(1) * _FINE_UNIT
        for _ in range(2):
            lacking = (wanted - decibels_of(sound, self.downsampling // FINE)).clamp(-_MOST, _MOST)
            sound = sound * 10 ** (_interpolated(lacking, self.downsampling // FINE) / 20)
        return sound.unflatten(0, (-1, 2))

    def narrowed(self, latents: Tensor, width: float) -> Tensor:
        """Latents ``[B, 2 * latent, T]`` whose channels differ in all but their levels only ``width`` times as much: at 0 every
        moment is one image, at the place that its levels say."""
        both = latents.unflatten(1, (2, self.config.latent))
        mean = both.mean(1, keepdim=True)
        shape = mean + width * (both - mean)
        coherence = (1 - width * (1 - mean[:, :, -len(BANDS) :])).expand(-1, 2, -1, -1)
        return torch.cat([both[:, :, :LEVELS], shape[:, :, LEVELS : -len(BANDS)], coherence], dim=2).flatten(1, 2)

    def levelled(self, latents: Tensor, course: Tensor, attacks: Tensor | None = None) -> Tensor:
        """Latents ``[1, 2 * latent, T]`` whose level, of both channels together, has the course of an amplitude ``[T *
        LEVELS]``: level differences stay, and so does how loud the loud moments are in the mean. Rests come to lie :data:`REST`
        below the loudest moment or lower, and no moment is raised by more than :data:`RAISE`, or
        :data:`RAISE_KNOWN` with ``attacks``.

        :param attacks: bool ``[T * LEVELS]``, moments at which something happens, where that is known. An attack away from
            them that the course does not have is then levelled out; without its finer levels, which would be a dip and a peak.
        """
        if not course.any():
            return latents
        left, right = self.stereo_levels(latents)[0]
        own = torch.logaddexp(left * _NATURAL, right * _NATURAL) / _NATURAL
        wanted = (20 * (course / course.max()).clamp(min=1e-6).log10()).clamp(min=REST)
        loud = (wanted > _LOUD).float()
        change = wanted + ((own - wanted) * loud).sum() / loud.sum() - own
        change = torch.where(wanted <= REST, change.clamp(max=0), change).clamp(max=RAISE if attacks is None else RAISE_KNOWN)
        both = latents.unflatten(1, (2, self.config.latent)).clone()
        both[0, :, :LEVELS] += change.unflatten(0, (-1, LEVELS)).mT / _UNIT
        if attacks is not None:
            jumps = nn.functional.pad(wanted.diff().abs() > _JUMP, (1, 0)) | attacks.to(wanted.device)
            free = nn.functional.max_pool1d(jumps[None].float(), 2 * _AROUND + 1, stride=1, padding=_AROUND)[0] > 0
            free = free.repeat_interleave(FINE // LEVELS).unflatten(0, (-1, FINE)).mT
            finer = both[0, :, self.config.channel - FINE : self.config.channel]
            finer.copy_(torch.where(free, finer, finer.clamp(-_STEADY / _FINE_UNIT, _STEADY / _FINE_UNIT)))
        return both.flatten(1, 2)

    def levels(self, latents: Tensor) -> Tensor:
        """Levels ``[B, T * LEVELS]`` in decibels, that one channel's latents ``[B, channel, T]`` hold."""
        return latents[:, :LEVELS].mT.flatten(1) * _UNIT + _MIDDLE

    def stereo_levels(self, latents: Tensor) -> Tensor:
        """Levels ``[B, 2, T * LEVELS]`` in decibels of latents ``[B, 2 * latent, T]``."""
        return self.levels(latents.unflatten(1, (2, -1)).flatten(0, 1)).unflatten(0, (-1, 2))

    def patches_of(self, sound: Tensor) -> Tensor:
        """Logarithmic powers of the bands and hops of each latent frame ``[B, T, bands * hops]``, of a sound ``[B, N]`` as if
        it were equally loud all the time; N a multiple of ``downsampling``."""
        levels = decibels_of(sound, self.downsampling // LEVELS)
        power = spectrum_of(sound / self._gain(levels), self.window, self.config.hop).abs().square()
        logs = (_in_bands(power, EDGES) + _POWER_FLOOR).log()
        return logs.unflatten(2, (-1, self.config.hops)).transpose(1, 2).flatten(2)

    def details_of(self, sound: Tensor) -> tuple[Tensor, Tensor]:
        """Logarithmic powers of narrow bands over what the latents' wide ones say ``[B, T, narrow bands]``, of a sound ``[B, 2,
        N]``, mostly of the louder channel, and in which of the latent frames it sounds, ``[B, T]``."""
        channels = self._encode_channel(sound.flatten(0, 1))
        levels = self.levels(channels)
        even = spectrum_of(sound.flatten(0, 1) / self._gain(levels), self.window, self.config.hop)
        over = even.abs().square() / self._sizes(channels, balanced=False).square()
        levels = levels.repeat_interleave(self.config.hops // LEVELS, dim=1).unflatten(0, sound.shape[:2])
        share = (levels / _LOUDER).softmax(1) * (levels.amax(1, keepdim=True) > _SOUNDING)
        both = (over.unflatten(0, sound.shape[:2]) * share[:, :, None]).sum(1)
        power, sounding = (self._of_frames(value) for value in (_in_bands(both, DETAIL_EDGES), share.sum(1, keepdim=True)))
        return (power / sounding.clamp(min=1e-6) + _DETAIL_FLOOR).log().mT, sounding[:, 0] > 0

    def _of_frames(self, values: Tensor) -> Tensor:
        """Means ``[B, C, T]`` of values of the hops ``[B, C, T * hops]`` in each latent frame and its neighbours."""
        means = nn.functional.avg_pool1d(values, self.config.hops)
        return nn.functional.avg_pool1d(means, _DETAIL_FRAMES, 1, _DETAIL_FRAMES // 2, count_include_pad=False)

    def _detail_sizes(self, latents: Tensor) -> Tensor:
        """What magnitudes ``[B, bins, T * hops]`` are multiplied by, of the detail's latents ``[B, detail, T]``."""
        logs = ((latents.mT * self.detail_spread) @ self.detail_components + self.detail_mean).mT
        smooth = nn.functional.interpolate(logs, scale_factor=self.config.hops, mode="linear")
        return (smooth / 2).exp().repeat_interleave(torch.tensor(DETAIL_EDGES, device=logs.device).diff(), dim=1)

    def _encode_channel(self, sound: Tensor) -> Tensor:
        """Latents ``[B, channel, T]`` of ``[B, N]``."""
        levels, fine = (decibels_of(sound, self.downsampling // count) for count in (LEVELS, FINE))
        shape = (self.patches_of(sound) - self.mean) @ self.components.T / self.spread
        scaled = ((levels - _MIDDLE) / _UNIT).unflatten(1, (-1, LEVELS))
        finer = ((fine - _between(levels)) / _FINE_UNIT).unflatten(1, (-1, FINE))
        return torch.cat([scaled, shape, finer], dim=2).mT

    def _sizes(self, latents: Tensor, balanced: bool = True) -> Tensor:
        """Magnitudes ``[B, bins, T * hops]`` that one channel's latents hold, as if it were equally loud all the time."""
        patches = (latents[:, LEVELS:-FINE].mT * self.spread) @ self.components + self.mean
        bands = patches.unflatten(2, (-1, self.config.hops)).transpose(1, 2).flatten(2)
        bands = bands + self.balance[:, None] if balanced else bands
        return ((self.weights @ bands).clamp(*_LOG_RANGE) / 2).exp()

    def _noise_of(self, frames: int, start: int) -> Tensor:
        """Spectrum ``[1, bins, frames * hops]`` of noise of power 1 from the latent frame ``start`` on."""
        places = torch.arange(frames * self.downsampling, device=self.noise.device) + start * self.downsampling
        return spectrum_of(self.noise[places % _NOISE_SAMPLES][None], self.window, self.config.hop)

    def _coherence(self, sound: Tensor) -> Tensor:
        """Of left and right ``[B, 2, N]`` in each band and latent frame, 0..1, ``[B, len(BANDS), T]``; 1 where a channel is
        silent."""
        left, right = spectrum_of(sound.flatten(0, 1), self.window, self.config.hop).unflatten(0, sound.shape[:2]).unbind(1)

        def summed(values: Tensor) -> Tensor:
            bands = [values[:, low:high].sum(1) for low, high in pairwise((0, *BANDS))]
            return torch.stack(bands, dim=1).unflatten(2, (-1, self.config.hops)).sum(3)

        both, one, other = (summed(value) for value in ((left * right.conj()).real, left.abs() ** 2, right.abs() ** 2))
        powers = (one * other).sqrt()
        return torch.where(powers > _SILENT, both / powers.clamp(min=_SILENT), torch.ones_like(both)).clamp(0, 1)

    def _of_bins(self, bands: Tensor) -> Tensor:
        """A value of each band and latent frame at every bin and hop ``[B, bins, T * hops]``, straight between the middles of
        neighbouring frames."""
        smooth = nn.functional.interpolate(bands, scale_factor=self.config.hops, mode="linear")
        return smooth.repeat_interleave(torch.tensor((0, *BANDS), device=bands.device).diff(), dim=1)

    def _gain(self, levels: Tensor) -> Tensor:
        """What the equally loud sound is multiplied by, at each sample: the loudest of each level and its neighbours, so that a
        sound divided by it has no peak where it begins."""
        loudest = nn.functional.max_pool1d(levels[:, None], 3, stride=1, padding=1)[:, 0]
        return 10 ** (_interpolated(loudest, self.downsampling // LEVELS) / 20)


def decibels_of(sound: Tensor, hop: int) -> Tensor:
    """Levels ``[..., N / hop]`` in decibels of ``[..., N]``: power under Hann windows of two hops."""
    window = torch.hann_window(2 * hop, device=sound.device, dtype=sound.dtype)
    power = nn.functional.pad(sound.square(), (hop // 2, hop - hop // 2)).unfold(-1, 2 * hop, hop)
    means = (power * (window / window.sum())).sum(-1)[..., : sound.shape[-1] // hop]
    return 10 * (means + 10 ** (FLOOR / 10)).log10()


def _in_bands(power: Tensor, edges: tuple[int, ...]) -> Tensor:
    """Mean power ``[B, bands, T]`` between the edges of ``[B, bins, T]``."""
    return torch.stack([power[:, low:high].mean(1) for low, high in pairwise(edges)], dim=1)


def _between(levels: Tensor) -> Tensor:
    """Levels at the moments of the finer ones."""
    return _interpolated(levels, FINE // LEVELS)


def _interpolated(values: Tensor, scale: int) -> Tensor:
    """``[B, M]`` at ``scale`` times as many moments, straight between neighbours."""
    return nn.functional.interpolate(values[:, None], scale_factor=scale, mode="linear")[:, 0]


def _band_weights(bins: int) -> Tensor:
    """``[bins, bands]``: a bin's logarithmic power is straight between the middles of the bands."""
    middles = np.array([(low + high - 1) / 2 for low, high in pairwise(EDGES)])
    each = [np.interp(np.arange(bins), middles, row) for row in np.eye(len(middles))]
    return torch.from_numpy(np.stack(each, 1)).float()
