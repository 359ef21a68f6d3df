"""Sounds of rooms as one array on the disk, so that a crop costs nothing."""

import os
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from scipy.ndimage import binary_dilation
from torch.utils.data import DataLoader, Dataset

from stereosync_core.errors import StereoSyncError
from stereosync_core.media.output import replacing
from stereosync_core.media.sound import require_sound, resample
from stereosync_core.sounds.library import bundled_library

from ..rooms.rooms import RoomClip, RoomSet
from ..rooms.walkers import RATE


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


def mono_bank(rooms: Path, clips: int) -> np.ndarray:
    """Single channels one after the other, int16 ``[N]``, memory-mapped: the channels of a set's first ``clips`` mixes, the
    bundled library's sounds, and all sound files in the folder ``recordings`` beside the set, such as music and speech. Made on
    first use beside the shards; stretches of silence are left out."""
    path = Path(rooms) / f"mono-{clips}.npy"
    if not path.exists():
        parts = [part for sound in sound_bank(rooms, clips) for part in sounding_parts(sound / np.float32(32768))]
        library = bundled_library()
        parts += [part for sound in library.sounds for part in sounding_parts(library.samples(sound)[None])]
        for file in sorted((Path(rooms).parent / "recordings").glob("**/*.*")):
            parts += sounding_parts(resample(require_sound(file, "recordings"), RATE).samples)
        with replacing(path) as temporary, open(temporary, "wb") as handle:
            np.save(handle, np.concatenate(parts))
    return np.load(path, mmap_mode="r")


def sounding_parts(sound: np.ndarray) -> list[np.ndarray]:
    """The channels of a sound ``[C, N]`` at 44.1 kHz, int16, at a peak of 0.9 of them all, without what lies 70 dB below it for
    half a second or longer."""
    sound = sound * (0.9 / max(float(np.abs(sound).max()), 1e-9))
    hop, reach = RATE // 20, 5
    parts = []
    for channel in np.pad(sound, ((0, 0), (0, -sound.shape[1] % hop))):
        loud = np.abs(channel.reshape(-1, hop)).max(1) > 0.9 * 10 ** (-70 / 20)
        near = binary_dilation(loud, iterations=reach)
        parts.append(np.rint(channel.reshape(-1, hop)[near].reshape(-1) * 32767).astype(np.int16))
    return parts


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


def mutes_unseen(clip: RoomClip) -> bool:
    """Whether :func:`seen_sound` leaves steps out."""
    return not clip.all_visible and clip.number % 2 == 1


def seen_sound(clip: RoomClip) -> np.ndarray:
    """The engine's mix float32 ``[2, N]``; in every other clip with walkers out of the picture, our own mix without their
    steps, by the same law (docs/rooms.md)."""
    return clip.full_mix(only_visible=True) if mutes_unseen(clip) else clip.sound
