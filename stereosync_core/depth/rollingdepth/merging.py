"""Snippets brought together: kept in a scratch file until their scales are known, then averaged frame by frame."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from typing import IO

import torch

from ...errors import StereoSyncError
from .alignment import RELEASED_ALIGNMENT, AlignmentOptions, alignment_points
from .snippets import Snippets


class SnippetMaps:
    """The decoded depth of one pass over a clip: about three maps for each frame, too many for memory on a long clip.

    They are needed once more, after the alignment, and only one at a time. So they go to a file without a name, which the
    operating system keeps in memory while there is room; only the alignment's points and the minimum stay here.

    :param snippets: the pass.
    :param shape: height and width of a map.
    """

    def __init__(
        self,
        snippets: Snippets,
        shape: tuple[int, int],
        dtype: torch.dtype,
        options: AlignmentOptions = RELEASED_ALIGNMENT,
    ):
        self.snippets, self.shape, self.dtype, self._options = snippets, shape, dtype, options
        self.minimum = float("inf")
        self._points: list[torch.Tensor] = []
        self._bytes = shape[0] * shape[1] * torch.empty(0, dtype=dtype).element_size()
        try:
            self._file: IO[bytes] = tempfile.TemporaryFile(prefix="stereosync_")  # noqa: SIM115 - stays open
        except OSError as error:
            raise StereoSyncError(
                f"RollingDepth: no temporary file can be made ({error.strerror}); make room in the temporary folder."
            ) from error

    def add(self, maps: torch.Tensor) -> None:
        """Append the next maps ``[B, H, W]``, snippet by snippet and slot by slot.

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
        try:
            self._file.write(maps.view(torch.uint8).numpy().data)
        except OSError as error:
            raise StereoSyncError(
                f"RollingDepth: the depth of the snippets cannot be kept ({error.strerror}); make room in the temporary folder "
                "or lower the resolution."
            ) from error

    def points(self, minimum: float) -> torch.Tensor:
        """What the alignment looks at: ``[K, L, h', w']`` with the clip's minimum removed."""
        return torch.cat(self._points).unflatten(0, (self.snippets.count, self.snippets.length)) - minimum

    def map(self, snippet: int, slot: int) -> torch.Tensor:
        """One map ``[H, W]``."""
        self._file.seek((snippet * self.snippets.length + slot) * self._bytes)
        content = bytearray(self._bytes)
        if self._file.readinto(content) != self._bytes:  # type: ignore[attr-defined]
            raise StereoSyncError("RollingDepth: the temporary file of the snippets was cut short; make room and try again.")
        return torch.frombuffer(content, dtype=self.dtype).view(self.shape)

    def close(self) -> None:
        """Give the file back."""
        self._file.close()


@torch.inference_mode()
def merge(
    passes: Sequence[SnippetMaps],
    aligned: Sequence[tuple[torch.Tensor, torch.Tensor]],
    minimum: float,
    out: torch.Tensor,
) -> torch.Tensor:
    """Write each frame's mean of all predictions, scaled and shifted, into ``out`` ``[N, H, W]``.

    On the CPU in the snippets' own precision, as the release does it.

    :param aligned: scales and shifts ``[K]`` of each pass.
    :param minimum: of all passes, removed first.
    """
    dtype = passes[0].dtype
    cast = [(scales.to("cpu", dtype), shifts.to("cpu", dtype)) for scales, shifts in aligned]
    for frame in range(len(out)):
        total, count = torch.zeros(passes[0].shape, dtype=dtype), 0
        for maps, (scales, shifts) in zip(passes, cast, strict=True):
            snippets = maps.snippets
            for slot in reversed(range(snippets.length)):
                snippet = frame - slot * snippets.dilation
                if 0 <= snippet < snippets.count:
                    depth = (maps.map(snippet, slot) - minimum).mul_(scales[snippet]).add_(shifts[snippet])
                    total.add_(depth, alpha=snippets.repeats)
                    count += snippets.repeats
        out[frame] = total / count
    return out


@torch.inference_mode()
def normalize(maps: torch.Tensor, low: float = -1.0, high: float = 1.0) -> torch.Tensor:
    """Stretch maps ``[N, H, W]`` in place so that the clip's minimum and maximum become ``low`` and ``high``.

    A clip with the same depth everywhere becomes ``low``.
    """
    maps -= maps.min()
    largest = maps.max()
    maps /= torch.where(largest > 0, largest, torch.ones_like(largest))
    return maps.mul_(high - low).add_(low)
