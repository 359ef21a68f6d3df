"""What StereoSync's method adds to a frozen release, in a folder of its own (:mod:`.folder`) with the one part ``adapter``: a
control branch and projections of the conditions (arXiv 2510.05828). Spatial tokens and timbre are attended to next to the
text's (:meth:`.backbone.Backbone.forward`), so that an untrained adapter leaves the release as it is."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..checkpoints import MISFITS, check_numbers, no_larger_than
from ..errors import StereoSyncError, explained
from .conditioning.paper import PaperConditions
from .control import zero_module
from .folder import load_into, read_model_config, read_weights, save_part
from .generative_model import GenerativeModel
from .host_backbone import HostBackbone
from .precision import in_precision
from .spatial_control import SpatialControl

PART = "adapter"
#: A release that an adapter goes over: the pack's own, or what the host holds of it.
Base = GenerativeModel | HostBackbone


class SpatialAdapter(SpatialControl):
    """Spatial conditions, control branch and timbre over a release.

    :param base: whose first blocks the control branch is a copy of; nothing of it is kept.
    :param config: what :meth:`SpatialControl.build` takes, and ``window``, latent frames that it was trained on at a time (the
        release's own when left out).
    """

    def __init__(self, base: Base, config: Mapping[str, Any]):
        super().__init__()
        self.config = {**config, "base": identity(base)}
        self.build(base.backbone, config, base.latent_rate)
        zero_module(self.timbre)
        if isinstance(self.space, PaperConditions):
            zero_module(self.space.project)
            zero_module(self.space.number.project)
        self.requires_grad_(True)
        in_precision(self, torch.float32)


def identity(base: Base) -> dict[str, Any]:
    """What identifies a release: ``width``, ``depth``, ``objective``, and ``fingerprint``, a digest of the transformer's shapes
    and of the signs of a few tensors, which are the same in every precision."""
    digest, depth = hashlib.sha256(), len(base.backbone.blocks)
    weights = dict(base.backbone.dit.named_parameters())
    for name, value in sorted(weights.items()):
        digest.update(f"{name} {tuple(value.shape)}".encode())
    for layer in (base.backbone.entry, base.backbone.blocks[depth // 2].self_attn.to_out):
        signs = torch.signbit(layer.weight.detach())
        digest.update(np.packbits(signs.cpu().numpy()).tobytes())
    sizes = {"width": base.backbone.width, "depth": depth, "objective": base.objective}
    return {**sizes, "fingerprint": digest.hexdigest()[:16]}


def load_adapter(folder: Path, base: Base, dtype: torch.dtype = torch.float32) -> SpatialAdapter:
    """The adapter of a folder, frozen, where the release is.

    :param dtype: of the control branch; what runs once a clip stays in single precision.
    :raises StereoSyncError: when the folder holds no adapter or half of one, the adapter is of another release, or config and
        weights do not fit each other.
    """
    folder = Path(folder)
    config = adapter_config(folder)
    _check_base(folder, config.get("base"), base)
    weights = read_weights(folder, PART)
    # no layer of its own is wider than a tensor of the file
    check_numbers(config, f"Adapter '{folder}'", max((4096, *(size for value in weights.values() for size in value.shape))))
    message = f"Adapter: the config.json of '{folder}' cannot be understood ({{error}}); copy the adapter's folder again."
    with explained(message, *MISFITS), no_larger_than((value.shape for value in weights.values()), f"Adapter '{folder}'"):
        adapter = SpatialAdapter(base, config)
    load_into(adapter, weights, folder, PART, dict(adapter.named_parameters()))
    in_precision(adapter.control, dtype)
    return adapter.requires_grad_(False).eval().to(base.execution_device)


def adapter_config(folder: Path) -> dict[str, Any]:
    """Of an adapter's folder. Raises StereoSyncError when it holds none."""
    config = read_model_config(folder).get(PART)
    if not isinstance(config, dict):
        raise StereoSyncError(
            f"Adapter: the config.json of '{folder}' has no adapter; give a folder that `train adapter` wrote."
        )
    return config


def _check_base(folder: Path, trained_over: Any, base: Base) -> None:
    own, trained_over = identity(base), trained_over if isinstance(trained_over, dict) else {}
    sizes = [name for name in ("width", "depth", "objective") if trained_over.get(name) != own[name]]
    if sizes:
        wanted, there = (", ".join(f"{name} {facts.get(name)}" for name in sizes) for facts in (trained_over, own))
        raise StereoSyncError(
            f"Adapter: '{folder}' was trained over another model ({wanted}) than '{base.name}' ({there}); "
            "load the release that it was trained over."
        )
    if trained_over.get("fingerprint") != own["fingerprint"]:
        raise StereoSyncError(
            f"Adapter: '{folder}' was trained over other weights than those of '{base.name}', although of the same size; "
            "load the release that it was trained over, not one that was trained on."
        )


def save_adapter(folder: Path, adapter: SpatialAdapter, **config: Any) -> None:
    """Write what was trained, in half precision, and the adapter's section of ``config.json`` with further entries ``config``.
    Raises StereoSyncError when a weight is not finite in half precision."""
    weights = {name: value.detach().half() for name, value in adapter.named_parameters()}
    wrong = [name for name, value in weights.items() if not torch.isfinite(value).all()]
    if wrong:
        raise StereoSyncError(f"Adapter: {wrong[0]} is not finite in half precision; train anew at a lower rate.")
    save_part(folder, PART, {**adapter.config, **config}, weights)
