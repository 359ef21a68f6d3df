"""Input that is unusual but good works: one frame, nothing tracked, lazy sound, other nodes' clips, other packs' boxes."""

import av
import numpy as np
import pytest

from tests.clips import make_clip, noise
from tests.demo_check import same_video, sound_of, video_seconds
from tests.host.conftest import produced


def balance(path, part):
    """Right minus left level in dB in the first or last fifth of a clip's sound."""
    sound, _ = sound_of(path)
    fifth = sound.shape[1] // 5
    left, right = np.sqrt((sound[:, :fifth] if part == "begin" else sound[:, -fifth:]).astype(float) ** 2).mean(axis=1)
    return 20 * np.log10((right + 1e-9) / (left + 1e-9))


def test_a_clip_of_one_frame(host, graph, tmp_path):
    path = make_clip(tmp_path / "one.mp4", count=1)
    clip = graph.add("StereoSyncLoadVideo", file=host.upload(path))
    depth = graph.add("StereoSyncSmallDepth", video=clip.video)
    tracks = graph.add("StereoSyncSmallTracker", video=clip.video)
    steps = graph.add("StereoSyncFootsteps", tracks=tracks)
    placed = graph.add("StereoSyncSpatializeAudio", audio=steps, tracks=tracks, depth=depth.depth)
    saving = graph.add("StereoSyncSoundOntoVideo", video=clip.video, audio=placed)
    assert same_video(path, produced(host, graph, saving))


def test_nothing_tracked_gives_sound_in_the_middle_and_a_warning(host, graph, clip):
    tracks = graph.add("StereoSyncSmallTracker", video=clip.video, rate=4.0, detector_size=320)
    steps = graph.add("StereoSyncFootsteps", tracks=tracks)
    placed = graph.add("StereoSyncSpatializeAudio", audio=steps, tracks=tracks, room=0.0)
    options = {"container": "mkv", "codec": "flac", "filename_prefix": "middle"}
    saving = graph.add("StereoSyncSoundOntoVideo", video=clip.video, audio=placed, **options)
    log = host.log.stat().st_size
    sound, _ = sound_of(produced(host, graph, saving))
    assert np.abs(sound).max() > 0.01
    np.testing.assert_allclose(sound[0], sound[1], atol=1e-4)
    assert "no 'person' was found" in host.log.read_bytes()[log:].decode("utf-8", "replace")


@pytest.mark.parametrize("kind", ["stereo", "lazy", "eight channels"])
def test_sound_of_every_usual_kind(host, graph, clip, kind):
    sound = graph.add("TestMakeAudio", kind=kind, seconds=3.0)
    options = {"container": "mkv", "codec": "pcm24", "filename_prefix": "kinds"}
    saving = graph.add("StereoSyncSoundOntoVideo", video=clip.video, audio=sound, **options)
    assert sound_of(produced(host, graph, saving))[0].shape[1] == 48000, "cut to the clip's second, to the sample"


def native_load(graph, name):
    return graph.add("LoadVideo", file=name).VIDEO


def native_create(graph, name):
    parts = graph.add("GetVideoComponents", video=graph.add("LoadVideo", file=name).VIDEO)
    return graph.add("CreateVideo", images=parts.images, fps=parts.fps).VIDEO


def native_trim(graph, name):
    return graph.add("TestTrimLazily", video=graph.add("LoadVideo", file=name).VIDEO, seconds=0.5).VIDEO


def our_trim(graph, name):
    return graph.add("StereoSyncLoadVideo", file=name, start=0.2, duration=0.5).video


@pytest.mark.parametrize(
    ("make", "seconds"),
    [(native_load, 1.0), (native_create, 1.0), (native_trim, 0.5), (our_trim, 0.5)],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_every_node_takes_any_video(host, graph, small_clip, make, seconds):
    video = make(graph, small_clip)
    depth = graph.add("StereoSyncSmallDepth", video=video)
    masks = graph.add("TestMakeBoxes", frames=round(30 * seconds)).MASK
    tracks = graph.add("StereoSyncTracksFromMasks", masks=masks, video=video)
    graph.add("StereoSyncPreviewScene", video=video, depth=depth.depth, tracks=tracks.tracks)
    path = produced(host, graph, graph.placed_tone(video, tracks, f"any_{make.__name__}", depth=depth.depth))
    assert video_seconds(path) == pytest.approx(seconds, abs=0.002)
    assert sound_of(path)[0].shape[1] == pytest.approx(48000 * seconds, abs=48)


@pytest.mark.parametrize(
    ("kind", "size", "frames"),
    [
        ("start", (96, 64), 28),
        ("end", (96, 64), 29),
        ("cropped", (48, 64), 30),
        ("edited", (48, 64), 30),
        ("whole", (96, 64), 30),
    ],
)
def test_what_a_newer_host_edits_lazily_is_what_it_shows(host, graph, small_clip, kind, size, frames):
    video = graph.add("TestEditLazily", video=graph.add("LoadVideo", file=small_clip).VIDEO, kind=kind).VIDEO
    tone = graph.add("TestMakeAudio", kind="tone")
    saving = graph.add("StereoSyncSoundOntoVideo", video=video, audio=tone, filename_prefix=f"lazy_{kind}")
    with av.open(str(produced(host, graph, saving))) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height) == size
        assert sum(1 for packet in container.demux(stream) if packet.size) == frames


def test_tracks_and_metres_of_newer_hosts(host, graph, small_clip):
    """The object of SAM 3's tracks goes to the right, and so does its sound; the same square as a mask, and in metres."""
    video, made = graph.add("LoadVideo", file=small_clip).VIDEO, graph.add("TestMakeTracked")
    depth = graph.add("StereoSyncDepthFromImages", images=made.DA3_GEOMETRY, video=video)
    for socket, options in (("SAM3_TRACK_DATA", {}), ("MASK", {"objects": 0})):
        tracks = graph.add("StereoSyncTracksFromMasks", masks=getattr(made, socket), video=video, **options)
        path = produced(host, graph, graph.placed_tone(video, tracks, f"new_{socket}", depth=depth.depth))
        assert balance(path, "begin") < -6
        assert balance(path, "end") > balance(path, "begin") + 6


def test_a_clip_s_own_sound_can_be_written_into(host, graph, tmp_path):
    """Other packs work in place; torch warns, once, of arrays that forbid it."""
    clip = graph.add("StereoSyncLoadVideo", file=host.upload(make_clip(tmp_path / "sounding.mp4", sound=noise(1.0))))
    saving = graph.add("StereoSyncSoundOntoVideo", video=clip.video, audio=clip.audio, filename_prefix="own_sound")
    produced(host, graph, saving)
    assert "not writable" not in host.log.read_text(encoding="utf-8", errors="replace")


def test_our_cut_clip_behaves_like_any_native_video(host, graph, small_clip):
    saving = graph.add("SaveVideo", video=our_trim(graph, small_clip), filename_prefix="native")
    assert video_seconds(produced(host, graph, saving)) == pytest.approx(0.5, abs=0.002)


def test_a_native_node_reads_what_replace_video_audio_gives(host, graph, small_clip):
    tone = graph.add("TestMakeAudio", kind="tone")
    ours = graph.add("StereoSyncSoundOntoVideo", video=native_load(graph, small_clip), audio=tone, filename_prefix="chain")
    parts = graph.add("GetVideoComponents", video=ours.video)
    saving = graph.add("SaveVideo", video=graph.add("CreateVideo", images=parts.images, audio=parts.audio, fps=parts.fps))
    sound, _ = sound_of(produced(host, graph, saving))
    assert np.abs(sound).max() > 0.1


@pytest.mark.parametrize("dialect", ["BOUNDING_BOX", "BBOX", "SEGS", "MASK"])
def test_sound_follows_the_boxes_of_other_packs(host, graph, small_clip, dialect):
    """The box of the test nodes goes from left to right."""
    video = native_load(graph, small_clip)
    boxes = getattr(graph.add("TestMakeBoxes"), dialect)
    if dialect == "MASK":
        tracks = graph.add("StereoSyncTracksFromMasks", masks=boxes, video=video)
    else:
        tracks = graph.add("StereoSyncTracksFromBoxes", boxes=boxes, video=video)
    path = produced(host, graph, graph.placed_tone(video, tracks, f"boxes_{dialect}"))
    assert balance(path, "begin") < -3
    assert balance(path, "end") > 3


def test_depth_pictures_of_other_packs(host, graph, small_clip):
    video = native_load(graph, small_clip)
    made = graph.add("TestMakeBoxes")
    depth = graph.add("StereoSyncDepthFromImages", images=made.IMAGE, video=video)
    tracks = graph.add("StereoSyncTracksFromMasks", masks=made.MASK, video=video)
    path = produced(host, graph, graph.placed_tone(video, tracks, "depth_images", depth=depth.depth))
    assert sound_of(path)[0].shape[1] == 48000
