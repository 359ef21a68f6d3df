"""What a model's folder may claim: numbers of its config within reason, and a network no larger than its weights. Checked
before memory is taken, and before anything is repeated as often as a file tells."""

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.module import register_module_buffer_registration_hook, register_module_parameter_registration_hook

from .errors import StereoSyncError, explained
from .files import read_object

#: Largest whole number in a config; vocabularies and windows are the largest that there are.
LARGEST_NUMBER = 2**20
#: What constructors raise for values that do not fit each other.
MISFITS = (ArithmeticError, AssertionError, AttributeError, LookupError, MemoryError, RuntimeError, TypeError, ValueError)
#: Values and tensors that a network may have beyond those of its file, for what is computed and not stored.
_MORE_VALUES, _MORE_TENSORS = 2**20, 1000


def check_numbers(config: Any, name: str, largest: int = LARGEST_NUMBER, key: str = "") -> None:
    """Raise StereoSyncError for a number anywhere in a JSON ``config`` that is not finite, or whole and beyond ``largest``."""
    if isinstance(config, dict):
        for inner, value in config.items():
            check_numbers(value, name, largest, str(inner))
    elif isinstance(config, list):
        for value in config:
            check_numbers(value, name, largest, key)
    elif (isinstance(config, float) and not math.isfinite(config)) or (isinstance(config, int) and abs(config) > largest):
        raise StereoSyncError(f"{name}: '{key}' in its config is {str(config)[:20]}, which no model has; copy the model again.")


@contextmanager
def no_larger_than(shapes: Iterable[Sequence[int]], name: str) -> Iterator[None]:
    """Networks that are built meanwhile may have some times as many tensors and values as weights of these shapes; raises
    StereoSyncError at the first that is too many. On the device ``meta``, no memory is taken until then."""
    sizes = [math.prod(shape) for shape in shapes]
    tensors, values = 4 * len(sizes) + _MORE_TENSORS, 8 * sum(sizes) + _MORE_VALUES
    found = [0, 0]

    def count(_module: nn.Module, _name: str, tensor: Tensor | None) -> None:
        if tensor is None:
            return
        found[0] += 1
        found[1] += tensor.numel()
        if found[0] > tensors or found[1] > values:
            raise StereoSyncError(
                f"{name}: its config describes a larger network than its weights are of; copy the model again."
            )

    hooks = [register_module_parameter_registration_hook(count), register_module_buffer_registration_hook(count)]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def stored_shapes(folder: Path, name: str) -> list[tuple[int, ...]]:
    """Shapes of all tensors in a folder's safetensors files, by their headers. Raises StereoSyncError for a damaged one."""
    from safetensors import SafetensorError, safe_open

    shapes: list[tuple[int, ...]] = []
    for path in sorted(Path(folder).glob("*.safetensors")):
        message = f"{name}: '{path}' is damaged or no safetensors file ({{error}}); copy it again."
        with explained(message, SafetensorError, OSError), safe_open(path, framework="pt") as file:
            shapes += [tuple(file.get_slice(key).get_shape()) for key in file.keys()]  # noqa: SIM118
    return shapes


@contextmanager
def within_folder(folder: Path, name: str) -> Iterator[None]:
    """Networks that transformers builds meanwhile from this folder are checked against its config and its weights' headers."""
    check_numbers(read_object(Path(folder) / "config.json", name, "copy the model's folder again"), name)
    with no_larger_than(stored_shapes(folder, name), name):
        yield
