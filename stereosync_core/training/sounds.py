"""Sounds of rooms as one array on the disk, so that a crop costs nothing."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..data.rooms import RoomClip, RoomSet
from ..errors import StereoSyncError
from ..media.output import replacing


def sound_bank(rooms: Path, clips: int | None = None) -> np.ndarray:
    """The engine's mixes int16 ``[clips, 2, N]`` of a set of rooms, memory-mapped; made on first use beside the shards.

    :param clips: the first so many; all when left out.
    :raises StereoSyncError: when the set is smaller.
    """
    count = len(RoomSet(rooms)) if clips is None else clips
    path = Path(rooms) / f"sounds-{count}.npy"
    if not path.exists():
        with replacing(path) as temporary:
            bank = None
            for n, clip in enumerate(first_clips(rooms, count)):
                if bank is None:
                    bank = np.lib.format.open_memmap(temporary, "w+", np.int16, (count, *clip.sound.shape))
                bank[n] = np.rint(clip.sound * 32768).astype(np.int16)
            assert bank is not None
            bank.flush()
            del bank
    return np.load(path, mmap_mode="r")


def first_clips(rooms: Path, count: int) -> Iterator[RoomClip]:
    """The first ``count`` clips of a set.

    :raises StereoSyncError: when it has fewer.
    """
    found = RoomSet(rooms)
    if not 0 < count <= len(found):
        raise StereoSyncError(f"Rooms: '{rooms}' has {len(found)} clips, {count} are asked for; make more with make-rooms.")
    return islice(found, count)


def loud_crops(bank: np.ndarray, count: int, length: int, generator: torch.Generator, choices: int = 3) -> Tensor:
    """Stereo crops ``[count, 2, length]``: of each clip drawn, the loudest of a few, at a peak of 0.9 or up to 20 dB less."""
    crops = []
    while len(crops) < count:
        clip = int(torch.randint(len(bank), (), generator=generator))
        starts = torch.randint(bank.shape[-1] - length + 1, (choices,), generator=generator).tolist()
        parts = [bank[clip, :, start : start + length] for start in starts]
        loudest = max(parts, key=lambda part: float(np.abs(part.astype(np.int32)).max()))
        crop = torch.from_numpy(loudest.astype(np.float32))
        peak = float(crop.abs().max())
        if peak > 0:
            # more often loud than soft: a clip's loudest moments matter most
            decibels = -20 * float(torch.rand((), generator=generator)) ** 2
            crops.append(crop * (0.9 / peak * 10 ** (decibels / 20)))
    return torch.stack(crops)


def seen_sound(clip: RoomClip) -> np.ndarray:
    """The engine's mix float32 ``[2, N]``; in every other clip with walkers out of the picture, our own mix without their
    steps, by the same law (docs/rooms.md)."""
    if clip.all_visible or clip.number % 2 == 0:
        return clip.sound
    return clip.full_mix(only_visible=True)
