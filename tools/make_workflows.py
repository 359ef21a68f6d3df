"""Writes ``workflows/*.json`` from the descriptions in ``tools/workflow_*.py``.

    .venv/bin/python -m tools.make_workflows

A running host says which sockets and widgets each node has, so that the files stay right when a node changes.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import asdict
from typing import Any

from tools.environment import ROOT, prepare
from tools.host import Host
from tools.workflow import widgets_of
from tools.workflow_compare_depth import COMPARE_DEPTH
from tools.workflow_designs import ANY_AUDIO, FOOTSTEPS, Design, Node, Note
from tools.workflow_stable_audio import NATIVE, STABLE_AUDIO, ZERO_SHOT
from tools.workflow_stereosync import STEREOSYNC

FOLDER = ROOT / "workflows"
DESIGNS = [STEREOSYNC, FOOTSTEPS, ANY_AUDIO, COMPARE_DEPTH, STABLE_AUDIO, NATIVE, ZERO_SHOT]
FRONTEND = "1.32.9"
VERSION = "0.1.0"
NOTE_COLOURS = {"color": "#432", "bgcolor": "#653"}
# What the canvas stores for the widgets it adds itself: after a seed, and for an upload button.
AFTER_SEED, UPLOAD = "fixed", "image"
OPTIONAL_SHAPE = 7

Json = dict[str, Any]


def build(design: Design, object_info: Json) -> Json:
    """The saved workflow of a design, as the canvas itself would write it."""
    ids = {node.key: number for number, node in enumerate(design.nodes, 1)}
    kinds = {node.key: node.kind for node in design.nodes if isinstance(node, Node)}
    links: list[list[Any]] = []
    nodes = []
    for order, node in enumerate(design.nodes):
        common = {"id": ids[node.key], "pos": list(node.at), "size": list(node.size), "flags": {}, "order": order}
        if isinstance(node, Note):
            nodes.append(common | _note(node))
            continue
        definition = object_info[node.kind]
        inputs = _inputs(node, definition)
        for slot, socket in enumerate(inputs):
            if socket["name"] in node.inputs:
                origin, output = node.inputs[socket["name"]].split(".")
                source = object_info[kinds[origin]]
                place = source["output_name"].index(output)
                socket["link"] = len(links) + 1
                links.append([len(links) + 1, ids[origin], place, ids[node.key], slot, source["output"][place]])
        nodes.append(common | _node(node, definition, inputs))
    for node in nodes:
        for slot, socket in enumerate(node["outputs"]):
            socket["links"] = [link[0] for link in links if link[1:3] == [node["id"], slot]] or None
    return {
        "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"stereosync/{design.name}")),
        "revision": 0,
        "last_node_id": len(nodes),
        "last_link_id": len(links),
        "nodes": nodes,
        "links": links,
        "groups": [
            {"id": number, "title": group.title, "bounding": list(group.box), "color": group.colour, "flags": {}}
            for number, group in enumerate(design.groups, 1)
        ],
        "config": {},
        "extra": {"ds": {"scale": design.scale, "offset": list(design.offset)}, "frontendVersion": FRONTEND},
        "version": 0.4,
    }


def _note(note: Note) -> Json:
    title = {"title": note.title} if note.title else {}
    content = {"inputs": [], "outputs": [], "properties": {}, "widgets_values": [note.text]}
    return {"type": "MarkdownNote", "mode": 0, **title, **content, **NOTE_COLOURS}


def _node(node: Node, definition: Json, inputs: list[Json]) -> Json:
    outputs = [
        {"localized_name": name, "name": name, "type": kind}
        for name, kind in zip(definition["output_name"], definition["output"], strict=True)
    ]
    ours = node.kind.startswith("StereoSync")
    pack = {"cnr_id": "stereosync", "ver": VERSION} if ours else {"cnr_id": "comfy-core", "ver": "0.3.75"}
    title = {"title": node.title} if node.title else {}
    properties: Json = {**pack, "Node name for S&R": node.kind}
    if node.models:
        properties["models"] = [asdict(model) for model in node.models]
    values = _values(node, definition)
    return {"type": node.kind, "mode": node.mode, **title, "inputs": inputs, "outputs": outputs, "properties": properties} | {
        "widgets_values": values
    }


def _inputs(node: Node, definition: Json) -> list[Json]:
    """Sockets first, then widgets, each group with the required ones first: the canvas's order."""
    widgets = [name for name, _ in widgets_of(definition) if name is not None]
    sockets = []
    for group in ("required", "optional"):
        for name, (kind, *_) in definition["input"].get(group, {}).items():
            socket: Json = {"localized_name": name, "name": name, "type": "COMBO" if isinstance(kind, list) else kind}
            if group == "optional":
                socket["shape"] = OPTIONAL_SHAPE
            if name in widgets:
                socket["widget"] = {"name": name}
            sockets.append({**socket, "link": None})
    unknown = (set(node.inputs) | set(node.values)) - {socket["name"] for socket in sockets}
    if unknown:
        raise ValueError(f"{node.kind} has no input {', '.join(sorted(unknown))}.")
    return sorted(sockets, key=lambda socket: "widget" in socket)


def _values(node: Node, definition: Json) -> list[Any]:
    values: list[Any] = []
    for name, default in widgets_of(definition):
        if name is not None:
            values.append(node.values.get(name, default))
        else:
            values.append(AFTER_SEED if "seed" in definition["input"]["required"] else UPLOAD)
    return values


def text_of(workflow: Json) -> str:
    return json.dumps(workflow, indent=1, ensure_ascii=False) + "\n"


def main() -> None:
    with Host(prepare()) as host:
        object_info = host.object_info()
    FOLDER.mkdir(exist_ok=True)
    for design in DESIGNS:
        path = FOLDER / f"{design.name}.json"
        path.write_text(text_of(build(design, object_info)), encoding="utf-8")
        print(path.relative_to(ROOT))


if __name__ == "__main__":
    main()
