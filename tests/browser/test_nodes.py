"""Each node as a user adds and connects it, on both canvases."""

from itertools import combinations

import pytest
from PIL import Image

from tests.browser.canvas import MODERN
from tests.browser.screenshots import MARGIN
from tools.environment import ROOT

BUILD = """kinds => {
    const { app, LiteGraph } = window;
    kinds.forEach((kind, n) => {
        const node = LiteGraph.createNode(kind);
        node.pos = [120 + n * 400, 150];
        app.graph.add(node);
    });
}"""
SLOT = """([kind, output, name]) => {
    const { app } = window, node = app.graph._nodes.find(node => node.type === kind);
    const index = output ? node.findOutputSlot(name) : node.findInputSlot(name);
    const dot = document.querySelector(`[data-slot-key='${node.id}-${output ? 'out' : 'in'}-${index}']`);
    const box = (dot ?? app.canvas.canvas).getBoundingClientRect();
    if (dot) return [box.x + box.width / 2, box.y + box.height / 2];
    return app.canvas.ds.convertOffsetToCanvas(node.getConnectionPos(!output, index)).map((at, n) => at + [box.x, box.y][n]);
}"""
LINKS = """() => [...window.app.graph.links.values()].map(link => {
    const [from, to] = [link.origin_id, link.target_id].map(id => window.app.graph.getNodeById(id));
    return [from.type, from.outputs[link.origin_slot].name, to.type, to.inputs[link.target_slot].name];
})"""
TYPES = """() => [...new Set(Object.values(window.LiteGraph.registered_node_types).filter(kind => kind.nodeData)
    .flatMap(({nodeData}) => [...Object.values(nodeData.inputs), ...nodeData.outputs].flatMap(slot => slot.type.split(','))))]
    .filter(type => type.startsWith('STEREOSYNC_'))"""
#: Names of widgets that are wider than what shows them.
CUT = """() => window.app.graph._nodes.flatMap(node => {
    const names = (node.widgets ?? []).map(widget => widget.label ?? widget.name);
    const leaves = [...document.querySelectorAll(`[data-node-id='${node.id}'] *`)].filter(one => !one.children.length);
    return names.filter(name => {
        const shown = leaves.find(one => one.textContent.trim() === name), range = document.createRange();
        if (!shown) return false;
        range.selectNodeContents(shown);
        return range.getBoundingClientRect().width / window.app.canvas.ds.scale > shown.clientWidth;
    }).map(name => [node.type, name]);
})"""

ROWS = "kind => window.LiteGraph.createNode(kind).computeSize()[1] + window.LiteGraph.NODE_TITLE_HEIGHT"
#: The search box, of older and of newer front ends, what the one offers first, and an offer of the other.
BOX = ".comfy-vue-node-search-box input, [data-testid=result-item]"
FIRST, NEWER = "li.p-focus[aria-label='{0}']", "[data-testid=result-item]"
RELEASED = "action => window.app.extensionManager.setting.set('Comfy.LinkRelease.Action', action)"
VARIABLE = "getComputedStyle(document.body).getPropertyValue('--color-datatype-' + type)"


@pytest.fixture(params=[False, True], ids=["classic", "Nodes 2.0"])
def rendered(request, canvas):
    canvas.render(request.param)
    canvas.page.evaluate("window.app.canvas.ds.reset()")
    clear(canvas.page)
    canvas.complaints.clear()
    yield canvas
    canvas.page.keyboard.press("Escape")  # a search box that is still open would lie over what comes next
    canvas.render(MODERN)


def clear(page):
    """Waits as well: Nodes 2.0 takes down the elements of a node after another one may have got its id."""
    page.evaluate("window.app.graph.clear()")
    page.wait_for_function("!document.querySelector('[data-node-id]')")


def search(page, words, label):
    """Types into the search box that is open, and takes what it offers first, or under that name."""
    page.locator(BOX).first.wait_for()
    field = page.get_by_placeholder("Add a node")  # newer front ends do not move the focus there at once
    if field.count():
        field.first.fill(words)
    else:
        page.keyboard.insert_text(words)
    first, newer = page.locator(FIRST.format(label)), page.locator(NEWER).filter(has=page.get_by_text(label, exact=True))
    first.or_(newer).first.wait_for()
    if first.count():
        page.keyboard.press("Enter")
    else:
        newer.first.click()
    page.wait_for_function("box => !document.querySelector(box)", arg=BOX)


def drag(page, source, target):
    page.mouse.move(*source)
    page.mouse.down()
    for part in (0.1, 0.5, 1.0):
        page.mouse.move(*(a + part * (b - a) for a, b in zip(source, target, strict=True)))
    page.wait_for_timeout(100)  # the canvas looks at the pointer once a frame
    page.mouse.up()


def test_every_node_is_found_by_its_name(rendered, host):
    names = {kind: node["display_name"] for kind, node in host.object_info().items() if kind.startswith("StereoSync")}
    for kind, name in names.items():
        for _ in range(10):  # on a busy machine, two clicks come too late for a double one
            rendered.page.mouse.dblclick(640, 200)
            rendered.page.wait_for_timeout(100)
            if rendered.page.locator(BOX).count():
                break
        search(rendered.page, name, name)
        assert rendered.page.evaluate("window.app.graph._nodes.map(node => node.type)") == [kind]
        with Image.open(ROOT / "web" / "docs" / kind / "node.webp") as picture:
            rows = rendered.page.evaluate(ROWS, kind)
            assert rows == picture.height - 2 * MARGIN, f"the picture of {kind} is old: python -m tests.browser.screenshots"
        clear(rendered.page)
    assert not rendered.complaints


@pytest.mark.parametrize("rendered", [True], ids=["Nodes 2.0"], indirect=True)
def test_no_name_of_a_widget_is_cut(rendered, host):
    kinds = [kind for kind in host.object_info() if kind.startswith("StereoSync")]
    cut = []
    for first in range(0, len(kinds), 3):  # as many as lie in the picture
        rendered.page.evaluate(BUILD, kinds[first : first + 3])
        rendered.settle()
        cut += rendered.page.evaluate(CUT)
        clear(rendered.page)
    assert cut == []


def test_a_dropped_wire_offers_nodes_that_take_it_and_a_wrong_one_is_refused(rendered):
    page, load, place = rendered.page, "StereoSyncLoadVideo", "StereoSyncSpatializeAudio"
    page.evaluate(BUILD, [load, "StereoSyncFootsteps", place])
    page.evaluate(RELEASED, "no action")
    page.wait_for_timeout(500)
    slot = lambda kind, output, name: page.evaluate(SLOT, [kind, output, name])  # noqa: E731
    drag(page, slot(load, True, "video"), slot(place, False, "tracks"))
    drag(page, slot(load, True, "video"), slot(place, False, "audio"))
    drag(page, slot(load, True, "video"), slot("StereoSyncFootsteps", False, "tracks"))
    assert page.evaluate(LINKS) == []
    drag(page, slot("StereoSyncFootsteps", True, "voices"), slot(place, False, "audio"))
    assert page.evaluate(LINKS) == [["StereoSyncFootsteps", "voices", place, "audio"]]
    page.evaluate(RELEASED, "search box")  # as new installs have it
    drag(page, slot(load, True, "video"), [560, 680])
    search(page, "Object Tracker", "Object Tracker (NanoDet)")
    assert [load, "video", "StereoSyncSmallTracker", "video"] in page.evaluate(LINKS)
    assert not rendered.complaints


def test_types_of_sockets_differ_in_colour_under_every_palette(rendered):
    page = rendered.page
    page.evaluate(BUILD, ["StereoSyncDetectEvents", "StereoSyncSpatializeAudio", "StereoSyncDitSampler"])
    types = page.evaluate(TYPES)
    assert len(types) >= 14, "the pack's own"
    for palette in ("light", "dark"):
        page.evaluate("palette => window.app.extensionManager.setting.set('Comfy.ColorPalette', palette)", palette)
        page.wait_for_timeout(300)
        if rendered.modern:
            seen = page.evaluate(f"types => types.map(type => {VARIABLE})", types)
        else:
            seen = page.evaluate("types => types.map(type => window.app.canvas.colourGetter.getConnectedColor(type))", types)
            assert seen == page.evaluate("types => types.map(type => window.LGraphCanvas.link_type_colors[type])", types)
        colours = [[int(text.strip()[n : n + 2], 16) for n in (1, 3, 5)] for text in seen]
        alike = [pair for pair in combinations(colours, 2) if sum(abs(a - b) for a, b in zip(*pair, strict=True)) < 60]
        assert alike == []
