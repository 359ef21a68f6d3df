"""A generative model with all its parts. The bases differ in their networks and in :class:`SamplingDefaults`, in nothing
else."""

from dataclasses import dataclass, replace

import torch
from torch import nn

from ..errors import StereoSyncError
from .backbone import Backbone
from .conditioning.clap import ClapTimbre
from .conditioning.features import REFERENCE_LEVEL
from .conditioning.sound_timbre import SoundTimbre
from .conditioning.video_envelope import VideoEnvelope
from .denoiser import Denoiser
from .latent_levels import LatentLevels
from .level_autoencoder import LevelAutoencoder
from .oobleck import OobleckAutoencoder
from .precision import in_precision
from .same import SameAutoencoder
from .spatial_guidance import SpatialGuidance
from .stable_audio.conditioners import Conditioners
from .stable_audio_3.conditioners import DurationConditioners

_ROOMS, _PAN = SpatialGuidance(0.5, "rooms"), SpatialGuidance(0.0, "pan")
_PAN_SELDOM = replace(_PAN, rounds=2, every=5)


@dataclass(frozen=True)
class SamplingDefaults:
    """What a base is sampled with where a call leaves it out.

    :param sampler: one of :data:`.samplers.SAMPLERS` for the base's objective; ``schedule`` one of :data:`.samplers.SCHEDULES`.
    :param spatial_scale: None = that of the guidance scale, which saves an evaluation a step.
    :param overlap: seconds by which the windows of a long clip overlap.
    :param level: of the sound's loudest moment where no envelope is given.
    :param spatial_guidance: strength (0: off), panning law and cost; ``decoder_guidance`` where levels are read through the
        decoder.
    :param strength: timestep at which denoising of a given sound begins.
    :param width: of the image, see :meth:`.level_autoencoder.LevelAutoencoder.narrowed`; 1 leaves the latents as they are.
    """

    sampler: str
    schedule: str
    num_inference_steps: int
    guidance_scale: float
    spatial_scale: float | None = None
    overlap: float = 4.0
    level: float = REFERENCE_LEVEL
    spatial_guidance: SpatialGuidance = _PAN
    decoder_guidance: SpatialGuidance = _PAN_SELDOM
    strength: float = 0.5
    width: float = 1.0


#: The scales were chosen on validation rooms, the strength by the curve of refined sounds (docs/results.md). The level is that
#: of a step some three metres away there.
STEREOSYNC = SamplingDefaults("dpmpp_2m", "linear", 16, 1.5, 2.5, 0.8, 0.05, _ROOMS, _ROOMS, 0.95, width=0.1)
#: Stable Audio Open 1.0.
STABLE_AUDIO = SamplingDefaults("dpmpp_3m_sde", "log_sigma", 100, 7.0)
#: A rectified flow of its kind.
STABLE_AUDIO_FLOW = replace(STABLE_AUDIO, sampler="euler", schedule="log_snr")
#: Stable Audio Open Small, which was distilled for few steps without guidance.
STABLE_AUDIO_DISTILLED = replace(STABLE_AUDIO_FLOW, sampler="pingpong", num_inference_steps=8, guidance_scale=1.0)
#: Stable Audio 3's base variants, and what was distilled from them.
STABLE_AUDIO_3 = replace(STABLE_AUDIO_FLOW, schedule="stable_audio_3")
STABLE_AUDIO_3_DISTILLED = replace(STABLE_AUDIO_DISTILLED, schedule="stable_audio_3")


class GenerativeModel(nn.Module):
    """All parts of a model, as one module that moves as a whole.

    :param name: for messages and menus.
    :param window: latent frames that it was trained on at a time.
    :param cues: what of a scene it was trained with: ``both``, ``boxes`` or ``depth``; it is conditioned on no more.
    :param conditioners: from text tokens and seconds to the denoiser's conditioning; None where it takes no prompt.
    :param timbre_encoder: makes a timbre's vector, and ``envelope_reader`` an envelope of a clip's pictures; None without.
    :param levels: reads the channels' levels off latents, for spatial guidance; None where they are read through the decoder.
    """

    def __init__(
        self,
        name: str,
        defaults: SamplingDefaults,
        denoiser: Denoiser,
        autoencoder: LevelAutoencoder | OobleckAutoencoder | SameAutoencoder,
        *,
        window: int,
        sample_rate: int = 44100,
        cues: str = "both",
        conditioners: Conditioners | DurationConditioners | None = None,
        timbre_encoder: SoundTimbre | ClapTimbre | None = None,
        envelope_reader: VideoEnvelope | None = None,
        levels: LatentLevels | None = None,
    ):
        super().__init__()
        self.name, self.defaults, self.sample_rate, self.cues = name, defaults, sample_rate, cues
        self.denoiser, self.autoencoder, self.conditioners = denoiser, autoencoder, conditioners
        self.timbre_encoder, self.envelope_reader, self.levels = timbre_encoder, envelope_reader, levels
        self._window = window

    @property
    def backbone(self) -> Backbone:
        return self.denoiser.backbone

    @property
    def objective(self) -> str:
        return self.denoiser.objective

    @property
    def latent_rate(self) -> float:
        """Latent frames a second."""
        return self.sample_rate / self.autoencoder.downsampling

    @property
    def window(self) -> int:
        """Latent frames that it, or its adapter, was trained on at a time."""
        adapter = self.denoiser.adapter
        return self._window if adapter is None else min(self._window, adapter.config.get("window") or self._window)

    @property
    def execution_device(self) -> torch.device:
        """Where it runs. Hosts set an attribute ``device`` of their own."""
        return next(self.denoiser.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """Of the backbone."""
        return next(self.denoiser.backbone.parameters()).dtype

    @property
    def timbre_size(self) -> int:
        """Of the embedding of a timbre that it takes. Raises StereoSyncError for a release without an adapter."""
        control = self.denoiser.spatial_control
        if control is None:
            raise StereoSyncError(f"Stable Audio: '{self.name}' takes no timbre without a StereoSync adapter; give its folder.")
        return control.timbre.in_features

    def set_precision(self, dtype: torch.dtype) -> None:
        """Compute velocities in ``dtype``. What runs once a clip, and the autoencoder, stay as they are."""
        control = self.denoiser.spatial_control
        for part in (self.backbone, self.conditioners, None if control is None else control.control):
            if part is not None:
                in_precision(part, dtype)
