"""Precisions, and hosts that are short of memory: both ways over Stable Audio Open make sound in each."""

from pathlib import Path

import numpy as np
import pytest

from tests.host.conftest import run
from tests.host.graph import Graph
from tests.host.test_native import applied, checkpoint_of, memory_freed, scene, walked
from tests.host.test_stable_audio import saved, texts
from tests.stable_audio_release import NARROW, RELEASE, provide_stable_audio
from tools.host import Host

MODES = [
    ("bf16", "--bf16-unet", "--cache-none"),
    ("fp16", "--fp16-unet", "--disable-smart-memory"),
    ("fp32", "--fp32-unet", "--deterministic", "--cache-classic"),
]


@pytest.fixture(params=MODES, ids=lambda mode: mode[0], scope="module")
def short(request, environment):
    kind, *arguments = request.param
    packs = [Path(__file__).parent / "node_pack", NARROW]
    with Host(environment, packs=packs, arguments=["--disable-api-nodes", *arguments]) as running:
        provide_stable_audio(running.base / "models")
        yield running, kind


def test_both_ways_make_sound_with_an_adapter(short):
    host, kind = short
    graph = Graph(host.object_info())
    conditioning, checkpoint = scene(graph), checkpoint_of(graph)
    native = walked(graph, applied(graph, checkpoint.MODEL, conditioning, adapter="aligned"), steps=2)
    sound = saved(host, graph, graph.add("VAEDecodeAudio", samples=native.output, vae=checkpoint.VAE))
    assert np.abs(sound).max() > 1e-4
    assert f"weight dtype torch.{ {'bf16': 'bfloat16', 'fp16': 'float16', 'fp32': 'float32'}[kind] }" in host.log.read_text()
    model = graph.add("StereoSyncStableAudioLoader", model=RELEASE, adapter="aligned", precision=kind)
    positive, _ = texts(graph)
    own = graph.add("StereoSyncStableAudioSampler", model=model, positive=positive, steps=2, **conditioning)
    assert np.abs(saved(host, graph, own.audio)).max() > 1e-4


def test_our_own_sampler_holds_no_more_after_a_second_run_and_lets_go_when_the_host_asks(host, object_info):
    held = []
    for seed, adapter in ((1, "aligned"), (2, "paper"), (3, "aligned")):
        graph = Graph(object_info)
        model = graph.add("StereoSyncStableAudioLoader", model=RELEASE, adapter=adapter)
        positive, _ = texts(graph)
        sampled = graph.add("StereoSyncStableAudioSampler", model=model, positive=positive, seed=seed, steps=2, **scene(graph))
        looked = graph.add("TestMemory", after=sampled.latent)
        held.append(run(host, graph).outputs[looked.number])
    assert held[1] == held[2]
    assert held[1]["adapters"] == [1]
    assert held[1]["loaded"].count("GenerativeModel") == 2, "the bundled model, for envelope and timbre, and one release"
    assert memory_freed(host, object_info) == {"loaded": [], "adapters": [0]}


def test_a_network_of_the_pack_is_on_the_device_whole_or_not_at_all(host, graph):
    looked = graph.add("TestShortOfMemory", model=graph.add("StereoSyncStableAudioLoader", model=RELEASE))
    assert run(host, graph).outputs[looked.number] == {"loaded": ["meta"], "freed": [0]}
