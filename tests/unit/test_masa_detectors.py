"""Detectors of transformers, from folders with tiny networks of random weights, and boxes that others found."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from stereosync_core.tracking.boxes import GivenBoxes
from stereosync_core.tracking.detections import Detections, split_names, suppress_overlaps
from stereosync_core.tracking.nanodet import NanoDetDetector
from stereosync_core.tracking.registry import DETECTORS, load_detector
from stereosync_core.tracking.transformers_detectors import DetectorModel, TransformersDetector, token_spans
from tests.errors import refused

transformers = pytest.importorskip("transformers")
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", "person", "red", "car", "dog"]
PICTURE = np.random.default_rng(0).integers(0, 255, (48, 96, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def by_text(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "tiny-dino"
    torch.manual_seed(0)
    backbone = transformers.SwinConfig(
        image_size=64, embed_dim=12, depths=[1, 1, 1, 1], num_heads=[1, 1, 2, 2], window_size=4, out_indices=[2, 3, 4]
    )
    text = transformers.BertConfig(
        vocab_size=len(WORDS), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
    )
    encoder = {"encoder_layers": 1, "encoder_attention_heads": 2, "encoder_ffn_dim": 32, "num_feature_levels": 3}
    decoder = {"decoder_layers": 2, "decoder_attention_heads": 2, "decoder_ffn_dim": 32, "num_queries": 12}
    shared = {"backbone_config": backbone, "text_config": text, "d_model": 32, "max_text_len": 32}
    config = transformers.GroundingDinoConfig(**shared, **encoder, **decoder)
    transformers.GroundingDinoForObjectDetection(config).save_pretrained(folder)
    vocabulary = folder / "vocab.txt"
    vocabulary.write_text("\n".join(WORDS))
    tokenizer = transformers.BertTokenizer(str(vocabulary))
    images = transformers.GroundingDinoImageProcessor(size={"shortest_edge": 32, "longest_edge": 64})
    transformers.GroundingDinoProcessor(images, tokenizer).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def by_classes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "tiny-detr"
    torch.manual_seed(0)
    layers = {"embedding_size": 8, "hidden_sizes": [8, 8, 16, 16], "depths": [1, 1, 1, 1], "layer_type": "basic"}
    backbone = transformers.RTDetrResNetConfig(**layers, out_features=["stage2", "stage3", "stage4"])
    encoder = {"encoder_hidden_dim": 16, "encoder_in_channels": [8, 16, 16], "encoder_ffn_dim": 16}
    decoder = {"decoder_layers": 2, "decoder_in_channels": [16] * 3, "decoder_ffn_dim": 16, "decoder_attention_heads": 2}
    shared = {"backbone_config": backbone, "d_model": 16, "num_queries": 12, "num_denoising": 0, "encoder_attention_heads": 2}
    config = transformers.RTDetrConfig(**shared, **encoder, **decoder, id2label={0: "person", 1: "car", 2: "dog"})
    transformers.RTDetrForObjectDetection(config).save_pretrained(folder)
    transformers.RTDetrImageProcessor(size={"height": 64, "width": 64}).save_pretrained(folder)
    return folder


def test_a_detector_by_text_scores_a_phrase_by_the_mean_over_its_words(by_text):
    model = load_detector(by_text)
    detector = model.detector("Red Car, person")
    assert detector.classes == ["red car", "person"]
    seen = {}
    network = model.network.forward

    def spy(**inputs):
        seen["output"], seen["tokens"] = network(**inputs), inputs["input_ids"]
        return seen["output"]

    model.network.forward = spy
    (found,) = detector.detect([0.0], [PICTURE])
    tokens = seen["tokens"][0].tolist()
    assert [WORDS[token] for token in tokens] == ["[CLS]", "red", "car", ".", "person", ".", "[SEP]"]
    chances = seen["output"].logits[0].sigmoid()
    expected = torch.stack([chances[:, 1:3].mean(dim=1), chances[:, 4]], dim=1)
    assert found.scores.max() == pytest.approx(float(expected.max()), abs=1e-5)
    assert set(found.labels) <= {"red car", "person"}
    assert ((found.boxes >= 0) & (found.boxes <= 1)).all()


def test_frames_in_a_batch_give_what_each_gives_alone(by_text, by_classes):
    other = PICTURE[::-1].copy()
    for folder in (by_text, by_classes):
        detector = load_detector(folder).detector("person, car")
        together = detector.detect([0.0, 0.1], [PICTURE, other])
        for picture, found in zip((PICTURE, other), together, strict=True):
            (alone,) = detector.detect([0.0], [picture])
            np.testing.assert_allclose(found.scores, alone.scores, atol=1e-5)


def test_a_detector_with_a_class_list_gives_the_wanted_classes(by_classes):
    model = load_detector(by_classes)
    assert model.names == ["person", "car", "dog"]
    (found,) = model.detector("Dog").detect([0.0], [PICTURE])
    assert set(found.labels) <= {"dog"}
    (everything,) = model.detector("all").detect([0.0], [PICTURE])
    assert len(everything) >= len(found)
    refused(r"does not know unicorn.*person, car, dog", model.detector, "unicorn")


def test_spans_of_phrases_and_empty_text(by_text):
    tokenizer = SimpleNamespace(convert_tokens_to_ids=lambda word: 5, all_special_ids=[0, 2, 3], unk_token_id=1)
    assert token_spans([2, 7, 8, 5, 6, 5, 3, 0, 0], tokenizer) == [[1, 2], [4]]
    assert split_names("person. Dog ., dog") == ["person", "dog"]
    refused("text is empty", load_detector(by_text).detector, " . ")


def test_folders_that_hold_no_detector_are_named(tmp_path, by_text):
    refused("no model folder", load_detector, tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "detr"}))
    refused("'detr' model; supported are", load_detector, tmp_path)
    (tmp_path / "config.json").write_text((by_text / "config.json").read_text())
    refused("cannot be loaded", load_detector, tmp_path)


def test_overlaps_are_suppressed_across_classes():
    found = Detections(
        np.array([[0, 0, 0.5, 0.5], [0, 0, 0.5, 0.45], [0.6, 0, 1, 1]]), np.array([0.5, 0.9, 0.3]), ("a", "b", "c")
    )
    assert suppress_overlaps(found).labels == ("b", "c")


def test_the_bundled_detector_takes_frames_of_any_size():
    (found,) = NanoDetDetector("all").detect([0.0], [np.zeros((37, 111, 3), dtype=np.uint8)])
    assert found.boxes.shape[1] == 4


def test_boxes_of_other_packs_are_those_on_screen():
    boxes = [[(10, 10, 20, 20)], [], [(50, 10, 20, 20), (0, 0, 10, 10)]]
    given = GivenBoxes.of_boxes(boxes, np.array([0.0, 0.5, 1.0]), 100, 50)
    assert [len(found) for found in given.detect([0.0, 0.49, 0.5, 1.7], [PICTURE] * 4)] == [1, 1, 0, 2]
    assert len(GivenBoxes.of_boxes(boxes[0], np.arange(5.0), 100, 50).entries) == 5
    refused("3 frames of boxes but the clip has 2 frames", GivenBoxes.of_boxes, boxes, np.arange(2.0), 100, 50)
    refused("another size", GivenBoxes.of_boxes, boxes, np.arange(3.0), 20, 20)


def test_every_connected_piece_of_a_mask_is_an_object_and_specks_are_none():
    masks = np.zeros((1, 50, 100))
    masks[0, 10:30, 10:20] = masks[0, 20:40, 60:90] = masks[0, 49, 99] = 1
    (found,) = GivenBoxes.of_masks(masks, np.zeros(1)).detect([0.0], [PICTURE])
    assert found.boxes.tolist() == [[0.1, 0.2, 0.2, 0.6], [0.6, 0.4, 0.9, 0.8]]
    refused("one for each frame", GivenBoxes.of_masks, masks[0], np.zeros(1))


def test_a_detector_is_what_a_model_of_any_registered_kind_gives(by_classes):
    assert isinstance(load_detector(by_classes).detector("all"), TransformersDetector)
    assert all(issubclass(kind, DetectorModel) for kind in DETECTORS.values())
