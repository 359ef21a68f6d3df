"""One real ComfyUI for all host tests, with this pack and the tests' own nodes in it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.clips import make_clip
from tests.host.graph import Added, Graph
from tests.hosts import prepared_environment
from tests.stable_audio_release import NARROW, provide_stable_audio
from tools.environment import Environment
from tools.host import Host, HostError, Result


@pytest.fixture(scope="session")
def environment() -> Environment:
    return prepared_environment()


@pytest.fixture(scope="session")
def host(environment: Environment) -> Iterator[Host]:
    packs = [Path(__file__).parent / "node_pack", NARROW]
    with Host(environment, packs=packs, arguments=["--disable-api-nodes"]) as running:
        provide_stable_audio(running.base / "models")
        yield running


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


@pytest.fixture
def clip(graph: Graph, small_clip: str) -> Added:
    return graph.add("StereoSyncLoadVideo", file=small_clip)


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
    finished(host, graph)


def run(host: Host, graph: Graph | dict[str, Any]) -> Result:
    return host.wait(host.queue(graph.prompt if isinstance(graph, Graph) else graph))


def finished(host: Host, graph: Graph | dict[str, Any]) -> Result:
    result = run(host, graph)
    assert result.status == "success", result.error
    return result


def produced(host: Host, graph: Graph, node: Added, kind: str = "images") -> Path:
    return host.path_of(finished(host, graph).outputs[node.number][kind][0])


def failed(host: Host, graph: Graph | dict[str, Any]) -> str:
    """The error that the user sees."""
    result = run(host, graph)
    assert result.status == "error"
    return result.error or ""


def one_error(host: Host, graph: Graph, *words: str) -> None:
    """Runs the graph, which has to end in one error of ours that contains the words, or is refused with them at once."""
    try:
        result = run(host, graph)
    except HostError as refused:
        error = str(refused)
    else:
        errors = [data for kind, data in result.messages if kind == "execution_error"]
        assert len(errors) == 1, result
        assert errors[0]["exception_type"].endswith("StereoSyncError"), errors[0]["exception_message"]
        error = str(result.error)
    assert not [word for word in words if word.lower() not in error.lower()], error
