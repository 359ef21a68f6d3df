"""MASA in a real ComfyUI, with synthetic weights in the released form: from the loader to sound that follows an object."""

import collections

import pytest
import torch

from stereosync_core.tracking.masa.model import Masa
from tests.clips import make_clip
from tests.host.conftest import files_in, produced, run
from tests.host.events import queue_and_stop_in
from tests.host.test_unusual_input import balance
from tools.host import HostError

QUICK = {"embedding_size": 256, "rate": 4.0}


@pytest.fixture(scope="module")
def weights(host):
    """Name of a checkpoint in the model folder, as a user puts it there."""
    torch.manual_seed(0)
    folder = host.base / "models" / "masa"
    folder.mkdir(parents=True, exist_ok=True)
    state = collections.OrderedDict()
    for name, value in Masa().state_dict().items():
        state[f"module.{name}"] = value.normal_(0, value[0].numel() ** -0.5) if value.dim() > 1 else value
    torch.save({"meta": {}, "state_dict": state, "optimizer": {"state": {}}}, folder / "masa_r50.pth")
    return "masa_r50.pth"


@pytest.fixture
def masa(graph, weights):
    return graph.add("StereoSyncMasaLoader", model=weights)


@pytest.fixture
def track(graph, masa, clip):
    """Adds a tracker of the clip, with these inputs."""
    return lambda **given: graph.add("StereoSyncMasaTracker", **({"video": clip.video, "model": masa} | QUICK | given))


def plotted(host, graph, tracks):
    """The run of the tracker, with an output node behind it."""
    graph.add("StereoSyncScenePlot", tracks=tracks)
    return run(host, graph)


@pytest.mark.parametrize("dialect", ["BOUNDING_BOX", "BBOX", "SEGS", "masks"])
def test_sound_follows_what_masa_tracks(host, graph, track, clip, dialect):
    """The object of the test nodes goes from left to right."""
    made = graph.add("TestMakeBoxes")
    given = {"masks": made.MASK} if dialect == "masks" else {"boxes": getattr(made, dialect)}
    chosen = graph.add("StereoSyncSelectTracks", tracks=track(**given, gate=0.0), ids="1")
    path = produced(host, graph, graph.placed_tone(clip.video, chosen, f"masa_{dialect}"))
    assert balance(path, "begin") < -3
    assert balance(path, "end") > 3
    assert (host.base / "models" / "masa" / "masa_r50.safetensors").is_file(), "converted once"


def test_trackers_are_exchanged_by_replacing_one_node(host, graph, track, clip):
    boxes = graph.add("TestMakeBoxes").BBOX
    trackers = [
        track(boxes=boxes),
        graph.add("StereoSyncTracksFromBoxes", video=clip.video, boxes=boxes),
        graph.add("StereoSyncSmallTracker", video=clip.video, rate=4.0, detector_size=320),
    ]
    for number, tracks in enumerate(trackers):
        saving = graph.placed_tone(clip.video, tracks.tracks, f"exchanged_{number}")
        graph.add("StereoSyncPreviewScene", video=clip.video, tracks=tracks.tracks)
    assert produced(host, graph, saving).is_file()


def test_no_detections_give_no_tracks_and_a_word(host, graph, track, clip):
    tracks = track(detector_size=320)
    log = host.log.stat().st_size
    assert produced(host, graph, graph.placed_tone(clip.video, tracks.tracks, "masa_none")).is_file()
    assert "no 'person' was found" in host.log.read_bytes()[log:].decode("utf-8", "replace")


def test_two_hundred_detections(host, graph, track):
    crowd = graph.add("TestMakeCrowd", count=200)
    assert plotted(host, graph, track(boxes=crowd, max_tracks=0)).status == "success"


def test_a_frame_of_another_size_in_the_middle(host, graph, track, tmp_path):
    first = make_clip(tmp_path / "first.ts", count=15)
    second = make_clip(tmp_path / "second.ts", count=15, start=0.5, size=(160, 96))
    both = tmp_path / "both.ts"
    both.write_bytes(first.read_bytes() + second.read_bytes())
    clip = graph.add("StereoSyncLoadVideo", file=host.upload(both))
    assert plotted(host, graph, track(video=clip.video, boxes=one_box(graph))).status == "success"


def one_box(graph):
    return graph.add("TestMakeBoxes", frames=1).BOUNDING_BOX


def test_a_stop_takes_effect_between_two_frames(host, graph, track):
    before = files_in(host.base / "output")
    clip = graph.add("StereoSyncLoadVideo", file="stereosync_walking.mp4")
    tracks = track(video=clip.video, boxes=one_box(graph), rate=60.0, embedding_size=512)
    graph.placed_tone(clip.video, tracks.tracks, "masa_stopped")
    queue_and_stop_in(host, graph.prompt, tracks.number)
    assert files_in(host.base / "output") == before


def test_errors_name_the_input_and_the_remedy(host, graph, track):
    made = graph.add("TestMakeBoxes")
    result = plotted(host, graph, track(boxes=made.BBOX, masks=made.MASK))
    assert "connect one of detector, boxes and masks" in str(result.error)


@pytest.mark.parametrize(
    ("kind", "model", "words"),
    [
        ("StereoSyncMasaLoader", "absent.pth", "there is no file absent.pth; put masa_r50.pth"),
        ("StereoSyncDetectorLoader", "absent", "absent is no model folder of transformers"),
    ],
)
def test_models_that_are_not_there(host, graph, track, kind, model, words):
    socket = "model" if kind == "StereoSyncMasaLoader" else "detector"
    with pytest.raises(HostError, match=words):
        plotted(host, graph, track(**{socket: graph.add(kind, model=model)}))
