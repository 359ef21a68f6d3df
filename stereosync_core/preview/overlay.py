"""Depth, boxes and ids drawn over a clip's frames, streamed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import cache
from pathlib import Path

import av
import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from ..media.output import replacing, written
from ..media.source import Source, as_clip
from ..media.video import frames, probe
from ..scene import DepthSequence, Tracks, check_depth_fits, check_tracks_fit

#: Colours that stay apart for every kind of colour vision (Okabe and Ito).
COLOURS = [(230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (213, 94, 0), (204, 121, 167), (0, 114, 178)]


def overlay_frames(
    source: Source,
    *,
    depth: DepthSequence | None = None,
    tracks: Tracks | None = None,
    rate: float = 10.0,
    max_side: int = 640,
    depth_opacity: float = 0.5,
    progress: Callable[[float, float], None] | None = None,
) -> Iterator[tuple[float, np.ndarray]]:
    """Frames uint8 RGB ``[H, W, 3]`` with even sides, each with its time in seconds.

    :param rate: frames a second.
    :param max_side: pixels of the long side.
    :param depth_opacity: 0 shows the clip alone, 1 the depth alone (bright = near).
    :raises StereoSyncError: as :func:`~stereosync_core.media.video.probe`, or for depth or tracks of another clip.
    """
    from kornia.geometry.transform import resize

    clip = as_clip(source)
    info = probe(clip)
    if depth is not None:
        check_depth_fits(depth, info.duration)
    if tracks is not None:
        check_tracks_fit(tracks, info.duration)
    scale = min(1.0, max_side / max(info.width, info.height))
    size = (max(2, 2 * round(info.width * scale / 2)), max(2, 2 * round(info.height * scale / 2)))
    shades = palette()
    font = ImageFont.load_default(max(11, size[1] // 24))
    for time, image in frames(clip, rate=rate, size=size):
        if depth is not None:
            nearness = resize(torch.from_numpy(depth.at([time])), (size[1], size[0]))[0].numpy()
            colours = shades[(nearness * 255).astype(np.uint8)]
            image = (image * (1 - depth_opacity) + colours * depth_opacity).astype(np.uint8)
        if tracks is not None:
            image = draw_tracks(image, tracks, time, font)
        if progress is not None:
            progress(time, info.duration)
        yield time, image


@cache
def palette() -> np.ndarray:
    """Colours uint8 ``[256, 3]`` from dark to bright."""
    from matplotlib import colormaps  # takes too long for a host's start

    return (np.asarray(colormaps["inferno"](np.linspace(0, 1, 256)))[:, :3] * 255).astype(np.uint8)


def draw_tracks(image: np.ndarray, tracks: Tracks, time: float, font=None, azimuth: bool = False) -> np.ndarray:
    """The boxes of ``tracks`` at ``time`` with label and id, and azimuth where wanted, on a copy of the frame ``[H, W, 3]``."""
    height, width = image.shape[:2]
    picture = Image.fromarray(image)
    pen = ImageDraw.Draw(picture)
    for place, track in enumerate(tracks):
        boxes, visible = track.at([time], tracks.max_gap)
        if not visible[0]:
            continue
        x0, y0, x1, y1 = boxes[0] * np.array([width, height, width, height])
        colour = COLOURS[place % len(COLOURS)]
        pen.rectangle([x0, y0, x1, y1], outline=colour, width=max(2, height // 180))
        caption = f"{track.label} {track.id}"
        if azimuth:
            caption += f" {track.azimuth([time])[0]:+.2f}"
        left, top, right, bottom = pen.textbbox((x0, 0), caption, font=font)
        y = max(0, y0 - (bottom - top) - 6)
        pen.rectangle([left - 1, y, right + 5, y + bottom - top + 6], fill=colour)
        pen.text((x0 + 2, y + 3 - top), caption, fill=(0, 0, 0), font=font)
    return np.asarray(picture)


def write_preview(pictures: Iterator[tuple[float, np.ndarray]], path: Path, rate: float) -> Path:
    """Encode frames of one size to an H.264 mp4 that browsers play, at their own times."""
    options = {"crf": "23", "preset": "veryfast"}
    with replacing(Path(path)) as temporary, written(temporary) as container:
        stream = container.add_stream("libx264", rate=Fraction(rate).limit_denominator(1000), options=options)
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = Fraction(1, 90000)
        for time, image in pictures:
            if not stream.codec_context.is_open:
                stream.width, stream.height = image.shape[1], image.shape[0]
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
            frame.pts, frame.time_base = round(time * 90000), Fraction(1, 90000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return Path(path)
