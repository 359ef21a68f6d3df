"""From a workflow as the canvas saves it to the prompt that the host's API takes. Standard library alone.

A saved workflow keeps a node's widget values as a bare list. Which value belongs to which input follows from the order of
inputs in ``/object_info`` and from the controls that the canvas adds of its own accord.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

WIDGETS = {"COMBO", "INT", "FLOAT", "STRING", "BOOLEAN"}
NOTES = {"Note", "MarkdownNote"}
MUTED, BYPASSED = 2, 4
# Where a file can be uploaded, the canvas adds a button (for sound also a player), and saves a value for each.
UPLOADS = {"image_upload": 1, "video_upload": 1, "audio_upload": 2}

Json = dict[str, Any]
#: A node's id and the number of one of its outputs.
Slot = tuple[int, int]


def to_prompt(workflow: Json, object_info: Json) -> Json:
    """The API prompt ``{node id: {class_type, inputs}}`` of a saved workflow.

    Notes are left out, so are muted nodes; a bypassed node or a reroute hands on what comes in with the same type.

    :raises ValueError: for a node that the host does not have.
    """
    nodes = {node["id"]: node for node in workflow["nodes"]}
    links: dict[int, Slot] = {link[0]: (link[1], link[2]) for link in workflow["links"]}
    prompt: Json = {}
    for node in nodes.values():
        kind = node["type"]
        if kind in NOTES or kind == "Reroute" or node.get("mode", 0) in (MUTED, BYPASSED):
            continue
        if kind not in object_info:
            raise ValueError(f"The host has no node '{kind}' (node {node['id']} of the workflow).")
        inputs = dict(widget_values(node, object_info[kind]))
        for socket in node.get("inputs", []):
            origin = _origin(links.get(socket.get("link")), nodes, links)
            if origin is not None:
                inputs[socket["name"]] = [str(origin[0]), origin[1]]
        title = node.get("title") or object_info[kind].get("display_name") or kind
        prompt[str(node["id"])] = {"class_type": kind, "inputs": inputs, "_meta": {"title": title}}
    return prompt


def widget_values(node: Json, definition: Json) -> Iterator[tuple[str, Any]]:
    """``(input name, value)`` of a node's widgets; the definition's default where the workflow saved none."""
    values = node.get("widgets_values", [])
    widgets = list(widgets_of(definition))
    if isinstance(values, dict):
        yield from ((name, values[name]) for name, _ in widgets if name is not None and name in values)
        return
    for place, (name, default) in enumerate(widgets):
        if name is not None:
            yield name, values[place] if place < len(values) else default


def widgets_of(definition: Json) -> Iterator[tuple[str | None, Any]]:
    """``(name, default)`` of a node's widgets in the canvas's order; the name is None for what the canvas adds."""
    for group in ("required", "optional"):
        uploads = 0
        for name, (kind, *rest) in definition["input"].get(group, {}).items():
            options: Json = rest[0] if rest else {}
            choices = kind if isinstance(kind, list) else options.get("options", [])
            if options.get("forceInput") or not (isinstance(kind, list) or kind in WIDGETS):
                continue
            yield name, options.get("default", choices[0] if choices else None)
            if options.get("control_after_generate", kind == "INT" and name in ("seed", "noise_seed")):
                yield None, None
            uploads += sum(count for key, count in UPLOADS.items() if options.get(key))
        yield from [(None, None)] * uploads


def _origin(source: Slot | None, nodes: dict[int, Json], links: dict[int, Slot]) -> Slot | None:
    """The output that really feeds a link, seen through reroutes and bypassed nodes; None behind a muted node."""
    while source is not None:
        node = nodes[source[0]]
        mode = node.get("mode", 0)
        if mode == MUTED:
            return None
        if mode != BYPASSED and node["type"] != "Reroute":
            return source
        kind = node["outputs"][source[1]]["type"]
        candidates = [socket for socket in node["inputs"] if node["type"] == "Reroute" or socket["type"] == kind]
        source = links.get(candidates[0].get("link")) if candidates else None
    return None
