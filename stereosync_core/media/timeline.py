"""The times of a clip's frames, read from its packets without decoding."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import av
import numpy as np
from av.container import InputContainer

from ..errors import StereoSyncError
from .source import Clip, Source, codec_name, find_video, opened, source_name


@dataclass(frozen=True)
class Timeline:
    """The packets of a video stream and when their frames are shown.

    One entry a packet, in decoding order; ticks are the stream's time base.

    :param pts: int64 ``[N]`` presentation times in ticks on the container's timeline.
    :param shown: bool ``[N]``; False for what an edit list hides, for invisible frames and packets without a time.
    :param hidden: bool ``[N]``; True for what an edit list hides, which others may still refer to.
    :param keyframes: bool ``[N]``.
    :param tick: length of a tick in seconds.
    :param last_duration: ticks that the frame shown last stays on screen.
    """

    pts: np.ndarray
    shown: np.ndarray
    hidden: np.ndarray
    keyframes: np.ndarray
    tick: Fraction
    last_duration: int

    @cached_property
    def order(self) -> np.ndarray:
        """Ticks ``[T]`` of the shown frames in presentation order."""
        return np.unique(self.pts[self.shown])

    @property
    def start(self) -> int:
        """Ticks of the first frame: the clip's time 0."""
        return int(self.order[0])

    @property
    def end(self) -> int:
        """Ticks at which the last frame leaves the screen."""
        return int(self.order[-1]) + self.last_duration

    @property
    def duration(self) -> Fraction:
        """Seconds from the first frame's start to the last frame's end."""
        return (self.end - self.start) * self.tick

    @cached_property
    def times(self) -> np.ndarray:
        """Seconds ``[T]`` from 0, rising."""
        return (self.order - self.start) * float(self.tick)

    @cached_property
    def durations(self) -> np.ndarray:
        """Ticks ``[T]`` that each frame stays on screen, in presentation order."""
        return np.diff(self.order, append=self.end)

    @property
    def tolerance(self) -> float:
        """Seconds by which a frame may be late: containers round times to a tick, and a Matroska tick is a millisecond."""
        return min(float(self.tick) / 2, 0.0005)

    def on_screen(self, times: np.ndarray) -> np.ndarray:
        """Indices ``[N]`` into :attr:`times` of the frames that are on screen at ``times``; the ends are held."""
        found = np.searchsorted(self.times, np.asarray(times) + self.tolerance, side="right") - 1
        return np.clip(found, 0, len(self.times) - 1)


def timeline_of(source: Source) -> Timeline:
    """The clip's timeline; of a :class:`~.source.Clip` it is read only once.

    :raises StereoSyncError: as :func:`~.video.probe`.
    """
    if isinstance(source, Clip) and source.timeline is not None:
        return source.timeline
    name = source_name(source)
    with opened(source) as container:
        timeline = read_timeline(container, find_video(container, name), name)
    if isinstance(source, Clip):
        source.timeline = timeline
    return timeline


def read_timeline(container: InputContainer, stream: av.VideoStream, name: str) -> Timeline:
    """Reads the timeline of a freshly opened container to its end. A damaged or missing end leaves out what is not there.

    :raises StereoSyncError: no packet can be read, or none carries a time.
    """
    pts: list[int] = []
    shown: list[bool] = []
    hidden: list[bool] = []
    keyframes: list[bool] = []
    durations: list[int] = []
    is_vp8 = codec_name(stream) == "vp8"
    try:
        for packet in container.demux(stream):
            if not packet.size:
                continue
            time = packet.pts if packet.pts is not None else packet.dts
            # VP8 keeps reference frames that are never shown in packets of their own; marked by a bit in the header.
            visible = not is_vp8 or bool(memoryview(packet)[0] & 0x10)
            pts.append(time or 0)
            shown.append(time is not None and visible and not packet.is_discard)
            hidden.append(packet.is_discard)
            keyframes.append(packet.is_keyframe)
            durations.append(packet.duration or 0)
    except av.error.FFmpegError as error:
        if not any(shown):
            raise StereoSyncError(
                f"Clip: no frame of {name} can be read, the file is damaged; copy or export it again."
            ) from error
    if not pts:
        raise StereoSyncError(f"Clip: {name} has a video stream but no frames in it; export it again.")
    if not any(shown):
        raise StereoSyncError(
            f"Clip: the frames of {name} carry no times; put them into a container first: ffmpeg -i in -c copy out.mp4"
        )
    times, visible = np.array(pts, np.int64), np.array(shown)
    tick = stream.time_base or Fraction(1, 1000)
    last = int(np.flatnonzero(visible)[np.argmax(times[visible])])
    duration = durations[last] or _usual_duration(np.unique(times[visible]), stream, tick)
    if "matroska" in container.format.name and container.duration is not None:
        # Matroska stores the length of the whole, and of single frames only a rounded one or none
        whole = Fraction((container.start_time or 0) + container.duration, 1_000_000)
        left = int(whole / tick) - int(times[last])
        duration = left if 0 < left < duration else duration
    return Timeline(times, visible, np.array(hidden), np.array(keyframes), tick, duration)


def _usual_duration(order: np.ndarray, stream: av.VideoStream, tick: Fraction) -> int:
    """Ticks for a last frame whose length is not in the file: as the frame before it, else by the nominal rate."""
    if len(order) > 1:
        return int(order[-1] - order[-2])
    return max(1, round(1 / (stream.guessed_rate or Fraction(25)) / tick))
