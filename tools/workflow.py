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

# What stands for a subgraph's own inputs and outputs inside it.
INPUTS, OUTPUTS = -10, -20

Json = dict[str, Any]
#: A node's id, with those of its subgraphs before it, and the number of one of its outputs.
Slot = tuple[str, int]


def to_prompt(workflow: Json, object_info: Json) -> Json:
    """The API prompt ``{node id: {class_type, inputs}}`` of a saved workflow.

    Notes are left out, so are muted nodes; a bypassed node or a reroute hands on what comes in with the same type. Nodes inside
    a subgraph have its id before their own, as in ``5:3``.

    :raises ValueError: for a node that the host does not have.
    """
    graph = _Flat(workflow)
    prompt: Json = {}
    for key, node in graph.nodes.items():
        kind = node["type"]
        if kind in NOTES or kind == "Reroute" or kind in graph.subgraphs or graph.modes[key] in (MUTED, BYPASSED):
            continue
        if kind not in object_info:
            raise ValueError(f"The host has no node '{kind}' (node {key} of the workflow).")
        inputs = dict(widget_values(node, object_info[kind]))
        for socket in node.get("inputs", []):
            origin = graph.origin(graph.source(key, socket))
            if origin is not None:
                inputs[socket["name"]] = [origin[0], origin[1]]
        title = node.get("title") or object_info[kind].get("display_name") or kind
        prompt[key] = {"class_type": kind, "inputs": inputs, "_meta": {"title": title}}
    return prompt


class _Flat:
    """A workflow's nodes with those inside its subgraphs, and what feeds each of their inputs."""

    def __init__(self, workflow: Json):
        self.subgraphs: Json = {graph["id"]: graph for graph in workflow.get("definitions", {}).get("subgraphs", [])}
        self.nodes: dict[str, Json] = {}
        self.modes: dict[str, int] = {}
        self.links: dict[tuple[str, int], Slot] = {}
        links: list[Json] = [dict(zip(("id", "origin_id", "origin_slot"), link, strict=False)) for link in workflow["links"]]
        self._add(workflow["nodes"], links, "", 0)

    def _add(self, nodes: list[Json], links: list[Json], prefix: str, mode: int) -> None:
        for link in links:
            self.links[prefix, link["id"]] = (f"{prefix}{link['origin_id']}", link["origin_slot"])
        for node in nodes:
            key = f"{prefix}{node['id']}"
            self.nodes[key], self.modes[key] = node, mode or node.get("mode", 0)
            if node["type"] in self.subgraphs:
                inner = self.subgraphs[node["type"]]
                self._add(inner["nodes"], inner["links"], f"{key}:", self.modes[key])

    def source(self, key: str, socket: Json) -> Slot | None:
        """The output at the other end of the link of a node's input."""
        prefix = key[: key.rfind(":") + 1]
        link = socket.get("link")
        return None if link is None else self.links.get((prefix, link))

    def origin(self, source: Slot | None) -> Slot | None:
        """The output that really feeds a link, seen through subgraphs, reroutes and bypassed nodes; None behind a muted one."""
        while source is not None:
            key, slot = source
            outer, _, number = key.rpartition(":")
            if number == str(INPUTS):
                name = self.subgraphs[self.nodes[outer]["type"]]["inputs"][slot]["name"]
                sockets = [socket for socket in self.nodes[outer]["inputs"] if socket["name"] == name]
                source = self.source(outer, sockets[0]) if sockets else None
                continue
            node, mode = self.nodes[key], self.modes[key]
            if mode == MUTED:
                return None
            if mode != BYPASSED and node["type"] in self.subgraphs:
                inner = self.subgraphs[node["type"]]["links"]
                ends = [link for link in inner if link["target_id"] == OUTPUTS and link["target_slot"] == slot]
                source = self.links[f"{key}:", ends[0]["id"]] if ends else None
                continue
            if mode != BYPASSED and node["type"] != "Reroute":
                return source
            kind = node["outputs"][slot]["type"]
            candidates = [socket for socket in node["inputs"] if node["type"] == "Reroute" or socket["type"] == kind]
            source = self.source(key, candidates[0]) if candidates else None
        return None


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
