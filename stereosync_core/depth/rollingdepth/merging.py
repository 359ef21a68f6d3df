"""Snippets brought together: kept in a scratch file until their scales are known, then averaged frame by frame."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

from ...errors import StereoSyncError
from .alignment import RELEASED_ALIGNMENT, AlignmentOptions, alignment_points
from .snippets import Snippets


class SnippetMaps:
    """The decoded depth of all passes over a clip: about three maps a frame and pass, too many for memory on a long clip.

    They are needed once more, after the alignment, and only one at a time. So they go to a file without a name, which the
    operating system keeps in memory while there is room; only the alignment's points and the minimum stay here.

    :param plan: the passes.
    :param shape: height and width of a map.
    """

    def __init__(
        self,
        plan: Sequence[Snippets],
        shape: tuple[int, int],
        dtype: torch.dtype,
        options: AlignmentOptions = RELEASED_ALIGNMENT,
    ):
        self.plan, self.shape, self.dtype, self._options = plan, shape, dtype, options
        self.minimum = float("inf")
        self._points: list[torch.Tensor] = []
        with _disk_errors():
            self._file = tempfile.TemporaryFile(prefix="stereosync_")  # noqa: SIM115 - stays open

    def add(self, maps: torch.Tensor) -> None:
        """Append the next maps ``[B, H, W]``, pass by pass, snippet by snippet and slot by slot.

        :raises StereoSyncError: a map is not finite, or the disk is full.
        """
        low, high = (float(value) for value in torch.aminmax(maps))
        if not (abs(low) < float("inf") and abs(high) < float("inf")):
            raise StereoSyncError(
                "RollingDepth: the model gave NaN or infinite depth. In half precision some graphics cards do that: choose "
                "bf16 or fp32 in the loader; if it stays, the weights are damaged: download them again."
            )
        self.minimum = min(self.minimum, low)
        maps = maps.to(device="cpu", dtype=self.dtype).contiguous()
        self._points.append(alignment_points(maps, self._options).clone())
        with _disk_errors():
            self._file.write(maps.view(torch.uint8).numpy().data)

    def points(self) -> list[torch.Tensor]:
        """What the alignment looks at: ``[K, L, h', w']`` of each pass, the clip's minimum removed."""
        parts = (torch.cat(self._points) - self.minimum).split([group.count * group.length for group in self.plan])
        return [part.unflatten(0, (group.count, group.length)) for part, group in zip(parts, self.plan, strict=True)]

    @torch.inference_mode()
    def merge(self, aligned: Sequence[tuple[torch.Tensor, torch.Tensor]], out: torch.Tensor) -> torch.Tensor:
        """Write each frame's mean of all predictions, scaled and shifted, into ``out`` ``[N, H, W]``, and return it.

        On the CPU in the snippets' own precision, as the release does it.

        :param aligned: scales and shifts ``[K]`` of each pass.
        """
        cast = [(scales.to("cpu", self.dtype), shifts.to("cpu", self.dtype)) for scales, shifts in aligned]
        for frame in range(len(out)):
            total, count, begin = torch.zeros(self.shape, dtype=self.dtype), 0, 0
            for group, (scales, shifts) in zip(self.plan, cast, strict=True):
                for slot in reversed(range(group.length)):
                    snippet = frame - slot * group.dilation
                    if 0 <= snippet < group.count:
                        depth = self._map(begin + snippet * group.length + slot) - self.minimum
                        total.add_(depth.mul_(scales[snippet]).add_(shifts[snippet]), alpha=group.repeats)
                        count += group.repeats
                begin += group.count * group.length
            out[frame] = total / count
        return out

    def _map(self, number: int) -> torch.Tensor:
        """One map ``[H, W]``, in the order in which they were added."""
        content = bytearray(self.shape[0] * self.shape[1] * self.dtype.itemsize)
        self._file.seek(number * len(content))
        if self._file.readinto(content) != len(content):  # type: ignore[attr-defined]
            raise StereoSyncError("RollingDepth: the temporary file of the snippets was cut short; make room and try again.")
        return torch.frombuffer(content, dtype=self.dtype).view(self.shape)

    def close(self) -> None:
        """Give the file back."""
        self._file.close()


@contextmanager
def _disk_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StereoSyncError(
            f"RollingDepth: the depth of the snippets cannot be kept ({error.strerror}); make room in the temporary folder or "
            "lower the resolution."
        ) from error


@torch.inference_mode()
def normalize(maps: torch.Tensor, low: float = -1.0, high: float = 1.0, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Stretch maps ``[N, H, W]`` in place so that the clip's minimum and maximum become ``low`` and ``high``.

    A clip with the same depth everywhere becomes ``low``.

    :param dtype: whose rounding there is, as in the release.
    """
    least = maps.min().to(dtype)
    spread = (maps.max().to(dtype) - least).clamp(min=torch.finfo(dtype).tiny)
    for row in maps:  # one at a time, so that there is no second clip
        row.copy_((row.to(dtype) - least) / spread * (high - low) + low)
    return maps
