"""Bad input gives one clear error that names the input and the remedy, leaves nothing behind, and the next run works."""

import pytest

from tests.clips import make_clip, noise, sound_file
from tests.host.conftest import one_error
from tests.host.graph import Graph
from tools.host import HostError

pytestmark = pytest.mark.usefixtures("unharmed")
LOADERS = {"StereoSyncLoadVideo": "video", "LoadVideo": "VIDEO"}


def with_tone(graph: Graph, video, **options):
    return graph.add("StereoSyncSoundOntoVideo", video=video, audio=graph.add("TestMakeAudio", kind="tone"), **options)


def part_of_a_clip(path, part, **options):
    whole = make_clip(path, **options).read_bytes()
    path.write_bytes(whole[: int(len(whole) * part)])


#: What makes a file that is no video, and what the error has to hold. An mp4's index is usually at its end.
DAMAGES = {
    "zero_bytes": (lambda path: path.write_bytes(b""), ["empty", "again"]),
    "text": (lambda path: path.write_text("This is a shopping list and no film.\n" * 20), ["is text", "give a video"]),
    "cut_short": (lambda path: part_of_a_clip(path, 0.5), ["cut short", "again"]),
    "cut_behind_its_index": (
        lambda path: part_of_a_clip(path, 0.75, container_options={"movflags": "faststart"}),
        ["bytes are missing", "again"],
    ),
    "sound_alone": (lambda path: sound_file(path, noise(0.5)), ["no video", "give"]),
}


@pytest.mark.parametrize("loader", LOADERS)
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_file_that_is_no_video(host, graph, tmp_path, loader, damage):
    path, (make, words) = tmp_path / f"{damage}.mp4", DAMAGES[damage]
    make(path)
    clip = graph.add(loader, file=host.upload(path))
    with_tone(graph, getattr(clip, LOADERS[loader]))
    one_error(host, graph, *words)


def test_a_missing_file_is_refused_before_anything_runs(host, graph):
    clip = graph.add("StereoSyncLoadVideo", file="nowhere.mp4")
    with_tone(graph, clip.video)
    with pytest.raises(HostError, match=r"'nowhere\.mp4' is not in the input folder; upload it or choose another"):
        host.queue(graph.prompt)


def test_a_folder_in_place_of_a_file(host, graph):
    (host.base / "input" / "films").mkdir(exist_ok=True)
    clip = graph.add("StereoSyncLoadVideo", file="films")
    with_tone(graph, clip.video)
    one_error(host, graph, "films", "folder", "file")


def test_a_start_past_the_end(host, graph, small_clip):
    clip = graph.add("StereoSyncLoadVideo", file=small_clip, start=50.0)
    with_tone(graph, clip.video)
    one_error(host, graph, "start", "50", "1.000 s")


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("nan", ["audio", "NaN", "again"]),
        ("empty", ["audio", "empty", "[1, 1, 0]"]),
        ("none", ["audio", "no sound", "connect"]),
    ],
)
@pytest.mark.parametrize("node", ["StereoSyncSpatializeAudio", "StereoSyncSoundOntoVideo"])
def test_sound_that_cannot_be_used(host, graph, clip, node, kind, words):
    use_sound(graph, clip, kind, node)
    one_error(host, graph, *words)


def test_sound_of_eight_channels_cannot_be_placed(host, graph, clip):
    use_sound(graph, clip, "eight channels", "StereoSyncSpatializeAudio")
    one_error(host, graph, "audio", "8 channels", "stereo")


def use_sound(graph, clip, kind, node):
    sound = graph.add("TestMakeAudio", kind=kind)
    if node == "StereoSyncSpatializeAudio":
        tracks = graph.add("StereoSyncTracksFromMasks", masks=graph.add("TestMakeBoxes").MASK, video=clip.video)
        sound = graph.add(node, audio=sound, tracks=tracks)
    graph.add("StereoSyncSoundOntoVideo", video=clip.video, audio=sound)


@pytest.mark.parametrize("name", ["../outside", "/tmp/outside", "sub/../../outside", "..\\outside", "C:\\outside"])
def test_an_output_name_that_leaves_the_output_folder(host, graph, clip, name):
    with_tone(graph, clip.video, filename_prefix=name)
    one_error(host, graph, "leads out of the", "folder", "plain file name")


def test_an_output_folder_that_cannot_be_made(host, graph, clip, unharmed):
    blocked = host.base / "output" / "blocked"
    blocked.write_text("a file where a folder is wanted")
    try:
        with_tone(graph, clip.video, filename_prefix="blocked/clip")
        one_error(host, graph, "blocked", "output", "choose another")
    finally:
        blocked.unlink()


def test_nothing_to_track_is_an_error_where_the_user_wants_one(host, graph, clip):
    tracks = graph.add("StereoSyncSmallTracker", video=clip.video, rate=5.0, detector_size=320)
    steps = graph.add("StereoSyncFootsteps", tracks=tracks, if_nothing_tracked="error")
    graph.add("StereoSyncSoundOntoVideo", video=clip.video, audio=steps)
    one_error(host, graph, "track", "threshold")


def test_depth_and_tracks_of_another_clip(host, graph, clip, tmp_path):
    longer = graph.add("StereoSyncLoadVideo", file=host.upload(make_clip(tmp_path / "longer.mp4", count=90)))
    depth = graph.add("StereoSyncSmallDepth", video=longer.video)
    masks = graph.add("TestMakeBoxes").MASK
    tracks = graph.add("StereoSyncTracksFromMasks", masks=masks, video=clip.video)
    graph.placed_tone(clip.video, tracks, depth=depth.depth)
    one_error(host, graph, "depth", "clip", "1.00 s")


def test_masks_of_another_number_than_frames(host, graph, clip):
    masks = graph.add("TestMakeBoxes", frames=17).MASK
    graph.placed_tone(clip.video, graph.add("StereoSyncTracksFromMasks", masks=masks, video=clip.video))
    one_error(host, graph, "masks", "17", "30 frames")


#: Node, what is wrong in its widgets, and what the refusal has to hold.
WRONG = [
    ("StereoSyncSmallTracker", {"classes": "unicorn"}, "does not know unicorn"),
    ("StereoSyncSelectTracks", {"ids": "first"}, "'first' is no number"),
    ("StereoSyncRollingDepth", {"dilations": "one"}, "not whole numbers"),
    ("StereoSyncEventsFromText", {"text": "when,what\n1,step"}, "no column 'time'"),
    ("StereoSyncSoundsAtEvents", {"classes": "door"}, "impact = door"),
    ("StereoSyncSoundLibrary", {"folder": "nowhere"}, "nowhere"),
    ("StereoSyncSoundOntoVideo", {"filename_prefix": "../out"}, "leads out of the folder"),
    ("StereoSyncSoundOntoVideo", {"filename_prefix": "x", "container": "webm", "codec": "aac"}, "webm"),
    ("StereoSyncModelLoader", {"model": "absent"}, r"no config\.json"),
    ("StereoSyncStableAudioLoader", {"model": "absent.safetensors"}, "absent"),
    ("StereoSyncDepthAnythingLoader", {"model": "absent"}, "absent"),
]


@pytest.mark.parametrize(("kind", "widgets", "words"), WRONG, ids=[f"{row[0]} {[*row[1]][-1]}" for row in WRONG])
def test_what_a_widget_gets_wrong_is_told_before_anything_runs(host, graph, kind, widgets, words):
    """The graph ends in the node itself: sockets may stay open, for the widgets are looked at first."""
    graph.add("PreviewAny", source=graph.add(kind, **widgets))
    with pytest.raises(HostError, match=words):
        host.queue(graph.prompt)
