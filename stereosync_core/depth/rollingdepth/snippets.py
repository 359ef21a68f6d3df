"""Which frames are seen together: the release's settings and one's own, and the snippets that they cut a clip into."""

from collections import Counter
from dataclasses import dataclass, replace

import torch

from ...errors import StereoSyncError, explained

#: Pixels of the longer side below which the autoencoder and the alignment have too little to look at.
SMALLEST = 64


@dataclass(frozen=True)
class RollingDepthSettings:
    """How a clip is cut into snippets and how they are denoised.

    :param resolution: pixels of the frames' longer side, smaller frames are enlarged too; 0 keeps the clip's own size.
    :param dilations: distance in frames between the frames of a snippet, one pass over the clip for each; 1 is among them.
    :param snippet_lengths: frames in a snippet, one for all dilations or one for each; ``denoising_steps`` likewise.
    :param cap_dilations: keep dilations below a third of the clip (``frames // length - 1``), as the release does by default.
    :param refine_steps: steps of the refinement, 0 leaves it out; its dilation falls from ``refine_start_dilation`` to 1.
    :raises StereoSyncError: they make no sense.
    """

    resolution: int = 768
    dilations: tuple[int, ...] = (1, 25)
    snippet_lengths: tuple[int, ...] = (3,)
    denoising_steps: tuple[int, ...] = (1,)
    cap_dilations: bool = True
    refine_steps: int = 0
    refine_snippet_length: int = 3
    refine_start_dilation: int = 6

    def __post_init__(self):
        if self.resolution != 0 and self.resolution < SMALLEST:
            raise StereoSyncError(
                f"RollingDepth: a resolution of {self.resolution} pixels is too small; give {SMALLEST} or more, 768 is what "
                "the model was made for, 0 keeps the clip's size."
            )
        if 1 not in self.dilations or min(self.dilations) < 1:
            raise StereoSyncError(
                f"RollingDepth: dilations {list(self.dilations)} must be 1 or more, and 1 must be among them."
            )
        for name, values, low, high in (
            ("snippet lengths", self.snippet_lengths, 2, 4),
            ("denoising steps", self.denoising_steps, 1, 50),
            ("the refinement's snippet length", (self.refine_snippet_length,), 2, 4),
            ("refinement steps", (self.refine_steps,), 0, 100),
            ("the refinement's start dilation", (self.refine_start_dilation,), 1, 1000),
        ):
            if min(values) < low or max(values) > high:
                raise StereoSyncError(f"RollingDepth: {name} {list(values)} must be from {low} to {high}.")
            if len(values) not in (1, len(self.dilations)):
                raise StereoSyncError(
                    f"RollingDepth: there are {len(values)} {name} for {len(self.dilations)} dilations; give one, or one each."
                )

    def passes(self) -> list[tuple[int, int, int]]:
        """``(dilation, snippet length, denoising steps)`` of each pass over the clip, dilations uncapped."""
        count = len(self.dilations)
        one_each = (values * count if len(values) == 1 else values for values in (self.snippet_lengths, self.denoising_steps))
        return list(zip(self.dilations, *one_each, strict=True))


#: The release runs all of them in half precision but ``paper``, which is single.
PRESETS = {
    "fast": RollingDepthSettings(768),
    "fast1024": RollingDepthSettings(1024),
    "full": RollingDepthSettings(1024, (1, 10, 25), refine_steps=10),
    "paper": RollingDepthSettings(768, (1, 10, 25), cap_dilations=False, refine_steps=10),
}


def customized(
    settings: RollingDepthSettings, resolution: int = 0, dilations: str = "", refine_steps: int = -1
) -> RollingDepthSettings:
    """RollingDepthSettings with changes of one's own; 0, an empty text and -1 keep what they have.

    :param dilations: whole numbers separated by commas or spaces.
    :raises StereoSyncError: the settings make no sense.
    """
    with explained(f"RollingDepth: dilations '{dilations}' are not whole numbers; write for example 1, 10, 25.", ValueError):
        own = tuple(int(part) for part in dilations.replace(",", " ").split())
    return replace(
        settings,
        resolution=resolution or settings.resolution,
        dilations=own or settings.dilations,
        refine_steps=refine_steps if refine_steps >= 0 else settings.refine_steps,
    )


@dataclass(frozen=True)
class Snippets:
    """All snippets of one dilation over a clip of ``frame_count`` frames, one starting at every frame.

    :param dilation: frames from one frame of a snippet to the next.
    :param length: frames in a snippet.
    :param repeats: how often this pass counts. On short clips the cap makes several dilations equal; the release computes each
        of them, here equal ones are computed once.
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
    passes: Counter[tuple[int, int, int]] = Counter()
    for dilation, length, steps in settings.passes():
        length = min(length, frame_count)
        passes[effective_dilation(dilation, length, frame_count, settings.cap_dilations), length, steps] += 1
    return [Snippets(dilation, length, frame_count, steps, repeats) for (dilation, length, steps), repeats in passes.items()]


def plan_refinement(settings: RollingDepthSettings, frame_count: int) -> list[Snippets]:
    """The snippets of each refinement step: their dilation falls from the start dilation to 1."""
    length, steps = min(settings.refine_snippet_length, frame_count), settings.refine_steps
    start = effective_dilation(settings.refine_start_dilation, length, frame_count, settings.cap_dilations)
    # Above this some frames would be in no snippet at all.
    start = max(1, min(start, frame_count // length))
    return [Snippets(1 + int((1 - step / steps) * (start - 1)), length, frame_count) for step in range(steps)]
