"""The bundled library out of its packages: one file a sound, an index, a licence page with a line for each."""

from __future__ import annotations

import csv
import hashlib
import json
import re
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
from av.container import Flags

from stereosync_core.assets import FOLDER
from stereosync_core.errors import StereoSyncError
from stereosync_core.media.encode import CODECS, SoundTrack
from stereosync_core.media.output import written
from stereosync_core.media.sound import Sound, resample
from stereosync_core.sounds.shape import RATE, attack_of, cleaned, levelled, one_shot, seamless, takes_of

from .licences import licence_page
from .packages import PACKAGES, SourceFile, source_files
from .synthesis import synthesised

RECIPE = Path(__file__).with_name("recordings.tsv")
#: One-shots shorter than so many seconds are kept exactly: steps and hits are all attack.
EXACT = 0.4
_CODECS = {".flac": CODECS["flac"], ".opus": replace(CODECS["opus"], bit_rate=76_800)}
LICENCES = ("CC0 1.0", "CC BY 3.0", "MIT", "public domain", "Apache-2.0")


def recipe() -> list[dict[str, str]]:
    """The rows of the recipe: which file of which package is what, by whom, under which licence."""
    with RECIPE.open(encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle, delimiter="\t"))


def build(folder: Path = FOLDER / "sounds", downloads: Path | None = None) -> dict:
    """Builds the library into ``folder`` (what is in it goes) and returns its index.

    :param downloads: where packages are, or are downloaded to.
    :raises StereoSyncError: a package is not to be had or is another one, a file of the recipe is missing or silent, or a
        licence is none of :data:`LICENCES`.
    """
    rows, whole = [], folder
    folder = whole.with_name(f".{whole.name}.part")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for row in recipe():
        found = list(source_files(row["package"], downloads or Path("build/sounds"), row["file"]))
        if not found:
            raise StereoSyncError(f"Sounds: {PACKAGES[row['package']].name} has no {row['file']}.")
        for recording in found:
            rows += _recorded(row, recording, folder, rows)
    walked = [(row["surface"], row["recording"]) for row in rows if row["category"] == "footstep"]
    for name, category, surface, loop, takes in synthesised(Counter(surface for surface, _ in set(walked))):
        known = {"category": category, "surface": surface, "recording": name, "loop": loop, "synthesised": True}
        known |= {"author": "StereoSync", "licence": "Apache-2.0", "source": "research/sounds/synthesis.py"}
        rows += _stored(takes, known, folder, rows)
    index = {"rate": RATE, "sounds": rows}
    (folder / "index.json").write_text(json.dumps(index, indent=0, ensure_ascii=False) + "\n", encoding="utf-8")
    (folder / "LICENSES.md").write_text(licence_page(rows), encoding="utf-8")
    shutil.rmtree(whole, ignore_errors=True)
    folder.rename(whole)
    return index


def _recorded(row: dict[str, str], recording: SourceFile, folder: Path, before: list[dict]) -> list[dict]:
    samples = cleaned(recording.sound.samples)
    form, _, span = row["form"].partition("@")
    if span:
        start, stop = (round(float(value) * RATE) for value in span.split("-"))
        samples = samples[start:stop]
    licence, author = row["licence"] or recording.licence, row["author"] or recording.author
    if licence not in LICENCES or not author:
        raise StereoSyncError(f"Sounds: {row['file']} of {row['package']}: author {author!r}, licence {licence!r}.")
    if form == "loop":
        takes = [seamless(samples)]
    elif form == "takes":
        takes = takes_of(samples)
    else:
        takes = [one_shot(samples[attack_of(samples) :])]
    known = {
        "category": row["category"],
        "surface": row["surface"] or None,
        "recording": row["recording"],
        "loop": form == "loop",
        "synthesised": False,
        "author": author,
        "licence": licence,
        "source": f"{PACKAGES[row['package']].source}, {recording.file}" + (f"; {row['origin']}" if row["origin"] else ""),
    }
    return _stored(takes, known, folder, before)


def _stored(takes: list[np.ndarray], known: dict, folder: Path, before: list[dict]) -> list[dict]:
    rows = []
    loop = known["loop"]
    count = sum(row["recording"] == known["recording"] and row["loop"] == loop for row in before)
    for samples in takes:
        take = count + len(rows) + 1
        place = known["category"] + (f" {known['surface']}" if known["surface"] else "")
        name = f"{place} {known['recording']}{' loop' if loop else ''} {take}".lower()
        name = re.sub(r"[^a-z0-9]+", "_", name).strip("_")
        samples = levelled(samples if loop else one_shot(samples[attack_of(samples) :]), loop)
        path = folder / f"{name}{'.flac' if not loop and len(samples) < EXACT * RATE else '.opus'}"
        start = encode(samples, path, loop)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        details = {"file": path.name, "start": start, "samples": len(samples), "sha256": digest}
        rows.append({"name": name, **known, "take": take, **details})
    return rows


def encode(samples: np.ndarray, path: Path, loop: bool) -> int:
    """Writes a sound as 16-bit FLAC, exact to the sample, or as Opus; returns where in the file it begins. Opus needs a start
    to settle and looks ahead: a loop has its own end before it and its beginning after it, a one-shot silence after it."""
    if path.suffix == ".flac":
        sound, start = Sound(np.rint(samples[None] * 32767) / 32768, RATE), 0
    else:
        start = round(0.1 * RATE) if loop else 0
        around = np.concatenate([samples[len(samples) - start :], samples, samples[: round(0.05 * RATE)] * loop])
        sound = resample(Sound(around[None], RATE), 48000)
    with written(path) as container:
        container.flags |= Flags.bitexact.value  # no random number of the stream: the same sounds are the same files
        SoundTrack(container, _CODECS[path.suffix], sound.samples, sound.rate).finish()
    return start
