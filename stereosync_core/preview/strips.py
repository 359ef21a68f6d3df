"""Small pictures of what a node has found or made: depth, tracks, loudness, sound. Made quickly, to be shown on the node."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..media.sound import Sound
from ..media.source import Source
from ..media.video import frames, probe
from ..scene import DepthSequence, Envelope, Tracks
from .overlay import COLOURS, draw_tracks, palette

#: Pictures in a strip, their long side, and the width and height of plots in pixels.
_COUNT, _SIDE, _WIDTH, _HEIGHT = 6, 224, 768, 96
_LENGTH = 1024  # samples of a spectrum
_QUIET, _HIGHEST = -80.0, 12000.0  # decibels under the loudest, and hertz, that a spectrogram shows


def depth_strip(depth: DepthSequence) -> np.ndarray:
    """Depth maps at six times side by side, bright is near: uint8 RGB ``[H, W, 3]``."""
    times = np.linspace(depth.times[0], depth.times[-1], _COUNT)
    colours = palette()[(depth.at(times) * 255).astype(np.uint8)]
    scale = _SIDE / max(colours.shape[1:3])
    size = (max(2, round(colours.shape[2] * scale)), max(2, round(colours.shape[1] * scale)))
    pictures = [np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BILINEAR)) for picture in colours]
    return _side_by_side(pictures, times)


def tracks_strip(source: Source, tracks: Tracks) -> np.ndarray:
    """Frames at six times side by side, with each object's box, label, id and azimuth: uint8 RGB ``[H, W, 3]``."""
    length = probe(source).duration
    times = (np.arange(_COUNT) + 0.5) * length / _COUNT
    font = ImageFont.load_default(11)
    shown = [
        draw_tracks(picture, tracks, time, font, azimuth=True) for time, picture in frames(source, times=times, max_side=_SIDE)
    ]
    return _side_by_side(shown, times)


def envelope_picture(envelope: Envelope) -> np.ndarray:
    """Loudness over time: uint8 RGB ``[96, 768, 3]``."""
    times = np.linspace(0.0, float(envelope.times[-1]), _WIDTH)
    values = np.maximum.reduceat(envelope.values, np.clip(np.searchsorted(envelope.times, times), 0, len(envelope.times) - 1))
    heights = (values / max(float(values.max()), 1e-9) * (_HEIGHT - 4)).astype(int)
    rows = np.arange(_HEIGHT)[:, None]
    picture = np.where((rows >= _HEIGHT - heights)[..., None], np.array(COLOURS[1]), 24).astype(np.uint8)
    return picture


def sound_picture(sound: Sound, tracks: Tracks | None = None) -> np.ndarray:
    """Spectrogram of each channel, the left above the right, with the path of each track from left (above) to right over them:
    uint8 RGB ``[192, 768, 3]``."""
    channels = [_spectrum(channel, sound.rate) for channel in (sound.samples[0], sound.samples[min(1, len(sound.samples) - 1)])]
    loudest = max(float(spectrum.max()) for spectrum in channels)
    levels = np.concatenate([np.clip(1 + (spectrum - loudest) / -_QUIET, 0, 1) for spectrum in channels])
    picture = Image.fromarray(palette()[(levels * 255).astype(np.uint8)])
    pen = ImageDraw.Draw(picture)
    pen.line([(0, _HEIGHT), (_WIDTH, _HEIGHT)], fill=(255, 255, 255))
    times = np.linspace(0, sound.samples.shape[1] / sound.rate, _WIDTH)
    for place, track in enumerate(tracks or ()):
        _, visible = track.at(times, tracks.max_gap if tracks else 0.5)
        path = _HEIGHT * (1 + 0.96 * track.azimuth(times))
        points = [(x, float(y)) for x, y in enumerate(path) if visible[x]]
        if len(points) > 1:
            pen.line(points, fill=COLOURS[(place + 1) % len(COLOURS)], width=2)
    return np.array(picture)


def _spectrum(samples: np.ndarray, rate: int) -> np.ndarray:
    """Decibels ``[96, 768]``, low frequencies below."""
    samples = np.pad(samples, (0, max(0, _LENGTH - len(samples))))
    starts = np.linspace(0, len(samples) - _LENGTH, _WIDTH).round().astype(int)
    parts = samples[starts[:, None] + np.arange(_LENGTH)] * np.hanning(_LENGTH)
    power = np.square(np.abs(np.fft.rfft(parts)))
    highest = min(_HIGHEST, rate / 2) / rate * _LENGTH
    return 10 * np.log10(power[:, np.linspace(highest, 0, _HEIGHT).round().astype(int)].T + 1e-12)


def _side_by_side(pictures: list[np.ndarray], times: np.ndarray) -> np.ndarray:
    sheet = Image.fromarray(np.concatenate([np.pad(picture, ((0, 16), (0, 2), (0, 0))) for picture in pictures], axis=1))
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(11)
    width = pictures[0].shape[1] + 2
    for place, time in enumerate(times):
        pen.text((place * width + 3, sheet.height - 15), f"{time:.2f} s", fill=(220, 220, 220), font=font)
    return np.array(sheet)
