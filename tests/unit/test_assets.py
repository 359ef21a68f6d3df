"""The bundled files are there, are what their licence page says, and a broken one is named."""

import hashlib
import re

from stereosync_core import assets
from tests.errors import refused

LICENSES = (assets.FOLDER / "LICENSES.md").read_text(encoding="utf-8")
SOUNDS = (assets.FOLDER / "sounds" / "LICENSES.md").read_text(encoding="utf-8")


def listed(page, folder=""):
    return {folder + name: digest for name, digest in re.findall(r"^\| `([^`]+)` .*`([0-9a-f]{64})` \|$", page, re.MULTILINE)}


LISTED = listed(LICENSES) | listed(SOUNDS, "sounds/")


def test_every_bundled_file_is_listed_with_its_checksum():
    binary = {".safetensors", ".mp4", ".npz", ".opus", ".flac"}
    files = {path.relative_to(assets.FOLDER).as_posix() for path in assets.FOLDER.rglob("*") if path.suffix in binary}
    assert files == set(LISTED)
    for name, digest in LISTED.items():
        assert hashlib.sha256((assets.FOLDER / name).read_bytes()).hexdigest() == digest, name


def test_the_bundled_models_stay_small():
    models = [path for path in assets.FOLDER.rglob("*.safetensors") if path.parent != assets.FOLDER]
    assert models
    assert sum(path.stat().st_size for path in models) <= 60e6


def test_a_missing_and_a_truncated_file_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr(assets, "FOLDER", tmp_path)
    refused(r"nanodet\.safetensors is missing", assets.load_weights, "nanodet.safetensors")
    (tmp_path / "nanodet.safetensors").write_bytes(b"\x10\x00\x00\x00\x00\x00\x00\x00{")
    refused("cannot be read", assets.load_weights, "nanodet.safetensors")
