"""Stable Audio Open in a real ComfyUI, at a narrow width: our own sampler and the host's, over the same file."""

import numpy as np

from tests.demo_check import sound_of
from tests.host.conftest import produced
from tests.stable_audio_release import CHECKPOINT, RELEASE, TEXT_ENCODER


def texts(graph):
    clip = graph.add("CLIPLoader", clip_name=TEXT_ENCODER, type="stable_audio")
    return [graph.add("CLIPTextEncode", clip=clip, text=text) for text in ("footsteps on gravel", "")]


def saved(host, graph, audio):
    saving = graph.add("SaveAudio", audio=audio, filename_prefix="stable_audio")
    sound, rate = sound_of(produced(host, graph, saving, "audio"))
    assert rate == 44100
    assert np.isfinite(sound).all()
    return sound


def test_the_host_itself_samples_the_narrow_model(host, graph):
    checkpoint = graph.add("CheckpointLoaderSimple", ckpt_name=CHECKPOINT)
    positive, negative = texts(graph)
    latent = graph.add("EmptyLatentAudio", seconds=2.0)
    sampled = graph.add("KSampler", model=checkpoint.MODEL, positive=positive, negative=negative, latent_image=latent, steps=3)
    assert np.abs(saved(host, graph, graph.add("VAEDecodeAudio", samples=sampled, vae=checkpoint.VAE))).max() > 1e-3


def test_our_own_sampler_makes_sound_of_the_length_asked_for_and_latents_that_the_host_decodes(host, graph):
    model = graph.add("StereoSyncStableAudioLoader", model=RELEASE)
    positive, negative = texts(graph)
    given = {"positive": positive, "negative": negative, "steps": 3, "seconds": 1.3}
    sampler = graph.add("StereoSyncStableAudioSampler", model=model, **given)
    sound = saved(host, graph, sampler.audio)
    assert sound.shape == (2, 57330)
    checkpoint = graph.add("CheckpointLoaderSimple", ckpt_name=CHECKPOINT)
    decoded = saved(host, graph, graph.add("VAEDecodeAudio", samples=sampler.latent, vae=checkpoint.VAE))
    assert decoded.shape == (2, 28 * 2048)
    # the host makes loud sound quieter
    ratio = np.linalg.norm(sound) / np.linalg.norm(decoded[:, :57330])
    assert np.abs(decoded[:, :57330] * ratio - sound).max() < 1e-2 * np.abs(sound).max()
