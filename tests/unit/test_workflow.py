"""A saved workflow becomes the prompt that the canvas would send."""

import pytest

from tools.workflow import to_prompt

LOAD = {"file": ["COMBO", {"options": ["a", "b"], "video_upload": True}], "start": ["FLOAT", {}]}
WORK = {"video": ["VIDEO", {}], "seed": ["INT", {"default": 1}], "mode": [["x", "y"], {}]}
WORK |= {"amount": ["FLOAT", {"forceInput": True}]}
DEFINITIONS = {
    "Load": {"display_name": "Load", "input": {"required": LOAD}},
    "Work": {"input": {"required": WORK, "optional": {"text": ["STRING", {"default": "hello"}]}}},
}


def node(number, kind, values=(), inputs=(), outputs=("VIDEO",), mode=0):
    """A saved node; ``inputs`` are ``(name, type, link)``."""
    return {
        "id": number,
        "type": kind,
        "mode": mode,
        "inputs": [{"name": name, "type": type, "link": link} for name, type, link in inputs],
        "outputs": [{"type": type} for type in outputs],
        "widgets_values": values if isinstance(values, dict) else list(values),
    }


def inputs_of(nodes, links=(), number="2"):
    return to_prompt({"nodes": nodes, "links": [list(link) for link in links]}, DEFINITIONS)[number]["inputs"]


@pytest.mark.parametrize(
    ("saved", "inputs"),
    [
        (node(2, "Work", [7, "fixed", "y", "bye"]), {"seed": 7, "mode": "y", "text": "bye"}),
        (node(2, "Load", ["b", 2.5, "image"]), {"file": "b", "start": 2.5}),
        (node(2, "Work", [7, "fixed"]), {"seed": 7, "mode": "x", "text": "hello"}),
        (node(2, "Work", {"mode": "y", "player": 3}), {"mode": "y"}),
    ],
    ids=["past the canvas's controls", "an upload button takes none", "not saved, the defaults", "saved by name"],
)
def test_values_go_to_their_widgets(saved, inputs):
    assert inputs_of([saved]) == inputs


def test_a_link_takes_the_place_of_a_widget():
    nodes = [node(1, "Load"), node(2, "Work", [7, "fixed", "y", "bye"], [("video", "VIDEO", 5), ("text", "STRING", 6)])]
    links = [(5, 1, 0, 2, 0, "VIDEO"), (6, 1, 1, 2, 1, "STRING")]
    assert inputs_of(nodes, links) == {"video": ["1", 0], "seed": 7, "mode": "y", "text": ["1", 1]}


@pytest.mark.parametrize("kind", ["Note", "MarkdownNote"])
def test_notes_are_left_out(kind):
    assert list(to_prompt({"nodes": [node(1, kind), node(2, "Work")], "links": []}, DEFINITIONS)) == ["2"]


def chain(middle):
    nodes = [node(1, "Load"), middle, node(2, "Work", [], [("video", "VIDEO", 6)])]
    return nodes, [(5, 1, 0, 3, 0, "VIDEO"), (6, 3, 0, 2, 0, "VIDEO")]


def test_a_reroute_is_seen_through():
    reroute = node(3, "Reroute", [], [("", "*", 5)])
    assert inputs_of(*chain(reroute))["video"] == ["1", 0]


def test_a_bypassed_node_hands_on_what_it_gets_of_that_type():
    bypassed = node(3, "Work", [], [("amount", "FLOAT", None), ("video", "VIDEO", 5)], mode=4)
    prompt = to_prompt(dict(zip(("nodes", "links"), chain(bypassed), strict=True)), DEFINITIONS)
    assert prompt["2"]["inputs"]["video"] == ["1", 0]
    assert "3" not in prompt


def test_a_muted_node_hands_on_nothing():
    assert "video" not in inputs_of(*chain(node(3, "Work", [], [("video", "VIDEO", 5)], mode=2)))


def test_an_unknown_node_is_named():
    with pytest.raises(ValueError, match="no node 'Elsewhere'"):
        inputs_of([node(2, "Elsewhere")])


def inner_link(number, origin, target):
    (origin_id, origin_slot), (target_id, target_slot) = origin, target
    ends = {"origin_id": origin_id, "origin_slot": origin_slot, "target_id": target_id, "target_slot": target_slot}
    return {"id": number, "type": "VIDEO", **ends}


def workflow_with_a_subgraph(mode=0):
    """Load 1 into subgraph 4, which holds Work 2 and gives its output to Work 3."""
    work = node(2, "Work", [7, "fixed", "y"], [("video", "VIDEO", 8)])
    links = [inner_link(8, (-10, 0), (2, 0)), inner_link(9, (2, 0), (-20, 0))]
    definition = {
        "id": "some-uuid",
        "inputs": [{"name": "clip"}],
        "outputs": [{"name": "video"}],
        "nodes": [work],
        "links": links,
    }
    outer = [
        node(1, "Load"),
        node(4, "some-uuid", [], [("clip", "VIDEO", 5)], mode=mode),
        node(3, "Work", [], [("video", "VIDEO", 6)]),
    ]
    links = [[5, 1, 0, 4, 0, "VIDEO"], [6, 4, 0, 3, 0, "VIDEO"]]
    return {"nodes": outer, "links": links, "definitions": {"subgraphs": [definition]}}


def test_nodes_inside_a_subgraph_have_its_id_before_their_own_and_links_go_through():
    prompt = to_prompt(workflow_with_a_subgraph(), DEFINITIONS)
    assert list(prompt) == ["1", "4:2", "3"]
    assert prompt["4:2"]["inputs"] == {"seed": 7, "mode": "y", "text": "hello", "video": ["1", 0]}
    assert prompt["3"]["inputs"]["video"] == ["4:2", 0]


def test_a_bypassed_subgraph_hands_on_and_a_muted_one_does_not():
    prompt = to_prompt(workflow_with_a_subgraph(mode=4), DEFINITIONS)
    assert list(prompt) == ["1", "3"]
    assert prompt["3"]["inputs"]["video"] == ["1", 0]
    assert "video" not in to_prompt(workflow_with_a_subgraph(mode=2), DEFINITIONS)["3"]["inputs"]
