"""Every shipped workflow does in a real ComfyUI what it promises."""

import json
import shutil

import pytest

from tests.clips import make_clip
from tests.host.conftest import run
from tests.host.graph import Graph
from tools.check_demo import same_video, sound_of, video_seconds
from tools.environment import ROOT
from tools.make_workflows import DESIGNS, build, text_of
from tools.workflow import to_prompt

WORKFLOWS = sorted((ROOT / "workflows").glob("*.json"))
CLIP = ROOT / "stereosync_core" / "assets" / "stereosync_walking.mp4"
AAC_FRAME = 1024


#: Fewer steps than the workflows have, where the network is the narrow Stable Audio and says nothing worth waiting for.
QUICK = {
    "KSampler": {"steps": 4},
    "StereoSyncStableAudioSampler": {"steps": 4},
    "StereoSyncSpatialGuider": {"rounds": 1, "every": 2},
}


@pytest.fixture(params=WORKFLOWS, ids=lambda path: path.stem, scope="module")
def shipped(request, host, object_info):
    """A shipped workflow's prompt and what came of it."""
    prompt = to_prompt(json.loads(request.param.read_text(encoding="utf-8")), object_info)
    for node in prompt.values():
        node["inputs"] |= QUICK.get(node["class_type"], {})
    result = run(host, prompt)
    assert result.status == "success", result.error
    return prompt, result


def saved(host, shipped, kind):
    """Path of the file that the workflow's node of that kind made."""
    prompt, result = shipped
    numbers = [key for key, node in prompt.items() if node["class_type"] == kind]
    if not numbers:
        pytest.skip(f"a workflow without {kind}")
    return host.path_of(result.outputs[numbers[0]]["images"][0])


def test_there_are_workflows_and_each_has_a_thumbnail():
    assert {path.stem for path in WORKFLOWS} >= {"spatial_footsteps", "place_any_audio", "compare_depth"}
    for path in WORKFLOWS:
        assert path.with_suffix(".jpg").is_file(), path.name
        assert path.with_suffix(".jpg").stat().st_size < 120_000


@pytest.mark.parametrize("design", DESIGNS, ids=lambda design: design.name)
def test_workflow_files_are_what_their_description_makes(design, object_info):
    """Else run `python -m tools.make_workflows`."""
    written = (ROOT / "workflows" / f"{design.name}.json").read_text(encoding="utf-8")
    assert written == text_of(build(design, object_info))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_what_has_to_be_downloaded_is_named_for_the_dialog_about_missing_models(path):
    """Where a native node or the Stable Audio Loader asks for a file, with the name under which the link saves it."""
    for node in json.loads(path.read_text(encoding="utf-8"))["nodes"]:
        if node["type"] in ("CheckpointLoaderSimple", "CLIPLoader", "StereoSyncStableAudioLoader"):
            (model,) = node["properties"]["models"]
            assert set(model) == {"name", "url", "directory"}
            assert model["name"] == node["widgets_values"][0] == model["url"].split("/")[-1]


def test_a_workflow_gives_the_clip_with_its_picture_untouched(host, shipped):
    assert same_video(CLIP, saved(host, shipped, "StereoSyncSoundOntoVideo"))


def test_the_sound_is_as_long_as_the_clip(host, shipped):
    sound, rate = sound_of(saved(host, shipped, "StereoSyncSoundOntoVideo"))
    assert 0 <= sound.shape[1] - round(video_seconds(CLIP) * rate) < AAC_FRAME
    assert sound.shape[0] == 2
    assert abs(sound).max() > 0.01


def test_the_plot_can_be_viewed(host, shipped):
    plot = saved(host, shipped, "StereoSyncScenePlot")
    assert host.view(plot.name, type="temp").startswith(b"\x89PNG")


def test_a_second_run_comes_from_the_cache(host, shipped):
    prompt, first = shipped
    second = run(host, prompt)
    assert second.cached == set(prompt)
    assert second.outputs == first.outputs


def test_a_changed_file_is_read_again(host, graph: Graph, tmp_path):
    target = host.base / "input" / "changing.mp4"
    shutil.copy(make_clip(tmp_path / "before.mp4", count=30), target)
    clip = graph.add("StereoSyncLoadVideo", file=target.name)
    sound = graph.add("TestMakeAudio", kind="tone")
    result = graph.add("StereoSyncSoundOntoVideo", video=clip.video, audio=sound, filename_prefix="changing")
    run(host, graph)
    shutil.copy(make_clip(tmp_path / "after.mp4", count=45), target)
    again = run(host, graph)
    assert again.cached == {sound.number}
    assert video_seconds(host.path_of(again.outputs[result.number]["images"][0])) == pytest.approx(1.5)
