"""Checks the video that the demo made. Run by ``dev.py demo`` in the environment's Python:

python -m tests.demo_check SOURCE PRODUCED
"""

from __future__ import annotations

import sys
from pathlib import Path

import av
import numpy as np

from research.evaluation.sync import WALKING_TRUTH, score
from stereosync_core.metrics.sync import attacks
from stereosync_core.rendering.analysis import placement_correlation
from stereosync_core.tracking.registry import track_video

#: Samples of a frame of AAC: its sound may be longer by less than two of these (priming and padding).
AAC_FRAME = 1024
WANTED_CORRELATION = 0.9
#: Seconds that the median step may sound early or late.
WANTED_OFFSET = 0.02


def video_packets(path: Path) -> list[tuple[float, float, bytes]]:
    """Presentation time and decoding time in seconds from the first, and bytes, of every picture packet."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        packets = [packet for packet in container.demux(stream) if packet.size]
        tick = float(stream.time_base or 0)
    first = min(packet.pts or 0 for packet in packets)
    return [(((p.pts or 0) - first) * tick, ((p.dts or 0) - first) * tick, bytes(p)) for p in packets]


def same_video(source: Path, produced: Path) -> bool:
    """Whether picture packets are equal byte by byte and come at the same times, to within 0.1 ms."""
    before, after = video_packets(source), video_packets(produced)
    return len(before) == len(after) and all(
        abs(a[0] - b[0]) < 1e-4 and abs(a[1] - b[1]) < 1e-4 and a[2] == b[2] for a, b in zip(before, after, strict=True)
    )


def video_seconds(path: Path) -> float:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        packets = [(packet.pts or 0, packet.duration or 0) for packet in container.demux(stream) if packet.size]
        return float((max(pts + length for pts, length in packets) - min(pts for pts, _ in packets)) * (stream.time_base or 0))


def sound_of(path: Path) -> tuple[np.ndarray, int]:
    """Decoded sound float32 ``[C, N]`` and its rate."""
    # Packed, because PyAV 18 crashes on planar sound of eight channels.
    packed = av.AudioResampler(format="flt")
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        blocks = [part.to_ndarray() for frame in container.decode(stream) for part in packed.resample(frame)]
        return np.concatenate(blocks, axis=-1).reshape(-1, stream.channels).T, stream.rate


def main() -> int:
    source, produced = map(Path, sys.argv[1:3])
    seconds, (sound, rate) = video_seconds(source), sound_of(produced)
    over = sound.shape[1] - round(seconds * rate)
    tracks = track_video(str(source), max_tracks=1)
    timing = score(attacks(sound, rate), WALKING_TRUTH)
    contacts, late = timing.hits + timing.misses, float(np.median(timing.offsets)) if timing.hits else float("nan")
    correlation = placement_correlation(sound, rate, tracks.tracks[0], max_gap=tracks.max_gap)
    checks = {
        "the picture's packets are the source's": same_video(source, produced),
        f"the sound is as long as the video ({seconds:.3f} s, {over:+d} samples)": abs(over) <= AAC_FRAME,
        f"left/right level follows the walker (correlation {correlation:.3f})": correlation >= WANTED_CORRELATION,
        f"a step sounds at each contact and nowhere else ({timing.hits} of {contacts}, {timing.others} others, median "
        f"{1000 * late:+.0f} ms)": timing.hits == contacts and not timing.others and abs(late) <= WANTED_OFFSET,
    }
    for text, passed in checks.items():
        print(f"[dev]   {'ok' if passed else 'FAILED'}: {text}", flush=True)
    return 0 if all(checks.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
