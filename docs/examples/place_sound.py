"""Places a sound where a person is in a clip.

python docs/examples/place_sound.py clip.mp4 birds.wav placed.mp4
"""

import sys

from stereosync_core import Sound, SpatializeSettings, estimate_depth, mux, probe, read_sound, spatialize, track_video


def main(clip: str, sound_file: str, result: str) -> None:
    sound = read_sound(sound_file)
    if sound is None:
        raise SystemExit(f"{sound_file} has no sound.")
    tracks = track_video(clip, classes="person")
    settings = SpatializeSettings(mode="binaural", room=0.1)  # for headphones; "pan" suits loudspeakers as well
    duration = probe(clip).duration
    stereo = spatialize(sound.samples[None], sound.rate, tracks, settings, duration=duration, depth=estimate_depth(clip))
    report = mux(clip, Sound(stereo, sound.rate), result)
    print(f"{result}: {len(tracks)} of the tracked, {report.codec}")


if __name__ == "__main__":
    main(*sys.argv[1:])
