"""Stop in the middle of a stage, two prompts at once, and a host that is killed in the middle of its work."""

import signal
from contextlib import closing
from pathlib import Path

import av
import numpy as np
import pytest

from tests.clips import make_clip
from tests.host.conftest import files_in, finished
from tests.host.events import events, queue_and_stop_in
from tests.host.graph import Graph
from tools.host import Host

#: Seconds of sound that take long enough to be stopped in.
LONG = 600.0


@pytest.fixture(scope="module")
def long_clip(host, tmp_path_factory):
    """Ten minutes of two pictures a second."""
    return host.upload(slow_clip(tmp_path_factory.mktemp("long") / "long.mp4"))


def slow_clip(path: Path) -> Path:
    grey = np.full((64, 96, 3), 128, np.uint8)
    return make_clip(path, rate=2, count=round(2 * LONG), paint=lambda *_: grey)


def long_sound(graph: Graph, video, prefix: str):
    """Nodes that render and mux ten minutes."""
    tone = graph.add("TestMakeAudio", kind="tone", seconds=LONG)
    boxes = graph.add("TestMakeBoxes", frames=round(2 * LONG))
    tracks = graph.add("StereoSyncTracksFromBoxes", video=video, boxes=boxes)
    placed = graph.add("StereoSyncSpatializeAudio", audio=tone, tracks=tracks)
    return placed, graph.add("StereoSyncSoundOntoVideo", video=video, audio=placed, filename_prefix=prefix)


def walked(graph: Graph, stage: str):
    """From the sample clip to its sound, with much to do in one stage; the nodes of the stages by name."""
    clip = graph.add("StereoSyncLoadVideo", file="stereosync_walking.mp4").video
    tracks = graph.add("StereoSyncSmallTracker", video=clip, rate=30.0 if stage == "detection" else 5.0)
    depth = graph.add("StereoSyncSmallDepth", video=clip, rate=30.0 if stage == "depth" else 2.0)
    scene = graph.add("StereoSyncSpatialConditioning", tracks=tracks, depth=depth)
    model = graph.add("StereoSyncModelLoader")
    events = graph.add("StereoSyncDetectEvents", video=clip, tracks=tracks)
    envelope = graph.add("StereoSyncEnvelopeFromEvents", events=events, tracks=tracks)
    sampled = graph.add("StereoSyncDitSampler", model=model, space=scene, envelope=envelope, steps=100)
    graph.add("StereoSyncSoundOntoVideo", video=clip, audio=sampled, filename_prefix="stopped")
    return {"detection": tracks, "depth": depth, "events": events, "sampling": sampled}


@pytest.mark.parametrize("stage", ["decode", "detection", "depth", "events", "sampling", "render", "mux"])
def test_stop_in_the_middle_of_a_stage_leaves_no_file_and_the_next_prompt_runs(host, object_info, long_clip, small_clip, stage):
    before = files_in(host.base / "output")
    graph = Graph(object_info)
    if stage in ("render", "mux"):
        clip = graph.add("StereoSyncLoadVideo", file=long_clip)
        stages = dict(zip(("render", "mux"), long_sound(graph, clip.video, "stopped"), strict=True))
    elif stage == "decode":
        clip = graph.add("StereoSyncLoadVideo", file=long_clip, start=0.25, duration=LONG - 1)
        stages = {"decode": clip}
        graph.add("StereoSyncSoundOntoVideo", video=clip.video, audio=graph.add("TestMakeAudio", kind="tone"))
    else:
        stages = walked(graph, stage)
    # where a cut begins is found in a moment, the other stages take seconds
    queue_and_stop_in(host, graph.prompt, stages[stage].number, after=0.05 if stage == "decode" else 0.5)
    assert files_in(host.base / "output") == before
    assert not [path for path in files_in(host.base / "temp") if ".part" in path.name]

    graph = Graph(object_info)
    clip = graph.add("StereoSyncLoadVideo", file=small_clip)
    graph.placed_tone(clip.video, graph.add("StereoSyncSmallTracker", video=clip.video), f"after_{stage}")
    finished(host, graph)


def test_two_prompts_at_once_both_end_well_with_files_of_their_own(host, object_info, small_clip):
    waiting, nodes = [], []
    for level in ("one", "two"):
        graph = Graph(object_info)
        clip = graph.add("StereoSyncLoadVideo", file=small_clip)
        tone = graph.add("TestMakeAudio", kind="stereo", seconds=1.0 if level == "one" else 0.5)
        save = graph.add("StereoSyncSoundOntoVideo", video=clip.video, audio=tone, filename_prefix="together")
        nodes.append(save.number)
        waiting.append(host.queue(graph.prompt))
    results = [host.wait(prompt) for prompt in waiting]
    assert [result.status for result in results] == ["success", "success"]
    paths = [host.path_of(result.outputs[node]["images"][0]) for result, node in zip(results, nodes, strict=True)]
    assert len(set(paths)) == 2
    for path, seconds in zip(paths, (1.0, 0.5), strict=True):
        with av.open(str(path)) as container:
            samples = np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])
        assert np.flatnonzero(np.abs(samples) > 0.1)[-1] / 48000 == pytest.approx(seconds, abs=0.03)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="processes are killed otherwise here")
@pytest.mark.parametrize("stage", ["render", "mux"])
def test_a_host_that_is_killed_leaves_nothing_half_written_and_starts_again(environment, tmp_path, stage):
    packs = [Path(__file__).parent / "node_pack"]
    arguments = ["--disable-api-nodes"]
    with Host(environment, tmp_path / "base", packs=packs, arguments=arguments) as host:
        name = host.upload(slow_clip(tmp_path / "long.mp4"))
        graph = Graph(host.object_info())
        clip = graph.add("StereoSyncLoadVideo", file=name)
        nodes = dict(zip(("render", "mux"), long_sound(graph, clip.video, "killed"), strict=True))
        with closing(events(host)) as stream:
            next(stream)
            host.queue(graph.prompt)
            node = nodes[stage].number
            for kind, data in stream:
                if kind == "progress_state" and data["nodes"].get(node, {}).get("value", 0) > 0:
                    break
            host.kill()
    shown = [path for path in files_in(host.base / "output") if not path.name.startswith(".")]
    assert not shown
    with Host(environment, tmp_path / "base", packs=packs, arguments=arguments) as again:
        graph = Graph(again.object_info())
        tone = graph.add("TestMakeAudio", kind="tone")
        small = again.upload(make_clip(tmp_path / "small.mp4"))
        clip = graph.add("StereoSyncLoadVideo", file=small)
        graph.add("StereoSyncSoundOntoVideo", video=clip.video, audio=tone, filename_prefix="killed")
        finished(again, graph)
        assert [path.name for path in files_in(again.base / "output")] == ["killed_00001_.mp4"]
