"""Makes the thumbnails next to the workflows out of what they produce in a real ComfyUI:

    .venv/bin/python -m tests.browser.thumbnails [NAME ...]

A frame of the result with its boxes, and under it both channels' waveforms with the events. What needs a download has no sound
of its own here, and shows the frame alone.
"""

from __future__ import annotations

import json
import sys
from functools import cache
from pathlib import Path

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


def main(names: list[str]) -> None:
    packs = [NARROW]
    with Host(prepared_environment(), packs=packs, arguments=["--disable-api-nodes", "--cache-lru", "200"]) as host:
        provide_stable_audio(host.base / "models")
        known = host.object_info()
        for path in sorted((ROOT / "workflows").glob("*.json")):
            if names and path.stem not in names:
                continue
            workflow = json.loads(path.read_text(encoding="utf-8"))
            target, result = path.with_suffix(".jpg"), CLIP
            if not any(node["mode"] == 0 and node["properties"].get("models") for node in workflow["nodes"]):
                prompt = to_prompt(workflow, known)
                outputs = host.wait(host.queue(prompt), timeout=1800.0).outputs
                kinds = {key: node["class_type"] for key, node in prompt.items()}
                shown = next(outputs[key]["images"][0] for kind in SHOWN for key in outputs if kinds[key] == kind)
                result = host.path_of(shown)
            thumbnail(result).save(target, quality=85, optimize=True)
            print(f"{target.name}: {target.stat().st_size // 1024} kB", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
