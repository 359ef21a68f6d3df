"""Makes the thumbnails next to the workflows out of what they produce in a real ComfyUI:

    .venv/bin/python -m tests.browser.thumbnails [NAME ...]

A frame of the result with its boxes, and under it both channels' waveforms with the events. What needs a download has no result
here: it shows the placed sound that it refines, where it does, else the clip.
"""

from __future__ import annotations

import json
import sys
from functools import cache, reduce
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from stereosync_core.events.detect import detect_events
from stereosync_core.media.sound import read_sound
from stereosync_core.media.video import frames, probe
from stereosync_core.preview.overlay import COLOURS, draw_tracks
from stereosync_core.scene import Tracks
from stereosync_core.scene_events import Events
from stereosync_core.tracking.registry import track_video
from tests.hosts import prepared_environment
from tests.stable_audio_release import NARROW, provide_stable_audio
from tools.environment import ROOT
from tools.host import Host
from tools.workflow import to_prompt

CLIP = ROOT / "stereosync_core" / "assets" / "stereosync_walking.mp4"
WIDTH, HEIGHT, WAVES = 736, 414, 116
MOMENT = 3.6  # seconds: the walker is beside the middle
SHOWN = ("StereoSyncSoundOntoVideo", "StereoSyncPreviewScene")


@cache
def scene() -> tuple[Tracks, Events]:
    tracks = track_video(CLIP).most_prominent(1)
    return tracks, detect_events(CLIP, tracks)


def thumbnail(result: Path) -> Image.Image:
    """The picture of a clip with sound, or of one without."""
    sound = read_sound(result)
    tracks, events = scene()
    (_, picture), *_ = frames(result, times=[MOMENT], max_side=WIDTH)
    if sound is not None or result == CLIP:
        picture = draw_tracks(picture, tracks, MOMENT, ImageFont.load_default(18), azimuth=True)
    image = Image.fromarray(picture)
    image = image.resize((WIDTH, round(image.height * WIDTH / image.width)), Image.Resampling.LANCZOS)
    if sound is None:
        return image.crop((0, (image.height - HEIGHT) // 2, WIDTH, (image.height - HEIGHT) // 2 + HEIGHT))
    top = max(0, image.height - (HEIGHT - WAVES))
    sheet = Image.new("RGB", (WIDTH, HEIGHT), (24, 24, 24))
    sheet.paste(image.crop((0, top, WIDTH, image.height)), (0, 0))
    _waves(ImageDraw.Draw(sheet), sound.samples, probe(result).duration, events)
    return sheet


def _waves(pen: ImageDraw.ImageDraw, samples: np.ndarray, seconds: float, events: Events) -> None:
    """Left above right, and a line at each event."""
    for event in events:
        x = event.time / seconds * WIDTH
        pen.line([(x, HEIGHT - WAVES), (x, HEIGHT)], fill=COLOURS[0], width=2)
    loudest = max(float(np.abs(samples).max()), 1e-6)
    for channel, name in enumerate("LR"):
        middle = HEIGHT - WAVES + WAVES * (0.26 + 0.5 * channel)
        for x, part in enumerate(np.array_split(samples[min(channel, len(samples) - 1)], WIDTH)):
            size = max(0.5, float(np.abs(part).max()) / loudest * (WAVES / 4 - 3))
            pen.line([(x, middle - size), (x, middle + size)], fill=COLOURS[1])
        pen.text((5, middle - 26), name, fill=(255, 255, 255), font=ImageFont.load_default(15))


def upstream(prompt: dict[str, Any], key: str) -> dict[str, Any]:
    """The part of a prompt that a node needs, with the node."""
    sources = {value[0] for value in prompt[key]["inputs"].values() if isinstance(value, list)}
    return reduce(lambda part, source: part | upstream(prompt, source), sources, {key: prompt[key]})


def runnable(prompt: dict[str, Any], downloads: set[str]) -> tuple[dict[str, Any], str] | None:
    """What of a prompt makes a video without the nodes that need a download, and the node that shows it."""
    shown = next(key for kind in SHOWN for key, node in prompt.items() if node["class_type"] == kind)
    for key, node in prompt.items():
        if node["class_type"] == "StereoSyncSpatializeAudio" and downloads & upstream(prompt, shown).keys():
            prompt[shown]["inputs"]["audio"] = [key, 0]
    part = upstream(prompt, shown)
    return None if downloads & part.keys() else (part, shown)


def make(host: Host, names: list[str]) -> None:
    known = host.object_info()
    for path in sorted((ROOT / "workflows").glob("*.json")):
        if names and path.stem not in names:
            continue
        workflow = json.loads(path.read_text(encoding="utf-8"))
        target, result = path.with_suffix(".jpg"), CLIP
        downloads = {str(node["id"]) for node in workflow["nodes"] if node["properties"].get("models")}
        if part := runnable(to_prompt(workflow, known), downloads):
            outputs = host.wait(host.queue(part[0]), timeout=1800.0).outputs
            result = host.path_of(outputs[part[1]]["images"][0])
        thumbnail(result).save(target, quality=85, optimize=True)
        print(f"{target.name}: {target.stat().st_size // 1024} kB", flush=True)


def main(names: list[str]) -> None:
    with Host(prepared_environment(), packs=[NARROW], arguments=["--disable-api-nodes", "--cache-lru", "200"]) as host:
        provide_stable_audio(host.base / "models")
        make(host, names)


if __name__ == "__main__":
    main(sys.argv[1:])
