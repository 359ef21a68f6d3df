"""Inputs that several nodes have."""

from __future__ import annotations

from pathlib import Path

from comfy_api.latest import io

from . import host


def precision_input() -> io.Input:
    return io.Combo.Input(
        "precision",
        options=["auto", "fp16", "bf16", "fp32"],
        default="auto",
        tooltip="auto: fp16 on a graphics card, fp32 on the CPU. bf16 where fp16 gives NaN. fp32 doubles the memory.",
    )


def rate_input(what: str, tooltip: str, *, default: float, min: float, step: float = 0.5) -> io.Input:
    """How many ``what`` a second; the canvas shows that name in place of the id ``rate``."""
    return io.Float.Input(
        "rate", display_name=f"{what} per second", default=default, min=min, max=60.0, step=step, tooltip=tooltip
    )


def entry_rate_input(what: str) -> io.Input:
    """The rate of entries that another pack made."""
    return io.Float.Input(
        f"{what}_per_second",
        default=0.0,
        min=0.0,
        max=240.0,
        step=0.5,
        tooltip=f"0: one entry for each frame of the clip. Otherwise the rate that the {what} were made at.",
    )


def depth_rate_input(minimum: float = 0.5, more: str = "") -> io.Input:
    return rate_input("maps", f"Depth maps a second; between them depth is interpolated.{more}", default=4.0, min=minimum)


def model_folder_input(kinds: list[str], part: str, release: str, tooltip: str) -> io.Input:
    """A choice of the folders in ``models/<kind>`` that hold ``part``.

    The release's name is always among them, so that running the node without it names the link and the place.
    """
    names = list(host.model_folders(kinds, part))
    options = names if release in names else [*names, release]
    return io.Combo.Input("model", options=options, default=options[0], tooltip=tooltip)


def model_folder(kinds: list[str], part: str, name: str) -> Path:
    """The folder chosen in :func:`model_folder_input`, or where it belongs."""
    return host.model_folders(kinds, part).get(name, host.model_target(kinds[-1], name))
