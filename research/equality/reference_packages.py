"""What stable-audio-tools' own autoencoder and sampling loop import, in a folder that the reference's process alone sees:

    python -m research.equality.reference_packages

installs requirements-reference.txt beside the environment of this Python, about 60 MB, unless it is there already.
"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
REQUIREMENTS = ROOT / "requirements-reference.txt"


def reference_folder() -> Path:
    """The folder of the packages, for PYTHONPATH."""
    return Path(sys.executable).parent.resolve().parent.parent / "reference"


def installed() -> bool:
    """Whether they are there, as requirements-reference.txt wants them."""
    note = reference_folder() / REQUIREMENTS.name
    return note.is_file() and note.read_bytes() == REQUIREMENTS.read_bytes()


def install() -> None:
    """:raises subprocess.CalledProcessError: where pip cannot provide them."""
    folder = reference_folder()
    command = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-deps", "--upgrade"]
    subprocess.run([*command, "--target", str(folder), "-r", str(REQUIREMENTS)], check=True)
    (folder / REQUIREMENTS.name).write_bytes(REQUIREMENTS.read_bytes())


def main() -> int:
    if installed():
        return 0
    print("installing what stable-audio-tools' own code needs, in a folder that only the comparison with it sees", flush=True)
    try:
        install()
    except subprocess.CalledProcessError:
        print("that is not offered here; the comparison will be skipped", flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
