"""The shipped workflows in a real browser: found, loaded, run, seen. Screenshots stay in ``build/screenshots``."""

import json
from itertools import combinations

import pytest
from PIL import Image

from stereosync_core.assets import WALKING_CLIP, asset_path
from stereosync_core.media.video import frames
from stereosync_core.preview.event_strip import CAPTION, COLUMNS, SIDE
from tests.browser.canvas import MODERN
from tests.clips import make_clip
from tests.hosts import QUICK
from tools.environment import ROOT
from tools.workflow import to_prompt

WORKFLOWS = sorted(path.stem for path in (ROOT / "workflows").glob("*.json"))
#: Needs a host that knows its model.
STABLE_AUDIO_3 = "Refine with Stable Audio 3"
SCREENSHOTS = ROOT / "build" / "screenshots"
CLIP_SECONDS = 7.667
#: Sets a widget as a user does, and gives the names of those that can be set beside it.
CHOOSE = """([title, name, value]) => {
    const node = window.app.graph._nodes.find(node => node.title === title);
    const widget = node.widgets.find(widget => widget.name === name);
    widget.value = value;
    widget.callback?.(value);
    return node.widgets.map(widget => widget.label ?? widget.name).filter(label => !/control/.test(label));
}"""

#: Sets widgets by kinds of nodes, in subgraphs too.
SET = """values => {
    const graphs = [window.app.graph, ...(window.app.graph.subgraphs?.values() ?? [])];
    for (const node of graphs.flatMap(graph => graph._nodes))
        for (const [name, value] of Object.entries(values[node.type] ?? {}))
            node.widgets.find(widget => widget.name === name).value = value;
}"""
#: Its picture is in the documentation.
SHOWN = "Footsteps in two minutes"


@pytest.fixture(params=WORKFLOWS, scope="module")
def loaded(request, canvas):
    """The name of a workflow that has just been loaded by a click in the template browser."""
    canvas.complaints.clear()
    canvas.load_template(request.param)
    return request.param


@pytest.fixture(scope="module")
def quick_clip(host):
    """The bundled clip with every second frame, in which as much is seen in half the time."""
    pictures = [picture for _, picture in frames(asset_path(WALKING_CLIP))][::2]
    height, width, _ = pictures[0].shape
    path = host.base / "input" / "every_second_frame.mp4"
    paint = {"paint": lambda number, *_: pictures[number], "size": (width, height)}
    return make_clip(path, count=len(pictures), rate=15, **paint).name


def test_the_template_browser_lists_our_workflows_with_thumbnails(canvas):
    dialog = canvas.open_templates()
    canvas.screenshot(SCREENSHOTS / "templates.png")
    for name in WORKFLOWS:
        with Image.open(ROOT / "workflows" / f"{name}.jpg") as thumbnail:
            shown = canvas.card(dialog, name).evaluate("image => [image.naturalWidth, image.naturalHeight]")
            assert shown == list(thumbnail.size), "else the browser shows a picture of its own"


def test_a_workflow_loads_without_missing_nodes_and_complaints(canvas, loaded):
    assert len(canvas.boxes()) >= 5
    assert not canvas.missing_nodes()
    assert not canvas.page.get_by_role("dialog").count(), "no dialog about missing nodes or models"
    assert not canvas.complaints


def overlapping(boxes):
    """Pairs of titles whose boxes ``[x, y, w, h]`` share more than a rounding."""
    for (one, (x, y, w, h)), (other, (u, v, s, t)) in combinations(boxes, 2):
        if min(x + w, u + s) - max(x, u) > 1 and min(y + h, v + t) - max(y, v) > 1:
            yield one, other


def outside(boxes, area):
    """Titles of boxes that a view ``[x, y, w, h]`` does not show whole."""
    (left, top, width, height), places = area, [(box["title"], *box["box"]) for box in boxes]
    return [name for name, x, y, w, h in places if x < left or y < top or x + w > left + width or y + h > top + height]


def test_nodes_are_large_enough_on_the_screen_and_no_wire_goes_through_a_title(canvas, loaded):
    boxes = canvas.boxes()
    if not canvas.modern:  # there, boxes are those of the page
        assert outside(boxes, canvas.page.evaluate("() => [...window.app.canvas.visible_area]")) == [], "at 1280x720"
    assert canvas.wired_titles() == []
    assert not [box["title"] for box in boxes if box["size"][1] < box["needed"][1] - 1]


def test_our_conversion_makes_the_canvas_own_prompt(canvas, host, loaded):
    workflow = json.loads((ROOT / "workflows" / f"{loaded}.json").read_text(encoding="utf-8"))
    theirs = canvas.prompt()
    for node in theirs.values():
        node["inputs"].pop("video-preview", None)  # the player that the canvas puts into nodes with a video upload
    assert to_prompt(workflow, host.object_info()) == theirs


def test_run_shows_the_previews_and_nothing_overlaps(canvas, loaded, quick_clip):
    runs = loaded != STABLE_AUDIO_3
    if runs:
        # from a moment of its own within the first frame, for what comes from the host's cache shows nothing
        clip = {"start": 0.002 * (1 + WORKFLOWS.index(loaded))} | ({} if loaded == SHOWN else {"file": quick_clip})
        run_and_see(canvas, {"StereoSyncLoadVideo": clip, **QUICK})
    try:
        for modern in (MODERN, not MODERN):
            canvas.render(modern)
            canvas.screenshot(SCREENSHOTS / f"{loaded}_{'nodes_2' if modern else 'classic'}.png")
            assert list(overlapping((box["title"], box["box"]) for box in canvas.boxes())) == [], "with the previews in them"
    finally:
        canvas.render(MODERN)
    assert not canvas.complaints
    if not runs:
        pytest.skip("its weights are not here; tests/host/test_stable_audio_3.py runs it on narrow ones")


def run_and_see(canvas, values):
    canvas.page.evaluate(SET, values)
    entry = canvas.run()
    assert entry["status"]["status_str"] == "success", entry["status"]["messages"]
    kinds = {node["class_type"] for node in canvas.prompt().values()}
    if "StereoSyncSoundOntoVideo" in kinds:
        video = canvas.video("StereoSyncSoundOntoVideo", at=4.0)
        assert video["duration"] == pytest.approx(CLIP_SECONDS, abs=0.1)
        assert video["light"] > 20
    if "StereoSyncScenePlot" in kinds:
        assert min(canvas.image("StereoSyncScenePlot")) > 200
    if "StereoSyncPreviewEvents" in kinds:
        assert min(canvas.image("StereoSyncPreviewEvents")) > 150
    if "StereoSyncPreviewScene" in kinds:
        assert canvas.video("StereoSyncPreviewScene", at=4.0)["light"] > 20
    assert kinds & {"StereoSyncSoundOntoVideo", "StereoSyncPreviewScene"}, "every workflow shows what it made"
    canvas.video("StereoSyncLoadVideo", at=4.0)
    canvas.page.wait_for_timeout(500)
    canvas.page.get_by_text("job completed").first.wait_for(state="hidden")  # lies over the nodes


def test_one_surface_of_the_subgraph_is_that_of_the_sound_and_of_its_decay(canvas):
    canvas.load_template("StereoSync bundled model")
    canvas.complaints.clear()
    surfaces = lambda: [node["inputs"]["surface"] for node in canvas.prompt().values() if "surface" in node["inputs"]]  # noqa: E731
    assert surfaces() == ["grass", "grass"]
    assert canvas.page.evaluate(CHOOSE, ["Generate Spatial Sound", "surface", "gravel"]) == ["surface", "seed", "steps"]
    assert surfaces() == ["gravel", "gravel"]
    canvas.page.evaluate("() => window.app.loadGraphData(JSON.parse(JSON.stringify(window.app.graph.serialize())))")
    canvas.settle()
    assert surfaces() == ["gravel", "gravel"], "as a workflow that was saved and opened again"
    assert not canvas.complaints


@pytest.mark.parametrize("modern", [False, True], ids=["classic", "Nodes 2.0"])
def test_the_events_are_seen_in_both_renderings(canvas, modern):
    canvas.load_template(SHOWN)
    canvas.complaints.clear()
    canvas.render(modern)
    try:
        assert canvas.run()["status"]["status_str"] == "success"
        canvas.page.wait_for_timeout(1000)
        canvas.screenshot(SCREENSHOTS / f"events_{'modern' if modern else 'classic'}.png")
        strip, plot = canvas.image("StereoSyncPreviewEvents"), canvas.image("StereoSyncScenePlot")
    finally:
        canvas.render(MODERN)
    assert strip == [COLUMNS * SIDE, 2 * (SIDE + CAPTION)], "eight contacts in the first row, the rest in the second"
    assert min(plot) > 200
    assert not canvas.complaints
