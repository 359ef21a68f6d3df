"""Install what pip by itself would not install without moving other packages. ComfyUI-Manager runs this after requirements.txt.

stable-audio-tools without its requirements: its diffusion transformer needs torch, einops and packaging alone, while its own
list pins pandas, PyWavelets, sentencepiece, protobuf and more, and would break the other packs of a shared environment.

diffusers on Python 3.10, in a version that takes the huggingface_hub that is there: the last one for that Python asks for an
older one than ComfyUI's transformers brings, and pip would go back to it.
"""

import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

#: The one whose transformer imports nothing else: later ones, which pip takes on Python 3.10, import alias_free_torch.
VERSION = "0.0.19"


def works() -> bool:
    """Whether stable-audio-tools is there, as it is installed here or with what its other versions import."""
    return find_spec("stable_audio_tools") is not None and (
        installed("stable-audio-tools") == VERSION or find_spec("alias_free_torch") is not None
    )


def installed(name: str) -> str | None:
    """The version of a package; None for a clone of its repository, and where there is none."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def missing() -> Iterator[list[str]]:
    """What pip is to install, a list of its arguments for each call."""
    if not works():
        yield ["--no-deps", f"stable-audio-tools=={VERSION}"]
    if find_spec("diffusers") is None:
        hub = installed("huggingface_hub")
        yield ["diffusers>=0.32", *([f"huggingface_hub=={hub}"] if hub else [])]


def main() -> int:
    return max((abs(subprocess.call([sys.executable, "-m", "pip", "install", *part])) for part in missing()), default=0)


if __name__ == "__main__":
    sys.exit(main())
