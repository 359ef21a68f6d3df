"""Which frames are seen together: snippets of a few frames, ``dilation`` frames apart, one starting at every frame."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from .presets import RollingDepthSettings


@dataclass(frozen=True)
class Snippets:
    """All snippets of one dilation over a clip.

    :param dilation: frames from one frame of a snippet to the next.
    :param length: frames in a snippet.
    :param frame_count: frames of the clip.
    :param steps: denoising steps.
    :param repeats: how often this pass counts. On short clips the cap makes several dilations equal; the release computes
        each of them, here equal ones are computed once.
    """

    dilation: int
    length: int
    frame_count: int
    steps: int = 1
    repeats: int = 1

    @property
    def count(self) -> int:
        """Number of snippets."""
        return self.frame_count - (self.length - 1) * self.dilation

    def indices(self) -> torch.Tensor:
        """Frame numbers, int64 ``[count, length]``."""
        return torch.arange(self.count)[:, None] + torch.arange(self.length) * self.dilation

    def span(self, slot: int) -> slice:
        """The frames that the snippets have at place ``slot``, in the snippets' order: always an unbroken run."""
        return slice(slot * self.dilation, slot * self.dilation + self.count)


def effective_dilation(dilation: int, length: int, frame_count: int, capped: bool) -> int:
    """The dilation used on a clip: the release's cap, or else as far as the clip reaches; never below 1."""
    longest = frame_count // length - 1 if capped else (frame_count - 1) // max(length - 1, 1)
    return max(1, min(dilation, longest))


def plan_snippets(settings: RollingDepthSettings, frame_count: int) -> list[Snippets]:
    """The passes over a clip, each different one once. Clips shorter than a snippet become one shorter snippet."""
    passes: dict[tuple[int, int, int], int] = {}
    for dilation, length, steps in settings.passes():
        length = min(length, frame_count)
        key = (effective_dilation(dilation, length, frame_count, settings.cap_dilations), length, steps)
        passes[key] = passes.get(key, 0) + 1
    return [Snippets(dilation, length, frame_count, steps, repeats) for (dilation, length, steps), repeats in passes.items()]


def plan_refinement(settings: RollingDepthSettings, frame_count: int) -> list[Snippets]:
    """The snippets of each refinement step: their dilation falls from the start dilation to 1."""
    length = min(settings.refine_snippet_length, frame_count)
    start = effective_dilation(settings.refine_start_dilation, length, frame_count, settings.cap_dilations)
    # Above this some frames would be in no snippet at all.
    start = max(1, min(start, frame_count // length))
    steps = settings.refine_steps
    return [Snippets(1 + int((1 - step / steps) * (start - 1)), length, frame_count) for step in range(steps)]
