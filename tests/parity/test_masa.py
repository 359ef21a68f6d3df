"""Our MASA gives the released code's numbers, stage by stage: the network, both its operators, the tracker, the clean-up.

The fixtures hold the released code's outputs for made-up weights.
"""

import json
from functools import cached_property
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from research.equality.seeded import digest, masa_weights
from stereosync_core.tracking.masa import model as masa
from stereosync_core.tracking.masa.deformable import deformable_convolution
from stereosync_core.tracking.masa.loader import build_masa
from stereosync_core.tracking.masa.model import LEVELS, Masa, prepare, roi_align, roi_features
from stereosync_core.tracking.masa.pipeline import remove_giants, smooth
from stereosync_core.tracking.masa.tracker import TaoSettings, TaoTracker
from tests.parity.conftest import fixture_files, fixture_folders

#: Largest absolute difference to the recorded stages, from the recorded input of the network.
TOLERANCE = 5e-5
FEATURES = fixture_files("masa", "features_*.npz")
OPERATORS = fixture_files("masa", "ops.npz")


def sequences():
    """The recorded sequences with each of their settings."""
    for case in fixture_files("masa", "tracker*.npz"):
        (path,) = case.values
        for name in json.loads(path.with_suffix(".json").read_text())["settings"]:
            yield pytest.param((path, name), id=f"{case.id}-{name}")


def own_shapes():
    return {name: tuple(value.shape) for name, value in Masa().state_dict().items()}


@pytest.fixture(scope="module")
def weights():
    """Of the released code's whole model where its list of names is there, else of what tracking needs."""
    lists = [folder / "keys.json" for folder in fixture_folders("masa") if (folder / "keys.json").is_file()]
    shapes = {name: key["shape"] for name, key in json.loads(lists[0].read_text()).items()} if lists else own_shapes()
    return {name: torch.from_numpy(value) for name, value in masa_weights(shapes).items()}


@pytest.fixture(scope="module")
def model(weights):
    """Built from the weights of the whole model: what inference does not need is left out, the rest has to fit exactly."""
    return build_masa(weights)


class Case:
    def __init__(self, path, model):
        self.arrays = dict(np.load(path))
        self.facts = json.loads(path.with_suffix(".json").read_text())
        self.long_side = self.facts["resize_scale"][0]
        self.model = model
        self.frames = range(len(self.arrays["frames_rgb"]))
        self._stages = {}

    @cached_property
    def embeddings(self):
        boxes = [self.arrays[f"f{number}_boxes"] for number in self.frames]
        return self.model.embed(list(self.arrays["frames_rgb"]), boxes, self.long_side)

    def array(self, number, name):
        return torch.from_numpy(self.arrays[f"f{number}_{name}"])

    def stages(self, number, from_pixels=False):
        key = (number, from_pixels)
        if key not in self._stages:
            self._stages[key] = self._compute(number, from_pixels)
        return self._stages[key]

    @torch.inference_mode()
    def _compute(self, number, from_pixels):
        model = self.model
        pixels, _ = prepare(self.arrays["frames_rgb"][number][None], self.long_side)
        if not from_pixels:
            # Recorded thinned in the larger case; there the stages begin at the frame.
            recorded = self.array(number, "input")[None]
            pixels = recorded if recorded.shape == pixels.shape else pixels
        found = {"input": pixels}
        stages = model.backbone(pixels)
        pyramid, fusion = model.masa_adapter
        levels = pyramid(stages)
        found |= {f"backbone_c{n + 2}": level for n, level in enumerate(stages)}
        found |= {f"fpn_p{n + 2}": level for n, level in enumerate(levels)}
        convolution = fusion.dyhead_blocks[0].spatial_conv_offset
        found |= {f"offset_mask0_p{n + 2}": convolution(level) for n, level in enumerate(levels)}
        for turn, block in enumerate(fusion.dyhead_blocks):
            levels = block(levels, range(LEVELS))
            found |= {f"fuse{turn}_p{n + 2}": level for n, level in enumerate(levels)}
        rois = self.array(number, "rois")
        found["roi_feat"] = roi_features(levels[:4], rois)
        head = model.track_head.embed_head
        found["head_conv4"] = head.convs(found["roi_feat"])
        found["head_fc_pre_relu"] = head.fcs[0](found["head_conv4"].flatten(1))
        found["embed"] = head.fc_embed(F.relu(found["head_fc_pre_relu"]))
        return found


@pytest.fixture(scope="module", params=FEATURES)
def case(request, model):
    return Case(request.param, model)


def differences(case, number, from_pixels=False):
    result = {}
    for name, ours in case.stages(number, from_pixels).items():
        if f"f{number}_{name}" not in case.arrays:
            continue
        recorded = case.array(number, name)
        ours = ours[0] if ours.dim() == recorded.dim() + 1 else ours
        # [::c, ::h, ::w] where the map was thinned before it was stored; head_conv4 keeps every fourth channel.
        steps = case.facts["stored_step_chw"].get(f"f{number}_{name}")
        ours = ours[tuple(slice(None, None, step) for step in steps)] if steps else ours
        ours = ours[:, ::4] if name == "head_conv4" else ours
        assert ours.shape == recorded.shape, name
        result[name] = float((ours - recorded).abs().max())
    return result


def test_there_are_cases_for_everybody():
    assert [path.name for path in fixture_folders("masa")[-1].iterdir() if path.suffix == ".npz"]


def test_weights_have_the_released_names_and_shapes():
    recorded = json.loads((fixture_folders("masa")[-1] / "features_small.json").read_text())["weights"]
    assert digest(own_shapes()) == recorded


def test_every_stage_from_the_recorded_input(case, record_property):
    for number in case.frames:
        found = differences(case, number)
        record_property(f"frame {number}", {name: f"{value:.1e}" for name, value in found.items()})
        assert {"backbone_c5", "embed", "roi_feat"} <= set(found) or number > 0
        whole = case.stages(number)["input"].shape[1:] == case.array(number, "input").shape
        limit = TOLERANCE if whole else 4 * TOLERANCE
        assert not {name: value for name, value in found.items() if value > limit and name != "input"}


def test_every_stage_from_the_frame(case):
    for number in case.frames:
        found = differences(case, number, from_pixels=True)
        assert found.pop("input") < 2e-4
        early = {name: found.pop(name) for name in list(found) if name.startswith(("backbone", "fpn", "offset"))}
        assert not {name: value for name, value in early.items() if value > 2e-4}
        assert not {name: value for name, value in found.items() if value > 1e-4}


def test_statistics_of_whole_maps(case):
    """Maps that are recorded thinned are compared as a whole by their mean, deviation and largest value."""
    for number in case.frames:
        for name, facts in case.facts["frames"][number]["stats"].items():
            ours = case.stages(number).get(name)
            if ours is None:
                continue
            assert list(ours.shape[1:]) == facts["shape"] or list(ours.shape) == facts["shape"], name
            assert float(ours.mean()) == pytest.approx(facts["mean"], abs=2e-5), name
            assert float(ours.std(correction=0)) == pytest.approx(facts["std"], rel=1e-4), name
            assert float(ours.abs().max()) == pytest.approx(facts["absmax"], abs=2e-4), name


def test_boxes_reach_the_network_exactly(case):
    for number in case.frames:
        _, scale = prepare(case.arrays["frames_rgb"][number][None], case.long_side)
        ours = masa._rois(case.arrays[f"f{number}_boxes"], scale, 0)
        assert torch.equal(ours, case.array(number, "rois"))


def test_embeddings_by_the_public_way(case):
    """All frames in one batch, levels that no box needs left out."""
    for number, embeddings in enumerate(case.embeddings):
        np.testing.assert_allclose(embeddings, case.arrays[f"f{number}_embed"], rtol=0, atol=1e-4)


def test_a_level_is_the_same_where_others_are_left_out(model):
    case = Case(fixture_folders("masa")[-1] / "features_small.npz", model)
    pixels = case.stages(0)["input"]
    with torch.inference_mode():
        for place in range(4):
            levels = model.features(pixels, {place})
            assert [level is not None for level in levels] == [n == place for n in range(LEVELS)]
            assert (levels[place] - case.stages(0)[f"fuse2_p{place + 2}"]).abs().max() < 1e-5


def test_the_tracker_on_these_frames(case):
    tracker = TaoTracker(TaoSettings())
    for number, embeddings in enumerate(case.embeddings):
        boxes, scores, labels = (case.arrays[f"f{number}_{name}"] for name in ("boxes", "scores", "labels"))
        tracked = tracker.update(number / 30, boxes, scores, labels, embeddings)
        for name, recorded in (("boxes", "bboxes"), ("scores", "scores"), ("labels", "labels"), ("ids", "ids")):
            np.testing.assert_array_equal(getattr(tracked, name), case.arrays[f"f{number}_track_{recorded}"])
        if f"f{number}_match" in case.arrays:
            assert tracker.match is not None
            np.testing.assert_allclose(tracker.match, case.arrays[f"f{number}_match"], rtol=0, atol=1e-5)


@pytest.fixture(scope="module", params=OPERATORS)
def ops(request):
    return {name: torch.from_numpy(array) for name, array in np.load(request.param).items()}


@pytest.mark.parametrize(("name", "stride"), [("s1", 1), ("s2", 2)])
def test_the_deformable_convolution(ops, name, stride):
    ours = deformable_convolution(ops["dcn_x"], ops[f"dcn_{name}_offset"], ops[f"dcn_{name}_mask"], ops["dcn_w"], stride)
    assert (ours - ops[f"dcn_{name}_out"]).abs().max() < 1e-5


def test_the_deformable_convolution_with_maps_of_twice_the_size(ops):
    """Only the first values in memory count, in rows of the smaller size."""
    rows, columns = ops["dcn_big_out"].shape[-2:]
    offset, mask = (
        ops[f"dcn_big_{name}"].flatten(1)[:, : count * rows * columns].view(1, count, rows, columns)
        for name, count in (("offset", 18), ("mask", 9))
    )
    ours = deformable_convolution(ops["dcn_x"], offset, mask, ops["dcn_w"])
    assert (ours - ops["dcn_big_out"]).abs().max() < 1e-5


def test_the_branches_use_the_channels_that_the_release_gives_them():
    assert [tuple(branch) for branch in (masa.MID, masa.LOW, masa.HIGH)] == [(0, 54), (18, 63), (36, 72)]


def test_roi_align(ops):
    assert (roi_align(ops["roi_in"], ops["roi_rois"], 0.25) - ops["roi_out"]).abs().max() < 1e-5


def test_the_resize(ops):
    recorded = ops["resize_out_rgb"]
    pixels, _ = prepare(ops["resize_in_rgb"][None].numpy(), max(recorded.shape[:2]))
    ours = pixels[0].permute(1, 2, 0) * torch.tensor(masa.DEVIATION) + torch.tensor(masa.MEAN)
    assert (ours[: recorded.shape[0], : recorded.shape[1]] - recorded).abs().max() < 5e-3


def settings_of(recorded):
    """The released settings, which count in frames, in seconds."""
    rate = recorded["fps"]
    return TaoSettings(
        init_score=recorded["init_score_thr"],
        obj_score=recorded["obj_score_thr"],
        match_score=recorded["match_score_thr"],
        memory=recorded["memo_tracklet_frames"] / rate,
        momentum=recorded["memo_momentum"],
        distractor_score=recorded["distractor_score_thr"],
        distractor_overlap=recorded["distractor_nms_thr"],
        max_distance=None if recorded["max_distance"] == -1 else recorded["max_distance"],
        decay=100 / rate,
    )


@pytest.fixture(scope="module", params=sequences())
def sequence(request):
    """A recorded sequence run through our tracker: the recorded arrays, and for each frame what ours gave."""
    path, name = request.param
    facts, arrays = json.loads(path.with_suffix(".json").read_text()), dict(np.load(path))
    tracker, rate = TaoTracker(settings_of(facts["settings"][name])), facts["settings"][name]["fps"]
    frames, matches, memories = [], [], []
    for number, (first, last) in enumerate(zip(arrays["frame_ptr"][:-1], arrays["frame_ptr"][1:], strict=True)):
        inputs = [arrays[f"in_{key}"][first:last] for key in ("boxes", "scores", "labels", "embeds")]
        frames.append(tracker.update(number / rate, *inputs))
        matches.append(tracker.match)
        memories.append(list(tracker.memory))
    parts = {key.removeprefix(f"{name}_"): value for key, value in arrays.items() if key.startswith(f"{name}_")}
    ours = {"frames": frames, "matches": matches, "memories": memories, "tracker": tracker}
    return SimpleNamespace(**ours, recorded=parts, rate=rate, size=facts["image_size_wh"])


def test_identities_labels_boxes_and_scores_are_exact(sequence):
    for key in ("ids", "labels", "boxes", "scores"):
        ours = np.concatenate([getattr(frame, key) for frame in sequence.frames])
        np.testing.assert_array_equal(ours, sequence.recorded[key])
    assert np.cumsum([0, *(len(frame.ids) for frame in sequence.frames)]).tolist() == sequence.recorded["ptr"].tolist()


def test_match_matrices(sequence):
    shapes = sequence.recorded["match_shape"]
    ends = np.cumsum(shapes.prod(axis=1))
    for match, shape, end in zip(sequence.matches, shapes, ends, strict=True):
        if match is None:
            assert shape.prod() == 0
            continue
        recorded = sequence.recorded["match_flat"][end - shape.prod() : end].reshape(shape)
        np.testing.assert_allclose(match, recorded, rtol=0, atol=1e-5)


def test_the_memory(sequence):
    pointer, ids = sequence.recorded["memory_ptr"], sequence.recorded["memory_ids"]
    for number, memory in enumerate(sequence.memories):
        assert sorted(memory) == sorted(ids[pointer[number] : pointer[number + 1]].tolist())
    for row, id_ in enumerate(sequence.recorded.get("final_mem_ids", [])):
        track = sequence.tracker.memory[int(id_)]
        assert round(track.last * sequence.rate) == sequence.recorded["final_mem_last"][row]
        np.testing.assert_allclose(track.embedding, sequence.recorded["final_mem_embeds"][row], rtol=0, atol=1e-5)
        np.testing.assert_array_equal(track.box, sequence.recorded["final_mem_boxes"][row])


def test_the_clean_up_of_a_finished_clip(sequence):
    if "post_ids" not in sequence.recorded:
        pytest.skip("recorded for one setting of the large fixtures alone")
    frames = smooth(remove_giants(sequence.frames, *sequence.size))
    for key, tolerance in (("ids", 0), ("labels", 0), ("boxes", 1e-3), ("scores", 1e-5)):
        ours = np.concatenate([getattr(frame, key) for frame in frames])
        np.testing.assert_allclose(ours, sequence.recorded[f"post_{key}"], rtol=0, atol=tolerance)


def test_the_released_frame_size_is_the_default():
    assert masa.LONG_SIDE == 1024
