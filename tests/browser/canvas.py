"""A ComfyUI canvas in a real Chromium, for the browser tests and for the pictures in the documentation."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from playwright.sync_api import ConsoleMessage, Error, Locator, Page, sync_playwright

from tools.host import PACK, Host

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# Whatever else would lie over the graph; and pictures as often as a test looks, for each is drawn by a processor.
SETTINGS = {
    "Comfy.Minimap.Visible": False,
    "Comfy.Workflow.Persist": False,
    "Comfy.Graph.CanvasInfo": False,
    "LiteGraph.Canvas.MaximumFps": 15,
}
HIDE_BANNERS = "".join(
    f"localStorage.setItem('{banner}', 'true');" for banner in ("vueNodesBannerDismissed", "comfy.vueNodesMigration.dismissed")
)
READY = "window.app?.graph && window.app.extensionManager?.setting && document.querySelector('#graph-canvas')"
# What the host's own page complains of by itself, with this pack or without.
HOST_NOISE = ["api.comfy.org", "/userdata", "user.css", "favicon.ico"]

#: Whether nodes are elements of the page (Nodes 2.0) where a test does not say.
MODERN = os.environ.get("STEREOSYNC_CANVAS", "classic") == "modern"
ELEMENT_BOXES = """() => [...document.querySelectorAll('[data-node-id]')].map(element => {
    const node = window.app.graph.getNodeById(element.dataset.nodeId), scale = window.app.canvas.ds.scale;
    const {x, y, width, height} = element.getBoundingClientRect();
    return {title: node.title, box: [x, y, width, height].map(value => value / scale), size: [width, height], needed: [0, 0]};
})"""

#: Titles that a wire goes through: of groups and of nodes that are transparent, for any other covers the wires below it.
WIRED = """() => {
    const { app: { graph }, LiteGraph } = window, half = LiteGraph.NODE_TITLE_HEIGHT / 2;
    const pen = new OffscreenCanvas(1, 1).getContext('2d');
    pen.lineWidth = half;
    const bar = down => ({ title, pos, size }) => ({ title, x: pos[0] + 8, y: pos[1] + down, width: 0.8 * size[0] });
    const bars = [...graph._nodes.filter(node => node.mode).map(bar(-half)), ...graph._groups.map(bar(half))];
    const paths = [...graph.links.values()].map(link => link.path).filter(Boolean), parts = [...Array(30).keys()];
    const on = ({ x, y, width }) => path => parts.some(part => pen.isPointInStroke(path, x + part / 30 * width, y));
    return [paths.length, bars.filter(bar => paths.some(on(bar))).map(({ title }) => title)];
}"""
NODE = "window.app.graph._nodes.find(node => node.type === kind)"
#: Whether all nodes are drawn as they should be, and have not moved for five looks.
SETTLED = """modern => {
    const nodes = window.app.graph._nodes, elements = [...document.querySelectorAll('[data-node-id]')];
    const media = elements.flatMap(element => [...element.querySelectorAll('img, video')]);
    const loaded = media.every(one => one.complete || one.readyState || one.error || !one.currentSrc);
    if (!loaded || elements.length !== (modern ? nodes.length : 0)) return false;
    const drawn = elements.map(element => element.getBoundingClientRect());
    const seen = JSON.stringify([nodes.map(node => [...node.pos, ...node.size]), drawn]);
    const before = window.stereosyncSeen;
    window.stereosyncSeen = { seen, times: before?.seen === seen ? before.times + 1 : 0 };
    return window.stereosyncSeen.times >= 5;
}"""


class Canvas:
    """One browser page with ComfyUI in it. ``complaints`` collects console and page errors that are not the host's own."""

    def __init__(self, page: Page, host: Host):
        self.page = page
        self.host = host
        self.complaints: list[str] = []
        self.modern = MODERN
        host.request("/settings", SETTINGS | {"Comfy.VueNodes.Enabled": MODERN})
        page.add_init_script(HIDE_BANNERS)
        page.goto(host.url)
        page.wait_for_function(READY, timeout=60_000)
        page.wait_for_timeout(1500)
        # From here on: while it starts, the page itself logs errors without any custom node.
        page.on("console", self._keep)
        page.on("pageerror", lambda error: self.complaints.append(f"{error}\n{error.stack}"))

    def _keep(self, message: ConsoleMessage) -> None:
        text = f"{message.text} ({message.location.get('url', '')})"
        if message.type == "error" and not any(noise in text for noise in HOST_NOISE):
            self.complaints.append(text)

    def open_templates(self) -> Locator:
        """Opens the template browser at this pack's own page and returns the dialog."""
        dialog = self.page.get_by_role("dialog")
        if not dialog.count():
            self.page.get_by_role("button", name="Templates").first.click()
        dialog.get_by_text(PACK, exact=True).first.click()
        return dialog

    def load_template(self, name: str) -> None:
        """Loads a workflow by a click on its card."""
        self.page.evaluate("window.stereosyncBefore = window.app.graph._nodes[0]")
        dialog = self.open_templates()
        title = dialog.get_by_role("heading", name=name, exact=True).first
        for _ in range(10):
            dialog.locator("input").first.fill(name)  # lost while the page is not ready for it
            with suppress(Error):
                title.wait_for(timeout=3000)
                break
        title.click()
        self.page.get_by_role("dialog").wait_for(state="hidden")
        self.page.wait_for_function("window.app.graph._nodes.length && window.app.graph._nodes[0] !== window.stereosyncBefore")
        self.settle()

    def card(self, dialog: Locator, name: str) -> Locator:
        card = dialog.get_by_alt_text(name, exact=True).first
        for _ in range(5):
            dialog.locator("input").first.fill(name)  # cards below the first rows come when they are scrolled to
            with suppress(Error):
                card.wait_for(timeout=6000)
                break
            dialog.locator("input").first.fill("")
            self.page.wait_for_timeout(1000)  # a picture that was looked for while it came has to be looked for again
        return card

    def missing_nodes(self) -> list[str]:
        """Types of nodes on the canvas that the host does not have."""
        return self.page.evaluate(
            "() => window.app.graph._nodes.map(n => n.type).filter(type => !window.LiteGraph.registered_node_types[type])"
        )

    def prompt(self) -> dict[str, Any]:
        """The API prompt that the canvas itself makes of what it shows."""
        return self.page.evaluate("async () => (await window.app.graphToPrompt()).output")

    def boxes(self) -> list[dict[str, Any]]:
        """Every node: ``{title, box: [x, y, w, h] with its title bar, size, needed}`` in canvas units."""
        if self.modern:
            return self.page.evaluate(ELEMENT_BOXES)
        return self.page.evaluate(
            "() => window.app.graph._nodes.map(node => { const box = new Float32Array(4); node.measure(box); "
            "return {title: node.title, box: [...box], size: [...node.size], needed: [...node.computeSize()]} })"
        )

    def wired_titles(self) -> list[str]:
        """Titles that wires go through, where the canvas draws them."""
        drawn, titles = self.page.evaluate(WIRED)
        assert drawn or self.modern
        return titles

    def render(self, modern: bool) -> None:
        """Draws nodes as elements of the page (Nodes 2.0) or, classic, on the canvas itself."""
        self.modern = modern
        self.page.evaluate("on => window.app.extensionManager.setting.set('Comfy.VueNodes.Enabled', on)", modern)
        self.settle()

    def settle(self) -> None:
        """Waits until every node is drawn in this rendering and none moves."""
        self.page.wait_for_function(SETTLED, arg=self.modern, polling=100)

    def run(self, seconds: float = 180.0) -> dict[str, Any]:
        """Presses Run, waits for the end and returns the host's history entry."""
        before = set(self._history())
        self.press_run()
        for _ in range(round(seconds * 4)):
            self.page.wait_for_timeout(250)
            new = {key: entry for key, entry in self._history().items() if key not in before}
            if new:
                return next(iter(new.values()))
        raise TimeoutError(f"The run did not end.\n{self.host.log_tail()}")

    def press_run(self) -> None:
        run = self.page.get_by_test_id("queue-button").first
        inner = run.get_by_role("button")  # newer front ends put the name on the button itself
        (inner.first if inner.count() else run).click()

    def _history(self) -> dict[str, Any]:
        return json.loads(self.host.request("/history"))

    def video(self, kind: str, at: float = 0.0) -> dict[str, float]:
        """``{width, height, duration, light}`` of the video that the first node of a kind shows, wound to ``at`` seconds.

        ``light`` is the mean of the picture's pixels in 0..255; 0 is a black preview. The node comes into view for it, for what
        is outside is not in the page.
        """
        return self.page.evaluate(
            """async ([kind, at]) => {
                const node = window.app.graph._nodes.find(node => node.type === kind);
                const {ds} = window.app.canvas, [left, top] = ds.offset;
                window.app.canvas.centerOnNode(node);
                const until = async (done) => {
                    for (let n = 0; n < 100; n++) {
                        const found = done(); if (found) return found;
                        await new Promise(go => setTimeout(go, 100));
                    }
                    throw new Error(kind + ' shows no video');
                };
                const find = w => w.element?.matches?.('video') ? w.element : w.element?.querySelector?.('video');
                const own = () => document.querySelector(`[data-node-id='${node.id}'] video`);
                const video = await until(() => (node.widgets ?? []).map(find).find(Boolean) ?? own());
                await until(() => video.readyState >= 2);
                video.loop = false; video.pause(); video.currentTime = at;
                await until(() => !video.seeking && video.readyState >= 2);
                const picture = new OffscreenCanvas(64, 36).getContext('2d');
                picture.drawImage(video, 0, 0, 64, 36);
                const pixels = picture.getImageData(0, 0, 64, 36).data;
                const light = pixels.reduce((sum, value, n) => n % 4 < 3 ? sum + value : sum, 0) / (64 * 36 * 3);
                ds.offset[0] = left; ds.offset[1] = top;
                window.app.canvas.setDirty(true, true);
                return {width: video.videoWidth, height: video.videoHeight, duration: video.duration, light};
            }""",
            [kind, at],
        )

    def image(self, kind: str) -> list[int]:
        """Width and height of the picture that the first node of a kind shows; zeros where it shows none."""
        if self.modern:
            return self._element_image(kind)
        return self.page.evaluate(
            f"kind => {{ const image = {NODE}.imgs?.[0]; return [image?.naturalWidth ?? 0, image?.naturalHeight ?? 0] }}", kind
        )

    def _element_image(self, kind: str) -> list[int]:
        """:meth:`image` where nodes are elements of the page."""
        number = self.page.evaluate(f"kind => {NODE}.id", kind)
        picture = self.page.locator(f"[data-node-id='{number}'] .image-preview img").first
        return picture.evaluate("async image => { await image.decode(); return [image.naturalWidth, image.naturalHeight] }")

    def screenshot(self, path: Path, **options: Any) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=str(path), **options)
        return path


@contextmanager
def opened(host: Host, chromium: str) -> Iterator[Canvas]:
    """A fresh browser with an empty profile, showing the host."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile, sync_playwright() as playwright:
        browser = playwright.chromium.launch_persistent_context(
            profile, executable_path=chromium, args=FLAGS, viewport={"width": 1280, "height": 720}
        )
        try:
            yield Canvas(browser.new_page(), host)
        finally:
            browser.close()
