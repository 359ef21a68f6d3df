"""The dry voice of everybody and everything that sounds in a room: synthesised steps, recorded takes, loops.

The engine gets each event's sound as a lump, and a clip's reader makes the same samples anew from the clip's facts.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from stereosync_core.metrics.truth import AFTER
from stereosync_core.rendering.footsteps import PEAK, render_footsteps
from stereosync_core.rendering.gait import Steps

from .effects import equalise, layered, peak_of, shift_pitch
from .takes import Samples, Take, samples_in

TICS_PER_SECOND = 35
RATE = 44100
#: Samples a tic.
TIC = RATE // TICS_PER_SECOND
#: Tics before the clip: the player's body settles, and everybody walks already when the picture begins.
PREROLL = 8
#: A loop starts at this tic of the pre-roll, so that it goes on already when the picture begins.
LOOP_TIC = 3
#: Root mean square of a loop of strength 1; a step's of strength 1, while it sounds, is about as much.
LOOP_LEVEL = 0.1
_STEP_SPACING = 1.2  # seconds, more than any step rings
_FADE = 0.02


@dataclass(frozen=True)
class Voice:
    """What sounds, apart from when.

    :param surface: under the feet, with ``shoe``, ``weight`` and ``sound_seed`` of the footstep synthesizer: they give the same
        samples anywhere.
    :param takes: the recorded sound of each event; of none where all are synthesised; a loop's alone.
    :param loop: whether it sounds all the time, from before the clip to its end, at ``loop_strength`` in 0..1.
    :param longest: seconds of a recorded sound, which fades out there: the engine plays four of an actor at once.
    """

    surface: str
    shoe: str
    weight: float
    sound_seed: int
    takes: tuple[Take, ...] = ()
    loop: bool = False
    loop_strength: float = 0.0
    longest: float = 1.0

    def lasts(self, samples: Samples) -> float:
        """Seconds in which a sound gives off all but a hundredth of its energy, at least a step's; infinite: a loop."""
        if self.loop:
            return float("inf")
        lengths = [samples.lasts(take.sound) / 2 ** (take.semitones / 12) for take in self.takes]
        return max(AFTER, min(max(lengths, default=0.0), self.longest))

    def single_sounds(self, strengths: np.ndarray, samples: Samples | None = None) -> list[np.ndarray]:
        """The sound of each event ``[N]``, mono float32 at 44.1 kHz; peaks follow strengths in 0..1, of which 0 is silent."""
        if self.loop:
            raise ValueError("a loop has no events")
        if not self.takes:
            return self._synthesised(strengths)
        samples = samples or samples_in()
        layer = self._synthesised(strengths) if any(take.layer is not None for take in self.takes) else None
        sounds = []
        for n, (take, strength) in enumerate(zip(self.takes, strengths, strict=True)):
            sound = _changed(take, self.longest, samples)
            if take.layer is not None and layer is not None and strength > 0:
                sound = layered(sound, layer[n], take.layer)
            sounds.append(sound * np.float32(PEAK * strength * 10 ** (min(take.level, 0.0) / 20) / max(peak_of(sound), 1e-9)))
        return sounds

    def _synthesised(self, strengths: np.ndarray) -> list[np.ndarray]:
        count = len(strengths)
        if not count:
            return []
        apart = Steps(np.arange(count) * _STEP_SPACING, strengths, np.arange(count) % 2)
        manner = {"shoe": self.shoe, "weight": self.weight, "seed": self.sound_seed}
        voice = render_footsteps(apart, self.surface, count * _STEP_SPACING, RATE, **manner)[0]
        return [sound[: int(np.flatnonzero(sound)[-1]) + 1] if sound.any() else sound[:1] for sound in np.split(voice, count)]

    def looped(self, length: int, samples: Samples | None = None) -> np.ndarray:
        """``length`` samples of the loop from its start, mono float32; silence where the voice is none."""
        if not self.loop:
            return np.zeros(length, np.float32)
        take, samples = self.takes[0], samples or samples_in()
        sound = shift_pitch(samples[take.sound], take.semitones, loop=True)
        sound = equalise(np.tile(sound, -(-length // len(sound)))[:length], RATE, take.low, take.middle, take.high)
        fade = round(_FADE * RATE)
        sound[:fade] *= np.linspace(0, 1, fade, dtype=np.float32)
        level = max(float(np.sqrt((sound.astype(np.float64) ** 2).mean())), 1e-9)
        return sound * np.float32(self.loop_strength * min(LOOP_LEVEL / level, PEAK / max(peak_of(sound), 1e-9)))

    def render(self, tics: np.ndarray, strengths: np.ndarray, duration: float, samples: Samples | None = None) -> np.ndarray:
        """The voice float32 ``[round(duration * 44100)]`` as the engine plays it: the sounds of the events at ``tics`` of the
        clip (1/35 s), or the loop; ``samples`` of the library that the clip was made with, None = of the bundled one."""
        total = round(duration * RATE)
        if self.loop:
            return placed([LOOP_TIC - PREROLL], [self.looped(total + (PREROLL - LOOP_TIC) * TIC, samples)], total)
        return placed(tics, self.single_sounds(strengths, samples), total)


def placed(tics: Iterable[int], sounds: list[np.ndarray], total: int) -> np.ndarray:
    """Sounds that start at tics of a clip of ``total`` samples, mono float32; what is before the clip and after it is cut."""
    voice = np.zeros(total, np.float32)
    for tic, sound in zip(tics, sounds, strict=True):
        start = int(tic) * TIC
        sound = sound[max(-start, 0) : max(total - start, 0)]
        voice[max(start, 0) : max(start, 0) + len(sound)] += sound
    return voice


def _changed(take: Take, longest: float, samples: Samples) -> np.ndarray:
    sound = shift_pitch(samples[take.sound], take.semitones)[: round(longest * RATE)]
    sound = equalise(sound, RATE, take.low, take.middle, take.high)
    fade = len(sound) // 5 if len(sound) == round(longest * RATE) else min(round(_FADE * RATE), len(sound))
    sound[len(sound) - fade :] *= np.linspace(1, 0, fade, dtype=np.float32)
    return sound
