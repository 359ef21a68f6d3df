// Paths of azimuth, distance and loudness: lists of [seconds, value], straight from point to point, held at both ends.

export const CURVES = {
  azimuth: { low: -1, high: 1, tolerance: 0.02 },
  distance: { low: 0.25, high: 4, tolerance: 0.04 },
  envelope: { low: 0, high: 1, tolerance: 0.02 },
};
const round = (value) => Math.round(value * 1e4) / 1e4;

// What is made of a path is made once, for it is drawn again and again: no path changes, another takes its place.
function once(make) {
  const made = new WeakMap();
  return (points) => {
    if (!made.has(points)) made.set(points, make(points));
    return made.get(points);
  };
}

export const highest = once((points) => points.reduce((most, [, value]) => Math.max(most, value), 0));

export function valueAt(points, time) {
  if (time <= points[0][0]) return points[0][1];
  const last = points[points.length - 1];
  if (time >= last[0]) return last[1];
  let low = 0;
  let high = points.length - 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (points[middle][0] <= time) low = middle;
    else high = middle;
  }
  const [[t0, v0], [t1, v1]] = [points[low], points[high]];
  return v0 + ((v1 - v0) * (time - t0)) / (t1 - t0);
}

// The fewest points that stay within a tolerance of all (Douglas and Peucker, differences of values alone).
export function simplified(points, tolerance) {
  const kept = new Set([0, points.length - 1]);
  const parts = [[0, points.length - 1]];
  while (parts.length) {
    const [first, last] = parts.pop();
    let worst = tolerance;
    let place = -1;
    const chord = [points[first], points[last]];
    for (let n = first + 1; n < last; n++) {
      const error = Math.abs(points[n][1] - valueAt(chord, points[n][0]));
      if (error > worst) [worst, place] = [error, n];
    }
    if (place < 0) continue;
    kept.add(place);
    parts.push([first, place], [place, last]);
  }
  return [...kept].sort((one, other) => one - other).map((n) => points[n].map(round));
}

// What is dragged, by the name of the curve: where it was not edited, a few points that follow what was found.
export const handles = Object.fromEntries(
  Object.entries(CURVES).map(([name, { tolerance, low, high }]) => [
    name,
    once((found) => {
      const within = found.map(([time, value]) => [time, Math.min(high, Math.max(low, value))]);
      return simplified(within, name === "envelope" ? tolerance * Math.max(highest(found), 1e-3) : tolerance);
    }),
  ]),
);

// A point stays between its neighbours.
export function withPoint(name, points, index, time, value) {
  const { low, high } = CURVES[name];
  const before = index > 0 ? points[index - 1][0] + 1e-3 : 0;
  const after = index < points.length - 1 ? points[index + 1][0] - 1e-3 : Infinity;
  const moved = points.map((point) => [...point]);
  moved[index] = [round(Math.min(after, Math.max(before, time))), round(Math.min(high, Math.max(low, value)))];
  return moved;
}

export function shifted(name, points, by) {
  const { low, high } = CURVES[name];
  const change = name === "distance" ? (value) => value * by : (value) => value + by;
  return points.map(([time, value]) => [time, round(Math.min(high, Math.max(low, change(value))))]);
}

export function withNewPoint(name, points, time, value) {
  const index = points.findIndex(([t]) => t > time);
  const place = index < 0 ? points.length : index;
  if (points.some(([t]) => Math.abs(t - time) < 2e-3)) return { points, index: -1 };
  const { low, high } = CURVES[name];
  const added = [round(time), round(Math.min(high, Math.max(low, value)))];
  return { points: [...points.slice(0, place), added, ...points.slice(place)], index: place };
}

export function withoutPoint(points, index) {
  return points.length > 1 ? points.filter((_, n) => n !== index) : points;
}
