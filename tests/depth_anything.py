"""A tiny Depth Anything of random weights for the tests."""

from pathlib import Path
from typing import Any

import torch


def write_depth_anything(folder: Path, **options: Any) -> Path:
    """A folder in the layout of Depth-Anything-V2-Small-hf."""
    from transformers import DepthAnythingConfig, DepthAnythingForDepthEstimation, Dinov2Config, DPTImageProcessor

    torch.manual_seed(0)
    layers = {"hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 2, "image_size": 56}
    stages = {"out_features": ["stage1", "stage2", "stage3", "stage4"], "reshape_hidden_states": False, "apply_layernorm": True}
    widths = {"reassemble_hidden_size": 32, "neck_hidden_sizes": [8, 16, 32, 32], "fusion_hidden_size": 16}
    config = DepthAnythingConfig(backbone_config=Dinov2Config(**layers, **stages), head_hidden_size=8, **widths, **options)
    network = DepthAnythingForDepthEstimation(config)
    # else all values lie within a millionth of each other
    torch.nn.init.uniform_(network.head.conv3.weight, 0, 1e4)
    network.save_pretrained(folder)
    colours = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
    size = {"size": {"height": 56, "width": 56}, "keep_aspect_ratio": True, "ensure_multiple_of": 14}
    DPTImageProcessor(**size, **colours).save_pretrained(folder)
    return folder
