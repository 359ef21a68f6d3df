"""Generates a sound for a clip with the bundled model: where its people are and when they move.

python docs/examples/generate.py clip.mp4 generated.mp4
"""

import sys

from stereosync_core import SpatialConditioning, StereoSyncPipeline, envelope_of_clip, estimate_depth, mux, track_video


def main(clip: str, result: str) -> None:
    tracks = track_video(clip, classes="person")
    pipeline = StereoSyncPipeline.from_pretrained("bundled")
    envelope = envelope_of_clip(pipeline.model.envelope_reader, clip, tracks, pipeline.model.latent_rate)
    scene = SpatialConditioning(tracks, estimate_depth(clip))
    sound = pipeline(scene, envelope=envelope, timbre="gravel", seed=1)
    mux(clip, sound, result)
    print(f"{result}: {sound.duration:.2f} s at {sound.rate} Hz")


if __name__ == "__main__":
    main(*sys.argv[1:])
