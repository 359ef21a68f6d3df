"""Stop stops a run in the middle of a node, and the next run works."""

from tests.host.conftest import files_in, run
from tests.host.graph import Graph
from tools.host import Host


def queue_and_stop_in(host: Host, prompt: dict, node: str):
    """Queues a prompt and presses stop when the node has said that it has come some way."""
    with host.events(timeout=60) as events:
        prompt_id = host.queue(prompt)
        for kind, data in events:
            if kind == "progress_state" and 0 < data["nodes"].get(node, {}).get("value", 0) < data["nodes"][node]["max"]:
                break
    host.interrupt()
    return host.wait(prompt_id)


def test_a_long_run_is_stopped_and_the_next_one_works(host, object_info):
    before = files_in(host.base / "output")
    graph = Graph(object_info)
    clip = graph.add("StereoSyncLoadVideo", file="stereosync_walking.mp4")
    tracks = graph.add("StereoSyncSmallTracker", video=clip.video, rate=60.0, detector_size=1280)
    graph.placed_tone(clip.video, tracks, "stopped")
    stopped = queue_and_stop_in(host, graph.prompt, tracks.number)
    assert stopped.interrupted
    assert stopped.error is None
    assert files_in(host.base / "output") == before

    graph.prompt[tracks.number]["inputs"] |= {"rate": 5.0, "detector_size": 320}
    assert run(host, graph).status == "success"
