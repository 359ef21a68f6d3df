"""When the feet hit the ground: step times from a walker's boxes, from a loudness envelope or from a given cadence.

A walker's box breathes once a step: while both feet are on the ground, right after a heel strike, the legs are farthest apart
(the box is widest) and the head is lowest. The cadence is the most probable path of a frequency through time, given how well a
sinusoid of that frequency explains the box's oscillation and given how fast the walker moves; where the boxes show no
oscillation (seen from the front, jittery, few a second) the walking speed decides alone. The steps are then placed by dynamic
programming, on the crests of the oscillation and about one period apart (D. Ellis, "Beat Tracking by Dynamic Programming", J.
New Music Research 36, 2007).
"""

from dataclasses import dataclass

import numpy as np
from numpy.random import PCG64, Generator
from scipy.ndimage import binary_closing, binary_opening, gaussian_filter1d
from scipy.signal import find_peaks, savgol_filter

from ..errors import StereoSyncError
from ..scene import Envelope, Track, freeze
from ..scene_camera import CameraMotion

#: Steps a second from a stroll to a run.
CADENCE_RANGE = (1.2, 3.2)
#: Metres: turns body heights into metres where only the usual size of a person is known.
BODY_HEIGHT = 1.7
#: Step length over cadence in metres x minutes, nearly the same at every speed of walking (Sekiya et al., "The invariant
#: relationship between step length and step rate during free walking", J. Human Movement Studies 30, 1996).
WALK_RATIO = 0.0065

#: Periods by which the crest of the box's oscillation, the middle of the time on both feet, follows the heel strike: half of
#: the quarter of a step that walkers spend on both feet (J. Perry, "Gait Analysis", 1992).
DOUBLE_SUPPORT = 0.12

_RATE = 100.0  # of the grid that steps are placed on, Hz
_FREQUENCIES = np.geomspace(*CADENCE_RANGE, 41)
_WINDOW, _HOP = 3.0, 0.5  # of the cadence analysis, seconds
_PRIOR_SPREAD = 0.2  # of the logarithm of the cadence around the one expected from the speed
_DRIFT = 0.06  # of the logarithm of the cadence from one window to the next
_FOCAL_LENGTH = 1.5  # in frame heights, of an ordinary lens: what turns growth of the box into speed towards the camera
_STANDING_SPEED = 0.15  # body heights a second; below, only a clear bob counts as walking
_CLEAR_BOB = 12.0  # log likelihood ratio that chance does not reach, neither in a minute of jittering boxes
_PEAK_PROMINENCE, _PEAK_SPACING = 0.15, 0.18  # of an envelope's peaks: part of its range, and seconds from peak to peak
_TIGHTNESS = 60.0  # of the spacing of steps against their places on the oscillation's crests


@dataclass(frozen=True)
class Steps:
    """Contacts of feet with the ground. Raises StereoSyncError when lengths differ, or values are out of range."""

    times: np.ndarray  # seconds [N], rising
    strengths: np.ndarray  # [N] in 0..1, 1 = a stamp
    feet: np.ndarray  # [N], 0 = left, 1 = right

    def __post_init__(self):
        times, strengths = np.asarray(self.times, dtype=np.float64), np.asarray(self.strengths, dtype=np.float64)
        feet = np.asarray(self.feet, dtype=np.int64)
        if times.ndim != 1 or not times.shape == strengths.shape == feet.shape:
            raise StereoSyncError(
                f"Steps: {times.shape} times, {strengths.shape} strengths and {feet.shape} feet; give lists of equal length."
            )
        if not (np.isfinite(times).all() and (np.diff(times) > 0).all()):
            raise StereoSyncError("Steps: times must be finite seconds that rise; sort them and drop repeated ones.")
        if not ((strengths >= 0) & (strengths <= 1)).all():
            raise StereoSyncError("Steps: strengths must be in 0..1; divide them by their largest.")
        if not np.isin(feet, (0, 1)).all():
            raise StereoSyncError("Steps: feet must be 0 (left) or 1 (right).")
        freeze(self, times=times, strengths=strengths, feet=feet)

    def __len__(self) -> int:
        return len(self.times)


def _alternating(times: np.ndarray, strengths: np.ndarray) -> Steps:
    return Steps(times, strengths, np.arange(len(times)) % 2)


def cadence_from_speed(speed):
    """Steps a second that a person takes at ``speed`` (body heights a second), by the invariant walk ratio: speed = step length
    x cadence and step length = walk ratio x cadence, so the cadence goes with the root of the speed."""
    per_minute = np.sqrt(60.0 * np.maximum(speed, 0.0) * BODY_HEIGHT / WALK_RATIO)
    return np.clip(per_minute / 60.0, *CADENCE_RANGE)


def steps_from_track(
    track: Track, duration: float, *, max_gap: float = 0.5, aspect: float = 16 / 9, camera: CameraMotion | None = None
) -> Steps:
    """Steps of a walker from the motion of the box, only while the walker is in the picture.

    :param duration: length of the clip in seconds; later steps are left out.
    :param max_gap: seconds between two boxes up to which the walker counts as staying in the picture.
    :param aspect: width over height of the frame.
    :param camera: whose motion is taken off the box's.
    :raises StereoSyncError: when a number is not above zero.
    """
    for name, value in (("duration", duration), ("max_gap", max_gap), ("aspect", aspect)):
        if not np.isfinite(value) or value <= 0:
            raise StereoSyncError(f"Steps from a track: {name} is {value}; it must be above zero.")
    runs = np.split(np.arange(len(track.times)), np.nonzero(np.diff(track.times) > max_gap)[0] + 1)
    boxes = track.boxes if camera is None else camera.boxes_without(track.times, track.boxes)
    found = [_steps_in_run(track.times[run], boxes[run], aspect) for run in runs if len(run) > 1]
    times = np.concatenate([times for times, _ in found] or [np.zeros(0)])
    cadences = np.concatenate([cadences for _, cadences in found] or [np.zeros(0)])
    inside = (times >= 0) & (times < duration)
    # who walks faster treads harder: 0.5 at a stroll, 0.8 at the usual 1.9 steps a second, 1 at a run
    return _alternating(times[inside], np.clip(cadences[inside] / 2.4, 0.5, 1.0))


def steps_from_envelope(envelope: Envelope) -> Steps:
    """Steps at the peaks of a loudness envelope; strengths are peak heights over the highest peak."""
    lowest, span = envelope.values.min(), float(np.ptp(envelope.values))
    times = np.arange(envelope.times[0], envelope.times[-1] + 0.5 / _RATE, 1 / _RATE)
    heights = envelope.at(times)
    # a valley on either side, so that a peak at the very start or end counts as well
    bounded = np.concatenate([[lowest], heights, [lowest]])
    peaks = find_peaks(bounded, prominence=_PEAK_PROMINENCE * span, distance=round(_PEAK_SPACING * _RATE))[0] - 1
    return _alternating(times[peaks], heights[peaks] / heights[peaks].max(initial=0.0))


def steps_from_cadence(rate: float, duration: float, start: float = 0.0, variation: float = 0.03, seed: int = 0) -> Steps:
    """Steps at ``rate`` a second from ``start`` to ``duration``; ``variation`` is the standard deviation of an interval as a
    part of it (healthy walkers are near 0.03)."""
    if not np.isfinite(rate) or not 0.1 <= rate <= 10:
        raise StereoSyncError(f"Steps from a cadence: the rate is {rate} steps a second; give 0.1 to 10.")
    if not np.isfinite(duration) or duration < 0 or not np.isfinite(start) or start < 0 or not 0 <= variation <= 1:
        raise StereoSyncError(
            f"Steps from a cadence: duration {duration}, start {start} and variation {variation} must not be negative, "
            "and variation not above 1."
        )
    generator = Generator(PCG64(int(seed) % 2**64))
    count = int(np.ceil(max(duration - start, 0.0) * rate * 2)) + 2
    intervals = (1 + variation * np.clip(generator.standard_normal(count), -2, 2).clip(-0.5 / max(variation, 1e-9))) / rate
    times = start + np.concatenate([[0.0], np.cumsum(intervals)])
    strengths = np.clip(0.8 * (1 + 2 * variation * generator.standard_normal(len(times))), 0.4, 1.0)
    inside = times < duration
    return _alternating(times[inside], strengths[inside])


def _steps_in_run(times: np.ndarray, boxes: np.ndarray, aspect: float) -> tuple[np.ndarray, np.ndarray]:
    none = np.zeros(0), np.zeros(0)
    grid = np.arange(times[0], times[-1], 1 / _RATE)
    if len(grid) < 0.4 * _RATE:
        return none
    speed = _walking_speed(times, boxes, grid, aspect)
    signals = _gait_signals(boxes, aspect)
    centres = np.arange(times[0], times[-1] + _HOP, _HOP)
    evidence, explained = _cadence_evidence(times, signals, centres)
    expected = np.interp(centres, grid, cadence_from_speed(speed))
    prior = -0.5 * (np.log(_FREQUENCIES / expected[:, None]) / _PRIOR_SPREAD) ** 2
    path = _most_probable_path(evidence + prior)
    windows = np.arange(len(centres))
    clear = np.interp(grid, centres, evidence[windows, path]) > _CLEAR_BOB
    cadence = np.exp(np.interp(grid, centres, np.log(_FREQUENCIES[path])))

    walking = clear | (speed > _STANDING_SPEED)
    half_second = np.ones(round(_RATE / 2))
    walking = binary_opening(binary_closing(np.pad(walking, len(half_second), mode="edge"), half_second), half_second)
    walking = walking[len(half_second) : -len(half_second)]
    pulse = _pulse(times, signals, grid, [np.interp(grid, centres, part[windows, path]) for part in explained])
    edges = np.flatnonzero(np.diff(np.concatenate([[0], walking, [0]])))
    places = [
        begin + _place_steps(pulse[begin:end], _RATE / cadence[begin:end])
        for begin, end in zip(edges[::2], edges[1::2], strict=True)
    ]
    steps = np.concatenate(places) if places else np.zeros(0, dtype=int)
    return np.maximum(grid[steps] - DOUBLE_SUPPORT / cadence[steps], times[0]), cadence[steps]


def _walking_speed(times: np.ndarray, boxes: np.ndarray, grid: np.ndarray, aspect: float) -> np.ndarray:
    """Speed in body heights a second: sideways from the box's centre, to and fro from the growth of its height. A box of height
    h (of the frame) stands f / h body heights away through a lens of focal length f."""
    height = np.maximum(boxes[:, 3] - boxes[:, 1], 0.02)
    window = min(round(1.6 * _RATE), len(grid)) // 2 * 2 - 1
    boxes_in_window = max(window / _RATE / float(np.median(np.diff(times))), 2.0)

    def slope(values):
        rate = np.asarray(savgol_filter(np.interp(grid, times, values), window, 1, deriv=1, delta=1 / _RATE, mode="interp"))
        # what jitter alone makes of the slope of a line (white noise, seen in second differences) is no motion
        noise = np.sqrt(np.mean(np.diff(values, 2) ** 2) / 6) if len(values) > 2 else 0.0
        error = noise * np.sqrt(12 / boxes_in_window) / (window / _RATE)
        return np.sign(rate) * np.maximum(np.abs(rate) - 2 * error, 0.0)

    smooth = gaussian_filter1d(np.interp(grid, times, height), 0.3 * _RATE, mode="nearest")
    sideways = slope(boxes[:, 0] + boxes[:, 2]) / 2 * aspect / smooth
    towards = slope(np.log(height)) * _FOCAL_LENGTH / smooth
    return np.hypot(sideways, towards)


def _gait_signals(boxes: np.ndarray, aspect: float) -> np.ndarray:
    """Width, top edge and (negative) height in body heights ``[3, N]``: all three are highest in mid double support."""
    x0, y0, x1, y1 = boxes.T
    body = max(float(np.median(y1 - y0)), 0.02)
    scale = np.maximum(y1 - y0, 0.3 * body)
    # the width follows the distance: only over the height is it a measure of how far the legs are open
    return np.stack([(x1 - x0) * aspect / scale, y0 / body, -np.log(scale)])


def _cadence_evidence(times: np.ndarray, signals: np.ndarray, centres: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Log likelihood ratio ``[W, F]`` of a trend with a sinusoid against the trend alone, and the part of the variance that the
    sinusoid explains ``[3, W, F]`` (Bayesian harmonic regression, the Lomb-Scargle periodogram with a floating cubic trend; it
    takes the boxes at whatever times they have)."""
    evidence = np.zeros((len(centres), len(_FREQUENCIES)))
    explained = np.zeros((len(signals), *evidence.shape))
    for w, centre in enumerate(centres):
        low, high = np.searchsorted(times, [centre - _WINDOW / 2, centre + _WINDOW / 2])
        if high - low < 8 or times[high - 1] - times[low] < 1.2:
            continue
        local = times[low:high] - centre
        taper = np.cos(np.pi * local / _WINDOW)  # root of a Hann window: the squares carry the window
        orthonormal, _ = np.linalg.qr(np.vander(local, 4) * taper[:, None])
        angle = 2 * np.pi * _FREQUENCIES * local[:, None]
        waves = np.stack([np.cos(angle), np.sin(angle)]) * taper[:, None]
        waves -= np.einsum("nk,pkf->pnf", orthonormal, np.einsum("nk,pnf->pkf", orthonormal, waves))
        values = signals[:, low:high] * taper
        values = values - (values @ orthonormal) @ orthonormal.T
        cos, sin = waves
        cc, ss, cs = (cos**2).sum(0), (sin**2).sum(0), (cos * sin).sum(0)
        yc, ys = values @ cos, values @ sin
        power = (yc**2 * ss - 2 * yc * ys * cs + ys**2 * cc) / np.maximum(cc * ss - cs**2, 1e-9)
        total = (values**2).sum(1, keepdims=True)
        part = np.clip(power / np.maximum(total, 1e-12), 0.0, 0.98)
        # beyond the Nyquist frequency of the boxes there are only aliases
        fastest = 0.45 * (high - low - 1) / (local[-1] - local[0])
        part[:, np.searchsorted(_FREQUENCIES, fastest) :] = 0.0
        explained[:, w] = part
        effective = np.sum(taper**2) ** 2 / np.sum(taper**4)
        # halved, since the errors of a detector's edges and of neighbouring frames go together
        evidence[w] = -0.25 * effective * np.log1p(-part).sum(0)
    return evidence, explained


def _most_probable_path(score: np.ndarray) -> np.ndarray:
    """Index of the frequency in each window ``[W]`` that maximises the score ``[W, F]`` under slow drift (Viterbi)."""
    logs = np.log(_FREQUENCIES)
    drift = -0.5 * ((logs[:, None] - logs) / _DRIFT) ** 2
    best, came_from = score[0], np.zeros(score.shape, dtype=int)
    for w in range(1, len(score)):
        options = best[:, None] + drift
        came_from[w] = options.argmax(0)
        best = options.max(0) + score[w]
    path = np.empty(len(score), dtype=int)
    path[-1] = best.argmax()
    for w in range(len(score) - 1, 0, -1):
        path[w - 1] = came_from[w, path[w]]
    return path


def _pulse(times: np.ndarray, signals: np.ndarray, grid: np.ndarray, reliability: list[np.ndarray]) -> np.ndarray:
    """The walker's oscillation on the grid, crests in double support, each signal as large as it is reliable."""
    trend_window = min(round(1.1 * _RATE), len(grid)) // 2 * 2 - 1
    pulse = np.zeros(len(grid))
    for values, weight in zip(signals, reliability, strict=True):
        values = gaussian_filter1d(np.interp(grid, times, values), 0.05 * _RATE, mode="nearest")
        values = values - np.asarray(savgol_filter(values, trend_window, 1, mode="interp"))
        size = np.sqrt(gaussian_filter1d(values**2, 0.8 * _RATE, mode="nearest"))
        pulse += weight**2 * np.clip(values / np.maximum(size, 1e-6), -2.5, 2.5)
    return pulse


def _place_steps(pulse: np.ndarray, period: np.ndarray) -> np.ndarray:
    """Indices of steps that sit on the crests of ``pulse`` and about ``period`` (samples, ``[N]``) apart."""
    score, came_from = pulse.copy(), np.full(len(pulse), -1)
    for n in range(int(period.min() * 0.6), len(pulse)):
        first, last = n - int(period[n] * 1.6), n - int(period[n] * 0.6)
        if last <= 0:
            continue
        candidates = np.arange(max(first, 0), last)
        options = score[candidates] - _TIGHTNESS * np.log((n - candidates) / period[n]) ** 2
        best = int(options.argmax())
        # a step that begins the walk needs no step before it, when there was no room for one
        if first >= 0 or options[best] > 0:
            score[n] += options[best]
            came_from[n] = candidates[best]
    n = len(pulse) - 1 - int(np.argmax(score[::-1][: int(period[-1])]))
    steps = []
    while n >= 0:
        steps.append(n)
        n = came_from[n]
    return np.array(steps[::-1], dtype=int)
