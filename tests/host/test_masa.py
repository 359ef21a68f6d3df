"""MASA in a real ComfyUI, with synthetic weights in the released form: from the loader to sound that follows an object."""

import collections

import pytest
import torch

from stereosync_core.tracking.masa.model import Masa
from tests.clips import make_clip
from tests.host.conftest import files_in, run
from tests.host.events import queue_and_stop_in
from tests.host.graph import Graph
from tests.host.test_unusual_input import balance, produced

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


def plot_of(graph, tracks):
    """An output node, so that the tracker runs."""
    return graph.add("StereoSyncScenePlot", tracks=tracks)


@pytest.mark.parametrize("dialect", ["BOUNDING_BOX", "BBOX", "SEGS", "masks"])
def test_sound_follows_what_masa_tracks(host, graph, masa, small_clip, dialect):
    """The object of the test nodes goes from left to right."""
    clip = graph.add("StereoSyncLoadVideo", file=small_clip)
    made = graph.add("TestMakeBoxes")
    given = {"masks": made.MASK} if dialect == "masks" else {"boxes": getattr(made, dialect)}
    tracks = graph.add("StereoSyncMasaTracker", video=clip.video, model=masa, **given, **QUICK, gate=0.0)
    chosen = graph.add("StereoSyncSelectTracks", tracks=tracks, ids="1")
    path = produced(host, graph, graph.placed_tone(clip.video, chosen, f"masa_{dialect}"))
    assert balance(path, "begin") < -3
    assert balance(path, "end") > 3
    assert (host.base / "models" / "masa" / "masa_r50.safetensors").is_file(), "converted once"


def test_trackers_are_exchanged_by_replacing_one_node(host, graph, masa, small_clip):
    clip = graph.add("StereoSyncLoadVideo", file=small_clip)
    boxes = graph.add("TestMakeBoxes").BBOX
    options = {"rate": 4.0, "detector_size": 320}
    trackers = [
        graph.add("StereoSyncMasaTracker", video=clip.video, model=masa, boxes=boxes, **QUICK),
        graph.add("StereoSyncTracksFromBoxes", video=clip.video, boxes=boxes),
        graph.add("StereoSyncSmallTracker", video=clip.video, **options),
    ]
    for number, tracks in enumerate(trackers):
        saving = graph.placed_tone(clip.video, tracks.tracks, f"exchanged_{number}")
        graph.add("StereoSyncPreviewScene", video=clip.video, tracks=tracks.tracks)
    assert produced(host, graph, saving).is_file()


def test_no_detections_give_no_tracks_and_a_word(host, graph, masa, small_clip):
    clip = graph.add("StereoSyncLoadVideo", file=small_clip)
    tracks = graph.add("StereoSyncMasaTracker", video=clip.video, model=masa, detector_size=320, **QUICK)
    log = host.log.stat().st_size
    assert run_tone(host, graph, clip, tracks, "masa_none").is_file()
    assert "no 'person' was found" in host.log.read_bytes()[log:].decode("utf-8", "replace")


def run_tone(host, graph, clip, tracks, prefix):
    return produced(host, graph, graph.placed_tone(clip.video, tracks.tracks, prefix))


def test_two_hundred_detections(host, graph, masa, small_clip):
    clip = graph.add("StereoSyncLoadVideo", file=small_clip)
    crowd = graph.add("TestMakeCrowd", count=200)
    tracks = graph.add("StereoSyncMasaTracker", video=clip.video, model=masa, boxes=crowd, max_tracks=0, **QUICK)
    plot_of(graph, tracks)
    assert run(host, graph).status == "success"


def test_a_frame_of_another_size_in_the_middle(host, graph, masa, tmp_path):
    first = make_clip(tmp_path / "first.ts", count=15)
    second = make_clip(tmp_path / "second.ts", count=15, start=0.5, size=(160, 96))
    both = tmp_path / "both.ts"
    both.write_bytes(first.read_bytes() + second.read_bytes())
    clip = graph.add("StereoSyncLoadVideo", file=host.upload(both))
    tracks = graph.add("StereoSyncMasaTracker", video=clip.video, model=masa, boxes=one_box(graph), **QUICK)
    plot_of(graph, tracks)
    result = run(host, graph)
    assert result.status == "success", result.error


def one_box(graph):
    """One frame's box, which holds for the whole clip."""
    return graph.add("TestMakeBoxes", frames=1).BOUNDING_BOX


def test_a_stop_takes_effect_between_two_frames(host, object_info, weights):
    before = files_in(host.base / "output")
    graph = Graph(object_info)
    clip = graph.add("StereoSyncLoadVideo", file="stereosync_walking.mp4")
    model = graph.add("StereoSyncMasaLoader", model=weights)
    options = {"rate": 60.0, "embedding_size": 512}
    tracks = graph.add("StereoSyncMasaTracker", video=clip.video, model=model, boxes=one_box(graph), **options)
    graph.placed_tone(clip.video, tracks.tracks, "masa_stopped")
    stopped = queue_and_stop_in(host, graph.prompt, tracks.number)
    assert stopped.interrupted
    assert files_in(host.base / "output") == before


def test_errors_name_the_input_and_the_remedy(host, graph, masa, small_clip):
    clip = graph.add("StereoSyncLoadVideo", file=small_clip)
    made = graph.add("TestMakeBoxes")
    both = graph.add("StereoSyncMasaTracker", video=clip.video, model=masa, boxes=made.BBOX, masks=made.MASK, **QUICK)
    plot_of(graph, both)
    assert "connect one of detector, boxes and masks" in str(run(host, graph).error)


@pytest.mark.parametrize(
    ("kind", "model", "words"),
    [
        ("StereoSyncMasaLoader", "absent.pth", "there is no file absent.pth; put masa_r50.pth"),
        ("StereoSyncDetectorLoader", "absent", "absent is no model folder of transformers"),
    ],
)
def test_models_that_are_not_there(host, graph, masa, small_clip, kind, model, words):
    clip = graph.add("StereoSyncLoadVideo", file=small_clip)
    loader = graph.add(kind, model=model)
    given = {"model": loader} if kind == "StereoSyncMasaLoader" else {"model": masa, "detector": loader}
    plot_of(graph, graph.add("StereoSyncMasaTracker", video=clip.video, **given))
    assert words in str(run(host, graph).error)
