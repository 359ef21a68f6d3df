"""Loading a model's folder, whole or in parts."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from ..assets import asset_path
from ..errors import StereoSyncError
from .channel_autoencoder import ChannelAutoencoder, ChannelAutoencoderConfig
from .conditioning.clap import ClapTimbre
from .conditioning.timbre import TimbreEncoder
from .conditioning.video_envelope import VideoEnvelope
from .folder import load_into, read_model_config, read_weights
from .latent_levels import LatentLevels
from .model import StereoSync
from .packed import pack

#: Folder of the bundled model among the assets.
BUNDLED = "walking-rooms"
SAMPLE_RATE = 44100


class Model(nn.Module):
    """All parts of a model, as one module that moves as a whole.

    :ivar sample_rate: of its sound.
    :ivar latent_rate: latent frames a second.
    :ivar window: latent frames that it was trained on at a time.
    :ivar place: device and dtype.
    :ivar levels: reads the channels' levels off latents; None where the model has no such part.
    """

    def __init__(
        self,
        name: str,
        autoencoder: ChannelAutoencoder,
        diffusion: StereoSync,
        timbre: TimbreEncoder | ClapTimbre,
        envelope: VideoEnvelope,
        levels: LatentLevels | None = None,
    ):
        super().__init__()
        self.name = name
        self.autoencoder, self.diffusion, self.timbre, self.envelope = autoencoder, diffusion, timbre, envelope
        self.levels = levels

    @property
    def sample_rate(self) -> int:
        return SAMPLE_RATE

    @property
    def latent_rate(self) -> float:
        return SAMPLE_RATE / self.autoencoder.downsampling

    @property
    def window(self) -> int:
        return int(self.diffusion.config["window"])

    @property
    def cues(self) -> str:
        """What of a scene it was trained with: ``both``, ``boxes`` or ``depth``; it is told no more."""
        return str(self.diffusion.config.get("cues", "both"))

    @property
    def timbre_size(self) -> int:
        """Of the timbre's embedding."""
        return self.diffusion.timbre.in_features

    @property
    def place(self) -> tuple[torch.device, torch.dtype]:
        parameter = next(self.diffusion.parameters())
        return parameter.device, parameter.dtype


def bundled_folder() -> Path:
    """Folder of the bundled model."""
    return asset_path(f"{BUNDLED}/config.json").parent


def load_model(folder: Path | None = None) -> Model:
    """A model's folder, on the CPU in single precision; the bundled model when left out.

    :raises StereoSyncError: when config or weights are missing, damaged or do not fit each other.
    """
    folder = bundled_folder() if folder is None else Path(folder)
    parts = (load_autoencoder(folder), load_diffusion(folder), load_timbre(folder), load_envelope(folder), load_levels(folder))
    model = Model(folder.name, *parts).eval()
    pack(model)
    latents = model.diffusion.mean.shape[0]
    if latents != model.autoencoder.latent_channels or model.diffusion.timbre.in_features != model.timbre.size:
        raise StereoSyncError(f"Model: the parts of '{folder}' are of different models; copy the model's folder again.")
    return model


def load_autoencoder(folder: Path) -> ChannelAutoencoder:
    """The folder's autoencoder, on the CPU in single precision.

    :raises StereoSyncError: when config or weights are missing, damaged or of another model.
    """
    folder = part_folder(folder, "autoencoder")
    config = dict(read_model_config(folder)["autoencoder"])
    if config.pop("type", None) != "channel":
        raise StereoSyncError(f"Model: the autoencoder of '{folder}' is of a type that is not known.")
    network = _built(
        folder, lambda: ChannelAutoencoder(ChannelAutoencoderConfig(**{**config, "blocks": tuple(config["blocks"])}))
    )
    load_into(network, read_weights(folder, "autoencoder"), folder, "autoencoder")
    return network.eval()


def load_timbre(folder: Path) -> TimbreEncoder | ClapTimbre:
    """The folder's timbre encoder: ``small``, with weights of its own, or ``clap``, whose ``folder`` the config names, beside
    the model's; see :func:`load_autoencoder`."""
    folder = part_folder(folder, "timbre")
    config = dict(read_model_config(folder)["timbre"])
    kind = config.pop("type", None)
    if kind == "clap":
        return ClapTimbre(Path(folder) / str(config.get("folder", "clap"))).eval()
    if kind != "small":
        raise StereoSyncError(f"Model: the timbre encoder of '{folder}' is of a type that is not known.")
    network = _built(folder, lambda: TimbreEncoder(**config))
    load_into(network, read_weights(folder, "timbre"), folder, "timbre")
    return network.eval()


def load_diffusion(folder: Path) -> StereoSync:
    """The folder's diffusion model; see :func:`load_autoencoder`."""
    folder = part_folder(folder, "diffusion")
    config = dict(read_model_config(folder)["diffusion"])
    network = _built(folder, lambda: StereoSync(config))
    load_into(network, read_weights(folder, "diffusion"), folder, "diffusion")
    return network.eval()


def load_envelope(folder: Path) -> VideoEnvelope:
    """The folder's envelope reader; see :func:`load_autoencoder`."""
    folder = part_folder(folder, "envelope")
    config = dict(read_model_config(folder)["envelope"])
    network = _built(folder, lambda: VideoEnvelope(**config))
    load_into(network, read_weights(folder, "envelope"), folder, "envelope")
    return network.eval()


def load_levels(folder: Path) -> LatentLevels | None:
    """The folder's reader of levels, None where it has none; see :func:`load_autoencoder`."""
    found = _folder_with(folder, "levels")
    if found is None:
        return None
    config = dict(read_model_config(found)["levels"])
    network = _built(found, lambda: LatentLevels(**config))
    load_into(network, read_weights(found, "levels"), found, "levels")
    return network.eval()


def part_folder(folder: Path, part: str) -> Path:
    """The folder that a part of a model comes from: its own, or the one that its ``config.json`` names as ``base``.

    :raises StereoSyncError: when neither has the part.
    """
    found = _folder_with(folder, part)
    if found is None:
        raise StereoSyncError(f"Model: the config.json of '{folder}' has no '{part}'; it is of another kind, or not complete.")
    return found


def _folder_with(folder: Path, part: str) -> Path | None:
    config = read_model_config(folder)
    if isinstance(config.get(part), dict):
        return Path(folder)
    if isinstance(config.get("base"), str):
        base = Path(folder) / config["base"]
        if base.resolve() != Path(folder).resolve() and isinstance(read_model_config(base).get(part), dict):
            return base
    return None


def _built(folder: Path, build):
    try:
        return build()
    except (TypeError, KeyError, ValueError) as error:
        raise StereoSyncError(f"Model: the config.json of '{folder}' cannot be understood ({error}).") from error
