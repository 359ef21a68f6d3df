"""Install stable-audio-tools without its pins.

Its diffusion transformer needs torch, einops and packaging alone; its own requirement list pins pandas, PyWavelets,
sentencepiece, protobuf and more, and would break the other packs of a shared environment. ComfyUI-Manager runs this file
after requirements.txt.
"""

import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

#: The one whose transformer imports nothing else: later ones, which pip takes on Python 3.10, import alias_free_torch.
VERSION = "0.0.19"


def works() -> bool:
    """Whether the package is there, as it is installed here or with what its other versions import."""
    try:
        own = version("stable-audio-tools") == VERSION
    except PackageNotFoundError:  # a clone of its repository, or nothing
        own = False
    return find_spec("stable_audio_tools") is not None and (own or find_spec("alias_free_torch") is not None)


def main() -> int:
    if works():
        return 0
    return subprocess.call([sys.executable, "-m", "pip", "install", "--no-deps", f"stable-audio-tools=={VERSION}"])


if __name__ == "__main__":
    sys.exit(main())
