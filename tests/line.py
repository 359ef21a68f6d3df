"""A task that trains in a second; ``accelerate launch -m tests.line FOLDER`` trains it in several processes."""

import sys
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from research.training.loop import LoopSettings, train

SETTINGS = LoopSettings(steps=60, rate=1e-2, warmup=5, validate_every=20, save_every=0.0)


class Line:
    """Fits a line; with dropout, so that the network draws numbers of its own."""

    name = "line"

    def build(self) -> nn.Module:
        return nn.Sequential(nn.Linear(3, 16), nn.Dropout(0.2), nn.GELU(), nn.Linear(16, 1))

    def loss(self, network, generator, device):
        x = torch.randn((8, 3), generator=generator)
        return {"square": (network(x.to(device))[:, 0] - x.sum(1)).square().mean()}

    def validate(self, network):
        x = torch.randn((64, 3), generator=torch.Generator().manual_seed(9))
        return {"square": float((network(x)[:, 0] - x.sum(1)).square().mean().detach())}


if __name__ == "__main__":
    train(Line(), replace(SETTINGS, parts=2), Path(sys.argv[1]))
