"""Sets of clips by name or folder: walking rooms, and folders laid out as public sets are."""

from pathlib import Path

from torch.utils.data import Subset

from stereosync_core.errors import StereoSyncError

from ..cache import default_rooms
from ..rooms.rooms import RoomSet
from ..rooms.shards import MANIFEST
from .public_sets import FIELD_OF_VIEW, open_folder


def open_set(name: str, split: str = "test", count: int | None = None, field_of_view: float = FIELD_OF_VIEW) -> Subset:
    """``rooms`` (the ``split`` in the user's cache folder), the folder of a split of rooms, or a folder of clips.

    :param count: the first so many, each read when it is indexed; all when None.
    :raises StereoSyncError: when the set is missing, or smaller than ``count``.
    """
    if count is not None and count < 1:
        raise StereoSyncError(f"Evaluate: --clips {count}; give at least 1.")
    if name == "rooms":
        whole = RoomSet(default_rooms() / split)
    elif (Path(name) / MANIFEST).is_file():
        whole = RoomSet(name)
    else:
        whole = open_folder(Path(name), field_of_view)
    size = len(whole)
    if count is not None and count > size:
        raise StereoSyncError(f"Evaluate: --clips {count}, but the set '{name}' has {size}; make more, or give fewer.")
    return Subset(whole, range(size if count is None else count))  # type: ignore[arg-type]
