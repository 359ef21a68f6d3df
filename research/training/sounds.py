"""Sounds of rooms as one array on the disk, so that a crop costs nothing."""

import os
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from stereosync_core.errors import StereoSyncError
from stereosync_core.media.output import replacing

from ..rooms.rooms import RoomClip, RoomSet


def sound_bank(rooms: Path, clips: int | None = None) -> np.ndarray:
    """The engine's mixes int16 ``[clips, 2, N]`` of a set of rooms, memory-mapped; made on first use beside the shards. Raises
    StereoSyncError when the set is smaller."""
    count = len(RoomSet(rooms)) if clips is None else clips
    path = Path(rooms) / f"sounds-{count}.npy"
    if not path.exists():
        shape = (count, *RoomSet(rooms)[0].sound.shape)
        with replacing(path) as temporary:
            bank = np.lib.format.open_memmap(temporary, "w+", np.int16, shape)
            for n, clip in enumerate(first_clips(rooms, count)):
                bank[n] = np.rint(clip.sound * 32768).astype(np.int16)
            bank.flush()
            del bank
    return np.load(path, mmap_mode="r")


def first_clips(rooms: Path, count: int) -> Iterator[RoomClip]:
    """The first ``count`` clips of a set. Raises StereoSyncError when it has fewer."""
    return islice(_checked(rooms, count), count)


def _checked(rooms: Path, count: int) -> RoomSet:
    found = RoomSet(rooms)
    if not 0 < count <= len(found):
        raise StereoSyncError(f"Rooms: '{rooms}' has {len(found)} clips, but {count} are needed; make more with make-rooms.")
    return found


def kept(path: Path, make: Callable[[], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Arrays of an ``.npz``, which are made and written on first use."""
    if not path.exists():
        arrays = make()
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            np.savez(temporary, **arrays)  # type: ignore[arg-type]
    with np.load(path) as arrays:
        return dict(arrays)


class _Rows(Dataset):
    def __init__(self, rooms: RoomSet, count: int, row: Callable[[RoomClip], Any]):
        self.rooms, self.count, self.row = rooms, count, row

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Any:
        return self.row(self.rooms[index])


def as_it_is(row: Any) -> Any:
    return row


def clip_rows(rooms: Path, count: int, row: Callable[[RoomClip], Any]) -> Iterator[Any]:
    """``row`` of each of the first ``count`` clips of a set, in order, worked out in as many processes as there are cores.
    Raises StereoSyncError when the set has fewer."""
    rows = _Rows(_checked(rooms, count), count, row)
    return iter(DataLoader(rows, batch_size=None, num_workers=os.cpu_count() or 1, collate_fn=as_it_is))


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


def mutes_unseen(clip: RoomClip) -> bool:
    """Whether :func:`seen_sound` leaves steps out."""
    return not clip.all_visible and clip.number % 2 == 1


def seen_sound(clip: RoomClip) -> np.ndarray:
    """The engine's mix float32 ``[2, N]``; in every other clip with walkers out of the picture, our own mix without their
    steps, by the same law (docs/rooms.md)."""
    return clip.full_mix(only_visible=True) if mutes_unseen(clip) else clip.sound
