"""The timbre of any sound: the directions in which the rooms' sounds differ, and the mean vector of each name. Nothing is
trained by steps: they are found at once."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from stereosync_core.model.conditioning.sound_timbre import SoundTimbre
from stereosync_core.model.folder import save_part
from stereosync_core.rendering.surfaces import SURFACES
from stereosync_core.sound_embedding import embed_aisfx
from stereosync_core.sounds.library import bundled_library

from ..rooms.rooms import RoomClip
from .sounds import RATE, clip_rows, kept, seen_sound

#: Part of the largest variance that is added to each, so that directions in which sounds hardly differ are not blown up.
_SHRINKAGE = 1e-3


class DirectionsTask:
    """Rooms and the library's sounds to a :class:`SoundTimbre`.

    :param config: ``size`` of the vector, ``train_clips``.
    """

    name = "directions"

    def __init__(self, config: dict[str, Any], rooms: Path, model: Path):
        self.config, self.rooms = config, rooms / "train"

    def fit(self) -> SoundTimbre:
        """The encoder. A name's vector is the mean one of the rooms in which nothing else sounds, or of the library's
        sounds."""
        clips = self.config["train_clips"]
        found = kept(self.rooms.parent / "latents" / f"timbre-{clips}.npz", lambda: features_of_rooms(self.rooms, clips))
        library = bundled_library()
        singles = [one for one in library.sounds if one.category != "footstep" and one.category != "landing"]
        apart = np.stack([embed_aisfx(library.samples(one)[None], RATE)[0].mean(0) for one in singles])
        features, labels = torch.from_numpy(found["features"]).float(), found["labels"]
        mean = features.mean(0)
        values, vectors = torch.linalg.eigh(torch.cov((features - mean).T))
        size = self.config["size"]
        encoder = SoundTimbre([*SURFACES, *sorted({one.category for one in singles})], size)
        encoder.mean.copy_(mean)
        encoder.directions.copy_(vectors[:, -size:] / (values[-size:] + _SHRINKAGE * values[-1]).sqrt())
        categories = np.array([one.category for one in singles])
        for place, name in enumerate(encoder.names):
            own = features[torch.from_numpy(labels == name)]
            own = own if len(own) >= 3 else torch.from_numpy(apart[categories == name]).float()
            vector = encoder(own).mean(0) if len(own) else torch.zeros(size)
            encoder.vectors[place] = torch.nn.functional.normalize(vector, dim=0) * size**0.5
        return encoder

    def save(self, network: SoundTimbre, folder: Path) -> None:
        save_part(folder, "timbre", network.config, network.state_dict())


def features_of_rooms(rooms: Path, clips: int) -> dict[str, np.ndarray]:
    """Mean features ``[clips, 512]`` of rooms that sound, and the name of what sounds in each, empty where there are
    several."""
    rows = [row for row in clip_rows(rooms, clips, _row) if row is not None]
    return {"features": np.stack([row[0] for row in rows]), "labels": np.array([row[1] for row in rows])}


def _row(clip: RoomClip) -> tuple[np.ndarray, str] | None:
    sound = seen_sound(clip)
    if not np.abs(sound).max() > 1e-4:
        return None
    names = {clip.surface if row["category"] == "footstep" else row["category"] for row in clip.facts["walkers"]}
    return embed_aisfx(sound, RATE)[0].mean(0).astype(np.float32), names.pop() if len(names) == 1 else ""
