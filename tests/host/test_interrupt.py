"""Stop stops a run in the middle of a node, and the next run works."""

from tests.host.conftest import files_in, finished
from tests.host.events import queue_and_stop_in
from tests.host.graph import Graph


def test_a_long_run_is_stopped_and_the_next_one_works(host, object_info):
    before = files_in(host.base / "output")
    graph = Graph(object_info)
    clip = graph.add("StereoSyncLoadVideo", file="stereosync_walking.mp4")
    tracks = graph.add("StereoSyncSmallTracker", video=clip.video, rate=60.0, detector_size=1280)
    graph.placed_tone(clip.video, tracks, "stopped")
    queue_and_stop_in(host, graph.prompt, tracks.number)
    assert files_in(host.base / "output") == before

    graph.prompt[tracks.number]["inputs"] |= {"rate": 5.0, "detector_size": 320}
    finished(host, graph)
