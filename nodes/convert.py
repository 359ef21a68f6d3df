"""Native AUDIO, IMAGE and CONDITIONING as the core takes them, and back; clear errors for what does not fit."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from ..stereosync_core.errors import StereoSyncError
from ..stereosync_core.media.sound import Sound
from ..stereosync_core.model.pipeline import GeneratedSound
from ..stereosync_core.rendering.stems import Stem
from ..stereosync_core.scene import DepthSequence


def sound_of(audio: Any, name: str = "audio", row: int = 0) -> Sound:
    """One entry of a native AUDIO mapping as a Sound; clear errors for what is not one."""
    waveform, rate = waveform_of(audio, name)
    return Sound(waveform[row].numpy(), rate)


def sounds_of(audio: Any, name: str = "audio") -> list[Sound]:
    """Every entry of a native AUDIO mapping."""
    waveform, rate = waveform_of(audio, name)
    return [Sound(row.numpy(), rate) for row in waveform]


def waveform_of(audio: Any, name: str = "audio") -> tuple[torch.Tensor, int]:
    """Waveform float32 ``[B, C, T]`` on the CPU and rate of a native AUDIO mapping, checked."""
    if audio is None:
        raise StereoSyncError(
            f"The input '{name}' carries no sound: the clip it comes from has no audio track. Connect a sound."
        )
    try:
        waveform, rate = torch.as_tensor(audio["waveform"]), int(audio["sample_rate"])
    except (KeyError, TypeError, ValueError) as error:
        raise StereoSyncError(
            f"The input '{name}' is not a native AUDIO (waveform and sample_rate); got {type(audio)}."
        ) from error
    if waveform.dim() != 3 or 0 in waveform.shape:
        raise StereoSyncError(
            f"The input '{name}' is empty or malformed: its waveform has shape {list(waveform.shape)}, expected "
            "[batch, channels, samples]. Check the node that made it."
        )
    waveform = _in_full_scale(waveform.detach().cpu(), name)
    if not torch.isfinite(waveform).all():
        raise StereoSyncError(
            f"The input '{name}' contains NaN or infinite samples, so the model that made it broke down. Make the sound "
            "again, in a higher precision or with another seed."
        )
    return waveform, rate


def _in_full_scale(waveform: torch.Tensor, name: str) -> torch.Tensor:
    """Float32 with full scale at 1 of a waveform of any type: whole numbers have it at the type's largest."""
    if waveform.dtype == torch.bool or waveform.is_complex():
        raise StereoSyncError(f"The input '{name}' holds {waveform.dtype} and no samples; give float32 in -1..1.")
    if waveform.is_floating_point():
        return waveform.float()
    info = torch.iinfo(waveform.dtype)
    middle = (info.max + 1) / 2 if info.min == 0 else 0.0
    return ((waveform.double() - middle) / (info.max + 1 - middle)).float()


def tokens_of(conditioning: Any, name: str) -> torch.Tensor:
    """Tokens float32 ``[1, N, D]`` on the CPU of a native CONDITIONING of one text."""
    if len(conditioning) != 1 or conditioning[0][0] is None:
        raise StereoSyncError(
            f"The input '{name}' holds {len(conditioning)} texts; give one text, from CLIP Text Encode, and combine "
            "several in one text."
        )
    return conditioning[0][0].detach().float().cpu()


#: Seconds from and to which an entry of CONDITIONING is meant, among what it holds beside its tokens.
STRETCH = "stereosync_stretch"


def prompts_of(conditioning: Any, name: str) -> torch.Tensor | list[tuple[float, float, torch.Tensor]]:
    """Tokens of a native CONDITIONING of one text, or of several over time, from Text over Time."""
    stretches = [more.get(STRETCH) for _, more in conditioning]
    if len(conditioning) < 2 or None in stretches:
        return tokens_of(conditioning, name)
    return [(*stretch, tokens_of([entry], name)) for stretch, entry in zip(stretches, conditioning, strict=True)]


def over_time(parts: list[tuple[float | None, float | None, Any]]) -> list[Any]:
    """Native CONDITIONING of several texts, each of its seconds; of one text as it is where these are None."""
    return [
        [tokens, more if start is None else {**more, STRETCH: (start, stop)}]
        for start, stop, conditioning in parts
        for tokens, more in conditioning
    ]


def on_cpu(values: Mapping[str, Any]) -> dict[str, Any]:
    """A mapping with arrays in place of its tensors."""
    return {key: value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else value for key, value in values.items()}


def metres_of(geometry: Mapping[str, Any]) -> torch.Tensor:
    """Distances ``[T, H, W]`` of Depth Anything 3's geometry; the sky is as far as the farthest of the rest."""
    depth, sky = geometry["depth"].float(), geometry.get("sky")
    if sky is None or not (sky < 0.5).any():
        return depth
    return torch.where(sky < 0.5, depth, depth[sky < 0.5].max())


def audio_out(samples: Any, rate: int) -> dict[str, Any]:
    """Native AUDIO from samples ``[C, T]`` or ``[B, C, T]``, or a list of ``[C, T]``."""
    waveform = torch.as_tensor(np.array(samples), dtype=torch.float32)
    return {"waveform": waveform if waveform.dim() == 3 else waveform[None], "sample_rate": int(rate)}


def stems_out(stems: Sequence[Stem]) -> dict[str, Any]:
    """Native AUDIO, a batch with an entry a stem, and their names."""
    return audio_out([stem.samples for stem in stems], stems[0].rate) | {"names": [stem.name for stem in stems]}


def stems_of(audio: Any, name: str = "stems") -> list[Stem]:
    """The entries of a native AUDIO mapping as stems; a batch of another node gets numbers for names."""
    waveform, rate = waveform_of(audio, name)
    names = list(audio.get("names", ()))
    if len(names) != len(waveform):
        names = [f"voice_{place}" for place in range(1, len(waveform) + 1)]
    return [Stem(str(stem), row.numpy(), rate) for stem, row in zip(names, waveform, strict=True)]


def depth_images(depth: DepthSequence) -> torch.Tensor:
    """Native IMAGE of depth, bright = near; the three channels are one memory."""
    return torch.from_numpy(depth.maps.copy())[..., None].expand(-1, -1, -1, 3)


def generated_out(sound: GeneratedSound) -> tuple[dict[str, Any], dict[str, Any]]:
    """Native AUDIO and LATENT of a pipeline's sound, an entry for each take, with the seeds for Select Take."""
    seeds = [take.seed for take in sound.takes]
    audio = audio_out([take.samples for take in sound.takes], sound.rate) | {"seeds": seeds}
    return audio, {"samples": torch.cat([take.latents for take in sound.takes]), "type": "audio"}
