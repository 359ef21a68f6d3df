"""Measures whether a clip's sound comes from where the tracked person is, and draws it.

python docs/examples/measure.py clip.mp4 figure.png
"""

import sys

from PIL import Image

from stereosync_core import alignment_report, estimate_depth, read_sound, to_stereo, track_video


def main(clip: str, figure_file: str) -> None:
    sound = read_sound(clip)
    if sound is None:
        raise SystemExit(f"{clip} has no sound.")
    tracks = track_video(clip, classes="person")
    metrics, figure = alignment_report(to_stereo(sound.samples), sound.rate, tracks, depth=estimate_depth(clip))
    for name in ("placement", "azimuth_error", "spatial_av_align", "law"):
        print(f"{name}: {metrics[name]}")
    Image.fromarray(figure).save(figure_file)


if __name__ == "__main__":
    main(*sys.argv[1:])
