"""Install stable-audio-tools without its pins.

Its diffusion transformer needs torch, einops and packaging alone; its own requirement list pins pandas, PyWavelets,
sentencepiece, protobuf and more, and would break the other packs of a shared environment. ComfyUI-Manager runs this file
after requirements.txt.
"""

import importlib.util
import subprocess
import sys

PACKAGE = "stable-audio-tools>=0.0.19"


def main() -> int:
    if importlib.util.find_spec("stable_audio_tools") is not None:
        return 0
    return subprocess.call([sys.executable, "-m", "pip", "install", "--no-deps", PACKAGE])


if __name__ == "__main__":
    sys.exit(main())
