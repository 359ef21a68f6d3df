"""Loading the parts of a model's folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..conditioning.timbre import TimbreEncoder
from ..errors import StereoSyncError
from .channel_autoencoder import ChannelAutoencoder, ChannelAutoencoderConfig
from .folder import load_into, read_model_config, read_weights
from .model import StereoSync


def load_autoencoder(folder: Path) -> ChannelAutoencoder:
    """The folder's autoencoder, on the CPU in single precision.

    :raises StereoSyncError: when config or weights are missing, damaged or of another model.
    """
    config = _section(folder, "autoencoder")
    if config.pop("type", None) != "channel":
        raise StereoSyncError(f"Model: the autoencoder of '{folder}' is of a type that is not known.")
    network = _built(folder, lambda: ChannelAutoencoder(ChannelAutoencoderConfig(**{**config, "blocks": tuple(config["blocks"])})))
    load_into(network, read_weights(folder, "autoencoder"), folder, "autoencoder")
    return network.eval()


def load_timbre(folder: Path) -> TimbreEncoder:
    """The folder's timbre encoder; see :func:`load_autoencoder`."""
    config = _section(folder, "timbre")
    if config.pop("type", None) != "small":
        raise StereoSyncError(f"Model: the timbre encoder of '{folder}' is of a type that is not known.")
    network = _built(folder, lambda: TimbreEncoder(**config))
    load_into(network, read_weights(folder, "timbre"), folder, "timbre")
    return network.eval()


def load_diffusion(folder: Path) -> StereoSync:
    """The folder's diffusion model; see :func:`load_autoencoder`."""
    config = _section(folder, "diffusion")
    network = _built(folder, lambda: StereoSync(config))
    load_into(network, read_weights(folder, "diffusion"), folder, "diffusion")
    return network.eval()


def _section(folder: Path, part: str) -> dict[str, Any]:
    config = read_model_config(folder)
    if not isinstance(config.get(part), dict):
        raise StereoSyncError(f"Model: the config.json of '{folder}' has no '{part}'; it is of another kind, or not complete.")
    return dict(config[part])


def _built(folder: Path, build):
    try:
        return build()
    except (TypeError, KeyError, ValueError) as error:
        raise StereoSyncError(f"Model: the config.json of '{folder}' cannot be understood ({error}).") from error
