"""One real ComfyUI for all host tests, with this pack and the tests' own nodes in it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.clips import make_clip
from tests.host.graph import Graph
from tests.hosts import prepared_environment
from tests.stable_audio_release import write_adapter, write_host_release, write_text_encoder
from tools.environment import Environment
from tools.host import Host, Result

RELEASE, CHECKPOINT, TEXT_ENCODER = "stable-audio-open-1.0", "stable_audio_open_1.0.safetensors", "t5_base.safetensors"


@pytest.fixture(scope="session")
def environment() -> Environment:
    return prepared_environment()


@pytest.fixture(scope="session")
def host(environment: Environment) -> Iterator[Host]:
    packs = [Path(__file__).parent / name for name in ("test_nodes", "narrow_stable_audio")]
    with Host(environment, packs=packs, arguments=["--disable-api-nodes"]) as running:
        provide_stable_audio(running.base / "models")
        yield running


def provide_stable_audio(models: Path) -> None:
    """Stable Audio Open as users keep it, of the test host's sizes: one file for native nodes, the release's folder, and
    two adapters over it, ``aligned`` and ``paper``."""
    release = write_host_release(models / "stereosync" / RELEASE)
    for form in ("aligned", "paper"):
        write_adapter(models / "stereosync" / form, release, form)
    (models / "checkpoints").mkdir(parents=True, exist_ok=True)
    shutil.copyfile(release / "model.safetensors", models / "checkpoints" / CHECKPOINT)
    write_text_encoder(models / "text_encoders" / TEXT_ENCODER)


@pytest.fixture(scope="session")
def object_info(host: Host) -> dict[str, Any]:
    return host.object_info()


@pytest.fixture
def graph(object_info: dict[str, Any]) -> Graph:
    return Graph(object_info)


@pytest.fixture(scope="session")
def small_clip(host: Host, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Name, in the input folder, of a silent clip of one second and 30 frames, with nothing in it that is a thing."""
    return host.upload(make_clip(tmp_path_factory.mktemp("clips") / "small.mp4"))


def files_in(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def unharmed(host: Host, object_info: dict[str, Any], small_clip: str, request: pytest.FixtureRequest) -> Iterator[None]:
    """What a bad input must not do: leave a file in the output folder, or keep the next run from working."""
    before = files_in(host.base / "output")
    yield
    assert files_in(host.base / "output") == before
    graph = Graph(object_info)
    sound = graph.add("TestMakeAudio", kind="tone")
    clip = graph.add("StereoSyncLoadVideo", file=small_clip)
    prefix = f"after_{abs(hash(request.node.name))}"
    graph.add("StereoSyncSoundOntoVideo", video=clip.video, audio=sound, filename_prefix=prefix)
    result = run(host, graph)
    assert result.status == "success", result.error


def run(host: Host, graph: Graph | dict[str, Any]) -> Result:
    return host.wait(host.queue(graph.prompt if isinstance(graph, Graph) else graph))
