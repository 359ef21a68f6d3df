"""Makes what README.md and docs/listen.md show, out of what the shipped workflows produce in a real ComfyUI:

    .venv/bin/python -m tests.showcase [NAME ...]

docs/clips/NAME.mp4, the bundled clip with a workflow's sound, and with that of *footsteps* docs/walking.webp, twice the clip:
what is found in it, and then both channels of its sound as they come.
"""

from __future__ import annotations

import json
import sys

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from stereosync_core.events.detect import detect_events
from stereosync_core.media.mux import mux
from stereosync_core.media.sound import Sound, read_sound
from stereosync_core.media.video import frames, probe
from stereosync_core.preview.overlay import COLOURS, draw_tracks, overlay_frames, write_preview
from stereosync_core.scene import Tracks
from stereosync_core.scene_events import Events
from stereosync_core.tracking.registry import track_video
from tests.hosts import prepared_environment
from tools.environment import ROOT
from tools.host import Host
from tools.workflow import to_prompt

CLIP = ROOT / "stereosync_core" / "assets" / "stereosync_walking.mp4"
CLIPS, PICTURE = ROOT / "docs" / "clips", ROOT / "docs" / "walking.webp"
#: Of each file the workflow, and whether its sound is placed; without, what goes into Spatialize Audio is taken.
MADE = {
    "before": ("Footsteps in two minutes", False),
    "footsteps": ("Footsteps in two minutes", True),
    "gravel": ("Own sounds at events", True),
    "any": ("Place any audio", True),
    "model": ("StereoSync bundled model", True),
    "binaural": ("Binaural for headphones", True),
}
SHOWN = "footsteps"
SIDE, RATE = 480, 15.0
#: Of the animated picture: pixels, pictures a second, what stands above the clip the first and the second time.
WIDTH, HEIGHT, BAND, SPEED = 600, 440, 102, 10.0
CAPTIONS = ("A silent clip: who is where, and when a foot lands", "Its sound: left and right, step by step")


def results(host: Host, names: list[str]) -> dict[str, Sound]:
    """The sound of each of ``MADE`` that is named."""
    known, sounds = host.object_info(), {}
    for name in names:
        workflow, placed = MADE[name]
        prompt = to_prompt(json.loads((ROOT / "workflows" / f"{workflow}.json").read_text(encoding="utf-8")), known)
        last = next(key for key, node in prompt.items() if node["class_type"] == "StereoSyncSoundOntoVideo")
        if not placed:
            spatialize = next(node for node in prompt.values() if node["class_type"] == "StereoSyncSpatializeAudio")
            prompt[last]["inputs"]["audio"] = spatialize["inputs"]["audio"]
        result = host.wait(host.queue(prompt), timeout=1800.0)
        sound = read_sound(host.path_of(result.outputs[last]["images"][0]))
        assert sound is not None, result.error
        sounds[name] = sound
    return sounds


def animation(sound: Sound, tracks: Tracks, events: Events) -> list[Image.Image]:
    """The clip with boxes and the events so far, and again with the waveforms so far."""
    length = probe(CLIP).duration
    shown = list(frames(CLIP, rate=SPEED, max_side=WIDTH))
    loudest = float(np.abs(sound.samples).max())
    peaks = [[float(np.abs(part).max()) / loudest for part in np.array_split(channel, WIDTH)] for channel in sound.samples]
    font = ImageFont.load_default(17)
    sheets = []
    for again, caption in enumerate(CAPTIONS):
        for time, picture in shown:
            sheet = Image.new("RGB", (WIDTH, HEIGHT), (24, 24, 24))
            image = Image.fromarray(draw_tracks(picture, tracks, time, font, azimuth=True))
            sheet.paste(image, (0, HEIGHT - BAND - image.height))
            pen, now = ImageDraw.Draw(sheet), time / length * WIDTH
            pen.rectangle([0, 0, WIDTH, 28], fill=(24, 24, 24))
            pen.text((8, 4), caption, fill=(255, 255, 255), font=font)
            for event in events:
                if again or event.time <= time:
                    x = event.time / length * WIDTH
                    pen.line([(x, HEIGHT - BAND), (x, HEIGHT)], fill=COLOURS[0], width=2)
            for row, name in enumerate("LR"):
                middle = HEIGHT - BAND * (0.75 - 0.5 * row)
                for x in range(round(now) if again else 0):
                    size = max(0.5, peaks[row][x] * (BAND / 4 - 3))
                    pen.line([(x, middle - size), (x, middle + size)], fill=COLOURS[1])
                pen.text((5, middle - 22), name, fill=(255, 255, 255), font=font)
            pen.line([(now, HEIGHT - BAND), (now, HEIGHT)], fill=(255, 255, 255))
            sheets.append(sheet)
    return sheets


def main(names: list[str]) -> None:
    with Host(prepared_environment(), arguments=["--disable-api-nodes", "--cache-lru", "200"]) as host:
        sounds = results(host, names)
    silent = write_preview(overlay_frames(CLIP, rate=RATE, max_side=SIDE), CLIPS / "silent.mp4", RATE)
    for name, sound in sounds.items():
        mux(silent, sound, CLIPS / f"{name}.mp4")
    silent.unlink()
    if SHOWN in sounds:
        tracks = track_video(CLIP).most_prominent(1)
        first, *others = animation(sounds[SHOWN], tracks, detect_events(CLIP, tracks))
        timing = {"duration": round(1000 / SPEED), "loop": 0}
        first.save(PICTURE, save_all=True, append_images=others, quality=50, method=6, **timing)
    for path in (PICTURE, *sorted(CLIPS.iterdir())):
        print(f"{path.relative_to(ROOT)}: {path.stat().st_size // 1024} kB")


if __name__ == "__main__":
    main(sys.argv[1:] or list(MADE))
