"""A sound that generation starts from, a placed one above all: as latents, and as what is to stay of it, the levels of its
channels over time. (Meng et al., "SDEdit", 2022: noise over what is there, and denoising from that noise level on.)"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import StereoSyncError
from ..media.envelope import envelope_of_sound
from ..media.sound import Sound, resample
from ..scene import Envelope
from .conditioning.features import ENVELOPE_WINDOW, REFERENCE_LEVEL, SUBFRAMES
from .conditioning.spatial import SpatialConditioning
from .conditioning.spatial_target import SpatialGuidanceTarget, spatial_guidance_target
from .decoding import encode
from .generative_model import GenerativeModel
from .inpainting import CROSSFADE
from .latent_levels import levels_of
from .level_autoencoder import EDGES, decibels_of
from .short_time import sound_of, spectrum_of
from .stretches import Stretch, checked_stretches, stretches_of_text

#: Seconds by which the sound may be shorter or longer than the clip: a frame of what a codec puts around it.
_TOLERANCE = 0.1
#: dB below the loudest moment at which a moment's place and level no longer count, and the largest level difference.
_QUIETEST, _WIDEST = -40.0, 25.0
#: Samples of a window of the spectrum in which levels are put back, and between windows; dB that a band is changed by at most.
_WINDOW, _HOP, _MOST = 1024, 256, 20.0
#: Samples between the moments of the envelope that is put back, and dB that a moment is raised by at most.
_MOMENT, _RAISE = 128, 12.0
_SILENT = 1e-10
#: Turns decibels of power into natural logarithms.
_NATURAL = float(np.log(10)) / 10


@dataclass(frozen=True)
class SourceSound:
    """A sound that fits the clip and the model.

    :param samples: ``[2, N]``, as many as the clip has, silent after the sound's end.
    :param envelope: of its mono mix; None where it ends before the clip does.
    :param level: of its loudest moment.
    :param keep: stretches that stay as they are.
    """

    samples: np.ndarray
    rate: int
    envelope: Envelope | None
    level: float
    keep: Sequence[Stretch]

    def latents(self, model: GenerativeModel) -> Tensor:
        """Of the network's scale ``[1, C, T]``, as loud as it knows sounds."""
        gain = np.float32(REFERENCE_LEVEL / self.level if self.level > 0 else 1.0)
        latents = encode(model.autoencoder, torch.from_numpy(self.samples * gain)[None])
        return model.denoiser.normalised(latents.to(model.execution_device))

    def guidance_target(self, frames: int, latent_rate: float) -> SpatialGuidanceTarget:
        """See :func:`target_of_sound`."""
        return target_of_sound(self.samples, self.rate, frames, latent_rate)


def target_of_sound(samples: np.ndarray, rate: int, frames: int, latent_rate: float) -> SpatialGuidanceTarget:
    """The target of spatial guidance that a placed sound ``[2, N]`` gives: the level difference of its channels and the course
    of its level, at the moments of ``frames`` latent frames."""
    hop = round(rate / latent_rate) // SUBFRAMES
    padded = np.pad(samples, [(0, 0), (0, max(frames * SUBFRAMES * hop - samples.shape[1], 0))])
    left, right = levels_of(torch.from_numpy(padded)[None], hop)[0, :, : frames * SUBFRAMES]
    both = torch.logaddexp(left * _NATURAL, right * _NATURAL) / _NATURAL
    course = both - both.max()
    weight = (course > _QUIETEST).float()
    return SpatialGuidanceTarget((right - left).clamp(-_WIDEST, _WIDEST), weight, course.clamp(min=_QUIETEST))


def target_for(
    scene: SpatialConditioning,
    audio: Sound | None,
    rate: int,
    *,
    panning_law: str = "pan",
    envelope: Envelope | None = None,
    level: bool = False,
) -> Callable[[int, float], SpatialGuidanceTarget]:
    """The target for a number of latent frames, so many a second: of a placed sound, of any sampling rate, where there is one,
    else of the scene.

    :param rate: samples a second of the model's sound; the rest is as in :func:`.spatial_target.spatial_guidance_target`.
    :raises StereoSyncError: for a sound that is not stereo or not as long as the clip.
    """
    if audio is None:
        options = {"panning_law": panning_law, "envelope": envelope, "level": level}
        return lambda frames, latent_rate: spatial_guidance_target(*scene.selected(), frames, latent_rate, **options)
    check_placed(audio, scene.duration)
    placed = resample(audio, rate)
    return lambda frames, latent_rate: target_of_sound(placed.samples, rate, frames, latent_rate)


def check_placed(audio: Sound, duration: float, *, shorter: bool = False) -> None:
    """:raises StereoSyncError: for a sound that is not stereo or not as long as a clip of ``duration`` seconds; ``shorter``
    ones may be allowed."""
    if audio.channels != 2:
        raise StereoSyncError(
            f"Audio: the sound has {audio.channels} channel(s), the model makes stereo; place it first (Spatialize Audio), or "
            "mix it to two channels."
        )
    over = audio.duration - duration
    if over > _TOLERANCE or (over < -_TOLERANCE and not shorter):
        raise StereoSyncError(
            f"Audio: the sound lasts {audio.duration:.2f} s, the clip {duration:.2f} s; give the sound that was made for this "
            "clip, or trim one of the two."
        )


def source_of(
    audio: Sound | None, model: GenerativeModel, duration: float, keep: Sequence[Stretch] | str | None = None
) -> SourceSound | None:
    """A given sound for a clip of ``duration`` seconds.

    :param keep: stretches that stay as they are; the sound may then end before the clip.
    :raises StereoSyncError: when channels, rate or length do not fit, or a stretch lies outside.
    """
    keep = stretches_of_text(keep, duration) if isinstance(keep, str) else checked_stretches(keep or (), duration)
    if audio is None:
        if keep:
            raise StereoSyncError("Keep: there is no sound to keep a part of; give the audio as well.")
        return None
    check_placed(audio, duration, shorter=bool(keep))
    if audio.rate != model.sample_rate:
        raise StereoSyncError(
            f"Audio: the sound has {audio.rate} samples a second, '{model.name}' {model.sample_rate}; resample it."
        )
    ends_before = audio.duration - duration < -_TOLERANCE
    if ends_before:  # and fades into what continues it
        keep = [(start, min(stop, audio.duration - CROSSFADE)) for start, stop in keep if start < audio.duration - CROSSFADE]
    count = round(duration * audio.rate)
    samples = np.pad(audio.samples[:, :count], [(0, 0), (0, max(count - audio.length, 0))])
    envelope = envelope_of_sound(samples, audio.rate, window=ENVELOPE_WINDOW)
    # channels that cancel each other out are no silence
    channels = (envelope_of_sound(one[None], audio.rate, window=ENVELOPE_WINDOW) for one in samples)
    level = float(max(envelope.values.max(), *(0.5 * one.values.max() for one in channels)))
    return SourceSound(samples, audio.rate, None if ends_before else envelope, level, keep)


def with_levels_of(made: np.ndarray, placed: np.ndarray) -> np.ndarray:
    """A sound ``[2, N]`` with the level difference in each band, and the course of the level, of a placed one ``[2, N]``: what
    it sounds like stays, where and when it sounds is the placed one's. Loudness in the mean stays."""
    sound, like = (torch.from_numpy(np.array(one, dtype=np.float32)) for one in (made, placed))
    length, window = sound.shape[1], torch.hann_window(_WINDOW)
    over = -length % _WINDOW
    sound, like = (nn.functional.pad(one, (0, over)) for one in (sound, like))
    spectrum, wanted = spectrum_of(sound, window, _HOP), spectrum_of(like, window, _HOP)
    own, theirs = _band_powers(spectrum), _band_powers(wanted)
    # a band in which the placed sound is silent lies where the whole of the moment does
    whole, both = theirs.sum(1, keepdim=True), theirs.sum(0)
    share = torch.where(both > 1e-6 * whole.sum(0), theirs / (both + _SILENT), whole / (whole.sum(0) + _SILENT))
    gain = (share * own.sum(0) / (own + _SILENT)).sqrt().clamp(10 ** (-2 * _MOST / 20), 10 ** (_MOST / 20))
    gain = torch.where(whole > _SILENT, gain, torch.ones_like(gain))
    bins = torch.tensor(EDGES, dtype=torch.long).diff()
    placed_again = sound_of(spectrum * gain.repeat_interleave(bins, dim=1), window, _HOP)
    return _with_course(placed_again, like)[:, :length].numpy()


def _band_powers(spectrum: Tensor) -> Tensor:
    """``[2, bands, T]`` of a spectrum ``[2, bins, T]``, over three windows in time."""
    power = spectrum.abs().square()
    bands = torch.stack([power[:, low:high].sum(1) for low, high in pairwise(EDGES)], dim=1)
    return nn.functional.avg_pool1d(bands, 3, stride=1, padding=1)


def _with_course(sound: Tensor, like: Tensor) -> Tensor:
    """A sound ``[2, N]`` whose level, of both channels together, has the course of another's."""
    course = decibels_of(like.square().sum(0).sqrt()[None], _MOMENT)
    for _ in range(2):
        change = course - decibels_of(sound.square().sum(0).sqrt()[None], _MOMENT)
        loud = course > course.max() + _QUIETEST / 2
        change = (change - change[loud].mean()).clamp(max=_RAISE)
        sound = sound * 10 ** (nn.functional.interpolate(change[None], scale_factor=_MOMENT, mode="linear")[0] / 20)
    return sound
