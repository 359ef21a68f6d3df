"""Reading a release's tensors into networks that were built without memory of their own: mapped piece by piece, straight to
their final type, with weight norm folded in, so that it takes little more memory than the weights take in the end."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ...errors import StereoSyncError, explained
from ..folder import mismatch
from .release import AUTOENCODER, BACKBONE, NUMBERS, Release

#: What of the file is mapped at a time; its pages count as memory until they are let go.
_MAPPED = 1 / 128
#: Endings of the two tensors of a weight-normalised convolution, in torch's older and newer form.
_ROLES = {
    **dict.fromkeys((".weight_g", ".parametrizations.weight.original0"), "length"),
    **dict.fromkeys((".weight_v", ".parametrizations.weight.original1"), "direction"),
}


@dataclass(frozen=True)
class Part:
    """A network on the meta device, and for each of its tensors the keys of the file that it comes from: direction and length
    of a weight-normalised one, none for zeros."""

    network: nn.Module
    sources: dict[str, list[str]]


def matched(
    release: Release,
    prefix: str,
    network: nn.Module,
    rename: Callable[[str], str],
    zero: Callable[[str], bool] = lambda _: False,
) -> Part:
    """Find the tensors of a part.

    :param rename: from the file's keys, without ``prefix`` and with ``weight`` for both tensors of weight norm, to the
        network's.
    :param zero: whether a network's key may be missing, and is zero then.
    :raises StereoSyncError: names the first few that are missing, too many, or of another shape.
    """
    found: dict[str, dict[str, str]] = {}
    for key in release.entries:
        if key.startswith(prefix):
            ending = next((ending for ending in _ROLES if key.endswith(ending)), "")
            name = key.removesuffix(ending) + ".weight" if ending else key
            found.setdefault(rename(name.removeprefix(prefix)), {})[_ROLES.get(ending, "whole")] = key
    part, missing, misshapen = Part(network, {}), [], []
    for name, value in network.state_dict().items():
        keys = found.pop(name, {})
        if keys.keys() not in ({"whole"}, {"length", "direction"}) and (keys or not zero(name)):
            missing.append(prefix + name)
            continue
        part.sources[name] = [keys[role] for role in sorted(keys)]
        shapes = zip(part.sources[name], (value.shape, value.shape[:1]), strict=False)
        misshapen += [key for key, shape in shapes if _plain(release.entries[key].shape) != _plain(shape)]
    _check(release, missing, [key for keys in found.values() for key in keys.values()], misshapen)
    return part


def check_nothing_else(release: Release) -> None:
    """:raises StereoSyncError: when the file holds tensors of something that is no part of the model."""
    _check(release, [], [key for key in release.entries if not key.startswith((BACKBONE, AUTOENCODER, NUMBERS))], [])


def _plain(shape: tuple[int, ...]) -> list[int]:
    """A shape without its ones: the release keeps a channel's number as ``[C]`` where diffusers has ``[1, C, 1]``."""
    return [size for size in shape if size != 1]


def _check(release: Release, missing: list[str], extra: list[str], misshapen: list[str]) -> None:
    if wrong := mismatch(missing, extra, misshapen):
        raise StereoSyncError(
            f"Stable Audio: '{release.path}' does not fit its config ({wrong}); one of the two is of another "
            "model, or was changed. Download both from the release's page again."
        )


def read(release: Release, parts: Iterable[Part], dtype: torch.dtype) -> None:
    """Fill networks, one after the other, with weights of ``dtype`` on the CPU; frozen and in evaluation mode. Raises
    StereoSyncError for a file that cannot be read to its end, and for NaN or infinite weights."""
    from safetensors import SafetensorError, safe_open

    message = f"Stable Audio: '{release.path}' is damaged ({{error}}); download it again."
    damaged = partial(explained, message, SafetensorError, OSError)
    for part in parts:
        state, own = {}, part.network.state_dict()
        for names in _groups(release, part):
            with damaged(), safe_open(str(release.path), framework="pt", device="cpu") as file:
                for name in names:
                    # angles of the rotary embedding stay exact, as the network computes with them in single precision
                    kind = torch.float32 if name.endswith("inv_freq") else dtype
                    state[name] = _tensor(release, file, part.sources[name], own[name].shape, kind)
        part.network.load_state_dict(state, assign=True)
        part.network.requires_grad_(False).eval()


def _groups(release: Release, part: Part) -> Iterator[list[str]]:
    """Names of tensors in the file's order, in groups that are mapped together."""
    entries = {name: [release.entries[key] for key in keys] for name, keys in part.sources.items()}
    limit = _MAPPED * sum(entry.size for entry in release.entries.values())
    group, size = [], 0
    for name in sorted(entries, key=lambda name: min((entry.start for entry in entries[name]), default=0)):
        group.append(name)
        size += sum(entry.size for entry in entries[name])
        if size >= limit:
            yield group
            group, size = [], 0
    yield group


def _tensor(release: Release, file: Any, keys: list[str], shape: torch.Size, dtype: torch.dtype) -> Tensor:
    if not keys:
        return torch.zeros(shape, dtype=dtype)
    value = file.get_tensor(keys[0])
    if len(keys) == 2:
        value = _folded(value.float(), file.get_tensor(keys[1]).float())
    # a copy even of the same type: nothing of the file stays mapped, so that it can be moved or replaced
    made = value.to(dtype, copy=True).reshape(shape)
    if not _bounded(made):
        wrong = "holds NaN or infinite weights; download the file again"
        if _bounded(value):
            wrong = f"is too large for {dtype}; use bfloat16 or float32"
        raise StereoSyncError(f"Stable Audio: '{keys[0]}' of '{release.path}' {wrong}.")
    return made


def _folded(direction: Tensor, length: Tensor) -> Tensor:
    """The weight ``length * direction / |direction|`` of a convolution (Salimans and Kingma, "Weight Normalization", 2016)."""
    norm = torch.linalg.vector_norm(direction, dim=tuple(range(1, direction.ndim)), keepdim=True)
    return direction * (length.reshape(norm.shape) / norm)


def _bounded(value: Tensor) -> bool:
    """By the ends alone, since looking at every number would take as much memory again."""
    return bool(torch.isfinite(torch.stack(value.aminmax())).all())
