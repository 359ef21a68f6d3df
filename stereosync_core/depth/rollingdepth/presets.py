"""The release's presets, and how a clip is cut into snippets by other settings."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from ...errors import StereoSyncError

#: Pixels of the longer side below which the autoencoder and the alignment have too little to look at.
SMALLEST = 64


@dataclass(frozen=True)
class RollingDepthSettings:
    """How a clip is cut into snippets and how they are denoised.

    :param resolution: pixels of the frames' longer side, smaller frames are enlarged too; 0 keeps the clip's own size.
    :param dilations: distance in frames between the frames of a snippet, one pass over the clip for each; 1 is among them.
    :param snippet_lengths: frames in a snippet, one for all dilations or one for each.
    :param denoising_steps: steps of a snippet, likewise; the model is made for 1.
    :param cap_dilations: keep dilations below a third of the clip (``frames // length - 1``), as the release does by default.
    :param refine_steps: steps of the refinement; 0 leaves it out.
    :param refine_snippet_length: frames in a snippet of the refinement.
    :param refine_start_dilation: dilation of the refinement's first step; it falls to 1.
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
        lengths, steps = (
            values * count if len(values) == 1 else values for values in (self.snippet_lengths, self.denoising_steps)
        )
        return list(zip(self.dilations, lengths, steps, strict=True))


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
    """Settings with changes of one's own.

    :param resolution: 0 keeps the settings' own.
    :param dilations: whole numbers separated by commas or spaces; empty keeps the settings' own.
    :param refine_steps: -1 keeps the settings' own.
    :raises StereoSyncError: the settings make no sense.
    """
    changes: dict[str, Any] = {}
    if resolution:
        changes["resolution"] = resolution
    if dilations.strip():
        try:
            changes["dilations"] = tuple(int(part) for part in dilations.replace(",", " ").split())
        except ValueError as error:
            raise StereoSyncError(
                f"RollingDepth: dilations '{dilations}' are not whole numbers; write for example 1, 10, 25."
            ) from error
    if refine_steps >= 0:
        changes["refine_steps"] = refine_steps
    return replace(settings, **changes)
