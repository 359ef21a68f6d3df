"""Make stereosync_core/assets/pose.safetensors from MediaPipe's pose_landmark_full.tflite. Run once; kept as the record of how.

    pip download --no-deps mediapipe==0.10.14     # and unpack the wheel
    python -m research.assets.convert_pose .../mediapipe/modules/pose_landmark/pose_landmark_full.tflite [--check]

Needs ``tflite`` beside the project's own requirements, and ``ai-edge-litert`` for ``--check``, which compares the landmarks
with the file's own run-time on noise and smooth pictures.
"""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from stereosync_core.assets import FOLDER
from stereosync_core.events.blazepose import SIZE, BlazePose, load_network

#: Output tensors that are not ported: the person's mask and the heat maps.
LEFT_OUT = (2, 3)


def read_convolutions(path: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    """Weight ``[out, in, h, w]`` and bias of every convolution that the ported outputs need, in the order of the graph."""
    import tflite

    model = tflite.Model.GetRootAsModel(path.read_bytes(), 0)
    graph = model.Subgraphs(0)
    operators = [graph.Operators(n) for n in range(graph.OperatorsLength())]
    maker = {operator.Outputs(0): operator for operator in operators}

    def code(operator) -> int:
        entry = model.OperatorCodes(operator.OpcodeIndex())
        return max(entry.BuiltinCode(), entry.DeprecatedBuiltinCode())

    def constant(tensor: int) -> np.ndarray:
        # weights are stored in half precision behind an operator that widens them
        place = graph.Tensors(maker[tensor].Inputs(0))
        return np.frombuffer(model.Buffers(place.Buffer()).DataAsNumpy().tobytes(), np.float16).reshape(place.ShapeAsNumpy())

    waiting = [graph.Outputs(n) for n in range(graph.OutputsLength()) if n not in LEFT_OUT]
    needed = set()
    while waiting:
        tensor = waiting.pop()
        if tensor in maker and tensor not in needed:
            needed.add(tensor)
            waiting += [maker[tensor].Inputs(n) for n in range(maker[tensor].InputsLength())]
    convolutions = []
    for operator in operators:
        if operator.Outputs(0) not in needed:
            continue
        if code(operator) == tflite.BuiltinOperator.CONV_2D:
            convolutions.append((constant(operator.Inputs(1)).transpose(0, 3, 1, 2), constant(operator.Inputs(2))))
        elif code(operator) == tflite.BuiltinOperator.DEPTHWISE_CONV_2D:
            convolutions.append((constant(operator.Inputs(1)).transpose(3, 0, 1, 2), constant(operator.Inputs(2))))
    return convolutions


def convert(source: Path, target: Path) -> None:
    network = BlazePose()
    layers = [module for module in network.modules() if isinstance(module, torch.nn.Conv2d)]
    convolutions = read_convolutions(source)
    assert len(layers) == len(convolutions), f"{len(layers)} layers but {len(convolutions)} convolutions"
    for layer, (weight, bias) in zip(layers, convolutions, strict=True):
        assert tuple(layer.weight.shape) == weight.shape, (layer, weight.shape)
        layer.weight.data, layer.bias.data = torch.from_numpy(weight.copy()), torch.from_numpy(bias.copy())  # type: ignore[union-attr]
    save_file({key: value.contiguous() for key, value in network.state_dict().items()}, target)
    print(f"{target}: {target.stat().st_size} bytes, sha256 {hashlib.sha256(target.read_bytes()).hexdigest()}")


@torch.inference_mode()
def check(source: Path) -> None:
    """Largest differences from the file's own run-time: landmarks in pixels of 256, world landmarks in millimetres."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(source))
    interpreter.allocate_tensors()
    network, generator = load_network(), np.random.default_rng(0)
    for name, coarse in (("noise", SIZE), ("smooth", 8)):
        worst = np.zeros(3)
        for _ in range(8):
            small = torch.from_numpy(generator.random((1, 3, coarse, coarse), dtype=np.float32))
            picture = torch.nn.functional.interpolate(small, size=(SIZE, SIZE), mode="bilinear")
            interpreter.set_tensor(interpreter.get_input_details()[0]["index"], picture.permute(0, 2, 3, 1).numpy())
            interpreter.invoke()
            landmarks, presence, _, _, world = (
                interpreter.get_tensor(one["index"]) for one in interpreter.get_output_details()
            )
            ours = network(picture)
            differences = [
                (one.numpy().ravel() - other.ravel()) for one, other in zip(ours, (landmarks, world, presence), strict=True)
            ]
            worst = np.maximum(worst, [np.abs(one).max() for one in differences])
        print(f"{name}: landmarks {worst[0]:.4f} px, world {1000 * worst[1]:.3f} mm, presence {worst[2]:.6f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("--target", type=Path, default=FOLDER / "pose.safetensors")
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    convert(arguments.source, arguments.target)
    if arguments.check:
        check(arguments.source)
