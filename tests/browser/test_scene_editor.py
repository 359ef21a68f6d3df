"""The scene editor in a real browser: drawn on with the mouse, run, measured, and found again after the page is reloaded."""

import json

import numpy as np
import pytest

from stereosync_core.media.sound import read_sound
from tests.browser.canvas import READY
from tests.clips import make_clip
from tools.environment import ROOT

SCREENSHOTS = ROOT / "build" / "screenshots"
SECONDS, EVENT = 3.0, 0.5
BUILD = """([file, frames, events]) => {
    const { app, LiteGraph } = window;
    app.graph.clear();
    app.graph.id = crypto.randomUUID();
    const add = (kind, values = {}, x = 0, y = 0) => {
        const node = LiteGraph.createNode(kind);
        node.pos = [x, y];
        app.graph.add(node);
        for (const [name, value] of Object.entries(values)) node.widgets.find((widget) => widget.name === name).value = value;
        return node;
    };
    const link = (from, output, to, input) => {
        const [source, target] = [from.findOutputSlot(output), to.findInputSlot(input)];
        if (!from.connect(source, to, target)) throw new Error(`${output} into ${input}`);
    };
    const video = add('StereoSyncLoadVideo', { file }, -1000, 0);
    const boxes = add('TestMakeBoxes', { frames }, -1000, 600);
    const tracks = add('StereoSyncTracksFromMasks', {}, -600, 0);
    const found = add('StereoSyncEventsFromText', { text: events }, -600, 500);
    const edit = add('StereoSyncEditScene', {}, 0, 0);
    const same = { seed: 1, control_after_generate: 'fixed' };
    const sounds = add('StereoSyncSoundsAtEvents', { pitch: 0, gain: 0, toe: 0, ...same }, 1000, 0);
    const placed = add('StereoSyncSpatializeAudio', { room: 0 }, 1000, 600);
    const save = add('StereoSyncSaveAudio', { format: 'wav float', filename_prefix: 'edited' }, 1500, 0);
    link(boxes, 'MASK', tracks, 'masks');
    link(video, 'video', tracks, 'video');
    link(tracks, 'tracks', found, 'tracks');
    link(video, 'video', edit, 'video');
    link(tracks, 'tracks', edit, 'tracks');
    link(found, 'events', edit, 'events');
    link(edit, 'events', sounds, 'events');
    link(edit, 'tracks', sounds, 'tracks');
    link(edit, 'tracks', placed, 'tracks');
    link(sounds, 'voices', placed, 'audio');
    link(placed, 'audio', save, 'audio');
}"""
FIND = "window.app.graph._nodes.find(node => node.type === 'StereoSyncEditScene')"
#: The page's pixel of a time and a part of a lane's height, or of an azimuth.
PLACE = f"""async ([lane, time, part, azimuth]) => {{
    const {{ GUTTER, layout }} = await import('/extensions/StereoSync/scene_editor/lanes.js');
    const canvas = {FIND}.widgets.find(widget => widget.name === 'edits').element.querySelector('canvas');
    const box = canvas.getBoundingClientRect(), scale = box.width / canvas.clientWidth;
    const {{ top, height }} = layout().lanes[lane];
    const x = GUTTER + time / {SECONDS} * (canvas.clientWidth - GUTTER - 6);
    const y = azimuth === null ? top + part * height : top + 5 + (azimuth + 1) / 2 * (height - 10);
    return [box.left + x * scale, box.top + y * scale];
}}"""
SHOW = f"""([scale, x, y]) => {{
    const node = {FIND}, {{ ds }} = window.app.canvas;
    ds.scale = scale;
    [ds.offset[0], ds.offset[1]] = [x - node.pos[0], y - node.pos[1]];
    window.app.canvas.setDirty(true, true);
}}"""


class Editor:
    def __init__(self, canvas):
        self.canvas, self.page = canvas, canvas.page

    def build(self, file, events):
        self.page.evaluate(BUILD, [file, round(SECONDS * 30), events])
        self.show()

    def show(self, scale=0.9, x=120, y=110):
        self.page.evaluate(SHOW, [scale, x, y])
        self.page.wait_for_timeout(600)

    def place(self, lane, time, part=0.5, azimuth=None):
        """The page's pixel, once it stays where it is: a busy browser lays the node out late."""
        place, before = self.page.evaluate(PLACE, [lane, time, part, azimuth]), None
        while place != before:
            self.page.wait_for_timeout(100)
            place, before = self.page.evaluate(PLACE, [lane, time, part, azimuth]), place
        return place

    def click(self, x, y):
        self.page.mouse.click(x, y)
        self.page.wait_for_timeout(200)

    def double_click(self, x, y):
        self.page.mouse.dblclick(x, y)
        self.page.wait_for_timeout(200)

    def drag(self, start, end):
        mouse = self.page.mouse
        mouse.move(*start)
        mouse.down()
        for part in (0.1, 0.3, 0.6, 1.0):
            mouse.move(*(a + part * (b - a) for a, b in zip(start, end, strict=True)))
        mouse.up()
        self.page.wait_for_timeout(200)

    def edits(self):
        """The edits as the graph that would be saved has them."""
        value = self.page.evaluate(
            f"() => window.app.graph.serialize().nodes.find(node => node.id === {FIND}.id).widgets_values[0]"
        )
        return json.loads(value) if value else {}

    def inside(self, selector):
        """An element of this graph's editor."""
        widget = f"{FIND}.widgets.find(widget => widget.name === 'edits')"
        return self.page.evaluate_handle(f"selector => {widget}.element.querySelector(selector)", selector).as_element()

    def message(self):
        return self.inside(".message").inner_text()

    def reset(self):
        self.inside("button[title='Go back to what was found']").click()

    def clock(self):
        return float(self.inside(".clock").inner_text().split()[0])

    def reload(self):
        """The page anew, with the graph that the browser keeps."""
        self.page.evaluate("() => window.app.extensionManager.setting.set('Comfy.Workflow.Persist', true)")
        self.page.evaluate("() => window.comfyAPI.api.api.dispatchCustomEvent('graphChanged')")
        self.page.wait_for_timeout(500)
        self.page.reload()
        self.page.wait_for_function(READY, timeout=60_000)
        self.page.wait_for_timeout(2500)
        self.page.evaluate("() => window.app.extensionManager.setting.set('Comfy.Workflow.Persist', false)")
        self.show()

    def sound(self):
        """Onset in seconds, and level of the left over the right channel in dB, of the sound that a run saves."""
        entry = self.canvas.run()
        assert entry["status"]["status_str"] == "success", entry["status"]
        for _ in range(100):  # a busy browser gets what was found late, and can edit nothing before
            if "Run the workflow once" not in self.message():
                break
            self.page.wait_for_timeout(100)
        (saved,) = [output["audio"][0] for output in entry["outputs"].values() if "audio" in output]
        sound = read_sound(self.canvas.host.path_of(saved))
        assert sound is not None
        level = np.abs(sound.samples).max(axis=0)
        power = np.square(sound.samples.astype(float)).sum(axis=1)
        return int(np.argmax(level > 0.1 * level.max())) / sound.rate, 10 * np.log10(power[0] / power[1])


@pytest.fixture(params=[False, True], ids=["classic", "Nodes 2.0"])
def editor(request, canvas, tmp_path):
    canvas.render(request.param)
    canvas.complaints.clear()
    editor = Editor(canvas)
    editor.build(
        canvas.host.upload(make_clip(tmp_path / "editor.mp4", count=round(SECONDS * 30))), f"time,kind,track\n{EVENT},impact,1"
    )
    yield editor
    canvas.render(False)


def test_a_moved_event_and_a_path_on_the_other_side_are_in_the_sound_and_found_again(canvas, editor, request):
    mode = request.node.callspec.id.replace(" ", "_")
    before, left = editor.sound()
    assert left > 3, "the thing is at the left"
    editor.page.wait_for_timeout(1000)
    assert editor.message() == "0 edits."
    editor.drag(editor.place("events", EVENT), editor.place("events", EVENT + 0.2))
    assert editor.edits()["events"] == [
        {"found": {"time": EVENT, "kind": "impact", "track": 1}, "time": pytest.approx(0.7, abs=1e-3)}
    ]
    editor.drag(editor.place("azimuth", 1.5, azimuth=0.0), editor.place("azimuth", 1.5, azimuth=0.9))
    assert editor.edits()["tracks"][0]["azimuth"][0][1] > 0
    after, right = editor.sound()
    editor.page.wait_for_timeout(3000)  # the new sound is drawn; what tells of the end of the run has come
    canvas.page.get_by_text("job completed").first.wait_for(state="hidden")
    editor.show(0.8, 110, 160)  # with its title, below the bars of the page
    canvas.screenshot(SCREENSHOTS / f"scene_editor_{mode}.png")
    assert after - before == pytest.approx(0.2, abs=0.01)
    assert right < -1, "the level difference has changed its sign"
    assert not canvas.complaints
    edits = editor.edits()
    editor.reload()
    assert editor.edits() == edits
    assert editor.message() == "2 edits.", "what was found is there again, and the edits fit it"
    canvas.screenshot(SCREENSHOTS / f"scene_editor_{mode}_reloaded.png")


def test_events_are_added_changed_deleted_and_undone_by_mouse_and_keys(canvas, editor):
    editor.sound()
    editor.page.wait_for_timeout(500)
    press = editor.page.keyboard.press
    editor.double_click(*editor.place("events", 2.0, 0.4))
    (added,) = editor.edits()["events"]
    assert added["time"] == pytest.approx(2.0, abs=0.02)
    assert added["time"] * 30 == pytest.approx(round(added["time"] * 30), abs=0.01), "on a frame"
    assert 0.5 < added["strength"] < 0.9
    for key in ("4", "ArrowRight", "ArrowUp"):
        press(key)
    (changed,) = editor.edits()["events"]
    assert changed["kind"] == "clap"
    assert changed["time"] - added["time"] == pytest.approx(1 / 30, abs=1e-3)
    assert changed["strength"] == pytest.approx(added["strength"] + 0.05)
    press("Delete")
    assert editor.edits() == {}
    press("Control+z")
    assert editor.edits()["events"] == [changed]
    press("Control+Shift+z")
    assert editor.edits() == {}
    editor.click(*editor.place("events", EVENT))
    press("Delete")
    assert editor.edits()["events"][0]["deleted"] is True
    editor.drag(editor.place("azimuth", 0, azimuth=-0.83), editor.place("azimuth", 0, azimuth=0.5))
    path = editor.edits()["tracks"][0]["azimuth"]
    assert path[0][1] == pytest.approx(0.5, abs=0.05)
    assert path[-1][1] > 0.7, "the other end has not moved"
    editor.reset()
    assert editor.edits() == {}
    assert editor.page.evaluate("() => window.app.graph._nodes.length") == 8, "no key went through to the graph"
    assert not canvas.complaints


def test_the_loudness_is_drawn_the_time_line_zoomed_and_the_clip_played(canvas, editor):
    editor.sound()
    editor.page.wait_for_timeout(500)
    editor.double_click(*editor.place("envelope", 2.0, 0.3))
    points = editor.edits()["envelope"]
    assert next(value for time, value in points if abs(time - 2.0) < 0.02) > 0.02
    editor.click(*editor.place("film", 1.0))
    assert editor.clock() == pytest.approx(1.0, abs=0.02)
    editor.page.keyboard.press("Space")
    editor.page.wait_for_timeout(700)
    editor.page.keyboard.press("Space")
    assert 1.2 < editor.clock() < 2.5
    seen = editor.inside("video").evaluate("video => [video.videoWidth, video.currentTime]")
    assert seen == [96, pytest.approx(editor.clock(), abs=0.2)]
    editor.click(*editor.place("film", 1.0))
    editor.page.keyboard.press("+")
    editor.click(*editor.place("film", SECONDS))
    assert 1.0 < editor.clock() < 2.9, "the end of the time line is no longer the end of the clip"
    assert not canvas.complaints


def test_edits_that_are_no_json_are_refused_with_one_error(canvas, editor):
    editor.page.evaluate(f"() => {{ {FIND}.widgets.find(widget => widget.name === 'edits').value = 'no JSON' }}")
    editor.page.wait_for_timeout(200)
    assert "reset" in editor.message()
    canvas.press_run()
    shown, more = editor.page.get_by_text("reset the edits").first, editor.page.get_by_text("See Errors").first
    shown.or_(more).first.wait_for()
    if more.count():  # newer front ends have the words behind it
        more.click()
    shown.wait_for()
    editor.page.keyboard.press("Escape")
    editor.reset()
    assert editor.edits() == {}


def test_the_editor_speaks_the_language_of_the_front_end(canvas):
    title = """async language => {
        const { app, LiteGraph } = window, { loadTexts } = await import('/extensions/StereoSync/scene_editor/texts.js');
        await app.extensionManager.setting.set('Comfy.Locale', language);
        await loadTexts();
        app.graph.clear();
        app.graph.add(LiteGraph.createNode('StereoSyncEditScene'));
        const editor = app.graph._nodes[0].widgets.find(widget => widget.name === 'edits').element;
        return [...editor.querySelectorAll('button')].at(-1).title;
    }"""
    assert [canvas.page.evaluate(title, language) for language in ("ko", "en")] == [
        "검출된 상태로 되돌리기",
        "Go back to what was found",
    ]


def test_a_long_scene_is_drawn_in_little_time(canvas):
    draw = """async () => {
        const { handles } = await import('/extensions/StereoSync/scene_editor/curves.js');
        const { Edits } = await import('/extensions/StereoSync/scene_editor/edits.js');
        const { Lanes } = await import('/extensions/StereoSync/scene_editor/lanes.js');
        const path = count => Array.from({ length: count }, (_, n) => [n / 200, Math.sin(n / 500) ** 2]);
        const canvas = document.createElement('canvas');
        document.body.append(canvas);
        const edits = new Edits();
        edits.scene = { duration: 100, frames: [], events: [], tracks: [], envelope: path(20_000) };
        const lanes = new Lanes(canvas, { start: 0, end: 100, cursor: 0 }, edits);
        const begun = performance.now();
        lanes.draw();
        const taken = performance.now() - begun;
        canvas.remove();
        return [taken, handles.azimuth(path(216_000)).length];
    }"""
    milliseconds, points = canvas.page.evaluate(draw)
    assert milliseconds < 3000, "the scale is found once, not at each point"
    assert points > 400, "two hours of boxes"


def test_playing_twice_while_the_sound_starts_is_one_sound(canvas):
    play = """async () => {
        const { Player } = await import('/extensions/StereoSync/scene_editor/player.js');
        const wait = time => new Promise(go => setTimeout(go, time));
        const player = new Player(document.createElement('video'), { cursor: 0 }, () => {});
        let heard = 0;
        const createBufferSource = () => ({ connect() {}, start: () => heard++, stop: () => heard-- });
        player.audio = { currentTime: 0, resume: () => wait(50), createBufferSource };
        player.sound = { duration: 10 };
        for (const step of ['toggle', 'toggle', 'toggle', 'seek', 'seek']) player[step](1);
        await wait(300);
        const playing = heard;
        player.pause();
        return [playing, heard];
    }"""
    assert canvas.page.evaluate(play) == [1, 0]
