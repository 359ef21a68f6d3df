"""Reading a release's tensors into networks that were built without memory of their own.

The file is mapped piece by piece, each tensor goes straight to its final type, and weight norm is folded in on the way, so that
reading takes little more memory than the weights take in the end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ...errors import StereoSyncError
from ..folder import mismatch
from .release import AUTOENCODER, BACKBONE, NUMBERS, Release

#: What of the file is mapped at a time; its pages count as memory until they are let go.
_MAPPED = 1 / 128
#: Endings of the two tensors of a weight-normalised convolution, length and direction, in torch's older and newer form.
_LENGTHS = (".weight_g", ".parametrizations.weight.original0")
_DIRECTIONS = (".weight_v", ".parametrizations.weight.original1")


@dataclass(frozen=True)
class TensorSource:
    """Where a network's tensor comes from: keys of the file. ``length`` is there for weight-normalised ones, whose ``key`` is
    the direction."""

    key: str
    length: str | None = None


@dataclass(frozen=True)
class Part:
    """A network on the meta device, and where each of its tensors comes from; None stands for zeros."""

    network: nn.Module
    sources: dict[str, TensorSource | None]


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
    wanted = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    found: dict[str, dict[str, str]] = {}
    for key in release.entries:
        if key.startswith(prefix):
            name, role = _role(key.removeprefix(prefix))
            found.setdefault(rename(name), {})[role] = key
    missing, extra, other = [], [], []
    sources: dict[str, TensorSource | None] = {}
    for name, shape in wanted.items():
        keys = found.pop(name, {})
        if keys.keys() not in ({"whole"}, {"length", "direction"}):
            if keys or not zero(name):
                missing.append(prefix + name)
            else:
                sources[name] = None
            continue
        source = TensorSource(keys.get("whole") or keys["direction"], keys.get("length"))
        sources[name] = source
        if _plain(release.entries[source.key].shape) != _plain(shape):
            other.append(source.key)
        elif source.length and _plain(release.entries[source.length].shape) != _plain(shape[:1]):
            other.append(source.length)
    extra = [key for keys in found.values() for key in keys.values()]
    _complain(release, missing, extra, other)
    return Part(network, sources)


def check_nothing_else(release: Release) -> None:
    """:raises StereoSyncError: when the file holds tensors of something that is no part of the model."""
    _complain(release, [], [key for key in release.entries if not key.startswith((BACKBONE, AUTOENCODER, NUMBERS))], [])


def _role(key: str) -> tuple[str, str]:
    for endings, role in ((_LENGTHS, "length"), (_DIRECTIONS, "direction")):
        for ending in endings:
            if key.endswith(ending):
                return key.removesuffix(ending) + ".weight", role
    return key, "whole"


def _plain(shape: tuple[int, ...]) -> list[int]:
    """A shape without its ones: the release keeps a channel's number as ``[C]`` where diffusers has ``[1, C, 1]``."""
    return [size for size in shape if size != 1]


def _complain(release: Release, missing: list[str], extra: list[str], other: list[str]) -> None:
    wrong = mismatch(missing, extra, other)
    if wrong:
        raise StereoSyncError(
            f"Stable Audio: '{release.path}' does not fit its config ({wrong}); one of the two is of another "
            "model, or was changed. Download both from the release's page again."
        )


def read(release: Release, parts: Iterable[Part], dtype: torch.dtype) -> None:
    """Fill networks, one after the other, with weights of ``dtype`` on the CPU; frozen and in evaluation mode.

    :raises StereoSyncError: for a file that cannot be read to its end, and for NaN or infinite weights.
    """
    from safetensors import SafetensorError

    for part in parts:
        state = {}
        own = part.network.state_dict()
        try:
            for keys in _handfuls(release, part.sources):
                state |= _handful(release, {key: part.sources[key] for key in keys}, own, dtype)
        except (SafetensorError, OSError) as error:
            raise StereoSyncError(f"Stable Audio: '{release.path}' is damaged ({error}); download it again.") from error
        part.network.load_state_dict(state, assign=True)
        part.network.requires_grad_(False).eval()


def _handfuls(release: Release, sources: Mapping[str, TensorSource | None]) -> Iterator[list[str]]:
    """Keys in the file's order, in groups that are mapped together."""

    def entries(key: str):
        source = sources[key]
        return [] if source is None else [release.entries[name] for name in (source.key, source.length) if name]

    limit = _MAPPED * sum(entry.end - entry.start for entry in release.entries.values())
    group, size = [], 0
    for key in sorted(sources, key=lambda key: min((entry.start for entry in entries(key)), default=0)):
        group.append(key)
        size += sum(entry.end - entry.start for entry in entries(key))
        if size >= limit:
            yield group
            group, size = [], 0
    yield group


def _handful(
    release: Release, sources: Mapping[str, TensorSource | None], own: Mapping[str, Tensor], dtype: torch.dtype
) -> dict[str, Tensor]:
    from safetensors import safe_open

    made = {}
    with safe_open(str(release.path), framework="pt", device="cpu") as file:
        for name, source in sources.items():
            # angles of the rotary embedding stay exact, as the network computes with them in single precision
            kind = torch.float32 if name.endswith("inv_freq") else dtype
            if source is None:
                made[name] = torch.zeros(own[name].shape, dtype=kind)
                continue
            value = file.get_tensor(source.key)
            if source.length:
                value = _folded(value.float(), file.get_tensor(source.length).float())
            # a copy even of the same type: nothing of the file stays mapped, so that it can be moved or replaced
            made[name] = _finite(value.to(kind, copy=True).reshape(own[name].shape), value, source.key, release)
    return made


def _folded(direction: Tensor, length: Tensor) -> Tensor:
    """The weight ``length * direction / |direction|`` of a convolution, one length for each of its first axis.

    (Salimans and Kingma, "Weight Normalization", 2016.)
    """
    norm = torch.linalg.vector_norm(direction, dim=tuple(range(1, direction.ndim)), keepdim=True)
    return direction * (length.reshape(norm.shape) / norm)


def _bounded(value: Tensor) -> bool:
    return bool(torch.isfinite(torch.stack(value.aminmax())).all())


def _finite(made: Tensor, value: Tensor, key: str, release: Release) -> Tensor:
    # the ends alone, since looking at every number would take as much memory again
    if not _bounded(made):
        if _bounded(value):
            raise StereoSyncError(
                f"Stable Audio: '{key}' of '{release.path}' is too large for {made.dtype}; use bfloat16 or float32."
            )
        raise StereoSyncError(
            f"Stable Audio: '{key}' of '{release.path}' holds NaN or infinite weights; download the file again."
        )
    return made
