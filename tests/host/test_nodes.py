"""Every node as a user meets it: tooltips on both sides, translations, pictures of what was found and made."""

import json
import re

import pytest

from tests.host.conftest import finished
from tests.host.test_events import scene
from tools.environment import ROOT

LANGUAGES = {"zh": r"[\u4e00-\u9fff]", "ja": r"[\u3040-\u30ff\u4e00-\u9fff]", "ko": r"[\uac00-\ud7af]"}


@pytest.fixture(scope="module")
def ours(object_info):
    return {name: node for name, node in object_info.items() if name.startswith("StereoSync")}


def inputs_of(node):
    for group in ("required", "optional"):
        for key, (_, *options) in node["input"].get(group, {}).items():
            yield key, options[0] if options else {}


def test_every_input_and_output_has_a_tooltip_that_is_a_sentence(ours):
    texts = {f"{name}.{key}": options.get("tooltip") for name, node in ours.items() for key, options in inputs_of(node)}
    for name, node in ours.items():
        tips = node["output_tooltips"] or [None] * len(node["output"])
        texts |= {f"{name} > {key}": tip for key, tip in zip(node["output_name"], tips, strict=True)}
    assert len(texts) > 300
    assert [key for key, text in texts.items() if not text or not text[0].strip() or text[-1] not in ".)"] == []


def test_newer_hosts_find_every_node_by_other_words_as_well(ours):
    """Hosts before 0.11 do not know the field."""
    if any("search_aliases" in node for node in ours.values()):
        assert [name for name, node in ours.items() if len(node.get("search_aliases") or ()) < 2] == []


def test_inputs_that_few_change_are_folded(ours):
    """Where the host folds: a node shows ten at most, and all of a small one."""
    for name, node in ours.items():
        shown = [options.get("advanced", False) for _, options in inputs_of(node) if "default" in options]
        assert shown.count(False) <= 10, name
        assert len(shown) > 5 or not any(shown), name


def test_every_help_page_has_its_inputs_pitfalls_neighbours_and_picture(ours):
    pages = {name: (ROOT / "web" / "docs" / name / "en.md").read_text(encoding="utf-8") for name in ours}
    for part in ("**Pitfall**: ", "**Before it**: ", "**After it**: "):
        assert [name for name, page in pages.items() if part not in page] == []
    pictures = {name: ROOT / "web" / "docs" / name / "node.webp" for name in ours}
    assert [name for name, page in pages.items() if f"]({name}/node.webp)" not in page] == [], "by its path below web/docs"
    assert [name for name, path in pictures.items() if not 1000 < path.stat().st_size < 40_000] == []
    names = {
        (name, key): {key, key.replace("_", " "), options.get("display_name", key)}
        for name in ours
        for key, options in inputs_of(ours[name])
    }
    assert [key for key, words in names.items() if not any(word.lower() in pages[key[0]].lower() for word in words)] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_name_description_and_tooltip_is_translated(ours, language):
    translated = json.loads((ROOT / "locales" / language / "nodeDefs.json").read_text(encoding="utf-8"))
    assert set(translated) == set(ours), "the nodes that there are"
    missing = []
    for name, node in ours.items():
        entry = translated[name]
        texts = {"description": entry["description"], "display_name": entry["display_name"]}
        assert set(entry["inputs"]) == {key for key, _ in inputs_of(node)}, name
        assert set(entry["outputs"]) == {str(place) for place in range(len(node["output"]))}, name
        for key, value in {**entry["inputs"], **entry["outputs"]}.items():
            texts |= {f"{key} name": value["name"], f"{key} tooltip": value["tooltip"]}
        missing += [f"{name}: {key}" for key, text in texts.items() if not re.search(LANGUAGES[language], text)]
    assert missing == []


def test_english_names_are_the_display_names(ours, host):
    """For front ends that do not know display names: there they stand in for ids that the canvas would cut."""
    served = json.loads(host.request("/i18n"))["en"]["nodeDefs"]
    names = {(name, key): text["name"] for name, node in served.items() if name in ours for key, text in node["inputs"].items()}
    shown = {(name, key): options.get("display_name") for name in ours for key, options in inputs_of(ours[name])}
    assert len(names) > 20
    assert {place: shown.get(place) for place in names} == names


def test_the_host_serves_the_translations_with_all_words_of_the_scene_editor(host):
    served = json.loads(host.request("/i18n"))
    assert all("StereoSyncEditScene" in served[language]["nodeDefs"] for language in LANGUAGES)
    scripts = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "web").rglob("*.js")}
    words = set(re.findall(r'\bt\("([^"]+)"', "".join(scripts.values())))
    words |= set(re.findall(r"\w+", scripts["edits.js"].split("KINDS = [")[1].split("]")[0]))
    assert len(words) > 40
    assert re.findall(r'(?<!\bt\()"([A-Z][a-z][^"]*)"', scripts["toolbar.js"] + scripts["lanes.js"]) == [], "past t()"
    for language, letters in LANGUAGES.items():
        texts = served[language]["stereosyncEditor"]
        assert set(texts) == words
        assert [word for word, text in texts.items() if word != "{0}." and not re.search(letters, text)] == []
        assert [word for word, text in texts.items() if set(re.findall(r"{\d}", word)) != set(re.findall(r"{\d}", text))] == []


def test_what_finds_or_makes_something_shows_it(host, graph, small_clip):
    """On the nodes that run without a download; of those with one, the loaders' tests."""
    video, tracks, events = scene(graph, small_clip, "time,kind,track\n0.25,step,1\n0.75,impact,1")
    boxes = graph.add("TestMakeBoxes")
    depth = graph.add("StereoSyncSmallDepth", video=video)
    envelope = graph.add("StereoSyncEnvelopeFromEvents", events=events, tracks=tracks)
    sounds = graph.add("StereoSyncSoundsAtEvents", events=events, tracks=tracks)
    placed = graph.add("StereoSyncSpatializeAudio", audio=sounds, tracks=tracks)
    model = graph.add("StereoSyncModelLoader")
    space = graph.add("StereoSyncSpatialConditioning", tracks=tracks)
    made = graph.add("StereoSyncDitSampler", model=model, space=space, envelope=envelope, steps=2)
    showing = [
        tracks,
        depth,
        envelope,
        sounds,
        placed,
        made,
        graph.add("StereoSyncSmallTracker", video=video),
        graph.add("StereoSyncDepthFromImages", images=boxes.IMAGE, video=video),
        graph.add("StereoSyncSteadyDepth", depth=depth, window=2),
        graph.add("StereoSyncTracksFromBoxes", boxes=boxes.BBOX, video=video),
        graph.add("StereoSyncDetectEvents", video=video, tracks=tracks),
        graph.add("StereoSyncCameraMotion", video=video),
        graph.add("StereoSyncEnvelopeFromAudio", audio=placed),
        graph.add("StereoSyncEnvelopeFromVideo", model=model, video=video, tracks=tracks),
        graph.add("StereoSyncEnvelopeCurve"),
        graph.add("StereoSyncFootsteps", tracks=tracks),
        graph.add("StereoSyncPreviewEvents", video=video, events=events, tracks=tracks),
        graph.add("StereoSyncScenePlot", tracks=tracks, audio=placed),
        graph.add("StereoSyncAlignmentReport", video=video, audio=placed, tracks=tracks),
    ]
    for node in showing:  # so that all of them run
        graph.add("PreviewAny", source=node)
    outputs = finished(host, graph).outputs
    silent = [graph.prompt[node.number]["class_type"] for node in showing if not outputs.get(node.number, {}).get("images")]
    assert silent == []
    for node in showing:
        assert host.view(**outputs[node.number]["images"][0]).startswith(b"\x89PNG")
