"""Makes the pictures that the project shows:

    python3 dev.py test tests/browser
    .venv/bin/python -m tests.browser.screenshots

``docs/canvas.png`` and ``docs/editor.png`` from the screenshots of the browser tests, and one of every node for its help page,
``web/docs/NODE/node.webp``. Thumbnails come from :mod:`tests.browser.thumbnails`.
"""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image

from tests.browser.canvas import Canvas, opened
from tests.hosts import prepared_environment
from tools.environment import ROOT, find_chromium
from tools.host import Host

SCREENSHOTS = ROOT / "build" / "screenshots"
PICTURES = {
    "Footsteps in two minutes_classic.png": "canvas.png",
    "scene_editor_classic.png": "editor.png",
}
MARGIN, WIDTH = 8, 330
NODE = f"""async kind => {{
    const {{ app, LiteGraph }} = window, node = LiteGraph.createNode(kind), box = new Float32Array(4);
    app.graph.clear();
    app.graph.add(node);
    node.pos = [150, 130];
    node.setSize([Math.max(node.size[0], {WIDTH}), node.computeSize()[1]]);
    app.canvas.ds.reset();
    for (let n = 0; n < 5; n++) await new Promise(requestAnimationFrame);
    node.measure(box);
    const {{ x, y }} = app.canvas.canvas.getBoundingClientRect();
    return [box[0] + x, box[1] + y, box[2], box[3]];
}}"""


def documentation(name: str, target: str) -> Path:
    """A screenshot with 64 levels a colour, which the eye does not miss and which keeps it small."""
    path = ROOT / "docs" / target
    with Image.open(SCREENSHOTS / name) as picture:
        picture.convert("RGB").point(lambda value: value & 0xFC | value >> 6).save(path, optimize=True)
    return path


def node_picture(canvas: Canvas, kind: str) -> Path:
    """A node as it comes onto the classic canvas."""
    x, y, width, height = canvas.page.evaluate(NODE, kind)
    clip = {"x": x - MARGIN, "y": y - MARGIN, "width": width + 2 * MARGIN, "height": height + 2 * MARGIN}
    path = ROOT / "web" / "docs" / kind / "node.webp"
    with Image.open(io.BytesIO(canvas.page.screenshot(clip=clip))) as picture:
        picture.convert("RGB").save(path, quality=80, method=6)
    return path


def main() -> None:
    paths = [documentation(*pair) for pair in PICTURES.items() if (SCREENSHOTS / pair[0]).exists()]
    with Host(prepared_environment(), arguments=["--disable-api-nodes"]) as host, opened(host, find_chromium() or "") as canvas:
        canvas.render(False)
        canvas.page.set_viewport_size({"width": 1280, "height": 900})  # the scene editor is high
        canvas.page.route("**/view?*", lambda route: route.abort())  # a clip's preview comes when it will
        canvas.page.evaluate("window.app.extensionManager.setting.set('Comfy.NodeBadge.NodeSourceBadgeMode', 'None')")
        paths += [node_picture(canvas, kind) for kind in host.object_info() if kind.startswith("StereoSync")]
    for path in paths:
        print(f"{path.relative_to(ROOT)}: {path.stat().st_size // 1024} kB")


if __name__ == "__main__":
    main()
